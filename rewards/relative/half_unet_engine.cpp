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
    Block block{.rows_in = rows,
                .rows = (rows - 1) / 2 + 1,
                .in = in,
                .out = out,
                .first = 0,
                .second = 0,
                .skip = 0,
                .time = 0,
                .first_norm = {},
                .second_norm = {}};
    block.first = program_.conv(name + ".first", {in, out, 5, 2, 2, rows, block.rows}, false);
    block.second = program_.same(name + ".second", out, out, 5, block.rows, false);
    block.skip = program_.conv(name + ".skip", {in, out, 1, 2, 0, rows, block.rows}, false);
    for (const auto& [norm, part] :
         {std::pair{&block.first_norm, ".first_norm"}, {&block.second_norm, ".second_norm"}}) {
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
  out_ = program_.same("out", in, 1, 1, 1, false);  // gradients do not depend on its bias
}

namespace {

/// y[i][0 ... width) = scale times the sum over rows of x, [rows][n][width]; rows of y are `joined` apart.
template <class T>
void sum_rows(const kernels::Kernels<T>& k, int n, int rows, int width, T scale, const T* x, int joined,
              T* y) {
  for (int i = 0; i < n; ++i, y += joined) {
    std::fill_n(y, width, T(0));
    for (int s = 0; s < rows; ++s) k.add(std::size_t(width), x + (std::ptrdiff_t(s) * n + i) * width, y);
    for (int c = 0; c < width; ++c) y[c] *= scale;
  }
}

/// Its reverse: x[s][i] = scale y[i] for every row s.
template <class T>
void spread_rows(int n, int rows, int width, T scale, const T* y, int joined, T* x) {
  for (int s = 0; s < rows; ++s)
    for (int i = 0; i < n; ++i)
      for (int c = 0; c < width; ++c) *x++ = scale * y[std::ptrdiff_t(i) * joined + c];
}

}  // namespace

