#include "rewards/relative/relative_reward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>

#include "core/file.h"
#include "core/progress.h"
#include "core/safetensors.h"
#include "rewards/relative/reward_net_torch.h"
#include "tests/core/temporary_folder.h"
#include "tests/rewards/closed_form.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;
using testing::identity_normalizer;
using testing::MixtureModel;
using testing::numbers;

const NoiseSchedule kSchedule("cosine", 20);

ExtractConfig small(int window = 1) {
  ExtractConfig config;
  config.window = window;
  config.hidden = {16, 16};
  config.steps = 60;
  config.support_points = 200;
  config.read_t = 2;
  return config;
}

MixtureModel base_model(int horizon) {
  return {{{1, {0, 0, 0}, {0.3, 0, 0, 0, 0.3, 0, 0, 0, 0.3}}}, horizon, kSchedule};
}
MixtureModel expert_model(int horizon) {
  return {{{1, {0.5, 0, -0.3}, {0.1, 0, 0, 0, 0.3, 0, 0, 0, 0.1}}}, horizon, kSchedule};
}

std::shared_ptr<RelativeReward> small_reward(const ExtractConfig& config, int horizon = 8) {
  const MixtureModel base = base_model(horizon), expert = expert_model(horizon);
  return extract(expert, base, expert.data(60, 1), base.data(60, 2), config);
}

/// The message of the exception that `call` throws.
template <class Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::vector<float> random_numbers(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> out(n);
  for (float& x : out) x = static_cast<float>(rng.normal());
  return out;
}

class RelativeRewardTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Progress::silence();
    folder_ = std::filesystem::temp_directory_path() /
              ("relative_reward_test_" +
               std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
};

TEST_F(RelativeRewardTest, ClosedFormGradientEqualsBackwardPassesOfFirstAndSecondOrder) {
  for (const int window : {1, 3, 8})
    for (const std::vector<int>& hidden : {std::vector<int>{24}, {16, 24}, {16, 8, 12}}) {
      ExtractConfig config = small(window);
      config.hidden = hidden;
      const auto net = make_reward_net(config, {8, 2, 20}, Head::kScalar);
      const torch::Tensor x = torch::tensor(random_numbers(5 * 8 * 2, 1)).view({5, 8, 2});
      const torch::Tensor target = torch::tensor(random_numbers(5 * 8 * 2, 2)).view({5, 8, 2});
      const torch::Tensor t = torch::tensor({0, 3, 7, 11, 19}, torch::kLong);

      const torch::Tensor closed = net->gradient(x, t), oracle = net->autograd_gradient(x, t);
      EXPECT_TRUE(torch::allclose(closed, oracle, 1e-5, 1e-6)) << "window " << window;
      EXPECT_GT(oracle.abs().mean().item<double>(), 1e-3);

      std::vector<torch::Tensor> weights;
      for (const auto& [name, parameter] : net->parameters.named()) weights.push_back(parameter);
      const auto weight_gradients = [&](const torch::Tensor& field) {
        return torch::autograd::grad({(field - target).square().sum()}, weights, {}, true, false,
                                     /*allow_unused=*/true);
      };
      const auto one_pass = weight_gradients(closed), two_passes = weight_gradients(oracle);
      for (std::size_t i = 0; i < weights.size(); ++i) {
        const std::string& name = net->parameters.named()[i].first;
        if (!two_passes[i].defined() || !one_pass[i].defined()) {
          EXPECT_EQ(name, "out.bias") << "only the constant has no gradient";
          continue;
        }
        const double error = (one_pass[i] - two_passes[i]).abs().max().item<double>();
        EXPECT_LE(error, 1e-5 * two_passes[i].abs().max().item<double>()) << name << ", window " << window;
      }
    }
}

TEST_F(RelativeRewardTest, ScalarHeadIsTheMeanOverContiguousWindows) {
  const auto net = make_reward_net(small(3), {8, 2, 20}, Head::kScalar);
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = torch::tensor(random_numbers(2 * 8 * 2, 1)).view({2, 8, 2});
  const torch::Tensor t = torch::tensor({4, 9}, torch::kLong);
  torch::Tensor sum = torch::zeros({2});
  for (int k = 0; k < 6; ++k) sum += net->forward(x.narrow(1, k, 3), t);
  EXPECT_TRUE(torch::allclose(net->forward(x, t), sum / 6, 1e-5, 1e-6));
}

