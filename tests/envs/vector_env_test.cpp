#include "envs/vector_env.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "envs/catalog.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

/// Counts its steps: the observation is 100 * episode + step, the reward is the step. Terminates at step
/// `end` and throws at step `fail` (0: never).
class Counter final : public Env {
 public:
  Counter(int end, int fail) : end_(end), fail_(fail) {
    spec_.id = "Counter-v0";
    spec_.observation = {{0}, {1e9}};
    spec_.action = {{-1}, {1}};
    spec_.max_steps = 4;
    spec_.state_size = 2;
    spec_.info = {{"age", 1}};
  }
  const EnvSpec& spec() const override { return spec_; }
  StepResult step(std::span<const double>, std::span<double> obs) override {
    if (step_ + 1 == fail_) throw Error("Counter-v0: broke");
    ++step_;
    obs[0] = 100 * episode_ + step_;
    return {step_, step_ == end_};
  }
  void state(std::span<double> out) const override {
    out[0] = episode_;
    out[1] = step_;
  }
  void set_state(std::span<const double> state, std::span<double> obs) override {
    episode_ = state[0];
    step_ = state[1];
    obs[0] = 100 * episode_ + step_;
  }
  void info(std::span<double> out) const override { out[0] = step_; }
  Image render(int, int) const override { return {}; }

 protected:
  void begin(std::optional<Seed> seed, const ResetOptions&, std::span<double> obs) override {
    if (seed)
      episode_ = double(seed->value + (seed->stream & 0xffffffffu));  // the instance is the stream's index
    else
      ++episode_;
    step_ = 0;
    obs[0] = 100 * episode_;
  }

 private:
  EnvSpec spec_;
  double episode_ = 0, step_ = 0;
  int end_, fail_;
};

/// Instance 0 terminates at step 3, instance 1 runs into the limit of 4.
std::unique_ptr<VectorEnv> pair(const std::string& autoreset) {
  std::vector<std::unique_ptr<Env>> envs;
  envs.push_back(std::make_unique<Counter>(3, 0));
  envs.push_back(std::make_unique<Counter>(0, 0));
  return make_vector(std::move(envs), {.threads = 2, .autoreset = autoreset});
}

const std::vector<double> kActions{0, 0};

TEST(VectorEnv, NextStepResetsOneStepAfterTheEnd) {
  const auto envs = pair("next_step");
  EXPECT_EQ(envs->autoreset(), Autoreset::kNextStep);
  const StepView& view = envs->reset(1);
  EXPECT_THAT(view.obs, ElementsAre(100, 200));
  EXPECT_THAT(view.final_obs, ElementsAre(100, 200));
  EXPECT_THAT(view.reward, ElementsAre(0, 0));
  EXPECT_THAT(view.reset, ElementsAre(1, 1));
  envs->step(kActions);
  EXPECT_THAT(view.obs, ElementsAre(101, 201));
  EXPECT_THAT(view.reward, ElementsAre(1, 1));
  EXPECT_THAT(view.task_reward, ElementsAre(1, 1));
  EXPECT_THAT(view.reset, Each(0));
  envs->step(kActions);
  EXPECT_THAT(view.terminated, Each(0));
  EXPECT_THAT(view.truncated, Each(0));
  envs->step(kActions);  // instance 0 ends
  EXPECT_THAT(view.obs, ElementsAre(103, 203));
  EXPECT_THAT(view.final_obs, ElementsAre(103, 203));
  EXPECT_THAT(view.terminated, ElementsAre(1, 0));
  EXPECT_THAT(view.truncated, ElementsAre(0, 0));
  EXPECT_THAT(view.reset, ElementsAre(0, 0));
  envs->step(kActions);  // instance 0 resets, instance 1 is cut
  EXPECT_THAT(view.obs, ElementsAre(200, 204));
  EXPECT_THAT(view.final_obs, ElementsAre(200, 204));
  EXPECT_THAT(view.reward, ElementsAre(0, 4));
  EXPECT_THAT(view.terminated, ElementsAre(0, 0));
  EXPECT_THAT(view.truncated, ElementsAre(0, 1));
  EXPECT_THAT(view.reset, ElementsAre(1, 0));
  envs->step(kActions);  // instance 1 resets
  EXPECT_THAT(view.obs, ElementsAre(201, 300));
  EXPECT_THAT(view.reward, ElementsAre(1, 0));
  EXPECT_THAT(view.truncated, ElementsAre(0, 0));
  EXPECT_THAT(view.reset, ElementsAre(0, 1));
  // The limit counts from the reset.
  for (int t = 0; t < 3; ++t) envs->step(kActions);
  EXPECT_THAT(view.truncated, ElementsAre(0, 0));
  envs->step(kActions);
  EXPECT_THAT(view.truncated, ElementsAre(0, 1));
}

