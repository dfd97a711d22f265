// What an expert robot prefers over the base, and whether the reward knows it: kinds of behaviour, and pictures of the
// moments that are paid least and most. From recordings that hold qpos and qvel.
//
//   forward_speed   dx / dt of the robot's root, m/s
//   height          of the torso's origin over the ground, m
//   pitch           of the torso forwards, rad
//   contact         something touches the ground (share of steps)
//   effort          mean squared motor signal, of the half-box
//   unsteadiness    mean squared change of the motor signal from one step to the next, of the half-box
//
// Each is averaged over a window's steps; what correlations hold fixed is the forward speed. Intervals resample whole
// episodes.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "envs/image.h"
#include "envs/locomotion/mujoco_env.h"
#include "rewards/evaluate/behaviour.h"

namespace diffreward {

/// A robot that is put where a recording says it was.
class RecordedRobot {
 public:
  /// Throws Error naming the file where it is no robot's, or holds no qpos and qvel.
  explicit RecordedRobot(const Dataset& data);
  /// Whether a recording is of a robot, with qpos and qvel.
  static bool recorded(const Dataset& data);

  /// Into the state that the action of this row answers to.
  void place(std::size_t row);
  Posture posture() const { return robot_->posture(); }
  double forward_speed() const { return robot_->qvel()[0]; }  ///< m/s
  Image render(int width, int height) const { return robot_->render(width, height); }
  const EnvSpec& spec() const { return env_->spec(); }

 private:
  Dataset data_;
  std::unique_ptr<Env> env_;
  MujocoEnv* robot_;  // the same
  std::vector<double> obs_;
};

struct RobotPreferenceReport {
  std::vector<BehaviourPreference> behaviours;
  Json json() const;
};

/// `expert` and `base` are windows of these recordings.
RobotPreferenceReport robot_preference(const ScoredWindows& expert, const Dataset& expert_data,
                                       const ScoredWindows& base, const Dataset& base_data,
                                       const BootstrapConfig& config);

/// The `count` windows that are paid least (above) and most (below), each of another episode, at their last row; `side`: of a
/// frame, pixels.
Image draw_moments(const ScoredWindows& scored, const Dataset& data, int count, int side);

/// `frames` moments of an episode from its first row to its last, evenly apart, side by side.
Image draw_filmstrip(const Dataset& data, const Episode& episode, int frames, int side);

}  // namespace diffreward
