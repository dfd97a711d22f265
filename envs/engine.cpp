#include "envs/engine.h"

#include <box2d/box2d.h>
#include <mujoco/mujoco.h>

#include "core/error.h"

namespace diffreward {

std::string engine_versions() {
  return concat("MuJoCo ", mj_versionString(), ", Box2D ", b2_version.major, ".", b2_version.minor, ".",
                b2_version.revision);
}

}  // namespace diffreward
