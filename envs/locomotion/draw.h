// A plain picture of a robot: capsules and spheres over a ruled ground, by orthographic projection, drawn
// with OpenCV into memory; no display and no OpenGL is needed.
#pragma once

#include "envs/image.h"
#include "envs/mujoco_model.h"

namespace diffreward {

struct RobotView {
  double elevation =
      0;  // of the camera above the horizon, degrees; 0 looks along +y from the side, 90 from above
  double height = 3;  // metres from the picture's bottom to its top
};

/// The picture follows the robot's middle in x and y. Throws InvalidArgument unless width and height are
/// within [1, 8192] pixels.
Image draw_robot(const mjModel_& model, const mjData_& data, const RobotView& view, int width, int height);

}  // namespace diffreward
