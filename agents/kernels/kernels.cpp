#include "agents/kernels/kernels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

// Highway compiles this file once per instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "agents/kernels/kernels.cpp"
// foreach_target.h comes first.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace diffreward::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// --- Convolutions: a tile of kTileRows x 2 vectors of the output stays in registers while taps and input
// channels are summed up. With 16 registers of 8 floats six rows are the most that fit.

constexpr int kTileRows = 6;
constexpr int kMaxTaps = 8;
constexpr std::size_t kPanelBytes = 24 << 10;  // of a packed weight that stay in the L1 cache

template <class T>
using Tag = hn::ScalableTag<T>;
template <class T>
int panel() {  // output channels of a tile
  return 2 * static_cast<int>(hn::Lanes(Tag<T>()));
}

template <class T>
std::size_t packed_size(int in, int out, int taps) {
  const int width = panel<T>(), panels = (out + width - 1) / width;
  return std::size_t(taps) * std::size_t(panels) * std::size_t(in) * std::size_t(width);
}

/// Panels: [panel][tap][in][width], zero past the last channel.
template <class T>
void pack(const T* weight, WeightStrides strides, int in, int out, int taps, T* packed) {
  const int width = panel<T>();
  for (int o = 0; o < out; o += width) {
    const int columns = std::min(width, out - o);
    for (int k = 0; k < taps; ++k) {
      const T* from = weight + o * strides.out + k * strides.tap;
      if (strides.out == 1) {  // lines as they are
        T* to = packed;
        for (int i = 0; i < in; ++i, to += width) {
          std::copy_n(from + i * strides.in, columns, to);
          if (columns < width) std::fill_n(to + columns, width - columns, T(0));
        }
      } else if (strides.in == 1 || columns < width) {
        // Neighbouring input channels are neighbours in memory: read along them.
        T* to = packed;
        if (columns < width) std::fill_n(to, std::ptrdiff_t(in) * width, T(0));
        for (int c = 0; c < columns; ++c)
          for (int i = 0; i < in; ++i)
            to[std::ptrdiff_t(i) * width + c] = from[c * strides.out + i * strides.in];
      } else {
        T* to = packed;
        for (int i = 0; i < in; ++i, to += width)
          for (int c = 0; c < width; ++c) to[c] = from[i * strides.in + c * strides.out];
      }
      packed += std::ptrdiff_t(in) * width;
    }
  }
}

template <class T, int kRows>
HWY_INLINE void conv_tile(int taps, const T* const* rows, const T* const* weights, int in, const T* bias,
                          bool add, T* y, std::ptrdiff_t ldy, int columns) {
  const Tag<T> d;
  using V = hn::Vec<Tag<T>>;
  const std::size_t lanes = hn::Lanes(d);
  const bool whole = columns == int(2 * lanes);
  alignas(64) T edge[kTileRows * 2 * HWY_MAX_BYTES / sizeof(T)];
  const std::ptrdiff_t edge_ld = std::ptrdiff_t(2 * lanes);
  T* out = y;
  std::ptrdiff_t ld = ldy;
  if (!whole) {
    out = edge;
    ld = edge_ld;
    if (add)
      for (int m = 0; m < kRows; ++m) std::copy_n(y + m * ldy, columns, edge + m * edge_ld);
  }
  V sum[kRows][2];
  if (add) {
    HWY_UNROLL(6)
    for (int m = 0; m < kRows; ++m) {
      sum[m][0] = hn::LoadU(d, out + m * ld);
      sum[m][1] = hn::LoadU(d, out + m * ld + lanes);
    }
  } else {
    V b0 = hn::Zero(d), b1 = hn::Zero(d);
    if (bias) {
      alignas(64) T padded[2 * HWY_MAX_BYTES / sizeof(T)] = {};
      std::copy_n(bias, columns, padded);
      b0 = hn::Load(d, padded);
      b1 = hn::Load(d, padded + lanes);
    }
    HWY_UNROLL(6)
    for (int m = 0; m < kRows; ++m) {
      sum[m][0] = b0;
      sum[m][1] = b1;
    }
  }
  for (int k = 0; k < taps; ++k) {
    const T* x[kRows];
    HWY_UNROLL(6)
    for (int m = 0; m < kRows; ++m) x[m] = rows[k * kTileRows + m];
    const T* w = weights[k];
    for (int c = 0; c < in; ++c) {
      const V w0 = hn::LoadU(d, w), w1 = hn::LoadU(d, w + lanes);
      w += 2 * lanes;
      HWY_UNROLL(6)
      for (int m = 0; m < kRows; ++m) {
        const V a = hn::Set(d, x[m][c]);
        sum[m][0] = hn::MulAdd(a, w0, sum[m][0]);
        sum[m][1] = hn::MulAdd(a, w1, sum[m][1]);
      }
    }
  }
  HWY_UNROLL(6)
  for (int m = 0; m < kRows; ++m) {
    hn::StoreU(sum[m][0], d, out + m * ld);
    hn::StoreU(sum[m][1], d, out + m * ld + lanes);
  }
  if (!whole)
    for (int m = 0; m < kRows; ++m) std::copy_n(edge + m * edge_ld, columns, y + m * ldy);
}

