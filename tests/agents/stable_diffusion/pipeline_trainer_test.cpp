#include "agents/stable_diffusion/pipeline_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <sstream>

#include "agents/nets/tensor_file_torch.h"
#include "agents/stable_diffusion/pipeline_folder.h"
#include "agents/stable_diffusion/pipeline_torch.h"
#include "agents/stable_diffusion/stable_diffusion_torch.h"
#include "core/error.h"
#include "core/file.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "tests/agents/stable_diffusion/toy_pipeline.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

template <class Function>
std::string message(Function&& function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::vector<Json> lines(const fs::path& file) {
  std::istringstream text(read_file(file));
  std::vector<Json> out;
  for (std::string line; std::getline(text, line);) out.push_back(Json::parse(line));
  return out;
}

class PipelineTraining : public ::testing::Test {
 protected:
  void SetUp() override {
    at::set_num_threads(1);
    Progress::silence();
    fs::remove_all(folder_);
  }
  void TearDown() override {
    request_interrupt(false);
    fs::remove_all(folder_);
  }
  StableDiffusion train(const PipelineTrainConfig& with, const fs::path& folder,
                        const PipelineConfig& config = toy_pipeline()) const {
    return train_pipeline(scenes_, tokenizer_, config, with, folder);
  }

  const CaptionedPictures scenes_ = toy_scenes();
  const ClipTokenizer tokenizer_ = toy_tokenizer();
  fs::path folder_ = fs::path(::testing::TempDir()) / "diffreward_pipeline_trainer";
};

TEST_F(PipelineTraining, EachLossFallsOnHeldOutImagesToo) {
  PipelineTrainConfig with = toy_training(100, 100);
  with.log_every = 20;
  train(with, folder_);
  const std::vector<Json> log = lines(folder_ / "metrics.jsonl");
  ASSERT_EQ(log.size(), 10U);
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(log[i]["step"], 20 * (i + 1));
    EXPECT_EQ(log[i]["part"], i < 5 ? "autoencoder" : "denoiser");
  }
  for (const char* key : {"loss", "held_out_loss"}) {
    // the first held-out figure, of step 20, is behind the steepest fall
    EXPECT_LT(log[4][key], (key == std::string("loss") ? 0.8 : 1) * log[0][key].get<double>()) << key;
    EXPECT_LT(log[9][key], 0.85 * log[5][key].get<double>()) << key;
  }
}

TEST_F(PipelineTraining, ItsFolderIsAPipelineThatSamples) {
  const StableDiffusion model = train(toy_training(30, 8), folder_);
  EXPECT_TRUE(model.warnings().empty());
  EXPECT_TRUE(is_own_pipeline(folder_ / "pipeline")) << "else its pictures would be blurred";
  EXPECT_EQ(model.factor(), 2);
  const torch::NoGradGuard no_grad;
  const AutoencoderKl& vae = model.impl().vae;
  const torch::Tensor moments = vae.encode(torch::tensor(scenes_.pixels, torch::kByte)
                                                   .view({-1, 16, 16, 3})
                                                   .permute({0, 3, 1, 2})
                                                   .to(torch::kFloat) /
                                               127.5 -
                                           1)
                                    .to(torch::kDouble);
  const double mean = moments[0].mean().item<double>(),
               square = (moments[0].square() + moments[1].exp()).mean().item<double>();
  EXPECT_NEAR(vae.config().scaling_factor * std::sqrt(square - mean * mean), 1, 1e-5);
  ImageSampleConfig config;
  config.steps = 4;
  const at::Tensor image = StableDiffusion::bytes(model.decode(model.sample({"a red disc"}, config)));
  EXPECT_EQ(image.sizes(), (std::vector<std::int64_t>{1, 16, 16, 3}));
  EXPECT_FALSE(torch::equal(model.embed({"a red disc"}), model.embed({"a blue bar"})));
}

