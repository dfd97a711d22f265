#include "envs/locomotion/hopper.h"

#include <algorithm>

#include "envs/locomotion/assets.h"

namespace diffreward {

Hopper::Hopper(std::string id, int version, const HopperConfig& config)
    : PlanarWalker({.id = std::move(id),
                    .mjcf = locomotion_mjcf("hopper"),
                    .physics = config.physics,
                    .frame_skip = config.frame_skip,
                    .reset_noise_scale = config.reset_noise_scale,
                    .camera = {.distance = 3, .look_up = 1}},
                   rules_of(config), version),
      state_("healthy_state_range", config.healthy_state_range),
      z_("healthy_z_range", config.healthy_z_range),
      angle_("healthy_angle_range", config.healthy_angle_range) {
  validate(config);
  describe_walker();
}

bool Hopper::healthy(std::span<const double> qpos, std::span<const double> qvel) const {
  const auto inside = [this](double x) { return state_.inside(x); };
  return z_.inside(qpos[1]) && angle_.inside(qpos[2]) && std::ranges::all_of(qpos.subspan(2), inside) &&
         std::ranges::all_of(qvel, inside);
}

}  // namespace diffreward
