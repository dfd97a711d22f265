// Stable Diffusion 1.x (Rombach et al. 2022) from a folder in diffusers' layout: text encoder, U-Net, autoencoder,
// scheduler. Samples by classifier-free guidance (Ho and Salimans 2022) or Safe Latent Diffusion
// (safe_latent_diffusion.h), and shows what happened at every step.
//
// Latents are [n, channels, height / factor, width / factor] in the units of the U-Net, images [n, 3, height, width] in
// [0, 1], texts [n, length, width]; all on the model's device and of its type. Equal arguments give equal numbers, those
// of Python's diffusers up to rounding.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agents/diffusion/schedule.h"
#include "agents/stable_diffusion/safe_latent_diffusion.h"
#include "agents/tensor.h"
#include "core/config.h"

namespace diffreward {

class Guide;

struct ImageSampleConfig {
  int steps = 50;
  double guidance_scale = 7.5;       // at most 1: the prompt alone, without safety
  std::string scheduler = "folder";  // the folder's own, or another one with its settings
  SafetyConfig safety;
  std::string follow = "safe";  // which branch a chain follows where safety is on
  bool pair = false;            // take both branches of every step from the same latents
  std::string negative_prompt;  // in the place of nothing
  int width = 0, height = 0;    // pixels; 0: the U-Net's own size
  std::uint64_t seed = 0;       // of the noise, PyTorch's numbers
  bool seed_each = false;       // sample i has the noise of seed + i, whatever it is sampled with
  double guide_scale = 1;    // of a guide, a log density ratio: 1 makes the base the expert that it tells of
  int stop_guide_below = 0;  // no guide at timesteps of training below this

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("steps", self.steps, "denoising steps", Bounds{1, 10000});
    field("guidance_scale", self.guidance_scale,
          "strength of the prompt; at most 1: the prompt alone, without safety", Bounds{0, 1000});
    field("scheduler", self.scheduler, "the folder's own, or another one with its settings",
          Choices{"folder", "ddim", "pndm", "dpm_solver", "euler"});
    field("safety", self.safety, "Safe Latent Diffusion");
    field("follow", self.follow, "the branch that a chain follows where safety is on",
          Choices{"safe", "base"});
    field("pair", self.pair, "take both branches of every step from the same latents");
    field("negative_prompt", self.negative_prompt, "in the place of nothing");
    field("width", self.width, "pixels, 0 for the model's own", Bounds{0, 8192});
    field("height", self.height, "pixels, 0 for the model's own", Bounds{0, 8192});
    field("seed", self.seed, "seed of the noise");
    field("seed_each", self.seed_each, "sample i has the noise of seed + i, whatever it is sampled with");
    field("guide_scale", self.guide_scale, "strength of a reward that steers", Bounds{-1e6, 1e6});
    field("stop_guide_below", self.stop_guide_below, "no steering at timesteps of training below this",
          Bounds{0, 10000});
  }
};

/// One call of the scheduler, shown while it lasts. Undefined tensors: not computed. All shaped as the latents.
struct DenoisingStep {
  int index, count;  ///< 0 ... count - 1; pndm has a step more than asked for
  double timestep;
  const at::Tensor &eps_nothing, &eps_prompt, &eps_unsafe;  ///< the U-Net's predictions
  const at::Tensor &gamma, &nu;                             ///< of Safe Latent Diffusion, nu after the step
  const at::Tensor &eps_base, &eps_safe;                    ///< guided, without and with safety
  const at::Tensor &before, &after;                         ///< latents of the chain
  const at::Tensor &after_base, &after_safe;  ///< of both branches, with `pair`; the chain's is one of them
};

class StableDiffusion {
 public:
  using OnStep = std::function<void(const DenoisingStep&)>;

  /// Reads a folder. `type`: float32, bfloat16, float16 or float64; on the CPU, weights that are of that type in their
  /// files stay there, mapped. Throws Error naming the file, what was expected and what was found; nothing that is
  /// pickled is read. Writes a line to standard error for every key of a config that it does not know.
  static StableDiffusion load(const std::filesystem::path& folder, const std::string& device = "cpu",
                              const std::string& type = "float32");
  StableDiffusion(StableDiffusion&&) noexcept;
  StableDiffusion& operator=(StableDiffusion&&) noexcept;
  ~StableDiffusion();

  /// Latents, one for each prompt. A guide in nats (rewards/image/image_reward.h) moves what a chain follows, as a term of the
  /// score would (Dhariwal and Nichol 2021): eps <- eps - guide_scale sqrt(1 - abar_t) grad guide(x_t, t). Throws
  /// InvalidArgument for settings out of range, Interrupted.
  at::Tensor sample(const std::vector<std::string>& prompts, const ImageSampleConfig& config,
                    const OnStep& on_step = {}, const Guide* guide = nullptr) const;
  /// The same for texts that are embedded already, each [n or 1, length, width]; `nothing` and `unsafe` may be undefined
  /// where they are not needed. `noise`: the first latents over the scheduler's init_noise_sigma; undefined: the seed's.
  at::Tensor sample_embedded(const at::Tensor& nothing, const at::Tensor& prompt, const at::Tensor& unsafe,
                             const ImageSampleConfig& config, const OnStep& on_step, const at::Tensor& noise,
                             const Guide* guide = nullptr) const;
  /// Noise of a seed, as PyTorch's randn() draws it on the CPU with a generator of this seed.
  at::Tensor noise(int count, const ImageSampleConfig& config) const;

  /// What the U-Net attends to.
  at::Tensor embed(const std::vector<std::string>& texts) const;
  at::Tensor embed_ids(const at::Tensor& ids) const;  // [n, length] int64
  /// The U-Net's prediction, differentiable in the latents where gradients are enabled.  t: [n] or [1]
  at::Tensor eps(const at::Tensor& latents, const at::Tensor& t, const at::Tensor& text) const;

  /// Latents of images: the mean of what the encoder finds. Height and width: multiples of factor().
  at::Tensor encode(const at::Tensor& images) const;
  at::Tensor decode(const at::Tensor& latents) const;
  /// Images as [n, height, width, 3] uint8 on the CPU.
  static at::Tensor bytes(const at::Tensor& images);
  /// The images, [n, 3, height, width] float32 in [0, 1], of such bytes.
  static at::Tensor images(const at::Tensor& bytes);

  int factor() const;                     ///< pixels per position of a latent, along each side
  int size() const;                       ///< pixels of a picture's sides where nothing else is asked for
  const NoiseSchedule& schedule() const;  ///< of training
  const std::string& device() const;
  std::int64_t parameters() const;                   ///< number of weights, of all nets
  const std::vector<std::string>& warnings() const;  ///< what load() wrote

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  explicit StableDiffusion(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace diffreward
