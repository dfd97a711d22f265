// Latents of pictures, kept to be asked many things: what rewards pay for them, where, and what the model itself knows.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "agents/stable_diffusion/stable_diffusion.h"
#include "envs/image.h"
#include "rewards/image/diffusion_classifier.h"
#include "rewards/image/evaluate/pointing.h"
#include "rewards/image/image_reward.h"
#include "rewards/image/judge/judge.h"

namespace diffreward {

class PictureLatents {
 public:
  /// What the autoencoder makes of pictures of one size, whose sides are multiples of the model's factor(). Throws
  /// InvalidArgument for others and for none.
  static PictureLatents encode(const StableDiffusion& model, std::span<const Image> pictures);
  /// `latents` of safetensors files (agents/stable_diffusion/picture_files.h). Throws Error naming the file.
  static PictureLatents read(std::span<const std::filesystem::path> files);
  PictureLatents(PictureLatents&&) noexcept;
  PictureLatents& operator=(PictureLatents&&) noexcept;
  ~PictureLatents();

  std::size_t size() const;
  PictureLatents chosen(std::span<const std::size_t> pictures) const;
  /// ImageReward::score() of each.
  std::vector<double> score(const ImageReward& reward) const;
  std::vector<double> score_at(int t, const ImageReward& reward) const;
  /// Where each is paid: the length of the score's gradient per position of its latent.
  std::vector<PixelMap> gradient_maps(const ImageReward& reward) const;
  /// How much each shows a concept, by the model itself.
  std::vector<double> classify(const StableDiffusion& model, const std::string& concept_text,
                               const DiffusionClassifierConfig& config) const;

 private:
  struct Impl;
  explicit PictureLatents(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Pixels of the side of square pictures that a reward's latents are of. Throws InvalidArgument where those are not square.
int picture_side(const ImageReward& reward, const StableDiffusion& model);

/// Judge::probabilities() of each picture, by concept.
std::map<std::string, std::vector<double>> judged(const Judge& judge, std::span<const Image> pictures);

}  // namespace diffreward
