#include "agents/diffusion/fused_denoiser_torch.h"

#include <torch/torch.h>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "agents/kernels/enabled.h"
#include "agents/nets/engine_side_torch.h"
#include "agents/parallel.h"
#include "core/error.h"

namespace diffreward {
namespace {

constexpr std::int64_t kFewSequences = 8;

/// The distinct noise levels of each part of a batch: each is embedded once.
class Times {
 public:
  Times(const torch::Tensor& t, std::int64_t length) {
    const torch::Tensor all = t.contiguous();
    const std::span<const std::int64_t> level(all.const_data_ptr<std::int64_t>(), std::size_t(t.size(0)));
    which_.resize(level.size());
    for (std::size_t begin = 0; begin < level.size(); begin += std::size_t(length)) {
      const auto part = level.subspan(begin, std::min(std::size_t(length), level.size() - begin));
      std::vector<std::int64_t> sorted(part.begin(), part.end());
      std::ranges::sort(sorted);
      const auto [first, last] = std::ranges::unique(sorted);
      sorted.erase(first, last);
      for (std::size_t i = 0; i < part.size(); ++i)
        which_[begin + i] = int(std::ranges::lower_bound(sorted, part[i]) - sorted.begin());
      begins_.push_back(std::int64_t(levels_.size()));
      levels_.insert(levels_.end(), sorted.begin(), sorted.end());
    }
    begins_.push_back(std::int64_t(levels_.size()));
  }
  torch::Tensor levels() const { return torch::tensor(levels_, torch::kLong); }
  struct Range {
    std::int64_t first, count;
  };
  /// A part's rows of levels(), of which which(begin of the part) tells each sequence's.
  Range of_part(std::size_t p) const { return {begins_[p], begins_[p + 1] - begins_[p]}; }
  const int* which(std::int64_t begin) const { return which_.data() + begin; }

 private:
  std::vector<std::int64_t> levels_, begins_;
  std::vector<int> which_;
};

template <class T>
constexpr torch::ScalarType kType = std::is_same_v<T, float> ? torch::kFloat : torch::kDouble;

}  // namespace

template <template <class> class Engine>
template <class T>
struct FusedDenoiser<Engine>::Side : EngineSide<T, Engine<T>> {
  using EngineSide<T, Engine<T>>::EngineSide;
};

/// LibTorch's graph node, and what it keeps: a tape for each part of the batch.
template <template <class> class Engine>
struct FusedDenoiser<Engine>::Node : torch::autograd::Function<typename FusedDenoiser<Engine>::Node> {
  template <class T>
  struct Kept : torch::CustomClassHolder {
    const FusedDenoiser* net;
    Side<T>* side;
    std::shared_ptr<const PackedWeights<T>> weights;
    std::int64_t length = 0;  // of a part
    std::vector<std::unique_ptr<typename Side<T>::Tape>> tapes;
    Plain plain;
    ~Kept() override {
      for (auto& tape : tapes)
        if (tape) side->give_back(std::move(tape));
    }
  };

  template <class T>
  static torch::Tensor run(const torch::Tensor& x, const torch::Tensor& t, Side<T>& side, Kept<T>* kept) {
    const torch::Tensor input = x.contiguous();
    const std::int64_t n = x.size(0), size = x.size(1) * x.size(2);
    torch::Tensor y = torch::empty_like(input);
    if (n == 0) return y;
    const auto weights = side.packed(kept != nullptr);
    // A few sequences stay together: their threads share the layers' weights, which are most of the memory
    // read then.
    const std::int64_t share = n < kFewSequences ? n : divide_up(n, at::get_num_threads());
    using Net = Engine<T>;
    const std::int64_t length =
        kept ? training_part(n, Net::kTrainingPart, Net::kMostParts) : std::min(share, Net::kInferencePart);
    const std::int64_t parts = divide_up(n, length);
    const Times times(t, length);
    const std::int64_t dim = side.engine.time_features();
    const torch::Tensor embedding = sinusoidal_embedding(times.levels(), dim).to(kType<T>).contiguous();
    if (kept) {
      kept->weights = weights;
      kept->tapes.resize(std::size_t(parts));
      kept->length = length;
    }
    const T *from = input.const_data_ptr<T>(), *when = embedding.const_data_ptr<T>();
    T* const to = y.mutable_data_ptr<T>();
    parallel_each(std::size_t(parts), [&](std::size_t p) {
      const std::int64_t begin = std::int64_t(p) * length, count = std::min(length, n - begin);
      auto tape = side.take_tape();
      const auto [first, distinct] = times.of_part(p);
      side.engine.forward(*weights, int(count), from + begin * size, when + first * dim, int(distinct),
                          times.which(begin), to + begin * size, *tape, kept != nullptr,
                          parts == 1 ? at::get_num_threads() : 1);
      if (kept)
        kept->tapes[p] = std::move(tape);
      else
        side.give_back(std::move(tape));
    });
    return y;
  }

  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& t, const FusedDenoiser* net, const Plain& plain,
                               at::TensorList parameters) {
    torch::autograd::variable_list saved = {x, t};
    saved.insert(saved.end(), parameters.begin(), parameters.end());
    context->save_for_backward(std::move(saved));  // whose versions LibTorch will check
    const auto keep = [&]<class T>(Side<T>& side) {
      auto kept = c10::make_intrusive<Kept<T>>();
      kept->net = net;
      kept->side = &side;
      kept->plain = plain;
      torch::Tensor y = run(x, t, side, kept.get());
      context->saved_data["kept"] = c10::IValue::make_capsule(kept);
      return y;
    };
    context->saved_data["double"] = x.scalar_type() == torch::kDouble;
    return x.scalar_type() == torch::kDouble ? keep(*net->double_) : keep(*net->float_);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list above) {
    return context->saved_data["double"].toBool() ? backward_of<double>(context, above[0])
                                                  : backward_of<float>(context, above[0]);
  }

