#include "rewards/relative/window_mlp_engine.h"

#include <algorithm>
#include <string>
#include <utility>

namespace diffreward {

template <class T>
WindowMlpEngine<T>::WindowMlpEngine(const WindowMlpShape& shape, ParameterIndex index)
    : shape_(shape), program_(std::move(index)) {
  time_ = program_.linear("time", shape.time_features, shape.hidden.front());
  int in = shape.in;
  for (const int out : shape.hidden) {
    const std::string name = layers_.empty() ? "input" : "hidden." + std::to_string(layers_.size());
    layers_.push_back(
        program_.same(name, in, out, 1, 1, /*with_bias=*/!layers_.empty()));  // the first one's is time's
    in = out;
  }
  out_ = program_.vector("out.weight", in);
}

template <class T>
void WindowMlpEngine<T>::input_gradient(const PackedWeights<T>& weights, int n, int rows, const T* x,
                                        const T* time, int times, T* dx, Tape& tape) const {
  tape.begin(n, times);
  tape.layers.clear();
  tape.rows = rows;
  ConvPass<T> pass(program_, weights, tape, 1);
  const auto& k = pass.k;
  const int m = n * rows;
  const auto M = std::size_t(m);

  const std::size_t features = std::size_t(times) * std::size_t(shape_.time_features),
                    inputs = M * std::size_t(shape_.in);
  tape.time = pass.take(features);
  tape.x = pass.take(inputs);
  std::copy_n(time, features, tape.time);
  std::copy_n(x, inputs, tape.x);
  const int first = shape_.hidden.front();
  T* const shift = pass.take(std::size_t(times) * std::size_t(first));
  pass.apply(time_, times, tape.time, false, shift);
  const T* below = tape.x;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const std::size_t size = M * std::size_t(shape_.hidden[l]);
    const typename Tape::Layer layer{pass.take(size), pass.take(size), pass.take(size),
                                     pass.take(size), nullptr,         0};
    pass.apply(layers_[l], m, below, false, layer.a);
    if (l == 0)
      k.silu_shifted(n, rows, first, shift, times == 1 ? 0 : first, layer.a, layer.h, layer.slope);
    else
      k.silu(size, layer.a, layer.h, layer.slope);
    tape.layers.push_back(layer);
    below = layer.h;
  }

  typename Tape::Layer& top = tape.layers.back();
  const int width = shape_.hidden.back();
  top.u = pass.plain(out_);
  for (int i = 0; i < m; ++i)
    k.multiply(std::size_t(width), top.slope + std::ptrdiff_t(i) * width, top.u,
               top.g + std::ptrdiff_t(i) * width);
  for (std::size_t l = layers_.size() - 1; l-- > 0;) {
    typename Tape::Layer& layer = tape.layers[l];
    const std::size_t size = M * std::size_t(shape_.hidden[l]);
    T* const u = pass.take(size);
    pass.input_gradient(layers_[l + 1], m, tape.layers[l + 1].g, false, u);
    k.multiply(size, u, layer.slope, layer.g);
    layer.u = u;
    layer.u_stride = shape_.hidden[l];
  }
  pass.input_gradient(layers_.front(), m, tape.layers.front().g, false, dx);
}

// Up through the chain that G is made of: e_l is the scalar's derivative in g_l, f_l that in u_l. What silu'
// depends on gets its share, z_l, the derivative in a_l. Then down through the layers, where z gathers what
// lies above.
template <class T>
void WindowMlpEngine<T>::parameter_gradient(const PackedWeights<T>& weights, const T* v, T* gradients,
                                            Tape& tape) const {
  ConvPass<T> pass(program_, weights, tape, gradients);
  const auto begin = pass.mark();
  const auto& k = pass.k;
  const int n = pass.n(), m = n * tape.rows;
  const auto M = std::size_t(m);
  const auto size = [&](std::size_t l) { return M * std::size_t(shape_.hidden[l]); };

  std::vector<const T*> f = {v};
  std::vector<T*> z;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const typename Tape::Layer& layer = tape.layers[l];
    T *e = pass.take(size(l)), *up = pass.take(size(l)), *bend = pass.take(size(l));
    pass.apply_tangent(layers_[l], m, f.back(), false, e);
    k.silu_tangent_gradient(m, shape_.hidden[l], layer.a, e, layer.u, layer.u_stride, layer.slope, bend, up);
    f.push_back(up);
    z.push_back(bend);
  }
  k.add_column_sums(m, shape_.hidden.back(), f.back(), pass.gradient_of(out_));
  for (std::size_t l = layers_.size(); l-- > 0;) {
    pass.weight_gradient(layers_[l], m, l == 0 ? tape.x : tape.layers[l - 1].h, z[l]);
    pass.add_weight_gradient(layers_[l], m, f[l], tape.layers[l].g);
    if (l == 0) continue;
    T* const back = pass.take(size(l - 1));
    pass.input_gradient(layers_[l], m, z[l], false, back);
    k.multiply_add(size(l - 1), back, tape.layers[l - 1].slope, z[l - 1]);
  }
  const int first = shape_.hidden.front();
  T* const shift = pass.take(std::size_t(n) * std::size_t(first));
  std::fill_n(shift, std::ptrdiff_t(n) * first, T(0));
  for (int i = 0; i < n; ++i)
    k.add_column_sums(tape.rows, first, z.front() + std::ptrdiff_t(i) * tape.rows * first,
                      shift + std::ptrdiff_t(i) * first);
  pass.weight_gradient(time_, n, tape.time, shift);
  pass.rewind(begin);
}

template class WindowMlpEngine<float>;
template class WindowMlpEngine<double>;

}  // namespace diffreward
