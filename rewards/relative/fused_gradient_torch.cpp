#include "rewards/relative/fused_gradient_torch.h"

#include <torch/torch.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "agents/kernels/enabled.h"
#include "agents/nets/engine_side_torch.h"
#include "agents/parallel.h"

namespace diffreward {

template <template <class> class Engine>
struct FusedGradient<Engine>::Side : EngineSide<float, Engine<float>> {
  using EngineSide<float, Engine<float>>::EngineSide;
};

template <template <class> class Engine>
struct FusedGradient<Engine>::Node : torch::autograd::Function<typename FusedGradient<Engine>::Node> {
  /// What the pass back needs, part by part of the batch.
  struct Kept : torch::CustomClassHolder {
    const FusedGradient* net;
    Plain plain;
    std::shared_ptr<const PackedWeights<float>> weights;
    std::int64_t length = 0;  // of a part
    std::vector<std::unique_ptr<typename Side::Tape>> tapes;
    ~Kept() override {
      for (auto& tape : tapes)
        if (tape) net->side_->give_back(std::move(tape));
    }
  };

  static torch::Tensor run(const torch::Tensor& x, const torch::Tensor& features, Side& side, Kept* kept) {
    const torch::Tensor input = x.contiguous(), times = features.contiguous();
    torch::Tensor out = torch::empty_like(input);
    const std::int64_t n = x.size(0), size = x.size(1) * x.size(2);
    const bool one = times.size(0) == 1;
    const auto weights = side.packed(/*adjoint=*/true);
    using Net = Engine<float>;
    const std::int64_t part_size = Net::part(x.size(1));
    const std::int64_t length =
        kept ? training_part(n, part_size, Net::kMostParts)
             : std::clamp<std::int64_t>(divide_up(n, at::get_num_threads()), 1, part_size);
    const std::int64_t parts = divide_up(n, length);
    if (kept) {
      kept->weights = weights;
      kept->length = length;
      kept->tapes.resize(static_cast<std::size_t>(parts));
    }
    const float *from = input.const_data_ptr<float>(), *when = times.const_data_ptr<float>();
    float* const to = out.mutable_data_ptr<float>();
    parallel_each(static_cast<std::size_t>(parts), [&](std::size_t part) {
      const std::int64_t begin = static_cast<std::int64_t>(part) * length,
                         count = std::min(length, n - begin);
      auto tape = side.take_tape();
      side.engine.input_gradient(*weights, static_cast<int>(count), static_cast<int>(x.size(1)),
                                 from + begin * size, when + (one ? 0 : begin * times.size(1)),
                                 one ? 1 : static_cast<int>(count), to + begin * size, *tape);
      if (kept)
        kept->tapes[part] = std::move(tape);
      else
        side.give_back(std::move(tape));
    });
    return out;
  }

  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& features, const FusedGradient* net, const Plain& plain,
                               at::TensorList parameters) {
    torch::autograd::variable_list saved = {x, features};
    saved.insert(saved.end(), parameters.begin(), parameters.end());
    context->save_for_backward(std::move(saved));  // whose versions LibTorch will check
    auto kept = c10::make_intrusive<Kept>();
    kept->net = net;
    kept->plain = plain;
    torch::Tensor out = run(x, features, *net->side_, kept.get());
    context->saved_data["kept"] = c10::IValue::make_capsule(kept);
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list above) {
    constexpr std::size_t kFirstParameter = 4;  // forward's arguments before the parameters
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const auto capsule = context->saved_data["kept"].toCapsule();
    auto& kept = static_cast<Kept&>(*capsule);
    const torch::autograd::variable_list parameters(saved.begin() + 2, saved.end());
    torch::autograd::variable_list out(kFirstParameter + parameters.size());
    if (torch::GradMode::is_enabled()) {  // third derivatives
      const auto gradients =
          torch::autograd::grad({kept.plain(saved[0], saved[1])}, parameters, {above[0]}, true, true, true);
      std::ranges::copy(gradients, out.begin() + kFirstParameter);
      return out;
    }
    const torch::Tensor v = above[0].contiguous();
    const std::int64_t stride = kept.length * v.size(1) * v.size(2);
    Side& side = *kept.net->side_;
    std::vector<std::vector<float>> buffers(kept.tapes.size());
    parallel_each(kept.tapes.size(), [&](std::size_t part) {
      buffers[part] = side.take_buffer();
      side.engine.parameter_gradient(*kept.weights,
                                     v.const_data_ptr<float>() + static_cast<std::int64_t>(part) * stride,
                                     buffers[part].data(), *kept.tapes[part]);
    });
    const bool collect = kept.net->parameters_.collects_gradients();
    std::vector<torch::Tensor> gradients;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const torch::Tensor gradient = collect ? parameters[i].grad() : torch::zeros_like(parameters[i]);
      gradients.push_back(gradient);
      if (!collect && kept.net->parameters_.named()[i].first != "out.bias")
        out[kFirstParameter + i] = gradient;
    }
    side.add_gradients(std::move(buffers), gradients);
    return out;
  }
};

template <template <class> class Engine>
FusedGradient<Engine>::FusedGradient(const Shape& shape, const Parameters& parameters)
    : parameters_(parameters), side_(std::make_unique<Side>(shape, parameters)) {}
template <template <class> class Engine>
FusedGradient<Engine>::~FusedGradient() = default;

template <template <class> class Engine>
bool FusedGradient<Engine>::takes(const torch::Tensor& x, const torch::Tensor& features) const {
  const torch::Tensor& first = parameters_.named().front().second;
  return kernels_enabled() && x.is_cpu() && x.scalar_type() == torch::kFloat && x.dim() == 3 &&
         x.size(0) > 0 && side_->engine.takes(x.size(1), x.size(2)) && features.is_cpu() &&
         features.dim() == 2 && (features.size(0) == x.size(0) || features.size(0) == 1) && first.is_cpu() &&
         first.scalar_type() == torch::kFloat && !first.is_inference();
}

template <template <class> class Engine>
torch::Tensor FusedGradient<Engine>::operator()(const torch::Tensor& x, const torch::Tensor& features,
                                                const Plain& plain) const {
  torch::autograd::variable_list parameters;
  bool graph = false;
  for (const auto& [name, parameter] : parameters_.named()) {
    parameters.push_back(parameter);
    graph = graph || (torch::GradMode::is_enabled() && parameter.requires_grad());
  }
  if (!graph) return Node::run(x, features, *side_, nullptr);
  return Node::apply(x.detach(), features.expand({x.size(0), -1}), this, plain, at::TensorList(parameters));
}

template class FusedGradient<HalfUnetEngine>;
template class FusedGradient<WindowMlpEngine>;

}  // namespace diffreward
