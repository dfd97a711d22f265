// The inside of a DiffusionModel, shared by its own source and the trainer.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <memory>
#include <string>

#include "agents/diffusion/denoiser_torch.h"
#include "agents/diffusion/diffusion_model.h"
#include "agents/diffusion/noise_levels_torch.h"

namespace diffreward {

struct DiffusionModel::Impl {
  DiffusionConfig config;
  WindowLayout layout;
  Normalizer normalizer;
  NoiseSchedule schedule;
  std::string device;
  NoiseLevels levels;
  std::unique_ptr<DenoiserNet> net;
  Json provenance = Json::object();

  /// `values` gives the net's parameters; it is called after the cheap checks.
  Impl(DiffusionConfig config_, WindowLayout layout_, Normalizer normalizer_, const std::string& device_,
       const std::function<Parameters(const torch::Device&)>& values);
  /// x_0 from the net's output at x_t, by prediction type.
  torch::Tensor to_x0(const torch::Tensor& output, const torch::Tensor& x_t, const torch::Tensor& t) const;
  /// What the net is trained to output for this x_0 and noise.
  torch::Tensor target(const torch::Tensor& x_0, const torch::Tensor& noise, const torch::Tensor& t) const;
};

}  // namespace diffreward
