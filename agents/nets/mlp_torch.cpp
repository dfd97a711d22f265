#include "agents/nets/mlp_torch.h"

#include <algorithm>
#include <numbers>
#include <span>
#include <utility>

#include "agents/kernels/enabled.h"
#include "agents/kernels/kernels.h"
#include "agents/parallel.h"

namespace diffreward {
namespace {

constexpr std::int64_t kWorthAThread =
    5'000'000;  // multiplications; waking a thread takes as long as a tenth of them

}  // namespace

Mlp::Mlp(Parameters& parameters, const std::string& name, const MlpShape& shape, int nets)
    : parameters_(&parameters), shape_(shape) {
  std::vector<int> sizes = shape.hidden;
  sizes.push_back(shape.out);
  const auto name_of = [&](int net) { return nets == 1 ? name : name + "." + std::to_string(net); };
  for (int net = 0; net < nets; ++net) {
    std::vector<Layer> layers;
    std::int64_t in = shape.in;
    for (std::size_t k = 0; k < sizes.size(); ++k) {
      const std::int64_t out = sizes[k];
      const std::string layer = name_of(net) + "." + std::to_string(k);
      const double gain = k + 1 < sizes.size() ? std::numbers::sqrt2 : shape.last_gain;
      layers.push_back({shape.last_gain != 0 ? parameters.orthogonal(layer + ".weight", out, in, gain)
                                             : parameters.uniform(layer + ".weight", {out, in}, in),
                        shape.last_gain != 0 ? parameters.constant(layer + ".bias", {out}, 0)
                                             : parameters.uniform(layer + ".bias", {out}, in),
                        {},
                        {}});
      if (shape.layer_norm && k + 1 < sizes.size()) {
        layers.back().scale = parameters.constant(layer + ".norm.weight", {out}, 1);
        layers.back().shift = parameters.constant(layer + ".norm.bias", {out}, 0);
      }
      in = out;
    }
    nets_.push_back(std::move(layers));
  }
}

torch::Tensor Mlp::by_aten(const torch::Tensor& x, bool trained) const {
  const auto value = [&](const torch::Tensor& parameter) { return trained ? parameter : parameter.detach(); };
  std::vector<torch::Tensor> out;
  for (const std::vector<Layer>& layers : nets_) {
    torch::Tensor h = x;
    for (std::size_t k = 0; k < layers.size(); ++k) {
      const Layer& layer = layers[k];
      h = torch::linear(h, value(layer.weight), value(layer.bias));
      if (layer.scale.defined())
        h = torch::layer_norm(h, {h.size(1)}, value(layer.scale), value(layer.shift));
      if (k + 1 < layers.size())
        h = shape_.activation == MlpShape::Activation::kTanh ? torch::tanh(h) : torch::relu(h);
    }
    out.push_back(h);
  }
  return torch::stack(out);
}

bool Mlp::fused(const torch::Tensor& x) const {
  const torch::Tensor& first = nets_.front().front().weight;
  return kernels_enabled() && x.is_cpu() && first.is_cpu() && x.scalar_type() == torch::kFloat &&
         first.scalar_type() == torch::kFloat && x.dim() == 2 && x.layout() == torch::kStrided &&
         std::ranges::all_of(shape_.hidden, [](int units) { return units % 8 == 0; });
}

/// The node of LibTorch's graph: a task for each net and part of the rows.
struct Mlp::Node : torch::autograd::Function<Mlp::Node> {
  /// One net's pass over some rows, and what its way back needs.
  struct Task {
    const std::vector<Layer>* layers;
    MlpShape::Activation activation;
    std::int64_t net, begin, count;
    std::vector<torch::Tensor> inputs;  // of each layer, [count, in]
    std::vector<torch::Tensor> raw;     // what each normalised layer gave before, [count, out]
  };
  struct Kept : torch::CustomClassHolder {
    const Mlp* mlp = nullptr;
    bool trained = false;
    std::vector<Task> tasks;
  };

