#include "rewards/relative/half_unet_gradient_net.h"

#include <torch/torch.h>

#include <algorithm>

#include "agents/diffusion/engine_side_net.h"
#include "agents/kernels/enabled.h"
#include "agents/parallel.h"

namespace diffreward {
namespace {

constexpr std::int64_t kPart = 32;  // sequences whose activations stay in the cache

}  // namespace

struct FusedHalfUnetGradient::Side : EngineSide<float, HalfUnetEngine<float>> {
  using EngineSide::EngineSide;
};

FusedHalfUnetGradient::FusedHalfUnetGradient(const HalfUnetShape& shape, const Parameters& parameters)
    : parameters_(parameters), side_(std::make_unique<Side>(shape, parameters)) {}
FusedHalfUnetGradient::~FusedHalfUnetGradient() = default;

bool FusedHalfUnetGradient::takes(const torch::Tensor& x, const torch::Tensor& t) const {
  const torch::Tensor& first = parameters_.named().front().second;
  const HalfUnetShape& shape = side_->engine.shape();
  return kernels_enabled() && !torch::GradMode::is_enabled() && x.is_cpu() && x.scalar_type() == torch::kFloat &&
         x.dim() == 3 && x.size(1) == shape.rows && x.size(2) == shape.channels && t.is_cpu() && t.dim() == 1 &&
         (t.size(0) == x.size(0) || t.size(0) == 1) && first.is_cpu() && first.scalar_type() == torch::kFloat &&
         !first.is_inference();
}

torch::Tensor FusedHalfUnetGradient::operator()(const torch::Tensor& x, const torch::Tensor& features) const {
  const torch::Tensor input = x.contiguous(), times = features.contiguous();
  torch::Tensor out = torch::empty_like(input);
  const std::int64_t n = x.size(0), size = x.size(1) * x.size(2), threads = at::get_num_threads();
  const bool one = times.size(0) == 1;
  const auto weights = side_->packed(/*adjoint=*/true);
  const std::int64_t length = std::clamp<std::int64_t>((n + threads - 1) / threads, 1, kPart);
  const float *from = input.const_data_ptr<float>(), *when = times.const_data_ptr<float>();
  float* const to = out.mutable_data_ptr<float>();
  parallel_each(static_cast<std::size_t>((n + length - 1) / length), [&](std::size_t part) {
    const std::int64_t begin = static_cast<std::int64_t>(part) * length, count = std::min(length, n - begin);
    auto tape = side_->take_tape();
    side_->engine.input_gradient(*weights, static_cast<int>(count), from + begin * size,
                                 when + (one ? 0 : begin * times.size(1)), one ? 1 : static_cast<int>(count),
                                 to + begin * size, *tape);
    side_->give_back(std::move(tape));
  });
  return out;
}

}  // namespace diffreward
