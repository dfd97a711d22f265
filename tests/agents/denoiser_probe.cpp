// The C++ half of tests/oracle/denoiser_reference.py.
//
// usage: denoiser_probe CASE.safetensors WEIGHTS.safetensors RESULT.safetensors MODEL.safetensors
//
// CASE holds x, t and a weight per output; its metadata holds the config. RESULT gets the net's output and,
// for the loss sum(weight * output), the gradients of x ("x") and of every parameter (by name); MODEL the
// saved model.
#include <torch/torch.h>

#include <iostream>

#include "agents/diffusion/diffusion_model_torch.h"
#include "agents/nets/tensor_file_torch.h"

namespace {

using namespace diffreward;

void run(const char* case_file, const char* weights, const char* result, const char* model_file) {
  const Safetensors input = Safetensors::open(case_file);
  DiffusionConfig config;
  update(config, Json::parse(input.metadata_at("config")));
  torch::Tensor x = tensor_from(input.at("x"), "x").requires_grad_(true);
  const auto width = static_cast<int>(x.size(2));
  const WindowLayout layout{config.horizon, config.stride, 1, width - 1};
  const auto columns = static_cast<std::size_t>(width);
  DiffusionModel model(config, layout, {"limits", std::vector(columns, 0.0), std::vector(columns, 1.0)}, 0);
  model.load_weights(weights);

  const torch::Tensor output = model.impl().net->forward(x, tensor_from(input.at("t"), "t"));
  (output * tensor_from(input.at("weight"), "weight")).sum().backward();
  NamedTensors results = {{"output", output}, {"gradient.x", x.grad()}};
  for (const auto& [name, parameter] : model.impl().net->parameters.named())
    results["gradient." + name] = parameter.grad();
  save_tensors(result, results, {});
  model.save(model_file);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    require(argc == 5, "usage: denoiser_probe CASE WEIGHTS RESULT MODEL");
    run(argv[1], argv[2], argv[3], argv[4]);
  } catch (const std::exception& error) {
    std::cerr << "denoiser_probe: " << error.what() << "\n";
    return 1;
  }
}
