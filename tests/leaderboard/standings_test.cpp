#include "leaderboard/standings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "leaderboard/tasks.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using testing::HasSubstr;

class StandingsTest : public testing::Test {
 protected:
  StandingsTest()
      : board_(Board::create(folder_ / "board.sqlite",
                             {{.name = "s/a", .norm_low = 0, .norm_high = 10},
                              {.name = "s/b", .direction = "lower", .norm_low = 2, .norm_high = 0},
                              {.name = "other/c", .norm_low = 0, .norm_high = 1}})) {}

  /// Runs of a method whose scores are these on s/a, and so that the normalised ones on s/b are equal.
  void submit(const std::string& name, const std::vector<double>& scores, bool both = true) {
    BoardSubmission given{.entry = {.name = name}};
    for (std::size_t i = 0; i < scores.size(); ++i) {
      given.runs.push_back({.task = "s/a", .train_seed = i, .episodes = {{0, 10 * scores[i], 1}}});
      if (both)
        given.runs.push_back({.task = "s/b", .train_seed = i, .episodes = {{0, 2 - 2 * scores[i], 1}}});
    }
    board_.submit(given);
  }

  static StandingsConfig quick() {
    StandingsConfig config;
    config.statistics.resamples = 200;
    return config;
  }

  TemporaryFolder folder_;
  Board board_;
};

TEST_F(StandingsTest, NormaliseInTheTasksDirection) {
  submit("good", {0.9, 0.92, 0.94});
  submit("bad", {0.1, 0.12, 0.14});
  const auto suites = standings(board_, quick());
  ASSERT_EQ(suites.size(), 1u);
  EXPECT_EQ(suites[0].suite, "s");
  ASSERT_EQ(suites[0].rows.size(), 2u);
  EXPECT_EQ(suites[0].rows[0].entry.name, "good");
  EXPECT_NEAR(suites[0].rows[0].standing.value.estimate.value, 0.92, 1e-12);
  EXPECT_EQ(suites[0].rows[0].standing.best_rank, 1);
  EXPECT_NEAR(suites[0].rows[0].means.at("s/b"), 2 - 2 * 0.92, 1e-12) << "raw";
  const Json json = standings_json(board_, suites);
  EXPECT_EQ(json.at("suites")[0].at("rows")[0].at("name"), "good");
  EXPECT_EQ(json.at("head"), board_.head());
}

TEST_F(StandingsTest, FailuresAndGapsAreUnrankedOrZeroOnRequest) {
  submit("whole", {0.5, 0.52, 0.54});
  submit("partly", {0.9, 0.9, 0.9}, /*both=*/false);
  BoardSubmission failed{.entry = {.name = "failed"}};
  for (std::uint64_t seed = 0; seed < 3; ++seed)
    for (const char* task : {"s/a", "s/b"})
      failed.runs.push_back(
          {.task = task, .train_seed = seed, .episodes = {{0, seed == 2 ? std::nan("") : 0.0, 1}}});
  board_.submit(failed);
  auto rows = standings(board_, quick())[0].rows;
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].entry.name, "whole") << "nothing that failed is on top";
  EXPECT_THAT(rows[1].standing.unranked, HasSubstr("s/b"));
  EXPECT_FALSE(rows[2].standing.unranked.empty());
  EXPECT_EQ(rows[2].failed, 2);
  EXPECT_TRUE(
      standings_json(board_, standings(board_, quick())).at("suites")[0].at("rows")[1].at("value").is_null());
  StandingsConfig scored = quick();
  scored.gaps = "norm_low";
  for (const BoardRow& row : standings(board_, scored)[0].rows) EXPECT_EQ(row.standing.unranked, "");
}

TEST_F(StandingsTest, RetractedAndReplacedRowsAreLeftOut) {
  submit("old", {0.1, 0.1, 0.1});
  submit("gone", {0.2, 0.2, 0.2});
  BoardSubmission next{.entry = {.name = "new", .supersedes = board_.entry("old").hash()},
                       .runs = {{.task = "s/a", .episodes = {{0, 1, 1}}}}};
  board_.submit(next);
  board_.retract(board_.entry("gone").id, std::nullopt, "a mistake");
  ASSERT_EQ(standings(board_, quick())[0].rows.size(), 1u);
  StandingsConfig all = quick();
  all.superseded = true;
  EXPECT_EQ(standings(board_, all)[0].rows.size(), 2u);
  all.tasks = "s/a";
  EXPECT_EQ(standings(board_, all)[0].tasks.size(), 1u);
  all.tasks = "nothing";
  EXPECT_THROW(standings(board_, all), InvalidArgument);
}

TEST_F(StandingsTest, RunsOfSeveralProgramsAreOneRowThatSaysSo) {
  for (std::uint64_t seed = 0; seed < 3; ++seed)
    board_.submit({.entry = {.name = "PPO"},
                   .runs = {{.task = "s/a",
                             .train_seed = seed,
                             .program = seed == 2 ? "new" : "old",
                             .episodes = {{0, 5, 1}}}}});
  const auto rows = standings(board_, quick())[0].rows;
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].programs, 2);
  EXPECT_EQ(rows[0].runs.size(), 3u);
}

