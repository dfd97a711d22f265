#include "agents/diffusion/unet_engine.h"

#include <algorithm>

namespace diffreward {
namespace {

constexpr int kKernel = 5, kHeads = 4, kHeadChannels = 32;

}  // namespace

// --- What there is: one entry per weight, in the order of the forward pass.

template <class T>
struct UnetEngine<T>::Builder {
  UnetEngine& engine;
  ConvProgram<T>& program = engine.program_;

  Norm norm(const std::string& gain, const std::string& bias, int size) {
    const std::size_t first = program.vector(gain, size);
    return {first, program.vector(bias, size), kernels::Activation::kMish};
  }
  Block block(const std::string& name, int rows, int in, int out) {
    Block block{.rows = rows,
                .in = in,
                .out = out,
                .first = 0,
                .second = 0,
                .time = 0,
                .shortcut = kNone,
                .first_norm = {},
                .second_norm = {}};
    const auto half = [&](const std::string& part, int from, std::size_t& conv, Norm& norm_of) {
      conv = program.same(part + ".block.0", from, out, kKernel, rows);
      norm_of = norm(part + ".block.2.weight", part + ".block.2.bias", out);
    };
    half(name + ".blocks.0", in, block.first, block.first_norm);
    half(name + ".blocks.1", out, block.second, block.second_norm);
    block.time = program.linear(name + ".time_mlp.1", engine.shape_.dim, out);
    if (in != out) block.shortcut = program.same(name + ".residual_conv", in, out, 1, rows);
    return block;
  }
  std::optional<Attention> attention(const std::string& name, int rows, int channels) {
    if (!engine.shape_.attention) return std::nullopt;
    constexpr int kInner = kHeads * kHeadChannels;
    const Norm norm_of = norm(name + ".fn.norm.g", name + ".fn.norm.b", channels);
    const std::size_t qkv = program.same(name + ".fn.fn.to_qkv", channels, 3 * kInner, 1, rows, false);
    return Attention{rows, channels, norm_of, qkv,
                     program.same(name + ".fn.fn.to_out", kInner, channels, 1, rows)};
  }
};

template <class T>
UnetEngine<T>::UnetEngine(const UnetShape& shape, ParameterIndex index)
    : shape_(shape), program_(std::move(index)) {
  Builder make{*this};
  time_first_ = program_.linear("time_mlp.1", shape.dim, 4 * shape.dim);
  time_second_ = program_.linear("time_mlp.3", 4 * shape.dim, shape.dim);
  std::vector<int> channels = {shape.width};
  for (const int multiplier : shape.dim_mults) channels.push_back(shape.dim * multiplier);
  const std::size_t levels = shape.dim_mults.size();
  int rows = shape.horizon;
  for (std::size_t i = 0; i < levels; ++i) {
    const std::string name = "downs." + std::to_string(i);
    const int in = channels[i], out = channels[i + 1];
    const Block first = make.block(name + ".0", rows, in, out),
                second = make.block(name + ".1", rows, out, out);
    Level level{first, second, make.attention(name + ".2", rows, out), kNone};
    if (i + 1 < levels) {
      level.resample = program_.conv(name + ".3.conv", {out, out, 3, 2, 1, rows, rows / 2});
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
    const Block first = make.block(name + ".0", rows, 2 * in, out),
                second = make.block(name + ".1", rows, out, out);
    Level level{first, second, make.attention(name + ".2", rows, out), kNone};
    level.resample = program_.conv(name + ".3.conv", {out, out, 4, 2, 1, rows, 2 * rows, true});
    rows *= 2;
    ups_.push_back(level);
  }
  final_rows_ = rows;
  final_conv_ = program_.same("final_conv.0.block.0", channels[1], shape.dim, kKernel, rows);
  final_norm_ = make.norm("final_conv.0.block.2.weight", "final_conv.0.block.2.bias", shape.dim);
  last_conv_ = program_.same("final_conv.1", shape.dim, shape.width, 1, rows);
}

// --- One pass, forward or backward, over a part of a batch. Activations are [rows][n][channels].

template <class T>
struct UnetEngine<T>::Pass : ConvPass<T> {
  using Base = ConvPass<T>;
  using Base::apply, Base::by_sequence, Base::by_time, Base::gradient_of, Base::input_gradient, Base::k,
      Base::mark, Base::n, Base::norm, Base::norm_gradient, Base::plain, Base::pop, Base::push, Base::rewind,
      Base::size, Base::take, Base::take_stats, Base::times, Base::wants_parameters, Base::weight_gradient;

  const UnetEngine& engine;
  Tape& tape;
  T* time_gradient = nullptr;  // of the activated time embedding, [times][dim]
  T* turns[2] = {};            // of the way back, each as large as any layer's input

  template <class Last>
  Pass(const UnetEngine& of, const PackedWeights<T>& weights, Tape& on, Last last)
      : Base(of.program_, weights, on, last), engine(of), tape(on) {}

  T* block(const Block& b, T* x, bool keep) {
    T* const y = take(size(b.rows, b.out));
    const auto begin = mark();
    T *u1 = take(size(b.rows, b.out)), *u2 = take(size(b.rows, b.out));
    T *stats1 = take_stats(), *stats2 = take_stats();
    T* const by_level = take(std::size_t(times()) * std::size_t(b.out));
    apply(b.time, times(), tape.activated_time, false, by_level);
    T* const shift = by_sequence(by_level, b.out);
    const auto kept = mark();
    T* const a = take(size(b.rows, b.out));  // the way back computes it again
    apply(b.first, x, u1);
    norm(b.first_norm, b.rows, b.out, u1, shift, nullptr, a, stats1);
    apply(b.second, a, u2);
    const T* residual = x;
    if (b.shortcut != kNone) {
      apply(b.shortcut, x, y);
      residual = y;
    }
    norm(b.second_norm, b.rows, b.out, u2, nullptr, residual, y, stats2);
    if (keep) push({x, u1, shift, u2, stats1, stats2});
    rewind(keep ? kept : begin);
    return y;
  }

  /// Room for what is derived from dy: the one of two buffers that does not hold dy.
  T* other(const T* dy) const { return dy == turns[0] ? turns[1] : turns[0]; }

  /// Returns dx, or null unless `wanted`.
  T* block_gradient(const Block& b, const T* dy, bool wanted = true) {
    const T *stats2 = pop(), *stats1 = pop(), *u2 = pop(), *shift = pop(), *u1 = pop(), *x = pop();
    T* const dx = wanted ? other(dy) : nullptr;
    const auto begin = mark();
    T *du = take(size(b.rows, b.out)), *da = take(size(b.rows, b.out));
    norm_gradient(b.second_norm, b.rows, b.out, u2, stats2, dy, du, nullptr);
    if (wants_parameters()) {
      T* const a = da;
      norm(b.first_norm, b.rows, b.out, u1, shift, nullptr, a, take_stats());
      weight_gradient(b.second, n(), a, du);
    }
    input_gradient(b.second, n(), du, false, da);
    T* dshift = take(std::size_t(n()) * std::size_t(b.out));
    norm_gradient(b.first_norm, b.rows, b.out, u1, stats1, da, du, wants_parameters() ? dshift : nullptr);
    weight_gradient(b.first, n(), x, du);
    if (wants_parameters()) {
      dshift = by_time(dshift, b.out);
      weight_gradient(b.time, times(), tape.activated_time, dshift);
      input_gradient(b.time, times(), dshift, true, time_gradient);
    }
    if (b.shortcut != kNone) weight_gradient(b.shortcut, n(), x, dy);
    if (wanted) {
      input_gradient(b.first, n(), du, false, dx);
      if (b.shortcut != kNone)
        input_gradient(b.shortcut, n(), dy, true, dx);
      else
        k.add(size(b.rows, b.in), dy, dx);
    }
    rewind(begin);
    return dx;
  }

  T* attention(const Attention& a, T* x, bool keep) {
    constexpr int kInner = kHeads * kHeadChannels;
    T* const y = take(size(a.rows, a.channels));
    const auto begin = mark();
    T *normed = take(size(a.rows, a.channels)), *qkv = take(size(a.rows, 3 * kInner)),
      *mixed = take(size(a.rows, kInner));
    k.channel_norm(std::ptrdiff_t(a.rows) * n(), a.channels, x, plain(a.norm.gain), plain(a.norm.bias),
                   normed);
    apply(a.qkv, normed, qkv);
    k.linear_attention(a.rows, n(), kHeads, qkv, mixed);
    apply(a.out, mixed, y);
    k.add(size(a.rows, a.channels), x, y);
    if (keep)
      push({x, normed, qkv, mixed});
    else
      rewind(begin);
    return y;
  }

  T* attention_gradient(const Attention& a, const T* dy) {
    constexpr int kInner = kHeads * kHeadChannels;
    const T *mixed = pop(), *qkv = pop(), *normed = pop(), *x = pop();
    T* const dx = other(dy);
    const auto begin = mark();
    T *dmixed = take(size(a.rows, kInner)), *dqkv = take(size(a.rows, 3 * kInner)),
      *dnormed = take(size(a.rows, a.channels));
    weight_gradient(a.out, n(), mixed, dy);
    input_gradient(a.out, n(), dy, false, dmixed);
    k.linear_attention_gradient(a.rows, n(), kHeads, qkv, dmixed, dqkv);
    weight_gradient(a.qkv, n(), normed, dqkv);
    input_gradient(a.qkv, n(), dqkv, false, dnormed);
    std::copy_n(dy, size(a.rows, a.channels), dx);
    k.channel_norm_gradient(std::ptrdiff_t(a.rows) * n(), a.channels, x, plain(a.norm.gain), dnormed, dx,
                            gradient_of(a.norm.gain), gradient_of(a.norm.bias));
    rewind(begin);
    return dx;
  }

  T* resample(std::size_t which, T* x, bool keep) {
    const kernels::ConvShape& shape = engine.program_.shape(which);
    T* const y = take(size(shape.rows_out, shape.out));
    apply(which, x, y);
    if (keep) push({x});
    return y;
  }
  T* resample_gradient(std::size_t which, const T* dy) {
    T* const dx = other(dy);
    weight_gradient(which, n(), pop(), dy);
    input_gradient(which, n(), dy, false, dx);
    return dx;
  }

  void embed_time(const T* time, bool keep) {
    const int dim = engine.shape_.dim, count = times();
    const std::size_t small = std::size_t(count) * std::size_t(dim), large = 4 * small;
    T *embedding = take(small), *z1 = take(large), *a1 = take(large), *z2 = take(small), *a2 = take(small);
    std::copy_n(time, small, embedding);
    apply(engine.time_first_, count, embedding, false, z1);
    k.mish(large, z1, a1);
    apply(engine.time_second_, count, a1, false, z2);
    k.mish(small, z2, a2);  // the activation that every block's time layer begins with
    tape.activated_time = a2;
    if (keep) push({embedding, z1, a1, z2});
  }
  void embed_time_gradient() {
    const T *z2 = pop(), *a1 = pop(), *z1 = pop(), *embedding = pop();
    if (!wants_parameters()) return;
    const int count = times();
    const std::size_t small = std::size_t(count) * std::size_t(engine.shape_.dim), large = 4 * small;
    T* const d = take(large);
    k.mish_gradient(small, z2, time_gradient, time_gradient);
    weight_gradient(engine.time_second_, count, a1, time_gradient);
    input_gradient(engine.time_second_, count, time_gradient, false, d);
    k.mish_gradient(large, z1, d, d);
    weight_gradient(engine.time_first_, count, embedding, d);
  }
};

namespace {

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
void UnetEngine<T>::forward(const PackedWeights<T>& weights, int n, const T* x, const T* time, int times,
                            const int* which, T* y, Tape& tape, bool keep, int threads) const {
  tape.begin(n, times, which);
  Pass pass(*this, weights, tape, threads);
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
  pass.norm(final_norm_, final_rows_, shape_.dim, u, nullptr, nullptr, a, stats);
  pass.apply(last_conv_, a, out);
  if (keep) pass.push({h, u, a, stats});
  swap_axes(shape_.horizon, n, shape_.width, out, y);
}

template <class T>
void UnetEngine<T>::gradient(const PackedWeights<T>& weights, const T* dy, T* dx, T* gradients,
                             Tape& tape) const {
  Pass pass(*this, weights, tape, gradients);
  const auto before = pass.mark();
  const int n = pass.n();
  if (gradients) {
    const std::size_t size = std::size_t(pass.times()) * std::size_t(shape_.dim);
    pass.time_gradient = pass.take(size);
    std::fill_n(pass.time_gradient, size, T(0));
  }
  for (T*& turn : pass.turns) turn = pass.take(std::size_t(n) * program_.largest_input());
  T* d = pass.turns[0];
  {
    const T *stats = pass.pop(), *a = pass.pop(), *u = pass.pop(), *h = pass.pop();
    const auto begin = pass.mark();
    T *dout = pass.take(pass.size(final_rows_, shape_.width)),
      *da = pass.take(pass.size(final_rows_, shape_.dim)),
      *du = pass.take(pass.size(final_rows_, shape_.dim));
    swap_axes(n, shape_.horizon, shape_.width, dy, dout);
    pass.weight_gradient(last_conv_, n, a, dout);
    pass.input_gradient(last_conv_, n, dout, false, da);
    pass.norm_gradient(final_norm_, final_rows_, shape_.dim, u, stats, da, du, nullptr);
    pass.weight_gradient(final_conv_, n, h, du);
    pass.input_gradient(final_conv_, n, du, false, d);
    pass.rewind(begin);
  }
  std::vector<const T*> skips;  // gradients that reach the way down sideways
  for (auto level = ups_.rbegin(); level != ups_.rend(); ++level) {
    d = pass.resample_gradient(level->resample, d);
    if (level->attention) d = pass.attention_gradient(*level->attention, d);
    d = pass.block_gradient(level->second, d);
    d = pass.block_gradient(level->first, d);
    const int width = level->first.in / 2;
    T *left = pass.take(pass.size(level->first.rows, width)),
      *right = pass.take(pass.size(level->first.rows, width));
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
  pass.rewind(before);
}

template class UnetEngine<float>;
template class UnetEngine<double>;

}  // namespace diffreward
