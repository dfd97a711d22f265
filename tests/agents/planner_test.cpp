// Planner over a model whose plans can be told in advance: from an observation v it predicts in row k the
// action v + k and the observation v + 10 k.
#include "agents/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <string>
#include <vector>

#include "core/error.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kHorizon = 5, kTimesteps = 20;

class CountingModel final : public WindowModel {
 public:
  explicit CountingModel(int stride = 1) : layout_{kHorizon, stride, 1, 1} {}
  const WindowLayout& layout() const override { return layout_; }
  const Normalizer& normalizer() const override { return normalizer_; }
  const NoiseSchedule& schedule() const override { return schedule_; }
  const std::string& device() const override { return device_; }

  at::Tensor predict_x0(const at::Tensor& x_t, const at::Tensor&) const override {
    seen.push_back(x_t.clone());
    torch::Tensor x0 = torch::empty_like(x_t);
    const torch::Tensor row = torch::arange(kHorizon, torch::kFloat);
    x0.select(2, 0).copy_(x_t.select(1, 0).narrow(1, 1, 1) + row);
    x0.select(2, 1).copy_(x_t.select(1, 0).narrow(1, 1, 1) + 10 * row);
    return x0;
  }
  mutable std::vector<torch::Tensor> seen;  // what predict_x0 was asked for

 private:
  WindowLayout layout_;
  Normalizer normalizer_{"gaussian", {0, 0}, {1, 1}};
  NoiseSchedule schedule_{"cosine", kTimesteps};
  std::string device_ = "cpu";
};

std::vector<double> act(Planner& planner, const std::vector<double>& obs,
                        const std::vector<std::uint8_t>& begin = {}) {
  std::vector<double> actions(obs.size());
  planner.act({.obs = obs, .reset = begin}, actions);
  return actions;
}

TEST(Planner, FollowsItsPlanAndThenLooksAgain) {
  const CountingModel model;
  Planner planner(model, {.sampler = "ddim"}, {.replan_every = 3});
  EXPECT_THAT(act(planner, {100}), ElementsAre(100));
  EXPECT_THAT(act(planner, {200}), ElementsAre(101));
  EXPECT_THAT(act(planner, {200}), ElementsAre(102));
  EXPECT_THAT(act(planner, {300}), ElementsAre(300));
  EXPECT_EQ(planner.plans(), 2);
  EXPECT_EQ(planner.plan(0)[0], 300);
  EXPECT_EQ(planner.plan(0)[2 * 4 + 1], 340);
}

TEST(Planner, HoldsActionsBetweenTheRowsOfAStride) {
  const CountingModel model(2);
  Planner planner(model, {.sampler = "ddim"}, {.replan_every = 5});
  std::vector<double> actions;
  for (int step = 0; step < 6; ++step) actions.push_back(act(planner, {100.0 + step})[0]);
  EXPECT_THAT(actions, ElementsAre(100, 100, 101, 101, 102, 105));
}

/// From a position p at rest: row k is planned at p + k with velocity 2.
class MovingModel final : public WindowModel {
 public:
  const WindowLayout& layout() const override { return layout_; }
  const Normalizer& normalizer() const override { return normalizer_; }
  const NoiseSchedule& schedule() const override { return schedule_; }
  const std::string& device() const override { return device_; }
  at::Tensor predict_x0(const at::Tensor& x_t, const at::Tensor&) const override {
    torch::Tensor x0 = torch::full_like(x_t, 2);
    x0.select(2, 1).copy_(x_t.select(1, 0).narrow(1, 1, 1) + torch::arange(kHorizon, torch::kFloat));
    return x0;
  }

 private:
  WindowLayout layout_{kHorizon, 4, 1, 2};
  Normalizer normalizer_{"gaussian", {0, 0, 0}, {1, 1, 1}};
  NoiseSchedule schedule_{"cosine", kTimesteps};
  std::string device_ = "cpu";
};

TEST(Planner, TracksStatesBetweenRowsWithinTheActionsLimits) {
  const MovingModel model;
  Planner planner(model, {.sampler = "ddim"},
                  {.replan_every = 20, .follow = "states", .gain = 0.5, .damping = 0.1});
  std::vector<double> action(1);
  const auto next = [&](double position, double velocity) {
    const std::vector<double> obs = {position, velocity};
    planner.act({.obs = obs}, action);
    return action[0];
  };
  // The first row is what was seen, velocity 0; the next row, 4 steps on, is at 11 with velocity 2.
  EXPECT_NEAR(next(10, 0), 0.5 * 0.25 + 0.1 * 0.5, 1e-5);
  EXPECT_NEAR(next(10.25, 0.5), 0.5 * 0.25 + 0.1 * 0.5, 1e-5);
  EXPECT_NEAR(next(9, 0), 1, 1e-9) << "limited";
  EXPECT_NEAR(next(11.5, 3), 0.5 * (11 - 11.5) + 0.1 * (2 - 3), 1e-5);
  for (int step = 4; step < 18; ++step) next(0, 0);
  EXPECT_NEAR(next(14, 2), 0, 1e-5) << "the last row is held";
  const CountingModel blind;
  EXPECT_THROW(Planner(blind, {}, {.follow = "states"}), InvalidArgument);
}

