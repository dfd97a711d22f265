#include "rewards/relative/reward_net_torch.h"

#include <torch/torch.h>

#include <cmath>
#include <numbers>

#include "core/error.h"

namespace diffreward {
namespace {

constexpr int kTimeFeatures = 8;
constexpr int kTimeUnits = 32;  // of the half U-Net
constexpr int kGroups = 8;
constexpr double kEpsilon = 1e-5;

torch::Tensor time_table(int timesteps) {
  const torch::Tensor phase =
      torch::arange(timesteps, torch::kDouble) * (std::numbers::pi / std::max(1, timesteps - 1));
  return torch::cos(phase.unsqueeze(1) * torch::arange(kTimeFeatures, torch::kDouble)).to(torch::kFloat);
}

/// s(a) and s'(a) of SiLU, sharing the sigmoid.
struct Activation {
  torch::Tensor value, slope;
  explicit Activation(const torch::Tensor& a) {
    const torch::Tensor sigma = a.sigmoid();
    value = a * sigma;
    slope = torch::addcmul(sigma + value, sigma, value, -1);
  }
};

}  // namespace

RewardNet::RewardNet(Parameters initial, int timesteps)
    : parameters(std::move(initial)), time_table_(time_table(timesteps).to(parameters.device())) {}

torch::Tensor RewardNet::autograd_gradient(const torch::Tensor& x, const torch::Tensor& t) const {
  const bool differentiable = torch::GradMode::is_enabled();
  const torch::AutoGradMode on(true);
  const torch::Tensor input = x.detach().requires_grad_(true);
  return torch::autograd::grad({forward(input, t).sum()}, {input}, {}, differentiable, differentiable)[0];
}

std::unique_ptr<RewardNet> make_reward_net(const ExtractConfig& config, const RewardNetShape& shape,
                                           Head head, Parameters parameters) {
  std::unique_ptr<RewardNet> net;
  if (config.net == "mlp")
    net = std::make_unique<WindowMlp>(config, shape, head, std::move(parameters));
  else if (config.net == "denoisers") {
    require(shape.denoiser != nullptr,
            "net: denoisers are those of trained diffusion models, found a model of another kind");
    require(head == Head::kScalar, "net: denoisers: expected a scalar head");
    net = std::make_unique<DenoiserPair>(*shape.denoiser, shape, std::move(parameters));
  } else
    net = std::make_unique<HalfUnet>(config, shape, head, std::move(parameters));
  net->parameters.finish();
  return net;
}

Parameters initial_parameters(const ExtractConfig& config) {
  return {Streams(Purpose::kRewardWeights, config.seed)[0], torch::Device(config.device)};
}

std::unique_ptr<RewardNet> make_reward_net(const ExtractConfig& config, const RewardNetShape& shape,
                                           Head head) {
  return make_reward_net(config, shape, head, initial_parameters(config));
}

WindowMlp::WindowMlp(const ExtractConfig& config, const RewardNetShape& shape, Head head, Parameters initial)
    : RewardNet(std::move(initial), shape.timesteps),
      window_(config.window),
      channels_(shape.channels),
      gain_(shape.rows - config.window + 1),
      head_(head),
      time_(parameters, "time", kTimeFeatures, config.hidden.at(0)),
      input_(
          parameters.uniform("input.weight", {config.hidden[0], window_ * channels_}, window_ * channels_)),
      hidden_([&] {
        std::vector<Linear> layers;
        for (std::size_t i = 1; i < config.hidden.size(); ++i)
          layers.emplace_back(parameters, "hidden." + std::to_string(i), config.hidden[i - 1],
                              config.hidden[i]);
        return layers;
      }()),
      out_(parameters, "out", config.hidden.back(), head == Head::kScalar ? 1 : window_ * channels_),
      fused_({.in = window_ * channels_, .time_features = kTimeFeatures, .hidden = config.hidden},
             parameters) {}

torch::Tensor WindowMlp::windows(const torch::Tensor& x) const {
  if (window_ == 1) return x;
  return x.unfold(1, window_, 1).transpose(2, 3).flatten(2);
}

torch::Tensor WindowMlp::overlap_add(const torch::Tensor& parts, std::int64_t rows) const {
  if (window_ == 1) return parts;
  const std::int64_t n = parts.size(0);
  const torch::Tensor unfolded = parts.view({n, parts.size(1), window_, channels_}).transpose(2, 3);
  return at::unfold_backward(unfolded, {n, rows, channels_}, 1, window_, 1);
}

torch::Tensor WindowMlp::first_layer(const torch::Tensor& windows, const torch::Tensor& features) const {
  return torch::matmul(windows, input_.t()) + time_(features).unsqueeze(1);
}

torch::Tensor WindowMlp::forward(const torch::Tensor& x, const torch::Tensor& t) const {
  torch::Tensor h = torch::silu(first_layer(windows(x), time_features(t)));
  for (const Linear& layer : hidden_) h = torch::silu(layer(h));
  const torch::Tensor out = out_(h);
  return head_ == Head::kScalar ? out.mean({1, 2}) * gain_ : overlap_add(out, x.size(1));
}

torch::Tensor WindowMlp::gradient(const torch::Tensor& x, const torch::Tensor& t) const {
  const torch::Tensor parts = windows(x), features = time_features(t);
  const auto plain = [this](const torch::Tensor& rows, const torch::Tensor& when) {
    return gradient_by_aten(rows, when);
  };
  const torch::Tensor field =
      fused_.takes(parts, features) ? fused_(parts, features, plain) : plain(parts, features);
  const double share = gain_ / static_cast<double>(parts.size(1));
  return overlap_add(share == 1 ? field : field * share, x.size(1));
}

torch::Tensor WindowMlp::gradient_by_aten(const torch::Tensor& windows, const torch::Tensor& features) const {
  std::vector<Activation> layers = {Activation(first_layer(windows, features))};
  for (const Linear& layer : hidden_) layers.emplace_back(layer(layers.back().value));
  torch::Tensor g = layers.back().slope * out_.weight;  // [n, k, hidden], from the last layer to the first
  for (std::size_t i = hidden_.size(); i > 0; --i)
    g = torch::matmul(g, hidden_[i - 1].weight) * layers[i - 1].slope;
  return torch::matmul(g, input_);
}

DenoiserPair::DenoiserPair(const DiffusionConfig& config, const RewardNetShape& shape, Parameters initial)
    : RewardNet(std::move(initial), shape.timesteps) {
  const int width = shape.channels;
  const WindowLayout layout{.horizon = shape.rows, .stride = 1, .action_dim = 0, .observation_dim = width};
  expert_ = make_denoiser(config, layout, parameters.part("expert"));
  parameters.adopt("expert", expert_->parameters);
  base_ = make_denoiser(config, layout, parameters.part("base"));
  parameters.adopt("base", base_->parameters);
  scale_ = parameters.constant("scale", {shape.timesteps}, 1);
}

torch::Tensor DenoiserPair::forward(const torch::Tensor& x, const torch::Tensor& t) const {
  const torch::Tensor when = t.expand({x.size(0)}).contiguous();
  const torch::Tensor difference = expert_->forward(x, when) - base_->forward(x, when);
  return (x * difference).flatten(1).sum(1) * scale_.index_select(0, when);
}

void DenoiserPair::begin_as(const DiffusionModel::Impl& expert, const DiffusionModel::Impl& base,
                            std::span<const double> units) {
  const torch::NoGradGuard no_grad;
  const auto copy = [](const DenoiserNet& from, const DenoiserNet& to) {
    const auto &values = from.parameters.named(), &own = to.parameters.named();
    for (std::size_t i = 0; i < own.size(); ++i) torch::Tensor(own[i].second).copy_(values[i].second);
  };
  copy(*expert.net, *expert_);
  copy(*base.net, *base_);
  std::vector<double> factor;
  for (std::size_t t = 0; t < units.size(); ++t) factor.push_back(base.schedule.posterior_x0[t] / units[t]);
  // x_0 is linear in the output: what it is for an output of 1 at x_t = 0 is its slope.
  const torch::Tensor ones = torch::ones_like(scale_), t = torch::arange(scale_.numel(), scale_.device());
  scale_.copy_(torch::tensor(factor, torch::kFloat).to(scale_.device()) *
               base.to_x0(ones, torch::zeros_like(ones), t).to(scale_.device()));
}

HalfUnet::Block::Block(Parameters& parameters, const std::string& name, int in, int out, int time_dim)
    : first(parameters.uniform(name + ".first.weight", {out, in, 5}, std::int64_t{5} * in)),
      second(parameters.uniform(name + ".second.weight", {out, out, 5}, std::int64_t{5} * out)),
      skip(parameters.uniform(name + ".skip.weight", {out, in, 1}, in)),
      first_norm(parameters.constant(name + ".first_norm.weight", {out}, 1)),
      first_bias(parameters.constant(name + ".first_norm.bias", {out}, 0)),
      second_norm(parameters.constant(name + ".second_norm.weight", {out}, 1)),
      second_bias(parameters.constant(name + ".second_norm.bias", {out}, 0)),
      time(parameters, name + ".time", time_dim, out) {}

HalfUnet::HalfUnet(const ExtractConfig& config, const RewardNetShape& shape, Head head, Parameters initial)
    : RewardNet(std::move(initial), shape.timesteps),
      shape_(shape),
      head_(head),
      time_(parameters, "time", kTimeFeatures, kTimeUnits),
      blocks_([&] {
        std::vector<Block> blocks;
        int in = shape.channels;
        for (const int multiplier : config.dim_mults) {
          const int out = config.dim * multiplier;
          require(out % kGroups == 0, "dim_mults: expected channels in multiples of ", kGroups, ", got ",
                  out);
          blocks.emplace_back(parameters, "blocks." + std::to_string(blocks.size()), in, out, kTimeUnits);
          in = out;
        }
        return blocks;
      }()),
      hidden_(parameters, "hidden", config.dim * config.dim_mults.back() + kTimeUnits,
              config.dim * config.dim_mults.back()),
      out_(parameters, "out", config.dim * config.dim_mults.back(),
           head == Head::kScalar ? 1 : shape.rows * shape.channels),
      fused_({.rows = shape.rows,
              .channels = shape.channels,
              .time_features = kTimeFeatures,
              .time_units = kTimeUnits,
              .widths =
                  [&] {
                    std::vector<int> widths;
                    for (const int multiplier : config.dim_mults) widths.push_back(config.dim * multiplier);
                    return widths;
                  }()},
             parameters) {}

torch::Tensor HalfUnet::gradient(const torch::Tensor& x, const torch::Tensor& t) const {
  require(head_ == Head::kScalar, "gradient: expected a net with a scalar head");
  const bool one =
      t.is_cpu() && t.numel() > 0 && !torch::GradMode::is_enabled() && (t == t[0]).all().item<bool>();
  const torch::Tensor features = time_features(one ? t.narrow(0, 0, 1) : t);
  if (!fused_.takes(x, features)) return autograd_gradient(x, t);
  return fused_(x, features, [this, t](const torch::Tensor& rows, const torch::Tensor&) {
    return autograd_gradient(rows, t);
  });
}

torch::Tensor HalfUnet::forward(const torch::Tensor& x, const torch::Tensor& t) const {
  const torch::Tensor time = torch::silu(time_(time_features(t)));
  torch::Tensor h = x.transpose(1, 2);  // [n, channels, rows]
  for (const Block& block : blocks_) {
    const torch::Tensor narrow = torch::conv1d(h, block.first, torch::Tensor(), 2, 2);
    const torch::Tensor first =
        torch::silu(torch::group_norm(narrow, kGroups, block.first_norm, block.first_bias, kEpsilon)) +
        block.time(time).unsqueeze(2);
    const torch::Tensor second =
        torch::silu(torch::group_norm(torch::conv1d(first, block.second, torch::Tensor(), 1, 2), kGroups,
                                      block.second_norm, block.second_bias, kEpsilon));
    h = second + torch::conv1d(h, block.skip, torch::Tensor(), 2);
  }
  const torch::Tensor pooled = torch::cat({h.mean(2), time.expand({x.size(0), -1})}, 1);
  const torch::Tensor out = out_(torch::silu(hidden_(pooled)));
  // The pooled mean shrinks each row's gradient with the number of rows; the factor restores it.
  if (head_ == Head::kScalar) return out.squeeze(1) * shape_.rows;
  return out.view(x.sizes());
}

}  // namespace diffreward
