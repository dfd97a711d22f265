#include "agents/stable_diffusion/winograd_torch.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace diffreward {
namespace {

constexpr std::int64_t kTiles = 128;  // of a product: what it reads and writes stays near the processor

/// Tiles of images channels last, row by row.
struct Tiling {
  std::int64_t height, width, rows, columns;
  Tiling(std::int64_t h, std::int64_t w) : height(h), width(w), rows((h + 1) / 2), columns((w + 1) / 2) {}

  struct Tile {
    std::int64_t image, y, x;  // of its first output
  };
  Tile tile(std::int64_t i) const { return {i / (rows * columns), i / columns % rows * 2, i % columns * 2}; }
};

/// Channels that are worked on together.
struct Lanes {
  std::array<float, kWinogradLanes> of;

  static Lanes read(const float* from) {
    Lanes out;
    std::copy_n(from, kWinogradLanes, out.of.begin());
    return out;
  }
  Lanes operator+(const Lanes& other) const {
    Lanes out;
    for (std::size_t i = 0; i < kWinogradLanes; ++i) out.of[i] = of[i] + other.of[i];
    return out;
  }
  Lanes operator-(const Lanes& other) const {
    Lanes out;
    for (std::size_t i = 0; i < kWinogradLanes; ++i) out.of[i] = of[i] - other.of[i];
    return out;
  }
};

/// B^T d, for one column d of a tile.
std::array<Lanes, 4> spread(const Lanes& a, const Lanes& b, const Lanes& c, const Lanes& d) {
  return {a - c, b + c, c - b, b - d};
}

/// A^T m, likewise.
std::array<Lanes, 2> gather(const Lanes& a, const Lanes& b, const Lanes& c, const Lanes& d) {
  return {a + (b + c), b - (c + d)};
}

/// B^T d B of one tile.  image: [h, w, channels]; zeros: [channels], what is outside; out: 16 rows of `channels`, `stride` apart
void transform_input(const float* image, const Tiling& tiling, const Tiling::Tile& tile,
                     std::int64_t channels, const float* zeros, float* out, std::int64_t stride) {
  std::array<const float*, 16> d;
  for (std::int64_t i = 0; i < 16; ++i) {
    const std::int64_t y = tile.y - 1 + i / 4, x = tile.x - 1 + i % 4;
    const bool inside = y >= 0 && y < tiling.height && x >= 0 && x < tiling.width;
    d[std::size_t(i)] = inside ? image + (y * tiling.width + x) * channels : zeros;
  }
  for (std::int64_t k = 0; k < channels; k += kWinogradLanes) {
    std::array<std::array<Lanes, 4>, 4> columns;  // of B^T d
    for (std::size_t j = 0; j < 4; ++j)
      columns[j] = spread(Lanes::read(d[j] + k), Lanes::read(d[4 + j] + k), Lanes::read(d[8 + j] + k),
                          Lanes::read(d[12 + j] + k));
    for (std::size_t i = 0; i < 4; ++i) {
      const std::array<Lanes, 4> row = spread(columns[0][i], columns[1][i], columns[2][i], columns[3][i]);
      for (std::size_t j = 0; j < 4; ++j)
        std::ranges::copy(row[j].of, out + std::int64_t(4 * i + j) * stride + k);
    }
  }
}

/// A^T m A + bias of one tile.  m: 16 rows of `channels`, `stride` apart; image: [h, w, channels]
void transform_output(const float* m, std::int64_t stride, const float* bias, const Tiling& tiling,
                      const Tiling::Tile& tile, std::int64_t channels, float* image) {
  const std::int64_t height = std::min<std::int64_t>(2, tiling.height - tile.y),
                     width = std::min<std::int64_t>(2, tiling.width - tile.x);
  for (std::int64_t k = 0; k < channels; k += kWinogradLanes) {
    std::array<std::array<Lanes, 2>, 4> columns;  // of A^T m
    for (std::int64_t j = 0; j < 4; ++j) {
      const auto at = [&](std::int64_t i) { return Lanes::read(m + (4 * i + j) * stride + k); };
      columns[std::size_t(j)] = gather(at(0), at(1), at(2), at(3));
    }
    for (std::int64_t i = 0; i < height; ++i) {
      const auto row = std::size_t(i);
      const std::array<Lanes, 2> y =
          gather(columns[0][row], columns[1][row], columns[2][row], columns[3][row]);
      for (std::int64_t j = 0; j < width; ++j)
        std::ranges::copy((y[std::size_t(j)] + Lanes::read(bias + k)).of,
                          image + ((tile.y + i) * tiling.width + tile.x + j) * channels + k);
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
