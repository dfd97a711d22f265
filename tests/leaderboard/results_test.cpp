#include "leaderboard/results.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/file.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;

class ResultsFile : public testing::Test {
 protected:
  fs::path folder_ = fs::path(testing::TempDir()) / "diffreward_results_test";
  fs::path path_ = folder_ / "results.json";
  void SetUp() override { fs::remove_all(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
};

Result result(const std::string& name, double value, const std::string& bar = "") {
  return {.question = name,
          .value = value,
          .unit = "cells",
          .bar = bar,
          .command = "diffreward run maze2d-umaze",
          .commit = "0123456789ab",
          .machine = "a processor, 2 cores"};
}

Result in_maze(const std::string& maze, Result result, const std::string& group = "") {
  result.maze = maze;
  result.group = group;
  return result;
}

Result with_interval(double low, double high, Result result) {
  result.interval = {low, high};
  return result;
}

TEST(Passes, ComparesWithTheBar) {
  EXPECT_EQ(passes(0.85, ">= 0.85"), true);
  EXPECT_EQ(passes(0.8499, ">= 0.85"), false);
  EXPECT_EQ(passes(0.5, "<=0.5"), true);
  EXPECT_EQ(passes(0.5, "< 0.5"), false);
  EXPECT_EQ(passes(-1, "> -2"), true);
  EXPECT_EQ(passes(3e5, ">= 3e5"), true);
  EXPECT_EQ(passes(1, ""), std::nullopt);
  EXPECT_EQ(passes(std::nan(""), ">= 0"), false);
  for (const char* bad : {"0.5", ">= ", "=> 1", "about 3", ">= 1 cell", "== 2", ">= nan"})
    EXPECT_THROW(passes(1, bad), InvalidArgument) << bad;
}

TEST(Undecided, WhereTheBarLiesInTheInterval) {
  EXPECT_TRUE(undecided(with_interval(0.8, 1, result("a", 0.91, ">= 0.9"))));
  EXPECT_TRUE(undecided(with_interval(0.4, 0.6, result("a", 0.55, "< 0.5"))));
  EXPECT_FALSE(undecided(with_interval(0.9, 1, result("a", 0.95, ">= 0.9"))));
  EXPECT_FALSE(undecided(with_interval(0.7, 0.8, result("a", 0.75, ">= 0.9"))));
  EXPECT_FALSE(undecided(with_interval(0.7, 0.8, result("a", 0.75))));
  EXPECT_FALSE(undecided(result("a", 0.9, ">= 0.9")));
}

TEST_F(ResultsFile, RoundTripsSortedByName) {
  Result full = in_maze("umaze", with_interval(0.1, 0.2, result("b", 0.125, ">= 0.1")), "new goals");
  full.runs = {0.1, 0.125, 0.15};
  full.seeds = {0, 1, 2};
  full.versions = {{"torch", "2.13.0"}};
  full.note = "three seeds";
  save_results(path_, {full, result("a", 2)});
  const std::vector<Result> read = load_results(path_);
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].name(), "a");
  EXPECT_FALSE(read[0].interval.has_value());
  EXPECT_EQ(read[1].json(), full.json());
  EXPECT_EQ(read[1].name(), "b, umaze, new goals");
  EXPECT_EQ(read[1].maze, "umaze");
  EXPECT_EQ(read[1].runs, (std::vector<double>{0.1, 0.125, 0.15}));
  EXPECT_EQ(read[1].seeds, (std::vector<std::uint64_t>{0, 1, 2}));
  EXPECT_EQ(read[1].versions.at("torch"), "2.13.0");
  EXPECT_TRUE(load_results(folder_ / "none.json").empty());
}

TEST_F(ResultsFile, MergingReplacesEqualNames) {
  const std::vector<Result> merged =
      merge_results({result("a", 1), result("b", 2)}, {result("b", 3), result("c", 4)});
  save_results(path_, merged);
  const std::vector<Result> read = load_results(path_);
  ASSERT_EQ(read.size(), 3u);
  EXPECT_EQ(read[0].value, 1);
  EXPECT_EQ(read[1].value, 3);
  EXPECT_EQ(read[2].value, 4);
}

