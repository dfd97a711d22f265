// The relative reward of an expert over a base diffusion model (Nuti, Franzmeyer and Henriques, "Extracting
// Reward Functions from Diffusion Models", NeurIPS 2023).
//
//   rho = argmin_r  E_{t, x_t} || grad_x r(x, t) - (mu_expert(x_t, t) - mu_base(x_t, t)) / s_t ||^2
//
// with mu the posterior means, s_t the root mean square of their difference at t in the channels that rho
// reads (1 without normalize_targets), and x the base model's output mu_base(x_t, t) (the paper) or x_t
// itself. The minimiser is the L2 projection of the difference field on gradient fields: unique up to a
// constant per t, so rewards may be compared only at equal t.
//
// Units: grad rho has root mean square near 1 per model unit at every t. For exact models the difference of
// scores is (mu_expert - mu_base) sqrt(alpha_t) / beta_t, so  log p_t^expert - log p_t^base =
// nats_per_unit(t) rho + c(t)  with nats_per_unit(t) = s_t sqrt(alpha_t) / beta_t.
//
// Of models that are given their first observation (condition_probability) the first row's is given to both here,
// too; rho is then log p^expert(window | s_0) - log p^base(window | s_0) up to a constant of s_0 and t: it compares
// windows that begin alike, as steering and choosing among candidates do. What it says of s_0 itself is nobody's
// target.
//
// With expert_from = "model" the expert's x_0 are what its model samples from first observations of the base: rho is then
// matched along the whole way that a steered base goes, which neither recording covers.
//
// rho(x, t) is the mean over all windows of `window` contiguous rows of an MLP of the chosen channels and t,
// or a half U-Net over the whole sample; score() of one window is rho of a sample all of whose windows are
// that one. With net = "denoisers" rho is <x, f(x, t) - g(x, t)> of the whole sample, with f and g nets that begin as the
// two models': a field that is nearly a gradient needs little more (docs/design/0016). It is only defined where the base model has mass: see support().
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agents/diffusion/window_model.h"
#include "agents/guide.h"
#include "core/config.h"
#include "datasets/dataset.h"
#include "rewards/reward_model.h"

