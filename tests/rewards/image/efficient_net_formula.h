// Weights and pictures of a formula, which tests/oracle/efficient_net_reference.py makes too.
#pragma once

#include <torch/torch.h>

#include <cmath>
#include <cstdint>
#include <string>

#include "agents/nets/efficient_net_torch.h"
#include "agents/nets/tensor_file_torch.h"

namespace diffreward {

/// In [0, 1): MurmurHash3's finaliser of a counter.
inline double counter_noise(std::uint32_t index, std::uint32_t salt) {
  std::uint32_t h = index + salt * 0x9E3779B9u;
  h = (h ^ h >> 16u) * 0x85EBCA6Bu;
  h = (h ^ h >> 13u) * 0xC2B2AE35u;
  return (h ^ h >> 16u) * 0x1p-32;
}

/// Every parameter of the net, by name.
inline NamedTensors formula_weights() {
  const EfficientNetLite0 net{Parameters(Seed(0), torch::kCPU)};
  NamedTensors out;
  for (const auto& [name, parameter] : net.parameters.named()) out[name] = torch::empty(parameter.sizes());
  std::uint32_t number = 0;
  for (auto& [name, values] : out) {
    double middle = 0, spread = 0;
    if (values.dim() == 4)
      spread = std::sqrt(9.0 / double(values.size(1) * values.size(2) * values.size(3)));
    else if (name.ends_with("weight"))
      middle = 1, spread = 0.2;
    else if (name.ends_with("bias"))
      middle = 0.2, spread = 0.8;
    else if (name.ends_with("running_mean"))
      spread = 0.3;
    else
      middle = 1, spread = 0.4;
    for (std::uint32_t i = 0; i < std::uint32_t(values.numel()); ++i)
      values.data_ptr<float>()[i] = float(middle + spread * (2 * counter_noise(i, number) - 1));
    ++number;
  }
  return out;
}

/// [count, side, side, 3] bytes
inline torch::Tensor formula_pictures(std::int64_t side, std::int64_t count = 3) {
  torch::Tensor out = torch::empty({count, side, side, 3}, torch::kByte);
  std::uint32_t i = 0;
  for (std::int64_t n = 0; n < count; ++n)
    for (std::int64_t y = 0; y < side; ++y)
      for (std::int64_t x = 0; x < side; ++x)
        for (std::int64_t c = 0; c < 3; ++c, ++i) {
          const double grain = std::floor(64 * counter_noise(i, std::uint32_t(1000 + side)));
          out.data_ptr<std::uint8_t>()[i] =
              std::uint8_t(((n + 1) * x + 2 * y + 40 * c + std::int64_t(grain)) % 256);
        }
  return out;
}

}  // namespace diffreward
