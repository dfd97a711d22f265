// The nets behind learned rewards, private to their sources: tensors only, no data units. Each reads chosen
// channels of rows and a timestep and gives a scalar, or, as the unconstrained rival of a scalar's gradient,
// a vector field of the same trunk. SiLU throughout, because matching gradients needs second derivatives.
//
//   MLP         rho(x, t) = gain * mean over k of m(rows k ... k + window - 1 of x, t)
//   half U-Net  residual convolution blocks, each halving the rows, a mean over what is left, a small MLP
//   denoisers   rho(x, t) = c_t <x, f(x, t) - g(x, t)>, f and g nets as the diffusion models', which they begin as (design/0016)
//
// `gain` is the number of windows in a whole sample: d rho / d row is then of the size of one window's d m,
// however long the sample.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <span>
#include <vector>

#include "agents/diffusion/denoiser_torch.h"
#include "agents/diffusion/diffusion_model_torch.h"
#include "agents/nets/nets_torch.h"
#include "rewards/relative/fused_gradient_torch.h"
#include "rewards/relative/relative_reward.h"

namespace diffreward {

enum class Head { kScalar, kField };

class RewardNet {
 public:
  virtual ~RewardNet() = default;

  // x: [n, rows, channels], t: [n] int64
  /// The scalar, [n], or the field, [n, rows, channels]. Differentiable in x and in the parameters.
  virtual torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& t) const = 0;
  /// d scalar / d x, [n, rows, channels]; differentiable in the parameters where gradients are enabled.
  virtual torch::Tensor gradient(const torch::Tensor& x, const torch::Tensor& t) const = 0;
  /// The same as a backward pass through forward(): double backward, where it is differentiated.
  torch::Tensor autograd_gradient(const torch::Tensor& x, const torch::Tensor& t) const;

  Parameters parameters;

 protected:
  RewardNet(Parameters initial, int timesteps);
  /// cos(pi k t / (T - 1)), k = 0 ... 7: smooth and orthogonal over the chain.  [n] -> [n, 8]
  torch::Tensor time_features(const torch::Tensor& t) const { return time_table_.index_select(0, t); }

 private:
  torch::Tensor time_table_;  // [timesteps, 8]
};

/// What a net is made for.
struct RewardNetShape {
  int rows;                                   // of a whole sample
  int channels;                               // read per row
  int timesteps;                              // of the chain
  const DiffusionConfig* denoiser = nullptr;  // of the models; what a pair of denoisers is built by
};

/// The net of config.net, its weights from `parameters` or drawn from config.seed. Throws InvalidArgument
/// where sizes do not fit.
std::unique_ptr<RewardNet> make_reward_net(const ExtractConfig& config, const RewardNetShape& shape,
                                           Head head, Parameters parameters);
std::unique_ptr<RewardNet> make_reward_net(const ExtractConfig& config, const RewardNetShape& shape,
                                           Head head);

/// Weights drawn from config.seed.
Parameters initial_parameters(const ExtractConfig& config);

class WindowMlp final : public RewardNet {
 public:
  WindowMlp(const ExtractConfig& config, const RewardNetShape& shape, Head head, Parameters parameters);
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& t) const override;
  /// In closed form (docs/design/0002-training-rho.md), by WindowMlpEngine or as ordinary tensor operations:
  ///   d m / d x = W_1^T (s'(a_1) * W_2^T (s'(a_2) * ... w_out)),  s' = sigma + s (1 - sigma)
  torch::Tensor gradient(const torch::Tensor& x, const torch::Tensor& t) const override;

 private:
  torch::Tensor windows(const torch::Tensor& x) const;  // [n, k, window * channels]
  torch::Tensor gradient_by_aten(const torch::Tensor& windows, const torch::Tensor& features) const;
  torch::Tensor first_layer(const torch::Tensor& windows, const torch::Tensor& features) const;
  /// Sums the windows' parts into the rows they came from.  [n, k, window * channels] -> [n, rows, channels]
  torch::Tensor overlap_add(const torch::Tensor& parts, std::int64_t rows) const;

  int window_, channels_;
  double gain_;
  Head head_;
  Linear time_;          // its bias is the first layer's
  torch::Tensor input_;  // [hidden, window * channels]
  std::vector<Linear> hidden_;
  Linear out_;
  FusedGradient<WindowMlpEngine> fused_;
};

class DenoiserPair final : public RewardNet {
 public:
  DenoiserPair(const DiffusionConfig& config, const RewardNetShape& shape, Parameters parameters);
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& t) const override;
  torch::Tensor gradient(const torch::Tensor& x, const torch::Tensor& t) const override {
    return autograd_gradient(x, t);
  }
  /// Becomes <x, mu_expert(x, t) - mu_base(x, t)> / units[t], but for what their means have in common. Both of one config.
  void begin_as(const DiffusionModel::Impl& expert, const DiffusionModel::Impl& base,
                std::span<const double> units);

 private:
  std::unique_ptr<DenoiserNet> expert_, base_;
  torch::Tensor scale_;  // [timesteps]  c_t
};

class HalfUnet final : public RewardNet {
 public:
  HalfUnet(const ExtractConfig& config, const RewardNetShape& shape, Head head, Parameters parameters);
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& t) const override;
  /// By HalfUnetEngine or autograd_gradient().
  torch::Tensor gradient(const torch::Tensor& x, const torch::Tensor& t) const override;

 private:
  // h' = skip(h) + SiLU(norm(conv(SiLU(norm(conv(h))) + time))); first and skip halve the rows
  struct Block {
    torch::Tensor first, second, skip;  // [out, in, 5], [out, out, 5], [out, in, 1]
    torch::Tensor first_norm, first_bias, second_norm, second_bias;  // [out]
    Linear time;
    Block(Parameters& parameters, const std::string& name, int in, int out, int time_dim);
  };

  RewardNetShape shape_;
  Head head_;
  Linear time_;
  std::vector<Block> blocks_;
  Linear hidden_, out_;
  FusedGradient<HalfUnetEngine> fused_;
};

}  // namespace diffreward
