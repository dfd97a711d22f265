#include "agents/diffusion/training_batch_torch.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "agents/nets/loss_torch.h"
#include "agents/nets/noise_torch.h"

namespace diffreward {
namespace {

/// weights [1, horizon, width]: discount^row, and action_weight for the first row's action.
torch::Tensor loss_weights(const WindowLayout& layout, const DiffusionTrainConfig& config) {
  torch::Tensor weights = torch::empty({1, layout.horizon, layout.width()});
  for (int row = 0; row < layout.horizon; ++row)
    weights.select(1, row).fill_(std::pow(config.loss_discount, row));
  weights.select(1, 0).narrow(1, 0, layout.action_dim).fill_(config.action_weight);
  return weights;
}

}  // namespace

BatchMaker::BatchMaker(const DiffusionModel::Impl& model, const WindowSampler& windows,
                       const DiffusionTrainConfig& config)
    : model_(model),
      windows_(windows),
      config_(config),
      weights_(loss_weights(model.layout, config).to(torch::Device(model.device))) {}

Batch BatchMaker::make(const EpisodeWindows& from, int size, Seed seed) {
  const WindowLayout& layout = model_.layout;
  const torch::Device device(model_.device);
  const auto n = static_cast<std::size_t>(size), window = static_cast<std::size_t>(layout.size());
  Rng rng(seed);

  rows_.resize(n * window);
  torch::Tensor t = torch::empty({size}, torch::kLong), given = torch::empty({size}, torch::kBool);
  for (std::size_t i = 0; i < n; ++i) {
    windows_.copy(from.draw(rng), std::span(rows_).subspan(i * window, window));
    t.data_ptr<std::int64_t>()[i] =
        static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(model_.schedule.timesteps)));
    given.data_ptr<bool>()[i] = rng.uniform() < config_.condition_probability;
  }
  model_.normalizer.normalize(rows_, rows_);

  const std::vector<std::int64_t> shape = {size, layout.horizon, layout.width()};
  const torch::Tensor x_0 =
      torch::from_blob(rows_.data(), shape).to(device, torch::kFloat, false, /*copy=*/true);
  const torch::Tensor noise = normal({&rng, 1}, shape).to(device);
  Batch batch;
  batch.t = t.to(device);
  batch.x_t = model_.levels.add_noise(x_0, batch.t, noise);
  batch.target = model_.target(x_0, noise, batch.t);
  batch.weights = weights_;
  if (config_.condition_probability > 0) {  // the first observation is given clean, and costs nothing
    const torch::Tensor mask = given.to(device).unsqueeze(1);
    const auto observation = [&](const torch::Tensor& x) {
      return x.select(1, 0).narrow(1, layout.action_dim, layout.observation_dim);
    };
    observation(batch.x_t).copy_(torch::where(mask, observation(x_0), observation(batch.x_t)));
    batch.weights = weights_.repeat({size, 1, 1});
    observation(batch.weights).masked_fill_(mask, 0);
  }
  return batch;
}

double add_loss_gradient(const DenoiserNet& net, const Batch& batch, const BatchPart& part) {
  const torch::Tensor output = net.forward(part(batch.x_t), part(batch.t));
  return add_square_error_gradient(output, part(batch.target), part(batch.weights), part.share());
}

}  // namespace diffreward
