// diffreward._pictures: Stable Diffusion 1.x. Links LibTorch, and is loaded when a pipeline is first used.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>
#include <torch/torch.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agents/device.h"
#include "agents/stable_diffusion/stable_diffusion.h"
#include "bindings/interruptible.h"
#include "bindings/module.h"
#include "bindings/tensors.h"
#include "rewards/image/image_reward.h"

namespace diffreward::python {
namespace {

/// A view that cannot be written to, of what lies on the CPU in single or double precision; else a copy in single
/// precision. None for what was not computed.
py::object reader(const at::Tensor& tensor) {
  if (!tensor.defined()) return py::none();
  py::array array;
  if (tensor.scalar_type() == torch::kDouble)
    array = to_numpy_of<double>(tensor.detach().to(torch::kCPU).contiguous());
  else
    array = to_numpy(tensor);
  array.attr("setflags")(py::arg("write") = false);
  return array;
}

/// One call of the scheduler, as a callback sees it.
struct ImageStep {
  int index, count;
  double timestep;
  py::object eps_nothing, eps_prompt, eps_unsafe, gamma, nu, eps_base, eps_safe, before, after, after_base,
      after_safe;

  explicit ImageStep(const DenoisingStep& step)
      : index(step.index),
        count(step.count),
        timestep(step.timestep),
        eps_nothing(reader(step.eps_nothing)),
        eps_prompt(reader(step.eps_prompt)),
        eps_unsafe(reader(step.eps_unsafe)),
        gamma(reader(step.gamma)),
        nu(reader(step.nu)),
        eps_base(reader(step.eps_base)),
        eps_safe(reader(step.eps_safe)),
        before(reader(step.before)),
        after(reader(step.after)),
        after_base(reader(step.after_base)),
        after_safe(reader(step.after_safe)) {}
};

using Bytes = py::array_t<std::uint8_t>;

/// A reward of latents, and the guide that it is in nats.
class LatentReward {
 public:
  LatentReward(const std::filesystem::path& path, const std::string& device)
      : reward_(ImageReward::load(path, device)), guide_(log_ratio_guide(reward_)) {}
  const ImageReward& reward() const { return *reward_; }
  const Guide& guide() const { return *guide_; }

  py::array score(const Floats& latents, std::optional<int> t) const {
    const at::Tensor x = checked(latents);
    return to_numpy(
        interruptible([&] { return reward_->score_at(t.value_or(reward_->config().read_t), x); }));
  }
  py::array score_gradient(const Floats& latents) const {
    const at::Tensor x = checked(latents);
    return to_numpy(interruptible([&] { return reward_->score_gradient(x); }));
  }
  py::array value(const Floats& x_t, const Timesteps& t, bool gradient) const {
    const at::Tensor x = checked(x_t);
    require(t.ndim() == 1 && (t.shape(0) == 1 || t.shape(0) == x.size(0)), "t: expected 1 or ", x.size(0),
            " timesteps, got ", t.size());
    const at::Tensor when =
        torch::tensor(std::vector<std::int64_t>(t.data(), t.data() + t.size()), torch::kLong);
    return to_numpy(interruptible([&] {
      const torch::NoGradGuard no_grad;
      return gradient ? reward_->gradient(x, when) : reward_->value(x, when);
    }));
  }

 private:
  static at::Tensor checked(const Floats& latents) {
    require(latents.ndim() == 4 && latents.shape(0) > 0, "latents: expected [n, channels, h, w]");
    return from_numpy(latents);
  }

  std::shared_ptr<const ImageReward> reward_;
  std::shared_ptr<const Guide> guide_;
};

class ImagePipeline {
 public:
  ImagePipeline(const std::filesystem::path& folder, const std::string& device, const std::string& type)
      : model_(StableDiffusion::load(folder, device, type)) {}

  py::array sample(const std::vector<std::string>& prompts, const std::string& config,
                   const std::optional<py::function>& callback, const LatentReward* reward) const {
    require(!prompts.empty(), "prompts: expected at least one, got none");
    ImageSampleConfig settings;
    update(settings, expand_names(parse_json(config, "sample"), fields(settings)));
    StableDiffusion::OnStep on_step;
    if (callback)
      on_step = [&](const DenoisingStep& step) {
        const py::gil_scoped_acquire locked;
        (*callback)(ImageStep(step));
      };
    const Guide* const guide = reward == nullptr ? nullptr : &reward->guide();
    // A copy: a callback may have kept the last step's.
    return own(interruptible([&] { return model_.sample(prompts, settings, on_step, guide).clone(); }));
  }

  py::array noise(int n, const std::string& config) const {
    ImageSampleConfig settings;
    update(settings, expand_names(parse_json(config, "sample"), fields(settings)));
    return own(model_.noise(n, settings));
  }

  py::array encode(const Floats& images) const {
    require(images.ndim() == 4 && images.shape(0) > 0 && images.shape(3) == 3,
            "images: expected [n, height, width, 3]");
    const at::Tensor values = from_numpy(images).permute({0, 3, 1, 2});
    return own(interruptible([&] { return model_.encode(values); }));
  }