  /// Rows of a part, by the sizes alone, so that no bit depends on the number of threads. Products of few rows are slower, and
  /// each part writes a gradient of all weights: at most four, none of few multiplications, and of several nets whole ones
  /// where the rows are few.
  static std::int64_t part_of(std::int64_t n, const Mlp& mlp) {
    std::int64_t weights = 0;
    for (const Layer& layer : mlp.nets_.front()) weights += layer.weight.numel();
    const std::int64_t worth = kWorthAThread / std::max<std::int64_t>(weights, 1);
    const std::int64_t few =
        mlp.nets_.size() == 1 ? std::min<std::int64_t>(128, (n + 1) / 2) : std::min<std::int64_t>(256, n);
    return std::max({(n + 3) / 4, few, worth, std::int64_t{1}});
  }

  static void forward(Task& task, const torch::Tensor& x, const torch::Tensor& y, bool keep) {
    const auto& k = kernels::kernels<float>();
    torch::Tensor h = x.narrow(0, task.begin, task.count);
    for (std::size_t l = 0; l < task.layers->size(); ++l) {
      const Layer& layer = (*task.layers)[l];
      if (keep) task.inputs.push_back(h);
      if (l + 1 == task.layers->size()) {
        torch::Tensor out = y[task.net].narrow(0, task.begin, task.count);
        at::addmm_out(out, layer.bias, h, layer.weight.t());
        return;
      }
      torch::Tensor u = at::addmm(layer.bias, h, layer.weight.t());
      const auto size = static_cast<std::size_t>(u.numel());
      h = layer.scale.defined() && keep ? at::empty_like(u) : u;
      if (layer.scale.defined()) {
        if (keep) task.raw.push_back(u);
        k.channel_norm(task.count, int(u.size(1)), u.const_data_ptr<float>(),
                       layer.scale.const_data_ptr<float>(), layer.shift.const_data_ptr<float>(),
                       h.mutable_data_ptr<float>());
      }
      (task.activation == MlpShape::Activation::kTanh ? k.tanh : k.relu)(size, h.const_data_ptr<float>(),
                                                                         h.mutable_data_ptr<float>());
    }
  }

  /// Adds the gradients of weight, bias and, normalised, scale and shift of each layer to `gradients`, in this order, unless
  /// there are none; writes dx unless undefined.
  static void backward(const Task& task, const torch::Tensor& dy, const torch::Tensor& dx,
                       std::span<torch::Tensor> gradients) {
    const auto& k = kernels::kernels<float>();
    const std::size_t layers = task.layers->size();
    const std::size_t each = task.layers->front().scale.defined() ? 4 : 2;  // of a layer
    torch::Tensor d = dy[task.net].narrow(0, task.begin, task.count);
    for (std::size_t l = layers; l-- > 0;) {
      const Layer& layer = (*task.layers)[l];
      if (l + 1 < layers) {  // back through activation and norm
        const auto size = static_cast<std::size_t>(d.numel());
        (task.activation == MlpShape::Activation::kTanh ? k.tanh_gradient : k.relu_gradient)(
            size, task.inputs[l + 1].const_data_ptr<float>(), d.const_data_ptr<float>(),
            d.mutable_data_ptr<float>());
        if (layer.scale.defined()) {
          const bool trained = !gradients.empty();
          const torch::Tensor du = at::zeros_like(d),
                              scale = trained ? gradients[l * each + 2] : at::zeros_like(layer.scale),
                              shift = trained ? gradients[l * each + 3] : at::zeros_like(layer.shift);
          k.channel_norm_gradient(task.count, int(d.size(1)), task.raw[l].const_data_ptr<float>(),
                                  layer.scale.const_data_ptr<float>(), d.const_data_ptr<float>(),
                                  du.mutable_data_ptr<float>(), scale.mutable_data_ptr<float>(),
                                  shift.mutable_data_ptr<float>());
          d = du;
        }
      }
      if (!gradients.empty()) {
        torch::Tensor& weight = gradients[l * each];
        at::addmm_out(weight, weight, d.t(), task.inputs[l]);
        gradients[l * each + 1].add_(at::sum(d, 0));
      }
      if (l > 0) {
        d = d.size(1) == 1 ? at::mul(d, layer.weight) : at::mm(d, layer.weight);  // an outer product
      } else if (dx.defined()) {
        torch::Tensor to = dx[task.net].narrow(0, task.begin, task.count);
        at::mm_out(to, d, layer.weight);
      }
    }
  }

