// MuJoCo's own pictures, without a display: an OpenGL context in memory, by EGL or else OSMesa.
//
// The libraries are opened when the first picture is asked for, and are not needed otherwise. Mesa's EGL
// draws without a graphics card (Debian: libegl1, libgl1-mesa-dri). The environment variable MUJOCO_GL
// chooses as it does for MuJoCo's Python package: egl, osmesa, or disable; unset, both are tried in this
// order.
//
// A context that another library destroyed, by closing the display that all EGL contexts of a process share,
// is replaced by a new one. A context does not survive a fork, nor do its drivers' threads: a process that
// was forked after a picture was drawn gets an error. What another library had current stays current.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "envs/image.h"

struct mjModel_;

namespace diffreward {

/// Where a picture is taken from. Angles in degrees, lengths in metres.
struct RobotCamera {
  double distance = 4, azimuth = 90, elevation = -20;
  double look_up = 0;  // height of the point looked at; 0: the robot's own
};

/// Draws one model. Safe from any thread, one at a time each; the OpenGL context is shared by all renderers.
class MujocoRenderer {
 public:
  /// `mjcf` is the model's text; a floor pattern, a sky and a light are added to it, which the physics never
  /// sees. Throws Error for a text that does not compile.
  MujocoRenderer(const std::string& name, const std::string& mjcf);
  ~MujocoRenderer();

  /// Whether OpenGL is to be had here; the answer does not change. Throws Error where MUJOCO_GL names a
  /// library that is not there, and in a process that was forked after OpenGL drew.
  static bool available();

  /// The robot in the pose qpos [nq]; the camera follows it. Throws InvalidArgument unless width and height
  /// pass check_picture_size; Error where none can be drawn.
  Image render(std::span<const double> qpos, const RobotCamera& camera, int width, int height);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The renderer of a model's text that others use, else a new one.
std::shared_ptr<MujocoRenderer> shared_mujoco_renderer(const std::string& name, const std::string& mjcf);

}  // namespace diffreward
