#include "rewards/relative/difference_field_torch.h"

#include <torch/torch.h>

#include <numeric>

#include "core/error.h"

namespace diffreward {

std::vector<int> DifferenceField::timesteps() const {
  std::vector<int> all(static_cast<std::size_t>(schedule().timesteps));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

ModelField::ModelField(const DenoisingModel& expert, const DenoisingModel& base, const SampleSource& source,
                       const ExtractConfig& config, Ranks* ranks)
    : expert_(expert),
      base_(base),
      config_(config),
      noised_(source, base, config),
      device_(config.device),
      parts_(config.accumulate, ranks) {
  const NoiseSchedule &e = expert.schedule(), &b = base.schedule();
  require(e.kind == b.kind, "schedule.kind: expected the expert model to have the base model's ", b.kind,
          ", found ", e.kind);
  require(e.timesteps == b.timesteps,
          "schedule.timesteps: expected the expert model to have the base model's ", b.timesteps, ", found ",
          e.timesteps);
  require(e == b, "schedule: expected the expert model to have the base model's betas, found others");
}

FieldPoints ModelField::draw(int n, Part part, Draw stream, std::uint64_t index, std::optional<int> t) const {
  const NoisedBatch batch = noised_.draw(n, part, stream, index, t);
  const auto means = [&](const DenoisingModel& model) {
    const torch::Device there(model.device());
    const torch::Tensor at = batch.x_t.to(there), times = batch.t.to(there);
    return parts_.rows(n, [&](const BatchPart& some) { return model.posterior_mean(some(at), some(times)); })
        .to(device_);
  };
  const torch::Tensor base = means(base_), expert = means(expert_);
  const torch::Tensor x_t = batch.x_t.to(device_);
  FieldPoints points{config_.gradient_at == "base" ? base : x_t, batch.t.to(device_), expert - base, {}};
  if (!batch.drawn.defined()) return points;
  points.drawn = batch.drawn.to(device_);
  points.x = torch::where(points.drawn > 0, points.x, x_t);
  points.difference = points.of_drawn(points.difference);
  return points;
}

}  // namespace diffreward