template <class T>
void conv(const ConvShape& shape, int n, const T* x, std::ptrdiff_t ldx, const T* packed, const T* bias,
          bool add, T* y, std::ptrdiff_t ldy) {
  thread_local std::vector<T> zeros;
  if (zeros.size() < std::size_t(shape.in)) zeros.assign(std::size_t(shape.in), T(0));
  const int width = panel<T>();
  const std::size_t tap_size = std::size_t(shape.in) * std::size_t(width);
  const int group = std::clamp(int(kPanelBytes / (tap_size * sizeof(T))), 1, shape.taps);
  const int total = shape.rows_out * n;
  for (int o = 0; o < shape.out; o += width, packed += tap_size * std::size_t(shape.taps)) {
    const int columns = std::min(width, shape.out - o);
    for (int first = 0; first < shape.taps; first += group) {
      const int last = std::min(first + group, shape.taps);
      for (int row = 0, s = 0, i = 0; row < total;) {
        // A tile keeps to one output row, whose sequences all have the same taps, unless these are very few;
        // the last ones of a row share what is left.
        int tile = std::min(kTileRows, total - row);
        if (const int left = n - i; n >= 4 && left < kTileRows * kTileRows) {
          const int tiles = (left + kTileRows - 1) / kTileRows;
          tile = (left + tiles - 1) / tiles;
        }
        const T* rows[kMaxTaps * kTileRows];
        const T* weights[kMaxTaps];
        int taps = 0;
        for (int k = first; k < last; ++k) {
          const T** at = rows + taps * kTileRows;
          bool any = false;
          if (i + tile <= n) {
            const int source = shape.source(s, k);
            any = source >= 0;
            const T* from = x + (std::ptrdiff_t(source) * n + i) * ldx;
            if (any)
              for (int m = 0; m < tile; ++m) at[m] = from + m * ldx;
          } else {
            for (int m = 0; m < tile; ++m) {
              const int source = shape.source((row + m) / n, k);
              any = any || source >= 0;
              at[m] = source < 0 ? zeros.data() : x + (std::ptrdiff_t(source) * n + (row + m) % n) * ldx;
            }
          }
          if (any) weights[taps++] = packed + tap_size * std::size_t(k);
        }
        T* to = y + std::ptrdiff_t(row) * ldy + o;
        const T* b = bias && first == 0 ? bias + o : nullptr;
        const bool keep = add || first > 0;
        if (taps > 0 || !keep || b) {
          // With a bias on top of what is there: the bias first.
          if (keep && b) {
            for (int m = 0; m < tile; ++m)
              for (int c = 0; c < columns; ++c) to[m * ldy + c] += b[c];
          }
          switch (tile) {
            case 1:
              conv_tile<T, 1>(taps, rows, weights, shape.in, b, keep, to, ldy, columns);
              break;
            case 2:
              conv_tile<T, 2>(taps, rows, weights, shape.in, b, keep, to, ldy, columns);
              break;
            case 3:
              conv_tile<T, 3>(taps, rows, weights, shape.in, b, keep, to, ldy, columns);
              break;
            case 4:
              conv_tile<T, 4>(taps, rows, weights, shape.in, b, keep, to, ldy, columns);
              break;
            case 5:
              conv_tile<T, 5>(taps, rows, weights, shape.in, b, keep, to, ldy, columns);
              break;
            default:
              conv_tile<T, 6>(taps, rows, weights, shape.in, b, keep, to, ldy, columns);
          }
        }
        row += tile;
        for (i += tile; i >= n; i -= n) ++s;
      }
    }
  }
}

/// dw[m][0 ... columns) (+)= sum over segments and their rows of x[row][m] dy[row][...], m < kRows.
template <class T, int kRows>
HWY_INLINE void weight_tile(int segments, const T* const* x, std::ptrdiff_t ldx, const T* const* dy,
                            int length, bool add, T* dw, std::ptrdiff_t ldw, int columns) {
  const Tag<T> d;
  using V = hn::Vec<Tag<T>>;
  const std::size_t lanes = hn::Lanes(d);
  V sum[kRows][2];
  HWY_UNROLL(6)
  for (int m = 0; m < kRows; ++m) sum[m][0] = sum[m][1] = hn::Zero(d);
  for (int j = 0; j < segments; ++j) {
    const T *a = x[j], *b = dy[j];
    for (int r = 0; r < length; ++r, a += ldx, b += 2 * lanes) {
      const V b0 = hn::LoadU(d, b), b1 = hn::LoadU(d, b + lanes);
      HWY_UNROLL(6)
      for (int m = 0; m < kRows; ++m) {
        const V v = hn::Set(d, a[m]);
        sum[m][0] = hn::MulAdd(v, b0, sum[m][0]);
        sum[m][1] = hn::MulAdd(v, b1, sum[m][1]);
      }
    }
  }
  if (columns == int(2 * lanes)) {
    HWY_UNROLL(6)
    for (int m = 0; m < kRows; ++m) {
      T* to = dw + m * ldw;
      if (add) {
        sum[m][0] = hn::Add(hn::LoadU(d, to), sum[m][0]);
        sum[m][1] = hn::Add(hn::LoadU(d, to + lanes), sum[m][1]);
      }
      hn::StoreU(sum[m][0], d, to);
      hn::StoreU(sum[m][1], d, to + lanes);
    }
    return;
  }
  alignas(64) T edge[2 * HWY_MAX_BYTES / sizeof(T)];
  HWY_UNROLL(6)
  for (int m = 0; m < kRows; ++m) {
    hn::Store(sum[m][0], d, edge);
    hn::Store(sum[m][1], d, edge + lanes);
    for (int c = 0; c < columns; ++c) dw[m * ldw + c] = add ? dw[m * ldw + c] + edge[c] : edge[c];
  }
}

template <class T>
void conv_weight_gradient(const ConvShape& shape, int n, const T* x, std::ptrdiff_t ldx, const T* dy,
                          std::ptrdiff_t ldy, bool add_to, T* dw) {
  constexpr int kChunkRows = 384;  // of dy, packed, at a time: what stays in the L1 cache beside rows of x
  constexpr int kMaxSegments = kChunkRows;
  thread_local std::vector<T> scratch;
  const int width = panel<T>();
  const int chunk = std::clamp(kChunkRows / n, 1, shape.rows_out);
  scratch.resize(std::size_t(chunk) * std::size_t(n) * std::size_t(width));
  std::array<bool, kMaxTaps> begun;
  begun.fill(add_to);
  for (int begin = 0; begin < shape.rows_out; begin += chunk) {
    const int end = std::min(begin + chunk, shape.rows_out);
    std::array<bool, kMaxTaps> here = begun;
    for (int o = 0; o < shape.out; o += width) {
      const int columns = std::min(width, shape.out - o);
      T* to = scratch.data();
      for (std::ptrdiff_t row = std::ptrdiff_t(begin) * n; row < std::ptrdiff_t(end) * n;
           ++row, to += width) {
        std::copy_n(dy + row * ldy + o, columns, to);
        if (columns < width) std::fill_n(to + columns, width - columns, T(0));
      }
      for (int k = 0; k < shape.taps; ++k) {
        const T *a[kMaxSegments], *b[kMaxSegments];
        int segments = 0;
        for (int s = begin; s < end; ++s)
          if (const int source = shape.source(s, k); source >= 0) {
            a[segments] = x + std::ptrdiff_t(source) * n * ldx;
            b[segments++] = scratch.data() + std::ptrdiff_t(s - begin) * n * width;
          }
        if (segments == 0) continue;
        here[std::size_t(k)] = true;
        const bool add = begun[std::size_t(k)];
        int length = n;
        if (shape.stride == 1) {  // neighbouring output rows take neighbouring input rows
          length = n * segments;
          segments = 1;
        }
        for (int i = 0; i < shape.in;) {
          const int left = shape.in - i, tiles = (left + kTileRows - 1) / kTileRows;
          const int tile = (left + tiles - 1) / tiles;
          T* out = dw + (std::ptrdiff_t(k) * shape.in + i) * shape.out + o;
          switch (tile) {
            case 1:
              weight_tile<T, 1>(segments, a, ldx, b, length, add, out, shape.out, columns);
              break;
            case 2:
              weight_tile<T, 2>(segments, a, ldx, b, length, add, out, shape.out, columns);
              break;
            case 3:
              weight_tile<T, 3>(segments, a, ldx, b, length, add, out, shape.out, columns);
              break;
            case 4:
              weight_tile<T, 4>(segments, a, ldx, b, length, add, out, shape.out, columns);
              break;
            case 5:
              weight_tile<T, 5>(segments, a, ldx, b, length, add, out, shape.out, columns);
              break;
            default:
              weight_tile<T, 6>(segments, a, ldx, b, length, add, out, shape.out, columns);
          }
          for (int j = 0; j < segments; ++j) a[j] += tile;
          i += tile;
        }
      }
    }
    begun = here;
  }
}

