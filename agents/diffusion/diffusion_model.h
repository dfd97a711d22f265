// Diffusion models over windows of behaviour (Janner et al. 2022, "Planning with Diffusion for Flexible
// Behavior Synthesis"; Ho et al. 2020). One class: net, prediction type, schedule and sampler are settings,
// not subclasses.
//
// Windows are [horizon, width] with rows [action, observation] (datasets/windows.h), in model units
// (normalised). Tensors are float32 on the model's device. t counts noise levels 0 ... T - 1, from least to
// most noise.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "agents/diffusion/window_model.h"
#include "core/config.h"
#include "datasets/dataset.h"

namespace diffreward {

class Ranks;

struct DiffusionConfig {
  // the sample
  int horizon = 16;                   // rows of a window
  int stride = 8;                     // environment steps between rows
  bool actions = true;                // rows hold actions too
  std::string normalizer = "limits";  // limits or gaussian
  // the process
  int timesteps = 100;              // noise levels T
  std::string schedule = "cosine";  // cosine or linear
  std::string prediction = "x0";    // what the net outputs: x0, epsilon or v
  // the denoiser
  std::string net = "mlp";                    // mlp or unet
  int dim = 256;                              // width: hidden units (mlp) or base channels (unet)
  int layers = 3;                             // residual blocks (mlp)
  std::vector<int> dim_mults = {1, 2, 4, 8};  // channel multipliers per resolution (unet)
  bool attention = false;                     // linear attention after each resolution (unet)

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("horizon", self.horizon, "rows of a window", Bounds{1, 4096});
    field("stride", self.stride, "environment steps between rows", Bounds{1, 4096});
    field("actions", self.actions, "rows hold actions too");
    field("normalizer", self.normalizer, "data to model units", Choices{"limits", "gaussian"});
    field("timesteps", self.timesteps, "noise levels", Bounds{2, NoiseSchedule::kMostTimesteps});
    field("schedule", self.schedule, "noise schedule", Choices{"cosine", "linear"});
    field("prediction", self.prediction, "what the net outputs", Choices{"x0", "epsilon", "v"});
    field("net", self.net, "residual MLP, or Diffuser's Temporal U-Net", Choices{"mlp", "unet"});
    field("dim", self.dim, "hidden units (mlp) or base channels (unet)", Bounds{8, 4096});
    field("layers", self.layers, "residual blocks (mlp)", Bounds{1, 64});
    field("dim_mults", self.dim_mults, "channel multipliers per resolution (unet)", Bounds{1, 64});
    field("attention", self.attention, "linear attention after each resolution (unet)");
  }
};

struct DiffusionTrainConfig {
  std::int64_t steps = 3000;             // optimiser steps
  int batch = 128;                       // windows per step
  int accumulate = 1;                    // parts that they are divided into, whose gradients are summed
  double lr = 1e-3;                      // AdamW, at first
  std::string lr_schedule = "constant";  // constant, linear or cosine: to 0 at the last step
  double weight_decay = 1e-4;
  double ema = 0.995;                // decay of the averaged weights, which are the ones used and saved
  double condition_probability = 0;  // share of samples whose first observation is given (in-painted), [0, 1]
  double action_weight = 1;          // loss weight of the first row's action
  double loss_discount = 1;          // loss weight of row k is loss_discount^k
  double gradient_clip = 1;          // largest gradient norm; 0 for none
  bool pad = false;                  // windows may run past the end of an episode (datasets/windows.h)
  double held_out = 0.1;             // share of episodes kept for the held-out loss
  std::int64_t checkpoint_every = 500;  // steps; 0 for never
  std::int64_t log_every = 100;         // steps
  std::uint64_t seed = 0;
  std::string device = "cpu";  // cpu or cuda

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("steps", self.steps, "optimiser steps", Bounds{1, 1e9});
    field("batch", self.batch, "windows per step", Bounds{1, 1 << 20});
    field("accumulate", self.accumulate,
          "parts that a batch is divided into, one after another or among processes: more of them need less "
          "memory",
          Bounds{1, 1 << 20});
    field("lr", self.lr, "learning rate of AdamW, at first", Bounds{0, 1});
    field("lr_schedule", self.lr_schedule, "how it falls, to 0 at the last step",
          Choices{"constant", "linear", "cosine"});
    field("weight_decay", self.weight_decay, "AdamW's weight decay", Bounds{0, 10});
    field("ema", self.ema, "decay of the averaged weights", Bounds{0, 1});
    field("condition_probability", self.condition_probability,
          "share of samples given their first observation", Bounds{0, 1});
    field("action_weight", self.action_weight, "loss weight of the first row's action", Bounds{0, 1e6});
    field("loss_discount", self.loss_discount, "loss weight of row k is this to the power k", Bounds{0, 1});
    field("gradient_clip", self.gradient_clip, "largest gradient norm, 0 for none", Bounds{0, 1e9});
    field("pad", self.pad, "windows may run past the end of an episode");
    field("held_out", self.held_out, "share of episodes kept for the held-out loss", Bounds{0, 0.9});
    field("checkpoint_every", self.checkpoint_every, "steps between checkpoints, 0 for none", Bounds{0, 1e9});
    field("log_every", self.log_every, "steps between metric lines", Bounds{1, 1e9});
    field("seed", self.seed, "seed of weights, batches and noise");
    field("device", self.device, "cpu or cuda", Choices{"cpu", "cuda"});
  }
};