  static torch::Tensor run(const Mlp& mlp, const torch::Tensor& x, Kept* kept) {
    const torch::Tensor input = x.contiguous();
    const std::int64_t n = x.size(0);
    torch::Tensor y = torch::empty({std::int64_t(mlp.nets_.size()), n, mlp.shape_.out}, x.options());
    const std::int64_t length = part_of(n, mlp);
    std::vector<Task> tasks;
    for (std::size_t net = 0; net < mlp.nets_.size(); ++net)
      for (std::int64_t begin = 0; begin < n; begin += length)
        tasks.push_back({&mlp.nets_[net],
                         mlp.shape_.activation,
                         std::int64_t(net),
                         begin,
                         std::min(length, n - begin),
                         {},
                         {}});
    parallel_each(tasks.size(), [&](std::size_t k) {
      const at::AutoDispatchBelowADInplaceOrView plain;
      forward(tasks[k], input, y, kept != nullptr);
    });
    if (kept != nullptr) kept->tasks = std::move(tasks);
    return y;
  }

  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const Mlp* mlp, bool trained, at::TensorList parameters) {
    torch::autograd::variable_list saved(parameters.begin(), parameters.end());
    saved.insert(saved.begin(), x);
    context->save_for_backward(std::move(saved));  // whose versions LibTorch will check
    auto kept = c10::make_intrusive<Kept>();
    kept->mlp = mlp;
    kept->trained = trained;
    torch::Tensor y = run(*mlp, x.detach(), kept.get());
    context->saved_data["kept"] = c10::IValue::make_capsule(kept);
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list above) {
    constexpr std::size_t kFirstParameter = 3;  // forward's arguments before the parameters
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const auto capsule = context->saved_data["kept"].toCapsule();
    auto& kept = static_cast<Kept&>(*capsule);
    const Mlp& mlp = *kept.mlp;
    const torch::Tensor dy = above[0].contiguous();
    const bool wants_x = context->needs_input_grad(0);
    torch::Tensor dx;
    if (wants_x)
      dx = torch::empty({dy.size(0), dy.size(1), mlp.shape_.in}, dy.options().requires_grad(false));
    torch::autograd::variable_list result(kFirstParameter + saved.size() - 1);
    // Where gradients are collected they are added in place; a graph of its own gets tensors.
    std::vector<torch::Tensor> sums;
    for (std::size_t i = 1; kept.trained && i < saved.size(); ++i) {
      const bool collected = mlp.parameters_->collects_gradients();
      sums.push_back(collected ? saved[i].grad()
                               : torch::zeros(saved[i].sizes(), saved[i].options().requires_grad(false)));
      if (!collected) result[kFirstParameter + i - 1] = sums.back();
    }
    // The first part of a net adds to its gradients, each other one to some of its own, which follow.
    const std::size_t each = sums.size() / mlp.nets_.size();  // tensors of a net
    std::vector<std::vector<torch::Tensor>> others(kept.tasks.size());
    parallel_each(kept.tasks.size(), [&](std::size_t k) {
      const at::AutoDispatchBelowADInplaceOrView plain;
      const Task& task = kept.tasks[k];
      const auto own = std::span(sums).subspan(static_cast<std::size_t>(task.net) * each, each);
      if (task.begin > 0)
        for (const torch::Tensor& sum : own) others[k].push_back(at::zeros_like(sum));
      backward(task, dy, dx, task.begin > 0 ? std::span(others[k]) : own);
    });
    if (kept.tasks.size() > mlp.nets_.size())
      parallel_each(sums.size(), [&](std::size_t i) {
        const at::AutoDispatchBelowADInplaceOrView plain;
        for (std::size_t k = 0; k < kept.tasks.size(); ++k)
          if (kept.tasks[k].net == std::int64_t(i / each) && !others[k].empty())
            sums[i].add_(others[k][i % each]);
      });
    if (wants_x) result[0] = dx.size(0) == 1 ? dx[0] : dx.sum(0);
    return result;
  }
};