TEST(Planner, AnInstanceThatWasResetPlansAloneAndTheOthersGoOn) {
  const CountingModel model;
  Planner planner(model, {.sampler = "ddim"}, {.replan_every = 4});
  act(planner, {10, 20, 30});
  EXPECT_THAT(act(planner, {0, 50, 0}, {0, 1, 0}), ElementsAre(11, 50, 31));
  EXPECT_EQ(planner.plans(), 4);
  EXPECT_THAT(act(planner, {0, 0, 0}), ElementsAre(12, 51, 32));
}

TEST(Planner, WarmPlansBeginWithTheOneBeforeMovedOn) {
  const CountingModel model;
  Planner planner(model, {.sampler = "ddim", .steps = 5}, {.replan_every = 2, .warm_level = 10});
  act(planner, {100});
  EXPECT_EQ(model.seen.size(), 5U) << "a first plan starts from noise";
  act(planner, {101});
  model.seen.clear();
  EXPECT_THAT(act(planner, {102}), ElementsAre(102));
  ASSERT_EQ(model.seen.size(), 3U) << "levels 10, 5 and 0 of 19, 14, 10, 5, 0";
  const torch::Tensor first = model.seen[0][0];
  EXPECT_EQ(first[0][1].item<float>(), 102) << "what is observed is given";
  // Rows 2, 3, 4, 4, 4 of the plan before, shrunk by sqrt(abar) and with noise of a variance below 1.
  const double shrink = std::sqrt(model.schedule().alpha_bar[10]);
  for (int row = 1; row < kHorizon; ++row) {
    const int from = std::min(row + 2, kHorizon - 1);
    EXPECT_NEAR(first[row][0].item<double>(), shrink * (100 + from), 5) << row;
    EXPECT_NEAR(first[row][1].item<double>(), shrink * (100 + 10 * from), 5) << row;
  }
}

TEST(Planner, EachPlanHasNoiseOfItsOwnAndSeedsRepeat) {
  const CountingModel model;
  const auto noise = [&](std::uint64_t seed) {
    model.seen.clear();
    Planner planner(model, {.sampler = "ddim", .steps = 1, .seed = seed}, {});
    act(planner, {0});
    act(planner, {0});
    return std::pair{model.seen[0], model.seen[1]};
  };
  const auto [a, b] = noise(1);
  const auto [c, d] = noise(1);
  EXPECT_FALSE(torch::equal(a, b));
  EXPECT_TRUE(torch::equal(a, c));
  EXPECT_TRUE(torch::equal(b, d));
}

/// The first noised window of every plan of the instance in row `row` of those that plan.
class NoiseOf {
 public:
  NoiseOf(const CountingModel& model, int replan_every)
      : model_(model),
        planner_(model, {.sampler = "ddim", .steps = 1, .seed = 3}, {.replan_every = replan_every}) {}
  Planner& planner() { return planner_; }
  torch::Tensor step(std::size_t instances, int row, const std::vector<std::uint8_t>& begin = {}) {
    model_.seen.clear();
    act(planner_, std::vector<double>(instances, 5), begin);
    return model_.seen.empty() ? torch::Tensor() : model_.seen[0][row].clone();
  }

 private:
  const CountingModel& model_;
  Planner planner_;
};

// Instance 1 while instance 0 is reset and replanned at its own times, against an instance 0 that is not.
TEST(Planner, AnInstancesNoiseDependsOnNoOtherInstance) {
  const CountingModel model;
  NoiseOf quiet(model, 1), restless(model, 1);
  for (int step = 0; step < 6; ++step) {
    EXPECT_TRUE(torch::equal(quiet.step(2, 1), restless.step(2, 1, {step % 2 == 1, 0}))) << step;
  }
}

// Episode 7 as the second of two instances, alone, and after others.
TEST(Planner, ANumberedEpisodeHasTheSameNoiseOnAnyInstance) {
  const CountingModel model;
  NoiseOf pair(model, 1), alone(model, 1);
  pair.planner().number_episodes(std::vector<std::uint64_t>{6, 7});
  alone.step(1, 0);
  alone.planner().number_episodes(std::vector<std::uint64_t>{7});
  std::vector<torch::Tensor> noise;
  for (int step = 0; step < 3; ++step) {
    const std::uint8_t first = step == 0;
    noise.push_back(pair.step(2, 1, {first, first}));
    EXPECT_TRUE(torch::equal(noise.back(), alone.step(1, 0, {first}))) << step;
  }
  EXPECT_FALSE(torch::equal(noise[0], noise[1])) << "plans of an episode differ";
}

