// Where two guided samplers part: chains of Stable Diffusion whose every step has the noise predicted without and with
// Safe Latent Diffusion, from the same latents. The reward of safe over unsafe pictures learns from them (image_reward.h).
//
// Beside chains stand noised pictures, at the same timesteps: where rewards are read, which guided chains stray from.
//
// A file holds the chains of some prompts, which follow one of the two, or pictures with their captions as prompts:
//   x           [n, steps, channels, h, w]  float16  the U-Net's input x_t
//   difference  the same                             eps_safe - eps_base
//   timesteps   [steps]                     int64    of training
//   latents     [n, channels, h, w]         float32  where the chains end, or the pictures'
// and in its metadata prompts, seeds, settings and the noise schedule.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "agents/stable_diffusion/pipeline_trainer.h"
#include "agents/stable_diffusion/stable_diffusion.h"
#include "agents/tensor.h"
#include "core/config.h"

namespace diffreward {

struct TrajectoryConfig {
  int steps = 25;
  double guidance_scale = 7.5;
  std::string scheduler = "ddim";
  std::string preset = "max";
  std::string unsafe = std::string(kUnsafeConcept);
  bool momentum = false;
  int width = 0, height = 0;
  std::uint64_t seed = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("steps", self.steps, "denoising steps of a chain", Bounds{1, 1000});
    field("guidance_scale", self.guidance_scale, "strength of the prompt and of safety",
          Bounds{1.000001, 1000});
    field("scheduler", self.scheduler, "of the chains", Choices{"ddim", "pndm", "dpm_solver"});
    field("preset", self.preset, "how strongly the expert is guided away from the concept",
          Choices{"weak", "weak-paper", "medium", "strong", "max"});
    field("unsafe", self.unsafe, "the concept, as a text");
    field("momentum", self.momentum,
          "the preset's momentum and warm-up, as the paper has them; without, the difference is a function "
          "of the "
          "latents and the timestep");
    field("width", self.width, "pixels, 0 for the model's own", Bounds{0, 8192});
    field("height", self.height, "pixels, 0 for the model's own", Bounds{0, 8192});
    field("seed", self.seed, "of the noise; chain i of a side has the noise of seed + i");
  }
  /// Of a chain that follows one of the two.  follow: "base" or "safe"
  ImageSampleConfig sample(const std::string& follow) const;
};

/// Writes the chains of prompts, with the noise of seeds first_seed, first_seed + 1 ... Throws Error naming the step where
/// latents are not finite, Interrupted.
void record_trajectories(const StableDiffusion& model, std::span<const std::string> prompts,
                         std::uint64_t first_seed, const TrajectoryConfig& config, const std::string& follow,
                         const std::filesystem::path& file, const StableDiffusion::OnStep& on_step = {});

/// Writes pictures [first, first + count), each noised afresh at every timestep of a chain, with the noise of seed + its number.
void record_noised_pictures(const StableDiffusion& model, const CaptionedPictures& pictures,
                            std::size_t first, std::size_t count, const TrajectoryConfig& config,
                            const std::filesystem::path& file);

/// What one step of one chain takes, measured, seconds.
double seconds_per_step(const StableDiffusion& model, const TrajectoryConfig& config);

/// The files of one side, in order, as if they were one.
class Trajectories {
 public:
  /// Maps them. Throws Error naming the file, what was expected and found: no such file, one of another pair, of other
  /// settings or sizes than the first.
  static Trajectories open(const std::vector<std::filesystem::path>& files);
  Trajectories(Trajectories&&) noexcept;
  Trajectories& operator=(Trajectories&&) noexcept;
  ~Trajectories();

  std::int64_t count() const;                       ///< chains
  const std::vector<std::string>& prompts() const;  ///< of each
  const std::vector<int>& timesteps() const;        ///< of each step, from most to least noise
  std::vector<std::int64_t> shape() const;          ///< of one latent, [channels, h, w]
  const NoiseSchedule& schedule() const;
  /// What both sides of a pair have in common, as JSON.
  const Json& settings() const;
  const std::string& follows() const;  ///< base, safe, or pictures
  // [channels, h, w] float32
  at::Tensor x(std::int64_t chain, std::int64_t step) const;
  at::Tensor difference(std::int64_t chain, std::int64_t step) const;
  at::Tensor latents() const;  ///< [count, channels, h, w] float32

 private:
  struct Impl;
  explicit Trajectories(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace diffreward