torch::Tensor Mlp::each_row(const torch::Tensor& x) const {
  const torch::Tensor& first = nets_.front().front().weight;
  const bool plain = kernels_enabled() && x.is_cpu() && first.is_cpu() && x.scalar_type() == torch::kFloat &&
                     first.scalar_type() == torch::kFloat && x.dim() == 2;
  // Norms want widths of eights.
  if (!fused(x) && (!plain || shape_.layer_norm)) return by_aten(x, false);
  constexpr std::int64_t kRows = 64;  // of a task
  // Activations take whole vectors: what is left over is computed otherwise. So many numbers are some.
  constexpr std::size_t kVectors = 64;
  const torch::NoGradGuard constant;
  const auto& k = kernels::kernels<float>();
  const torch::Tensor input = x.detach().contiguous();
  const std::int64_t n = x.size(0), parts = (n + kRows - 1) / kRows;
  torch::Tensor y = torch::empty({std::int64_t(nets_.size()), n, shape_.out}, x.options());
  std::vector<std::vector<std::vector<float>>> packed(nets_.size());  // of each net's layers
  int widest = 0;
  for (std::size_t net = 0; net < nets_.size(); ++net)
    for (const Layer& layer : nets_[net]) {
      const int in = int(layer.weight.size(1)), out = int(layer.weight.size(0));
      const torch::Tensor weight = layer.weight.detach().contiguous();
      packed[net].emplace_back(k.packed_size(in, out, 1));
      k.pack(weight.const_data_ptr<float>(), {in, 1, 0}, in, out, 1, packed[net].back().data());
      widest = std::max(widest, out);
    }
  // A convolution with one tap over one row sums each output in the order of its inputs.
  parallel_each(nets_.size() * static_cast<std::size_t>(parts), [&](std::size_t task) {
    const std::size_t net = task / static_cast<std::size_t>(parts);
    const std::int64_t begin = std::int64_t(task % static_cast<std::size_t>(parts)) * kRows,
                       count = std::min(kRows, n - begin);
    const std::size_t room = static_cast<std::size_t>(count * widest) + kVectors;
    std::vector<float> from(room), to(room);
    const float* h = input.const_data_ptr<float>() + begin * input.size(1);
    for (std::size_t l = 0; l < nets_[net].size(); ++l) {
      const Layer& layer = nets_[net][l];
      const int in = int(layer.weight.size(1)), out = int(layer.weight.size(0));
      const bool last = l + 1 == nets_[net].size();
      float* u = last ? y.mutable_data_ptr<float>() + (std::int64_t(net) * n + begin) * out : to.data();
      k.conv({in, out, 1, 1, 0, 1, 1}, int(count), h, in, packed[net][l].data(),
             layer.bias.const_data_ptr<float>(), false, u, out);
      if (last) return;
      if (layer.scale.defined()) {
        k.channel_norm(count, out, u, layer.scale.const_data_ptr<float>(),
                       layer.shift.const_data_ptr<float>(), from.data());
        std::swap(from, to);
      }
      const std::size_t size = static_cast<std::size_t>(count) * static_cast<std::size_t>(out);
      (shape_.activation == MlpShape::Activation::kTanh ? k.tanh : k.relu)(
          (size + kVectors - 1) / kVectors * kVectors, to.data(), to.data());
      std::swap(from, to);
      h = from.data();
    }
  });
  return y;
}

torch::Tensor Mlp::operator()(const torch::Tensor& x, bool trained) const {
  if (!fused(x)) return by_aten(x, trained);
  if (!torch::GradMode::is_enabled() || (!trained && !x.requires_grad()))
    return Node::run(*this, x.detach(), nullptr);
  torch::autograd::variable_list parameters;
  if (trained)
    for (const std::vector<Layer>& layers : nets_)
      for (const Layer& layer : layers)
        for (const torch::Tensor& parameter : {layer.weight, layer.bias, layer.scale, layer.shift})
          if (parameter.defined()) parameters.push_back(parameter);
  return Node::apply(x, this, trained, at::TensorList(parameters));
}

}  // namespace diffreward
