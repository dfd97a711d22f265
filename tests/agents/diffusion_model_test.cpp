#include "agents/diffusion/diffusion_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "agents/diffusion/diffusion_model_torch.h"
#include "agents/nets/mish_torch.h"
#include "agents/nets/tensor_file_torch.h"
#include "core/error.h"
#include "core/file.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;

constexpr WindowLayout kLayout{8, 2, 2, 4};

Normalizer some_normalizer() {
  return {"limits", {0.1, 0.2, 0.3, 0.4, 0.5, 0.6}, {1, 2, 3, 4, 5, 6}};
}
DiffusionConfig small(const std::string& net = "mlp", const std::string& prediction = "x0") {
  DiffusionConfig config{
      .horizon = 8, .stride = 2, .timesteps = 20, .prediction = prediction, .net = net, .dim = 16};
  config.dim_mults = {1, 2};
  return config;
}
DiffusionModel make(const DiffusionConfig& config, std::uint64_t seed = 1) {
  return {config, kLayout, some_normalizer(), seed};
}
torch::Tensor windows(std::uint64_t seed, std::int64_t n = 5) {
  torch::Generator rng = at::detail::createCPUGenerator(seed);
  return torch::randn({n, kLayout.horizon, kLayout.width()}, rng);
}
const torch::Tensor& timesteps() {
  static const torch::Tensor t = torch::tensor({0, 3, 7, 12, 19}, torch::kLong);
  return t;
}
bool same_output(const DiffusionModel& a, const DiffusionModel& b) {
  return torch::equal(a.predict_x0(windows(3), timesteps()), b.predict_x0(windows(3), timesteps()));
}
template <class Function>
std::string message(Function&& function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

class DiffusionModelFile : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_ = std::filesystem::path(::testing::TempDir()) / "diffreward_diffusion_model";
  std::filesystem::path file_ = folder_ / "model.safetensors";
};

TEST(DiffusionModel, SizesAreThoseOfTheRecipeAndOfDiffuser) {
  const DiffusionModel mlp({.horizon = 16}, {16, 8, 2, 4}, some_normalizer(), 0);
  EXPECT_NEAR(static_cast<double>(mlp.parameters()), 0.65e6, 0.02e6);
  DiffusionConfig config{.horizon = 64, .stride = 1, .net = "unet", .dim = 32};
  const DiffusionModel unet(config, {64, 1, 2, 4}, some_normalizer(), 0);
  EXPECT_EQ(unet.parameters(), 3954502);  // as in tests/oracle/denoiser_reference.py
}

// Value, first and second derivative against LibTorch's own, far into both tails.
TEST(Mish, IsTorchsInValueAndDerivatives) {
  const torch::Tensor x = torch::linspace(-60, 60, 2401, torch::kFloat);
  const auto derivatives = [&](const auto& function) {
    const torch::Tensor input = x.clone().requires_grad_(true);
    const torch::Tensor value = function(input);
    const torch::Tensor first =
        torch::autograd::grad({value.sum()}, {input}, {}, true, /*create_graph=*/true)[0];
    return std::vector{value.detach(), first.detach(), torch::autograd::grad({first.sum()}, {input})[0]};
  };
  const auto ours = derivatives([](const torch::Tensor& in) { return fast_mish(in); });
  const auto theirs = derivatives([](const torch::Tensor& in) { return torch::mish(in); });
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_LT((ours[i] - theirs[i]).abs().max().item<float>(), i == 0 ? 4e-6 : 2e-6) << "derivative " << i;
}

TEST(DiffusionModel, EqualSeedsGiveEqualWeights) {
  for (const char* net : {"mlp", "unet"}) {
    EXPECT_TRUE(same_output(make(small(net)), make(small(net))));
    EXPECT_FALSE(same_output(make(small(net), 1), make(small(net), 2)));
  }
}

// Whatever the prediction type, the training target fed back as the net's output gives x_0.
TEST(DiffusionModel, EveryPredictionTypeInvertsItsTarget) {
  const torch::Tensor x_0 = windows(1), noise = windows(2);
  for (const char* prediction : {"x0", "epsilon", "v"}) {
    const DiffusionModel model = make(small("mlp", prediction));
    const torch::Tensor t =
        torch::tensor({0, 3, 7, 12, 17}, torch::kLong);  // at 19 abar is 1e-6: too little of x_0
    const torch::Tensor x_t = model.add_noise(x_0, t, noise);
    const torch::Tensor target = model.impl().target(x_0, noise, t);
    EXPECT_LT((model.impl().to_x0(target, x_t, t) - x_0).abs().max().item<float>(), 2e-5) << prediction;
    EXPECT_EQ(torch::equal(target, x_0), std::string(prediction) == "x0");
  }
}

