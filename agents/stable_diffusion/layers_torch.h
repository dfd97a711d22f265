// What the nets of Stable Diffusion 1.x are made of, with diffusers' names of parameters: convolutions and group
// normalisation on [n, channels, height, width], residual blocks, attention. Of nets that are used as they are, all lies in
// memory channels last, and what is not read again is written over (docs/design/0017-stable-diffusion-speed.md).
//
//   resnet     x + conv2(SiLU(norm2(conv1(SiLU(norm1(x))) + W SiLU(e)))),  e: the embedding of t, where there is one
//   attention  softmax(q k^T / sqrt(size of a head)) v
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "agents/nets/parameters_torch.h"

namespace diffreward {

/// Is shown what a net computes on the way, by the name of the module that did.
using Watch = std::function<void(const std::string& module, const torch::Tensor& output)>;

/// x: [n, in, h, w] -> [n, out, ...], the kernel square. On the CPU weights without gradients, of single precision or of a
/// bfloat16 that the processor has instructions for, are put into the order that oneDNN's kernel reads at the first call,
/// not at every one, or, where filtered kernels of 3 x 3 meet many pixels in single precision, into the one of
/// winograd_convolution(); the pages of a mapped file that held them are let go.
class Conv2d {
 public:
  torch::Tensor weight, bias;  // [out, in, kernel, kernel], [out]
  std::int64_t stride, padding;
  bool filtered = false;  // may take winograd_convolution(), whose weights need 16 / 9 of the memory
  Conv2d(Parameters& parameters, const std::string& name, std::int64_t in, std::int64_t out,
         std::int64_t kernel, std::int64_t stride = 1, std::int64_t padding = 0);
  torch::Tensor operator()(const torch::Tensor& x) const;

 private:
  bool filters(const torch::Tensor& x) const;
  struct Packed;                    // the weights in those orders
  std::shared_ptr<Packed> packed_;  // null where they have gradients or oneDNN does not serve
};

/// Whether nobody will ask for a derivative of what x becomes, so that it may be written over.
inline bool is_spent(const torch::Tensor& x) {
  return !(torch::GradMode::is_enabled() && x.requires_grad());
}
/// SiLU(x) and x + y, which may take the place of x: for an x that is not read again.
torch::Tensor silu_over(torch::Tensor x);
torch::Tensor add_over(torch::Tensor x, const torch::Tensor& y);

struct GroupNorm {
  torch::Tensor weight, bias;  // [channels]
  std::int64_t groups;
  double epsilon;
  GroupNorm(Parameters& parameters, const std::string& name, std::int64_t channels, std::int64_t groups,
            double epsilon);
  torch::Tensor operator()(const torch::Tensor& x) const {
    return torch::group_norm(x, groups, weight, bias, epsilon);
  }
};

struct ResnetBlock2d {
  GroupNorm norm1;
  Conv2d conv1;
  std::optional<Linear> time;
  GroupNorm norm2;
  Conv2d conv2;
  std::optional<Conv2d> shortcut;  // where in and out differ
  /// `embedding`: size of the embedding of t, 0 for none.
  ResnetBlock2d(Parameters& parameters, const std::string& name, std::int64_t in, std::int64_t out,
                std::int64_t groups, double epsilon, std::int64_t embedding = 0);
  /// activated: SiLU(e), [n, embedding], or undefined. An x that is moved here is freed as soon as it is used.
  torch::Tensor operator()(torch::Tensor x, const torch::Tensor& activated = {}) const;
};

/// Doubles height and width by the nearest neighbour, or takes them to `size`, and convolves.
struct Upsample2d {
  Conv2d conv;
  Upsample2d(Parameters& parameters, const std::string& name, std::int64_t channels);
  torch::Tensor operator()(const torch::Tensor& x, std::pair<std::int64_t, std::int64_t> size) const;
};

/// Attention of x [n, rows, channels] over what `context` [n, rows', ...] holds. k and v have no bias but with
/// `with_bias`; the output always has one.
struct HeadsAttention {
  Linear to_q, to_k, to_v, to_out;
  std::int64_t heads;
  HeadsAttention(Parameters& parameters, const std::string& name, std::int64_t channels,
                 std::int64_t context_channels, std::int64_t heads, bool with_bias);
  torch::Tensor operator()(const torch::Tensor& x, const torch::Tensor& context) const;
};

/// softmax(q k^T / sqrt(channels / heads)) v by heads; q: [n, rows, channels], k, v: [n, rows', channels]
torch::Tensor attend(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                     std::int64_t heads, bool causal = false);

}  // namespace diffreward
