#include "agents/diffusion/residual_mlp_engine.h"

#include <algorithm>
#include <string>
#include <utility>

namespace diffreward {

template <class T>
typename ResidualMlpEngine<T>::Norm ResidualMlpEngine<T>::norm_of(const std::string& name) {
  const std::size_t gain = program_.vector(name + ".weight", shape_.dim);
  return {gain, program_.vector(name + ".bias", shape_.dim)};
}

template <class T>
ResidualMlpEngine<T>::ResidualMlpEngine(const ResidualMlpShape& shape, ParameterIndex index)
    : shape_(shape), program_(std::move(index)) {
  const int dim = shape.dim, size = shape.horizon * shape.width;
  time_ = program_.linear("time", shape.time_features, dim);
  time_to_blocks_ = program_.linear("time_to_blocks", dim, dim * shape.layers);
  in_ = program_.linear("in", size, dim);
  for (int i = 0; i < shape.layers; ++i) {
    const std::string name = "blocks." + std::to_string(i);
    const Norm norm = norm_of(name + ".norm");
    const std::size_t first = program_.linear(name + ".first", dim, dim);
    blocks_.push_back({norm, first, program_.linear(name + ".second", dim, dim)});
  }
  norm_ = norm_of("norm");
  out_ = program_.linear("out", dim, size);
}

template <class T>
void ResidualMlpEngine<T>::forward(const PackedWeights<T>& weights, int n, const T* x, const T* time,
                                   int times, const int* which, T* y, Tape& tape, bool keep,
                                   int threads) const {
  tape.begin(n, times, which);
  ConvPass<T> pass(program_, weights, tape, threads);
  const auto& k = pass.k;
  const int dim = shape_.dim, all = dim * shape_.layers, features = shape_.time_features;
  const auto D = std::size_t(dim), N = std::size_t(n), M = std::size_t(times);

  T *when = pass.take(M * std::size_t(features)), *z = pass.take(M * D), *embedding = pass.take(M * D),
    *shifts = pass.take(M * std::size_t(all));
  std::copy_n(time, M * std::size_t(features), when);
  pass.apply(time_, times, when, false, z);
  k.mish(M * D, z, embedding);
  pass.apply(time_to_blocks_, times, embedding, false, shifts);
  T* const input = pass.take(N * std::size_t(shape_.horizon) * std::size_t(shape_.width));
  std::copy_n(x, N * std::size_t(shape_.horizon) * std::size_t(shape_.width), input);
  T* h = pass.take(N * D);
  pass.apply(in_, input, h);
  if (keep) pass.push({when, z, embedding, input});

  for (std::size_t b = 0; b < blocks_.size(); ++b) {
    const Block& block = blocks_[b];
    T* const next = keep ? pass.take(N * D) : h;
    const auto begin = pass.mark();
    T *normed = pass.take(N * D), *u = pass.take(N * D), *a = pass.take(N * D);
    k.channel_norm(n, dim, h, pass.plain(block.norm.gain), pass.plain(block.norm.bias), normed);
    pass.apply(block.first, normed, u);
    for (int i = 0; i < n; ++i)
      k.add(D, shifts + tape.row_of(i) * all + std::ptrdiff_t(b) * dim, u + std::ptrdiff_t(i) * dim);
    k.mish(N * D, u, a);
    if (keep) {
      std::copy_n(h, N * D, next);
      pass.push({h, normed, u, a});
    }
    pass.apply(block.second, n, a, true, next);
    if (!keep) pass.rewind(begin);
    h = next;
  }
  T *normed = pass.take(N * D), *a = pass.take(N * D);
  k.channel_norm(n, dim, h, pass.plain(norm_.gain), pass.plain(norm_.bias), normed);
  k.mish(N * D, normed, a);
  pass.apply(out_, a, y);
  if (keep) pass.push({h, normed, a});
}

template <class T>
void ResidualMlpEngine<T>::gradient(const PackedWeights<T>& weights, const T* dy, T* dx, T* gradients,
                                    Tape& tape) const {
  ConvPass<T> pass(program_, weights, tape, gradients);
  const auto begin = pass.mark();
  const auto& k = pass.k;
  const int n = pass.n(), times = pass.times(), dim = shape_.dim, all = dim * shape_.layers;
  const auto D = std::size_t(dim), N = std::size_t(n), M = std::size_t(times);
  T *dh = pass.take(N * D), *da = pass.take(N * D), *dnormed = pass.take(N * D);
  T* const dshifts = pass.take(M * std::size_t(all));
  std::fill_n(dshifts, M * std::size_t(all), T(0));
  {
    const T *a = pass.pop(), *normed = pass.pop(), *h = pass.pop();
    pass.weight_gradient(out_, n, a, dy);
    pass.input_gradient(out_, n, dy, false, da);
    k.mish_gradient(N * D, normed, da, da);
    std::fill_n(dh, N * D, T(0));
    k.channel_norm_gradient(n, dim, h, pass.plain(norm_.gain), da, dh, pass.gradient_of(norm_.gain),
                            pass.gradient_of(norm_.bias));
  }
  for (std::size_t b = blocks_.size(); b-- > 0;) {
    const Block& block = blocks_[b];
    const T *a = pass.pop(), *u = pass.pop(), *normed = pass.pop(), *h = pass.pop();
    pass.weight_gradient(block.second, n, a, dh);
    pass.input_gradient(block.second, n, dh, false, da);
    k.mish_gradient(N * D, u, da, da);
    if (pass.wants_parameters())
      for (int i = 0; i < n; ++i)
        k.add(D, da + std::ptrdiff_t(i) * dim, dshifts + tape.row_of(i) * all + std::ptrdiff_t(b) * dim);
    pass.weight_gradient(block.first, n, normed, da);
    pass.input_gradient(block.first, n, da, false, dnormed);
    k.channel_norm_gradient(n, dim, h, pass.plain(block.norm.gain), dnormed, dh,
                            pass.gradient_of(block.norm.gain), pass.gradient_of(block.norm.bias));
  }
  const T *input = pass.pop(), *embedding = pass.pop(), *z = pass.pop(), *when = pass.pop();
  pass.weight_gradient(in_, n, input, dh);
  if (dx) pass.input_gradient(in_, n, dh, false, dx);
  if (pass.wants_parameters()) {
    T* const dz = pass.take(M * D);
    pass.weight_gradient(time_to_blocks_, times, embedding, dshifts);
    pass.input_gradient(time_to_blocks_, times, dshifts, false, dz);
    k.mish_gradient(M * D, z, dz, dz);
    pass.weight_gradient(time_, times, when, dz);
  }
  pass.rewind(begin);
}

template class ResidualMlpEngine<float>;
template class ResidualMlpEngine<double>;

}  // namespace diffreward
