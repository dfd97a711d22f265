// A plain picture of a robot: capsules and spheres over a ruled ground, by orthographic projection, drawn with
// OpenCV into memory; no display and no OpenGL is needed.
#pragma once

#include "envs/image.h"
#include "envs/mujoco_model.h"

namespace diffreward {

/// `elevation`: of the camera above the horizon, degrees; 0 looks along +y from the side, 90 from above. Throws
/// InvalidArgument unless width and height are within [1, 8192] pixels.
Image draw_robot(const mjModel_& model, const mjData_& data, double elevation, int width, int height);

}  // namespace diffreward
