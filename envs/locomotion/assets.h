// The robots' models (assets/*.xml), embedded into the library at build time.
#pragma once

#include <string>
#include <string_view>

namespace diffreward {

/// The MJCF text of assets/`name`.xml. Throws InvalidArgument for a name that is not among them.
std::string locomotion_mjcf(std::string_view name);

}  // namespace diffreward
