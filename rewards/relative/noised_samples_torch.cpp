#include "rewards/relative/noised_samples_torch.h"

#include <torch/torch.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

#include "agents/nets/nets_torch.h"

namespace diffreward {

torch::Tensor shuffled_order(std::int64_t n, const ExtractConfig& config, std::uint64_t index) {
  Rng rng(Streams(Purpose::kExtraction, config.seed, static_cast<std::uint64_t>(Draw::kShuffling))[index]);
  torch::Tensor order = torch::arange(n);
  const std::span<std::int64_t> at(order.data_ptr<std::int64_t>(), static_cast<std::size_t>(n));
  for (std::size_t i = at.size(); i > 1; --i) std::swap(at[i - 1], at[rng.below(i)]);
  return order;
}

NoisedBatch NoisedSamples::draw(int n, Part part, Draw stream, std::uint64_t index,
                                std::optional<int> fixed_t) const {
  std::vector<std::int64_t> shape = source_.shape();
  const auto size = static_cast<std::size_t>(
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>()));
  shape.insert(shape.begin(), n);
  Rng rng(Streams(Purpose::kExtraction, config_.seed, static_cast<std::uint64_t>(stream))[index]);

  torch::Tensor x_0 = torch::empty(shape), t = torch::empty({n}, torch::kLong),
                from_expert = torch::empty({n}), paid = torch::empty({paid_ ? n : 0});
  const std::span<float> numbers(x_0.data_ptr<float>(), static_cast<std::size_t>(n) * size);
  for (int i = 0; i < n; ++i) {
    const bool expert =
        std::floor((i + 1) * config_.expert_share + 1e-9) > std::floor(i * config_.expert_share + 1e-9);
    const Side side = expert ? Side::kExpert : Side::kBase;
    const std::span<float> sample = numbers.subspan(static_cast<std::size_t>(i) * size, size);
    if (paid_)
      paid.data_ptr<float>()[i] =
          static_cast<float>(source_.draw_paid(side, part, rng, config_.discount, sample));
    else
      source_.draw(side, part, rng, sample);
    const auto drawn = static_cast<int>(rng.below(static_cast<std::uint64_t>(timesteps_)));
    t.data_ptr<std::int64_t>()[i] = fixed_t.value_or(drawn);
    from_expert.data_ptr<float>()[i] = expert ? 1.0f : 0.0f;
  }
  const torch::Device device = levels_.signal.device();
  const torch::Tensor noise = normal({&rng, 1}, shape).to(device), t_there = t.to(device);
  NoisedBatch batch{levels_.add_noise(x_0.to(device), t_there, noise), t_there, from_expert.to(device),
                    paid_ ? paid.to(device) : torch::Tensor(), torch::Tensor()};
  if (config_.condition_probability == 0) return batch;
  const auto [first, last] = source_.given();
  torch::Tensor drawn = torch::ones({n, static_cast<std::int64_t>(size)});
  for (int i = 0; i < n; ++i)
    if (rng.uniform() < config_.condition_probability) drawn[i].slice(0, first, last).zero_();
  batch.drawn = drawn.view(shape).to(device);
  batch.x_t = torch::where(batch.drawn > 0, batch.x_t, x_0.to(device));
  return batch;
}

}  // namespace diffreward