TEST(VectorEnv, SameStepResetsAtOnceAndKeepsTheFinalObservation) {
  const auto envs = pair("same_step");
  const StepView& view = envs->reset(1);
  for (int t = 0; t < 3; ++t) envs->step(kActions);
  EXPECT_THAT(view.obs, ElementsAre(200, 203));
  EXPECT_THAT(view.final_obs, ElementsAre(103, 203));
  EXPECT_THAT(view.reward, ElementsAre(3, 3));
  EXPECT_THAT(view.terminated, ElementsAre(1, 0));
  EXPECT_THAT(view.reset, ElementsAre(1, 0));
  envs->step(kActions);
  EXPECT_THAT(view.obs, ElementsAre(201, 300));
  EXPECT_THAT(view.final_obs, ElementsAre(201, 204));
  EXPECT_THAT(view.info, ElementsAre(1, 0));
  EXPECT_THAT(view.final_info, ElementsAre(1, 4));
  EXPECT_THAT(view.reward, ElementsAre(1, 4));
  EXPECT_THAT(view.terminated, ElementsAre(0, 0));
  EXPECT_THAT(view.truncated, ElementsAre(0, 1));
  EXPECT_THAT(view.reset, ElementsAre(0, 1));
}

TEST(VectorEnv, DisabledWaitsForAResetByMask) {
  const auto envs = pair("disabled");
  const StepView& view = envs->reset(1);
  for (int t = 0; t < 3; ++t) envs->step(kActions);
  EXPECT_THAT(view.terminated, ElementsAre(1, 0));
  EXPECT_THROW(envs->step(kActions), InvalidArgument);
  EXPECT_THAT(view.obs, ElementsAre(103, 203));  // nothing was stepped
  envs->reset(std::vector<std::uint8_t>{1, 0}, {}, {});
  EXPECT_THAT(view.obs, ElementsAre(200, 203));
  EXPECT_THAT(view.final_obs, ElementsAre(200, 203));
  EXPECT_THAT(view.reward, ElementsAre(0, 3));
  EXPECT_THAT(view.terminated, ElementsAre(0, 0));
  EXPECT_THAT(view.reset, ElementsAre(1, 0));
  envs->step(kActions);
  EXPECT_THAT(view.obs, ElementsAre(201, 204));
}

TEST(VectorEnv, TerminationAtTheLimitIsATruncationToo) {  // as Gymnasium's TimeLimit has it
  std::vector<std::unique_ptr<Env>> envs;
  envs.push_back(std::make_unique<Counter>(3, 0));
  const auto vector = make_vector(std::move(envs), {.max_steps = 3});
  EXPECT_EQ(vector->spec().max_steps, 3);
  vector->reset(0);
  const std::vector<double> action{0};
  for (int t = 0; t < 3; ++t) vector->step(action);
  EXPECT_EQ(vector->view().terminated[0], 1);
  EXPECT_EQ(vector->view().truncated[0], 1);
}

TEST(VectorEnv, ZeroLimitNeverTruncates) {
  std::vector<std::unique_ptr<Env>> envs;
  envs.push_back(std::make_unique<Counter>(0, 0));
  const auto vector = make_vector(std::move(envs), {.max_steps = 0});
  vector->reset(0);
  const std::vector<double> action{0};
  for (int t = 0; t < 50; ++t) EXPECT_EQ(vector->step(action).truncated[0], 0);
}

