#include "agents/kernels/conv_program.h"

#include <algorithm>

#include "agents/parallel.h"

namespace diffreward {
namespace {

constexpr std::ptrdiff_t kWorthSharing = 1 << 18;  // products of a layer that outweigh waking a thread

}  // namespace

template <class T>
std::size_t ConvProgram<T>::conv(const std::string& name, const kernels::ConvShape& shape, bool with_bias) {
  Conv conv{shape,
            index_(name + ".weight"),
            with_bias ? index_(name + ".bias") : kNone,
            packed_size_,
            adjoint_size_,
            plain_size_,
            gradient_size_,
            0};
  const auto& k = kernels::kernels<T>();
  packed_size_ += k.packed_size(shape.in, shape.out, shape.taps);
  adjoint_size_ += k.packed_size(shape.out, shape.in, shape.taps);
  gradient_size_ += std::size_t(shape.taps) * std::size_t(shape.in) * std::size_t(shape.out);
  conv.bias_gradient = gradient_size_;
  if (with_bias) {
    plain_size_ += std::size_t(shape.out);
    gradient_size_ += std::size_t(shape.out);
  }
  convs_.push_back(conv);
  return convs_.size() - 1;
}

template <class T>
std::size_t ConvProgram<T>::vector(const std::string& name, int size) {
  vectors_.push_back({index_(name), std::size_t(size), plain_size_, gradient_size_});
  plain_size_ += std::size_t(size);
  gradient_size_ += std::size_t(size);
  return vectors_.size() - 1;
}

template <class T>
std::size_t ConvProgram<T>::largest_input() const {
  std::size_t largest = 0;
  for (const Conv& conv : convs_)
    largest = std::max(largest, std::size_t(conv.shape.rows_in) * std::size_t(conv.shape.in));
  return largest;
}

template <class T>
void ConvProgram<T>::begin_gradients(T* gradients) const {
  for (const Conv& conv : convs_)  // the kernels add to these
    if (conv.bias != kNone) std::fill_n(gradients + conv.bias_gradient, conv.shape.out, T(0));
  for (const Vector& vector : vectors_) std::fill_n(gradients + vector.gradient, vector.size, T(0));
}

template <class T>
template <class Parameter>
kernels::WeightStrides ConvProgram<T>::strides_of(const Conv& conv, const Parameter& parameter) {
  const auto& [first, second, tap] = parameter.strides;
  return conv.shape.transposed ? kernels::WeightStrides{second, first, tap}
                               : kernels::WeightStrides{first, second, tap};
}

template <class T>
void ConvProgram<T>::pack(std::size_t job, const std::vector<ParameterView<const T>>& parameters,
                          PackedWeights<T>& weights) const {
  if (job >= convs_.size()) {
    const Vector& vector = vectors_[job - convs_.size()];
    std::copy_n(parameters[vector.parameter].data, vector.size, weights.plain.data() + vector.plain);
    return;
  }
  const auto& k = kernels::kernels<T>();
  const Conv& conv = convs_[job];
  const kernels::ConvShape& shape = conv.shape;
  const ParameterView<const T>& weight = parameters[conv.weight];
  const kernels::WeightStrides strides = strides_of(conv, weight);
  k.pack(weight.data, strides, shape.in, shape.out, shape.taps, weights.packed.data() + conv.packed);
  if (!weights.adjoint.empty())
    k.pack(weight.data, {strides.in, strides.out, strides.tap}, shape.out, shape.in, shape.taps,
           weights.adjoint.data() + conv.adjoint);
  if (conv.bias != kNone)
    std::copy_n(parameters[conv.bias].data, shape.out, weights.plain.data() + conv.plain);
}

template <class T>
void ConvProgram<T>::add_gradients(std::size_t job, const std::vector<const T*>& buffers,
                                   const std::vector<ParameterView<T>>& parameters) const {
  const auto add = [&](std::size_t from, std::size_t size, T* to) {
    for (const T* buffer : buffers) kernels::kernels<T>().add(size, buffer + from, to);
  };
  if (job >= convs_.size()) {
    const Vector& vector = vectors_[job - convs_.size()];
    add(vector.gradient, vector.size, parameters[vector.parameter].data);
    return;
  }
  const Conv& conv = convs_[job];
  const kernels::ConvShape& shape = conv.shape;
  const auto in = std::size_t(shape.in), out = std::size_t(shape.out);
  T* const to = parameters[conv.weight].data;
  const kernels::WeightStrides strides = strides_of(conv, parameters[conv.weight]);
  for (int k = 0; k < shape.taps; ++k) {
    if (!shape.used(k)) continue;
    const std::size_t tap = conv.weight_gradient + std::size_t(k) * in * out;
    if (strides.out == 1 && strides.in == shape.out) {
      add(tap, in * out, to + k * strides.tap);
      continue;
    }
    constexpr std::size_t kTile = 16;  // a transposition: tiles keep its lines in the cache
    for (std::size_t o = 0; o < out; o += kTile)
      for (std::size_t i = 0; i < in; ++i)
        for (std::size_t b = o; b < std::min(o + kTile, out); ++b) {
          T sum = 0;
          for (const T* buffer : buffers) sum += buffer[tap + i * out + b];
          to[std::ptrdiff_t(i) * strides.in + std::ptrdiff_t(b) * strides.out + k * strides.tap] += sum;
        }
  }
  if (conv.bias != kNone) add(conv.bias_gradient, out, parameters[conv.bias].data);
}

template <class T>
T* ConvPass<T>::by_sequence(T* rows, int width) {
  if (tape_.which.empty()) return rows;
  T* const out = take(std::size_t(n()) * std::size_t(width));
  for (int i = 0; i < n(); ++i)
    std::copy_n(rows + tape_.row_of(i) * width, width, out + std::ptrdiff_t(i) * width);
  return out;
}

template <class T>
T* ConvPass<T>::by_time(T* rows, int width) {
  if (tape_.which.empty() && times() == n()) return rows;
  const std::size_t size = std::size_t(times()) * std::size_t(width);
  T* const out = take(size);
  std::fill_n(out, size, T(0));
  for (int i = 0; i < n(); ++i) {
    k.add(std::size_t(width), rows + std::ptrdiff_t(i) * width, out + tape_.row_of(i) * width);
  }
  return out;
}

template <class T>
void ConvPass<T>::apply(std::size_t which, int count, const T* x, bool add, T* y) const {
  const auto& conv = program_.convs_[which];
  const kernels::ConvShape& shape = conv.shape;
  const T* const packed = weights_.packed.data() + conv.packed;
  const T* const bias = conv.bias == ConvProgram<T>::kNone ? nullptr : weights_.plain.data() + conv.plain;
  const int width = k.panel(), panels = (shape.out + width - 1) / width, pieces = std::min(threads_, panels);
  const std::ptrdiff_t products = std::ptrdiff_t(shape.rows_out) * count * shape.taps * shape.in * shape.out;
  if (pieces < 2 || products < kWorthSharing) {
    k.conv(shape, count, x, shape.in, packed, bias, add, y, shape.out);
    return;
  }
  parallel_each(std::size_t(pieces), [&](std::size_t piece) {
    const int first = panels * int(piece) / pieces, last = panels * int(piece + 1) / pieces;
    kernels::ConvShape part = shape;
    part.out = std::min(last * width, shape.out) - first * width;
    k.conv(part, count, x, shape.in, packed + std::ptrdiff_t(first) * shape.taps * shape.in * width,
           bias ? bias + first * width : nullptr, add, y + first * width, shape.out);
  });
}

template <class T>
void ConvPass<T>::apply_tangent(std::size_t which, int count, const T* dx, bool add, T* dy) const {
  const auto& conv = program_.convs_[which];
  k.conv(conv.shape, count, dx, conv.shape.in, weights_.packed.data() + conv.packed, nullptr, add, dy,
         conv.shape.out);
}

template <class T>
void ConvPass<T>::weight_gradient(std::size_t which, int count, const T* x, const T* dy) const {
  if (!gradients_) return;
  const auto& conv = program_.convs_[which];
  k.conv_weight_gradient(conv.shape, count, x, conv.shape.in, dy, conv.shape.out, false,
                         gradients_ + conv.weight_gradient);
  if (conv.bias != ConvProgram<T>::kNone)
    k.add_column_sums(std::ptrdiff_t(conv.shape.rows_out) * count, conv.shape.out, dy,
                      gradients_ + conv.bias_gradient);
}

template <class T>
void ConvPass<T>::add_weight_gradient(std::size_t which, int count, const T* x, const T* dy) const {
  if (!gradients_) return;
  const auto& conv = program_.convs_[which];
  k.conv_weight_gradient(conv.shape, count, x, conv.shape.in, dy, conv.shape.out, true,
                         gradients_ + conv.weight_gradient);
}

template <class T>
void ConvPass<T>::input_gradient(std::size_t which, int count, const T* dy, bool add, T* dx) const {
  const auto& conv = program_.convs_[which];
  k.conv(conv.shape.adjoint(), count, dy, conv.shape.out, weights_.adjoint.data() + conv.adjoint, nullptr,
         add, dx, conv.shape.in);
}

template <class T>
void ConvPass<T>::norm(const Norm& norm, int rows, int channels, const T* u, const T* shift,
                       const T* residual, T* y, T* stats) const {
  k.norm_act(norm.act, rows, n(), channels, kGroups, u, plain(norm.gain), plain(norm.bias), shift,
             times() == 1 ? 0 : channels, residual, y, stats, stats + n() * kGroups);
}

template <class T>
void ConvPass<T>::norm_gradient(const Norm& norm, int rows, int channels, const T* u, const T* stats,
                                const T* dy, T* du, T* dshift) const {
  k.norm_act_gradient(norm.act, rows, n(), channels, kGroups, u, plain(norm.gain), plain(norm.bias), stats,
                      stats + n() * kGroups, dy, du, gradient_of(norm.gain), gradient_of(norm.bias), dshift);
}

template <class T>
void ConvPass<T>::norm_tangent(const Norm& norm, int rows, int channels, const T* u, const T* stats,
                               const T* du, const T* residual, T* dy, T* means) const {
  k.norm_silu_tangent(rows, n(), channels, kGroups, u, plain(norm.gain), plain(norm.bias), stats,
                      stats + n() * kGroups, du, residual, dy, means, means + n() * kGroups);
}

template <class T>
void ConvPass<T>::norm_tangent_gradient(const Norm& norm, int rows, int channels, const T* u, const T* stats,
                                        const T* du, const T* means, const T* y_adjoint, const T* dy_adjoint,
                                        T* u_adjoint, T* dshift) const {
  k.norm_silu_tangent_gradient(rows, n(), channels, kGroups, u, plain(norm.gain), plain(norm.bias), stats,
                               stats + n() * kGroups, du, means, means + n() * kGroups, y_adjoint, dy_adjoint,
                               u_adjoint, gradient_of(norm.gain), gradient_of(norm.bias), dshift);
}

template class ConvProgram<float>;
template class ConvProgram<double>;
template class ConvPass<float>;
template class ConvPass<double>;

}  // namespace diffreward