TEST_F(RelativeRewardTest, EveryNetTrains) {
  struct Case {
    std::string net;
    int window, horizon;
  };
  for (const Case& c : {Case{"mlp", 1, 8}, {"mlp", 4, 8}, {"mlp", 64, 64}, {"unet", 1, 16}}) {
    ExtractConfig config = small(c.window);
    config.net = c.net;
    config.dim_mults = {4, 8};
    config.steps = 150;
    config.batch = 32;
    const auto folder = folder_ / (c.net + std::to_string(c.window));
    const MixtureModel base = base_model(c.horizon), expert = expert_model(c.horizon);
    const auto rho = extract(expert, base, expert.data(60, 1), base.data(60, 2), config, folder);
    std::ifstream log(folder / "metrics.jsonl");
    std::vector<double> losses;
    for (std::string line; std::getline(log, line);)
      losses.push_back(Json::parse(line).at("loss").get<double>());
    ASSERT_EQ(losses.size(), 3u);
    EXPECT_LT(losses.back(), 0.9) << c.net << c.window << ": a field of zeros costs 1";
    EXPECT_EQ(rho->layout().horizon, c.net == "mlp" ? c.window : c.horizon);
    EXPECT_GT(rho->field_report()[4].conservativeness, 0.1) << c.net << c.window;
    EXPECT_TRUE(std::filesystem::exists(folder / "reward.safetensors"));
  }
}

TEST_F(RelativeRewardTest, GradientIsTheDerivativeOfValue) {
  for (const char* net : {"mlp", "unet"}) {
    ExtractConfig config = small();
    config.net = net;
    config.dim_mults = {4, 8};
    config.channels = {2, 0};
    const auto rho = small_reward(config);
    const torch::Tensor x = torch::tensor(random_numbers(3 * 8 * 3, 5)).view({3, 8, 3});
    const torch::Tensor t = torch::tensor({1, 6, 15}, torch::kLong);
    EXPECT_TRUE(torch::allclose(rho->gradient(x, t), rho->Guide::gradient(x, t), 1e-4, 1e-5)) << net;
    EXPECT_FALSE(rho->gradient(x, t).requires_grad());
  }
}

TEST_F(RelativeRewardTest, GuidesSamplesOfAnyLengthAsTheSumOverWindows) {
  ExtractConfig config = small();
  config.channels = {2, 0};
  const auto rho = small_reward(config);  // of samples with 8 rows
  const torch::Tensor x = torch::tensor(random_numbers(2 * 24 * 3, 7)).view({2, 24, 3});
  const torch::Tensor t = torch::tensor({2, 11}, torch::kLong);
  torch::Tensor sum = torch::zeros({2}), gradient = torch::zeros({2, 24, 3});
  for (int begin = 0; begin < 24; begin += 8) {
    sum += rho->value(x.narrow(1, begin, 8), t);
    gradient.narrow(1, begin, 8) += rho->gradient(x.narrow(1, begin, 8), t);
  }
  EXPECT_TRUE(torch::allclose(rho->value(x, t), sum, 1e-4, 1e-5));
  EXPECT_TRUE(torch::allclose(rho->gradient(x, t), gradient, 1e-4, 1e-5));
  EXPECT_THROW(rho->value(x.narrow(2, 0, 2), t), InvalidArgument);
  config.net = "unet";
  config.dim_mults = {4, 8};
  const auto whole = small_reward(config);
  EXPECT_THROW(whole->gradient(x, t), InvalidArgument);
}

