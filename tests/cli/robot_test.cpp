// The whole method on a robot, as small as it gets: replay, models, rewards, steering, what the report shows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/stages.h"
#include "core/error.h"
#include "core/file.h"
#include "tests/cli/run.h"
#include "tests/core/temporary_folder.h"

namespace diffreward::cli {
namespace {

using ::testing::HasSubstr;

class RobotMethod : public ::testing::Test {
 protected:
  static std::string at(const std::string& name) { return (folder_->path() / name).string(); }
  static Json done(std::vector<std::string> args) {
    args.insert(args.end(), {"--quiet", "--json"});
    const Outcome outcome = run(args);
    EXPECT_EQ(outcome.code, 0) << args[0] << ": " << outcome.err;
    return outcome.code == 0 ? Json::parse(outcome.out) : Json();
  }
  static void record(const std::string& policy, const std::string& name) {
    done({"generate", "--env", "Hopper-v4", "--policy", policy, "--stochastic", "--role", "base", "--steps",
          "1200", "--count", "3", "--no-whole-episodes", "--episode-steps", "0", "--threads", "1", "--out",
          at(name)});
  }
  static void extract(const std::string& name, std::vector<std::string> more) {
    std::vector<std::string> args = {"extract",
                                     "--expert",
                                     at("expert_model"),
                                     "--base",
                                     at("base_model"),
                                     "--expert-data",
                                     at("expert"),
                                     "--base-data",
                                     at("base"),
                                     "--condition-probability",
                                     "1",
                                     "--window",
                                     "4",
                                     "--hidden",
                                     "16",
                                     "--steps",
                                     "20",
                                     "--read-t",
                                     "0",
                                     "--threads",
                                     "1",
                                     "--out",
                                     at(name)};
    args.insert(args.end(), more.begin(), more.end());
    done(args);
  }

  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    record("random", "base");
    record("Hopper-v4/medium", "expert");
    const auto train = [](const std::string& data, const std::string& name, std::vector<std::string> more) {
      std::vector<std::string> args = {
          "train", "--data",    at(data), "--steps", "30",    "--condition-probability",
          "1",     "--threads", "1",      "--out",   at(name)};
      args.insert(args.end(), more.begin(), more.end());
      done(args);
    };
    train("base", "base_model",
          {"--horizon", "4", "--stride", "1", "--timesteps", "5", "--normalizer", "gaussian", "--dim", "16",
           "--layers", "1"});
    train("expert", "expert_model", {"--start", at("base_model")});
    extract("reward", {});
    extract("discriminator", {"--method", "discriminator"});
    extract("value", {"--method", "value", "--expert-share", "0"});
    extract("untrained", {"--null", "untrained"});
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }

  static std::vector<std::string> plan(const std::string& name, std::vector<std::string> more,
                                       const std::string& model = "base_model") {
    std::vector<std::string> args = {
        "plan", "--model",   at(model), "--env",           "Hopper-v4", "--episodes",
        "4",    "--count",   "4",       "--episode-steps", "12",        "--sample.seed",
        "3",    "--threads", "1",       "--out",           at(name)};
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }
  static std::vector<double> returns(const std::string& name, const std::vector<std::string>& more,
                                     const std::string& model = "base_model") {
    return done(plan(name, more, model)).at("episodes").at("return").get<std::vector<double>>();
  }

