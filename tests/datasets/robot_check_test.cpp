// Data of robots that tell the truth: rewards and falls recomputed from the recorded state, and the faults that users
// reported of public files, made on purpose.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>

#include <cmath>

#include "agents/scripted/random.h"
#include "core/progress.h"
#include "core/statistics.h"
#include "datasets/card.h"
#include "datasets/check.h"
#include "datasets/collect.h"
#include "datasets/recorded_env.h"
#include "datasets/recorded_task.h"
#include "datasets/windows.h"
#include "envs/catalog.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;

/// Moves nothing, which lets a robot stand a while.
class Idle final : public Agent {
 public:
  void act(const StepView&, std::span<double> actions) override { std::ranges::fill(actions, 0.0); }
};

/// Random behaviour, held for five steps so that the robots get somewhere before they fall, or none.
Dataset record(const std::string& id, const std::filesystem::path& path, std::size_t steps = 3000,
               int max_steps = 60, const Json& options = Json::object(), bool idle = false) {
  Progress::silence();
  const auto envs = make_vector(id, {.count = 3, .autoreset = "same_step", .max_steps = max_steps}, options);
  const auto agent =
      make_agent(RandomConfig{.hold = 5}, *envs, streams_of(Recording::kBase, 0, Purpose::kController));
  Idle still;
  return collect(*envs, idle ? still : *agent, steps,
                 {.env_options = options, .extra = {{"episode_steps", max_steps}}}, path);
}

Dataset::Columns columns_of(const Dataset& data) {
  Dataset::Columns c{.observation_dim = data.observation_dim(), .action_dim = data.action_dim()};
  const auto copy = [](auto& to, auto from) { to.assign(from.begin(), from.end()); };
  copy(c.observations, data.observations()), copy(c.next_observations, data.next_observations());
  copy(c.actions, data.actions()), copy(c.rewards, data.rewards());
  copy(c.terminals, data.terminals()), copy(c.timeouts, data.timeouts());
  for (const std::string& name : data.info_names()) {
    c.infos.push_back({name, data.info_dim(name), {}, {}});
    copy(c.infos.back().values, data.info(name));
    copy(c.infos.back().doubles, data.info_doubles(name));
  }
  return c;
}

std::string names_of(const std::vector<Fault>& faults) {
  std::string names;
  for (const Fault& fault : faults) names += (names.empty() ? "" : ", ") + fault.name;
  return names;
}

class RobotData : public testing::Test {
 protected:
  std::vector<Fault> faults_of(const Dataset::Columns& columns, const Provenance& provenance) {
    const auto path = folder_ / "data.hdf5";
    Dataset::from_columns(columns, provenance).write_d4rl(path);
    return check_data(path);
  }
  const TemporaryFolder folder_;
};

TEST_F(RobotData, RewardsAndFallsAreThoseOfTheRecordedState) {
  for (const std::string robot : {"HalfCheetah", "Hopper", "Walker2d", "Swimmer", "Ant"})
    for (const std::string version : {"-v4", "-v5"}) {
      const Dataset data = record(robot + version, folder_ / "x.hdf5");
      EXPECT_EQ(names_of(check_data(folder_ / "x.hdf5")), "") << robot << version;
      EXPECT_EQ(data.info_doubles("qpos").size(), data.size() * data.info_dim("qpos"));
      EXPECT_TRUE(data.info_doubles("x_position").empty());
      // What was recorded in double precision is what the columns of floats hold, and no less.
      std::size_t finer = 0;
      for (std::size_t k = 0; k < data.info("qpos").size(); ++k) {
        ASSERT_EQ(float(data.info_doubles("qpos")[k]), data.info("qpos")[k]);
        finer += data.info_doubles("qpos")[k] != double{data.info("qpos")[k]};
      }
      EXPECT_GT(finer, data.size());
    }
}

TEST_F(RobotData, OptionsOfTheEnvironmentAreMinded) {
  const Json options = {{"ctrl_cost_weight", 0.5}, {"forward_reward_weight", 2.0}};
  const Dataset data = record("HalfCheetah-v5", folder_ / "x.hdf5", 600, 60, options);
  EXPECT_EQ(names_of(check_data(data.path())), "");
  Provenance other = data.provenance();
  other.env_options = Json::object();
  EXPECT_EQ(names_of(faults_of(columns_of(data), other)), "reward-mismatch");
}

