// diffreward rl: every learner by its name, evaluations that choose, transitions that are kept.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/stage.h"
#include "core/file.h"
#include "datasets/check.h"
#include "datasets/dataset.h"
#include "tests/cli/run.h"
#include "tests/core/temporary_folder.h"

namespace diffreward::cli {
namespace {

using ::testing::HasSubstr;

class Rl : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  Outcome rl(const std::string& name, std::vector<std::string> more) {
    std::vector<std::string> args = {"rl",    "--out",   path(name), "--episodes", "4", "--episode-steps",
                                     "20",    "--count", "2",        "--threads",  "1", "--quiet",
                                     "--json"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  Json result(const std::string& name) const { return stage_record(path(name)).at("result"); }
  const std::vector<std::string> sac_ = {"--env",
                                         "LinearQuadratic-v0",
                                         "--algorithm",
                                         "sac",
                                         "--hidden",
                                         "16",
                                         "--batch",
                                         "16",
                                         "--buffer",
                                         "5000",
                                         "--sac.learning-starts",
                                         "100",
                                         "--report-every",
                                         "100"};
  std::vector<std::string> sac(std::vector<std::string> more) const {
    more.insert(more.begin(), sac_.begin(), sac_.end());
    return more;
  }
  const TemporaryFolder folder_;
};

TEST_F(Rl, ShortNamesAreThoseOfTheAlgorithm) {
  ASSERT_EQ(rl("sac", sac({"--env-steps", "400", "--lr", "1e-3"})).code, 0);
  EXPECT_EQ(stage_record(path("sac")).at("key").at("config").at("sac").at("lr"), 1e-3);
  EXPECT_EQ(stage_record(path("sac")).at("key").at("config").at("sac").at("hidden"), Json({16}));
  ASSERT_EQ(
      rl("ppo", {"--env", "LinearQuadratic-v0", "--env-steps", "64", "--hidden", "8", "--decisions", "8"})
          .code,
      0);
  EXPECT_EQ(stage_record(path("ppo")).at("key").at("config").at("ppo").at("hidden"), Json({8}));
}

TEST_F(Rl, KeepsTheBestOfItsEvaluationsAndStopsAtAReturn) {
  const auto settings = [&](std::vector<std::string> more) {
    std::vector<std::string> args =
        sac({"--env-steps", "1200", "--evaluate-every", "300", "--evaluate-episodes", "6"});
    args.insert(args.end(), more.begin(), more.end());
    return args;
  };
  ASSERT_EQ(rl("best", settings({"--keep", "best", "--judge-draws"})).code, 0);
  const Json found = result("best");
  double best = -1e300;
  int evaluations = 0;
  for (const Json& line : found.at("curve"))
    if (line.contains("evaluation_return")) {
      best = std::max(best, line.at("evaluation_return").get<double>());
      ++evaluations;
    }
  EXPECT_EQ(evaluations, 4);
  EXPECT_EQ(found.at("selection").at("return"), best);
  EXPECT_TRUE(found.at("stochastic").contains("return"));
  // Starts to choose by are not those that are reported.
  EXPECT_NE(found.at("judges").at("task").at("return").at("value"), best);

  ASSERT_EQ(rl("stopped", settings({"--stop-at", "-1e9"})).code, 0);
  EXPECT_EQ(result("stopped").at("env_steps"), 300) << "the first evaluation returns more";
  EXPECT_EQ(rl("never", sac({"--env-steps", "100", "--keep", "best"})).code, 2) << "nothing to choose by";
}

TEST_F(Rl, KeepsEveryTransitionOfTraining) {
  ASSERT_EQ(rl("run", sac({"--env-steps", "500", "--record"})).code, 0);
  const Dataset data = Dataset::open(path("run"));
  EXPECT_EQ(data.size(), 500u);
  EXPECT_EQ(data.provenance().extra.at("recording"), "training");
  EXPECT_EQ(data.provenance().env, "LinearQuadratic-v0");
  // Two instances of 250 steps: episodes of 20, the last one cut where the recording stops.
  EXPECT_EQ(data.episodes().size(), 26u);
  for (const Fault& fault : check_data(data.path())) ADD_FAILURE() << fault.name << ": " << fault.message;
  // Recording changes nothing that is learned.
  ASSERT_EQ(rl("plain", sac({"--env-steps", "500"})).code, 0);
  EXPECT_EQ(read_file(folder_ / "run" / "agent.safetensors"),
            read_file(folder_ / "plain" / "agent.safetensors"));
}

TEST_F(Rl, ImitatesFromADataSet) {
  ASSERT_EQ(run({"generate", "--env", "LinearQuadratic-v0", "--policy", "linear", "--steps", "400", "--count",
                 "4", "--episode-steps", "20", "--out", path("data"), "--quiet"})
                .code,
            0);
  for (const std::string algorithm : {"sqil", "gail", "airl", "iq_learn"}) {
    const Outcome outcome =
        rl(algorithm, {"--env", "LinearQuadratic-v0", "--algorithm", algorithm, "--data", path("data"),
                       "--" + algorithm + ".episodes", "3", "--env-steps", "200", "--learning-starts", "100",
                       "--batch", "16", "--hidden", "16"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(stage_record(path(algorithm)).at("key").at("inputs").size(), 1u) << "the data are an input";
    EXPECT_EQ(stage_record(path(algorithm)).at("key").at("config").at(algorithm).at("episodes"), 3);
  }
  const Outcome outcome = rl(
      "dwbc", {"--env", "LinearQuadratic-v0", "--algorithm", "dwbc", "--data", path("data"), "--expert-data",
               path("data"), "--dwbc.episodes", "1", "--env-steps", "40", "--batch", "16", "--hidden", "16"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(stage_record(path("dwbc")).at("key").at("inputs").size(), 2u);
  const Outcome fewer = rl("fewer", {"--env", "LinearQuadratic-v0", "--algorithm", "sqil", "--data",
                                     path("data"), "--sqil.episodes", "30"});
  EXPECT_EQ(fewer.code, 1);
  EXPECT_THAT(fewer.err, HasSubstr("expected 30 episodes, found 20"));
}

TEST_F(Rl, ClonesBehaviourFromADataSet) {
  ASSERT_EQ(run({"generate", "--env", "LinearQuadratic-v0", "--policy", "linear", "--linear.gain",
                 "1.381,0,1.186,0,0,1.381,0,1.186", "--steps", "4000", "--count", "40", "--episode-steps",
                 "100", "--out", path("data"), "--quiet"})
                .code,
            0);
  const Outcome outcome =
      run({"rl", "--env", "LinearQuadratic-v0", "--algorithm", "bc", "--data", path("data"), "--hidden", "64",
           "--env-steps", "1500", "--episodes", "32", "--out", path("clone"), "--quiet"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const double cloned = result("clone").at("judges").at("task").at("return").at("value");
  EXPECT_GT(cloned, -12) << "the law it clones costs about 7";
  const Json curve = result("clone").at("curve");
  EXPECT_LT(curve.back().at("held_out_loss"), curve.front().at("held_out_loss"));
  EXPECT_EQ(stage_record(path("clone")).at("key").at("inputs").size(), 1u) << "the data are an input";
  const Outcome robot = run({"rl", "--env", "Hopper-v5", "--algorithm", "bc", "--data", path("data"), "--out",
                             path("x"), "--quiet"});
  EXPECT_EQ(robot.code, 1);
  EXPECT_THAT(robot.err,
              HasSubstr("expected rows of Hopper-v5's 11 observations and 3 actions, found 4 and 2"));
}

}  // namespace
}  // namespace diffreward::cli
