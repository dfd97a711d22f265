#include "agents/stable_diffusion/winograd_torch.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace diffreward {
namespace {

constexpr std::int64_t kTiles = 128;  // of a product: what it reads and writes stays near the processor

/// Tiles of an image channels last, row by row.
struct Tiling {
  std::int64_t height, width, rows, columns;
  Tiling(std::int64_t h, std::int64_t w) : height(h), width(w), rows((h + 1) / 2), columns((w + 1) / 2) {}

  struct Tile {
    std::int64_t image, y, x;  // of its first output
  };
  Tile tile(std::int64_t i) const { return {i / (rows * columns), i / columns % rows * 2, i % columns * 2}; }
};

/// B^T d B of one tile.  image: [h, w, channels], zero outside; out: 16 rows of `channels`, `stride` apart
void transform_input(const float* image, const Tiling& tiling, const Tiling::Tile& tile,
                     std::int64_t channels, const float* zeros, float* out, std::int64_t stride) {
  std::array<const float*, 16> d;
  for (std::int64_t i = 0; i < 4; ++i)
    for (std::int64_t j = 0; j < 4; ++j) {
      const std::int64_t y = tile.y - 1 + i, x = tile.x - 1 + j;
      const bool inside = y >= 0 && y < tiling.height && x >= 0 && x < tiling.width;
      d[std::size_t(4 * i + j)] = inside ? image + (y * tiling.width + x) * channels : zeros;
    }
  // of both products with B a column is a difference or sum of two: 0 - 2, 1 + 2, 2 - 1, 1 - 3
  constexpr std::array<std::size_t, 4> kFirst{0, 1, 2, 1}, kSecond{2, 2, 1, 3};
  constexpr std::array<float, 4> kSign{-1, 1, -1, -1};
  for (std::size_t i = 0; i < 4; ++i)
    for (std::size_t j = 0; j < 4; ++j) {
      const float *a = d[4 * kFirst[i] + kFirst[j]], *b = d[4 * kFirst[i] + kSecond[j]],
                  *c = d[4 * kSecond[i] + kFirst[j]], *e = d[4 * kSecond[i] + kSecond[j]];
      const float across = kSign[j], down = kSign[i];
      float* to = out + std::int64_t(4 * i + j) * stride;
      for (std::int64_t k = 0; k < channels; ++k)
        to[k] = (a[k] + across * b[k]) + down * (c[k] + across * e[k]);
    }
}

/// A^T m A + bias of one tile.  m: 16 rows of `channels`, `stride` apart; image: [h, w, channels]
void transform_output(const float* m, std::int64_t stride, const float* bias, const Tiling& tiling,
                      const Tiling::Tile& tile, std::int64_t channels, float* image) {
  for (std::int64_t i = 0; i < std::min<std::int64_t>(2, tiling.height - tile.y); ++i)
    for (std::int64_t j = 0; j < std::min<std::int64_t>(2, tiling.width - tile.x); ++j) {
      // A^T is [1 1 1 0; 0 1 -1 -1]: three from i on, the second and third added or taken away
      const float down = i == 0 ? 1.0f : -1.0f, across = j == 0 ? 1.0f : -1.0f;
      const float* at = m + (4 * i + j) * stride;
      float* to = image + ((tile.y + i) * tiling.width + tile.x + j) * channels;
      for (std::int64_t k = 0; k < channels; ++k) {
        const auto row = [&](std::int64_t r) {
          const float* here = at + 4 * r * stride + k;
          return here[0] + across * (here[stride] + here[2 * stride]);
        };
        to[k] = bias[k] + (row(0) + down * (row(1) + row(2)));
      }
    }
}

}  // namespace

torch::Tensor winograd_weight(const torch::Tensor& weight) {
  const torch::Tensor g =
      torch::tensor({{1.0, 0.0, 0.0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0.0, 0.0, 1.0}}, weight.options());
  return torch::kron(g, g)
      .mm(weight.permute({2, 3, 1, 0}).reshape({9, -1}))
      .view({16, weight.size(1), weight.size(0)});
}

torch::Tensor winograd_convolution(const torch::Tensor& x, const torch::Tensor& weight,
                                   const torch::Tensor& bias) {
  const torch::Tensor from = x.contiguous(torch::MemoryFormat::ChannelsLast);
  const Tiling tiling(x.size(2), x.size(3));
  const std::int64_t in = weight.size(1), out = weight.size(2), pixels = x.size(2) * x.size(3),
                     tiles = x.size(0) * tiling.rows * tiling.columns;
  torch::Tensor y = torch::empty({x.size(0), out, x.size(2), x.size(3)},
                                 x.options().memory_format(torch::MemoryFormat::ChannelsLast));
  const torch::Tensor zeros = torch::zeros({in}, x.options());
  const auto *read = from.const_data_ptr<float>(), *nothing = zeros.const_data_ptr<float>(),
             *shift = bias.const_data_ptr<float>();
  auto* written = y.mutable_data_ptr<float>();
  at::parallel_for(0, (tiles + kTiles - 1) / kTiles, 1, [&](std::int64_t first, std::int64_t last) {
    const torch::NoGradGuard no_grad;
    const torch::Tensor d = torch::empty({16 * kTiles * in}, x.options()),
                        m = torch::empty({16 * kTiles * out}, x.options());
    for (std::int64_t part = first; part < last; ++part) {
      const std::int64_t begin = part * kTiles, count = std::min(kTiles, tiles - begin);
      for (std::int64_t i = 0; i < count; ++i) {
        const Tiling::Tile tile = tiling.tile(begin + i);
        transform_input(read + tile.image * pixels * in, tiling, tile, in, nothing,
                        d.mutable_data_ptr<float>() + i * in, count * in);
      }
      torch::Tensor products = m.narrow(0, 0, 16 * count * out).view({16, count, out});
      torch::bmm_out(products, d.narrow(0, 0, 16 * count * in).view({16, count, in}), weight);
      for (std::int64_t i = 0; i < count; ++i) {
        const Tiling::Tile tile = tiling.tile(begin + i);
        transform_output(m.const_data_ptr<float>() + i * out, count * out, shift, tiling, tile, out,
                         written + tile.image * pixels * out);
      }
    }
  });
  return y;
}

}  // namespace diffreward