TEST_F(PipelineTraining, WhatIsWrittenIsTheAverage) {
  PipelineTrainConfig with = toy_training(4, 4);
  with.denoiser.ema = 0;  // the average is the weights themselves
  const StableDiffusion model = train(with, folder_);
  const Safetensors state = Safetensors::open(folder_ / "checkpoint.safetensors");
  EXPECT_TRUE(std::ranges::equal(state.at("weights").bytes, state.at("ema").bytes));
  const torch::Tensor weights = tensor_from(state.at("weights"), "weights"),
                      vae = tensor_from(state.at("autoencoder"), "autoencoder");
  std::vector<torch::Tensor> parts;
  const StableDiffusion::Impl& inside = model.impl();
  for (const Parameters* each : {&inside.text.parameters, &inside.unet.parameters})
    for (const auto& [name, parameter] : each->named()) parts.push_back(parameter.flatten());
  EXPECT_TRUE(torch::equal(torch::cat(parts), weights));
  parts.clear();
  for (const auto& [name, parameter] : inside.vae.parameters.named()) parts.push_back(parameter.flatten());
  EXPECT_TRUE(torch::equal(torch::cat(parts), vae));
}

TEST_F(PipelineTraining, GoesOnFromAPipeline) {
  const StableDiffusion first = train(toy_training(30, 30), folder_ / "first");
  PipelineTrainConfig with = toy_training(0, 3);
  with.denoiser.lr = 0;
  const auto go_on = [&](const std::string& out, const PipelineConfig& config = toy_pipeline()) {
    return train_pipeline(scenes_, tokenizer_, config, with, folder_ / out, &first);
  };
  const StableDiffusion same = go_on("same");
  const at::Tensor x = first.noise(2, {}), t = torch::tensor({500}),
                   text = first.embed({"a red disc", "a blue bar"});
  EXPECT_TRUE(torch::allclose(same.embed({"a red disc", "a blue bar"}), text, 0, 1e-6));
  EXPECT_TRUE(torch::allclose(same.eps(x, t, text), first.eps(x, t, text), 0, 1e-5));
  EXPECT_TRUE(torch::equal(same.decode(x), first.decode(x))) << "autoencoder and scaling factor stay";

  with.denoiser = toy_training(0, 60).denoiser;
  go_on("longer");
  const auto loss = [&](const std::string& out) {
    return lines(folder_ / out / "metrics.jsonl").back().at("held_out_loss").get<double>();
  };
  EXPECT_LT(loss("longer"), 0.95 * loss("first"));

  PipelineConfig wider = toy_pipeline();
  wider.unet_channels = {8, 24};
  EXPECT_THAT(message([&] { go_on("wider", wider); }), HasSubstr("pretrained: U-Net: "));
  EXPECT_EQ(message([&] { train(toy_training(0, 3), folder_ / "fresh"); }),
            "autoencoder.steps: expected at least 1, or a pretrained pipeline, got 0");
}

TEST_F(PipelineTraining, ARunStoppedAtEveryStepEndsBitEqual) {
  const PipelineTrainConfig with = toy_training(6, 6);
  train(with, folder_ / "straight");
  request_interrupt();
  int stops = 0;
  for (; stops < 12; ++stops) EXPECT_THROW(train(with, folder_ / "stopped"), Interrupted);
  request_interrupt(false);
  train(with, folder_ / "stopped");
  for (const char* file : {"checkpoint.safetensors", "pipeline/vae/diffusion_pytorch_model.safetensors",
                           "pipeline/unet/diffusion_pytorch_model.safetensors",
                           "pipeline/text_encoder/model.safetensors", "pipeline/vae/config.json"})
    EXPECT_EQ(read_file(folder_ / "straight" / file), read_file(folder_ / "stopped" / file)) << file;
  const std::vector<Json> expected = lines(folder_ / "straight" / "metrics.jsonl"),
                          found = lines(folder_ / "stopped" / "metrics.jsonl");
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    for (const char* key : {"step", "part", "loss", "held_out_loss"})
      EXPECT_EQ(found[i][key], expected[i][key]) << i << key;
}

