#include "rewards/discriminator/discriminator.h"

#include <torch/torch.h>

#include <utility>

#include "rewards/relative/learner_torch.h"
#include "rewards/relative/noised_samples_torch.h"
#include "rewards/relative/window_reward_torch.h"

namespace diffreward {
struct Discriminator::Impl {
  WindowReward windows;
};

Discriminator::Discriminator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Discriminator::~Discriminator() = default;

std::shared_ptr<Discriminator> Discriminator::load(const std::filesystem::path& path,
                                                   const std::string& device) {
  const Safetensors file = Safetensors::open(path);
  return std::make_shared<Discriminator>(
      std::make_unique<Impl>(Impl{WindowReward(file, path, kKind, device)}));
}

void Discriminator::save(const std::filesystem::path& path) const {
  NamedTensors tensors;
  std::map<std::string, std::string> metadata;
  impl_->windows.add_to(tensors, metadata, kKind);
  save_tensors(path, tensors, metadata);
}

const ExtractConfig& Discriminator::config() const {
  return impl_->windows.config;
}
const Normalizer& Discriminator::normalizer() const {
  return impl_->windows.normalizer;
}
Json& Discriminator::provenance() {
  return impl_->windows.provenance;
}
const Json& Discriminator::provenance() const {
  return impl_->windows.provenance;
}
const WindowLayout& Discriminator::layout() const {
  return impl_->windows.layout;
}
Reads Discriminator::reads() const {
  return impl_->windows.reads;
}

at::Tensor Discriminator::value(const at::Tensor& x, const at::Tensor& t) const {
  return impl_->windows.value(x, t);
}
at::Tensor Discriminator::gradient(const at::Tensor& x, const at::Tensor& t) const {
  return impl_->windows.gradient(x, t);
}
void Discriminator::score(std::span<const float> windows, std::span<float> out) const {
  impl_->windows.score(config().read_t, windows, out);
}
void Discriminator::score_at(int t, std::span<const float> windows, std::span<float> out) const {
  impl_->windows.score(t, windows, out);
}

std::shared_ptr<Discriminator> train_discriminator(const WindowModel& like, const WindowSource& source,
                                                   const ExtractConfig& config,
                                                   const std::filesystem::path& folder) {
  WindowReward windows(config, like);
  const NoisedSamples noised(source, like, config);
  Learner logit(config, make_reward_net(config, windows.shape(), Head::kScalar), *windows.net);
  const torch::Tensor weights = timestep_weights(config, like.schedule());
  require(config.null != "untrained", "null: expected none or shuffled labels for a discriminator, got ",
          config.null);
  train_loop("discriminate", config, folder, [&](std::int64_t step) -> Json {
    const NoisedBatch batch =
        noised.draw(config.batch, Part::kTrain, Draw::kTraining, static_cast<std::uint64_t>(step));
    const torch::Tensor t = batch.t.to(weights.device());
    torch::Tensor label = batch.from_expert.to(weights.device());
    if (config.null == "shuffled")
      label = label.index_select(
          0, shuffled_order(label.size(0), config, static_cast<std::uint64_t>(step)).to(label.device()));
    const torch::Tensor output = logit.net().forward(windows.select(batch.x_t), t);
    return {{"loss",
             logit.step(torch::binary_cross_entropy_with_logits(output, label, weights.index_select(0, t)))}};
  });
  auto result = std::make_shared<Discriminator>(
      std::make_unique<Discriminator::Impl>(Discriminator::Impl{std::move(windows)}));
  if (!folder.empty()) result->save(folder / "reward.safetensors");
  return result;
}

std::shared_ptr<Discriminator> train_discriminator(const WindowModel& like, const Dataset& expert_data,
                                                   const Dataset& base_data, const ExtractConfig& config,
                                                   const std::filesystem::path& folder) {
  validate(config);
  const auto source =
      windows_of(expert_data, base_data, like.layout(), like.normalizer(), config.held_out, config.seed);
  return train_discriminator(like, *source, config, folder);
}

}  // namespace diffreward