TEST_F(RelativeRewardTest, SaveAndLoadGiveEqualBits) {
  for (const char* net : {"mlp", "unet"}) {
    ExtractConfig config = small(2);
    config.net = net;
    config.dim_mults = {4, 8};
    config.channels = {0, 2};
    const auto rho = small_reward(config);
    rho->provenance()["note"] = "kept";
    rho->save(folder_ / "a.safetensors");
    const auto loaded = RelativeReward::load(folder_ / "a.safetensors");

    const std::vector<float> windows = random_numbers(50 * static_cast<std::size_t>(rho->layout().size()), 3);
    std::vector<float> before(50), after(50);
    rho->score(windows, before);
    loaded->score(windows, after);
    EXPECT_EQ(before, after);
    rho->support(windows, before);
    loaded->support(windows, after);
    EXPECT_EQ(before, after);
    EXPECT_EQ(to_json(rho->config()), to_json(loaded->config()));
    EXPECT_EQ(rho->layout(), loaded->layout());
    EXPECT_EQ(rho->sample_layout(), loaded->sample_layout());
    EXPECT_EQ(rho->normalizer(), loaded->normalizer());
    EXPECT_EQ(loaded->provenance().at("note"), "kept");
    EXPECT_EQ(rho->nats_per_unit(7), loaded->nats_per_unit(7));
    EXPECT_EQ(rho->base_statistics().q99, loaded->base_statistics().q99);
    ASSERT_EQ(rho->field_report().size(), loaded->field_report().size());
    EXPECT_EQ(rho->field_report()[3].ceiling, loaded->field_report()[3].ceiling);
  }
}

TEST_F(RelativeRewardTest, EqualSeedsGiveEqualBitsAndOthersDoNot) {
  const std::vector<float> windows = random_numbers(20 * 3, 3);
  const auto scores = [&](std::uint64_t seed) {
    ExtractConfig config = small();
    config.seed = seed;
    std::vector<float> out(20);
    small_reward(config)->score(windows, out);
    return out;
  };
  EXPECT_EQ(scores(0), scores(0));
  EXPECT_NE(scores(0), scores(1));
}

TEST_F(RelativeRewardTest, BatchEqualsOneByOneAndThreads) {
  const auto rho = small_reward(small(2));
  constexpr std::size_t n = 5000, size = 6;
  const std::vector<float> windows = random_numbers(n * size, 3);
  std::vector<float> batch(n), support(n);
  rho->score(windows, batch);
  rho->support(windows, support);
  for (std::size_t i = 0; i < n; i += 97) {
    float one = 0, p = 0;
    rho->score(std::span(windows).subspan(i * size, size), {&one, 1});
    rho->support(std::span(windows).subspan(i * size, size), {&p, 1});
    EXPECT_NEAR(one, batch[i], 1e-5 * (1 + std::abs(one)));
    EXPECT_EQ(p, support[i]);
  }
  std::vector<std::vector<float>> results(4, std::vector<float>(n));
  std::vector<std::thread> threads;
  for (auto& result : results) threads.emplace_back([&] { rho->score(windows, result); });
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result, batch);
}

TEST_F(RelativeRewardTest, ReadsOnlyItsChannelsAndClipsOnlyScores) {
  // Rows [action, observation 0, observation 1] with a limits normaliser.
  class LimitsModel final : public WindowModel {
   public:
    explicit LimitsModel(double pull) : pull_(pull) {}
    const WindowLayout& layout() const override { return layout_; }
    const Normalizer& normalizer() const override { return normalizer_; }
    const NoiseSchedule& schedule() const override { return kSchedule; }
    const std::string& device() const override { return device_; }
    at::Tensor predict_x0(const at::Tensor& x, const at::Tensor&) const override { return x * 0.5 + pull_; }

   private:
    double pull_;
    WindowLayout layout_{2, 1, 1, 2};
    Normalizer normalizer_{"limits", {0, 0, 0}, {1, 2, 2}};
    std::string device_ = "cpu";
  };
  Dataset::Columns columns;
  columns.observation_dim = 2;
  columns.action_dim = 1;
  columns.observations = random_numbers(400, 1);
  columns.next_observations = columns.observations;
  columns.actions = random_numbers(200, 2);
  columns.rewards.assign(200, 0);
  columns.terminals.assign(200, 0);
  for (int i = 0; i < 200; ++i) columns.timeouts.push_back(i % 10 == 9);
  const Dataset data = Dataset::from_columns(columns);
  ExtractConfig config = small();
  config.channels = {1};
  const auto rho = extract(LimitsModel(0.1), LimitsModel(0), data, data, config);
  EXPECT_EQ(rho->reads(), Reads::kReached);
  const auto score = [&](std::vector<float> window) {
    float out = 0;
    rho->score(window, {&out, 1});
    return out;
  };
  EXPECT_EQ(score({0, 0.3f, 0}), score({9, 0.3f, -5}));
  EXPECT_NE(score({0, 0.3f, 0}), score({0, 0.6f, 0}));
  EXPECT_EQ(score({0, 2, 0}), score({0, 100, 0}));
  float inside = 0, outside = 0;
  rho->support(std::vector<float>{0, 0, 0}, {&inside, 1});
  rho->support(std::vector<float>{0, 100, 0}, {&outside, 1});
  EXPECT_GT(inside, 0.1f);
  EXPECT_LT(outside, 0.001f);
  config.channels = {1, 0};
  EXPECT_EQ(extract(LimitsModel(0.1), LimitsModel(0), data, data, config)->reads(), Reads::kStateAction);
  EXPECT_THAT(message_of([&] { extract(LimitsModel(0), LimitsModel(0), data, data, config); }),
              HasSubstr("expected models that differ"));
}

