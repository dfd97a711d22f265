// What all environments on MuJoCo share: compiled models, and warnings that must not pass unseen.
#pragma once

#include <memory>
#include <string>

struct mjModel_;
struct mjData_;

namespace diffreward {

/// The compiled model of an MJCF text: the one other instances use, else a new one. `name` is for messages. A
/// `total_mass` above 0, kg, scales all masses and inertias to that sum. Safe from any thread. Throws Error
/// with MuJoCo's message for a text that does not compile.
std::shared_ptr<const mjModel_> shared_mujoco_model(const std::string& name, const std::string& mjcf,
                                                    double total_mass = 0);

/// Fresh data of a model. Throws Error when memory is short.
std::unique_ptr<mjData_, void (*)(mjData_*)> make_mujoco_data(const std::string& name, const mjModel_& model);

/// Throws Error naming the first warning that MuJoCo raised since the last mj_resetData: a simulation that
/// diverged, where MuJoCo by itself would only start over from its initial pose.
void throw_on_mujoco_warning(const std::string& name, const mjData_& data);

}  // namespace diffreward
