#include "datasets/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>

#include <cmath>

#include "agents/scripted/waypoints.h"
#include "core/progress.h"
#include "datasets/collect.h"
#include "envs/catalog.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;
using Rows = std::vector<std::size_t>;

/// Episodes of 200 rows, 4 instances of 2000 rows, walking from goal to goal.
Dataset::Columns good_columns(const TemporaryFolder& folder, const char* reward = "sparse") {
  Progress::silence();
  const Json options = {{"random_goal", true}, {"reward", reward}, {"at_goal", "new_goal"}};
  const auto envs =
      make_vector("Maze2D-UMaze-v0", {.count = 4, .autoreset = "same_step", .max_steps = 200}, options);
  const auto walker = make_agent(WaypointConfig{.action_noise = 0.1}, *envs,
                                 streams_of(Recording::kBase, 0, Purpose::kController));
  const Dataset data = collect(*envs, *walker, 8000, {}, folder / "source.hdf5");
  Dataset::Columns c{.observation_dim = 4, .action_dim = 2};
  const auto copy = [](auto& to, auto from) { to.assign(from.begin(), from.end()); };
  copy(c.observations, data.observations()), copy(c.next_observations, data.next_observations());
  copy(c.actions, data.actions()), copy(c.rewards, data.rewards());
  copy(c.terminals, data.terminals()), copy(c.timeouts, data.timeouts());
  for (const std::string& name : data.info_names()) {
    c.infos.push_back({name, data.info_dim(name), {}});
    copy(c.infos.back().values, data.info(name));
  }
  return c;
}

class CheckData : public testing::Test {
 protected:
  CheckData() : columns_(good_columns(folder_)) {}

  /// Writes the columns as a D4RL file without the named ones.
  std::filesystem::path write(const std::vector<const char*>& without = {}) {
    const auto path = folder_ / "data.hdf5";
    Dataset::from_columns(columns_).write_d4rl(path);
    const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    for (const char* name : without) H5Ldelete(file, name, H5P_DEFAULT);
    H5Fclose(file);
    return path;
  }
  /// The only fault of a file; fails where there is another or none.
  static Fault only_fault(const std::filesystem::path& path) {
    const std::vector<Fault> faults = check_data(path);
    std::string names;
    for (const Fault& fault : faults) names += fault.name + " (" + fault.message + ") ";
    EXPECT_EQ(faults.size(), 1u) << names;
    return faults.empty() ? Fault{} : faults[0];
  }
  std::vector<float>& info(const char* name) {
    for (auto& column : columns_.infos)
      if (column.name == name) return column.values;
    throw std::out_of_range(name);
  }
  /// Rows inside episodes whose next row has a new goal.
  Rows switches() {
    Rows rows;
    for (std::size_t i = 0; i + 1 < columns_.rewards.size(); ++i)
      if (!columns_.timeouts[i] && info("goal_switched")[i + 1] != 0) rows.push_back(i);
    return rows;
  }
  /// The rewards as they would be `shift` rows later.
  void shift_rewards(int shift) {
    const std::vector<float> paid = columns_.rewards;
    const auto n = static_cast<int>(paid.size());
    for (int i = 0; i < n; ++i) columns_.rewards[std::size_t(i)] = paid[std::size_t((i + n - shift) % n)];
  }

  TemporaryFolder folder_;
  Dataset::Columns columns_;
};

TEST_F(CheckData, FindsNothingInGoodFiles) {
  EXPECT_TRUE(check_data(write()).empty());
  EXPECT_TRUE(check_data(write({"next_observations"})).empty());
  const auto minari = Dataset::from_columns(columns_).write_minari(folder_.path(), "a/b/c-v0");
  EXPECT_TRUE(check_data(minari).empty());
  columns_ = good_columns(folder_, "dense");
  EXPECT_TRUE(check_data(write()).empty());
  EXPECT_TRUE(check_data(write({"next_observations"})).empty());
}

TEST_F(CheckData, FindsTerminalsWhereTheSimulationRunsOn) {
  for (const std::size_t row : {100u, 250u, 7000u}) columns_.terminals[row] = 1;
  for (const auto& without : {std::vector<const char*>{}, {"next_observations"}}) {
    const Fault fault = only_fault(write(without));
    EXPECT_EQ(fault.name, "terminal-inside-episode");
    EXPECT_EQ(fault.count, 3u);
    EXPECT_EQ(fault.rows, (Rows{100, 250, 7000}));
  }
}

