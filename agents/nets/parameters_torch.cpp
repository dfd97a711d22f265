#include "agents/nets/parameters_torch.h"

#include <cmath>
#include <set>
#include <span>

#include "agents/nets/tensor_file_torch.h"
#include "core/error.h"

namespace diffreward {

Parameters::Parameters(Seed seed, const torch::Device& device) : device_(device), rng_(seed) {}

Parameters::Parameters(const Safetensors& values, const std::filesystem::path& file, std::string prefix,
                       const torch::Device& device)
    : Parameters(Seed(), device) {
  source_ = Source{&values, file, std::move(prefix)};
}

Parameters::Parameters(const Safetensors& values, const std::filesystem::path& file, std::string prefix,
                       const torch::Device& device, torch::ScalarType type)
    : Parameters(values, file, std::move(prefix), device) {
  type_ = type;
  frozen_ = true;
}

Parameters Parameters::part(const std::string& name) {
  if (source_) return {*source_->values, source_->file, concat(source_->prefix, name, "."), device_};
  return {Seed(rng_.bits64()), device_};
}

void Parameters::adopt(const std::string& name, Parameters& part) {
  require(!flat_.defined() && !part.flat_.defined(),
          "adopt: expected parameters that are no flat vector yet");
  parts_.push_back({&part, count()});
  for (const auto& [of_part, parameter] : part.named_)
    named_.emplace_back(concat(name, ".", of_part), parameter);
}

torch::Tensor Parameters::uniform(const std::string& name, at::IntArrayRef shape, std::int64_t fan_in) {
  const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
  return add(name, shape, [&] {
    torch::Tensor values = torch::empty(shape);
    const std::span<float> numbers(values.data_ptr<float>(), static_cast<std::size_t>(values.numel()));
    for (float& number : numbers) number = static_cast<float>(rng_.uniform(-bound, bound));
    return values;
  });
}

torch::Tensor Parameters::orthogonal(const std::string& name, std::int64_t rows, std::int64_t columns,
                                     double gain) {
  return add(name, {rows, columns}, [&] {
    const std::int64_t longer = std::max(rows, columns), shorter = std::min(rows, columns);
    const torch::Tensor normal = torch::empty({longer, shorter}, torch::kFloat64);
    for (std::int64_t i = 0; i < normal.numel(); ++i) normal.data_ptr<double>()[i] = rng_.normal();
    const auto [q, r] = torch::linalg_qr(normal);
    const torch::Tensor basis = q * torch::sign(torch::diagonal(r));  // makes the distribution uniform
    return (rows >= columns ? basis : basis.t()).mul(gain).to(torch::kFloat32).contiguous();
  });
}

torch::Tensor Parameters::constant(const std::string& name, at::IntArrayRef shape, double value) {
  return add(name, shape, [&] { return torch::full(shape, value, torch::kFloat); });
}

template <class Make>
torch::Tensor Parameters::add(const std::string& name, at::IntArrayRef shape, const Make& make) {
  const torch::Tensor value = source_ ? source_->at(name, shape, frozen_) : make();
  const torch::Tensor parameter = value.to(device_, type_).set_requires_grad(!frozen_);
  named_.emplace_back(name, parameter);
  return parameter;
}

torch::Tensor Parameters::Source::at(const std::string& name, at::IntArrayRef shape, bool mapped) const {
  const std::string what = concat(file.string(), ": tensor '", prefix, name, "'");
  const TensorBytes& found = values->at(prefix + name);
  if (!shape.equals(found.shape))
    throw Error(concat(what, ": expected shape ", shape, ", found ", at::IntArrayRef(found.shape)));
  const torch::Tensor value = tensor_from(found, what, mapped ? values->mapping() : nullptr);
  if (!value.is_floating_point())
    throw Error(concat(what, ": expected a floating-point type, found ", found.dtype));
  return value;
}

void Parameters::Source::refuse_others(
    const std::vector<std::pair<std::string, torch::Tensor>>& known) const {
  std::set<std::string> names;
  for (const auto& [name, unused] : known) names.insert(prefix + name);
  for (const auto& [name, unused] : values->tensors())
    if (name.starts_with(prefix) && !names.contains(name))
      throw Error(concat(file.string(), ": tensor '", name, "': expected only this net's ", names.size(),
                         " parameters, found one more"));
}

void Parameters::finish() {
  if (source_) source_->refuse_others(named_);
  source_.reset();
}

std::int64_t Parameters::count() const {
  std::int64_t total = 0;
  for (const auto& [name, parameter] : named_) total += parameter.numel();
  return total;
}

void Parameters::read(const Safetensors& tensors, const std::filesystem::path& file) {
  const Source source{&tensors, file, ""};
  std::vector<torch::Tensor> values;
  for (const auto& [name, parameter] : named_) values.push_back(source.at(name, parameter.sizes()));
  source.refuse_others(named_);
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < values.size(); ++i) named_[i].second.copy_(values[i]);
}

