// Where tensors live and how many threads LibTorch uses, without including torch.
#pragma once

#include <string>

namespace diffreward {

/// Threads for LibTorch's own loops in this process; 0 means one per core. Small nets are fastest on one.
void set_torch_threads(int threads);

/// Throws Error unless tensors can be made on "cpu" or "cuda".
void check_device(const std::string& device);

}  // namespace diffreward
