// What all environments on MuJoCo share: compiled models and their physical parameters, and warnings that
// must not pass unseen.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "core/config.h"

struct mjModel_;
struct mjData_;

namespace diffreward {

/// Physical parameters in which instances of a robot may differ. The defaults leave the model as it is.
struct PhysicsConfig {
  double gravity = -9.81;     // m/s^2, along z
  double mass_scale = 1;      // of all masses and inertias; not of armatures, which belong to the motors
  double friction_scale = 1;  // of all friction coefficients of contacts
  double damping_scale = 1;   // of the joints' damping and of the medium's density and viscosity

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("gravity", self.gravity, "acceleration along z, m/s^2", Bounds{-1000, 1000});
    field("mass_scale", self.mass_scale, "factor of all masses and inertias", Bounds{1e-6, 1e6});
    field("friction_scale", self.friction_scale, "factor of the contacts' friction", Bounds{0, 1e3});
    field("damping_scale", self.damping_scale, "factor of the joints' damping and the medium's drag",
          Bounds{0, 1e3});
  }
  bool operator==(const PhysicsConfig&) const = default;
};

/// The compiled model of an MJCF text: the one other instances use, else a new one; with other physical
/// parameters than the defaults an altered copy of it, which instances with equal parameters share. `name` is
/// for messages. A `total_mass` above 0, kg, scales all masses and inertias to that sum, before `physics`
/// applies. Safe from any thread. Throws Error with MuJoCo's message for a text that does not compile.
///
/// Gives MuJoCo handlers for its warnings and errors, unless the program has set its own: warnings pass in
/// silence (they are counted in mjData, see throw_on_mujoco_warning), errors throw Error. MuJoCo by itself
/// would write both to MUJOCO_LOG.TXT in the current folder, and end the process at an error.
std::shared_ptr<const mjModel_> shared_mujoco_model(const std::string& name, const std::string& mjcf,
                                                    double total_mass = 0, const PhysicsConfig& physics = {});

/// The model as the bytes of an MJB file, which mj_loadModelBuffer reads.
std::vector<std::byte> mujoco_model_bytes(const mjModel_& model);

/// Fresh data of a model. Throws Error when memory is short.
std::unique_ptr<mjData_, void (*)(mjData_*)> make_mujoco_data(const std::string& name, const mjModel_& model);

/// Throws Error naming the first warning that MuJoCo raised since the last mj_resetData: a simulation that
/// diverged, where MuJoCo by itself would only start over from its initial pose.
void throw_on_mujoco_warning(const std::string& name, const mjData_& data);

}  // namespace diffreward