TEST(VectorEnv, ResetTakesSeedsAndOptionsForOneOrAll) {
  const auto envs = pair("next_step");
  const StepView& view = envs->reset({}, std::vector<Seed>{7}, {});
  EXPECT_THAT(view.obs, ElementsAre(700, 700));
  envs->reset({}, std::vector<Seed>{3, 5}, {});
  EXPECT_THAT(view.obs, ElementsAre(300, 500));
  envs->reset(std::vector<std::uint8_t>{0, 1}, {}, {});
  EXPECT_THAT(view.obs, ElementsAre(300, 600));
  EXPECT_THROW(envs->reset(std::vector<std::uint8_t>{1}, {}, {}), InvalidArgument);
  EXPECT_THROW(envs->reset({}, std::vector<Seed>{1, 2, 3}, {}), InvalidArgument);
  EXPECT_THROW(envs->reset({}, {}, std::vector<ResetOptions>(3)), InvalidArgument);
  EXPECT_THAT(view.obs, ElementsAre(300, 600));
}

TEST(VectorEnv, BadActionsStepNothing) {
  const auto envs = pair("next_step");
  EXPECT_THROW(envs->step(kActions), Error);  // never reset
  const StepView& view = envs->reset(1);
  envs->step(kActions);
  EXPECT_THROW(envs->step(std::vector<double>{0}), InvalidArgument);
  EXPECT_THROW(envs->step(std::vector<double>{0, 0, 0}), InvalidArgument);
  for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    try {
      envs->step(std::vector<double>{0, bad});
      FAIL();
    } catch (const InvalidArgument& error) {
      EXPECT_THAT(error.what(), HasSubstr("instance 1"));
    }
  }
  EXPECT_THAT(view.obs, ElementsAre(101, 201));
  envs->step(kActions);
  EXPECT_THAT(view.obs, ElementsAre(102, 202));
}

TEST(VectorEnv, OneThrowingWorkerFillsItsSlotAndStopsTheBatch) {
  for (const int threads : {1, 2, 8}) {
    std::vector<std::unique_ptr<Env>> list;
    for (int i = 0; i < 9; ++i) list.push_back(std::make_unique<Counter>(0, i == 4 || i == 7 ? 2 : 0));
    const auto envs = make_vector(std::move(list), {.threads = threads});
    const std::vector<double> actions(9, 0.0);
    const StepView& view = envs->reset(0);
    envs->step(actions);
    const std::vector<double> state = envs->state();
    EXPECT_THROW(envs->step(actions), Error);
    for (std::size_t i = 0; i < 9; ++i) {
      if (i == 4 || i == 7) {
        EXPECT_TRUE(std::isnan(view.obs[i]) && std::isnan(view.final_obs[i]) && std::isnan(view.reward[i]))
            << i;
      } else {
        EXPECT_EQ(view.obs[i], double(100 * i + 2)) << i;  // the others finished
      }
    }
    EXPECT_THROW(envs->step(actions), Error);
    EXPECT_THROW(envs->state(), Error);
    std::vector<std::uint8_t> mask(9, 0);
    mask[4] = 1;
    envs->reset(mask, {}, {});
    try {
      envs->step(actions);
      FAIL();
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("instance 7"));
    }
    mask[7] = 1;
    envs->reset(mask, {}, {});
    envs->step(actions);
    EXPECT_EQ(view.obs[0], 3);
    EXPECT_EQ(view.obs[4], 601);  // the second reset since seed 4
    envs->set_state(state);       // replaces all
    EXPECT_EQ(view.obs[7], 701);
  }
}

