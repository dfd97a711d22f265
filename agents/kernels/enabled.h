// The switch between the kernels and plain ATen.
#pragma once

#include <iosfwd>
#include <string>

namespace diffreward {

/// Whether CPU nets use the kernels of this folder; else plain ATen, which defines what they compute.
/// Initially true unless the environment variable DIFFREWARD_KERNELS is 0 or kernels_fit() says no.
bool kernels_enabled();
void enable_kernels(bool enabled);

/// Whether the kernels of an instruction set, in kernels::instruction_set()'s words, are worth their while:
/// not without vectors. Then it says so in one line.
bool kernels_fit(const std::string& instruction_set, std::ostream& log);

}  // namespace diffreward