template <class T>
void HalfUnetEngine<T>::input_gradient(const PackedWeights<T>& weights, int n, int, const T* x, const T* time,
                                       int times, T* dx, Tape& tape) const {
  tape.begin(n, times);
  tape.blocks.clear();
  const auto N = std::size_t(n);
  ConvPass<T> forward(program_, weights, tape, 1);
  const auto& k = forward.k;

  const int units = shape_.time_units;
  const std::size_t features = std::size_t(times) * std::size_t(shape_.time_features),
                    embedded = std::size_t(times) * std::size_t(units);
  tape.time = forward.take(features);
  std::copy_n(time, features, tape.time);
  T* const a = forward.take(embedded);
  tape.embedding = forward.take(embedded);
  tape.embedding_slope = forward.take(embedded);
  forward.apply(time_, times, time, false, a);
  k.silu(embedded, a, tape.embedding, tape.embedding_slope);

  T* h = forward.take(forward.size(shape_.rows, shape_.channels));
  swap_axes<T>(n, shape_.rows, shape_.channels, x, h);
  for (const Block& b : blocks_) {
    const std::size_t size = forward.size(b.rows, b.out);
    T *u1 = forward.take(size), *first = forward.take(size), *u2 = forward.take(size),
      *y = forward.take(size);
    T *stats1 = forward.take_stats(), *stats2 = forward.take_stats();
    T* const shift = forward.take(std::size_t(times) * std::size_t(b.out));
    forward.apply(b.time, times, tape.embedding, false, shift);
    forward.apply(b.first, h, u1);
    forward.norm(b.first_norm, b.rows, b.out, u1, shift, nullptr, first, stats1);
    forward.apply(b.second, first, u2);
    forward.apply(b.skip, h, y);
    forward.norm(b.second_norm, b.rows, b.out, u2, nullptr, y, y, stats2);
    tape.blocks.push_back({h, u1, first, u2, stats1, stats2, nullptr, nullptr, nullptr, nullptr});
    h = y;
  }

  // The head: a mean over rows beside the embedding, one hidden layer, a scalar.
  const int rows = blocks_.back().rows, width = blocks_.back().out, joined = width + units;
  T* const value = forward.take(N * std::size_t(width));
  tape.pooled = forward.take(N * std::size_t(joined));
  tape.z = forward.take(N * std::size_t(width));
  tape.slope = forward.take(N * std::size_t(width));
  sum_rows(k, n, rows, width, T(1) / T(rows), h, joined, tape.pooled);
  for (int i = 0; i < n; ++i)
    std::copy_n(tape.embedding + (times == 1 ? 0 : std::ptrdiff_t(i) * units), units,
                tape.pooled + std::ptrdiff_t(i) * joined + width);
  forward.apply(hidden_, n, tape.pooled, false, tape.z);
  k.silu(N * std::size_t(width), tape.z, value, tape.slope);

  ConvPass<T> back(program_, weights, tape, static_cast<T*>(nullptr));
  T *ones = back.take(N), *dpooled = back.take(N * std::size_t(joined));
  tape.dz = back.take(N * std::size_t(width));
  std::fill_n(ones, n, head_weight());
  back.input_gradient(out_, n, ones, false, tape.dz);
  k.multiply(N * std::size_t(width), tape.dz, tape.slope, tape.dz);
  back.input_gradient(hidden_, n, tape.dz, false, dpooled);
  T* d = back.take(back.size(rows, width));
  spread_rows(n, rows, width, T(1), dpooled, joined, d);
  for (std::size_t i = blocks_.size(); i-- > 0;) {
    const Block& b = blocks_[i];
    typename Tape::Block& kept = tape.blocks[i];
    const std::size_t size = back.size(b.rows, b.out);
    T* const below = back.take(back.size(b.rows_in, b.in));
    kept.above = d;
    kept.du2 = back.take(size);
    kept.dfirst = back.take(size);
    kept.du1 = back.take(size);
    back.norm_gradient(b.second_norm, b.rows, b.out, kept.u2, kept.stats2, d, kept.du2, nullptr);
    back.input_gradient(b.second, n, kept.du2, false, kept.dfirst);
    back.norm_gradient(b.first_norm, b.rows, b.out, kept.u1, kept.stats1, kept.dfirst, kept.du1, nullptr);
    back.input_gradient(b.first, n, kept.du1, false, below);
    back.input_gradient(b.skip, n, d, true, below);
    d = below;
  }
  swap_axes<T>(shape_.rows, n, shape_.channels, d, dx);
}