TEST(Planner, AChangedNumberOfInstancesRepeatsNoNoise) {
  const CountingModel model;
  NoiseOf some(model, 1);
  const torch::Tensor first = some.step(1, 0), second = some.step(2, 0), third = some.step(1, 0);
  EXPECT_FALSE(torch::equal(first, second));
  EXPECT_FALSE(torch::equal(first, third));
  EXPECT_FALSE(torch::equal(second, third));
}

TEST(Planner, NoTwoPlansOfThreeSeedsShareNoise) {
  const CountingModel model;
  std::vector<torch::Tensor> noise;
  for (const std::uint64_t seed : {0, 1, 2}) {
    Planner planner(model, {.sampler = "ddim", .steps = 1, .seed = seed}, {});
    for (int episode = 0; episode < 3; ++episode)
      for (int plan = 0; plan < 3; ++plan) {
        model.seen.clear();
        act(planner, {0, 0, 0}, std::vector<std::uint8_t>(3, plan == 0));
        for (int i = 0; i < 3; ++i) noise.push_back(model.seen[0][i].clone());
      }
  }
  for (std::size_t a = 0; a < noise.size(); ++a)
    for (std::size_t b = 0; b < a; ++b) ASSERT_FALSE(torch::equal(noise[a], noise[b])) << a << ", " << b;
}

TEST(Planner, ConditionsReachTheirInstances) {
  const CountingModel model;
  Planner planner(model, {.sampler = "ddim"}, {.replan_every = 4});
  planner.set_conditions({{kHorizon - 1, {7, 8, 9}}});
  act(planner, {10, 20, 30});
  EXPECT_EQ(planner.plan(1)[2 * (kHorizon - 1) + 1], 8);
  act(planner, {0, 0, 50}, {0, 0, 1});
  EXPECT_EQ(planner.plan(2)[2 * (kHorizon - 1) + 1], 9) << "also when it is planned alone";
  EXPECT_EQ(planner.plan(2)[0], 50);
}

TEST(Planner, RefusesWhatItCannotDo) {
  const CountingModel model, strided(2);
  EXPECT_THAT(message_of<InvalidArgument>([&] { Planner(model, {}, {.replan_every = 6}); }),
              HasSubstr("replan_every: expected at most the 5"));
  EXPECT_THAT(message_of<InvalidArgument>([&] { Planner(model, {}, {.warm_level = 20}); }),
              HasSubstr("warm_level"));
  EXPECT_THAT(
      message_of<InvalidArgument>([&] { Planner(strided, {}, {.replan_every = 3, .warm_level = 4}); }),
      HasSubstr("multiple"));
  Planner planner(model, {}, {});
  EXPECT_THAT(message_of<InvalidArgument>([&] { planner.set_conditions({{0, {1}}}); }), HasSubstr("row 0"));
  std::vector<double> obs(3), actions(2);
  EXPECT_THAT(message_of<InvalidArgument>([&] { planner.act({.obs = obs}, actions); }),
              HasSubstr("got 3 and 2 numbers"));
  planner.set_conditions({{1, {1, 2}}});
  actions.resize(3);
  EXPECT_THAT(message_of<InvalidArgument>([&] { planner.act({.obs = obs}, actions); }),
              HasSubstr("for 1 or 3 instances, got 2 numbers"));
}

TEST(SampleFrom, KeepsTheLevelAndRefusesWhatDoesNotFit) {
  const CountingModel model;
  const std::vector<float> start(std::size_t(2 * kHorizon) * 2, 1.0F);
  (void)model.sample_from(start, 3, {}, {.sampler = "ddpm"});
  EXPECT_EQ(model.seen.size(), 4U) << "levels 3, 2, 1, 0";
  EXPECT_EQ(model.seen[0].size(0), 2);
  const auto from = [&](std::size_t numbers, int level, int steps) {
    return message_of<InvalidArgument>([&] {
      (void)model.sample_from(std::vector<float>(numbers), level, {}, {.sampler = "ddim", .steps = steps});
    });
  };
  EXPECT_THAT(from(7, 3, 0), HasSubstr("expected windows of 10 numbers"));
  EXPECT_THAT(from(10, 20, 0), HasSubstr("level: expected a noise level"));
  EXPECT_THAT(from(10, 3, 1), HasSubstr("lowest"));
}

}  // namespace
}  // namespace diffreward