TEST_F(ResultsFile, MergingTellsMazesAndGroupsApart) {
  const std::vector<Result> merged =
      merge_results({in_maze("umaze", result("a", 1)), in_maze("large", result("a", 2)),
                     in_maze("large", result("a", 3), "new goals")},
                    {in_maze("large", result("a", 4))});
  save_results(path_, merged);
  const std::vector<Result> read = load_results(path_);
  ASSERT_EQ(read.size(), 3u);
  EXPECT_EQ(read[0].value, 4);
  EXPECT_EQ(read[1].value, 3);
  EXPECT_EQ(read[2].value, 1);
}

/// Records of benchmarks/compare/results.py have a name and no question.
TEST_F(ResultsFile, KeepsRecordsOfOtherPrograms) {
  const std::string text = R"([
  {
    "name": "steps/s, Hopper-v5",
    "value": 23869.9,
    "unit": "steps/s",
    "bar": "",
    "command": "python envs.py",
    "commit": "0123456789ab",
    "machine": "a processor, 2 cores",
    "versions": {
      "mujoco": "4.0.0",
      "numpy": "2.4.6"
    },
    "note": "2 threads"
  }
]
)";
  write_file(path_, text);
  save_results(path_, load_results(path_));
  EXPECT_EQ(read_file(path_), text);
}

