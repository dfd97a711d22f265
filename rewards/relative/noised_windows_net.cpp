#include "rewards/relative/noised_windows_net.h"

#include <torch/torch.h>

#include <cmath>

#include "agents/diffusion/noise_net.h"

namespace diffreward {
namespace {

/// Throws InvalidArgument naming the data set and the columns that do not fit.
const Dataset& fitting(const char* name, const Dataset& data, const WindowLayout& layout) {
  require(static_cast<int>(data.observation_dim()) == layout.observation_dim, name, ": expected ",
          layout.observation_dim, " observation columns as in the models, found ", data.observation_dim());
  require(layout.action_dim == 0 || static_cast<int>(data.action_dim()) == layout.action_dim, name,
          ": expected ", layout.action_dim, " action columns as in the models, found ", data.action_dim());
  return data;
}

}  // namespace

NoisedWindows::Source::Source(const char* name, const Dataset& data, const WindowLayout& layout,
                              const Split& split)
    : windows(fitting(name, data, layout), layout, false),
      train(windows, split.train),
      held_out(windows, split.test) {
  require(train.count() > 0 && held_out.count() > 0, name,
          ": expected windows in training and in held-out episodes, found ", train.count(), " and ",
          held_out.count(), " in ", data.episodes().size(), " episodes");
}

NoisedWindows::NoisedWindows(const Dataset& expert_data, const Dataset& base_data,
                             const DenoisingModel& model, const ExtractConfig& config)
    : model_(model),
      config_(config),
      base_data_(base_data),
      base_split_(split_episodes(base_data, config.held_out, config.seed)),
      expert_("expert_data", expert_data, model.layout(),
              split_episodes(expert_data, config.held_out, config.seed)),
      base_("base_data", base_data, model.layout(), base_split_) {}

NoisedBatch NoisedWindows::draw(int n, Part part, Stream stream, std::uint64_t index,
                                std::optional<int> fixed_t) const {
  const WindowLayout& layout = model_.layout();
  const auto size = static_cast<std::size_t>(layout.size());
  Rng rng(Streams(Purpose::kExtraction, config_.seed, stream)[index]);

  std::vector<float> rows(static_cast<std::size_t>(n) * size);
  torch::Tensor t = torch::empty({n}, torch::kLong), from_expert = torch::empty({n});
  for (int i = 0; i < n; ++i) {
    const bool expert =
        std::floor((i + 1) * config_.expert_share + 1e-9) > std::floor(i * config_.expert_share + 1e-9);
    const Source& source = expert ? expert_ : base_;
    source.windows.copy(source.part(part).draw(rng), std::span(rows).subspan(std::size_t(i) * size, size));
    const auto drawn = static_cast<int>(rng.below(static_cast<std::uint64_t>(model_.schedule().timesteps)));
    t.data_ptr<std::int64_t>()[i] = fixed_t.value_or(drawn);
    from_expert.data_ptr<float>()[i] = expert ? 1.0f : 0.0f;
  }
  model_.normalizer().normalize(rows, rows);

  const std::vector<std::int64_t> shape = {n, layout.horizon, layout.width()};
  const torch::Device device(model_.device());
  const torch::Tensor x_0 =
      torch::from_blob(rows.data(), shape).to(device, torch::kFloat, false, /*copy=*/true);
  const torch::Tensor noise = normal({&rng, 1}, shape).to(device);
  const torch::Tensor t_there = t.to(device);
  return {model_.add_noise(x_0, t_there, noise), t_there, from_expert.to(device)};
}

std::vector<float> NoisedWindows::base_windows(int n, int horizon, Part part, Stream stream) const {
  WindowLayout layout = model_.layout();
  layout.horizon = horizon;
  const WindowSampler windows(base_data_, layout, false);
  const EpisodeWindows from(windows, part == Part::kTrain ? base_split_.train : base_split_.test);
  Rng rng(Streams(Purpose::kExtraction, config_.seed, stream)[0]);
  std::vector<float> out(static_cast<std::size_t>(n * layout.size()));
  for (std::size_t at = 0; at < out.size(); at += static_cast<std::size_t>(layout.size()))
    windows.copy(from.draw(rng), std::span(out).subspan(at, static_cast<std::size_t>(layout.size())));
  return out;
}

}  // namespace diffreward