TEST(DiffusionModel, CloneSharesNothing) {
  DiffusionModel model = make(small());
  model.provenance()["data"] = "walk";
  DiffusionModel copy = model.clone();
  EXPECT_TRUE(same_output(model, copy));
  {
    const torch::NoGradGuard no_grad;
    for (const auto& [name, parameter] : copy.impl().net->parameters.named())
      torch::Tensor(parameter).add_(1);
  }
  copy.provenance()["data"] = "run";
  EXPECT_FALSE(same_output(model, copy));
  EXPECT_TRUE(same_output(model, make(small())));
  EXPECT_EQ(model.provenance()["data"], "walk");
}

TEST_F(DiffusionModelFile, RoundTrips) {
  for (const char* net : {"mlp", "unet"}) {
    DiffusionModel model = make(small(net, "v"));
    model.provenance()["data"] = "walk";
    model.save(file_);
    const DiffusionModel loaded = DiffusionModel::load(file_);
    EXPECT_TRUE(same_output(model, loaded));
    EXPECT_EQ(to_json(loaded.config()), to_json(model.config()));
    EXPECT_EQ(loaded.layout(), kLayout);
    EXPECT_EQ(loaded.normalizer(), some_normalizer());
    EXPECT_EQ(loaded.provenance()["data"], "walk");
    DiffusionModel other = make(small(net, "v"), 2);
    other.load_weights(file_);  // a model file is a state dict too
    EXPECT_TRUE(same_output(model, other));
  }
}

TEST_F(DiffusionModelFile, BadFilesAreNamed) {
  const auto load = [&] { return message([&] { DiffusionModel::load(file_); }); };
  EXPECT_THAT(load(), HasSubstr(file_.string()));
  make(small()).save(file_);
  std::filesystem::resize_file(file_, std::filesystem::file_size(file_) - 8);
  EXPECT_THAT(load(), HasSubstr(file_.string()));

  const Safetensors whole = [&] {
    make(small()).save(file_);
    return Safetensors::open(file_);
  }();
  const std::filesystem::path changed = folder_ / "changed.safetensors";
  const auto load_changed = [&](const std::string& key, const std::string& value) {
    std::map<std::string, std::string> metadata = whole.metadata();
    metadata[key] = value;
    write_safetensors(changed, whole.tensors(), metadata);
    return message([&] { DiffusionModel::load(changed); });
  };
  EXPECT_EQ(load_changed("kind", "other-1"),
            changed.string() + ": metadata 'kind': expected diffreward-diffusion-1, found 'other-1'");
  EXPECT_THAT(load_changed("config", "{"), HasSubstr(changed.string() + ": metadata 'config': "));
  EXPECT_THAT(load_changed("config", R"({"horizont": 8})"), HasSubstr("did you mean 'horizon'"));
  EXPECT_THAT(load_changed("layout", R"({"horizon": 8})"),
              HasSubstr(changed.string() + ": metadata 'layout': "));
  DiffusionConfig wider = small();
  wider.dim = 24;
  EXPECT_EQ(load_changed("config", to_json(wider).dump()),
            changed.string() + ": tensor 'time.weight': expected shape [24, 64], found [16, 64]");
  wider = small();
  wider.horizon = 9;
  EXPECT_EQ(load_changed("config", to_json(wider).dump()),
            changed.string() + ": horizon: the layout's 8 is not the config's 9");
}

TEST_F(DiffusionModelFile, WhatSettingsClaimMustBeInTheFileBeforeItIsAllocated) {
  make(small("unet")).save(file_);
  const Safetensors whole = Safetensors::open(file_);
  const std::filesystem::path changed = folder_ / "changed.safetensors";
  const auto load = [&](const DiffusionConfig& config, WindowLayout layout) {
    std::map<std::string, std::string> metadata = whole.metadata();
    metadata["config"] = to_json(config).dump();
    metadata["layout"] = layout.json().dump();
    write_safetensors(changed, whole.tensors(), metadata);
    return message([&] { DiffusionModel::load(changed); });
  };
  DiffusionConfig large = small("unet");
  large.dim = 4096;
  large.dim_mults = {64, 64, 64};
  const FewerBytes limit(std::size_t{1} << 30);  // such a net has terabytes
  EXPECT_THAT(load(large, kLayout), HasSubstr("expected shape"));
  EXPECT_THAT(load(small("unet"), {kLayout.horizon, kLayout.stride, kLayout.action_dim, 1 << 30}),
              HasSubstr("metadata 'layout': observation_dim: expected 1 to 65536"));
}

