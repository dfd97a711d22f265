#include "rewards/image/latent_unet_torch.h"

#include <torch/torch.h>

#include "core/error.h"

namespace diffreward {
namespace {

constexpr int kTimeFeatures = 8;  // RewardNet::time_features
constexpr int kTimeUnits = 64;
constexpr int kGroups = 8;
constexpr double kEpsilon = 1e-5;

torch::Tensor normed(const torch::Tensor& h, const torch::Tensor& weight, const torch::Tensor& bias) {
  return torch::group_norm(h, kGroups, weight, bias, kEpsilon);
}

}  // namespace

LatentUnet::Conv::Conv(Parameters& parameters, const std::string& name, int from, int to, int size, int by,
                       int around)
    : weight(parameters.uniform(name + ".weight", {to, from, size, size}, std::int64_t{size} * size * from)),
      bias(parameters.constant(name + ".bias", {to}, 0)),
      stride(by),
      padding(around) {}

LatentUnet::Block::Block(Parameters& parameters, const std::string& name, int from, int to)
    : first(parameters, name + ".first", from, to, 3, 1, 1),
      second(parameters, name + ".second", to, to, 3, 1, 1),
      first_norm(parameters.constant(name + ".first_norm.weight", {to}, 1)),
      first_bias(parameters.constant(name + ".first_norm.bias", {to}, 0)),
      second_norm(parameters.constant(name + ".second_norm.weight", {to}, 1)),
      second_bias(parameters.constant(name + ".second_norm.bias", {to}, 0)),
      time(parameters, name + ".time", kTimeUnits, 2 * to) {
  if (from != to) skip.emplace(parameters, name + ".skip", from, to, 1, 1, 0);
}

torch::Tensor LatentUnet::Block::operator()(const torch::Tensor& h, const torch::Tensor& time_units) const {
  const std::vector<torch::Tensor> scale_shift = time(time_units).unsqueeze(2).unsqueeze(3).chunk(2, 1);
  const torch::Tensor inner =
      torch::silu(normed(first(h), first_norm, first_bias) * (1 + scale_shift[0]) + scale_shift[1]);
  const torch::Tensor outer = torch::silu(normed(second(inner), second_norm, second_bias));
  return outer + (skip ? (*skip)(h) : h);
}

LatentUnet::LatentUnet(const LatentUnetShape& shape, Head head, Parameters initial)
    : RewardNet(std::move(initial), shape.timesteps),
      shape_(shape),
      head_(head),
      time_(parameters, "time", kTimeFeatures, kTimeUnits),
      in_([&] {
        require(shape.latent.size() == 3, "latents: expected [channels, h, w], got ", shape.latent.size(),
                " sizes");
        require(shape.dim % kGroups == 0, "dim: expected a multiple of ", kGroups, ", got ", shape.dim);
        require(!shape.dim_mults.empty(), "dim_mults: expected at least one, got none");
        const std::int64_t least = std::int64_t{1} << (shape.dim_mults.size() - 1);
        require(shape.latent[1] % least == 0 && shape.latent[2] % least == 0,
                "dim_mults: ", shape.dim_mults.size(),
                " resolutions need latents whose sides are multiples of ", least, ", got ", shape.latent[1],
                " x ", shape.latent[2]);
        return Conv(parameters, "in", static_cast<int>(shape.latent[0]), shape.dim * shape.dim_mults[0], 3, 1,
                    1);
      }()) {
  const auto width = [&](std::size_t level) { return shape.dim * shape.dim_mults[level]; };
  const std::size_t levels = shape.dim_mults.size();
  for (std::size_t level = 0; level < levels; ++level) {
    if (level > 0)
      halve_.emplace_back(parameters, "halve." + std::to_string(level), width(level - 1), width(level), 2, 2,
                          0);
    down_.emplace_back(parameters, "down." + std::to_string(level), width(level), width(level));
  }
  const int last = width(levels - 1);
  if (head == Head::kScalar) {
    hidden_.emplace(parameters, "hidden", last + kTimeUnits, last);
    out_.emplace(parameters, "out", last, 1);
    return;
  }
  for (std::size_t level = levels - 1; level-- > 0;)
    up_.emplace_back(parameters, "up." + std::to_string(level), width(level + 1) + width(level),
                     width(level));
  field_.emplace(parameters, "field", width(0), static_cast<int>(shape.latent[0]), 3, 1, 1);
}

torch::Tensor LatentUnet::forward(const torch::Tensor& x, const torch::Tensor& t) const {
  const torch::Tensor time = torch::silu(time_(time_features(t)));
  torch::Tensor h = in_(x);
  std::vector<torch::Tensor> levels;
  for (std::size_t level = 0; level < down_.size(); ++level) {
    if (level > 0) h = halve_[level - 1](h);
    h = down_[level](h, time);
    levels.push_back(h);
  }
  if (head_ == Head::kField) {
    for (std::size_t i = 0; i < up_.size(); ++i) {
      const torch::Tensor& beside = levels[levels.size() - 2 - i];
      h = up_[i](torch::cat({torch::upsample_nearest2d(h, beside.sizes().slice(2)), beside}, 1), time);
    }
    return (*field_)(h);
  }
  const torch::Tensor pooled = torch::cat({h.mean({2, 3}), time.expand({x.size(0), -1})}, 1);
  // The mean over positions shrinks the gradient in each of the latent's; the factor restores it.
  const auto positions = static_cast<double>(shape_.latent[1] * shape_.latent[2]);
  return (*out_)(torch::silu((*hidden_)(pooled))).squeeze(1) * positions;
}

}  // namespace diffreward
