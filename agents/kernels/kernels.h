// The inner loops of temporal convolution nets on a CPU, in float and double: plain pointers, one thread,
// nothing allocated in the steady state. Compiled for several instruction sets by Highway; the best one the
// processor has is taken at run time.
//
// A batch of n sequences is stored row by row, [rows][n][channels]: the same row of all sequences is
// contiguous. A tap of a convolution is then a matrix product of neighbouring rows, and products with the
// padding are never computed.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace diffreward::kernels {

/// The instruction set in use, in Highway's words, as "AVX2".
std::string instruction_set();

/// A 1-D convolution or, with `transposed`, the adjoint of one: which input row feeds which output row by
/// which tap.
struct ConvShape {
  int in, out;  ///< channels
  int taps, stride, pad;
  int rows_in, rows_out;
  bool transposed = false;

  /// Whether tap k meets anything but padding.
  bool used(int k) const {
    for (int s = 0; s < rows_out; ++s)
      if (source(s, k) >= 0) return true;
    return false;
  }
  /// The input row that tap k takes for output row s, or -1 where it lies outside.
  int source(int s, int k) const {
    if (!transposed) {
      const int row = s * stride + k - pad;
      return row >= 0 && row < rows_in ? row : -1;
    }
    const int row = s + pad - k;
    return row >= 0 && row % stride == 0 && row / stride < rows_in ? row / stride : -1;
  }
  ConvShape adjoint() const { return {out, in, taps, stride, pad, rows_out, rows_in, !transposed}; }
};

enum class Activation { kMish, kSilu };

/// AdamW (Loshchilov and Hutter 2019) with an exponential moving average of the weights.
struct AdamStep {
  double lr, beta1, beta2, epsilon, weight_decay;
  double correction1, correction2;  ///< 1 - beta^step
  double gradient_scale;            ///< the gradient is multiplied by it first
  double average_weight;            ///< share of the new weights in the average
};

/// How a weight lies in memory: the value of (output channel o, input channel i, tap k) is at o * out + i *
/// in + k * tap.
struct WeightStrides {
  std::ptrdiff_t out, in, tap;
};

/// The functions of one instruction set. T is float or double.
template <class T>
struct Kernels {
  /// Output channels of a panel, the unit in which conv() can be divided: that many columns of y depend on
  /// one panel.
  int (*panel)();
  /// Numbers that pack() writes, panel by panel.
  std::size_t (*packed_size)(int in, int out, int taps);
  /// Rearranges a weight into the panels that conv() reads.
  void (*pack)(const T* weight, WeightStrides strides, int in, int out, int taps, T* packed);

  /// y (+)= conv(x) + bias.  x: [rows_in][n][in], y: [rows_out][n][out]; sequence i of row s is at
  /// x + (s n + i) ldx. bias: [out] or null; `add` keeps what is in y.
  void (*conv)(const ConvShape& shape, int n, const T* x, std::ptrdiff_t ldx, const T* packed, const T* bias,
               bool add, T* y, std::ptrdiff_t ldy);
  /// dw[k][i][o] (+)= sum over rows and sequences of x dy, the gradient of a weight. Taps that only meet
  /// padding are left as they are.
  void (*conv_weight_gradient)(const ConvShape& shape, int n, const T* x, std::ptrdiff_t ldx, const T* dy,
                               std::ptrdiff_t ldy, bool add, T* dw);
  /// sums[c] += sum over rows of x[row][c].
  void (*add_column_sums)(std::ptrdiff_t rows, int columns, const T* x, T* sums);

  /// y = act(group_norm(u)) + shift + residual.  u, residual, y: [rows][n][channels]; gain, bias: [channels];
  /// shift: sequence i's at shift + i * shift_stride, or null; residual may be null or y. Writes mean and 1 /
  /// deviation per sequence and group, [n][groups].  channels: a multiple of 8 and of groups.  Wu and He
  /// 2018.
  void (*norm_act)(Activation act, int rows, int n, int channels, int groups, const T* u, const T* gain,
                   const T* bias, const T* shift, std::ptrdiff_t shift_stride, const T* residual, T* y,
                   T* mean, T* rstd);
  /// Its gradient: du = ..., dgain, dbias += ... [channels], dshift = ... [n][channels] or null. dy and du
  /// may not overlap. dgain and dbias may be null together.
  void (*norm_act_gradient)(Activation act, int rows, int n, int channels, int groups, const T* u,
                            const T* gain, const T* bias, const T* mean, const T* rstd, const T* dy, T* du,
                            T* dgain, T* dbias, T* dshift);