TEST_F(DiffusionModelFile, LayoutsThatWouldWrapAreRefused) {
  make(small()).save(file_);
  const Safetensors whole = Safetensors::open(file_);
  const std::filesystem::path changed = folder_ / "changed.safetensors";
  std::map<std::string, std::string> metadata = whole.metadata();
  Json layout = kLayout.json();
  layout["horizon"] = 4294967296 + kLayout.horizon;
  metadata["layout"] = layout.dump();
  write_safetensors(changed, whole.tensors(), metadata);
  EXPECT_THAT(message([&] { DiffusionModel::load(changed); }),
              HasSubstr("metadata 'layout': horizon: expected a whole number in"));
  metadata["layout"] = std::string(100'000, '[');
  write_safetensors(changed, whole.tensors(), metadata);
  EXPECT_THAT(message([&] { DiffusionModel::load(changed); }),
              HasSubstr("metadata 'layout': expected JSON of at most"));
}

TEST_F(DiffusionModelFile, NotANumberInAWeightIsNamed) {
  DiffusionModel model = make(small());
  NamedTensors weights;
  for (const auto& [name, parameter] : model.impl().net->parameters.named())
    weights[name] = parameter.clone();
  weights["time.weight"][0][0] = NAN;
  save_tensors(file_, weights, {});
  EXPECT_EQ(message([&] { model.load_weights(file_); }),
            file_.string() + ": tensor 'time.weight': expected finite numbers, found others");
  EXPECT_TRUE(same_output(model, make(small())));
}

TEST_F(DiffusionModelFile, WeightsMustMatchByName) {
  DiffusionModel model = make(small("unet"));
  NamedTensors weights;
  for (const auto& [name, parameter] : model.impl().net->parameters.named()) weights[name] = parameter + 1;
  weights["extra"] = torch::ones({2});
  save_tensors(file_, weights, {});
  EXPECT_THAT(message([&] { model.load_weights(file_); }), HasSubstr(file_.string() + ": tensor 'extra'"));
  weights.erase("extra");
  weights.erase("final_conv.1.bias");
  save_tensors(file_, weights, {});
  EXPECT_THAT(message([&] { model.load_weights(file_); }), HasSubstr("final_conv.1.bias"));
  weights["final_conv.1.bias"] = torch::ones({6}, torch::kInt);
  save_tensors(file_, weights, {});
  EXPECT_EQ(message([&] { model.load_weights(file_); }),
            file_.string() + ": tensor 'final_conv.1.bias': expected a floating-point type, found I32");
  EXPECT_TRUE(same_output(model, make(small("unet")))) << "a refused file changed the model";
}

TEST(DiffusionModel, SizesThatDoNotFitAreNamed) {
  DiffusionConfig config = small("unet");
  config.dim_mults = {1, 2, 2, 2, 2};
  EXPECT_EQ(message([&] { make(config); }),
            "horizon: expected a multiple of 16 for a U-Net of 5 levels, got 8");
  config = small("unet");
  config.dim = 20;
  EXPECT_EQ(message([&] { make(config); }), "dim: expected a multiple of 8 for a U-Net, got 20");
  EXPECT_EQ(message([&] { DiffusionModel(small(), kLayout, Normalizer("limits", {0}, {1}), 0); }),
            "normalizer: expected 6 columns [action, observation], got 1");
  config = small();
  config.actions = false;
  EXPECT_THAT(message([&] { make(config); }), HasSubstr("actions: config says false"));
}

TEST(DiffusionModel, CudaIsAClearErrorWhereThereIsNone) {
  if (torch::cuda::is_available()) GTEST_SKIP() << "this machine has CUDA";
  EXPECT_THAT(message([] { DiffusionModel(small(), kLayout, some_normalizer(), 0, "cuda"); }),
              HasSubstr("expected a working CUDA device"));
}

}  // namespace
}  // namespace diffreward
