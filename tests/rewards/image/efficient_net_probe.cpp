// The C++ half of tests/oracle/efficient_net_reference.py.
//
// usage: efficient_net_probe WEIGHTS.safetensors PICTURES.safetensors RESULT.safetensors
//
// PICTURES holds pictures, bytes [n, side, side, 3]; RESULT gets their features.
#include <torch/torch.h>

#include <iostream>

#include "agents/nets/tensor_file_torch.h"
#include "rewards/image/judge/judge.h"

int main(int argc, char** argv) {
  using namespace diffreward;
  try {
    require(argc == 4, "usage: efficient_net_probe WEIGHTS PICTURES RESULT");
    const torch::Tensor pictures = tensor_from(Safetensors::open(argv[2]).at("pictures"), "pictures");
    const auto trunk = ImageFeatures::load(argv[1]);
    save_tensors(argv[3], {{"features", trunk->of(pictures, int(pictures.size(1)))}}, {});
  } catch (const std::exception& error) {
    std::cerr << "efficient_net_probe: " << error.what() << "\n";
    return 1;
  }
}