namespace diffreward {

class Ranks;
class WindowSource;

struct ExtractConfig {
  std::string net = "mlp";                        // mlp, unet (half U-Net) or denoisers
  int window = 1;                                 // rows per evaluation of the MLP
  std::vector<int> hidden = {64, 64};             // units of the MLP (SiLU)
  int dim = 4;                                    // base channels of the half U-Net
  std::vector<int> dim_mults = {16, 16, 32, 32};  // its channel multipliers per resolution
  std::vector<int> channels = {};    // columns of a row [action, observation] that rho reads; empty for all
  std::string gradient_at = "base";  // base: at mu_base(x_t, t) as in the paper; x_t
  bool normalize_targets = true;     // divide the difference by its root mean square at each t
  std::string t_weight = "uniform";  // loss weight over t: uniform, snr (abar / (1 - abar), at most 5)
  double expert_share = 0.5;         // share of x_0 from expert data; the rest from base data
  std::string expert_from =
      "data";  // where those come from: data, or model: sampled at the base's first observations
  double condition_probability = 0;  // share of samples whose first observation is given, as to the models
  double action_weight = 1;          // loss weight of the first row's action, as in training of models
  std::string null = "none";  // none; untrained or shuffled: a reward that knows nothing, to compare with
  std::int64_t steps = 600;   // optimiser steps
  int batch = 64;             // windows per step
  int accumulate = 1;         // parts that they are divided into, whose gradients are summed
  double lr = 3e-3;           // Adam, at first
  std::string lr_schedule = "constant";  // constant, linear or cosine: to 0 at the last step
  double weight_decay = 0;
  double held_out = 0.1;      // share of episodes for the conservativeness report
  double discount = 0.997;    // of the task's own rewards, which a value function alone reads
  int read_t = 5;             // timestep at which score() evaluates rho
  int support_points = 8192;  // base states kept for the support model
  std::uint64_t seed = 0;
  std::string device = "cpu";

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("net", self.net,
          "MLP over windows of rows, a half U-Net over the sample, or the sample's product with the "
          "difference of two denoisers, "
          "which begin as the models'",
          Choices{"mlp", "unet", "denoisers"});
    field("window", self.window, "contiguous rows per evaluation of the MLP", Bounds{1, 4096});
    field("hidden", self.hidden, "units of the MLP", Bounds{1, 65536});
    field("dim", self.dim, "base channels of the half U-Net", Bounds{1, 4096});
    field("dim_mults", self.dim_mults, "channel multipliers of the half U-Net", Bounds{1, 64});
    field("channels", self.channels, "columns of a row that are read, empty for all", Bounds{0, 65536});
    field("gradient_at", self.gradient_at, "where the reward's gradient is matched", Choices{"base", "x_t"});
    field("normalize_targets", self.normalize_targets, "divide the difference by its rms at each timestep");
    field("t_weight", self.t_weight, "loss weight over timesteps", Choices{"uniform", "snr"});
    field("expert_from", self.expert_from,
          "where samples of the expert come from: its data, or its model, from first observations of the "
          "base's data",
          Choices{"data", "model"});
    field("expert_share", self.expert_share, "share of samples from expert data", Bounds{0, 1});
    field("condition_probability", self.condition_probability,
          "share of samples whose first observation is given, as to the models", Bounds{0, 1});
    field("action_weight", self.action_weight, "loss weight of the first row's action", Bounds{0, 1e6});
    field("null", self.null,
          "a reward to compare with: a net as it was drawn, or one that learned each sample's target from "
          "another",
          Choices{"none", "untrained", "shuffled"});
    field("steps", self.steps, "optimiser steps", Bounds{1, 1e9});
    field("batch", self.batch, "windows per step", Bounds{1, 1 << 20});
    field("accumulate", self.accumulate,
          "parts that a batch is divided into, one after another or among processes", Bounds{1, 1 << 20});
    field("lr", self.lr, "learning rate of Adam, at first", Bounds{0, 1});
    field("lr_schedule", self.lr_schedule, "how it falls, to 0 at the last step",
          Choices{"constant", "linear", "cosine"});
    field("weight_decay", self.weight_decay, "AdamW's weight decay", Bounds{0, 10});
    field("held_out", self.held_out, "share of episodes held out for the report", Bounds{0.01, 0.9});
    field("discount", self.discount, "of the task's own rewards, for a value function", Bounds{0, 1});
    field("read_t", self.read_t, "timestep at which the reward is read", Bounds{0, 10000});
    field("support_points", self.support_points, "base states kept for the support model", Bounds{16, 1e7});
    field("seed", self.seed, "seed of weights, batches and noise");
    field("device", self.device, "cpu or cuda", Choices{"cpu", "cuda"});
  }
};

/// How well rho explains the difference field d = mu_expert - mu_base at one timestep, on held-out data. All
/// shares are of the energy E||d||^2 of the whole field, also where rho reads only some of its channels.
struct FieldReport {
  int t = 0;
  double difference_rms = 0;    ///< root mean square of d over the channels read, model units
  double read_share = 0;        ///< share of the channels that rho reads: no function of them explains more
  double conservativeness = 0;  ///< 1 - E||s_t grad rho - d||^2 / E||d||^2: share that rho explains
  double ceiling = 0;           ///< the same for a free vector net of equal inputs, size and training
  Json json() const;
  static FieldReport from_json(const Json& json);
};

class RelativeReward final : public RewardModel, public Guide {
 public:
  static constexpr const char* kKind = "diffreward-relative-reward-2";  // of its files
  /// Throws Error naming the file, the field, what was expected and found.
  static std::shared_ptr<RelativeReward> load(const std::filesystem::path& path,
                                              const std::string& device = "cpu");
  void save(const std::filesystem::path& path) const;
  ~RelativeReward() override;

