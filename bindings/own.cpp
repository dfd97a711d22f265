#include "bindings/own.h"

#include <torch/torch.h>

#include <utility>

#include "bindings/tensors.h"

namespace diffreward::python {
namespace {

/// A Python object that may be let go of by a thread without Python's lock.
class Shared {
 public:
  explicit Shared(py::object object) : object_(std::move(object)) {}
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() {
    const py::gil_scoped_acquire locked;
    object_ = py::object();
  }

  /// The method's answer to arrays, which must be of this shape. Ctrl-C is answered here, since native code holds no lock.
  template <class... Arrays>
  at::Tensor call(const char* method, at::IntArrayRef shape, const at::Tensor& x, const at::Tensor& t,
                  const Arrays&... more) const {
    const py::gil_scoped_acquire locked;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    const py::object answer = object_.attr(method)(
        to_numpy(x), to_numpy_of<std::int64_t>(t.to(torch::kCPU).contiguous()), to_numpy(more)...);
    const auto values = py::cast<Floats>(answer);
    const at::Tensor out = from_numpy(values);
    require(out.sizes() == shape, method, ": expected an array ", shape, ", got ", out.sizes());
    return out.clone();
  }

 private:
  py::object object_;
};

/// Keeps the object alive in LibTorch's graph.
struct Holder : torch::CustomClassHolder {
  explicit Holder(std::shared_ptr<Shared> held) : object(std::move(held)) {}
  std::shared_ptr<Shared> object;
};

struct Predict : torch::autograd::Function<Predict> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& t, const std::shared_ptr<Shared>& object) {
    context->save_for_backward({x, t});
    context->saved_data["object"] = c10::IValue::make_capsule(c10::make_intrusive<Holder>(object));
    return object->call("predict", x.sizes(), x, t);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto holder = context->saved_data["object"].toCapsule();
    return {static_cast<const Holder&>(*holder).object->call("pull", saved[0].sizes(), saved[0], saved[1],
                                                             gradients[0]),
            {},
            {}};
  }
};

class OwnModel final : public WindowModel {
 public:
  OwnModel(py::object object, std::vector<double> betas, WindowLayout layout)
      : object_(std::make_shared<Shared>(std::move(object))),
        schedule_(std::move(betas)),
        layout_(layout),
        normalizer_("gaussian", std::vector<double>(std::size_t(layout.width()), 0),
                    std::vector<double>(std::size_t(layout.width()), 1)) {}

  const WindowLayout& layout() const override { return layout_; }
  const Normalizer& normalizer() const override { return normalizer_; }
  const NoiseSchedule& schedule() const override { return schedule_; }
  const std::string& device() const override { return device_; }
  at::Tensor predict_x0(const at::Tensor& x_t, const at::Tensor& t) const override {
    if (torch::GradMode::is_enabled() && x_t.requires_grad()) return Predict::apply(x_t, t, object_);
    return object_->call("predict", x_t.sizes(), x_t, t);
  }

 private:
  std::shared_ptr<Shared> object_;
  NoiseSchedule schedule_;
  WindowLayout layout_;
  Normalizer normalizer_;
  const std::string device_ = "cpu";
};

class OwnGuide final : public Guide {
 public:
  explicit OwnGuide(py::object object) : object_(std::move(object)) {}
  at::Tensor value(const at::Tensor& x, const at::Tensor& t) const override {
    return object_.call("value", t.sizes(), x, t).to(x.device());
  }
  at::Tensor gradient(const at::Tensor& x, const at::Tensor& t) const override {
    return object_.call("gradient", x.sizes(), x, t).to(x.device());
  }

 private:
  Shared object_;
};

}  // namespace

std::shared_ptr<const WindowModel> own_model(py::object object, std::vector<double> betas,
                                             WindowLayout layout) {
  return std::make_shared<OwnModel>(std::move(object), std::move(betas), layout);
}
std::shared_ptr<const Guide> own_guide(py::object object) {
  return std::make_shared<OwnGuide>(std::move(object));
}

}  // namespace diffreward::python