TEST_F(CheckData, FindsTerminalsInsideEpisodesOfOtherTasks) {
  Dataset::Columns c{.observation_dim = 3, .action_dim = 1};
  for (int i = 0; i < 400; ++i) {
    for (int k = 0; k < 3; ++k)
      c.observations.push_back(float(std::sin(0.01 * (i % 100) + k + (i % 100 == 0 ? 2 : 0))));
    c.actions.push_back(0);
    c.rewards.push_back(1);
    c.terminals.push_back(i % 100 == 98 || i == 130);  // the episode's jump is between rows 99 and 100
    c.timeouts.push_back(i == 399);
  }
  c.next_observations = c.observations;
  for (std::size_t i = 98; i < 400; i += 100) c.terminals[i] = 0, c.terminals[i + 1] = 1;
  columns_ = c;
  const Fault fault = only_fault(write({"next_observations"}));
  EXPECT_EQ(fault.name, "terminal-inside-episode");
  EXPECT_EQ(fault.rows, Rows{130});
}

TEST_F(CheckData, FindsMissingTimeouts) {
  const std::vector<Fault> faults = check_data(write({"timeouts"}));
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_EQ(faults[0].name, "missing-timeouts");
  EXPECT_EQ(faults[1].name, "unmarked-reset");  // and this is where they are missed
  EXPECT_EQ(faults[1].rows[0], 199u);

  columns_.timeouts.back() = 0;
  const Fault fault = only_fault(write());
  EXPECT_EQ(fault.name, "missing-timeouts");
  EXPECT_EQ(fault.rows, Rows{7999});
}

TEST_F(CheckData, FindsUnmarkedResets) {
  columns_.timeouts[399] = columns_.timeouts[1999] = 0;
  const Fault fault = only_fault(write());
  EXPECT_EQ(fault.name, "unmarked-reset");
  EXPECT_EQ(fault.rows, (Rows{399, 1999}));
}

TEST_F(CheckData, FindsShiftedRewards) {
  const std::vector<float> good = columns_.rewards;
  for (const char* kind : {"sparse", "dense"}) {
    columns_ = good_columns(folder_, kind);
    const std::vector<float> paid = columns_.rewards;
    shift_rewards(1);
    Fault fault = only_fault(write());
    EXPECT_EQ(fault.name, "reward-shifted") << kind;
    EXPECT_THAT(fault.message, HasSubstr("the row before"));
    for (const std::size_t row : fault.rows) EXPECT_NE(columns_.rewards[row], paid[row]);
    columns_.rewards = paid;
    shift_rewards(-1);
    fault = only_fault(write());
    EXPECT_EQ(fault.name, "reward-shifted") << kind;
    EXPECT_THAT(fault.message, HasSubstr("the row after"));
  }
}

TEST_F(CheckData, FindsRewardsThatAreZeroOrWrong) {
  const std::vector<float> good = columns_.rewards;
  std::fill(columns_.rewards.begin(), columns_.rewards.end(), 0.f);
  Fault fault = only_fault(write());
  EXPECT_EQ(fault.name, "reward-all-zero");
  const auto paid = std::size_t(std::count(good.begin(), good.end(), 1.f));
  EXPECT_LE(fault.count, paid);
  EXPECT_GE(fault.count + 5, paid);  // a state on the goal's rim may be paid or not: files round positions
  EXPECT_EQ(only_fault(write({"infos", "metadata"})).name, "reward-all-zero");

  columns_.rewards = good;
  for (const std::size_t row : {50u, 51u, 4000u}) columns_.rewards[row] = 1 - columns_.rewards[row];
  fault = only_fault(write());
  EXPECT_EQ(fault.name, "reward-mismatch");
  EXPECT_EQ(fault.count, 3u);
}

TEST_F(CheckData, FindsTheStaleGoalOfTheRowAtASwitch) {
  const Rows at = switches();
  ASSERT_GT(at.size(), 5u);
  for (const std::size_t row : at) {  // the goal shown on the switch's first row is still the old one
    if (columns_.timeouts[row + 1]) continue;  // which is the last of its episode: no row shows the new goal
    for (std::size_t k = 0; k < 2; ++k) info("goal")[2 * (row + 1) + k] = info("goal")[2 * row + k];
    info("goal_switched")[row + 1] = 0;
    info("goal_switched")[row + 2] = 1;
  }
  const Fault fault = only_fault(write());
  EXPECT_EQ(fault.name, "stale-goal");
  for (const std::size_t row : fault.rows)
    EXPECT_TRUE(std::find(at.begin(), at.end(), row - 1) != at.end()) << row;
}

TEST_F(CheckData, FindsTheStaleObservationOfTheRowAtASwitch) {
  const Rows at = switches();
  for (const std::size_t row : at)  // as D4RL's generator: the state is not read again after a new goal
    for (std::size_t k = 0; k < 4; ++k)
      columns_.observations[4 * (row + 1) + k] = columns_.observations[4 * row + k];
  const Fault fault = only_fault(write({"next_observations"}));
  EXPECT_EQ(fault.name, "stale-observation");
  EXPECT_EQ(fault.count, at.size());
  EXPECT_EQ(fault.rows[0], at[0]);
}

