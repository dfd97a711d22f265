// What the locomotion environments share: one compiled model per robot, frame skip, resets, exact state.
//
// The rules (reward, termination, observation, reset distribution) are Gymnasium's v4 and v5, stated in each
// robot's header. Numbers equal Gymnasium's bit for bit when it is fed float64 actions (with float32 actions
// it computes the control cost in float32); tests/oracle/locomotion_test.py holds them to that. Random
// numbers are our own (core/rng.h): resets draw from Gymnasium's distributions, and not the same values.
//
//   action       Motor signals are clipped to the box, as Env::step promises; the control cost is charged
//                for the action as given. That is Gymnasium's rule, and an exception to Env::step's.
//   lag          MuJoCo computes body positions and forces at the start of a step, so those that
//                observations and velocities show lag behind qpos by one MuJoCo step, or by a stage of it
//                with RK4. So do Gymnasium's.
//   physics      The option `physics` (PhysicsConfig in mujoco_model.h), which Gymnasium lacks, alters the
//                compiled model. Swimmer is not moved by gravity, and touches nothing.
//   errors       A step that MuJoCo warns about (divergence) throws Error with the warning's text, where
//                Gymnasium goes on from a silently reset pose. A reset mends it.
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/rng.h"
#include "envs/env.h"
#include "envs/locomotion/draw.h"
#include "envs/mujoco_model.h"
#include "envs/mujoco_renderer.h"

namespace diffreward {

/// Steps until truncation, of every robot.
inline constexpr int kRobotSteps = 1000;

/// How a robot stands.
struct Posture {
  double height = 0;     ///< of the torso's origin over the ground, m
  double pitch = 0;      ///< of the torso forwards from its upright pose, rad in (-pi, pi]
  bool contact = false;  ///< something touches the ground
};

class MujocoEnv : public Env {
 public:
  const EnvSpec& spec() const final { return spec_; }
  StepResult step(std::span<const double> action, std::span<double> obs) final;
  /// MuJoCo's integration state (time, qpos, qvel, warm start, controls ...), the derived quantities that
  /// observations show, info [info_size], the generator [6].
  void state(std::span<double> out) const final;
  void set_state(std::span<const double> state, std::span<double> obs) final;
  /// The terms of the latest step under Gymnasium's names; after a reset positions, and 0 for the rest.
  void info(std::span<double> out) const final;
  /// qpos [nq] and qvel [nv].
  std::vector<InfoField> recorded_fields() const final;
  void recorded(std::span<double> out) const final;
  /// The robot over its ground; the picture follows it. MuJoCo's own where OpenGL is to be had
  /// (mujoco_renderer.h), else a plain drawing.
  Image render(int width, int height) const final;

  /// Generalised positions [nq] and velocities [nv], metres and radians.
  std::span<const double> qpos() const;
  std::span<const double> qvel() const;
  const mjModel_& model() const { return *model_; }
  int frame_skip() const { return setup_.frame_skip; }
  /// Places the robot as Gymnasium's MujocoEnv.set_state does, and writes the observation. Time, controls and
  /// the generator stay.  qpos: [nq], qvel: [nv]
  void place(std::span<const double> qpos, std::span<const double> qvel, std::span<double> obs);
  /// Of the state as it was placed; lags behind after a step, see above.
  Posture posture() const;
  /// Copies the simulation into `out`, data of an equal model, with the contact forces that Gymnasium
  /// computes after each step. Throws InvalidArgument for data of another size.
  void snapshot(mjData_& out) const;
  /// Writes reference returns into the spec; for the catalog, which knows whether they belong to this task.
  void set_references(double random_return, double expert_return);

 protected:
  void begin(std::optional<Seed> seed, const ResetOptions& options, std::span<double> obs) final;

  enum class VelocityNoise { kNormal, kUniform };
  struct Setup {
    std::string id;
    std::string mjcf;
    double total_mass = 0;  // kg; 0 for the model's own
    PhysicsConfig physics = {};
    int frame_skip = 1;            // MuJoCo steps per step
    double reset_noise_scale = 0;  // of U(-scale, scale) on qpos, and of qvel's noise
    VelocityNoise velocity_noise = VelocityNoise::kUniform;
    RobotCamera camera = {};  // of render
    RobotView view = {};      // of render where MuJoCo cannot draw
  };
  explicit MujocoEnv(Setup setup);

  /// Completes the spec, and places the robot in its initial pose. To be called once, by the constructor of
  /// the final class. `kept`: parts of data() which observe() or the next step's reward read and which follow
  /// from the last step rather than from qpos and qvel.
  void describe(std::size_t observation_size, std::vector<InfoField> info,
                std::vector<std::span<double>> kept = {});
  /// One step: simulate(action), then the reward. Writes `info` whole.
  virtual StepResult advance(std::span<const double> action, std::span<double> info) = 0;
  /// The info of a reset; `info` holds zeros.
  virtual void reset_info(std::span<double> info) const = 0;
  virtual void observe(std::span<double> obs) const = 0;

  /// frame_skip MuJoCo steps under one action.
  void simulate(std::span<const double> action);
  /// Computes contact forces (cfrc_ext), which MuJoCo leaves out of its step.
  void compute_contact_forces();

  const mjData_& data() const { return *data_; }
  mjData_& data() { return *data_; }
  double dt() const { return spec_.seconds_per_step; }
  std::span<const double> initial_qpos() const;

 private:
  void pose(std::span<const double> qpos, std::span<const double> qvel);
  void restore(std::span<const double> state);

  /// What the derived quantities in data_ come from.
  enum class Derived {
    kPose,   // mj_forward of the present state
    kStep,   // the latest step: they lag behind, see above
    kState,  // none was computed since restore(), but for kept_
  };

  Setup setup_;
  EnvSpec spec_;
  std::shared_ptr<const mjModel_> model_;
  std::unique_ptr<mjData_, void (*)(mjData_*)> data_;
  mutable std::shared_ptr<MujocoRenderer> renderer_;  // made by the first render
  std::vector<std::span<double>> kept_;
  Derived derived_ = Derived::kPose;
  std::vector<double> info_, qpos_, qvel_;  // the latter two: buffers of reset()
  Rng rng_;
};

/// np.sum(np.square(values)) with NumPy's order of additions, for at most 128 values.
double sum_of_squares(std::span<const double> values);

/// Copies `values` to the front of `out` and returns what of `out` is left.
std::span<double> append(std::span<double> out, std::span<const double> values);
std::span<double> append(std::span<double> out, std::initializer_list<double> values);

/// Names that each tell one number.
void append(std::vector<InfoField>& info, std::initializer_list<const char*> names);

/// What a step pays for health. v5 pays the healthy; v4 pays every step, unless unhealthy and not ended by
/// it.
double survive_reward(bool healthy, int version, bool terminate_when_unhealthy, double healthy_reward);

/// An open interval given as an option: two numbers in rising order, else throws InvalidArgument.
struct Interval {
  double low, high;
  Interval(const std::string& name, const std::vector<double>& option);
  bool inside(double x) const { return low < x && x < high; }
};

/// Stands for infinity in options: JSON, where they are stored, has no infinity.
inline constexpr double kNoLimit = std::numeric_limits<double>::max();

}  // namespace diffreward
