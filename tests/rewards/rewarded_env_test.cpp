// RewardedEnv with rewards that can be worked out by hand: which rows a window holds, at starts, resets and
// ends, in every autoreset mode.
#include "rewards/rewarded_env.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/rng.h"
#include "tests/agents/toy_env.h"
#include "tests/envs/count_allocations.h"

namespace diffreward {
namespace {

using testing::make_toy;
using testing::ToyTask;

/// Pays sum_k 10^k (x_k + a_k / 10) over the rows of a window, newest last: the digits tell the rows apart.
class Digits final : public RewardModel {
 public:
  Digits(WindowLayout layout, Reads reads) : layout_(layout), reads_(reads) {}
  const WindowLayout& layout() const override { return layout_; }
  Reads reads() const override { return reads_; }
  void score(std::span<const float> windows, std::span<float> out) const override {
    calls_.push_back(out.size());
    const auto width = std::size_t(layout_.width()), size = std::size_t(layout_.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      float sum = 0, weight = 1;
      for (std::size_t k = 0; k < std::size_t(layout_.horizon); ++k, weight *= 10) {
        const float* row = windows.data() + i * size + k * width;
        sum += weight * row[width - 1];
        if (reads_ == Reads::kStateAction) sum += weight * row[0] / 10;
      }
      out[i] = sum;
    }
  }
  /// The batch sizes asked for so far.
  std::vector<std::size_t>& calls() const { return calls_; }