TEST_F(RelativeRewardTest, NamesTheFirstDifferenceOfTheModels) {
  const MixtureModel base = base_model(4);
  const Dataset data = base.data(40, 1);
  const auto error_with = [&](const WindowModel& expert) {
    return message_of([&] { extract(expert, base, data, data, small()); });
  };
  EXPECT_EQ(error_with(expert_model(8)),
            "layout.horizon: expected the expert model to have the base model's 4, found 8");
  EXPECT_THAT(
      error_with(MixtureModel({{1, {0, 0}, {1, 0, 0, 1}}}, 4, kSchedule)),
      HasSubstr("layout.observation_dim: expected the expert model to have the base model's 3, found 2"));
  const std::vector<double> unit = {1, 0, 0, 0, 1, 0, 0, 0, 1};
  EXPECT_THAT(
      error_with(MixtureModel({{1, {0, 0, 0}, unit}}, 4, NoiseSchedule("linear", 20))),
      HasSubstr("schedule.kind: expected the expert model to have the base model's cosine, found linear"));
  EXPECT_THAT(
      error_with(MixtureModel({{1, {0, 0, 0}, unit}}, 4, NoiseSchedule("cosine", 21))),
      HasSubstr("schedule.timesteps: expected the expert model to have the base model's 20, found 21"));
  class Renormalized final : public MixtureModel {
   public:
    Renormalized() : MixtureModel({{1, {0, 0, 0}, {1, 0, 0, 0, 1, 0, 0, 0, 1}}}, 4, kSchedule) {}
    const Normalizer& normalizer() const override { return normalizer_; }
    Normalizer normalizer_{"gaussian", {0, 0, 0}, {1, 2, 1}};
  };
  EXPECT_EQ(error_with(Renormalized()),
            "normalizer.scale[1]: expected the expert model to have the base model's 1, found 2");
}

TEST_F(RelativeRewardTest, NamesBadDataAndSettings) {
  const MixtureModel base = base_model(4), expert = expert_model(4);
  const Dataset data = base.data(40, 1);
  const Dataset narrow = MixtureModel({{1, {0, 0}, {1, 0, 0, 1}}}, 4, kSchedule).data(40, 1);
  EXPECT_EQ(message_of([&] { extract(expert, base, narrow, data, small()); }),
            "expert_data: expected 3 observation columns as in the models, found 2");
  EXPECT_EQ(message_of([&] { extract(expert, base, data, narrow, small()); }),
            "base_data: expected 3 observation columns as in the models, found 2");
  const auto error_with = [&](auto change) {
    ExtractConfig config = small();
    change(config);
    return message_of([&] { extract(expert, base, data, data, config); });
  };
  EXPECT_THAT(error_with([](auto& c) { c.channels = {3}; }),
              HasSubstr("channels: expected columns below 3, got 3"));
  EXPECT_THAT(error_with([](auto& c) {
                c.channels = {1, 1};
              }),
              HasSubstr("channels: expected each column once"));
  EXPECT_THAT(error_with([](auto& c) { c.window = 5; }),
              HasSubstr("window: expected at most the models' 4 rows, got 5"));
  EXPECT_THAT(error_with([](auto& c) { c.read_t = 20; }),
              HasSubstr("read_t: expected a timestep below 20, got 20"));
  EXPECT_THAT(error_with([](auto& c) { c.net = "unet", c.dim_mults = {1}; }),
              HasSubstr("dim_mults: expected channels"));
  EXPECT_THAT(error_with([](auto& c) { c.hidden = {}; }), HasSubstr("hidden"));

  const auto rho = small_reward(small(2));
  std::vector<float> out(2);
  EXPECT_THAT(message_of([&] { rho->score(random_numbers(13, 1), out); }),
              HasSubstr("score: expected 2 windows of 2 rows of 3 numbers, got 13"));
  EXPECT_THAT(message_of([&] { rho->score_at(20, random_numbers(12, 1), out); }),
              HasSubstr("score: expected a timestep below 20, got 20"));
}