class DiffusionModel final : public WindowModel {
 public:
  static constexpr const char* kKind = "diffreward-diffusion-1";  // of its files
  /// A model with fresh weights.
  DiffusionModel(DiffusionConfig config, WindowLayout layout, Normalizer normalizer, std::uint64_t seed,
                 const std::string& device = "cpu");
  /// Reads a checkpoint (.safetensors). Throws Error naming the file, the field, what was expected and found.
  static DiffusionModel load(const std::filesystem::path& path, const std::string& device = "cpu");
  /// Writes weights, config, normaliser and provenance, atomically.
  void save(const std::filesystem::path& path) const;
  /// Replaces the weights by those of a bare safetensors file, e.g. the state dict of Diffuser's
  /// TemporalUnet. Throws Error naming the file and the tensor that is missing, left over, or of another
  /// shape; the model is then unchanged.
  void load_weights(const std::filesystem::path& path);

  DiffusionModel(DiffusionModel&&) noexcept;
  DiffusionModel& operator=(DiffusionModel&&) noexcept;
  ~DiffusionModel() override;
  /// An independent copy of weights and settings, e.g. to fine-tune.
  DiffusionModel clone() const;

  const DiffusionConfig& config() const;
  const WindowLayout& layout() const override;
  const Normalizer& normalizer() const override;
  const NoiseSchedule& schedule() const override;
  const std::string& device() const override;
  std::int64_t parameters() const;  ///< number of weights
  Json& provenance();               ///< free-form: data set, commit, seeds; saved with the weights
  const Json& provenance() const;

  /// E[x_0 | x_t] whatever the prediction type.
  at::Tensor predict_x0(const at::Tensor& x_t, const at::Tensor& t) const override;

  struct Impl;
  Impl& impl() { return *impl_; }
  const Impl& impl() const { return *impl_; }

 private:
  explicit DiffusionModel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Trains a model on windows of `data`. With `folder` it writes checkpoints, metrics.jsonl and the final
/// model.safetensors there, and resumes exactly from the latest checkpoint if one is present. `start`:
/// fine-tune from this model (an expert from a base); the normaliser is then the base's, as it must be for a
/// reward. `ranks`: this process is one of several that train together, of which the first alone may have a folder; the
/// weights do not depend on how many they are. Throws Error when the loss is not finite or diverges, naming the step and
/// the last good checkpoint, and LostRank where another process is gone, after the first has written a checkpoint.
DiffusionModel train_diffusion(const Dataset& data, const DiffusionConfig& config,
                               const DiffusionTrainConfig& train, const std::filesystem::path& folder = {},
                               const DiffusionModel* start = nullptr, Ranks* ranks = nullptr);

}  // namespace diffreward