TEST_F(PipelineTraining, AKilledRunContinuesFromItsLastCheckpoint) {
  train(toy_training(4, 8), folder_ / "straight");
  train(toy_training(4, 4), folder_ / "killed");
  write_file(
      folder_ / "killed" / "metrics.jsonl",
      lines(folder_ / "killed" / "metrics.jsonl").front().dump() + "\n{\"step\":12,\"loss\":9}\n{\"st");
  train(toy_training(4, 8), folder_ / "killed");
  const char* const weights = "pipeline/unet/diffusion_pytorch_model.safetensors";
  EXPECT_EQ(read_file(folder_ / "straight" / weights), read_file(folder_ / "killed" / weights));
  const std::vector<Json> log = lines(folder_ / "killed" / "metrics.jsonl");
  EXPECT_EQ(log.back()["step"], 12);
  EXPECT_NE(log.back()["loss"], 9);
}

TEST_F(PipelineTraining, DamagedAndForeignCheckpointsAreRefusedByName) {
  train(toy_training(4, 4), folder_);
  const fs::path checkpoint = folder_ / "checkpoint.safetensors";
  const std::string name = checkpoint.string(), good = read_file(checkpoint);
  PipelineTrainConfig other = toy_training(4, 8);
  other.denoiser.lr = 0.5;
  EXPECT_EQ(message([&] { train(other, folder_); }),
            name + ": a run continues with its own settings: denoiser.lr: expected 0.5, found 0.003");
  PipelineConfig wider = toy_pipeline();
  wider.text_width = 32;
  EXPECT_EQ(message([&] { train(toy_training(4, 8), folder_, wider); }),
            name + ": a run continues with its own settings: text_width: expected 32, found 16");
  EXPECT_EQ(message([&] { train(toy_training(4, 2), folder_); }),
            name + ": denoiser.steps: expected at least 4 as already trained, got 2");
  CaptionedPictures renamed = scenes_;
  renamed.captions[3] = "something else";
  EXPECT_THAT(
      message([&] { train_pipeline(renamed, tokenizer_, toy_pipeline(), toy_training(4, 8), folder_); }),
      HasSubstr(name + ": a run continues with its own data: captions: expected "));
  const Safetensors file = Safetensors::parse(std::as_bytes(std::span(good)), "good");
  for (const auto& [tensor, bytes] : file.tensors()) {
    std::string bad = good;
    const float number = NAN;
    std::memcpy(bad.data() + (reinterpret_cast<const char*>(bytes.bytes.data()) - good.data()) + 4, &number,
                sizeof number);
    write_file(checkpoint, bad);
    EXPECT_EQ(message([&] { train(toy_training(4, 8), folder_); }),
              name + ": tensor '" + tensor + "': expected finite numbers, found others");
  }
  write_file(checkpoint, good.substr(0, good.size() / 2));
  EXPECT_THAT(message([&] { train(toy_training(4, 8), folder_); }), HasSubstr(name));
  fs::copy_file(folder_ / "pipeline/unet/diffusion_pytorch_model.safetensors", checkpoint,
                fs::copy_options::overwrite_existing);
  EXPECT_THAT(message([&] { train(toy_training(4, 8), folder_); }), HasSubstr(name + ": "));
}

