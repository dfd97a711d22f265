// extract_image_reward(): gradient matching on recorded chains.
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "agents/device.h"
#include "core/error.h"
#include "datasets/windows.h"
#include "rewards/image/image_reward_torch.h"
#include "rewards/relative/gradient_matching_torch.h"
#include "rewards/relative/learner_torch.h"

namespace diffreward {
namespace {

constexpr std::int64_t kKeptScores = 1024;

/// Points on recorded chains: mu_safe - mu_base = -c0_t sqrt(1 - abar_t) / sqrt(abar_t) (eps_safe - eps_base).
class RecordedField final : public DifferenceField {
 public:
  RecordedField(const Trajectories& safe, const Trajectories& base, const Trajectories* pictures,
                double picture_share, const ExtractConfig& config)
      : safe_(safe),
        base_(base),
        pictures_(pictures),
        picture_share_(pictures != nullptr ? picture_share : 0),
        config_(config),
        device_(config.device) {
    std::vector<int> all = base.timesteps();
    std::ranges::sort(all);
    all.erase(std::unique(all.begin(), all.end()), all.end());
    timesteps_ = std::move(all);
    const NoiseSchedule& chain = base.schedule();
    for (std::size_t t = 0; t < static_cast<std::size_t>(chain.timesteps); ++t)
      mean_of_noise_.push_back(-chain.posterior_x0[t] *
                               std::sqrt((1 - chain.alpha_bar[t]) / chain.alpha_bar[t]));
    // One prompt is on the same side of the split wherever it stands.
    std::vector<std::string> texts = base.prompts();
    texts.insert(texts.end(), safe.prompts().begin(), safe.prompts().end());
    std::ranges::sort(texts);
    texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
    require(texts.size() > 1, "prompts: expected at least 2, of which some are held out, found ",
            texts.size());
    const Split split = split_at_random(texts.size(), config.held_out, config.seed);
    for (const Side side : {Side::kExpert, Side::kBase}) {
      const Trajectories& from = chains(side);
      for (std::int64_t i = 0; i < from.count(); ++i) {
        const std::string& prompt = from.prompts()[static_cast<std::size_t>(i)];
        const auto number = static_cast<std::size_t>(std::ranges::lower_bound(texts, prompt) - texts.begin());
        rows(side, std::ranges::binary_search(split.test, number) ? Part::kHeldOut : Part::kTrain)
            .push_back(i);
      }
      for (const Part part : {Part::kTrain, Part::kHeldOut})
        require(!rows(side, part).empty(),
                "prompts: expected chains of both sides in each part of the split, found none ",
                part == Part::kTrain ? "to train on" : "held out", " of ", from.follows());
    }
    if (pictures_ == nullptr) return;
    require(pictures_->count() > 1, "pictures: expected at least 2, of which some are held out, found ",
            pictures_->count());
    const Split of =
        split_at_random(static_cast<std::size_t>(pictures_->count()), config.held_out, config.seed);
    of_pictures_[0].assign(of.train.begin(), of.train.end());
    of_pictures_[1].assign(of.test.begin(), of.test.end());
  }

  const NoiseSchedule& schedule() const override { return base_.schedule(); }
  std::vector<int> timesteps() const override { return timesteps_; }

  FieldPoints draw(int n, Part part, Draw stream, std::uint64_t index, std::optional<int> t) const override {
    return drawn(n, part, stream, index, t, static_cast<int>(std::lround(n * picture_share_))).first;
  }
  /// Of chains alone, and [n] 1 for points on those of the safe sampler.
  std::pair<FieldPoints, torch::Tensor> labelled(int n, Part part, Draw stream, std::uint64_t index) const {
    return drawn(n, part, stream, index, {}, 0);
  }

  std::vector<std::int64_t> held_out(Side side) const { return rows_[side == Side::kBase][1]; }

 private:
  /// The first `noised` points are of pictures.
  std::pair<FieldPoints, torch::Tensor> drawn(int n, Part part, Draw stream, std::uint64_t index,
                                              std::optional<int> fixed, int noised) const {
    Rng rng(Streams(Purpose::kExtraction, config_.seed, static_cast<std::uint64_t>(stream))[index]);
    std::vector<torch::Tensor> x, difference;
    std::vector<std::int64_t> t;
    std::vector<float> label;
    const std::vector<int>& steps = base_.timesteps();
    for (int i = 0; i < n; ++i) {
      const int k = i - noised;
      const bool safe = k >= 0 && std::floor((k + 1) * config_.expert_share + 1e-9) >
                                      std::floor(k * config_.expert_share + 1e-9);
      const Side side = safe ? Side::kExpert : Side::kBase;
      const Trajectories& from = k < 0 ? *pictures_ : chains(side);
      const std::vector<std::int64_t>& of = k < 0 ? of_pictures_[part == Part::kHeldOut] : rows(side, part);
      const std::int64_t chain = of[rng.below(of.size())];
      auto step = static_cast<std::int64_t>(rng.below(steps.size()));
      if (fixed) step = std::ranges::find(steps, *fixed) - steps.begin();
      const int at = steps.at(static_cast<std::size_t>(step));
      x.push_back(from.x(chain, step));
      difference.push_back(from.difference(chain, step) * mean_of_noise_[static_cast<std::size_t>(at)]);
      t.push_back(at);
      label.push_back(safe ? 1.0f : 0.0f);
    }
    return {{torch::stack(x).to(device_),
             torch::tensor(t, torch::kLong).to(device_),
             torch::stack(difference).to(device_),
             {}},
            torch::tensor(label).to(device_)};
  }

