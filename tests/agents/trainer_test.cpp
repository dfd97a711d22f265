#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iostream>
#include <numeric>
#include <sstream>

#include "agents/diffusion/diffusion_model.h"
#include "agents/diffusion/diffusion_model_torch.h"
#include "agents/diffusion/training_batch_torch.h"
#include "agents/kernels/enabled.h"
#include "agents/nets/loss_torch.h"
#include "core/error.h"
#include "core/file.h"
#include "core/progress.h"
#include "core/rng.h"
#include "core/safetensors.h"
#include "core/statistics.h"
#include "tests/agents/against_aten.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

/// Episodes of 20 steps on a circle: observation (cos, sin) of a phase, action its speed.
Dataset circles(int episodes = 12, float radius = 2) {
  Dataset::Columns columns;
  columns.observation_dim = 2;
  columns.action_dim = 1;
  Rng rng(5);
  for (int e = 0; e < episodes; ++e) {
    const double speed = rng.uniform(0.1, 0.3), start = rng.uniform(0, 6.28);
    for (int k = 0; k < 20; ++k) {
      const auto x = [&](int step) { return radius * static_cast<float>(std::cos(start + speed * step)); };
      const auto y = [&](int step) { return radius * static_cast<float>(std::sin(start + speed * step)); };
      columns.observations.insert(columns.observations.end(), {x(k), y(k)});
      columns.next_observations.insert(columns.next_observations.end(), {x(k + 1), y(k + 1)});
      columns.actions.push_back(static_cast<float>(speed));
      columns.rewards.push_back(0);
      columns.terminals.push_back(0);
      columns.timeouts.push_back(k == 19);
    }
  }
  return Dataset::from_columns(std::move(columns));
}