TEST_F(PipelineTraining, WhatDoesNotFitIsNamed) {
  const PipelineTrainConfig with = toy_training(2, 2);
  const auto refused = [&](auto change) {
    PipelineConfig config = toy_pipeline();
    change(config);
    return message([&] { train(with, folder_, config); });
  };
  EXPECT_EQ(refused([](PipelineConfig& c) { c.image_size = 32; }),
            "pictures: expected 32 pixels a side, got 16");
  EXPECT_EQ(refused([](PipelineConfig& c) { c.image_size = 18; }),
            "image_size: expected a multiple of 4, which both nets halve to a whole number, got 18");
  EXPECT_EQ(refused([](PipelineConfig& c) {
              c.vae_channels = {8, 18};
            }),
            "vae_channels: expected multiples of vae_groups 4, got 18");
  EXPECT_EQ(refused([](PipelineConfig& c) { c.unet_attention = {1}; }),
            "unet_attention: expected 2 numbers, one for each of unet_channels, got 1");
  EXPECT_EQ(refused([](PipelineConfig& c) { c.text_heads = 3; }),
            "text_width: expected a multiple of text_heads 3, got 16");
  CaptionedPictures one = scenes_;
  one.captions.resize(1);
  EXPECT_EQ(message([&] { train_pipeline(one, tokenizer_, toy_pipeline(), with, folder_); }),
            "pictures: expected 768 bytes for each of 1 captions, got 18432");
  EXPECT_FALSE(fs::exists(folder_));
}

/// The gradients that collect in the flat vector are those of autograd, the embedding's too.
TEST_F(PipelineTraining, GradientsOfBothNetsCollectInOneVector) {
  PromptedUnet net(toy_pipeline(), tokenizer_.vocabulary(), Seed(1), torch::kCPU);
  const torch::Tensor x = torch::randn({2, 4, 8, 8}), t = torch::tensor({3, 700}),
                      ids = torch::tensor(tokenizer_.with_max_length(8).encode("a red disc"), torch::kLong)
                                .expand({2, 8});
  const auto loss = [&] { return net.forward(x, t, ids).square().mean(); };
  std::vector<torch::Tensor> parameters, flat;
  for (const auto& [name, parameter] : net.parameters.named()) parameters.push_back(parameter);
  const std::vector<torch::Tensor> expected = torch::autograd::grad({loss()}, parameters);
  for (const torch::Tensor& gradient : expected) flat.push_back(gradient.flatten());
  const torch::Tensor collected = net.parameters.collect_gradients();
  loss().backward();
  EXPECT_LT((collected - torch::cat(flat)).abs().max().item<double>(), 1e-7);
  EXPECT_GT(collected.abs().max().item<double>(), 0);
}

/// KL(N(m, s^2) || N(0, 1)) of numbers worked out by hand, through the loss as a whole.
TEST_F(PipelineTraining, TheAutoencodersLossIsItsFormula) {
  const AutoencoderKl net(autoencoder_config(toy_pipeline()), Parameters(Seed(2), torch::kCPU));
  const torch::Tensor image = torch::rand({2, 3, 16, 16}) * 2 - 1, noise = torch::randn({2, 4, 8, 8});
  const torch::NoGradGuard no_grad;
  const torch::Tensor moments = net.encode(image).to(torch::kDouble);
  double kl = 0;
  for (std::int64_t i = 0; i < noise.numel(); ++i) {
    const double m = moments[0].flatten()[i].item<double>(),
                 v = std::exp(moments[1].flatten()[i].item<double>());
    kl += (m * m + v - std::log(v) - 1) / 2;
  }
  const AutoencoderLoss loss = autoencoder_loss(net, image, noise, 0.25);
  const torch::Tensor z = (moments[0] + (moments[1] / 2).exp() * noise).to(torch::kFloat);
  EXPECT_NEAR(loss.kl.item<double>(), kl / (2 * 3 * 16 * 16), 1e-6);
  EXPECT_NEAR(loss.l1.item<double>(), (net.decode(z) - image).abs().mean().item<double>(), 1e-6);
  EXPECT_NEAR(loss.total.item<double>(), loss.l1.item<double>() + 0.25 * loss.kl.item<double>(), 1e-6);
  EXPECT_FALSE(loss.perceptual.defined());

  const EfficientNetLite0 features{Parameters(Seed(3), torch::kCPU)};
  const AutoencoderLoss more = autoencoder_loss(net, image, noise, 0.25, &features, 2);
  EXPECT_NEAR(more.perceptual.item<double>(),
              perceptual_distance(features, net.decode(z), image).item<double>(), 1e-5);
  EXPECT_GT(more.perceptual.item<double>(), 1e-3);
  EXPECT_NEAR(more.total.item<double>(), loss.total.item<double>() + 2 * more.perceptual.item<double>(),
              1e-5);
}