TEST_F(RobotData, OneDigitOfARewardIsFound) {
  const Dataset data = record("Hopper-v5", folder_ / "x.hdf5", 900);
  Dataset::Columns columns = columns_of(data);
  std::size_t row = 40;
  while (columns.terminals[row] || columns.timeouts[row]) ++row;
  columns.rewards[row] += 4e-7f * std::max(1.0f, std::abs(columns.rewards[row]));
  const auto faults = faults_of(columns, data.provenance());
  ASSERT_EQ(names_of(faults), "reward-mismatch");
  EXPECT_EQ(faults[0].rows, std::vector<std::size_t>{row});
}

TEST_F(RobotData, RewardsOfTheRowBeforeAreFound) {
  const Dataset data = record("Walker2d-v5", folder_ / "x.hdf5", 900);
  Dataset::Columns columns = columns_of(data);
  std::rotate(columns.rewards.begin(), columns.rewards.end() - 1, columns.rewards.end());
  const auto faults = faults_of(columns, data.provenance());
  ASSERT_EQ(names_of(faults), "reward-shifted");
  EXPECT_THAT(faults[0].message, HasSubstr("that of the row before"));
}

TEST_F(RobotData, FallsThatNothingMarksAreFound) {
  const Dataset data = record("Hopper-v5", folder_ / "x.hdf5");
  Dataset::Columns columns = columns_of(data);
  std::size_t falls = 0;
  for (std::size_t i = 0; i < columns.terminals.size(); ++i) {
    if (!columns.terminals[i]) continue;
    ++falls;
    columns.terminals[i] = 0;  // as where a fall at the limit counts as a timeout
    columns.timeouts[i] = 1;
  }
  ASSERT_GT(falls, 20u);
  const auto faults = faults_of(columns, data.provenance());
  ASSERT_EQ(names_of(faults), "fall-at-limit");
  EXPECT_GE(faults[0].count, falls - 2) << "but for those as near the limit as a float tells";
  // and the other way round: ends that are none
  columns = columns_of(data);
  for (std::size_t i = 0; i < columns.terminals.size(); ++i)
    if (columns.timeouts[i]) std::swap(columns.terminals[i], columns.timeouts[i]);
  EXPECT_THAT(names_of(faults_of(columns, data.provenance())), HasSubstr("terminal-mismatch"));
}

TEST_F(RobotData, LostTimeoutsAndStitchedEpisodesAreFound) {
  const Dataset data = record("HalfCheetah-v5", folder_ / "x.hdf5", 3 * 240, 0);
  EXPECT_EQ(names_of(check_data(data.path())), "");
  Provenance whole = data.provenance();
  // Episodes of 1001 steps where 1000 are the limit: their ends were lost (D4RL#162).
  const Dataset longer = record("HalfCheetah-v5", folder_ / "y.hdf5", 3 * 1001, 0);
  EXPECT_EQ(names_of(check_data(longer.path())), "missing-timeouts");
  // The second half of one episode behind the first of another (D4RL#19).
  Dataset::Columns stitched = columns_of(data);
  for (std::size_t i = 0; i + 1 < stitched.timeouts.size(); ++i) stitched.timeouts[i] = 0;
  EXPECT_EQ(names_of(faults_of(stitched, whole)), "unmarked-reset");
}