template <class Body>
void Parameters::for_parts(const torch::Tensor& flat, const Body& body) {
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < named_.size(); ++i) {
    const torch::Tensor& parameter = named_[i].second;
    const torch::Tensor part = flat.narrow(0, begin, parameter.numel());
    if (parameter.dim() == 3)  // [out, in, taps]
      body(i, part.view({parameter.size(2), parameter.size(1), parameter.size(0)}).permute({2, 1, 0}));
    else
      body(i, part.view(parameter.sizes()));
    begin += parameter.numel();
  }
}

const torch::Tensor& Parameters::flatten() {
  if (flat_.defined()) return flat_;
  const torch::NoGradGuard no_grad;
  flat_ = torch::empty({count()}, named_.at(0).second.options().requires_grad(false));
  for_parts(flat_, [&](std::size_t i, torch::Tensor part) {
    part.copy_(named_[i].second);
    named_[i].second.set_data(part);
  });
  for (const auto& [part, begin] : parts_) part->flat_ = flat_.narrow(0, begin, part->count());
  return flat_;
}

const torch::Tensor& Parameters::collect_gradients() {
  if (gradient_.defined()) return gradient_;
  gradient_ = torch::zeros_like(flatten());
  for_parts(gradient_,
            [&](std::size_t i, const torch::Tensor& part) { named_[i].second.mutable_grad() = part; });
  for (const auto& [part, begin] : parts_) part->gradient_ = gradient_.narrow(0, begin, part->count());
  return gradient_;
}

std::int64_t Parameters::version() const {
  std::int64_t sum = flat_.defined() ? std::int64_t(flat_._version()) : 0;
  for (const auto& [name, parameter] : named_) sum += std::int64_t(parameter._version());
  return sum;
}

Linear::Linear(Parameters& parameters, const std::string& name, std::int64_t in, std::int64_t out,
               bool with_bias)
    : weight(parameters.uniform(name + ".weight", {out, in}, in)),
      bias(with_bias ? parameters.uniform(name + ".bias", {out}, in) : torch::Tensor()) {}

LayerNorm::LayerNorm(Parameters& parameters, const std::string& name, std::int64_t size, double eps)
    : weight(parameters.constant(name + ".weight", {size}, 1)),
      bias(parameters.constant(name + ".bias", {size}, 0)),
      epsilon(eps) {}

torch::Tensor sinusoidal_embedding(const torch::Tensor& t, std::int64_t size) {
  const std::int64_t half = size / 2;
  const double rate = std::log(10000.0) / static_cast<double>(half - 1);
  const torch::Tensor frequency =
      torch::exp(torch::arange(half, torch::dtype(torch::kFloat).device(t.device())) * -rate);
  const torch::Tensor angle = t.unsqueeze(1) * frequency.unsqueeze(0);
  return torch::cat({angle.sin(), angle.cos()}, 1);
}

}  // namespace diffreward
