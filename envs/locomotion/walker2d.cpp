#include "envs/locomotion/walker2d.h"

#include "envs/locomotion/assets.h"

namespace diffreward {
namespace {

std::string model_of(int version) {
  std::string mjcf = locomotion_mjcf("walker2d");
  if (version == 5) return mjcf;
  const std::string v5 = "name=\"foot_geom\" friction=\"1.9", v4 = "name=\"foot_geom\" friction=\"0.9";
  return mjcf.replace(mjcf.find(v5), v5.size(), v4);
}

}  // namespace

Walker2d::Walker2d(std::string id, int version, const Walker2dConfig& config)
    : PlanarWalker({.id = std::move(id),
                    .mjcf = model_of(version),
                    .physics = config.physics,
                    .frame_skip = config.frame_skip,
                    .reset_noise_scale = config.reset_noise_scale,
                    .camera = {.distance = 4, .look_up = 1.1}},
                   rules_of(config), version),
      z_("healthy_z_range", config.healthy_z_range),
      angle_("healthy_angle_range", config.healthy_angle_range) {
  validate(config);
  describe_walker();
}

bool Walker2d::healthy(std::span<const double> qpos, std::span<const double>) const {
  return z_.inside(qpos[1]) && angle_.inside(qpos[2]);
}

}  // namespace diffreward