  const Trajectories& chains(Side side) const { return side == Side::kExpert ? safe_ : base_; }
  const std::vector<std::int64_t>& rows(Side side, Part part) const {
    return rows_[side == Side::kBase][part == Part::kHeldOut];
  }
  std::vector<std::int64_t>& rows(Side side, Part part) {
    return rows_[side == Side::kBase][part == Part::kHeldOut];
  }

  const Trajectories &safe_, &base_;
  const Trajectories* pictures_;
  double picture_share_;
  const ExtractConfig& config_;
  torch::Device device_;
  std::vector<int> timesteps_;
  std::vector<double> mean_of_noise_;     // [timesteps]
  std::vector<std::int64_t> rows_[2][2];  // chains by side and part
  std::vector<std::int64_t> of_pictures_[2];
};

ExtractConfig matching_config(const ImageExtractConfig& config) {
  ExtractConfig out;
  out.gradient_at = "x_t";
  out.normalize_targets = config.normalize_targets;
  out.t_weight = config.t_weight;
  out.expert_share = config.expert_share;
  out.null = config.null;
  out.steps = config.steps;
  out.batch = config.batch;
  out.lr = config.lr;
  out.lr_schedule = config.lr_schedule;
  out.weight_decay = config.weight_decay;
  out.held_out = config.held_out;
  out.seed = config.seed;
  out.device = config.device;
  return out;
}

void check_sides(const Trajectories& safe, const Trajectories& base, const Trajectories* pictures) {
  require(safe.follows() == "safe", "safe: expected chains that follow safe, found ", safe.follows());
  require(base.follows() == "base", "base: expected chains that follow base, found ", base.follows());
  require(pictures == nullptr || pictures->follows() == "pictures",
          "pictures: expected noised pictures, found chains that follow ",
          pictures == nullptr ? "" : pictures->follows());
  for (const Trajectories* other : {&safe, pictures}) {
    if (other == nullptr) continue;
    const auto same = [&](const char* name, const auto& of_base, const auto& found) {
      require(of_base == found, other->follows(), ": ", name,
              ": expected those of the base's chains, found others");
    };
    same("settings", base.settings(), other->settings());
    same("latents", base.shape(), other->shape());
    same("timesteps", base.timesteps(), other->timesteps());
    same("schedule", base.schedule(), other->schedule());
  }
}

void discriminate(const RecordedField& field, const ExtractConfig& config, Learner& logit,
                  const std::filesystem::path& folder) {
  require(config.null != "untrained", "null: expected none or shuffled labels for a discriminator, got ",
          config.null);
  const torch::Tensor weights = timestep_weights(config, field.schedule());
  train_loop("discriminate", config, folder, [&](std::int64_t step) -> Json {
    const auto index = static_cast<std::uint64_t>(step);
    auto [points, label] = field.labelled(config.batch, Part::kTrain, Draw::kTraining, index);
    if (config.null == "shuffled")
      label = label.index_select(0, shuffled_order(label.size(0), config, index).to(label.device()));
    const torch::Tensor output = logit.net().forward(points.x, points.t);
    return {{"loss", logit.step(torch::binary_cross_entropy_with_logits(output, label,
                                                                        weights.index_select(0, points.t)))}};
  });
}

std::vector<float> scores_of(const ImageReward& reward, const Trajectories& chains,
                             std::vector<std::int64_t> rows) {
  if (static_cast<std::int64_t>(rows.size()) > kKeptScores) rows.resize(kKeptScores);
  const torch::Tensor scores =
      reward.score(chains.latents().index_select(0, torch::tensor(rows, torch::kLong))).contiguous();
  std::vector<float> out(scores.data_ptr<float>(), scores.data_ptr<float>() + scores.numel());
  std::ranges::sort(out);
  return out;
}

}  // namespace

std::shared_ptr<ImageReward> extract_image_reward(const Trajectories& safe, const Trajectories& base,
                                                  const ImageExtractConfig& config,
                                                  const std::filesystem::path& folder,
                                                  const Trajectories* pictures) {
  validate(config);
  check_device(config.device);
  check_sides(safe, base, pictures);
  const ExtractConfig matching = matching_config(config);
  const RecordedField field(safe, base, pictures, config.picture_share, matching);
  auto impl = std::make_unique<ImageReward::Impl>(config, base.shape(), base.schedule(),
                                                  initial_parameters(matching));
  const auto make = [&](Head head) { return impl->make(head, initial_parameters(matching)); };
  if (config.method == "discriminator") {
    Learner logit(matching, make(Head::kScalar), *impl->net);
    discriminate(field, matching, logit, folder);
    impl->difference_rms.assign(static_cast<std::size_t>(base.schedule().timesteps), 1.0);
  } else {
    GradientMatching match(field, matching,
                           {.make = [&](Head head, std::span<const double>) { return make(head); },
                            .select = [](const torch::Tensor& x) { return x; },
                            .rho = impl->net.get()});
    match.run(folder);
    impl->difference_rms = match.difference_rms();
    impl->report = match.report();
  }
  impl->provenance = {{"steps", config.steps}, {"seed", config.seed}, {"pair", base.settings()}};
  ImageReward::Impl& inside = *impl;
  auto reward = std::make_shared<ImageReward>(std::move(impl));
  inside.base_scores = scores_of(*reward, base, field.held_out(Side::kBase));
  inside.safe_scores = scores_of(*reward, safe, field.held_out(Side::kExpert));
  if (!folder.empty()) reward->save(folder / "reward.safetensors");
  return reward;
}

}  // namespace diffreward