TEST_F(ResultsFile, RefusesWhatItCouldNotReadBack) {
  EXPECT_THROW(save_results(path_, {result("a", 1), result("a", 2)}), InvalidArgument);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  EXPECT_THROW(save_results(path_, {result("a", kInfinity)}), InvalidArgument);
  EXPECT_THROW(save_results(path_, {with_interval(-kInfinity, kInfinity, result("a", 1))}), InvalidArgument);
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(ResultsFile, NamesFileEntryAndField) {
  const auto message = [&](const std::string& text) {
    write_file(path_, text);
    try {
      load_results(path_);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const std::string rest = R"("unit": "", "bar": "", "command": "", "commit": "", "machine": "")";
  EXPECT_NE(message("[{\"name\": \"a\", \"value\": \"high\", " + rest + "}]")
                .find("results.json: result 1: value: expected a number, found \"high\""),
            std::string::npos);
  EXPECT_NE(message("[{\"name\": \"a\", " + rest + "}]").find("value: expected a number, found nothing"),
            std::string::npos);
  EXPECT_NE(message("[{\"name\": 3, \"value\": 1, " + rest + "}]").find("name: expected a text, found 3"),
            std::string::npos);
  EXPECT_NE(message("[{\"name\": \"a\", \"value\": 1, \"interval\": [1], " + rest + "}]").find("interval"),
            std::string::npos);
  EXPECT_NE(message("[{\"name\": \"a\", \"value\": 1, \"seeds\": [-1], " + rest + "}]").find("seeds"),
            std::string::npos);
  EXPECT_NE(message("[{\"name\": \"a\", \"value\": 1, \"versions\": {\"torch\": 2}, " + rest + "}]")
                .find("torch: expected a text, found 2"),
            std::string::npos);
  EXPECT_NE(
      message("[{\"name\": \"a\", \"question\": \"a\", \"maze\": \"umaze\", \"group\": \"\", \"value\": 1, " +
              rest + "}]")
          .find("name: expected 'a, umaze'"),
      std::string::npos);
  EXPECT_NE(message("{}").find("expected a list"), std::string::npos);
  EXPECT_NE(message("[1, 2").find("expected JSON"), std::string::npos);
}

TEST(CompactTable, MarksWhatIsMissedAndWhatIsUndecided) {
  const std::vector<Result> results = {
      in_maze("umaze", with_interval(0.9513, 0.9921, result("AUROC", 0.97412, ">= 0.85"))),
      in_maze("medium", with_interval(0.8123, 0.8921, result("AUROC", 0.8522, ">= 0.85"))),
      in_maze("large", with_interval(0.6501, 0.7493, result("AUROC", 0.6997, ">= 0.85"))),
      in_maze("umaze", with_interval(0.8, 0.9, result("success", 0.85, ">= 0.9"))),
      in_maze("large", with_interval(0.7, 0.9, result("success", 0.75, ">= 0.8"))),
      in_maze("umaze", result("success", 0.1, ">= 0.9"), "new goals"),
      result("peaks | near", 7, ">= 7"),
      in_maze("open", result("AUROC", 1)),
      result("steps/s", 1000)};
  EXPECT_EQ(
      compact_table(results, {{"peaks | near", "success", "none", "AUROC"}, {"umaze", "medium", "large"}}),
      "|  | umaze | medium | large | bar |\n"
      "|---|---|---|---|---|\n"
      "| peaks \\| near, cells | all: 7 |  |  | >= 7 |\n"
      "| success, cells | **0.850 [0.800, 0.900]** ~ |  | **0.75 [0.70, 0.90]** ~ |"
      " >= 0.9 (umaze); >= 0.8 (large) |\n"
      "| AUROC, cells | 0.974 [0.951, 0.992] | 0.852 [0.812, 0.892] ~ | **0.700 [0.650, 0.749]** |"
      " >= 0.85 |\n");
  EXPECT_EQ(compact_table(results, {{"success"}, {"umaze"}, "new goals"}),
            "| new goals | umaze | bar |\n"
            "|---|---|---|\n"
            "| success, cells | **0.1** | >= 0.9 |\n");
  EXPECT_EQ(compact_table(results, {{"success"}, {"umaze"}, "other goals"}), "");
}

TEST(ResultsTable, ListsEverythingByItsOrigin) {
  Result good =
      in_maze("umaze", with_interval(0.1, 0.2, result("peak | goal", 0.15, "<= 0.18")), "new goals");
  good.runs = {0.12, 0.18};
  good.seeds = {3, 4};
  good.versions = {{"torch", "2.13.0"}};
  const std::string head =
      "| question | maze | measured | unit | each seed | bar | reached | note "
      "|\n|---|---|---|---|---|---|---|---|\n";
  EXPECT_EQ(
      results_table({result("success", 0.7, ">= 0.9"), good, result("unjudged", 3)}),
      "`diffreward run maze2d-umaze` · commit 0123456789ab · a processor, 2 cores\n\n" + head +
          "| success |  | 0.7 | cells |  | >= 0.9 | **no** |  |\n"
          "| unjudged |  | 3 | cells |  |  |  |  |\n"
          "\n**new goals** · `diffreward run maze2d-umaze` · commit 0123456789ab · seeds 3, 4 ·"
          " a processor, 2 cores · torch 2.13.0\n\n" +
          head +
          "| peak \\| goal | umaze | 0.150 [0.100, 0.200] | cells | 0.120, 0.180 | <= 0.18 | yes ~ |  |\n");
}

TEST(ReplaceTable, KeepsWhatStandsOutsideTheMarkers) {
  const std::string text = "before\n<!-- results:begin -->\nold\n<!-- results:end -->\nafter\n";
  const std::string once = replace_table(text, "| a |\n");
  EXPECT_EQ(once, "before\n<!-- results:begin -->\n| a |\n<!-- results:end -->\nafter\n");
  EXPECT_EQ(replace_table(once, "| a |\n"), once);
  EXPECT_THROW(replace_table("<!-- results:end --> <!-- results:begin -->", ""), InvalidArgument);
  EXPECT_THROW(replace_table("nothing", ""), InvalidArgument);
  EXPECT_EQ(replace_table("<!-- a:begin -->x<!-- a:end -->" + text, "| a |\n", "a"),
            "<!-- a:begin -->\n| a |\n<!-- a:end -->" + text)
      << "other tables of a page stay";
}

TEST(Machine, NamesTheProcessor) {
  const std::string machine = machine_description();
  EXPECT_TRUE(machine.ends_with(" cores") || machine.ends_with(", 1 core")) << machine;
}

}  // namespace
}  // namespace diffreward