const DiffusionConfig kConfig{.horizon = 4, .stride = 2, .timesteps = 20, .dim = 32, .layers = 2};
DiffusionTrainConfig training(std::int64_t steps) {
  return {.steps = steps,
          .batch = 16,
          .lr = 3e-3,
          .held_out = 0.2,
          .checkpoint_every = 15,
          .log_every = 10,
          .seed = 7};
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
std::vector<Json> lines(const fs::path& file) {
  std::istringstream text(read_file(file));
  std::vector<Json> out;
  for (std::string line; std::getline(text, line);) out.push_back(Json::parse(line));
  return out;
}

class Training : public ::testing::Test {
 protected:
  void SetUp() override {
    at::set_num_threads(1);
    Progress::silence();
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_ = fs::path(::testing::TempDir()) / "diffreward_trainer";
};

TEST_F(Training, LearnsTheHeldOutEpisodesToo) {
  for (const char* prediction : {"x0", "epsilon", "v"}) {
    DiffusionConfig config = kConfig;
    config.prediction = prediction;
    DiffusionTrainConfig train = training(600);
    train.log_every = 20;
    train_diffusion(circles(), config, train, folder_ / prediction);
    const std::vector<Json> log = lines(folder_ / prediction / "metrics.jsonl");
    ASSERT_EQ(log.size(), 30U);
    EXPECT_LT(log.back()["held_out_loss"], 0.8 * log.front()["held_out_loss"].get<double>()) << prediction;
    EXPECT_LT(log.back()["loss"], 0.8 * log.front()["loss"].get<double>()) << prediction;
  }
}

TEST_F(Training, SamplesLieOnTheCircle) {
  DiffusionTrainConfig train = training(1500);
  train.condition_probability = 0.5;
  const DiffusionModel model = train_diffusion(circles(60), kConfig, train);
  const auto off_circle = [&](const std::vector<float>& samples) {
    double sum = 0;
    for (std::size_t i = 0; i < samples.size(); i += 3)
      sum += std::abs(std::hypot(samples[i + 1], samples[i + 2]) - 2);
    return 3 * sum / static_cast<double>(samples.size());
  };
  EXPECT_LT(off_circle(model.sample(100, {}, {.seed = 1})), 0.25);
  const std::vector<float> held = model.sample(100, {{0, {0, 2}}}, {.seed = 1});
  EXPECT_LT(off_circle(held), 0.25);
  double ahead = 0;  // all turn the same way: from the top to the left
  for (std::size_t i = 0; i < 100; ++i) ahead += held[i * 12 + 10] / 100;
  EXPECT_LT(ahead, -0.8);
}

TEST_F(Training, EqualSeedsGiveEqualBits) {
  const DiffusionModel a = train_diffusion(circles(), kConfig, training(20), folder_ / "a");
  const DiffusionModel b = train_diffusion(circles(), kConfig, training(20), folder_ / "b");
  for (const char* file : {"model.safetensors", "checkpoint.safetensors"})
    EXPECT_EQ(read_file(folder_ / "a" / file), read_file(folder_ / "b" / file)) << file;
  DiffusionTrainConfig other = training(20);
  other.seed = 8;
  train_diffusion(circles(), kConfig, other, folder_ / "c");
  EXPECT_NE(read_file(folder_ / "a" / "model.safetensors"), read_file(folder_ / "c" / "model.safetensors"));
}

TEST_F(Training, ThreadsAreInNoBit) {
  DiffusionConfig config = kConfig;
  config.dim = 128;  // more weights than LibTorch leaves undivided
  DiffusionTrainConfig train = training(6);
  train.batch = 2048;  // and losses of more numbers
  train.gradient_clip = 1e-3;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    train_diffusion(circles(60), config, train, folder_ / std::to_string(threads));
  }
  for (const char* file : {"model.safetensors", "checkpoint.safetensors"})
    for (const char* threads : {"2", "3"})
      EXPECT_EQ(read_file(folder_ / "1" / file), read_file(folder_ / threads / file))
          << file << ", " << threads << " threads";
}

TEST_F(Training, AResumedRunEndsBitEqual) {
  for (const char* net : {"mlp", "unet"}) {
    DiffusionConfig config = kConfig;
    config.net = net;
    config.dim = 16;
    config.dim_mults = {1, 2};
    DiffusionTrainConfig whole = training(40), half = training(20);
    whole.condition_probability = half.condition_probability = 0.5;
    const fs::path straight = folder_ / net / "straight", resumed = folder_ / net / "resumed";
    train_diffusion(circles(), config, whole, straight);
    train_diffusion(circles(), config, half, resumed);
    train_diffusion(circles(), config, whole, resumed);
    for (const char* file : {"model.safetensors", "checkpoint.safetensors"})
      EXPECT_EQ(read_file(straight / file), read_file(resumed / file)) << net << " " << file;
    const std::vector<Json> log = lines(resumed / "metrics.jsonl"),
                            expected = lines(straight / "metrics.jsonl");
    ASSERT_EQ(log.size(), 4U);
    for (std::size_t i = 0; i < 4; ++i)
      for (const char* key : {"step", "loss", "held_out_loss"})
        EXPECT_EQ(log[i][key], expected[i][key]) << i << key;
  }
}

// A run that was killed between a checkpoint and the next: the lines after the checkpoint are written again,
// once.
TEST_F(Training, AKilledRunContinuesFromItsLastCheckpoint) {
  train_diffusion(circles(), kConfig, training(40), folder_ / "straight");
  train_diffusion(circles(), kConfig, training(15), folder_ / "killed");
  write_file(
      folder_ / "killed" / "metrics.jsonl",
      lines(folder_ / "killed" / "metrics.jsonl").front().dump() + "\n{\"step\":20,\"loss\":9}\n{\"st");
  train_diffusion(circles(), kConfig, training(40), folder_ / "killed");
  const std::vector<Json> log = lines(folder_ / "killed" / "metrics.jsonl");
  ASSERT_EQ(log.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(log[i]["step"], 10 * (i + 1));
  EXPECT_NE(log[1]["loss"], 9);
  const DiffusionModel a = DiffusionModel::load(folder_ / "straight" / "model.safetensors");
  const DiffusionModel b = DiffusionModel::load(folder_ / "killed" / "model.safetensors");
  const auto& x = a.impl().net->parameters.named();
  const auto& y = b.impl().net->parameters.named();
  for (std::size_t i = 0; i < x.size(); ++i)
    EXPECT_TRUE(torch::equal(x[i].second, y[i].second)) << x[i].first;
}

TEST_F(Training, AFinishedRunIsOnlyReadAgain) {
  train_diffusion(circles(), kConfig, training(20), folder_);
  const std::string model = read_file(folder_ / "model.safetensors"),
                    log = read_file(folder_ / "metrics.jsonl");
  train_diffusion(circles(), kConfig, training(20), folder_);
  EXPECT_EQ(read_file(folder_ / "model.safetensors"), model);
  EXPECT_EQ(read_file(folder_ / "metrics.jsonl"), log);
}

TEST_F(Training, ResumingWithOtherSettingsOrDataIsRefusedByName) {
  train_diffusion(circles(), kConfig, training(10), folder_);
  const std::string name = (folder_ / "checkpoint.safetensors").string();
  DiffusionTrainConfig train = training(20);
  train.lr = 0.5;
  EXPECT_EQ(message([&] { train_diffusion(circles(), kConfig, train, folder_); }),
            name + ": a run continues with its own settings: lr: expected 0.5, found 0.003");
  DiffusionConfig config = kConfig;
  config.prediction = "v";
  EXPECT_EQ(message([&] { train_diffusion(circles(), config, training(20), folder_); }),
            name + ": a run continues with its own settings: prediction: expected \"v\", found \"x0\"");
  EXPECT_EQ(message([&] { train_diffusion(circles(13), kConfig, training(20), folder_); }),
            name + ": a run continues with its own data: rows: expected 260, found 240");
  EXPECT_EQ(message([&] { train_diffusion(circles(12, 3), kConfig, training(20), folder_); }),
            name + ": a run continues with its own data: normalizer: found another range of values");
  EXPECT_EQ(message([&] { train_diffusion(circles(), kConfig, training(5), folder_); }),
            name + ": steps: expected at least 10 as already trained, got 5");
}

TEST_F(Training, ABadCheckpointIsNamedAndKept) {
  train_diffusion(circles(), kConfig, training(10), folder_);
  const fs::path checkpoint = folder_ / "checkpoint.safetensors";
  fs::resize_file(checkpoint, fs::file_size(checkpoint) / 2);
  EXPECT_THAT(message([&] { train_diffusion(circles(), kConfig, training(20), folder_); }),
              HasSubstr(checkpoint.string()));
  fs::copy_file(folder_ / "model.safetensors", checkpoint, fs::copy_options::overwrite_existing);
  EXPECT_THAT(message([&] { train_diffusion(circles(), kConfig, training(20), folder_); }),
              HasSubstr(checkpoint.string() + ": metadata 'kind': expected diffreward-diffusion-training-3"));
}

TEST_F(Training, NotANumberInACheckpointIsFoundBeforeItIsTrainedOn) {
  train_diffusion(circles(), kConfig, training(10), folder_);
  const fs::path checkpoint = folder_ / "checkpoint.safetensors";
  const std::string good = read_file(checkpoint);
  const Safetensors file = Safetensors::parse(std::as_bytes(std::span(good)), "good");
  for (const auto& [name, tensor] : file.tensors()) {
    std::string bad = good;
    const auto at = reinterpret_cast<const char*>(tensor.bytes.data()) - good.data();
    const float number = name == "ema" ? INFINITY : NAN;
    std::memcpy(bad.data() + at + 4, &number, sizeof number);
    write_file(checkpoint, bad);
    EXPECT_EQ(message([&] { train_diffusion(circles(), kConfig, training(20), folder_); }),
              checkpoint.string() + ": tensor '" + name + "': expected finite numbers, found others");
  }
}

TEST_F(Training, DivergenceNamesTheStepAndTheLastGoodCheckpoint) {
  DiffusionConfig config = kConfig;
  config.dim = 256;
  DiffusionTrainConfig train = training(200);
  train.lr = 1;
  train.gradient_clip = 0;
  train.weight_decay = 0;
  train.checkpoint_every = 1;
  const std::string error = message([&] { train_diffusion(circles(), config, train, folder_); });
  EXPECT_THAT(error, HasSubstr("training: step "));
  EXPECT_THAT(error, HasSubstr("last good checkpoint: " + (folder_ / "checkpoint.safetensors").string() +
                               " of step "));
  EXPECT_FALSE(fs::exists(folder_ / "model.safetensors"));
  EXPECT_THAT(message([&] { train_diffusion(circles(), config, train); }),
              HasSubstr("there is no checkpoint"));
}

TEST_F(Training, NotANumberInTheDataIsNamedBeforeTraining) {
  Dataset::Columns columns;
  columns.observation_dim = columns.action_dim = 1;
  for (int i = 0; i < 30; ++i) {
    columns.observations.push_back(i == 17 ? std::nanf("") : 1.0F);
    columns.next_observations.push_back(0);
    columns.actions.push_back(0);
    columns.rewards.push_back(0);
    columns.terminals.push_back(0);
    columns.timeouts.push_back(i % 10 == 9);
  }
  EXPECT_THAT(message([&] { train_diffusion(Dataset::from_columns(columns), kConfig, training(5)); }),
              HasSubstr("17"));
}

TEST_F(Training, FineTuningStartsFromTheBase) {
  const DiffusionModel base = train_diffusion(circles(), kConfig, training(30));
  const Dataset other = circles(12, 3);  // another range; the base's normaliser must survive
  DiffusionTrainConfig still = training(3);
  still.lr = 0;
  const DiffusionModel copy = train_diffusion(other, kConfig, still, folder_ / "still", &base);
  EXPECT_EQ(copy.normalizer(), base.normalizer());
  const auto& a = base.impl().net->parameters.named();
  const auto& b = copy.impl().net->parameters.named();
  for (std::size_t i = 0; i < a.size(); ++i)
    EXPECT_TRUE(torch::equal(a[i].second, b[i].second)) << a[i].first;

  DiffusionConfig config = kConfig;
  config.stride = 1;
  EXPECT_EQ(message([&] { train_diffusion(other, config, training(3), {}, &base); }),
            "fine-tuning keeps the settings of the model it starts from: stride: expected 1, found 2");
  const DiffusionModel elsewhere = train_diffusion(other, kConfig, training(1));
  EXPECT_THAT(message([&] { train_diffusion(other, kConfig, still, folder_ / "still", &elsewhere); }),
              HasSubstr("start: expected "));
}

TEST_F(Training, WithoutAFolderNothingIsWritten) {
  fs::create_directories(folder_);
  const fs::path before = fs::current_path();
  fs::current_path(folder_);
  train_diffusion(circles(), kConfig, training(20));
  fs::current_path(before);
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(Training, TheAverageFollowsTheWeights) {
  DiffusionTrainConfig train = training(60);
  train.ema = 0;  // the average is the weights themselves
  const DiffusionModel raw = train_diffusion(circles(), kConfig, train, folder_);
  const Safetensors state = Safetensors::open(folder_ / "checkpoint.safetensors");
  EXPECT_TRUE(std::ranges::equal(state.at("weights").bytes, state.at("ema").bytes));
  train.ema = 0.9;
  const DiffusionModel smooth = train_diffusion(circles(), kConfig, train, folder_ / "smooth");
  const Safetensors averaged = Safetensors::open(folder_ / "smooth" / "checkpoint.safetensors");
  EXPECT_TRUE(std::ranges::equal(averaged.at("weights").bytes, state.at("weights").bytes));
  EXPECT_FALSE(std::ranges::equal(averaged.at("ema").bytes, averaged.at("weights").bytes));
}

TEST_F(Training, KernelsAndPlainAtenTrainAlike) {
  DiffusionConfig config = kConfig;
  config.net = "unet";
  config.dim = 16;
  config.dim_mults = {1, 2};
  const auto loss = [&](bool kernels) {
    enable_kernels(kernels);
    const DiffusionModel model = train_diffusion(circles(), config, training(40));
    enable_kernels(true);
    return model.provenance().at("last").at("held_out_loss").get<double>();
  };
  const double fused = loss(true), plain = loss(false);
  // Adam makes whole steps of gradients that are nothing but rounding, so that equal runs part; weights that
  // are a step old would cost a quarter.
  EXPECT_NEAR(fused, plain, 0.1 * plain);
  EXPECT_LT(plain, 1);
}

TEST_F(Training, LongRunsByKernelsAndByPlainAtenEndWithinTheNoiseOfSeeds) {
  DiffusionConfig config = kConfig;
  config.net = "unet";
  config.dim = 16;
  config.dim_mults = {1, 2};
  const auto losses = [&](bool kernels) {
    enable_kernels(kernels);
    std::vector<double> all;
    for (const std::uint64_t seed : {0, 1, 2}) {
      DiffusionTrainConfig train = training(2000);
      train.seed = seed;
      train.lr = 1e-3;
      train.log_every = train.steps;
      all.push_back(train_diffusion(circles(), config, train).provenance().at("last").at("held_out_loss"));
    }
    enable_kernels(true);
    return all;
  };
  const std::vector<double> fused = losses(true), plain = losses(false);
  const auto [least, most] = std::ranges::minmax(plain);
  std::cout << "held-out loss after 2,000 steps, seeds 0, 1, 2: kernels";
  for (const double loss : fused) std::cout << " " << loss;
  std::cout << ", plain ATen";
  for (const double loss : plain) std::cout << " " << loss;
  std::cout << "\n";
  EXPECT_NEAR(mean(fused), mean(plain), most - least);
  EXPECT_LT(most, 0.5);
}

TEST_F(Training, ABatchInPartsHasTheSameGradient) {
  DiffusionConfig config = kConfig;
  config.net = "unet";
  config.dim = 16;
  config.dim_mults = {1, 2};
  DiffusionTrainConfig train = training(1);
  train.condition_probability = 0.5;  // weights differ from window to window
  train.action_weight = 10;
  const Dataset data = circles();
  DiffusionModel model(config, {4, 2, 1, 2}, {"limits", {0, 0, 0}, {1, 2, 2}}, 3);
  const WindowSampler windows(data, model.layout(), false);
  std::vector<std::size_t> episodes(data.episodes().size());
  std::iota(episodes.begin(), episodes.end(), 0);
  const EpisodeWindows pool(windows, episodes);
  BatchMaker batches(model.impl(), windows, train);
  const Batch batch = batches.make(pool, 7, 0);

  const auto gradients = [&](int passes) {
    const torch::Tensor& gradient = model.impl().net->parameters.collect_gradients();
    const double loss = BatchParts(passes).sum(7, gradient, [&](const BatchPart& part) {
      return add_loss_gradient(*model.impl().net, batch, part);
    });
    const torch::Tensor all = torch::cat({torch::tensor({loss}, torch::kFloat), gradient});
    gradient.zero_();
    return all;
  };
  for (const bool on : {true, false}) {
    const Kernels kernels(on);
    const torch::Tensor whole = gradients(1);
    EXPECT_GT(whole.norm().item<double>(), 0.1);
    for (const int passes : {2, 3, 7, 100})
      EXPECT_LT((gradients(passes) - whole).norm().item<double>(), 1e-4 * whole.norm().item<double>())
          << passes << " passes";
  }
}

TEST_F(Training, BatchesComeFromTheirEpisodesAndAreNoisedByTheSchedule) {
  const Dataset data = circles();
  const WindowLayout layout{4, 2, 1, 2};
  DiffusionTrainConfig train = training(1);
  train.condition_probability = 0.5;
  train.action_weight = 10;
  train.loss_discount = 0.5;
  const DiffusionModel model(kConfig, layout, {"limits", {0, 0, 0}, {1, 1, 1}}, 0);
  const WindowSampler windows(data, layout, false);
  const EpisodeWindows some(windows, {2, 5});
  EXPECT_EQ(some.count(), 2U * (20 - 6));
  std::vector<int> seen(windows.count());
  Rng rng(1);
  for (int i = 0; i < 2000; ++i) ++seen[some.draw(rng)];
  for (std::size_t i = 0; i < seen.size(); ++i)
    EXPECT_EQ(seen[i] > 0, windows.episode(i) == 2 || windows.episode(i) == 5) << i;

  BatchMaker batches(model.impl(), windows, train);
  const Batch batch = batches.make(some, 400, 3), again = batches.make(some, 400, 3);
  EXPECT_TRUE(torch::equal(batch.x_t, again.x_t));
  EXPECT_FALSE(torch::equal(batch.x_t, batches.make(some, 400, 4).x_t));
  const torch::Tensor residual =
      (batch.x_t - at_timesteps(model.impl().levels.signal, batch.t, 3) * batch.target) /
      at_timesteps(model.impl().levels.noise, batch.t, 3);  // the noise; target is x_0
  EXPECT_NEAR(residual.narrow(1, 1, 3).std().item<double>(), 1, 0.05);
  EXPECT_EQ(batch.t.min().item<std::int64_t>(), 0);
  EXPECT_EQ(batch.t.max().item<std::int64_t>(), 19);

  int given = 0;
  for (std::int64_t i = 0; i < 400; ++i) {
    const torch::Tensor first = batch.x_t[i][0].slice(0, 1), weights = batch.weights[i];
    const bool clean = torch::equal(first, batch.target[i][0].slice(0, 1));
    given += clean;
    EXPECT_EQ(weights[0][0].item<float>(), 10);
    EXPECT_EQ(weights[0][1].item<float>(), clean ? 0 : 1);
    EXPECT_EQ(weights[2][1].item<float>(), 0.25F);
    EXPECT_EQ(weights[2][0].item<float>(), 0.25F);
  }
  EXPECT_NEAR(given, 200, 40);

  const torch::Tensor output = torch::zeros_like(batch.target).requires_grad_(true);
  const Loss loss = weighted_square_error(output.detach(), batch.target, batch.weights);
  const torch::Tensor expected = (batch.weights * (output - batch.target).square()).mean();
  expected.backward();
  EXPECT_NEAR(loss.value, expected.item<double>(), 1e-5);
  EXPECT_TRUE(torch::allclose(loss.gradient, output.grad()));
}

}  // namespace
}  // namespace diffreward