// --- Element by element. At most 8 lanes, so that every multiple of 8 channels is whole vectors.

template <class T>
using Narrow = hn::CappedTag<T, 8>;

template <class D, class V>
HWY_INLINE hn::TFromD<D> total(D d, V v) {
  return hn::GetLane(hn::SumOfLanes(d, v));
}

/// With e = e^x and w = e (e + 2):  mish(x) = x w / (w + 2);  mish'(x) = (w + 4 x e (e + 1) / (w + 2)) / (w +
/// 2). Beyond 20 mish(x) is x to rounding; not-a-number stays what it is.
template <class D, class V>
HWY_INLINE V mish_of(D d, V x) {
  const V e = hn::Exp(d, hn::Min(x, hn::Set(d, 20)));
  const V w = hn::Mul(e, hn::Add(e, hn::Set(d, 2)));
  const V y = hn::Mul(x, hn::Div(w, hn::Add(w, hn::Set(d, 2))));
  return hn::IfThenElse(hn::Lt(x, hn::Set(d, 20)), y, x);
}
template <class D, class V>
HWY_INLINE V mish_slope(D d, V x) {
  const V e = hn::Exp(d, hn::Min(x, hn::Set(d, 20)));
  const V w = hn::Mul(e, hn::Add(e, hn::Set(d, 2)));
  const V r = hn::Div(hn::Set(d, 1), hn::Add(w, hn::Set(d, 2)));
  const V bend = hn::Mul(hn::Mul(hn::Mul(hn::Set(d, 4), x), hn::Mul(e, hn::Add(e, hn::Set(d, 1)))), r);
  const V slope = hn::Mul(hn::Add(w, bend), r);
  // x - x is 0, or not-a-number where x is not finite.
  return hn::IfThenElse(hn::Lt(x, hn::Set(d, 20)), slope, hn::Add(hn::Set(d, 1), hn::Sub(x, x)));
}

template <class D, class V>
HWY_INLINE V sigmoid(D d, V x) {
  const auto one = hn::Set(d, 1);
  return hn::Div(one, hn::Add(one, hn::Exp(d, hn::Neg(x))));
}

// With p = sigmoid(x):  silu = x p,  silu' = p + x p (1 - p),  silu'' = p (1 - p) (2 + x (1 - 2 p)).
template <class V>
HWY_INLINE V silu_slope(V p, V silu) {
  return hn::NegMulAdd(silu, p, hn::Add(p, silu));
}
template <class D, class V>
HWY_INLINE V silu_bend(D d, V x, V p) {
  const V one = hn::Set(d, 1), two = hn::Set(d, 2);
  return hn::Mul(hn::NegMulAdd(p, p, p), hn::MulAdd(x, hn::NegMulAdd(two, p, one), two));
}

template <Activation kAct, class D, class V>
HWY_INLINE V act_of(D d, V x) {
  if constexpr (kAct == Activation::kMish) return mish_of(d, x);
  return hn::Mul(x, sigmoid(d, x));
}
template <Activation kAct, class D, class V>
HWY_INLINE V act_slope(D d, V x) {
  if constexpr (kAct == Activation::kMish) return mish_slope(d, x);
  const V p = sigmoid(d, x), s = hn::Mul(x, p);
  return silu_slope(p, s);
}

/// one(d, i) over all numbers, by vectors and then singly.
template <class T, class One>
HWY_INLINE void each(std::size_t count, const One& one) {
  const Narrow<T> d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) one(d, i);
  for (; i < count; ++i) one(hn::CappedTag<T, 1>(), i);
}

template <class T>
void mish(std::size_t count, const T* x, T* y) {
  each<T>(count, [&](auto d, std::size_t i) { hn::StoreU(mish_of(d, hn::LoadU(d, x + i)), d, y + i); });
}

template <class T>
void mish_gradient(std::size_t count, const T* x, const T* dy, T* dx) {
  each<T>(count, [&](auto d, std::size_t i) {
    hn::StoreU(hn::Mul(mish_slope(d, hn::LoadU(d, x + i)), hn::LoadU(d, dy + i)), d, dx + i);
  });
}

template <class T>
void relu(std::size_t count, const T* x, T* y) {
  each<T>(count,
          [&](auto d, std::size_t i) { hn::StoreU(hn::Max(hn::LoadU(d, x + i), hn::Zero(d)), d, y + i); });
}

template <class T>
void relu_gradient(std::size_t count, const T* y, const T* dy, T* dx) {
  each<T>(count, [&](auto d, std::size_t i) {
    const auto positive = hn::Gt(hn::LoadU(d, y + i), hn::Zero(d));
    hn::StoreU(hn::IfThenElseZero(positive, hn::LoadU(d, dy + i)), d, dx + i);
  });
}

template <class T>
void tanh(std::size_t count, const T* x, T* y) {
  each<T>(count, [&](auto d, std::size_t i) { hn::StoreU(hn::Tanh(d, hn::LoadU(d, x + i)), d, y + i); });
}

template <class T>
void tanh_gradient(std::size_t count, const T* y, const T* dy, T* dx) {
  each<T>(count, [&](auto d, std::size_t i) {
    const auto value = hn::LoadU(d, y + i), above = hn::LoadU(d, dy + i);
    hn::StoreU(hn::NegMulAdd(hn::Mul(value, value), above, above), d, dx + i);
  });
}

template <class T>
void silu(std::size_t count, const T* a, T* value, T* slope) {
  each<T>(count, [&](auto d, std::size_t i) {
    const auto x = hn::LoadU(d, a + i), p = sigmoid(d, x), s = hn::Mul(x, p);
    hn::StoreU(s, d, value + i);
    hn::StoreU(silu_slope(p, s), d, slope + i);
  });
}

template <class T>
void silu_shifted(int n, int rows, int channels, const T* shift, std::ptrdiff_t shift_stride, T* a, T* value,
                  T* slope) {
  for (int i = 0; i < n; ++i, shift += shift_stride)
    for (int s = 0; s < rows; ++s, a += channels, value += channels, slope += channels)
      each<T>(std::size_t(channels), [&](auto d, std::size_t c) {
        const auto x = hn::Add(hn::LoadU(d, a + c), hn::LoadU(d, shift + c)), p = sigmoid(d, x),
                   y = hn::Mul(x, p);
        hn::StoreU(x, d, a + c);
        hn::StoreU(y, d, value + c);
        hn::StoreU(silu_slope(p, y), d, slope + c);
      });
}