  const ExtractConfig& config() const;
  const Normalizer& normalizer() const;                  ///< of a row, the base model's
  const WindowLayout& sample_layout() const;             ///< of the diffusion models' windows
  const std::vector<FieldReport>& field_report() const;  ///< ten timesteps spread over the chain
  int timesteps() const;
  double unit(int t) const;            ///< s_t: mu_expert - mu_base, model units, per unit of grad rho
  double difference_rms(int t) const;  ///< rms of mu_expert - mu_base in the channels read, model units
  double nats_per_unit(int t) const;   ///< log density ratio per unit of rho
  Json& provenance();
  const Json& provenance() const;

  // Guide: over whole samples in model units, [n, rows, width]. An MLP guides samples of any number of rows,
  // as the sum over their windows, so that a reward of short windows can steer a model of long ones.
  at::Tensor value(const at::Tensor& x, const at::Tensor& t) const override;
  at::Tensor gradient(const at::Tensor& x, const at::Tensor& t) const override;

  // RewardModel: over windows of layout().horizon = config().window rows (half U-Net: the whole sample).
  const WindowLayout& layout() const override;
  Reads reads() const override;
  /// rho at read_t; inputs are clipped to the normaliser's range when it is "limits".
  void score(std::span<const float> windows, std::span<float> out) const override;
  /// The same at another timestep.
  void score_at(int t, std::span<const float> windows, std::span<float> out) const;
  /// How typical each window is of the base data, a conformal p-value in (0, 1]: the share of held-out base
  /// windows whose least typical row lies at least as far from the kept base rows
  /// (rewards/relative/support.h).
  void support(std::span<const float> windows, std::span<float> out) const;
  /// Of rho (at read_t) on base data, for readings: mean, deviation, 99 % quantile, and log of the mean of
  /// exp(nats_per_unit rho), which 1 would be of a density ratio.
  struct BaseStatistics {
    double mean = 0, deviation = 1, q99 = 0, log_mean_exp = 0;
  };
  const BaseStatistics& base_statistics() const;
  /// Shares of the time that each side spends fallen, were every episode to last until its limit (half a step each way, so
  /// that neither is 0 or 1); nothing where the data told no limit.
  struct Fallen {
    double expert = 0, base = 0;
  };
  const std::optional<Fallen>& fallen() const;

  struct Impl;
  explicit RelativeReward(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

/// nats_per_unit(t) rho, the estimate of log p_t^expert - log p_t^base up to a constant per t, as a guide
/// (rewards/guides.h). The reward's own gradient has the same length at every t.
std::shared_ptr<const Guide> log_ratio_guide(std::shared_ptr<const RelativeReward> reward);

/// Extracts the relative reward. `expert_data` and `base_data` supply x_0 (their windows, cut as the models'
/// were) and are split by episode. With `folder` it writes metrics.jsonl and reward.safetensors there. Throws
/// InvalidArgument naming the first of layout, schedule and normaliser in which the models differ, or the
/// data set whose columns do not fit; Error naming the step at which the loss was not finite.
std::shared_ptr<RelativeReward> extract(const WindowModel& expert, const WindowModel& base,
                                        const Dataset& expert_data, const Dataset& base_data,
                                        const ExtractConfig& config = {},
                                        const std::filesystem::path& folder = {});
/// The same from windows drawn anywhere (rewards/relative/sample_source.h). `ranks`: this process is one of several that
/// train together, of which the first alone may have a folder; the reward does not depend on how many they are. Throws
/// LostRank where another one is gone.
std::shared_ptr<RelativeReward> extract(const WindowModel& expert, const WindowModel& base,
                                        const WindowSource& source, const ExtractConfig& config = {},
                                        const std::filesystem::path& folder = {}, Ranks* ranks = nullptr);

}  // namespace diffreward