TEST_F(RelativeRewardTest, StopsAtTheStepWhoseLossIsNotFinite) {
  const MixtureModel base = base_model(4), expert = expert_model(4);
  ExtractConfig config = small();
  config.lr = 1;
  config.weight_decay = 10;  // each step multiplies the weights by 1 - lr * decay = -9
  const std::string message =
      message_of([&] { extract(expert, base, base.data(40, 1), base.data(40, 2), config); });
  EXPECT_THAT(message,
              ::testing::MatchesRegex("extract: step [0-9]+: expected a finite (ceiling_)?loss, found .*"));
}

TEST_F(RelativeRewardTest, NamesWhatIsWrongInAFile) {
  const auto path = folder_ / "reward.safetensors";
  small_reward(small())->save(path);
  const std::string whole = read_file(path);
  const auto error_of = [&](const std::string& bytes) {
    write_file(folder_ / "bad.safetensors", bytes);
    return message_of([&] { RelativeReward::load(folder_ / "bad.safetensors"); });
  };
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string changed = whole;
    const std::size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    EXPECT_EQ(from.size(), to.size());
    return changed.replace(at, from.size(), to);
  };
  EXPECT_THAT(message_of([&] { RelativeReward::load(folder_ / "none.safetensors"); }),
              HasSubstr("none.safetensors"));
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, whole.size() / 2, whole.size() - 1})
    EXPECT_THAT(error_of(whole.substr(0, size)), HasSubstr("bad.safetensors")) << size;
  EXPECT_THAT(error_of(replaced("diffreward-relative-reward-2", "diffreward-relative-reward-9")),
              HasSubstr("metadata 'kind': expected diffreward-relative-reward-2, found"));
  EXPECT_THAT(error_of(replaced("\\\"horizon\\\":8", "\\\"horizon\\\":x")), HasSubstr("metadata 'layout'"));
  EXPECT_THAT(error_of(replaced("\\\"hidden\\\":[16,16]", "\\\"hidden\\\":[16,12]")),
              HasSubstr("tensor 'net.hidden.1.weight': expected shape [12, 16], found [16, 16]"));
  EXPECT_THAT(error_of(replaced("\\\"read_t\\\":2", "\\\"raed_t\\\":2")), HasSubstr("read_t"));
  EXPECT_THAT(error_of(replaced("net.time.bias", "net.time.bios")), HasSubstr("net.time.bias"));
  const FewerBytes limit(std::size_t{1} << 30);
  EXPECT_THAT(error_of(replaced("\\\"hidden\\\":[16,16]", "\\\"hidden\\\":[65536]")),
              HasSubstr("tensor 'net.time.weight': expected shape [65536, 8]"));
}

TEST_F(RelativeRewardTest, AFileCannotClaimMoreTimestepsThanAnyChainHas) {
  const auto path = folder_ / "reward.safetensors";
  small_reward(small())->save(path);
  const Safetensors whole = Safetensors::open(path);
  std::map<std::string, std::string> metadata = whole.metadata();
  Json schedule = Json::parse(metadata.at("schedule"));
  schedule["timesteps"] = 100'000'000;
  metadata["schedule"] = schedule.dump();
  write_safetensors(folder_ / "long.safetensors", whole.tensors(), metadata);
  const FewerBytes limit(std::size_t{1} << 30);
  EXPECT_THAT(
      message_of([&] { RelativeReward::load(folder_ / "long.safetensors"); }),
      HasSubstr("long.safetensors: metadata 'schedule': timesteps: expected 2 to 10000, got 100000000"));
}

}  // namespace
}  // namespace diffreward
