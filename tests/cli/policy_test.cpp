// generate --policy: every kind of agent can be recorded, in any environment it fits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cli/stage.h"
#include "core/file.h"
#include "core/hash.h"
#include "datasets/dataset.h"
#include "tests/cli/run.h"
#include "tests/core/temporary_folder.h"

namespace diffreward::cli {
namespace {

using ::testing::HasSubstr;

class Policy : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  Outcome generate(const std::string& name, std::vector<std::string> more) {
    std::vector<std::string> args = {"generate", "--out",           path(name), "--steps", "200",   "--count",
                                     "2",        "--episode-steps", "50",       "--quiet", "--json"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  Dataset data(const std::string& name) const { return Dataset::open(folder_ / name / "data.hdf5"); }
  const TemporaryFolder folder_;
};

TEST_F(Policy, RandomActionsAreRecordedOnARobot) {
  const Outcome outcome = generate("d", {"--env", "Hopper-v5", "--policy", "random", "--random.hold", "5"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Dataset found = data("d");
  EXPECT_EQ(found.provenance().env, "Hopper-v5");
  EXPECT_THAT(found.provenance().behaviour, HasSubstr("random"));
  EXPECT_EQ(found.provenance().extra.at("agent").at("hold"), 5);
  // Held for five steps, but for the ends of episodes; then another one.
  std::size_t changes = 0;
  for (std::size_t row = 1; row < found.size() / 2; ++row)
    changes += found.actions()[3 * row] != found.actions()[3 * (row - 1)];
  EXPECT_GE(changes, 15u);
  EXPECT_LE(changes, 40u);
}

TEST_F(Policy, RecordingsOfASeedShareNoRandomNumber) {
  const std::vector<std::string> random = {"--env", "Hopper-v5", "--policy", "random"};
  const auto actions_of = [&](const std::string& name, std::vector<std::string> more) {
    more.insert(more.end(), random.begin(), random.end());
    EXPECT_EQ(generate(name, more).code, 0);
    const Dataset found = data(name);
    return std::vector<float>(found.actions().begin(), found.actions().begin() + 30);
  };
  const auto base = actions_of("a", {}), again = actions_of("b", {}),
             held_out = actions_of("c", {"--held-out"}), expert = actions_of("d", {"--role", "expert"}),
             other = actions_of("e", {"--seed", "1"});
  EXPECT_EQ(base, again);
  for (const auto& apart : {held_out, expert, other}) EXPECT_NE(base, apart);
}

TEST_F(Policy, ATrainedAgentIsRecordedByItsFolder) {
  ASSERT_EQ(run({"rl", "--env-steps", "2048", "--count", "8", "--episodes", "4", "--episode-steps", "50",
                 "--ppo.decisions", "16", "--out", path("agent"), "--quiet"})
                .code,
            0);
  const Outcome outcome = generate("d", {"--policy", path("agent"), "--env-option", "goal_cell=3,1"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(data("d").size(), 200u);
  EXPECT_EQ(stage_record(path("d")).at("key").at("inputs").size(), 1u) << "the agent's file is an input";
  const Outcome robot = generate("r", {"--policy", path("agent"), "--env", "Hopper-v5"});
  EXPECT_EQ(robot.code, 1);
  EXPECT_THAT(robot.err, HasSubstr("expected an agent of Hopper, found one of Maze2D-UMaze-v0"));
}

TEST_F(Policy, AgentsOfTheProjectAreKnownByNameAndReturnWhatTheyAreSaidTo) {
  const auto record = [&](const std::string& name, const std::string& to, const std::string& threads) {
    return run({"generate", "--env", name.substr(0, name.find('/')), "--policy", name, "--stochastic",
                "--steps", "20000", "--count", "20", "--episode-steps", "0", "--threads", threads, "--quiet",
                "--out", path(to)});
  };
  const Json list = Json::parse(run({"catalog", "agents", "--json"}).out);
  std::size_t trained = 0;
  for (const Json& agent : list.at("agents")) {
    const auto name = agent.at("name").get<std::string>();
    if (name.find('/') == std::string::npos) continue;
    EXPECT_THAT(agent.at("summary").get<std::string>(), HasSubstr("returns ")) << name;
    const Outcome outcome = record(name, "data", "1");
    ASSERT_EQ(outcome.code, 0) << name << outcome.err;
    // The recording knows what the agent returned where it was judged, and data check finds its episodes no other.
    EXPECT_TRUE(data("data").provenance().extra.at("agent").contains("return_stochastic")) << name;
    const Outcome check = run({"data", "check", path("data")});
    EXPECT_EQ(check.code, 0) << name << ": " << check.out;
    if (trained++ == 0) {
      ASSERT_EQ(record(name, "again", "2").code, 0);
      EXPECT_EQ(sha256(read_file(path("again") + "/data.hdf5")),
                sha256(read_file(path("data") + "/data.hdf5")))
          << "equal bytes by any number of threads";
    }
    std::filesystem::remove_all(path("data"));
  }
  EXPECT_GE(trained, 6u) << "medium and expert of HalfCheetah, Hopper and Walker2d";
  const Outcome unknown = generate("d", {"--env", "Hopper-v4", "--policy", "Hopper-v4/exprt"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean 'Hopper-v4/expert'?"));
}

TEST_F(Policy, ADiffusionModelIsRecordedAsAPlanner) {
  ASSERT_EQ(generate("walks", {}).code, 0);
  ASSERT_EQ(
      run({"train", "--data", path("walks"), "--out", path("model"), "--steps", "20", "--horizon", "8",
           "--stride", "1", "--timesteps", "10", "--dim", "16", "--condition-probability", "1", "--quiet"})
          .code,
      0);
  const Outcome outcome = generate("d", {"--policy", path("model"), "--planner.replan-every", "4",
                                         "--sample.sampler", "ddim", "--sample.steps", "2"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(data("d").provenance().extra.at("agent").at("planner").at("replan_every"), 4);
}

TEST_F(Policy, WhatCannotActIsNamed) {
  const Outcome unknown = generate("d", {"--policy", "waypoint"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean 'waypoints'?"));
  const Outcome robot = generate("d", {"--env", "Hopper-v5"});
  EXPECT_EQ(robot.code, 1);
  EXPECT_THAT(robot.err, HasSubstr("waypoints: expected a maze environment, got Hopper-v5"));
  EXPECT_EQ(run({"rl", "--algorithm", "dqn", "--out", path("a")}).code, 2);
}

}  // namespace
}  // namespace diffreward::cli
