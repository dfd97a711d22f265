// The job linear-quadratic from end to end, in small: agents, rewards and environments by their names.
#include "envs/linear_quadratic/linear_quadratic.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "cli/job.h"
#include "cli/stage.h"
#include "core/file.h"
#include "tests/cli/run.h"
#include "tests/core/temporary_folder.h"

namespace diffreward::cli {
namespace {

TEST(LinearQuadraticJob, ItsExpertIsTheOptimalLaw) {
  const Job job = plan_job(load_job("linear-quadratic"), "out", {});
  const auto step = std::ranges::find(job.runs.at(0).steps, "expert_data", &JobStep::name);
  const auto gain = step->config.at("linear").at("gain").get<std::vector<double>>();
  const auto optimum = LinearQuadratic::optimal_gain({});
  for (std::size_t i = 0; i < 8; ++i)
    EXPECT_NEAR(gain.at(i), optimum[i / 4][i % 4] / LinearQuadratic::kForce, 1e-3);
}

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
  const std::string page = read_file(folder / "out" / "report.html");
  const auto row = page.find("rl reward");
  ASSERT_NE(row, std::string::npos);
  EXPECT_NE(page.substr(row, 400).find(">-<"), std::string::npos)
      << "of negative returns there are no shares";
}

}  // namespace
}  // namespace diffreward::cli