  Bytes decode(const Floats& latents) const {
    require(latents.ndim() == 4 && latents.shape(0) > 0, "latents: expected [n, channels, height, width]");
    const at::Tensor values = from_numpy(latents);
    return to_numpy_of<std::uint8_t>(interruptible([&] {
      std::vector<at::Tensor> rows;  // one by one: the decoder's memory grows with them
      for (std::int64_t i = 0; i < values.size(0); ++i)
        rows.push_back(StableDiffusion::bytes(model_.decode(values.narrow(0, i, 1))));
      return torch::cat(rows);
    }));
  }

  const StableDiffusion& model() const { return model_; }

 private:
  static py::array own(const at::Tensor& tensor) {
    if (tensor.scalar_type() == torch::kDouble)
      return to_numpy_of<double>(tensor.detach().to(torch::kCPU).contiguous());
    return to_numpy(tensor);
  }

  StableDiffusion model_;
};

void bind_pictures(py::module_& m) {
  py::class_<ImageStep>(
      m, "ImageStep",
      "One call of the scheduler. Arrays [n, channels, h, w] cannot be written to; None: not computed.")
      .def_readonly("index", &ImageStep::index, "0 ... count - 1.")
      .def_readonly("count", &ImageStep::count, "Calls in all; pndm has one more than steps.")
      .def_readonly("timestep", &ImageStep::timestep, "Noise level.")
      .def_readonly("eps_nothing", &ImageStep::eps_nothing, "The U-Net's prediction for nothing.")
      .def_readonly("eps_prompt", &ImageStep::eps_prompt, "The U-Net's prediction for the prompt.")
      .def_readonly("eps_unsafe", &ImageStep::eps_unsafe, "The U-Net's prediction for the unsafe concept.")
      .def_readonly("gamma", &ImageStep::gamma, "Safe Latent Diffusion's guidance.")
      .def_readonly("nu", &ImageStep::nu, "Its momentum, after the step.")
      .def_readonly("eps_base", &ImageStep::eps_base, "Guided, without safety.")
      .def_readonly("eps_safe", &ImageStep::eps_safe, "Guided, with safety.")
      .def_readonly("before", &ImageStep::before, "Latents of the chain before the step.")
      .def_readonly("after", &ImageStep::after, "Latents of the chain after the step.")
      .def_readonly("after_base", &ImageStep::after_base, "Of the base branch, with pair.")
      .def_readonly("after_safe", &ImageStep::after_safe, "Of the safe branch, with pair.");

  py::class_<LatentReward>(m, "LatentReward", "A reward of latents from a file.")
      .def(py::init([](const std::filesystem::path& path, const std::string& device) {
             const py::gil_scoped_release unlocked;
             return std::make_unique<LatentReward>(path, device);
           }),
           py::arg("path"), py::arg("device") = "cpu")
      .def("score", &LatentReward::score, py::arg("latents"), py::arg("t") = py::none(),
           "What latents [n, channels, h, w] are paid, [n].")
      .def("score_gradient", &LatentReward::score_gradient, py::arg("latents"),
           "d score / d latents, [n, channels, h, w].")
      .def("value", &LatentReward::value, py::arg("x_t"), py::arg("t"), py::arg("gradient") = false,
           "rho(x_t, t), [n], or its gradient, [n, channels, h, w].")
      .def_property_readonly("shape", [](const LatentReward& self) { return self.reward().shape(); })
      .def_property_readonly("read_t", [](const LatentReward& self) { return self.reward().config().read_t; })
      .def_property_readonly("safe_scores",
                             [](const LatentReward& self) { return self.reward().safe_scores(); })
      .def_property_readonly("base_scores",
                             [](const LatentReward& self) { return self.reward().base_scores(); })
      .def(
          "nats_per_unit", [](const LatentReward& self, int t) { return self.reward().nats_per_unit(t); },
          py::arg("t"), "Log density ratio per unit of rho.")
      .def_property_readonly("provenance",
                             [](const LatentReward& self) { return self.reward().provenance().dump(); });

  py::class_<ImagePipeline>(m, "ImagePipeline", "Stable Diffusion 1.x from a folder.")
      .def(py::init(
               [](const std::filesystem::path& folder, const std::string& device, const std::string& type) {
                 const py::gil_scoped_release unlocked;
                 return std::make_unique<ImagePipeline>(folder, device, type);
               }),
           py::arg("folder"), py::arg("device") = "cpu", py::arg("type") = "float32")
      .def("sample", &ImagePipeline::sample, py::arg("prompts"), py::arg("config"),
           py::arg("callback") = py::none(), py::arg("reward") = py::none(),
           "Latents [n, channels, h, w] of prompts, with an ImageSampleConfig as JSON text.")
      .def("noise", &ImagePipeline::noise, py::arg("n"), py::arg("config"), "The initial noise of a seed.")
      .def("encode", &ImagePipeline::encode, py::arg("images"),
           "Latents of images [n, height, width, 3] in [0, 1].")
      .def("decode", &ImagePipeline::decode, py::arg("latents"), "Images [n, height, width, 3].")
      .def_property_readonly("factor", [](const ImagePipeline& self) { return self.model().factor(); })
      .def_property_readonly("parameters",
                             [](const ImagePipeline& self) { return self.model().parameters(); })
      .def_property_readonly("warnings", [](const ImagePipeline& self) { return self.model().warnings(); });
}

}  // namespace

PYBIND11_MODULE(_pictures, m) {
  m.doc() = "Stable Diffusion 1.x of DiffReward.";
  bind_errors();
  bind_pictures(m);
}

}  // namespace diffreward::python