  template <class T>
  static torch::autograd::variable_list backward_of(torch::autograd::AutogradContext* context,
                                                    const torch::Tensor& above) {
    constexpr std::size_t kFirstParameter = 4;  // forward's arguments before the parameters
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const auto capsule = context->saved_data["kept"].toCapsule();
    auto& kept = static_cast<Kept<T>&>(*capsule);
    torch::autograd::variable_list out(kFirstParameter + saved.size() - 2);
    if (torch::GradMode::is_enabled()) {  // second derivatives
      torch::autograd::variable_list inputs = {saved[0]};
      inputs.insert(inputs.end(), saved.begin() + 2, saved.end());
      std::vector<std::size_t> wanted;
      torch::autograd::variable_list from;
      for (std::size_t i = 0; i < inputs.size(); ++i)
        if (inputs[i].requires_grad()) {
          wanted.push_back(i);
          from.push_back(inputs[i]);
        }
      const auto gradients =
          torch::autograd::grad({kept.plain(saved[0], saved[1])}, from, {above}, true, true, true);
      for (std::size_t j = 0; j < wanted.size(); ++j)
        out[wanted[j] == 0 ? 0 : kFirstParameter + wanted[j] - 1] = gradients[j];
      return out;
    }
    const torch::Tensor& x = saved[0];
    const std::int64_t size = x.size(1) * x.size(2);
    const torch::Tensor dy = above.contiguous();
    const bool wants_x = context->needs_input_grad(0);
    bool wants_parameters = false;
    for (std::size_t i = 2; i < saved.size(); ++i)
      wants_parameters = wants_parameters || saved[i].requires_grad();
    if (wants_x) out[0] = torch::empty(x.sizes(), x.options());
    const auto& engine = kept.side->engine;
    const std::size_t parts = kept.tapes.size();
    std::vector<std::vector<T>> buffers(wants_parameters ? parts : 0);
    const T* const from = dy.const_data_ptr<T>();
    T* const dx = wants_x ? out[0].mutable_data_ptr<T>() : nullptr;
    parallel_each(parts, [&](std::size_t p) {
      const std::int64_t begin = std::int64_t(p) * kept.length * size;
      if (wants_parameters) buffers[p] = kept.side->take_buffer();
      engine.gradient(*kept.weights, from + begin, wants_x ? dx + begin : nullptr,
                      wants_parameters ? buffers[p].data() : nullptr, *kept.tapes[p]);
    });
    if (wants_parameters) {
      std::vector<torch::Tensor> gradients;
      for (std::size_t i = 2; i < saved.size(); ++i) {
        torch::Tensor gradient;
        if (kept.net->parameters_.collects_gradients()) {
          gradient = saved[i].grad();
        } else {
          gradient = torch::zeros(saved[i].sizes(), saved[i].options().requires_grad(false));
          out[kFirstParameter + i - 2] = gradient;
        }
        gradients.push_back(gradient);
      }
      kept.side->add_gradients(std::move(buffers), gradients);
    }
    return out;
  }
};

template <template <class> class Engine>
FusedDenoiser<Engine>::FusedDenoiser(const Shape& shape, const Parameters& parameters)
    : shape_(shape),
      parameters_(parameters),
      float_(std::make_unique<Side<float>>(shape, parameters)),
      double_(std::make_unique<Side<double>>(shape, parameters)) {}
template <template <class> class Engine>
FusedDenoiser<Engine>::~FusedDenoiser() = default;

template <template <class> class Engine>
bool FusedDenoiser<Engine>::takes(const torch::Tensor& x, const torch::Tensor& t) const {
  if (!kernels_enabled() || !Engine<float>::supports(shape_)) return false;
  const torch::ScalarType type = x.scalar_type();
  const torch::Tensor& first = parameters_.named().front().second;
  return (type == torch::kFloat || type == torch::kDouble) && first.scalar_type() == type && x.is_cpu() &&
         t.is_cpu() && first.is_cpu() && !first.is_inference() && t.scalar_type() == torch::kLong &&
         t.dim() == 1 && x.dim() == 3 && x.size(0) == t.size(0) && x.size(1) == shape_.horizon &&
         x.size(2) == shape_.width && x.layout() == torch::kStrided;
}

template <template <class> class Engine>
torch::Tensor FusedDenoiser<Engine>::forward(const torch::Tensor& x, const torch::Tensor& t,
                                             const Plain& plain) const {
  torch::autograd::variable_list parameters;
  bool graph = torch::GradMode::is_enabled() && x.requires_grad();
  for (const auto& [name, parameter] : parameters_.named()) {
    parameters.push_back(parameter);
    graph = graph || (torch::GradMode::is_enabled() && parameter.requires_grad());
  }
  if (graph) return Node::apply(x, t, this, plain, at::TensorList(parameters));
  return x.scalar_type() == torch::kDouble ? Node::template run<double>(x, t, *double_, nullptr)
                                           : Node::template run<float>(x, t, *float_, nullptr);
}

template class FusedDenoiser<UnetEngine>;
template class FusedDenoiser<ResidualMlpEngine>;

}  // namespace diffreward