template <class T>
void silu_tangent_gradient(std::ptrdiff_t rows, int channels, const T* a, const T* da, const T* u,
                           std::ptrdiff_t u_stride, const T* slope, T* da_a, T* da_u) {
  const std::ptrdiff_t step = channels;
  for (std::ptrdiff_t r = 0; r < rows;
       ++r, a += step, da += step, u += u_stride, slope += step, da_a += step, da_u += step)
    each<T>(std::size_t(channels), [&](auto d, std::size_t c) {
      const auto x = hn::LoadU(d, a + c), move = hn::LoadU(d, da + c), p = sigmoid(d, x);
      const auto bend = silu_bend(d, x, p);
      hn::StoreU(hn::Mul(bend, hn::Mul(move, hn::LoadU(d, u + c))), d, da_a + c);
      hn::StoreU(hn::Mul(move, hn::LoadU(d, slope + c)), d, da_u + c);
    });
}

template <class T>
void multiply(std::size_t count, const T* a, const T* b, T* y) {
  each<T>(count, [&](auto d, std::size_t i) {
    hn::StoreU(hn::Mul(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, y + i);
  });
}

template <class T>
void multiply_add(std::size_t count, const T* a, const T* b, T* y) {
  each<T>(count, [&](auto d, std::size_t i) {
    hn::StoreU(hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), hn::LoadU(d, y + i)), d, y + i);
  });
}

template <class T>
void adam(std::size_t count, const AdamStep& step, T* weight, T* gradient, T* m, T* v, T* average) {
  // w (1 - lr decay) - lr / c1 m / (sqrt(v) / sqrt(c2) + epsilon), as PyTorch orders it. Where a unit is dead m decays
  // for ever: below the smallest normal number it is 0, since arithmetic with less takes a hundred times as long.
  const T scale = T(step.gradient_scale), move_m = T(1 - step.beta1), move_v = T(1 - step.beta2),
          keep_v = T(step.beta2), unbias_v = T(1 / std::sqrt(step.correction2)), epsilon = T(step.epsilon),
          keep = T(1 - step.lr * step.weight_decay), rate = T(step.lr / step.correction1),
          smallest = std::numeric_limits<T>::min();
  const bool near = step.average_weight < 0.5;  // from the nearer end, so that shares of 0 and 1 are exact
  const T share = near ? T(step.average_weight) : T(1 - step.average_weight);
  each<T>(count, [&](auto d, std::size_t i) {
    const auto set = [&](T value) { return hn::Set(d, value); };
    const auto normal = [&](auto x) { return hn::IfThenZeroElse(hn::Lt(hn::Abs(x), set(smallest)), x); };
    const auto g = hn::Mul(hn::LoadU(d, gradient + i), set(scale));
    const auto old_m = hn::LoadU(d, m + i);
    const auto new_m = normal(hn::MulAdd(hn::Sub(g, old_m), set(move_m), old_m));
    const auto new_v =
        normal(hn::MulAdd(hn::Mul(g, g), set(move_v), hn::Mul(hn::LoadU(d, v + i), set(keep_v))));
    const auto root = hn::MulAdd(hn::Sqrt(new_v), set(unbias_v), set(epsilon));
    const auto w =
        hn::NegMulAdd(hn::Div(new_m, root), set(rate), hn::Mul(hn::LoadU(d, weight + i), set(keep)));
    hn::StoreU(w, d, weight + i);
    hn::StoreU(hn::Zero(d), d, gradient + i);
    hn::StoreU(new_m, d, m + i);
    hn::StoreU(new_v, d, v + i);
    if (average == nullptr) return;
    const auto mean = hn::LoadU(d, average + i);
    const auto way = hn::Sub(w, mean);
    hn::StoreU(near ? hn::MulAdd(way, set(share), mean) : hn::NegMulAdd(way, set(share), w), d, average + i);
  });
}

