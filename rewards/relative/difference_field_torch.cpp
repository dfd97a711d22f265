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
                       const ExtractConfig& config)
    : expert_(expert), base_(base), config_(config), noised_(source, base, config), device_(config.device) {
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
  const torch::Tensor base = base_.posterior_mean(batch.x_t, batch.t).to(device_);
  const torch::Device there(expert_.device());
  const torch::Tensor expert = expert_.posterior_mean(batch.x_t.to(there), batch.t.to(there)).to(device_);
  const torch::Tensor x_t = batch.x_t.to(device_);
  FieldPoints points{config_.gradient_at == "base" ? base : x_t, batch.t.to(device_), expert - base, {}};
  if (!batch.drawn.defined()) return points;
  points.drawn = batch.drawn.to(device_);
  points.x = torch::where(points.drawn > 0, points.x, x_t);
  points.difference = points.of_drawn(points.difference);
  return points;
}

}  // namespace diffreward
