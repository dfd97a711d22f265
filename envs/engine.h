// Which physics the program was built with.
#pragma once

#include <string>

namespace diffreward {

/// "MuJoCo 4.0.0, Box2D 2.4.1": what recordings tell of their making.
std::string engine_versions();

}  // namespace diffreward