TEST(VectorEnv, RefusedOptionsCountAsFailure) {
  const auto envs = pair("next_step");
  envs->reset(1);
  std::vector<ResetOptions> options(2);
  options[1].fixed["goal"] = {1, 1};
  EXPECT_THROW(envs->reset({}, {}, options), InvalidArgument);
  EXPECT_THROW(envs->step(kActions), Error);
  envs->reset(1);
  EXPECT_THAT(envs->step(kActions).obs, ElementsAre(101, 201));
}

TEST(VectorEnv, InstancesCanBeReadAndChangedBetweenSteps) {
  const auto envs = pair("next_step");
  envs->reset(1);
  double obs = 0;
  envs->env(1).set_state(std::vector<double>{5, 2}, {&obs, 1});
  EXPECT_THAT(envs->step(kActions).obs, ElementsAre(101, 503));
  EXPECT_THROW(envs->env(2), InvalidArgument);
  EXPECT_THROW(envs->env(-1), InvalidArgument);
}

TEST(VectorEnv, ErrorsNameTheInstance) {
  std::vector<std::unique_ptr<Env>> list;
  for (int i = 0; i < 4; ++i) list.push_back(std::make_unique<Counter>(0, i == 2 ? 1 : 0));
  const auto envs = make_vector(std::move(list), {.threads = 2});
  envs->reset(0);
  EXPECT_EQ(message_of<Error>([&] { envs->step(std::vector<double>(4, 0.0)); }),
            "Counter-v0: instance 2: broke");
  std::vector<ResetOptions> options(4);
  options[3].fixed["goal"] = {1, 1};
  EXPECT_EQ(message_of<InvalidArgument>([&] { envs->reset({}, {}, options); }),
            "Counter-v0: instance 3: reset: unknown option 'goal'; known: state");
}

TEST(VectorEnv, OptionsMayDifferPerInstance) {
  const Json options = {{{"map", "umaze"}}, {{"map", "large"}, {"goal_cell", {1, 1}}}};
  const auto envs = make_vector("Maze2D-UMaze-v0", {.count = 2}, options);
  const EnvSpec small = env_spec("Maze2D-UMaze-v0"), large = env_spec("Maze2D-UMaze-v0", options[1]);
  EXPECT_EQ(envs->spec().observation.high, large.observation.high);  // holds both
  EXPECT_TRUE(std::isnan(envs->spec().expert_return));
  EXPECT_EQ(envs->env(0).spec().expert_return, small.expert_return);
  EXPECT_EQ(envs->env(1).spec().observation.high, large.observation.high);
  const VectorConfig two{.count = 2};
  EXPECT_THAT(message_of<InvalidArgument>(
                  [&] { make_vector("Maze2D-UMaze-v0", two, Json::array({Json::object()})); }),
              HasSubstr("a list of 2 of them, got a list of 1"));
  EXPECT_THAT(message_of<InvalidArgument>([&] {
                make_vector("Maze2D-UMaze-v0", two, {Json::object(), {{"maps", "large"}}});
              }),
              HasSubstr("options of instance 1: "));
  const auto configured = make_vector(EnvConfig{"Maze2D-UMaze-v0", {{"map", "large"}}}, two);
  EXPECT_EQ(configured->size(), 2);
  EXPECT_EQ(configured->spec().observation.high, large.observation.high);
  // What must be equal.
  EXPECT_THAT(message_of<InvalidArgument>([&] {
                make_vector("HalfCheetah-v5", two,
                            {Json::object(), {{"exclude_current_positions_from_observation", false}}});
              }),
              HasSubstr("instance 1: expected observation size 17"));
}

TEST(VectorEnv, BadConfigsAreRefused) {
  EXPECT_THROW(make_vector("Maze2D-UMaze-v0", {.count = 0}), InvalidArgument);
  EXPECT_THROW(make_vector("Maze2D-UMaze-v0", {.autoreset = "never"}), InvalidArgument);
  EXPECT_THROW(make_vector("Maze2D-UMaze-v0", {.max_steps = -2}), InvalidArgument);
  EXPECT_THROW(make_vector(std::vector<std::unique_ptr<Env>>{}, {}), InvalidArgument);
}

}  // namespace
}  // namespace diffreward
