// The plan stage from recorded walks to episodes: what its figures say, and what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "cli/stages.h"
#include "core/error.h"
#include "tests/core/temporary_folder.h"

namespace diffreward::cli {
namespace {

class PlanStage : public ::testing::Test {
 protected:
  static std::string at(const std::string& name) { return (folder_->path() / name).string(); }

  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    GenerateConfig walks;
    walks.env.options = {{"goal_cell", {1, 1}}};
    walks.steps = 16 * 200;
    walks.count = 16;
    walks.run.out = at("walks");
    run_generate(walks);
    TrainConfig model;
    model.data = at("walks");
    model.model.horizon = 8;
    model.model.stride = 4;
    model.model.dim = 32;
    model.model.timesteps = 10;
    model.train.steps = 30;
    model.train.condition_probability = 1;
    model.run = {.out = at("model"), .threads = 1};
    run_train(model);
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }

  static PlanConfig config(const std::string& out) {
    PlanConfig config;
    config.model = at("model");
    config.env.options = {{"goal_cell", {1, 1}}};
    config.count = 3;
    config.episodes = 5;
    config.episode_steps = 20;
    config.planner = {.replan_every = 8, .warm_level = 4};
    config.sample = {.sampler = "ddim", .steps = 3, .seed = 7};
    config.run = {.out = at(out), .threads = 1};
    return config;
  }

  static TemporaryFolder* folder_;
};
TemporaryFolder* PlanStage::folder_ = nullptr;

TEST_F(PlanStage, TellsEachEpisodeAndTheirSum) {
  const Json found = run_plan(config("plan"));
  const auto distances = found.at("final_distances").get<std::vector<double>>();
  ASSERT_EQ(distances.size(), 5U);
  double at_goal = 0;
  for (const double distance : distances) at_goal += distance <= 0.5;
  EXPECT_DOUBLE_EQ(found.at("success").at("value").get<double>(), at_goal / 5);
  EXPECT_EQ(found.at("episodes").at("steps"), Json(std::vector<int>(5, 20)));
  // Two rounds of three instances, a plan every eighth of twenty steps.
  EXPECT_EQ(found.at("plans"), 2 * 3 * 3);
}

TEST_F(PlanStage, IsRepeatable) {
  PlanConfig again = config("again");
  again.run.threads = 2;
  EXPECT_EQ(run_plan(config("once")).at("episodes"), run_plan(again).at("episodes"));
}

TEST_F(PlanStage, RefusesAnEnvironmentThatDoesNotFitTheModel) {
  PlanConfig other = config("other");
  other.env = {.id = "HalfCheetah-v5"};
  EXPECT_THAT([&] { run_plan(other); },
              ::testing::ThrowsMessage<InvalidArgument>(
                  ::testing::HasSubstr("HalfCheetah-v5's 17 observations and 6 actions, found 4 and 2")));
  PlanConfig far = config("far");
  far.planner.replan_every = 40;
  EXPECT_THROW(run_plan(far), InvalidArgument);
}

}  // namespace
}  // namespace diffreward::cli