TEST_F(CheckData, FindsUnmarkedGoalSwitches) {
  const Rows at = switches();
  info("goal_switched")[at[2] + 1] = 0;
  const Fault fault = only_fault(write());
  EXPECT_EQ(fault.name, "unmarked-goal-switch");
  EXPECT_EQ(fault.rows, Rows{at[2]});
}

TEST_F(CheckData, FindsWhatIsNoNumber) {
  columns_.observations[4 * 77 + 2] = NAN;
  columns_.rewards[3] = INFINITY;
  const std::vector<Fault> faults = check_data(write());
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_EQ(faults[0].name, "not-finite");
  EXPECT_THAT(faults[0].message, HasSubstr("observations: expected numbers, found nan in row 77, column 2"));
  EXPECT_EQ(faults[0].rows, Rows{77});
  EXPECT_THAT(faults[1].message, HasSubstr("rewards"));
}

/// Replaces a column by one of zeros of another shape or type.
void replace(const std::filesystem::path& path, const char* name, std::vector<hsize_t> shape, hid_t type) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  H5Ldelete(file, name, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(int(shape.size()), shape.data(), nullptr);
  const hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Dclose(set), H5Sclose(space), H5Fclose(file);
}

TEST_F(CheckData, FindsWrongShapesAndTypes) {
  replace(write(), "actions", {7999, 2}, H5T_IEEE_F32LE);
  Fault fault = only_fault(folder_ / "data.hdf5");
  EXPECT_EQ(fault.name, "wrong-shape");
  EXPECT_THAT(fault.message, HasSubstr("actions: expected 8000 rows of numbers, found shape [7999, 2]"));

  replace(write(), "rewards", {8000, 3}, H5T_IEEE_F32LE);
  EXPECT_THAT(only_fault(folder_ / "data.hdf5").message,
              HasSubstr("rewards: expected 8000 rows of one number"));
  replace(write(), "observations", {10, 20, 4}, H5T_IEEE_F32LE);
  EXPECT_EQ(check_data(folder_ / "data.hdf5")[0].name, "wrong-shape");
  replace(write(), "infos/goal", {3}, H5T_IEEE_F32LE);
  EXPECT_THAT(only_fault(folder_ / "data.hdf5").message, HasSubstr("infos/goal"));

  replace(write(), "terminals", {8000}, H5T_C_S1);
  fault = only_fault(folder_ / "data.hdf5");
  EXPECT_EQ(fault.name, "wrong-type");
  EXPECT_THAT(fault.message, HasSubstr("terminals"));
}

TEST_F(CheckData, FindsMissingColumns) {
  for (const char* column : {"observations", "actions", "rewards", "terminals"}) {
    const Fault fault = only_fault(write({column}));
    EXPECT_EQ(fault.name, "missing-column");
    EXPECT_THAT(fault.message, HasSubstr(column));
  }
}

TEST_F(CheckData, FindsUnreadableFiles) {
  const std::string bytes = bytes_of(write());
  write_bytes(folder_ / "cut.hdf5", bytes.substr(0, bytes.size() / 2));
  EXPECT_EQ(only_fault(folder_ / "cut.hdf5").name, "unreadable-file");
  write_bytes(folder_ / "text.hdf5", "hello");
  EXPECT_EQ(only_fault(folder_ / "text.hdf5").name, "unreadable-file");
  std::filesystem::create_directory(folder_ / "empty");
  EXPECT_EQ(only_fault(folder_ / "empty").name, "unreadable-file");
  EXPECT_THROW(check_data(folder_ / "absent.hdf5"), Error);
}

TEST_F(CheckData, FindsFaultsOfMinariData) {
  columns_.rewards[7] = NAN;
  const auto at = Dataset::from_columns(columns_).write_minari(folder_.path(), "a/b/c-v0");
  EXPECT_EQ(only_fault(at).name, "not-finite");
  columns_.rewards[7] = 0;
  Dataset::from_columns(columns_).write_minari(folder_.path(), "a/b/c-v0");
  const auto file = at / "data/main_data.hdf5";
  replace(file, "episode_3/truncations", {200}, H5T_STD_I8LE);
  Fault fault = only_fault(at);
  EXPECT_EQ(fault.name, "missing-timeouts");
  EXPECT_EQ(fault.rows, Rows{799});
  replace(file, "episode_3/truncations", {200}, H5T_STD_I8LE);
  replace(file, "episode_5/observations", {200, 4}, H5T_IEEE_F32LE);
  fault = check_data(at).front();
  EXPECT_EQ(fault.name, "wrong-shape");
  EXPECT_THAT(fault.message,
              HasSubstr("episode_5/observations: expected 201 rows of numbers, found shape [200, 4]"));
}

}  // namespace
}  // namespace diffreward
