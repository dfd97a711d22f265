#include "rewards/image/picture_latents.h"

#include <torch/torch.h>

#include <algorithm>
#include <utility>

#include "agents/nets/tensor_file_torch.h"
#include "core/error.h"
#include "core/progress.h"

namespace diffreward {
namespace {

constexpr std::size_t kEncoded = 32;  // pictures that become latents at a time

std::vector<double> doubles(const torch::Tensor& values) {
  const torch::Tensor flat = values.to(torch::kCPU, torch::kDouble).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

}  // namespace

struct PictureLatents::Impl {
  torch::Tensor latents;  // [n, channels, h, w] float32, on the CPU
};

PictureLatents::PictureLatents(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PictureLatents::PictureLatents(PictureLatents&&) noexcept = default;
PictureLatents& PictureLatents::operator=(PictureLatents&&) noexcept = default;
PictureLatents::~PictureLatents() = default;

PictureLatents PictureLatents::encode(const StableDiffusion& model, std::span<const Image> pictures) {
  require(!pictures.empty(), "pictures: expected at least one, got none");
  std::vector<torch::Tensor> all;
  Progress progress("encode", static_cast<std::int64_t>(pictures.size()), "pictures");
  for (std::size_t begin = 0; begin < pictures.size(); begin += kEncoded) {
    std::vector<torch::Tensor> some;
    for (const Image& image : pictures.subspan(begin, std::min(kEncoded, pictures.size() - begin))) {
      require(image.width == pictures[0].width && image.height == pictures[0].height,
              "pictures: expected those of one size, ", pictures[0].width, " x ", pictures[0].height,
              ", got ", image.width, " x ", image.height);
      some.push_back(torch::from_blob(const_cast<std::uint8_t*>(image.rgb.data()),
                                      {image.height, image.width, 3}, torch::kByte));
    }
    all.push_back(model.encode(StableDiffusion::images(torch::stack(some))).to(torch::kCPU, torch::kFloat));
    progress.advance(static_cast<std::int64_t>(some.size()));
  }
  return PictureLatents(std::make_unique<Impl>(Impl{torch::cat(all)}));
}

PictureLatents PictureLatents::read(std::span<const std::filesystem::path> files) {
  require(!files.empty(), "latents: expected files, got none");
  std::vector<torch::Tensor> all;
  for (const std::filesystem::path& file : files) {
    const std::string what = concat(file.string(), ": latents");
    all.push_back(tensor_from(Safetensors::open(file).at("latents"), what).to(torch::kFloat));
    if (all.back().dim() != 4 || all.back().sizes().slice(1) != all.front().sizes().slice(1))
      throw Error(concat(what, ": expected the shape that the first file's have, ", all.front().sizes(),
                         ", found ", all.back().sizes()));
  }
  return PictureLatents(std::make_unique<Impl>(Impl{torch::cat(all)}));
}

std::size_t PictureLatents::size() const {
  return static_cast<std::size_t>(impl_->latents.size(0));
}

PictureLatents PictureLatents::chosen(std::span<const std::size_t> pictures) const {
  const std::vector<std::int64_t> rows(pictures.begin(), pictures.end());
  return PictureLatents(
      std::make_unique<Impl>(Impl{impl_->latents.index_select(0, torch::tensor(rows, torch::kLong))}));
}

std::vector<double> PictureLatents::score(const ImageReward& reward) const {
  return doubles(reward.score(impl_->latents));
}

std::vector<double> PictureLatents::score_at(int t, const ImageReward& reward) const {
  return doubles(reward.score_at(t, impl_->latents));
}

std::vector<PixelMap> PictureLatents::gradient_maps(const ImageReward& reward) const {
  const torch::Tensor lengths = reward.score_gradient(impl_->latents).square().sum(1).sqrt().contiguous();
  const auto height = static_cast<int>(lengths.size(1)), width = static_cast<int>(lengths.size(2));
  std::vector<PixelMap> maps;
  for (std::int64_t i = 0; i < lengths.size(0); ++i) {
    const float* begin = lengths.const_data_ptr<float>() + i * width * height;
    maps.push_back({width, height, {begin, begin + width * height}});
  }
  return maps;
}

std::vector<double> PictureLatents::classify(const StableDiffusion& model, const std::string& concept_text,
                                             const DiffusionClassifierConfig& config) const {
  return doubles(diffusion_classifier(model, impl_->latents, concept_text, config));
}

int picture_side(const ImageReward& reward, const StableDiffusion& model) {
  const std::vector<std::int64_t>& shape = reward.shape();
  require(shape[1] == shape[2], "reward: expected one of square latents, found ", shape[1], " x ", shape[2]);
  return static_cast<int>(shape[1]) * model.factor();
}

std::map<std::string, std::vector<double>> judged(const Judge& judge, std::span<const Image> pictures) {
  const torch::Tensor all = judge.probabilities(pictures);
  std::map<std::string, std::vector<double>> out;
  for (std::size_t i = 0; i < judge.concepts().size(); ++i)
    out[judge.concepts()[i]] = doubles(all.select(1, static_cast<std::int64_t>(i)));
  return out;
}

}  // namespace diffreward
