#include "rewards/relative/half_unet_engine.h"

#include <algorithm>
#include <string>
#include <utility>

namespace diffreward {

template <class T>
HalfUnetEngine<T>::HalfUnetEngine(const HalfUnetShape& shape, ParameterIndex index)
    : shape_(shape), program_(std::move(index)) {
  time_ = program_.linear("time", shape.time_features, shape.time_units);
  int rows = shape.rows, in = shape.channels;
  for (const int out : shape.widths) {
    const std::string name = "blocks." + std::to_string(blocks_.size());
    Block block{.rows_in = rows, .rows = (rows - 1) / 2 + 1, .in = in, .out = out, .first = 0, .second = 0, .skip = 0,
                .time = 0, .first_norm = {}, .second_norm = {}};
    block.first = program_.conv(name + ".first", {in, out, 5, 2, 2, rows, block.rows}, false);
    block.second = program_.same(name + ".second", out, out, 5, block.rows, false);
    block.skip = program_.conv(name + ".skip", {in, out, 1, 2, 0, rows, block.rows}, false);
    for (const auto& [norm, part] : {std::pair{&block.first_norm, ".first_norm"}, {&block.second_norm, ".second_norm"}}) {
      norm->gain = program_.vector(name + part + ".weight", out);
      norm->bias = program_.vector(name + part + ".bias", out);
      norm->act = kernels::Activation::kSilu;
    }
    block.time = program_.linear(name + ".time", shape.time_units, out);
    blocks_.push_back(block);
    rows = block.rows;
    in = out;
  }
  hidden_ = program_.linear("hidden", in + shape.time_units, in);
  out_ = program_.linear("out", in, 1);
}

template <class T>
void HalfUnetEngine<T>::input_gradient(const PackedWeights<T>& weights, int n, const T* x, const T* time, int times,
                                       T* dx, Tape& tape) const {
  tape.begin(n, times);
  const auto N = std::size_t(n);
  ConvPass<T> forward(program_, weights, tape, 1);
  const auto& k = forward.k;

  const int units = shape_.time_units;
  const std::size_t embedded = std::size_t(times) * std::size_t(units);
  T *a = forward.take(embedded), *embedding = forward.take(embedded), *unused = forward.take(embedded);
  forward.apply(time_, times, time, false, a);
  k.silu(embedded, a, embedding, unused);

  T* h = forward.take(forward.size(shape_.rows, shape_.channels));
  for (int i = 0; i < n; ++i)  // rows outermost
    for (int s = 0; s < shape_.rows; ++s)
      std::copy_n(x + (std::ptrdiff_t(i) * shape_.rows + s) * shape_.channels, shape_.channels,
                  h + (std::ptrdiff_t(s) * n + i) * shape_.channels);
  for (const Block& b : blocks_) {
    const std::size_t size = forward.size(b.rows, b.out);
    T *u1 = forward.take(size), *first = forward.take(size), *u2 = forward.take(size), *y = forward.take(size);
    T *stats1 = forward.take_stats(), *stats2 = forward.take_stats();
    T* const shift = forward.take(std::size_t(times) * std::size_t(b.out));
    forward.apply(b.time, times, embedding, false, shift);
    forward.apply(b.first, h, u1);
    forward.norm(b.first_norm, b.rows, b.out, u1, shift, nullptr, first, stats1);
    forward.apply(b.second, first, u2);
    forward.apply(b.skip, h, y);
    forward.norm(b.second_norm, b.rows, b.out, u2, nullptr, y, y, stats2);
    forward.push({u1, u2, stats1, stats2});
    h = y;
  }

  // The head: a mean over rows beside the embedding, one hidden layer, a scalar.
  const int rows = blocks_.back().rows, width = blocks_.back().out, joined = width + units;
  T *pooled = forward.take(N * std::size_t(joined)), *z = forward.take(N * std::size_t(width)),
    *value = forward.take(N * std::size_t(width)), *slope = forward.take(N * std::size_t(width));
  for (int i = 0; i < n; ++i) {
    T* const to = pooled + std::ptrdiff_t(i) * joined;
    std::fill_n(to, width, T(0));
    for (int s = 0; s < rows; ++s) k.add(std::size_t(width), h + (std::ptrdiff_t(s) * n + i) * width, to);
    for (int c = 0; c < width; ++c) to[c] /= T(rows);
    std::copy_n(embedding + (times == 1 ? 0 : std::ptrdiff_t(i) * units), units, to + width);
  }
  forward.apply(hidden_, n, pooled, false, z);
  k.silu(N * std::size_t(width), z, value, slope);

  ConvPass<T> back(program_, weights, tape, static_cast<T*>(nullptr));
  T *ones = back.take(N), *dz = back.take(N * std::size_t(width)), *dpooled = back.take(N * std::size_t(joined));
  // The scalar is the head's output times the number of rows, which undoes the mean's share.
  std::fill_n(ones, n, T(shape_.rows) / T(rows));
  back.input_gradient(out_, n, ones, false, dz);
  k.multiply(N * std::size_t(width), dz, slope, dz);
  back.input_gradient(hidden_, n, dz, false, dpooled);
  T* d = back.take(back.size(rows, width));
  for (int s = 0; s < rows; ++s)
    for (int i = 0; i < n; ++i)
      std::copy_n(dpooled + std::ptrdiff_t(i) * joined, width, d + (std::ptrdiff_t(s) * n + i) * width);
  for (auto b = blocks_.rbegin(); b != blocks_.rend(); ++b) {
    const T *stats2 = back.pop(), *stats1 = back.pop(), *u2 = back.pop(), *u1 = back.pop();
    const std::size_t size = back.size(b->rows, b->out);
    T *below = back.take(back.size(b->rows_in, b->in)), *du = back.take(size), *dfirst = back.take(size);
    back.norm_gradient(b->second_norm, b->rows, b->out, u2, stats2, d, du, nullptr);
    back.input_gradient(b->second, n, du, false, dfirst);
    back.norm_gradient(b->first_norm, b->rows, b->out, u1, stats1, dfirst, du, nullptr);
    back.input_gradient(b->first, n, du, false, below);
    back.input_gradient(b->skip, n, d, true, below);
    d = below;
  }
  for (int i = 0; i < n; ++i)
    for (int s = 0; s < shape_.rows; ++s)
      std::copy_n(d + (std::ptrdiff_t(s) * n + i) * shape_.channels, shape_.channels,
                  dx + (std::ptrdiff_t(i) * shape_.rows + s) * shape_.channels);
}

template class HalfUnetEngine<float>;
template class HalfUnetEngine<double>;

}  // namespace diffreward
