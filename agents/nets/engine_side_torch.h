// What stands between a net's parameters, as LibTorch has them, and an engine over agents/kernels.
#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "agents/kernels/conv_program.h"
#include "agents/nets/parameters_torch.h"
#include "agents/parallel.h"

namespace diffreward {

/// How a parameter, or its gradient, lies in memory.
template <class T>
ParameterView<T> parameter_of(T* data, const torch::Tensor& tensor) {
  ParameterView<T> parameter{data, {0, 0, 0}};
  for (std::int64_t i = 0; i < tensor.dim() && i < 3; ++i) parameter.strides[i] = tensor.stride(i);
  return parameter;
}

inline std::int64_t divide_up(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// Sequences in each part of a training batch of n, whose weight gradients are summed: at most `full` unless
/// that makes more than `most` parts, and no fewer than two parts where these are worth it. By n alone, so
/// that no bit depends on the number of threads.
inline std::int64_t training_part(std::int64_t n, std::int64_t full, std::int64_t most) {
  constexpr std::int64_t kLeast = 8;
  return std::max(std::min(full, std::max(kLeast, divide_up(n, 2))), divide_up(n, most));
}

/// The engine of one number type, with the packed weights of the parameters' present values and spare tapes.
template <class T, class Engine>
class EngineSide {
 public:
  using Weights = PackedWeights<T>;
  using Tape = typename Engine::Tape;

  const Engine engine;

  template <class Shape>
  EngineSide(const Shape& shape, const Parameters& of)
      : engine(shape, [names =
                           [&] {
                             std::map<std::string, std::size_t> map;
                             for (const auto& [name, unused] : of.named()) map.emplace(name, map.size());
                             return map;
                           }()](const std::string& name) { return names.at(name); }),
        parameters_(of) {}

  std::shared_ptr<const Weights> packed(bool adjoint) {
    std::vector<const T*> pointers;
    std::vector<ParameterView<const T>> from;
    for (const auto& [name, parameter] : parameters_.named()) {
      pointers.push_back(parameter.template const_data_ptr<T>());
      from.push_back(parameter_of(pointers.back(), parameter));
    }
    const std::int64_t now = parameters_.version();
    const std::lock_guard lock(mutex_);
    if (weights_ && version_ == now && packed_from_ == pointers && (!adjoint || !weights_->adjoint.empty()))
      return weights_;
    // Weights that nobody else holds any more are overwritten.
    auto fresh = weights_ && weights_.use_count() == 1 && (!adjoint || !weights_->adjoint.empty())
                     ? std::const_pointer_cast<Weights>(weights_)
                     : std::make_shared<Weights>(engine.program().make_weights(adjoint));
    parallel_each(engine.program().jobs(),
                  [&](std::size_t job) { engine.program().pack(job, from, *fresh); });
    version_ = now;
    packed_from_ = std::move(pointers);
    weights_ = fresh;
    return weights_;
  }

  std::unique_ptr<Tape> take_tape() {
    return take(tapes_, [] { return std::make_unique<Tape>(); });
  }
  void give_back(std::unique_ptr<Tape> tape) { give(tapes_, std::move(tape)); }
  std::vector<T> take_buffer() {
    return take(buffers_, [&] { return std::vector<T>(engine.program().gradient_size()); });
  }
  /// Adds the buffers of a batch's parts, which it takes back, to the parameters' gradients, one tensor each.
  void add_gradients(std::vector<std::vector<T>> buffers, const std::vector<torch::Tensor>& gradients) {
    std::vector<const T*> from;
    for (const auto& buffer : buffers) from.push_back(buffer.data());
    std::vector<ParameterView<T>> to;
    for (const torch::Tensor& gradient : gradients)
      to.push_back(parameter_of(gradient.template mutable_data_ptr<T>(), gradient));
    parallel_each(engine.program().jobs(),
                  [&](std::size_t job) { engine.program().add_gradients(job, from, to); });
    for (auto& buffer : buffers) give_back(std::move(buffer));
  }
  void give_back(std::vector<T> buffer) { give(buffers_, std::move(buffer)); }

 private:
  template <class Thing, class Make>
  Thing take(std::vector<Thing>& spare, const Make& make) {
    const std::lock_guard lock(mutex_);
    if (spare.empty()) return make();
    Thing last = std::move(spare.back());
    spare.pop_back();
    return last;
  }
  template <class Thing>
  void give(std::vector<Thing>& spare, Thing thing) {
    const std::lock_guard lock(mutex_);
    spare.push_back(std::move(thing));
  }

  const Parameters& parameters_;
  std::mutex mutex_;
  std::shared_ptr<const Weights> weights_;    // all these under the mutex
  std::vector<const T*> packed_from_;         // where the parameters lay
  std::int64_t version_ = 0;                  // that they had
  std::vector<std::unique_ptr<Tape>> tapes_;  // not in use
  std::vector<std::vector<T>> buffers_;       // for gradients, not in use
};

}  // namespace diffreward
