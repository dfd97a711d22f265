// The inside of an ImageReward, shared by its own source and extract_image_reward().
#pragma once

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "rewards/image/image_reward.h"
#include "rewards/image/latent_unet_torch.h"

namespace diffreward {

struct ImageReward::Impl {
  /// With weights of a file or fresh ones. Throws InvalidArgument naming the setting that does not fit.
  Impl(const ImageExtractConfig& settings, std::vector<std::int64_t> latent, const NoiseSchedule& chain,
       Parameters values);
  std::unique_ptr<RewardNet> make(Head head, Parameters values) const;
  /// Latents on the net's device. Throws InvalidArgument for another shape.
  at::Tensor checked(const at::Tensor& x) const;
  template <class Body>
  void each_noised(int t, const at::Tensor& latents, const Body& body) const;

  ImageExtractConfig config;
  std::vector<std::int64_t> shape;  // [channels, h, w]
  NoiseSchedule schedule;
  std::unique_ptr<RewardNet> net;  // its weights are never trained themselves, but average those in training
  std::vector<double> difference_rms = {};  // [timesteps]
  std::vector<FieldReport> report = {};
  std::vector<float> base_scores = {}, safe_scores = {};
  Json provenance = Json::object();
};

}  // namespace diffreward