// The derivative of the scalar f along v has df / dx as its gradient in v. Its gradient in the parameters is
// therefore that of <v, df / dx>. Names: dh is the tangent of h; h_adjoint the derivative of the tangent's
// value in h. The derivatives in tangents are those that input_gradient() left.
template <class T>
void HalfUnetEngine<T>::parameter_gradient(const PackedWeights<T>& weights, const T* v, T* gradients,
                                           Tape& tape) const {
  ConvPass<T> pass(program_, weights, tape, gradients);
  const auto begin = pass.mark();
  const auto& k = pass.k;
  const int n = pass.n();
  const auto N = std::size_t(n);

  struct Tangent {
    T *dh, *du1, *dfirst, *du2, *means1, *means2;
  };
  std::vector<Tangent> tangents;
  T* dh = pass.take(pass.size(shape_.rows, shape_.channels));
  swap_axes<T>(n, shape_.rows, shape_.channels, v, dh);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const Block& b = blocks_[i];
    const typename Tape::Block& kept = tape.blocks[i];
    const std::size_t size = pass.size(b.rows, b.out);
    const Tangent t{
        dh, pass.take(size), pass.take(size), pass.take(size), pass.take_stats(), pass.take_stats()};
    T* const dy = pass.take(size);
    pass.apply_tangent(b.first, n, dh, false, t.du1);
    pass.norm_tangent(b.first_norm, b.rows, b.out, kept.u1, kept.stats1, t.du1, nullptr, t.dfirst, t.means1);
    pass.apply_tangent(b.second, n, t.dfirst, false, t.du2);
    pass.apply_tangent(b.skip, n, dh, false, dy);
    pass.norm_tangent(b.second_norm, b.rows, b.out, kept.u2, kept.stats2, t.du2, dy, dy, t.means2);
    tangents.push_back(t);
    dh = dy;
  }

  const int rows = blocks_.back().rows, width = blocks_.back().out, units = shape_.time_units,
            joined = width + units;
  const std::size_t hidden = N * std::size_t(width);
  T *dpooled = pass.take(N * std::size_t(joined)), *dz = pass.take(hidden), *dvalue = pass.take(hidden),
    *ones = pass.take(N), *weight = pass.take(hidden), *z_adjoint = pass.take(hidden),
    *pooled_adjoint = pass.take(N * std::size_t(joined));
  std::fill_n(dpooled, N * std::size_t(joined), T(0));  // the embedding does not move
  sum_rows(k, n, rows, width, T(1), dh, joined, dpooled);
  pass.apply_tangent(hidden_, n, dpooled, false, dz);
  std::fill_n(ones, n, head_weight());
  pass.input_gradient(out_, n, ones, false, weight);
  k.silu_tangent_gradient(n, width, tape.z, dz, weight, width, tape.slope, z_adjoint, dvalue);
  pass.weight_gradient(out_, n, dvalue, ones);
  pass.weight_gradient(hidden_, n, tape.pooled, z_adjoint);
  pass.add_weight_gradient(hidden_, n, dpooled, tape.dz);
  pass.input_gradient(hidden_, n, z_adjoint, false, pooled_adjoint);

  T* const embedding_adjoint = pass.take(N * std::size_t(units));
  for (int i = 0; i < n; ++i)
    std::copy_n(pooled_adjoint + std::ptrdiff_t(i) * joined + width, units,
                embedding_adjoint + std::ptrdiff_t(i) * units);
  T* adjoint = pass.take(pass.size(rows, width));
  spread_rows(n, rows, width, T(1) / T(rows), pooled_adjoint, joined, adjoint);
  for (std::size_t i = blocks_.size(); i-- > 0;) {
    const Block& b = blocks_[i];
    const typename Tape::Block& kept = tape.blocks[i];
    const Tangent& t = tangents[i];
    const std::size_t size = pass.size(b.rows, b.out);
    T* const below = i > 0 ? pass.take(pass.size(b.rows_in, b.in)) : nullptr;  // nobody asks for the input's
    const auto mark = pass.mark();
    T *u_adjoint = pass.take(size), *first_adjoint = pass.take(size),
      *shift_adjoint = pass.take(N * std::size_t(b.out));
    pass.norm_tangent_gradient(b.second_norm, b.rows, b.out, kept.u2, kept.stats2, t.du2, t.means2, adjoint,
                               kept.above, u_adjoint, nullptr);
    pass.weight_gradient(b.second, n, kept.first, u_adjoint);
    pass.add_weight_gradient(b.second, n, t.dfirst, kept.du2);
    pass.input_gradient(b.second, n, u_adjoint, false, first_adjoint);
    pass.norm_tangent_gradient(b.first_norm, b.rows, b.out, kept.u1, kept.stats1, t.du1, t.means1,
                               first_adjoint, kept.dfirst, u_adjoint, shift_adjoint);
    pass.weight_gradient(b.time, n, tape.embedding, shift_adjoint);
    pass.input_gradient(b.time, n, shift_adjoint, true, embedding_adjoint);
    pass.weight_gradient(b.first, n, kept.h, u_adjoint);
    pass.add_weight_gradient(b.first, n, t.dh, kept.du1);
    pass.weight_gradient(b.skip, n, kept.h, adjoint);
    pass.add_weight_gradient(b.skip, n, t.dh, kept.above);
    if (below) {
      pass.input_gradient(b.first, n, u_adjoint, false, below);
      pass.input_gradient(b.skip, n, adjoint, true, below);
    }
    pass.rewind(mark);
    adjoint = below;
  }
  k.multiply(N * std::size_t(units), embedding_adjoint, tape.embedding_slope, embedding_adjoint);
  pass.weight_gradient(time_, n, tape.time, embedding_adjoint);
  pass.rewind(begin);
}

template class HalfUnetEngine<float>;
template class HalfUnetEngine<double>;

}  // namespace diffreward