 private:
  WindowLayout layout_;
  Reads reads_;
  mutable std::vector<std::size_t> calls_;
};

/// x counts the steps of an episode from 1; the task itself pays 7.
ToyTask counting(const char* autoreset, int count = 1, int max_steps = 4) {
  return {.count = count,
          .max_steps = max_steps,
          .autoreset = autoreset,
          .start = [](Rng&) { return 1.0; },
          .step =
              [](double& x, double) {
                x += 1;
                return 7.0;
              }};
}

std::unique_ptr<RewardedEnv> pay(const ToyTask& task, WindowLayout layout, Reads reads = Reads::kReached) {
  layout.observation_dim = 1;
  return std::make_unique<RewardedEnv>(make_toy(task), std::make_shared<Digits>(layout, reads));
}

/// Rewards of the first instance over some steps with actions 0.1, 0.2, ...
std::vector<double> rewards(VectorEnv& env, int steps) {
  std::vector<double> out, actions(std::size_t(env.size()));
  for (int t = 0; t < steps; ++t) {
    std::ranges::fill(actions, 0.1 * (t + 1));
    out.push_back(env.step(actions).reward[0]);
  }
  return out;
}

::testing::Matcher<std::vector<double>> near(std::vector<double> values) {
  return ::testing::Pointwise(::testing::FloatNear(1e-3f), std::vector<float>(values.begin(), values.end()));
}

TEST(RewardedEnv, PaysTheReachedStateAndKeepsTheTasksReward) {
  const auto env = pay(counting("same_step"), {.action_dim = 1});
  EXPECT_EQ(env->reset(0).reward[0], 0);
  // The state reached by the step that ends the episode is paid (5), not the first of the next (1).
  EXPECT_THAT(rewards(*env, 6), near({2, 3, 4, 5, 2, 3}));
  EXPECT_EQ(env->view().task_reward[0], 7);
  EXPECT_EQ(env->view().obs[0], 3);
}

TEST(RewardedEnv, FillsWindowsFromTheEpisodeAndPadsWithItsFirstRow) {
  const auto env = pay(counting("same_step"), {.horizon = 3});
  env->reset(0);
  EXPECT_THAT(rewards(*env, 6), near({211, 321, 432, 543, 211, 321}));
}

TEST(RewardedEnv, TakesRowsStrideStepsApart) {
  const auto env = pay(counting("same_step", 1, 6), {.horizon = 3, .stride = 2});
  env->reset(0);
  // Rows at now, 2 and 4 steps ago; before the start the first row.
  EXPECT_THAT(rewards(*env, 7), near({211, 311, 421, 531, 642, 753, 211}));
}

TEST(RewardedEnv, PairsEachActionWithTheStateItWasTakenIn) {
  const auto env = pay(counting("same_step"), {.horizon = 2, .action_dim = 1}, Reads::kStateAction);
  env->reset(0);
  // Rows x + a / 10: 1.01, 2.02, 3.03, 4.04, then a new episode with 1.05, 2.06; the first row pads.
  EXPECT_THAT(rewards(*env, 6), near({11.11, 21.21, 32.32, 43.43, 11.55, 21.65}));
}

TEST(RewardedEnv, PaysNothingForTheStepThatResets) {
  const auto env = pay(counting("next_step"), {.horizon = 2});
  env->reset(0);
  EXPECT_THAT(rewards(*env, 7), near({21, 32, 43, 54, 0, 21, 32}));
  const auto acting = pay(counting("next_step"), {.horizon = 2, .action_dim = 1}, Reads::kStateAction);
  acting->reset(0);
  EXPECT_THAT(rewards(*acting, 7), near({11.11, 21.21, 32.32, 43.43, 0, 11.66, 21.76}));
}

TEST(RewardedEnv, StartsHistoriesAfreshWhereTheMaskSays) {
  const auto env = pay(counting("disabled", 2), {.horizon = 3});
  env->reset(0);
  EXPECT_THAT(rewards(*env, 4), near({211, 321, 432, 543}));
  EXPECT_THROW(env->step(std::vector<double>(2)), InvalidArgument);  // both have ended
  env->reset(std::vector<std::uint8_t>{1, 1}, {}, {});
  env->step(std::vector<double>(2));
  env->reset(std::vector<std::uint8_t>{1, 0}, {}, {});
  EXPECT_EQ(env->view().reward[0], 0);
  const StepView& view = env->step(std::vector<double>(2));
  EXPECT_FLOAT_EQ(float(view.reward[0]), 211);
  EXPECT_FLOAT_EQ(float(view.reward[1]), 321);
}

TEST(RewardedEnv, ScoresTheWholeBatchInOneCallAsItWouldEachAlone) {
  ToyTask task = counting("same_step", 5, 7);
  task.start = [](Rng& rng) { return rng.uniform(); };
  task.step = [](double& x, double a) { return x = 0.9 * x + a; };
  const WindowLayout layout{.horizon = 2, .stride = 3, .action_dim = 1};
  const auto batch = pay(task, layout, Reads::kStateAction);
  batch->reset(40);
  std::vector<std::unique_ptr<RewardedEnv>> alone;
  task.count = 1;
  for (std::uint64_t i = 0; i < 5; ++i) {
    alone.push_back(pay(task, layout, Reads::kStateAction));
    alone.back()->reset(Streams(40).skip(i));
  }
  Rng rng(1);
  for (int t = 0; t < 20; ++t) {
    std::vector<double> actions(5);
    for (double& action : actions) action = rng.uniform(-1, 1);
    batch->step(actions);
    for (std::size_t i = 0; i < 5; ++i)
      EXPECT_EQ(alone[i]->step({&actions[i], 1}).reward[0], batch->view().reward[i]);
  }
  EXPECT_THAT(dynamic_cast<const Digits&>(batch->reward()).calls(), ::testing::Each(5u));
  EXPECT_EQ(dynamic_cast<const Digits&>(batch->reward()).calls().size(), 20u);
}

TEST(RewardedEnv, StateResumesWithItsHistory) {
  for (const char* autoreset : {"same_step", "next_step"})
    for (const Reads reads : {Reads::kReached, Reads::kStateAction}) {
      const WindowLayout layout{.horizon = 3, .stride = 2, .action_dim = 1};
      const auto env = pay(counting(autoreset, 2, 6), layout, reads);
      env->reset(0);
      rewards(*env, 9);  // inside the second episode, past the ring's wrap
      const std::vector<double> saved = env->state();
      const double paid = env->view().reward[0];
      const std::vector<double> expected = rewards(*env, 8);
      const auto other = pay(counting(autoreset, 2, 6), layout, reads);
      EXPECT_EQ(other->set_state(saved).reward[0], paid);
      EXPECT_EQ(other->state(), saved);
      EXPECT_EQ(rewards(*other, 8), expected);
      EXPECT_THROW(other->set_state(std::span(saved).first(3)), InvalidArgument);
      EXPECT_THROW(other->set_state(std::span(saved).first(saved.size() - 1)), InvalidArgument);
    }
}

/// s, a and s' of every row, at weights that tell them apart.
TEST(RewardedEnv, AWholeTransitionIsTheStateLeftTheActionAndTheStateReached) {
  class Parts final : public RewardModel {
   public:
    const WindowLayout& layout() const override { return layout_; }
    Reads reads() const override { return Reads::kTransition; }
    void score(std::span<const float> windows, std::span<float> out) const override {
      for (std::size_t i = 0; i < out.size(); ++i) {
        const float* row = windows.data() + 6 * i;  // [2 rows, a, s, s']
        out[i] = row[3] + 100 * row[4] + 10'000 * row[5] + 1'000'000 * row[2];
      }
    }

   private:
    WindowLayout layout_{.horizon = 2, .action_dim = 1, .observation_dim = 1, .reached = true};
  };
  for (const char* autoreset : {"same_step", "next_step"}) {
    RewardedEnv env(make_toy(counting(autoreset, 1, 2)), std::make_shared<Parts>());
    env.reset(0);
    const auto paid = [&](double action) {
      return std::round(env.step(std::vector<double>{action}).reward[0]);
    };
    EXPECT_EQ(paid(0), 0 + 100 * 1 + 10'000 * 2 + 1'000'000 * 2) << "the first row is repeated";
    EXPECT_EQ(paid(1), 1 + 100 * 2 + 10'000 * 3 + 1'000'000 * 2) << "and its end";
    if (std::string(autoreset) == "next_step") {
      EXPECT_EQ(paid(0), 0) << "a reset";
    }
    EXPECT_EQ(paid(0), 0 + 100 * 1 + 10'000 * 2 + 1'000'000 * 2) << "a new episode";
  }
}

TEST(RewardedEnv, ARefusedActionLeavesTheEpisodeAsItWas) {
  for (const Reads reads : {Reads::kReached, Reads::kStateAction}) {
    const auto env = pay(counting("same_step"), {.horizon = 2, .action_dim = 1}, reads);
    EXPECT_THROW(env->step(std::vector<double>{0}), Error);  // never reset
    env->reset(0);
    const std::vector<double> expected = rewards(*env, 3);
    env->reset(0);
    env->step(std::vector<double>{0.1});
    EXPECT_THROW(env->step(std::vector<double>{std::nan("")}), InvalidArgument);
    EXPECT_THROW(env->step(std::vector<double>(2)), InvalidArgument);
    EXPECT_EQ(env->step(std::vector<double>{0.2}).reward[0], expected[1]);
    EXPECT_EQ(env->step(std::vector<double>{0.3}).reward[0], expected[2]);
  }
}

TEST(RewardedEnv, AfterAFailureAllInstancesMustBeReset) {
  ToyTask task = counting("same_step", 2);
  task.step = [](double& x, double a) {
    if (a == 1) throw Error("broken");
    return x += 1;
  };
  const auto env = pay(task, {.horizon = 2});
  env->reset(0);
  EXPECT_THROW(env->step(std::vector<double>{0, 1}), Error);
  env->reset(std::vector<std::uint8_t>{0, 1}, {}, {});
  EXPECT_THROW(env->step(std::vector<double>{0, 0}), Error);
  env->reset({}, {}, {});
  EXPECT_FLOAT_EQ(float(env->step(std::vector<double>{0, 0}).reward[0]), 21);
}

TEST(RewardedEnv, AStepAllocatesNothing) {
  if (!counts_allocations()) GTEST_SKIP() << "the sanitizer brings its own malloc";
  class Constant final : public RewardModel {
   public:
    const WindowLayout& layout() const override { return layout_; }
    Reads reads() const override { return Reads::kStateAction; }
    void score(std::span<const float>, std::span<float> out) const override { std::ranges::fill(out, 1.0f); }

   private:
    WindowLayout layout_{.horizon = 4, .stride = 2, .action_dim = 2, .observation_dim = 4};
  };
  RewardedEnv env(make_vector("Maze2D-UMaze-v0", {.count = 8, .autoreset = "same_step", .max_steps = 20}),
                  std::make_shared<Constant>());
  env.reset(0);
  const std::vector<double> actions(16, 0.5);
  for (int t = 0; t < 50; ++t) env.step(actions);
  const std::size_t before = allocation_count();
  for (int t = 0; t < 100; ++t) env.step(actions);
  EXPECT_EQ(allocation_count(), before);
}

TEST(RewardedEnv, CanBeWrappedAgainAndStillTellsTheTasksReward) {
  auto inner = pay(counting("same_step"), {});
  RewardedEnv outer(std::move(inner), std::make_shared<Digits>(
                                          WindowLayout{.horizon = 2, .observation_dim = 1}, Reads::kReached));
  outer.reset(0);
  const StepView& view = outer.step(std::vector<double>{0});
  EXPECT_FLOAT_EQ(float(view.reward[0]), 21);
  EXPECT_EQ(view.task_reward[0], 7);
}

TEST(RewardedEnv, RefusesRewardsOfOtherDimensions) {
  const auto made = [](WindowLayout layout, Reads reads) {
    RewardedEnv(make_toy({}), std::make_shared<Digits>(layout, reads));
  };
  EXPECT_THROW(made({.observation_dim = 2}, Reads::kReached), InvalidArgument);
  EXPECT_THROW(made({.action_dim = 2, .observation_dim = 1}, Reads::kReached), InvalidArgument);
  EXPECT_THROW(made({.action_dim = 0, .observation_dim = 1}, Reads::kStateAction), InvalidArgument);
  EXPECT_NO_THROW(made({.action_dim = 0, .observation_dim = 1}, Reads::kReached));
}

/// Pays 1 a step and 5 more at an end.
class Farewell final : public RewardModel {
 public:
  const WindowLayout& layout() const override { return layout_; }
  Reads reads() const override { return Reads::kReached; }
  void score(std::span<const float>, std::span<float> out) const override { std::ranges::fill(out, 1.0F); }
  double terminal() const override { return 5; }

 private:
  WindowLayout layout_{.horizon = 1, .observation_dim = 1};
};

TEST(RewardedEnv, PaysEndsByTheTaskBesidesAndCutsNot) {
  for (const bool ends : {true, false}) {
    ToyTask task = counting("same_step", 1, 3);
    task.terminate = ends;
    RewardedEnv env(make_toy(task), std::make_shared<Farewell>());
    env.reset(Streams(1));
    EXPECT_THAT(rewards(env, 4), near({1, 1, ends ? 6.0 : 1.0, 1}));
  }
}

}  // namespace
}  // namespace diffreward
