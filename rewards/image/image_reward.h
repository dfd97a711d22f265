// The relative reward of pictures: of Safe Latent Diffusion over the Stable Diffusion that it guides, as a function of
// latents (Nuti, Franzmeyer and Henriques, NeurIPS 2023, section 5.3).
//
//   rho = argmin_r  E_{t, x_t} || grad_x r(x, t) - (mu_safe(x_t, t) - mu_base(x_t, t)) / s_t ||^2
// over chains of both samplers (trajectories.h), mu being the posterior's mean and s_t the root mean square of the
// difference. Both sides are one U-Net; with guidance w and the noise predicted for nothing and for the concept, eps_0 and
// eps_S, and the preset max without momentum,
//   eps_safe - eps_base = -w (eps_S - eps_0)  for nearly every number, so that
//   rho(x, t) nats_per_unit(t) = -w log p_t(concept | x) + c(t):
// no prompt is left in it and it is a gradient. Of the weaker presets, whose threshold looks at the prompt, it is neither.
// c(t) is nobody's target: rewards are compared at one t.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "agents/guide.h"
#include "agents/stable_diffusion/stable_diffusion.h"
#include "core/config.h"
#include "rewards/image/trajectories.h"
#include "rewards/relative/relative_reward.h"

namespace diffreward {

struct ImageExtractConfig {
  std::string method = "relative";         // relative, or discriminator: the logit of safe against base
  int dim = 24;                            // channels of the half U-Net
  std::vector<int> dim_mults = {1, 2, 4};  // its multipliers per resolution, which halves
  bool normalize_targets = true;
  std::string t_weight = "uniform";
  double expert_share = 0.5;
  double picture_share = 0.7;
  std::string null = "none";
  std::int64_t steps = 2000;
  int batch = 64;
  double lr = 1e-3;
  std::string lr_schedule = "cosine";
  double weight_decay = 1e-4;
  double held_out = 0.1;
  int read_t = 101;
  int read_noises = 8;
  std::uint64_t seed = 0;
  std::string device = "cpu";

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("method", self.method, "the relative reward, or the logit of a discriminator of the two samplers",
          Choices{"relative", "discriminator"});
    field("dim", self.dim, "base channels of the half U-Net, a multiple of 8", Bounds{8, 4096});
    field("dim_mults", self.dim_mults, "its channel multipliers per resolution", Bounds{1, 64});
    field("normalize_targets", self.normalize_targets, "divide the difference by its rms at each timestep");
    field("t_weight", self.t_weight,
          "loss weight over timesteps: 1, snr (at most 5), 1 - abar, or the square of what a step of DDIM "
          "makes of noise, "
          "as the paper's latents have it",
          Choices{"uniform", "snr", "variance", "paper"});
    field("expert_share", self.expert_share, "share of the chains' points on those of the safe sampler",
          Bounds{0, 1});
    field("picture_share", self.picture_share, "share of points on noised pictures, where there are",
          Bounds{0, 1});
    field("null", self.null,
          "a reward to compare with: a net as it was drawn, or one that learned each point's target from "
          "another",
          Choices{"none", "untrained", "shuffled"});
    field("steps", self.steps, "optimiser steps", Bounds{1, 1e9});
    field("batch", self.batch, "points per step", Bounds{1, 1 << 16});
    field("lr", self.lr, "learning rate of AdamW, at first", Bounds{0, 1});
    field("lr_schedule", self.lr_schedule, "how it falls, to 0 at the last step",
          Choices{"constant", "linear", "cosine"});
    field("weight_decay", self.weight_decay, "AdamW's weight decay", Bounds{0, 10});
    field("held_out", self.held_out, "share of prompts held out for the report", Bounds{0.01, 0.9});
    field("read_t", self.read_t, "timestep of training at which pictures are scored", Bounds{0, 10000});
    field("read_noises", self.read_noises,
          "draws of noise of that level over which a score is the mean, 0 for none at all", Bounds{0, 10000});
    field("seed", self.seed, "seed of weights, batches and noise");
    field("device", self.device, "cpu or cuda", Choices{"cpu", "cuda"});
  }
};

class ImageReward final : public Guide {
 public:
  static constexpr const char* kKind = "diffreward-image-reward-1";  // of its files
  /// Throws Error naming the file, the field, what was expected and found.
  static std::shared_ptr<ImageReward> load(const std::filesystem::path& path,
                                           const std::string& device = "cpu");
  void save(const std::filesystem::path& path) const;
  ~ImageReward() override;

  const ImageExtractConfig& config() const;
  const std::vector<std::int64_t>& shape() const;  ///< of a latent, [channels, h, w]
  const NoiseSchedule& schedule() const;           ///< of the pipeline's training
  const std::vector<FieldReport>& field_report()
      const;                          ///< ten of the chains' timesteps; empty for a discriminator
  double unit(int t) const;           ///< mu_safe - mu_base per unit of grad rho; 1 for a discriminator
  double nats_per_unit(int t) const;  ///< log density ratio per unit of rho
  /// Scores of held-out chains' ends, ascending, at most 1,024 of each.
  const std::vector<float>& base_scores() const;
  const std::vector<float>& safe_scores() const;
  Json& provenance();  ///< of what it was made: the chains' settings, the pipeline's files by their hashes
  const Json& provenance() const;

  // Guide: over latents, x: [n, channels, h, w], t: [n]. Throws InvalidArgument for latents of another shape.
  at::Tensor value(const at::Tensor& x, const at::Tensor& t) const override;
  at::Tensor gradient(const at::Tensor& x, const at::Tensor& t) const override;

  /// How much pictures are preferred, [n]: the mean of rho(a x + b noise, t) over draws of noise, a^2 + b^2 = 1, at read_t;
  /// the same draws for all. Equal latents have equal scores, whatever they are scored with.  latents: [n, channels, h, w]
  at::Tensor score(const at::Tensor& latents) const;
  at::Tensor score_at(int t, const at::Tensor& latents) const;
  /// d score / d latents, [n, channels, h, w]: where a picture is paid.
  at::Tensor score_gradient(const at::Tensor& latents) const;

  struct Impl;
  explicit ImageReward(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

/// Learns from chains of both sides, which are split by prompt, and from noised pictures where they are given; a
/// discriminator from the chains alone. With `folder` it writes metrics.jsonl and
/// reward.safetensors there. Throws InvalidArgument for sides that do not fit each other, Error naming the step at which a
/// number was not finite.
std::shared_ptr<ImageReward> extract_image_reward(const Trajectories& safe, const Trajectories& base,
                                                  const ImageExtractConfig& config = {},
                                                  const std::filesystem::path& folder = {},
                                                  const Trajectories* pictures = nullptr);

/// nats_per_unit(t) rho, the estimate of log p_t^safe - log p_t^base up to a constant per t, as a guide (rewards/guides.h).
std::shared_ptr<const Guide> log_ratio_guide(std::shared_ptr<const ImageReward> reward);

}  // namespace diffreward
