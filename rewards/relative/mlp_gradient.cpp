#include "rewards/relative/mlp_gradient.h"

#include <algorithm>

namespace diffreward {

template <class T>
MlpGradient<T>::MlpGradient(int in, int features, const std::vector<int>& hidden) {
  sizes_.push_back({features, hidden.front()});
  for (const int out : hidden) {
    sizes_.push_back({in, out});
    in = out;
  }
  sizes_.push_back({in, 1});
}

template <class T>
typename MlpGradient<T>::Weights MlpGradient<T>::pack(const std::vector<Layer>& layers) const {
  const auto& k = kernels::kernels<T>();
  Weights weights;
  for (std::size_t l = 0; l < sizes_.size(); ++l) {
    const auto [in, out] = sizes_[l];
    weights.packed.emplace_back(k.packed_size(in, out, 1));
    weights.adjoint.emplace_back(k.packed_size(out, in, 1));
    k.pack(layers[l].weight, {in, 1, 0}, in, out, 1, weights.packed.back().data());
    k.pack(layers[l].weight, {1, in, 0}, out, in, 1, weights.adjoint.back().data());
    weights.bias.emplace_back(layers[l].bias ? std::vector<T>(layers[l].bias, layers[l].bias + out) : std::vector<T>());
  }
  // The last layer is used as a vector.
  weights.bias.back().assign(layers.back().weight, layers.back().weight + sizes_.back().in);
  return weights;
}

template <class T>
void MlpGradient<T>::forward(const Weights& weights, int n, int rows, const T* x, const T* features, T* gradient,
                             Tape& tape) const {
  const auto& k = kernels::kernels<T>();
  tape.arena_.clear();
  tape.n_ = n;
  tape.rows_ = rows;
  tape.x_ = x;
  tape.features_ = features;
  const int m = n * rows;
  const std::size_t depth = sizes_.size() - 2;
  for (auto* list : {&tape.a_, &tape.h_, &tape.slope_, &tape.u_, &tape.g_}) list->assign(depth + 1, nullptr);
  const auto take = [&](std::size_t l) { return tape.arena_.take(std::size_t(m) * std::size_t(sizes_[l].out)); };

  T* const shift = tape.arena_.take(std::size_t(n) * std::size_t(sizes_[0].out));
  k.conv(shape(sizes_[0]), n, features, sizes_[0].in, weights.packed[0].data(), weights.bias[0].data(), false, shift,
         sizes_[0].out);
  tape.h_[0] = x;
  for (std::size_t l = 1; l <= depth; ++l) {
    const auto [in, out] = sizes_[l];
    T *a = take(l), *h = take(l), *slope = take(l);
    if (l == 1)
      for (int i = 0; i < m; ++i) std::copy_n(shift + std::ptrdiff_t(i / rows) * out, out, a + std::ptrdiff_t(i) * out);
    k.conv(shape(sizes_[l]), m, tape.h_[l - 1], in, weights.packed[l].data(), l == 1 ? nullptr : weights.bias[l].data(),
           l == 1, a, out);
    k.silu(std::size_t(m) * std::size_t(out), a, h, slope);
    tape.a_[l] = a;
    tape.h_[l] = h;
    tape.slope_[l] = slope;
  }
  for (std::size_t l = depth; l > 0; --l) {
    const int out = sizes_[l].out;
    T *u = take(l), *g = take(l);
    if (l == depth)
      for (int i = 0; i < m; ++i) std::copy_n(weights.bias.back().data(), out, u + std::ptrdiff_t(i) * out);
    else
      k.conv(shape(sizes_[l + 1]).adjoint(), m, tape.g_[l + 1], sizes_[l + 1].out, weights.adjoint[l + 1].data(), nullptr,
             false, u, out);
    k.multiply(std::size_t(m) * std::size_t(out), u, tape.slope_[l], g);
    tape.u_[l] = u;
    tape.g_[l] = g;
  }
  k.conv(shape(sizes_[1]).adjoint(), m, tape.g_[1], sizes_[1].out, weights.adjoint[1].data(), nullptr, false, gradient,
         sizes_[1].in);
}

template <class T>
void MlpGradient<T>::backward(const Weights& weights, const T* above, const std::vector<Layer>& out, Tape& tape) const {
  const auto& k = kernels::kernels<T>();
  const auto begin = tape.arena_.mark();
  const int m = tape.n_ * tape.rows_;
  const std::size_t depth = sizes_.size() - 2;
  const auto size = [&](std::size_t l) { return std::size_t(m) * std::size_t(sizes_[l].out); };
  const auto take = [&](std::size_t l) { return tape.arena_.take(size(l)); };
  // weight[o][i] += sum over `count` rows of x[i] dy[o]
  const auto add_product = [&](std::size_t l, int count, const T* x, const T* dy) {
    const auto [inputs, outputs] = sizes_[l];
    const auto mark = tape.arena_.mark();
    T* const product = tape.arena_.take(std::size_t(inputs) * std::size_t(outputs));
    k.conv_weight_gradient(shape(sizes_[l]), count, x, inputs, dy, outputs, false, product);
    for (int o = 0; o < outputs; ++o)
      for (int i = 0; i < inputs; ++i) out[l].weight[o * inputs + i] += product[i * outputs + o];
    tape.arena_.rewind(mark);
  };

  // Up through the chain that G is made of: e_l is the derivative in g_l, f_l that in u_l. What silu' depends on gets
  // its share, z_l, the derivative in a_l.
  std::vector<T*> z(depth + 1);
  const T* f = above;
  for (std::size_t l = 1; l <= depth; ++l) {
    T *e = take(l), *next = take(l);
    z[l] = take(l);
    k.conv(shape(sizes_[l]), m, f, sizes_[l].in, weights.packed[l].data(), nullptr, false, e, sizes_[l].out);
    add_product(l, m, f, tape.g_[l]);
    k.silu_curvature(size(l), tape.a_[l], e, tape.u_[l], z[l]);
    k.multiply(size(l), e, tape.slope_[l], next);
    f = next;
  }
  k.add_column_sums(m, sizes_[depth].out, f, out.back().weight);
  // Down through the layers.
  for (std::size_t l = depth; l > 1; --l) {
    add_product(l, m, tape.h_[l - 1], z[l]);
    k.add_column_sums(m, sizes_[l].out, z[l], out[l].bias);
    T* const back = take(l - 1);
    k.conv(shape(sizes_[l]).adjoint(), m, z[l], sizes_[l].out, weights.adjoint[l].data(), nullptr, false, back,
           sizes_[l].in);
    k.multiply_add(size(l - 1), back, tape.slope_[l - 1], z[l - 1]);
  }
  add_product(1, m, tape.x_, z[1]);
  const int first = sizes_[0].out;
  T* const shift = tape.arena_.take(std::size_t(tape.n_) * std::size_t(first));
  std::fill_n(shift, tape.n_ * first, T(0));
  for (int i = 0; i < tape.n_; ++i)
    k.add_column_sums(tape.rows_, first, z[1] + std::ptrdiff_t(i) * tape.rows_ * first, shift + std::ptrdiff_t(i) * first);
  add_product(0, tape.n_, tape.features_, shift);
  k.add_column_sums(tape.n_, first, shift, out[0].bias);
  tape.arena_.rewind(begin);
}

template class MlpGradient<float>;
template class MlpGradient<double>;

}  // namespace diffreward
