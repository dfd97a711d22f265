#include "agents/diffusion/unet_engine.h"

#include <algorithm>

#include "agents/parallel.h"

namespace diffreward {
namespace {

constexpr int kKernel = 5, kGroups = 8, kHeads = 4, kHeadChannels = 32;
constexpr std::ptrdiff_t kWorthSharing = 1 << 18;  // products of a layer that outweigh waking a thread

}  // namespace

// --- What there is: one entry per weight, in the order of the forward pass.

template <class T>
struct UnetEngine<T>::Builder {
  UnetEngine& engine;
  const std::function<std::size_t(const std::string&)>& index;

  std::size_t vector(const std::string& name, int size) {
    engine.vectors_.push_back({index(name), std::size_t(size), engine.plain_size_, engine.gradient_size_});
    engine.plain_size_ += std::size_t(size);
    engine.gradient_size_ += std::size_t(size);
    return engine.vectors_.size() - 1;
  }
  Norm norm(const std::string& gain, const std::string& bias, int size) {
    const std::size_t first = vector(gain, size);
    return {first, vector(bias, size)};
  }
  std::size_t conv(const std::string& name, const kernels::ConvShape& shape, bool with_bias = true) {
    Conv conv{shape, index(name + ".weight"), with_bias ? index(name + ".bias") : kNone,
              engine.packed_size_, engine.adjoint_size_, engine.plain_size_, engine.gradient_size_, 0};
    const auto& k = kernels::kernels<T>();
    engine.packed_size_ += k.packed_size(shape.in, shape.out, shape.taps);
    engine.adjoint_size_ += k.packed_size(shape.out, shape.in, shape.taps);
    engine.gradient_size_ += std::size_t(shape.taps) * std::size_t(shape.in) * std::size_t(shape.out);
    conv.bias_gradient = engine.gradient_size_;
    if (with_bias) {
      engine.plain_size_ += std::size_t(shape.out);
      engine.gradient_size_ += std::size_t(shape.out);
    }
    engine.convs_.push_back(conv);
    return engine.convs_.size() - 1;
  }
  std::size_t linear(const std::string& name, int in, int out) {
    return conv(name, {.in = in, .out = out, .taps = 1, .stride = 1, .pad = 0, .rows_in = 1, .rows_out = 1});
  }
  std::size_t same(const std::string& name, int in, int out, int taps, int rows, bool with_bias = true) {
    return conv(name, {.in = in, .out = out, .taps = taps, .stride = 1, .pad = taps / 2, .rows_in = rows, .rows_out = rows},
                with_bias);
  }
  Block block(const std::string& name, int rows, int in, int out) {
    Block block{.rows = rows, .in = in, .out = out, .first = 0, .second = 0, .time = 0, .shortcut = kNone,
                .first_norm = {}, .second_norm = {}};
    const auto half = [&](const std::string& part, int from, std::size_t& conv, Norm& norm_of) {
      conv = same(part + ".block.0", from, out, kKernel, rows);
      norm_of = norm(part + ".block.2.weight", part + ".block.2.bias", out);
    };
    half(name + ".blocks.0", in, block.first, block.first_norm);
    half(name + ".blocks.1", out, block.second, block.second_norm);
    block.time = linear(name + ".time_mlp.1", engine.shape_.dim, out);
    if (in != out) block.shortcut = same(name + ".residual_conv", in, out, 1, rows);
    return block;
  }
  std::optional<Attention> attention(const std::string& name, int rows, int channels) {
    if (!engine.shape_.attention) return std::nullopt;
    const Norm norm_of = norm(name + ".fn.norm.g", name + ".fn.norm.b", channels);
    const std::size_t qkv = same(name + ".fn.fn.to_qkv", channels, 3 * kHeads * kHeadChannels, 1, rows, false);
    return Attention{rows, channels, norm_of, qkv, same(name + ".fn.fn.to_out", kHeads * kHeadChannels, channels, 1, rows)};
  }
};

template <class T>
UnetEngine<T>::UnetEngine(const UnetShape& shape, const std::function<std::size_t(const std::string&)>& index)
    : shape_(shape) {
  Builder make{*this, index};
  time_first_ = make.linear("time_mlp.1", shape.dim, 4 * shape.dim);
  time_second_ = make.linear("time_mlp.3", 4 * shape.dim, shape.dim);
  std::vector<int> channels = {shape.width};
  for (const int multiplier : shape.dim_mults) channels.push_back(shape.dim * multiplier);
  const std::size_t levels = shape.dim_mults.size();
  int rows = shape.horizon;
  for (std::size_t i = 0; i < levels; ++i) {
    const std::string name = "downs." + std::to_string(i);
    const int in = channels[i], out = channels[i + 1];
    const Block first = make.block(name + ".0", rows, in, out), second = make.block(name + ".1", rows, out, out);
    Level level{first, second, make.attention(name + ".2", rows, out), kNone};
    if (i + 1 < levels) {
      level.resample = make.conv(name + ".3.conv", {out, out, 3, 2, 1, rows, rows / 2});
      rows /= 2;
    }
    downs_.push_back(level);
  }
  const int deepest = channels.back();
  {
    const Block first = make.block("mid_block1", rows, deepest, deepest);
    const std::optional<Attention> attention = make.attention("mid_attn", rows, deepest);
    middle_ = Level{first, make.block("mid_block2", rows, deepest, deepest), attention, kNone};
  }
  for (std::size_t i = 0; i + 1 < levels; ++i) {
    const std::string name = "ups." + std::to_string(i);
    const int in = channels[levels - i], out = channels[levels - i - 1];
    const Block first = make.block(name + ".0", rows, 2 * in, out), second = make.block(name + ".1", rows, out, out);
    Level level{first, second, make.attention(name + ".2", rows, out), kNone};
    level.resample = make.conv(name + ".3.conv", {out, out, 4, 2, 1, rows, 2 * rows, true});
    rows *= 2;
    ups_.push_back(level);
  }
  final_rows_ = rows;
  final_conv_ = make.same("final_conv.0.block.0", channels[1], shape.dim, kKernel, rows);
  final_norm_ = make.norm("final_conv.0.block.2.weight", "final_conv.0.block.2.bias", shape.dim);
  last_conv_ = make.same("final_conv.1", shape.dim, shape.width, 1, rows);
}

template <class T>
typename UnetEngine<T>::Weights UnetEngine<T>::make_weights(bool adjoint) const {
  return {std::vector<T>(packed_size_), std::vector<T>(adjoint ? adjoint_size_ : 0), std::vector<T>(plain_size_)};
}

template <class T>
template <class Parameter>
kernels::WeightStrides UnetEngine<T>::strides_of(const Conv& conv, const Parameter& parameter) {
  const auto& [first, second, tap] = parameter.strides;
  return conv.shape.transposed ? kernels::WeightStrides{second, first, tap} : kernels::WeightStrides{first, second, tap};
}

template <class T>
void UnetEngine<T>::pack(std::size_t job, const std::vector<UnetParameter<const T>>& parameters, Weights& weights) const {
  if (job >= convs_.size()) {
    const Vector& vector = vectors_[job - convs_.size()];
    std::copy_n(parameters[vector.parameter].data, vector.size, weights.plain.data() + vector.plain);
    return;
  }
  const auto& k = kernels::kernels<T>();
  const Conv& conv = convs_[job];
  const kernels::ConvShape& shape = conv.shape;
  const UnetParameter<const T>& weight = parameters[conv.weight];
  const kernels::WeightStrides strides = strides_of(conv, weight);
  k.pack(weight.data, strides, shape.in, shape.out, shape.taps, weights.packed.data() + conv.packed);
  if (!weights.adjoint.empty())
    k.pack(weight.data, {strides.in, strides.out, strides.tap}, shape.out, shape.in, shape.taps,
           weights.adjoint.data() + conv.adjoint);
  if (conv.bias != kNone) std::copy_n(parameters[conv.bias].data, shape.out, weights.plain.data() + conv.plain);
}

template <class T>
void UnetEngine<T>::add_gradients(std::size_t job, const std::vector<const T*>& buffers,
                                  const std::vector<UnetParameter<T>>& parameters) const {
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

// --- One pass, forward or backward, over a part of a batch. Activations are [rows][n][channels].

template <class T>
struct UnetEngine<T>::Pass {
  const UnetEngine& engine;
  const Weights& weights;
  Tape& tape;
  const kernels::Kernels<T>& k = kernels::kernels<T>();
  T* gradients = nullptr;
  T* time_gradient = nullptr;  // of the activated time embedding, [times][dim]
  std::vector<T*> saved = {};  // of the tape, what is left to go back through
  int threads = 1;

  int n() const { return tape.n_; }
  std::size_t size(int rows, int channels) const {
    return std::size_t(rows) * std::size_t(tape.n_) * std::size_t(channels);
  }
  T* take(std::size_t count) { return tape.arena_.take(count); }
  const T* plain(std::size_t vector) const { return weights.plain.data() + engine.vectors_[vector].plain; }
  T* gradient_of(std::size_t vector) const {
    return gradients ? gradients + engine.vectors_[vector].gradient : nullptr;
  }
  void push(std::initializer_list<T*> kept) { tape.saved_.insert(tape.saved_.end(), kept); }
  T* pop() {
    T* const last = saved.back();
    saved.pop_back();
    return last;
  }

  // Linear maps; `count` sequences.
  void apply(std::size_t which, int count, const T* x, bool add, T* y) const {
    const Conv& conv = engine.convs_[which];
    const kernels::ConvShape& shape = conv.shape;
    const T* const packed = weights.packed.data() + conv.packed;
    const T* const bias = conv.bias == kNone ? nullptr : weights.plain.data() + conv.plain;
    const int width = k.panel(), panels = (shape.out + width - 1) / width, pieces = std::min(threads, panels);
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
  void apply(std::size_t which, const T* x, T* y) const { apply(which, n(), x, false, y); }
  void weight_gradient(std::size_t which, int count, const T* x, const T* dy) const {
    if (!gradients) return;
    const Conv& conv = engine.convs_[which];
    k.conv_weight_gradient(conv.shape, count, x, conv.shape.in, dy, conv.shape.out, gradients + conv.weight_gradient);
    if (conv.bias != kNone)
      k.add_column_sums(std::ptrdiff_t(conv.shape.rows_out) * count, conv.shape.out, dy, gradients + conv.bias_gradient);
  }
  void input_gradient(std::size_t which, int count, const T* dy, bool add, T* dx) const {
    const Conv& conv = engine.convs_[which];
    k.conv(conv.shape.adjoint(), count, dy, conv.shape.out, weights.adjoint.data() + conv.adjoint, nullptr, add, dx,
           conv.shape.in);
  }

  /// Normalisation, Mish and what is added to them. Leaves room for mean and 1 / deviation.
  void norm_mish(const Norm& norm, int rows, int channels, const T* u, const T* shift, const T* residual, T* y, T* stats) const {
    k.norm_mish(rows, n(), channels, kGroups, u, plain(norm.gain), plain(norm.bias), shift,
                tape.times_ == 1 ? 0 : channels, residual, y, stats, stats + n() * kGroups);
  }
  void norm_mish_gradient(const Norm& norm, int rows, int channels, const T* u, const T* stats, const T* dy, T* du,
                          T* dshift) const {
    k.norm_mish_gradient(rows, n(), channels, kGroups, u, plain(norm.gain), plain(norm.bias), stats, stats + n() * kGroups,
                         dy, du, gradient_of(norm.gain), gradient_of(norm.bias), dshift);
  }
  T* take_stats() { return take(2 * kGroups * std::size_t(n())); }

  T* block(const Block& b, T* x, bool keep) {
    T* const y = take(size(b.rows, b.out));
    const auto mark = tape.arena_.mark();
    T *u1 = take(size(b.rows, b.out)), *a = take(size(b.rows, b.out)), *u2 = take(size(b.rows, b.out));
    T *stats1 = take_stats(), *stats2 = take_stats();
    T* const shift = take(std::size_t(tape.times_) * std::size_t(b.out));
    apply(b.time, tape.times_, tape.activated_time_, false, shift);
    apply(b.first, x, u1);
    norm_mish(b.first_norm, b.rows, b.out, u1, shift, nullptr, a, stats1);
    apply(b.second, a, u2);
    const T* residual = x;
    if (b.shortcut != kNone) {
      apply(b.shortcut, x, y);
      residual = y;
    }
    norm_mish(b.second_norm, b.rows, b.out, u2, nullptr, residual, y, stats2);
    if (keep)
      push({x, u1, a, u2, stats1, stats2});
    else
      tape.arena_.rewind(mark);
    return y;
  }

  /// Returns dx, or null unless `wanted`.
  T* block_gradient(const Block& b, const T* dy, bool wanted = true) {
    const T *stats2 = pop(), *stats1 = pop(), *u2 = pop(), *a = pop(), *u1 = pop(), *x = pop();
    T* const dx = wanted ? take(size(b.rows, b.in)) : nullptr;
    const auto mark = tape.arena_.mark();
    T *du = take(size(b.rows, b.out)), *da = take(size(b.rows, b.out));
    norm_mish_gradient(b.second_norm, b.rows, b.out, u2, stats2, dy, du, nullptr);
    weight_gradient(b.second, n(), a, du);
    input_gradient(b.second, n(), du, false, da);
    T* dshift = take(std::size_t(n()) * std::size_t(b.out));
    norm_mish_gradient(b.first_norm, b.rows, b.out, u1, stats1, da, du, gradients ? dshift : nullptr);
    weight_gradient(b.first, n(), x, du);
    if (gradients) {
      if (tape.times_ == 1 && n() > 1) {
        T* const sum = take(std::size_t(b.out));
        std::fill_n(sum, b.out, T(0));
        k.add_column_sums(n(), b.out, dshift, sum);
        dshift = sum;
      }
      weight_gradient(b.time, tape.times_, tape.activated_time_, dshift);
      input_gradient(b.time, tape.times_, dshift, true, time_gradient);
    }
    if (b.shortcut != kNone) weight_gradient(b.shortcut, n(), x, dy);
    if (wanted) {
      input_gradient(b.first, n(), du, false, dx);
      if (b.shortcut != kNone)
        input_gradient(b.shortcut, n(), dy, true, dx);
      else
        k.add(size(b.rows, b.in), dy, dx);
    }
    tape.arena_.rewind(mark);
    return dx;
  }

  T* attention(const Attention& a, T* x, bool keep) {
    constexpr int kInner = kHeads * kHeadChannels;
    T* const y = take(size(a.rows, a.channels));
    const auto mark = tape.arena_.mark();
    T *normed = take(size(a.rows, a.channels)), *qkv = take(size(a.rows, 3 * kInner)), *mixed = take(size(a.rows, kInner));
    k.channel_norm(std::ptrdiff_t(a.rows) * n(), a.channels, x, plain(a.norm.gain), plain(a.norm.bias), normed);
    apply(a.qkv, normed, qkv);
    k.linear_attention(a.rows, n(), kHeads, qkv, mixed);
    apply(a.out, mixed, y);
    k.add(size(a.rows, a.channels), x, y);
    if (keep)
      push({x, normed, qkv, mixed});
    else
      tape.arena_.rewind(mark);
    return y;
  }

  T* attention_gradient(const Attention& a, const T* dy) {
    constexpr int kInner = kHeads * kHeadChannels;
    const T *mixed = pop(), *qkv = pop(), *normed = pop(), *x = pop();
    T* const dx = take(size(a.rows, a.channels));
    const auto mark = tape.arena_.mark();
    T *dmixed = take(size(a.rows, kInner)), *dqkv = take(size(a.rows, 3 * kInner)), *dnormed = take(size(a.rows, a.channels));
    weight_gradient(a.out, n(), mixed, dy);
    input_gradient(a.out, n(), dy, false, dmixed);
    k.linear_attention_gradient(a.rows, n(), kHeads, qkv, dmixed, dqkv);
    weight_gradient(a.qkv, n(), normed, dqkv);
    input_gradient(a.qkv, n(), dqkv, false, dnormed);
    std::copy_n(dy, size(a.rows, a.channels), dx);
    k.channel_norm_gradient(std::ptrdiff_t(a.rows) * n(), a.channels, x, plain(a.norm.gain), dnormed, dx,
                            gradient_of(a.norm.gain), gradient_of(a.norm.bias));
    tape.arena_.rewind(mark);
    return dx;
  }

  T* resample(std::size_t which, T* x, bool keep) {
    const Conv& conv = engine.convs_[which];
    T* const y = take(size(conv.shape.rows_out, conv.shape.out));
    apply(which, x, y);
    if (keep) push({x});
    return y;
  }
  T* resample_gradient(std::size_t which, const T* dy) {
    const Conv& conv = engine.convs_[which];
    T* const dx = take(size(conv.shape.rows_in, conv.shape.in));
    weight_gradient(which, n(), pop(), dy);
    input_gradient(which, n(), dy, false, dx);
    return dx;
  }

  void embed_time(const T* time, bool keep) {
    const int dim = engine.shape_.dim, times = tape.times_;
    const std::size_t small = std::size_t(times) * std::size_t(dim), large = 4 * small;
    T *embedding = take(small), *z1 = take(large), *a1 = take(large), *z2 = take(small), *a2 = take(small);
    std::copy_n(time, small, embedding);
    apply(engine.time_first_, times, embedding, false, z1);
    k.mish(large, z1, a1);
    apply(engine.time_second_, times, a1, false, z2);
    k.mish(small, z2, a2);  // the activation that every block's time layer begins with
    tape.activated_time_ = a2;
    if (keep) push({embedding, z1, a1, z2});
  }
  void embed_time_gradient() {
    const T *z2 = pop(), *a1 = pop(), *z1 = pop(), *embedding = pop();
    if (!gradients) return;
    const int times = tape.times_;
    const std::size_t small = std::size_t(times) * std::size_t(engine.shape_.dim), large = 4 * small;
    T* const d = take(large);
    k.mish_gradient(small, z2, time_gradient, time_gradient);
    weight_gradient(engine.time_second_, times, a1, time_gradient);
    input_gradient(engine.time_second_, times, time_gradient, false, d);
    k.mish_gradient(large, z1, d, d);
    weight_gradient(engine.time_first_, times, embedding, d);
  }
};

namespace {

/// [a][b][width] -> [b][a][width]
template <class T>
void swap_axes(int a, int b, int width, const T* x, T* y) {
  for (int i = 0; i < a; ++i)
    for (int j = 0; j < b; ++j)
      std::copy_n(x + (std::ptrdiff_t(i) * b + j) * width, width, y + (std::ptrdiff_t(j) * a + i) * width);
}

/// Rows of `width` side by side with rows of the same width, and apart again.
template <class T>
void join(std::size_t rows, int width, const T* left, const T* right, T* both) {
  for (std::size_t r = 0; r < rows; ++r, both += 2 * width) {
    std::copy_n(left + r * std::size_t(width), width, both);
    std::copy_n(right + r * std::size_t(width), width, both + width);
  }
}
template <class T>
void part(std::size_t rows, int width, const T* both, T* left, T* right) {
  for (std::size_t r = 0; r < rows; ++r, both += 2 * width) {
    std::copy_n(both, width, left + r * std::size_t(width));
    std::copy_n(both + width, width, right + r * std::size_t(width));
  }
}

}  // namespace

template <class T>
void UnetEngine<T>::forward(const Weights& weights, int n, const T* x, const T* time, int times, T* y, Tape& tape,
                            bool keep, int threads) const {
  tape.arena_.clear();
  tape.saved_.clear();
  tape.n_ = n;
  tape.times_ = times;
  Pass pass{.engine = *this, .weights = weights, .tape = tape, .threads = threads};
  pass.embed_time(time, keep);
  T* h = pass.take(pass.size(shape_.horizon, shape_.width));
  swap_axes(n, shape_.horizon, shape_.width, x, h);
  std::vector<T*> skips;
  for (const Level& level : downs_) {
    h = pass.block(level.second, pass.block(level.first, h, keep), keep);
    if (level.attention) h = pass.attention(*level.attention, h, keep);
    skips.push_back(h);
    if (level.resample != kNone) h = pass.resample(level.resample, h, keep);
  }
  h = pass.block(middle_->first, h, keep);
  if (middle_->attention) h = pass.attention(*middle_->attention, h, keep);
  h = pass.block(middle_->second, h, keep);
  for (const Level& level : ups_) {
    T* const both = pass.take(pass.size(level.first.rows, level.first.in));
    join(std::size_t(level.first.rows) * std::size_t(n), level.first.in / 2, h, skips.back(), both);
    skips.pop_back();
    h = pass.block(level.second, pass.block(level.first, both, keep), keep);
    if (level.attention) h = pass.attention(*level.attention, h, keep);
    h = pass.resample(level.resample, h, keep);
  }
  T *u = pass.take(pass.size(final_rows_, shape_.dim)), *a = pass.take(pass.size(final_rows_, shape_.dim));
  T *stats = pass.take_stats(), *out = pass.take(pass.size(final_rows_, shape_.width));
  pass.apply(final_conv_, h, u);
  pass.norm_mish(final_norm_, final_rows_, shape_.dim, u, nullptr, nullptr, a, stats);
  pass.apply(last_conv_, a, out);
  if (keep) pass.push({h, u, a, stats});
  swap_axes(shape_.horizon, n, shape_.width, out, y);
}

template <class T>
void UnetEngine<T>::gradient(const Weights& weights, const T* dy, T* dx, T* gradients, Tape& tape) const {
  Pass pass{.engine = *this, .weights = weights, .tape = tape, .gradients = gradients};
  pass.saved = tape.saved_;
  const auto begin = tape.arena_.mark();
  const int n = tape.n_;
  if (gradients) {
    for (const Conv& conv : convs_)  // the kernels add to these
      if (conv.bias != kNone) std::fill_n(gradients + conv.bias_gradient, conv.shape.out, T(0));
    for (const Vector& vector : vectors_) std::fill_n(gradients + vector.gradient, vector.size, T(0));
    const std::size_t size = std::size_t(tape.times_) * std::size_t(shape_.dim);
    pass.time_gradient = pass.take(size);
    std::fill_n(pass.time_gradient, size, T(0));
  }
  T* d;
  {
    const T *stats = pass.pop(), *a = pass.pop(), *u = pass.pop(), *h = pass.pop();
    d = pass.take(pass.size(final_rows_, convs_[final_conv_].shape.in));
    const auto mark = tape.arena_.mark();
    T *dout = pass.take(pass.size(final_rows_, shape_.width)), *da = pass.take(pass.size(final_rows_, shape_.dim)),
      *du = pass.take(pass.size(final_rows_, shape_.dim));
    swap_axes(n, shape_.horizon, shape_.width, dy, dout);
    pass.weight_gradient(last_conv_, n, a, dout);
    pass.input_gradient(last_conv_, n, dout, false, da);
    pass.norm_mish_gradient(final_norm_, final_rows_, shape_.dim, u, stats, da, du, nullptr);
    pass.weight_gradient(final_conv_, n, h, du);
    pass.input_gradient(final_conv_, n, du, false, d);
    tape.arena_.rewind(mark);
  }
  std::vector<const T*> skips;  // gradients that reach the way down sideways
  for (auto level = ups_.rbegin(); level != ups_.rend(); ++level) {
    d = pass.resample_gradient(level->resample, d);
    if (level->attention) d = pass.attention_gradient(*level->attention, d);
    d = pass.block_gradient(level->second, d);
    d = pass.block_gradient(level->first, d);
    const int width = level->first.in / 2;
    T *left = pass.take(pass.size(level->first.rows, width)), *right = pass.take(pass.size(level->first.rows, width));
    part(std::size_t(level->first.rows) * std::size_t(n), width, d, left, right);
    skips.push_back(right);
    d = left;
  }
  d = pass.block_gradient(middle_->second, d);
  if (middle_->attention) d = pass.attention_gradient(*middle_->attention, d);
  d = pass.block_gradient(middle_->first, d);
  for (std::size_t i = downs_.size(); i-- > 0;) {
    const Level& level = downs_[i];
    if (level.resample != kNone) d = pass.resample_gradient(level.resample, d);
    if (i > 0) {  // the first level's output goes nowhere but down
      pass.k.add(pass.size(level.second.rows, level.second.out), skips.back(), d);
      skips.pop_back();
    }
    if (level.attention) d = pass.attention_gradient(*level.attention, d);
    d = pass.block_gradient(level.second, d);
    d = pass.block_gradient(level.first, d, i > 0 || dx != nullptr);
  }
  if (dx) swap_axes(shape_.horizon, n, shape_.width, d, dx);
  pass.embed_time_gradient();
  tape.arena_.rewind(begin);
}

template class UnetEngine<float>;
template class UnetEngine<double>;

}  // namespace diffreward