  static TemporaryFolder* folder_;
};
TemporaryFolder* RobotMethod::folder_ = nullptr;

TEST_F(RobotMethod, TheBaseIsLedByWhateverIsGiven) {
  const std::vector<double> base = returns("p_base", {"--scale", "0"}),
                            expert = returns("p_expert", {"--scale", "0"}, "expert_model");
  EXPECT_NE(base, expert);
  // The whole field in the score makes the base the expert.
  const std::vector<double> field =
      returns("p_field", {"--expert", at("expert_model"), "--scale", "1", "--guide-at", "score"});
  for (std::size_t i = 0; i < field.size(); ++i) EXPECT_NEAR(field[i], expert[i], 1e-2) << i;
  const std::string reward = at("reward"), discriminator = at("discriminator");
  EXPECT_NE(returns("p_rho", {"--rewards", reward, "--units", "difference"}), base);
  EXPECT_NE(returns("p_best", {"--rewards", reward, "--scale", "0", "--candidates", "4"}), base);
  EXPECT_NE(returns("p_value", {"--rewards", at("value"), "--scale", "0", "--candidates", "4"}), base);
  EXPECT_NE(returns("p_sure", {"--rewards", discriminator, "--units", "probability"}), base);
  EXPECT_NE(returns("p_likely", {"--scale", "0", "--judge", "likelihood", "--candidates", "4"}), base);
  EXPECT_NE(returns("p_cool", {"--scale", "0", "--temperature", "0.5"}), base);
  EXPECT_NE(returns("p_untrained", {"--rewards", at("untrained"), "--units", "difference"}), base);
  EXPECT_NE(returns("p_both",
                    {"--rewards", reward + "," + discriminator, "--units", "difference", "--pessimism", "1"}),
            base);
}

TEST_F(RobotMethod, RefusesWhatCannotLead) {
  const auto refused = [&](const std::vector<std::string>& more, const std::string& model = "base_model") {
    const Outcome outcome = run(plan("refused", more, model));
    EXPECT_NE(outcome.code, 0);
    return outcome.err;
  };
  EXPECT_THAT(refused({"--rewards", at("reward"), "--expert", at("expert_model")}), HasSubstr("got both"));
  EXPECT_THAT(refused({"--candidates", "4"}), HasSubstr("candidates: expected a judge"));
  EXPECT_THAT(refused({"--rewards", at("reward"), "--pessimism", "1"}),
              HasSubstr("pessimism: expected an ensemble"));
  EXPECT_THAT(refused({"--rewards", at("value"), "--units", "difference"}), HasSubstr("log density ratio"));
  // A model of other units: trained from nothing on the expert's data.
  done({"train",
        "--data",
        at("expert"),
        "--steps",
        "2",
        "--condition-probability",
        "1",
        "--horizon",
        "4",
        "--stride",
        "1",
        "--timesteps",
        "5",
        "--normalizer",
        "gaussian",
        "--dim",
        "16",
        "--layers",
        "1",
        "--threads",
        "1",
        "--out",
        at("other_model")});
  EXPECT_THAT(refused({"--rewards", at("reward")}, "other_model"),
              HasSubstr("expected the reward to have the model's"));
  EXPECT_FALSE(std::filesystem::exists(at("refused") + "/stage.json"));
}

TEST_F(RobotMethod, EvaluationTellsWhatTheExpertPrefersInPictures) {
  const Json told = done({"evaluate", "--rewards", at("reward"), "--expert-data", at("expert"), "--base-data",
                          at("base"), "--stretch", "16", "--resamples", "50", "--width", "96", "--threads",
                          "1", "--out", at("evaluate")});
  const Json& reward = told.at("rewards").at("reward");
  EXPECT_TRUE(reward.at("separation").at("auroc").at("value").is_number());
  EXPECT_GT(reward.at("agreement").at("windows").get<int>(), 50);
  std::vector<std::string> names;
  for (const Json& behaviour : reward.at("preference").at("behaviours"))
    names.push_back(behaviour.at("name"));
  EXPECT_THAT(
      names, ::testing::ElementsAre("forward_speed", "height", "pitch", "contact", "effort", "unsteadiness"));
  const auto of = [&](const std::string& name) {
    return *std::ranges::find(reward.at("preference").at("behaviours"), name,
                              [](const Json& b) { return b.at("name").get<std::string>(); });
  };
  // Both begin upright at 1.25 m; the medium agent hops forward, random actions fall on the spot.
  EXPECT_GT(of("forward_speed").at("difference").at("low").get<double>(), 0);
  EXPECT_NEAR(of("height").at("expert").at("value").get<double>(), 1.25, 0.25);
  EXPECT_GT(of("contact").at("base").at("value").get<double>(), 0.3);
  EXPECT_LT(of("contact").at("expert").at("value").get<double>(), 1);
  for (const char* picture : {"reward_moments.png", "reward_episode.png"}) {
    const Image image = read_png(folder_->path() / "evaluate" / picture);
    EXPECT_GT(image.width, 2 * image.height / 3);
  }
}

TEST_F(RobotMethod, APlannersEpisodesAreRecordedAndFilmed) {
  const Json planned = done(plan("recorded", {"--scale", "0", "--record"}));
  EXPECT_EQ(planned.at("data").at("transitions"), 4 * 12);
  EXPECT_EQ(run({"data", "check", at("recorded")}).code, 0);
  const Json film = done({"film", "--data", at("recorded") + "," + at("expert"), "--names", "led,shown",
                          "--steps", "10", "--every", "2", "--width", "64", "--out", at("film")});
  EXPECT_EQ(film.at("episodes").at(0).at("name"), "led");
  const std::string bytes = read_file(at("film") + "/film.mp4");
  EXPECT_THAT(bytes.substr(4, 8), HasSubstr("ftyp"));
  EXPECT_EQ(read_png(folder_->path() / "film" / "strips.png").width, 8 * 32 + 7 * 4);
  EXPECT_EQ(
      run({"film", "--data", at("recorded"), "--episode", "99", "--out", at("no_film"), "--quiet"}).code, 1);
  EXPECT_FALSE(std::filesystem::exists(at("no_film") + "/film.mp4"));
}

/// A job may name an agent that comes with the project, as a command may.
TEST_F(RobotMethod, JobsNameTrainedAgents) {
  write_file(at("job.toml"), R"(
[[steps]]
name = "shown"
command = "generate"
env = "Hopper-v4"
policy = "Hopper-v4/expert"
steps = 40
count = 2
whole_episodes = false
[[steps]]
name = "nobody"
like = "shown"
policy = "Hopper-v4/expertt"
)");
  const Outcome unknown = run({"run", at("job.toml"), "--out", at("job"), "--quiet"});
  EXPECT_NE(unknown.code, 0);
  EXPECT_THAT(unknown.err, HasSubstr("Hopper-v4/expertt"));
}

/// A job of planners and a film, with its page: inputs are no part of what a record's config tells.
TEST_F(RobotMethod, AJobOfPlannersHasAPage) {
  write_file(at("plans.toml"), concat(R"(
[[steps]]
name = "alone"
command = "plan"
model = ")",
                                      at("base_model"), R"("
env = "Hopper-v4"
episodes = 2
count = 2
episode_steps = 6
record = true
sample = { scale = 0 }
[[steps]]
name = "led"
like = "alone"
rewards = [")",
                                      at("reward"), R"("]
units = "difference"
sample = { scale = 1, guide_at = "score" }
[[steps]]
name = "film"
command = "film"
data = ["alone", "led"]
width = 64
[[figures]]
name = "score"
value = "led.score"
)"));
  const Outcome outcome = run({"run", at("plans.toml"), "--out", at("plans"), "--threads", "1", "--quiet"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::string page = read_file(at("plans") + "/report.html");
  EXPECT_THAT(page, HasSubstr("reward at score, 1 times its difference"));
  EXPECT_THAT(page, HasSubstr("film.mp4"));
}

}  // namespace
}  // namespace diffreward::cli