TEST_F(RobotData, SwappedLevelsAreFound) {
  // Each file tells what its policy returned elsewhere; then each has the other's rows (D4RL#76).
  const auto with_level = [](const Dataset& data) {
    const std::vector<double> returns = whole_returns(data, recorded_task(data.provenance()));
    Provenance provenance = data.provenance();
    const double level = mean(returns);
    provenance.extra["agent"] = {
        {"policy", "x"},
        {"stochastic", true},
        {"return_deterministic", {{"value", 10 * level}, {"low", 10 * level}, {"high", 10 * level}}},
        {"return_stochastic", {{"value", 1.01 * level}, {"low", level}, {"high", 1.02 * level}}}};
    return provenance;
  };
  const Dataset worse = record("Hopper-v4", folder_ / "worse.hdf5"),
                better = record("Hopper-v4", folder_ / "better.hdf5", 3000, 60, Json::object(), true);
  EXPECT_EQ(names_of(faults_of(columns_of(worse), with_level(worse))), "");
  EXPECT_EQ(names_of(faults_of(columns_of(better), with_level(better))), "");
  const auto faults = faults_of(columns_of(worse), with_level(better));
  ASSERT_EQ(names_of(faults), "level-mismatch");
  EXPECT_THAT(faults[0].message, HasSubstr("as the recorded policy did where it was judged, found"));
  EXPECT_EQ(names_of(faults_of(columns_of(better), with_level(worse))), "level-mismatch");
  // Claims that are none are faults of the file, not of the program.
  Provenance broken = with_level(worse);
  broken.extra["agent"]["return_stochastic"] = "high";
  EXPECT_EQ(names_of(faults_of(columns_of(worse), broken)), "unreadable-file");
}

TEST_F(RobotData, NotesOfOtherKindsThanOursTellNothing) {
  const Dataset data = record("Hopper-v4", folder_ / "x.hdf5", 600);
  Provenance strange = data.provenance();
  strange.extra = {{"episode_steps", "many"}, {"engine", 3}, {"recording", Json::array()}, {"agent", 5}};
  EXPECT_EQ(names_of(faults_of(columns_of(data), strange)), "");
  const Json card = card_of(Dataset::open(folder_ / "data.hdf5"));
  EXPECT_EQ(card.at("episode_limit"), 1000);
  EXPECT_EQ(card.at("engine"), "");
  EXPECT_THAT(card_markdown(card), HasSubstr("Hopper-v4"));
  strange.extra["episode_steps"] = 1e300;
  EXPECT_EQ(names_of(faults_of(columns_of(data), strange)), "");
}

TEST_F(RobotData, FormatsKeepWhatWasRecorded) {
  const Dataset data = record("Hopper-v5", folder_ / "x.hdf5", 600);
  const Dataset minari = Dataset::open(data.write_minari(folder_ / "m", "hopper/random-v0"));
  minari.write_d4rl(folder_ / "back.hdf5");
  const Dataset back = Dataset::open(folder_ / "back.hdf5");
  const Dataset some = select_episodes(data, std::vector<std::size_t>{0, 2});
  for (const char* name : {"qpos", "qvel"}) {
    const auto original = data.info_doubles(name);
    EXPECT_TRUE(std::ranges::equal(minari.info_doubles(name), original)) << name;
    EXPECT_TRUE(std::ranges::equal(back.info_doubles(name), original)) << name;
    EXPECT_EQ(some.info_doubles(name)[0], original[0]) << name;
  }
  EXPECT_EQ(names_of(check_data(folder_ / "back.hdf5")), "");
}

TEST_F(RobotData, TrainingIsRecordedAsItWas) {
  RecordedEnv envs(make_vector("Hopper-v5", {.count = 2, .autoreset = "same_step", .max_steps = 30}));
  EXPECT_THROW(envs.write({}, folder_ / "none.hdf5"), InvalidArgument);
  const auto agent =
      make_agent(RandomConfig{}, envs, streams_of(Recording::kTraining, 0, Purpose::kController));
  std::vector<double> actions(6);
  for (int call = 0; call < 2; ++call) {  // of train()
    const StepView* view = &envs.reset(Streams(Purpose::kTraining, 0, std::uint64_t(call)));
    for (int t = 0; t < 400; ++t) {
      agent->act(*view, actions);
      view = &envs.step(actions);
    }
  }
  EXPECT_EQ(envs.transitions(), 1600u);
  const Dataset data = envs.write({.extra = {{"episode_steps", 30}}}, folder_ / "training.hdf5");
  EXPECT_EQ(data.size(), 1600u);
  EXPECT_TRUE(data.timeouts()[399] || data.terminals()[399]) << "a reset cuts what was running";
  EXPECT_EQ(names_of(check_data(data.path())), "");
  EXPECT_THROW(envs.set_state(envs.state()), Error);
}

}  // namespace
}  // namespace diffreward