template <class T>
void add(std::size_t count, const T* x, T* y) {
  each<T>(count, [&](auto d, std::size_t i) {
    hn::StoreU(hn::Add(hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d, y + i);
  });
}

template <class T>
void add_column_sums(std::ptrdiff_t rows, int columns, const T* x, T* sums) {
  const Narrow<T> d;
  const int lanes = int(hn::Lanes(d));
  int c = 0;
  for (; c + lanes <= columns; c += lanes) {
    auto sum = hn::Zero(d);
    for (std::ptrdiff_t row = 0; row < rows; ++row) sum = hn::Add(sum, hn::LoadU(d, x + row * columns + c));
    hn::StoreU(hn::Add(sum, hn::LoadU(d, sums + c)), d, sums + c);
  }
  for (; c < columns; ++c)
    for (std::ptrdiff_t row = 0; row < rows; ++row) sums[c] += x[row * columns + c];
}

constexpr double kEpsilon = 1e-5;  // of all normalisations

/// One vector per channel, kept per thread.
template <class T, int kVectors>
std::array<T*, kVectors> channel_scratch(int channels) {
  thread_local std::vector<T> memory;
  const std::size_t size = std::size_t(channels);
  if (memory.size() < kVectors * size) memory.resize(kVectors * size);
  std::array<T*, kVectors> vectors;
  for (std::size_t i = 0; i < kVectors; ++i) vectors[i] = memory.data() + i * size;
  return vectors;
}

/// Sums of consecutive channels, one per group.
template <class T>
HWY_INLINE void group_sums(int channels, int groups, const T* values, T* sums) {
  const int size = channels / groups;
  const Narrow<T> d;
  const int lanes = int(hn::Lanes(d));
  for (int g = 0; g < groups; ++g, values += size) {
    if (size % lanes == 0) {
      auto sum = hn::LoadU(d, values);
      for (int c = lanes; c < size; c += lanes) sum = hn::Add(sum, hn::LoadU(d, values + c));
      sums[g] = total(d, sum);
    } else {
      sums[g] = 0;
      for (int c = 0; c < size; ++c) sums[g] += values[c];
    }
  }
}

constexpr int kMaxGroups = 64;

template <class T, Activation kAct>
void norm_act_of(int rows, int n, int channels, int groups, const T* u, const T* gain, const T* bias,
                 const T* shift, std::ptrdiff_t shift_stride, const T* residual, T* y, T* mean, T* rstd) {
  const Narrow<T> d;
  const int lanes = int(hn::Lanes(d)), size = channels / groups;
  const auto [sums, slope, offset] = channel_scratch<T, 3>(channels);
  const std::ptrdiff_t stride = std::ptrdiff_t(n) * channels;
  const T count = T(rows) * T(size);
  T group[kMaxGroups];
  for (int i = 0; i < n; ++i, mean += groups, rstd += groups) {
    const T* from = u + std::ptrdiff_t(i) * channels;
    for (int c = 0; c < channels; c += lanes) {
      auto sum = hn::Zero(d);
      for (int s = 0; s < rows; ++s) sum = hn::Add(sum, hn::LoadU(d, from + s * stride + c));
      hn::StoreU(sum, d, sums + c);
    }
    group_sums(channels, groups, sums, group);
    for (int g = 0; g < groups; ++g) {
      mean[g] = group[g] / count;
      std::fill_n(offset + g * size, size, mean[g]);
    }
    for (int c = 0; c < channels; c += lanes) {
      const auto centre = hn::LoadU(d, offset + c);
      auto sum = hn::Zero(d);
      for (int s = 0; s < rows; ++s) {
        const auto v = hn::Sub(hn::LoadU(d, from + s * stride + c), centre);
        sum = hn::MulAdd(v, v, sum);
      }
      hn::StoreU(sum, d, sums + c);
    }
    group_sums(channels, groups, sums, group);
    for (int g = 0; g < groups; ++g) {
      rstd[g] = T(1) / std::sqrt(group[g] / count + T(kEpsilon));
      for (int c = g * size; c < (g + 1) * size; ++c) {
        slope[c] = rstd[g] * gain[c];
        offset[c] = bias[c] - mean[g] * slope[c];
      }
    }
    const T* move = shift ? shift + i * shift_stride : nullptr;
    for (int c = 0; c < channels; c += lanes) {
      const auto a = hn::LoadU(d, slope + c), b = hn::LoadU(d, offset + c);
      const auto m = move ? hn::LoadU(d, move + c) : hn::Zero(d);
      const std::ptrdiff_t at = std::ptrdiff_t(i) * channels + c;
      for (int s = 0; s < rows; ++s) {
        auto v = hn::Add(act_of<kAct>(d, hn::MulAdd(hn::LoadU(d, from + s * stride + c), a, b)), m);
        if (residual) v = hn::Add(v, hn::LoadU(d, residual + at + s * stride));
        hn::StoreU(v, d, y + at + s * stride);
      }
    }
  }
}

template <class T, Activation kAct>
void norm_act_gradient_of(int rows, int n, int channels, int groups, const T* u, const T* gain, const T* bias,
                          const T* mean, const T* rstd, const T* dy, T* du, T* dgain, T* dbias, T* dshift) {
  const Narrow<T> d;
  const int lanes = int(hn::Lanes(d)), size = channels / groups;
  const auto [centre, scale, first, second, p, q, r] = channel_scratch<T, 7>(channels);
  const std::ptrdiff_t stride = std::ptrdiff_t(n) * channels;
  const T count = T(rows) * T(size);
  T sum_first[kMaxGroups], sum_second[kMaxGroups];
  for (int i = 0; i < n; ++i, mean += groups, rstd += groups) {
    for (int g = 0; g < groups; ++g) {
      std::fill_n(centre + g * size, size, mean[g]);
      std::fill_n(scale + g * size, size, rstd[g]);
    }
    const std::ptrdiff_t at = std::ptrdiff_t(i) * channels;
    for (int c = 0; c < channels; c += lanes) {
      const auto m = hn::LoadU(d, centre + c), k = hn::LoadU(d, scale + c), a = hn::LoadU(d, gain + c),
                 b = hn::LoadU(d, bias + c);
      auto sum = hn::Zero(d), s1 = hn::Zero(d), s2 = hn::Zero(d);
      for (int s = 0; s < rows; ++s) {
        const std::ptrdiff_t here = at + s * stride + c;
        const auto normed = hn::Mul(hn::Sub(hn::LoadU(d, u + here), m), k);
        const auto above = hn::LoadU(d, dy + here);
        const auto z = hn::Mul(above, act_slope<kAct>(d, hn::MulAdd(normed, a, b)));
        hn::StoreU(z, d, du + here);
        sum = hn::Add(sum, above);
        s1 = hn::Add(s1, z);
        s2 = hn::MulAdd(z, normed, s2);
      }
      if (dshift) hn::StoreU(sum, d, dshift + at + c);
      if (dgain) {
        hn::StoreU(hn::Add(hn::LoadU(d, dgain + c), s2), d, dgain + c);
        hn::StoreU(hn::Add(hn::LoadU(d, dbias + c), s1), d, dbias + c);
      }
      hn::StoreU(hn::Mul(a, s1), d, first + c);
      hn::StoreU(hn::Mul(a, s2), d, second + c);
      hn::StoreU(hn::Mul(a, k), d, p + c);
    }
    group_sums(channels, groups, first, sum_first);
    group_sums(channels, groups, second, sum_second);
    for (int g = 0; g < groups; ++g) {
      std::fill_n(q + g * size, size, rstd[g] * sum_first[g] / count);
      std::fill_n(r + g * size, size, rstd[g] * rstd[g] * sum_second[g] / count);
    }
    for (int c = 0; c < channels; c += lanes) {
      const auto m = hn::LoadU(d, centre + c), a = hn::LoadU(d, p + c), b = hn::LoadU(d, q + c),
                 k = hn::LoadU(d, r + c);
      for (int s = 0; s < rows; ++s) {
        const std::ptrdiff_t here = at + s * stride + c;
        const auto centred = hn::Sub(hn::LoadU(d, u + here), m);
        hn::StoreU(hn::Sub(hn::MulSub(hn::LoadU(d, du + here), a, b), hn::Mul(centred, k)), d, du + here);
      }
    }
  }
}

// With z = (u - mean) rstd and a = gain z + bias, per group, <> a mean over it:
//   dz = rstd (du - <du> - z <z du>),  dy = silu'(a) gain dz
template <class T>
void norm_silu_tangent(int rows, int n, int channels, int groups, const T* u, const T* gain, const T* bias,
                       const T* mean, const T* rstd, const T* du, const T* residual, T* dy, T* du_mean,
                       T* du_slope) {
  const Narrow<T> d;
  const int lanes = int(hn::Lanes(d)), size = channels / groups;
  const auto [centre, scale, first, second] = channel_scratch<T, 4>(channels);
  const std::ptrdiff_t stride = std::ptrdiff_t(n) * channels;
  const T count = T(rows) * T(size);
  for (int i = 0; i < n; ++i, mean += groups, rstd += groups, du_mean += groups, du_slope += groups) {
    for (int g = 0; g < groups; ++g) {
      std::fill_n(centre + g * size, size, mean[g]);
      std::fill_n(scale + g * size, size, rstd[g]);
    }
    const std::ptrdiff_t at = std::ptrdiff_t(i) * channels;
    for (int c = 0; c < channels; c += lanes) {
      const auto m = hn::LoadU(d, centre + c), k = hn::LoadU(d, scale + c);
      auto s1 = hn::Zero(d), s2 = hn::Zero(d);
      for (int s = 0; s < rows; ++s) {
        const auto move = hn::LoadU(d, du + at + s * stride + c);
        const auto z = hn::Mul(hn::Sub(hn::LoadU(d, u + at + s * stride + c), m), k);
        s1 = hn::Add(s1, move);
        s2 = hn::MulAdd(z, move, s2);
      }
      hn::StoreU(s1, d, first + c);
      hn::StoreU(s2, d, second + c);
    }
    group_sums(channels, groups, first, du_mean);
    group_sums(channels, groups, second, du_slope);
    for (int g = 0; g < groups; ++g) {
      du_mean[g] /= count;
      du_slope[g] /= count;
      std::fill_n(first + g * size, size, du_mean[g]);
      std::fill_n(second + g * size, size, du_slope[g]);
    }
    for (int c = 0; c < channels; c += lanes) {
      const auto m = hn::LoadU(d, centre + c), k = hn::LoadU(d, scale + c), a = hn::LoadU(d, gain + c),
                 b = hn::LoadU(d, bias + c), m1 = hn::LoadU(d, first + c), m2 = hn::LoadU(d, second + c);
      for (int s = 0; s < rows; ++s) {
        const std::ptrdiff_t here = at + s * stride + c;
        const auto z = hn::Mul(hn::Sub(hn::LoadU(d, u + here), m), k);
        const auto dz = hn::Mul(k, hn::NegMulAdd(z, m2, hn::Sub(hn::LoadU(d, du + here), m1)));
        const auto slope = hn::Mul(a, act_slope<Activation::kSilu>(d, hn::MulAdd(z, a, b)));
        auto v = hn::Mul(slope, dz);
        if (residual) v = hn::Add(v, hn::LoadU(d, residual + here));
        hn::StoreU(v, d, dy + here);
      }
    }
  }
}

// Adjoints of y and dy come in, those of u, gain, bias and shift go out. With p = silu'(a) and q = silu''(a):
//   z~ = gain p dy~                              adjoint of dz
//   w  = gain (p y~ + q gain dz dy~) - rstd <z du> z~
//   u~ = rstd (w - <w> - z <w z> - z <z~ dz> - rstd <z z~> (du - <du> - z <z du>))
template <class T>
void norm_silu_tangent_gradient(int rows, int n, int channels, int groups, const T* u, const T* gain,
                                const T* bias, const T* mean, const T* rstd, const T* du, const T* du_mean,
                                const T* du_slope, const T* y_adjoint, const T* dy_adjoint, T* u_adjoint,
                                T* dgain, T* dbias, T* dshift) {
  const Narrow<T> d;
  const int lanes = int(hn::Lanes(d)), size = channels / groups;
  const auto [centre, scale, m1, m2, sum_w, sum_wz, sum_zz, sum_zdz] = channel_scratch<T, 8>(channels);
  const std::ptrdiff_t stride = std::ptrdiff_t(n) * channels;
  const T count = T(rows) * T(size);
  T group[4][kMaxGroups];
  for (int i = 0; i < n; ++i, mean += groups, rstd += groups, du_mean += groups, du_slope += groups) {
    for (int g = 0; g < groups; ++g) {
      std::fill_n(centre + g * size, size, mean[g]);
      std::fill_n(scale + g * size, size, rstd[g]);
      std::fill_n(m1 + g * size, size, du_mean[g]);
      std::fill_n(m2 + g * size, size, du_slope[g]);
    }
    const std::ptrdiff_t at = std::ptrdiff_t(i) * channels;
    for (int c = 0; c < channels; c += lanes) {
      const auto m = hn::LoadU(d, centre + c), k = hn::LoadU(d, scale + c), a = hn::LoadU(d, gain + c),
                 b = hn::LoadU(d, bias + c), mean_move = hn::LoadU(d, m1 + c),
                 slope_move = hn::LoadU(d, m2 + c);
      const auto back = hn::Mul(k, slope_move);
      auto sy = hn::Zero(d), sa = hn::Zero(d), sg = hn::Zero(d), w1 = hn::Zero(d), w2 = hn::Zero(d),
           zz = hn::Zero(d), zdz = hn::Zero(d);
      for (int s = 0; s < rows; ++s) {
        const std::ptrdiff_t here = at + s * stride + c;
        const auto z = hn::Mul(hn::Sub(hn::LoadU(d, u + here), m), k);
        const auto dz = hn::Mul(k, hn::NegMulAdd(z, slope_move, hn::Sub(hn::LoadU(d, du + here), mean_move)));
        const auto x = hn::MulAdd(z, a, b), p = sigmoid(d, x), act = hn::Mul(x, p);
        const auto slope = silu_slope(p, act);
        const auto bend = silu_bend(d, x, p);
        const auto above = hn::LoadU(d, y_adjoint + here), across = hn::LoadU(d, dy_adjoint + here);
        const auto da = hn::Mul(across, slope), dz_adjoint = hn::Mul(a, da);
        const auto x_adjoint = hn::MulAdd(above, slope, hn::Mul(hn::Mul(across, bend), hn::Mul(a, dz)));
        const auto w = hn::NegMulAdd(back, dz_adjoint, hn::Mul(a, x_adjoint));
        hn::StoreU(w, d, u_adjoint + here);
        sy = hn::Add(sy, above);
        sa = hn::Add(sa, x_adjoint);
        sg = hn::MulAdd(da, dz, hn::MulAdd(x_adjoint, z, sg));
        w1 = hn::Add(w1, w);
        w2 = hn::MulAdd(w, z, w2);
        zz = hn::MulAdd(z, dz_adjoint, zz);
        zdz = hn::MulAdd(dz_adjoint, dz, zdz);
      }
      if (dshift) hn::StoreU(sy, d, dshift + at + c);
      hn::StoreU(hn::Add(hn::LoadU(d, dgain + c), sg), d, dgain + c);
      hn::StoreU(hn::Add(hn::LoadU(d, dbias + c), sa), d, dbias + c);
      hn::StoreU(w1, d, sum_w + c);
      hn::StoreU(w2, d, sum_wz + c);
      hn::StoreU(zz, d, sum_zz + c);
      hn::StoreU(zdz, d, sum_zdz + c);
    }
    group_sums(channels, groups, sum_w, group[0]);
    group_sums(channels, groups, sum_wz, group[1]);
    group_sums(channels, groups, sum_zz, group[2]);
    group_sums(channels, groups, sum_zdz, group[3]);
    for (int g = 0; g < groups; ++g) {
      const T pull = rstd[g] * group[2][g] / count;
      std::fill_n(sum_w + g * size, size, group[0][g] / count - pull * du_mean[g]);
      std::fill_n(sum_wz + g * size, size, (group[1][g] + group[3][g]) / count - pull * du_slope[g]);
      std::fill_n(sum_zz + g * size, size, pull);
    }
    for (int c = 0; c < channels; c += lanes) {
      const auto m = hn::LoadU(d, centre + c), k = hn::LoadU(d, scale + c), first = hn::LoadU(d, sum_w + c),
                 second = hn::LoadU(d, sum_wz + c), pull = hn::LoadU(d, sum_zz + c);
      for (int s = 0; s < rows; ++s) {
        const std::ptrdiff_t here = at + s * stride + c;
        const auto z = hn::Mul(hn::Sub(hn::LoadU(d, u + here), m), k);
        const auto w =
            hn::NegMulAdd(pull, hn::LoadU(d, du + here), hn::Sub(hn::LoadU(d, u_adjoint + here), first));
        hn::StoreU(hn::Mul(k, hn::NegMulAdd(z, second, w)), d, u_adjoint + here);
      }
    }
  }
}

template <class T>
void norm_act(Activation act, int rows, int n, int channels, int groups, const T* u, const T* gain,
              const T* bias, const T* shift, std::ptrdiff_t shift_stride, const T* residual, T* y, T* mean,
              T* rstd) {
  const auto run =
      act == Activation::kMish ? norm_act_of<T, Activation::kMish> : norm_act_of<T, Activation::kSilu>;
  run(rows, n, channels, groups, u, gain, bias, shift, shift_stride, residual, y, mean, rstd);
}

template <class T>
void norm_act_gradient(Activation act, int rows, int n, int channels, int groups, const T* u, const T* gain,
                       const T* bias, const T* mean, const T* rstd, const T* dy, T* du, T* dgain, T* dbias,
                       T* dshift) {
  const auto run = act == Activation::kMish ? norm_act_gradient_of<T, Activation::kMish>
                                            : norm_act_gradient_of<T, Activation::kSilu>;
  run(rows, n, channels, groups, u, gain, bias, mean, rstd, dy, du, dgain, dbias, dshift);
}

template <class T>
void channel_norm(std::ptrdiff_t count, int channels, const T* x, const T* gain, const T* bias, T* y) {
  const Narrow<T> d;
  const int lanes = int(hn::Lanes(d));
  for (std::ptrdiff_t row = 0; row < count; ++row, x += channels, y += channels) {
    auto sum = hn::Zero(d), squares = hn::Zero(d);
    for (int c = 0; c < channels; c += lanes) sum = hn::Add(sum, hn::LoadU(d, x + c));
    const auto mean = hn::Set(d, total(d, sum) / T(channels));
    for (int c = 0; c < channels; c += lanes) {
      const auto v = hn::Sub(hn::LoadU(d, x + c), mean);
      squares = hn::MulAdd(v, v, squares);
    }
    const auto rstd = hn::Set(d, T(1) / std::sqrt(total(d, squares) / T(channels) + T(kEpsilon)));
    for (int c = 0; c < channels; c += lanes) {
      const auto v = hn::Mul(hn::Sub(hn::LoadU(d, x + c), mean), rstd);
      hn::StoreU(hn::MulAdd(v, hn::LoadU(d, gain + c), hn::LoadU(d, bias + c)), d, y + c);
    }
  }
}

template <class T>
void channel_norm_gradient(std::ptrdiff_t count, int channels, const T* x, const T* gain, const T* dy, T* dx,
                           T* dgain, T* dbias) {
  const Narrow<T> d;
  const int lanes = int(hn::Lanes(d));
  for (std::ptrdiff_t row = 0; row < count; ++row, x += channels, dy += channels, dx += channels) {
    auto sum = hn::Zero(d), squares = hn::Zero(d);
    for (int c = 0; c < channels; c += lanes) sum = hn::Add(sum, hn::LoadU(d, x + c));
    const auto mean = hn::Set(d, total(d, sum) / T(channels));
    for (int c = 0; c < channels; c += lanes) {
      const auto v = hn::Sub(hn::LoadU(d, x + c), mean);
      squares = hn::MulAdd(v, v, squares);
    }
    const auto rstd = hn::Set(d, T(1) / std::sqrt(total(d, squares) / T(channels) + T(kEpsilon)));
    auto s1 = hn::Zero(d), s2 = hn::Zero(d);
    for (int c = 0; c < channels; c += lanes) {
      const auto v = hn::Mul(hn::Sub(hn::LoadU(d, x + c), mean), rstd), above = hn::LoadU(d, dy + c);
      const auto z = hn::Mul(above, hn::LoadU(d, gain + c));
      s1 = hn::Add(s1, z);
      s2 = hn::MulAdd(z, v, s2);
      if (dgain) {
        hn::StoreU(hn::MulAdd(above, v, hn::LoadU(d, dgain + c)), d, dgain + c);
        hn::StoreU(hn::Add(above, hn::LoadU(d, dbias + c)), d, dbias + c);
      }
    }
    const auto q = hn::Set(d, total(d, s1) / T(channels)), r = hn::Set(d, total(d, s2) / T(channels));
    for (int c = 0; c < channels; c += lanes) {
      const auto v = hn::Mul(hn::Sub(hn::LoadU(d, x + c), mean), rstd);
      const auto z = hn::Mul(hn::LoadU(d, dy + c), hn::LoadU(d, gain + c));
      const auto part = hn::Mul(rstd, hn::Sub(hn::Sub(z, q), hn::Mul(v, r)));
      hn::StoreU(hn::Add(hn::LoadU(d, dx + c), part), d, dx + c);
    }
  }
}

constexpr int kHead = 32;  // channels of an attention head

template <class T>
void linear_attention(int rows, int n, int heads, T* qkv, T* y) {
  const Narrow<T> d;
  const int lanes = int(hn::Lanes(d)), width = heads * kHead;
  const std::ptrdiff_t in = std::ptrdiff_t(n) * 3 * width, out = std::ptrdiff_t(n) * width;
  const auto scale = hn::Set(d, T(1) / std::sqrt(T(kHead)));
  T context[kHead * kHead];
  for (int i = 0; i < n; ++i)
    for (int head = 0; head < heads; ++head) {
      const T* q = qkv + std::ptrdiff_t(i) * 3 * width + head * kHead;
      T* k = qkv + std::ptrdiff_t(i) * 3 * width + width + head * kHead;
      const T* v = k + width;
      for (int c = 0; c < kHead; c += lanes) {
        auto largest = hn::LoadU(d, k + c), sum = hn::Zero(d);
        for (int s = 1; s < rows; ++s) largest = hn::Max(largest, hn::LoadU(d, k + s * in + c));
        for (int s = 0; s < rows; ++s) {
          const auto e = hn::Exp(d, hn::Sub(hn::LoadU(d, k + s * in + c), largest));
          sum = hn::Add(sum, e);
          hn::StoreU(e, d, k + s * in + c);
        }
        for (int s = 0; s < rows; ++s)
          hn::StoreU(hn::Div(hn::LoadU(d, k + s * in + c), sum), d, k + s * in + c);
      }
      for (int key = 0; key < kHead; ++key)
        for (int c = 0; c < kHead; c += lanes) {
          auto sum = hn::Zero(d);
          for (int s = 0; s < rows; ++s)
            sum = hn::MulAdd(hn::Set(d, k[s * in + key]), hn::LoadU(d, v + s * in + c), sum);
          hn::StoreU(hn::Mul(sum, scale), d, context + key * kHead + c);
        }
      T* to = y + std::ptrdiff_t(i) * width + head * kHead;
      for (int s = 0; s < rows; ++s)
        for (int c = 0; c < kHead; c += lanes) {
          auto sum = hn::Zero(d);
          for (int key = 0; key < kHead; ++key)
            sum = hn::MulAdd(hn::Set(d, q[s * in + key]), hn::LoadU(d, context + key * kHead + c), sum);
          hn::StoreU(sum, d, to + s * out + c);
        }
    }
}

template <class T>
void linear_attention_gradient(int rows, int n, int heads, const T* qkv, const T* dy, T* dqkv) {
  const Narrow<T> d;
  const int lanes = int(hn::Lanes(d)), width = heads * kHead;
  const std::ptrdiff_t in = std::ptrdiff_t(n) * 3 * width, out = std::ptrdiff_t(n) * width;
  const T scale = T(1) / std::sqrt(T(kHead));
  // [key][value] and the transpose: sums run along the one index, vectors along the other.
  T context_t[kHead * kHead], slope[kHead * kHead], slope_t[kHead * kHead];
  for (int i = 0; i < n; ++i)
    for (int head = 0; head < heads; ++head) {
      const std::ptrdiff_t at = std::ptrdiff_t(i) * 3 * width + head * kHead;
      const T *q = qkv + at, *k = q + width, *v = k + width,
              *above = dy + std::ptrdiff_t(i) * width + head * kHead;
      T *dq = dqkv + at, *dk = dq + width, *dv = dk + width;
      for (int key = 0; key < kHead; ++key)
        for (int c = 0; c < kHead; c += lanes) {
          auto sum = hn::Zero(d), flow = hn::Zero(d), flow_t = hn::Zero(d);
          for (int s = 0; s < rows; ++s) {
            // Here `key` stands for the value's index in the two transposes.
            sum = hn::MulAdd(hn::Set(d, v[s * in + key]), hn::LoadU(d, k + s * in + c), sum);
            flow = hn::MulAdd(hn::Set(d, q[s * in + key]), hn::LoadU(d, above + s * out + c), flow);
            flow_t = hn::MulAdd(hn::Set(d, above[s * out + key]), hn::LoadU(d, q + s * in + c), flow_t);
          }
          hn::StoreU(hn::Mul(sum, hn::Set(d, scale)), d, context_t + key * kHead + c);
          hn::StoreU(hn::Mul(flow, hn::Set(d, scale)), d, slope + key * kHead + c);
          hn::StoreU(hn::Mul(flow_t, hn::Set(d, scale)), d, slope_t + key * kHead + c);
        }
      for (int s = 0; s < rows; ++s)
        for (int c = 0; c < kHead; c += lanes) {
          auto to_q = hn::Zero(d), to_k = hn::Zero(d), to_v = hn::Zero(d);
          for (int j = 0; j < kHead; ++j) {
            to_q = hn::MulAdd(hn::Set(d, above[s * out + j]), hn::LoadU(d, context_t + j * kHead + c), to_q);
            to_k = hn::MulAdd(hn::Set(d, v[s * in + j]), hn::LoadU(d, slope_t + j * kHead + c), to_k);
            to_v = hn::MulAdd(hn::Set(d, k[s * in + j]), hn::LoadU(d, slope + j * kHead + c), to_v);
          }
          hn::StoreU(to_q, d, dq + s * in + c);
          hn::StoreU(to_k, d, dk + s * in + c);
          hn::StoreU(to_v, d, dv + s * in + c);
        }
      for (int c = 0; c < kHead; c += lanes) {  // through the softmax over rows
        auto sum = hn::Zero(d);
        for (int s = 0; s < rows; ++s)
          sum = hn::MulAdd(hn::LoadU(d, k + s * in + c), hn::LoadU(d, dk + s * in + c), sum);
        for (int s = 0; s < rows; ++s) {
          const auto here = hn::Sub(hn::LoadU(d, dk + s * in + c), sum);
          hn::StoreU(hn::Mul(hn::LoadU(d, k + s * in + c), here), d, dk + s * in + c);
        }
      }
    }
}

template <class T>
const Kernels<T>& table() {
  static constexpr Kernels<T> functions = {panel<T>,
                                           packed_size<T>,
                                           pack<T>,
                                           conv<T>,
                                           conv_weight_gradient<T>,
                                           add_column_sums<T>,
                                           norm_act<T>,
                                           norm_act_gradient<T>,
                                           norm_silu_tangent<T>,
                                           norm_silu_tangent_gradient<T>,
                                           channel_norm<T>,
                                           channel_norm_gradient<T>,
                                           linear_attention<T>,
                                           linear_attention_gradient<T>,
                                           mish<T>,
                                           mish_gradient<T>,
                                           relu<T>,
                                           relu_gradient<T>,
                                           tanh<T>,
                                           tanh_gradient<T>,
                                           silu<T>,
                                           silu_shifted<T>,
                                           silu_tangent_gradient<T>,
                                           multiply<T>,
                                           multiply_add<T>,
                                           adam<T>,
                                           add<T>};
  return functions;
}
const Kernels<float>& float_table() {
  return table<float>();
}
const Kernels<double>& double_table() {
  return table<double>();
}
const char* target_name() {
  return hwy::TargetName(HWY_TARGET);
}

}  // namespace HWY_NAMESPACE
}  // namespace diffreward::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace diffreward::kernels {

HWY_EXPORT(float_table);
HWY_EXPORT(double_table);
HWY_EXPORT(target_name);

template <>
const Kernels<float>& kernels<float>() {
  return HWY_DYNAMIC_DISPATCH(float_table)();
}
template <>
const Kernels<double>& kernels<double>() {
  return HWY_DYNAMIC_DISPATCH(double_table)();
}
std::string instruction_set() {
  return HWY_DYNAMIC_DISPATCH(target_name)();
}

}  // namespace diffreward::kernels
#endif  // HWY_ONCE
