// The job linear-quadratic from end to end, in small: agents, rewards and environments by their names.
#include <gtest/gtest.h>

#include "cli/report.h"
#include "cli/stage.h"
#include "tests/cli/run.h"
#include "tests/core/temporary_folder.h"

namespace diffreward::cli {
namespace {

TEST(LinearQuadraticJob, RunsFromRecordingsToAgents) {
  const TemporaryFolder folder;
  const std::string out = (folder / "out").string();
  std::vector<std::string> args = {"run", "linear-quadratic", "--out", out, "--threads",
                                   "1",   "--quiet",          "--json"};
  for (const char* set :
       {"base_data.steps=20000", "base_model.steps=200", "expert_model.steps=100", "base_model.dim=64",
        "reward.steps=200", "rl_true.env_steps=40000", "rl_true.episodes=32"}) {
    args.emplace_back("--set");
    args.emplace_back(set);
  }
  const Outcome outcome = run(args);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto per_step = [&](const char* step) {
    return stage_record(folder / "out" / step).at("result").at("reward_per_step").get<double>();
  };
  EXPECT_GT(per_step("expert_data"), per_step("base_data") + 0.1) << "the optimal law against a weak one";
  const Json figures = Json::parse(outcome.out).at("figures");
  EXPECT_EQ(figures.size(), 4u);
  EXPECT_TRUE(std::filesystem::exists(folder / "out" / "report.html"));
}

}  // namespace
}  // namespace diffreward::cli