/// A file of weights that mean nothing, with the gain of He et al. (2015), so that no map fades.
fs::path random_features(const fs::path& folder) {
  fs::create_directories(folder);
  const EfficientNetLite0 net{Parameters(Seed(3), torch::kCPU)};
  NamedTensors tensors;
  for (const auto& [name, tensor] : net.parameters.named())
    tensors[name] = tensor.dim() == 4 ? tensor.detach() * std::sqrt(6.0) : tensor.detach();
  save_tensors(folder / "features.safetensors", tensors, {});
  return folder / "features.safetensors";
}

/// |a / |a| - b / |b||^2 = 2 - 2 cos(a, b), at every position of every map.
TEST_F(PipelineTraining, ThePerceptualDistanceIsOneOfAngles) {
  const EfficientNetLite0 net = EfficientNetLite0::open(random_features(folder_), torch::kCPU);
  const torch::Tensor a = (torch::rand({2, 3, 48, 32}) * 2 - 1).set_requires_grad(true),
                      b = torch::rand({2, 3, 48, 32}) * 2 - 1;
  const std::vector<torch::Tensor> of_a = net.maps((a.detach() + 1) * 127.5),
                                   of_b = net.maps((b + 1) * 127.5);
  ASSERT_EQ(of_a.size(), 5u);
  double expected = 0;
  std::int64_t height = 48;
  for (std::size_t i = 0; i < of_a.size(); ++i) {
    height = (height + 1) / 2;
    EXPECT_EQ(of_a[i].size(2), height);
    expected += (2 - 2 * torch::cosine_similarity(of_a[i], of_b[i], 1)).mean().item<double>() / 5;
  }
  const torch::Tensor found = perceptual_distance(net, a, b);
  EXPECT_NEAR(found.item<double>(), expected, 1e-5);
  EXPECT_NEAR(perceptual_distance(net, b, a.detach()).item<double>(), expected, 1e-5);
  EXPECT_EQ(perceptual_distance(net, b, b).item<double>(), 0);
  const torch::Tensor step = -1e-2 * torch::autograd::grad({found}, {a})[0].sign();
  EXPECT_LT(perceptual_distance(net, a + step, b).item<double>(), expected);
}

TEST_F(PipelineTraining, FeaturesOfANetAreLearnedToo) {
  const fs::path weights = random_features(folder_);
  PipelineTrainConfig with = toy_training(3, 1);
  with.perceptual_weight = 0.5;
  with.log_every = 1;
  train_pipeline(scenes_, tokenizer_, toy_pipeline(), with, folder_ / "a", nullptr, weights);
  for (const Json& line : lines(folder_ / "a" / "metrics.jsonl")) {
    if (line.at("part") != "autoencoder") continue;
    const double rest = line.at("l1").get<double>() + with.kl_weight * line.at("kl").get<double>();
    EXPECT_GT(line.at("perceptual").get<double>(), 0);
    EXPECT_NEAR(line.at("loss").get<double>(), rest + 0.5 * line.at("perceptual").get<double>(), 1e-5);
  }
  with.denoiser.steps = 2;
  EXPECT_THAT(message([&] { train(with, folder_ / "a"); }),
              HasSubstr("a run continues with its own data: features: expected \"\", found"));
  EXPECT_THAT(message([&] {
                train_pipeline(scenes_, tokenizer_, toy_pipeline(), with, folder_ / "b", nullptr,
                               folder_ / "a" / "checkpoint.safetensors");
              }),
              HasSubstr("checkpoint.safetensors"));
}

}  // namespace
}  // namespace diffreward
