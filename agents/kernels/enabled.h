// The switch between the kernels and plain ATen.
#pragma once

namespace diffreward {

/// Whether CPU nets use the kernels of this folder; else plain ATen, which defines what they compute. Initially true
/// unless the environment variable DIFFREWARD_KERNELS is 0.
bool kernels_enabled();
void enable_kernels(bool enabled);

}  // namespace diffreward