TEST_F(StandingsTest, TheLatestVerificationOfEachRunCounts) {
  submit("PPO", {0.5, 0.6}, false);
  const BoardEntry entry = board_.entry("PPO");
  const auto checked = [&] { return checked_of(entry, board_.runs(entry.id), board_.verifications()); };
  const auto verify = [&](std::int64_t run, const char* outcome) {
    board_.add_verification(
        {.run = run, .machine = std::string(64, 'a'), .outcome = outcome, .program = "p"});
  };
  EXPECT_EQ(checked(), Checked::kClaimed);
  verify(1, "other_machine");
  EXPECT_EQ(checked(), Checked::kClaimed) << "another machine verifies nothing";
  verify(1, "verified");
  EXPECT_EQ(checked(), Checked::kPartly);
  verify(2, "verified");
  EXPECT_EQ(checked(), Checked::kVerified);
  verify(2, "missing");
  EXPECT_EQ(checked(), Checked::kVerified);
  verify(2, "other_machine");
  EXPECT_EQ(checked(), Checked::kVerified) << "another machine takes nothing back";
  verify(2, "changed");
  EXPECT_EQ(checked(), Checked::kRefuted);
  verify(2, "other_machine");
  EXPECT_EQ(checked(), Checked::kRefuted) << "nor does it excuse";
}

TEST_F(StandingsTest, ComparisonsPairOnSeedsAndSpendLooks) {
  submit("a", {0.50, 0.60, 0.70, 0.80, 0.90});
  submit("b", {0.45, 0.54, 0.65, 0.75, 0.84});
  BoardStatisticsConfig config;
  config.resamples = 500;
  const BoardComparison found = compare_entries(board_, board_.entry("a"), board_.entry("b"), "", config);
  EXPECT_EQ(found.comparison.paired.size(), 2u);
  EXPECT_EQ(found.comparison.verdict, Verdict::kFirst) << found.comparison.sentence();
  EXPECT_FALSE(found.look);
  EXPECT_TRUE(board_.looks("s/a").empty()) << "nothing was spent";
  EXPECT_THROW(compare_entries(board_, board_.entry("a"), board_.entry("a"), "", config), InvalidArgument);

  const LookConfig look{.spend = true, .planned = 10};
  double spent = 0;
  for (int i = 0; i < 3; ++i)
    spent += compare_entries(board_, board_.entry("a"), board_.entry("b"), "", config, look).look->alpha;
  for (const char* task : {"s/a", "s/b"}) EXPECT_EQ(board_.looks(task).size(), 3u) << "each is charged";
  EXPECT_NEAR(spent, alpha_spent(Spending::kOBrienFleming, 0.5), 1e-12)
      << "looking again spends nothing more";
  EXPECT_EQ(compare_entries(board_, board_.entry("a"), board_.entry("b"), "s/a", config, look).look->alpha, 0)
      << "the part's streams were looked at before";
}

TEST_F(StandingsTest, NoLookIsSpentWhereNothingCanBeDecided) {
  submit("a", {0.5});
  submit("b", {0.4});
  BoardStatisticsConfig config;
  config.resamples = 100;
  const BoardComparison found = compare_entries(board_, board_.entry("a"), board_.entry("b"), "", config,
                                                {.spend = true, .planned = 2});
  EXPECT_FALSE(found.comparison.note.empty());
  EXPECT_FALSE(found.look);
  EXPECT_TRUE(board_.looks("s/a").empty());
}

TEST_F(StandingsTest, ASuiteIsNotWhatItsNameBegins) {
  board_.add_task({.name = "s2/d", .norm_low = 0, .norm_high = 1});
  submit("a", {0.5, 0.6});
  board_.submit({.entry = {.name = "a"}, .runs = {{.task = "s2/d", .episodes = {{0, 900, 1}}}}});
  const auto suites = standings(board_, quick());
  ASSERT_EQ(suites.size(), 2u);
  const MethodScores scores = scores_of(board_, board_.entry("a"), suites[0].tasks);
  ASSERT_EQ(scores.tasks.size(), 2u);
  EXPECT_EQ(scores.tasks[1].task, "s/b");
}

TEST(BoardTasks, ComeWithSealedStreams) {
  std::set<std::uint64_t> seeds;
  std::set<std::string> names, hashes;
  for (const BoardTask& task : builtin_board_tasks()) {
    EXPECT_TRUE(names.insert(task.name).second) << task.name;
    EXPECT_TRUE(hashes.insert(task.hash()).second) << task.name;
    EXPECT_EQ(BoardTask::from_json(task.json()).hash(), task.hash());
    const StreamPool pool = pool_of(task);
    EXPECT_GT(pool.seed, 1'000'000u) << "no seed that a person would choose";
    if (task.kind != "reward") {
      EXPECT_TRUE(seeds.insert(pool.seed).second) << task.name;
    }
  }
  EXPECT_EQ(seeds.size(), 9u);
  EXPECT_EQ(names.size(), 25u);
}

}  // namespace
}  // namespace diffreward
