// Convolutions of 3 x 3 by Winograd's minimal filtering, as Lavin & Gray (2016) use it: each tile of 2 x 2 outputs reads 4 x 4
// inputs d and costs 16 products for each pair of channels, where the sum as written costs 36.
//
//   Y = A^T [(G g G^T) * (B^T d B)] A,  * summed over the input channels: a matrix product for each of the 16 places
#pragma once

#include <torch/torch.h>

#include <cstdint>

namespace diffreward {

constexpr std::int64_t kWinogradLanes = 16;  // numbers of channels must be multiples

/// G g G^T of all weights.  weight: [out, in, 3, 3] -> [16, in, out]
torch::Tensor winograd_weight(const torch::Tensor& weight);

/// The convolution with stride 1 and padding 1, single precision on the CPU, without a gradient; equal to torch::conv2d() up to
/// rounding.  x: [n, in, h, w], best channels last; weight: what winograd_weight() gave; bias: [out]
///   ->  [n, out, h, w], channels last
torch::Tensor winograd_convolution(const torch::Tensor& x, const torch::Tensor& weight,
                                   const torch::Tensor& bias);

}  // namespace diffreward