  /// How norm_act with SiLU moves with u: dy = d norm_act(u + e du) / d e + residual. mean and rstd are
  /// norm_act()'s, residual may be null or dy. Writes the means over each group of du and of normed u times
  /// du, [n][groups].
  void (*norm_silu_tangent)(int rows, int n, int channels, int groups, const T* u, const T* gain,
                            const T* bias, const T* mean, const T* rstd, const T* du, const T* residual,
                            T* dy, T* du_mean, T* du_slope);
  /// The reverse of both: from a scalar's derivatives in y and dy those in u, in gain and bias (+=) and in
  /// the shift, [n][channels] or null. u_adjoint may not overlap its sources.
  void (*norm_silu_tangent_gradient)(int rows, int n, int channels, int groups, const T* u, const T* gain,
                                     const T* bias, const T* mean, const T* rstd, const T* du,
                                     const T* du_mean, const T* du_slope, const T* y_adjoint,
                                     const T* dy_adjoint, T* u_adjoint, T* dgain, T* dbias, T* dshift);

  /// y = (x - mean) / sqrt(variance + eps) * gain + bias over the channels of each of `count` rows.
  void (*channel_norm)(std::ptrdiff_t count, int channels, const T* x, const T* gain, const T* bias, T* y);
  /// dx += ..., dgain, dbias += ..., both [channels] or both null.
  void (*channel_norm_gradient)(std::ptrdiff_t count, int channels, const T* x, const T* gain, const T* dy,
                                T* dx, T* dgain, T* dbias);

  /// Linear attention (Shen et al. 2021) over the rows of each sequence.  qkv: [rows][n][3][heads][32], whose
  /// key part becomes its softmax over rows; y: [rows][n][heads][32];  y = (softmax(k)^T v)^T q / sqrt(32).
  void (*linear_attention)(int rows, int n, int heads, T* qkv, T* y);
  /// qkv as linear_attention() left it; dqkv = ...
  void (*linear_attention_gradient)(int rows, int n, int heads, const T* qkv, const T* dy, T* dqkv);

  /// y = mish(x), count numbers; y may be x.
  void (*mish)(std::size_t count, const T* x, T* y);
  /// dx = mish'(x) dy; dx may be dy.
  void (*mish_gradient)(std::size_t count, const T* x, const T* dy, T* dx);
  /// y = max(x, 0), count numbers; y may be x.
  void (*relu)(std::size_t count, const T* x, T* y);
  /// dx = dy where relu's y is positive, else 0; dx may be dy.
  void (*relu_gradient)(std::size_t count, const T* y, const T* dy, T* dx);
  /// y = tanh(x), count numbers; y may be x.
  void (*tanh)(std::size_t count, const T* x, T* y);
  /// dx = (1 - y^2) dy with tanh's y; dx may be dy.
  void (*tanh_gradient)(std::size_t count, const T* y, const T* dy, T* dx);
  /// value = silu(a), slope = silu'(a), count numbers.  Elfwing et al. 2018
  void (*silu)(std::size_t count, const T* a, T* value, T* slope);
  /// The same over [n][rows][channels] after a += shift, sequence i's at shift + i * shift_stride.
  void (*silu_shifted)(int n, int rows, int channels, const T* shift, std::ptrdiff_t shift_stride, T* a,
                       T* value, T* slope);
  /// What becomes of u silu'(a) da, the tangent of silu weighted by u: with da given, its derivatives in a
  /// and in u, over [rows][channels], row r of u at u + r * u_stride.  da_a = silu''(a) da u,  da_u = slope
  /// da
  void (*silu_tangent_gradient)(std::ptrdiff_t rows, int channels, const T* a, const T* da, const T* u,
                                std::ptrdiff_t u_stride, const T* slope, T* da_a, T* da_u);
  /// y = a b; y may be a or b.
  void (*multiply)(std::size_t count, const T* a, const T* b, T* y);
  /// y = a b + y.
  void (*multiply_add)(std::size_t count, const T* a, const T* b, T* y);
  /// One step over `count` numbers; the gradient is zero afterwards. `average` may be null.
  void (*adam)(std::size_t count, const AdamStep& step, T* weight, T* gradient, T* m, T* v, T* average);
  /// y += x.
  void (*add)(std::size_t count, const T* x, T* y);
};

/// Those of the best instruction set that this processor has.
template <class T>
const Kernels<T>& kernels();
template <>
const Kernels<float>& kernels();
template <>
const Kernels<double>& kernels();

}  // namespace diffreward::kernels
