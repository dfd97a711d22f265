#include "agents/device.h"

#include <torch/torch.h>

#include <thread>

#include "core/error.h"

namespace diffreward {

void set_torch_threads(int threads) {
  at::set_num_threads(threads > 0 ? threads : static_cast<int>(std::thread::hardware_concurrency()));
}

void check_device(const std::string& device) {
  if (device == "cuda" && !torch::cuda::is_available())
    throw Error(
        "device: expected a working CUDA device for 'cuda', found none (this LibTorch or machine has none)");
  require(device == "cpu" || device == "cuda", "device: expected cpu or cuda, got '", device, "'");
}

}  // namespace diffreward
