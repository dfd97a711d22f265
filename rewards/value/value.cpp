#include "rewards/value/value.h"

#include <torch/torch.h>

#include <utility>

#include "core/error.h"
#include "rewards/relative/learner_torch.h"
#include "rewards/relative/noised_samples_torch.h"
#include "rewards/relative/window_reward_torch.h"

namespace diffreward {
namespace {

constexpr int kStatisticWindows = 4096;

}  // namespace

struct ValueReward::Impl {
  WindowReward windows;
};

ValueReward::ValueReward(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ValueReward::~ValueReward() = default;

std::shared_ptr<ValueReward> ValueReward::load(const std::filesystem::path& path, const std::string& device) {
  const Safetensors file = Safetensors::open(path);
  return std::make_shared<ValueReward>(std::make_unique<Impl>(Impl{WindowReward(file, path, kKind, device)}));
}

void ValueReward::save(const std::filesystem::path& path) const {
  NamedTensors tensors;
  std::map<std::string, std::string> metadata;
  impl_->windows.add_to(tensors, metadata, kKind);
  save_tensors(path, tensors, metadata);
}

const ExtractConfig& ValueReward::config() const {
  return impl_->windows.config;
}
const Normalizer& ValueReward::normalizer() const {
  return impl_->windows.normalizer;
}
const Json& ValueReward::provenance() const {
  return impl_->windows.provenance;
}
const WindowLayout& ValueReward::layout() const {
  return impl_->windows.layout;
}
Reads ValueReward::reads() const {
  return impl_->windows.reads;
}
at::Tensor ValueReward::value(const at::Tensor& x, const at::Tensor& t) const {
  return impl_->windows.value(x, t);
}
at::Tensor ValueReward::gradient(const at::Tensor& x, const at::Tensor& t) const {
  return impl_->windows.gradient(x, t);
}
void ValueReward::score(std::span<const float> windows, std::span<float> out) const {
  impl_->windows.score(config().read_t, windows, out);
}

std::shared_ptr<ValueReward> train_value(const WindowModel& like, const WindowSource& source,
                                         const ExtractConfig& config, const std::filesystem::path& folder) {
  WindowReward windows(config, like);
  const NoisedSamples noised(source, like, config, /*paid=*/true);
  const torch::Tensor some = noised.draw(kStatisticWindows, Part::kTrain, Draw::kStatistics, 0).paid;
  const double middle = some.mean().item<double>(), deviation = some.std().item<double>();
  if (!(deviation > 0))
    throw Error(concat("value: expected windows that earn differently, found ", middle, " of all"));
  Learner value(config, make_reward_net(config, windows.shape(), Head::kScalar), *windows.net);
  const torch::Tensor weights = timestep_weights(config, like.schedule());
  train_loop("value", config, folder, [&](std::int64_t step) -> Json {
    const NoisedBatch batch =
        noised.draw(config.batch, Part::kTrain, Draw::kTraining, static_cast<std::uint64_t>(step));
    const torch::Tensor t = batch.t.to(weights.device());
    const torch::Tensor target = ((batch.paid - middle) / deviation).to(weights.device());
    const torch::Tensor x = windows.select(batch.x_t);
    return {{"loss", value.match([&](const BatchPart& part) { return value.net().forward(part(x), part(t)); },
                                 target, weights.index_select(0, t))}};
  });
  windows.provenance = {
      {"steps", config.steps}, {"seed", config.seed}, {"mean", middle}, {"deviation", deviation}};
  auto result = std::make_shared<ValueReward>(
      std::make_unique<ValueReward::Impl>(ValueReward::Impl{std::move(windows)}));
  if (!folder.empty()) result->save(folder / "reward.safetensors");
  return result;
}

}  // namespace diffreward
