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
  return {name, value, "cells", bar, "diffreward demo", "0123456789ab", "a processor, 2 cores"};
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

TEST_F(ResultsFile, RoundTripsSortedByName) {
  Result full = result("b", 0.125, ">= 0.1");
  full.interval = {0.1, 0.2};
  full.seeds = {0, 1, 2};
  full.note = "three seeds";
  save_results(path_, {full, result("a", 2)});
  const std::vector<Result> read = load_results(path_);
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].name, "a");
  EXPECT_FALSE(read[0].interval.has_value());
  EXPECT_EQ(read[1].json(), full.json());
  EXPECT_EQ(read[1].seeds, (std::vector<std::uint64_t>{0, 1, 2}));
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

TEST_F(ResultsFile, RefusesWhatItCouldNotReadBack) {
  EXPECT_THROW(save_results(path_, {result("a", 1), result("a", 2)}), InvalidArgument);
  EXPECT_THROW(save_results(path_, {result("a", std::numeric_limits<double>::infinity())}), InvalidArgument);
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
  EXPECT_NE(message("{}").find("expected a list"), std::string::npos);
  EXPECT_NE(message("[1, 2").find("expected JSON"), std::string::npos);
}

TEST(FormatNumber, ShowsThreeDigits) {
  EXPECT_EQ(format_number(0), "0");
  EXPECT_EQ(format_number(0.91349), "0.913");
  EXPECT_EQ(format_number(0.5), "0.5");
  EXPECT_EQ(format_number(0.0001234), "0.000123");
  EXPECT_EQ(format_number(-2.346), "-2.35");
  EXPECT_EQ(format_number(276.4), "276");
  EXPECT_EQ(format_number(1237.0), "1,240");
  EXPECT_EQ(format_number(-523456), "-523,000");
  EXPECT_EQ(format_number(1239999), "1,240,000");
  EXPECT_EQ(format_number(1e-9), "1.00e-09");
  EXPECT_EQ(format_number(std::nan("")), "n/a");
}

TEST(ResultsTable, ReplacesWhatStandsBetweenTheMarkers) {
  Result good = result("peak | goal", 0.12, "<= 0.5");
  good.interval = {0.1, 0.2};
  const std::vector<Result> results = {good, result("success", 0.7, ">= 0.9"), result("unjudged", 3)};
  const std::string text = "before\n<!-- results:begin -->\nold\n<!-- results:end -->\nafter\n";
  const std::string once = replace_table(text, results);
  EXPECT_EQ(once,
            "before\n<!-- results:begin -->\n"
            "| what | measured | bar | reached |\n|---|---|---|---|\n"
            "| peak \\| goal | 0.12 [0.1, 0.2] cells | <= 0.5 | yes |\n"
            "| success | 0.7 cells | >= 0.9 | **no** |\n"
            "| unjudged | 3 cells |  |  |\n"
            "<!-- results:end -->\nafter\n");
  EXPECT_EQ(replace_table(once, results), once);
  EXPECT_THROW(replace_table("<!-- results:end --> <!-- results:begin -->", results), InvalidArgument);
  EXPECT_THROW(replace_table("nothing", results), InvalidArgument);
}

TEST(Provenance, NamesProcessorAndCommit) {
  const std::string machine = machine_description();
  EXPECT_TRUE(machine.ends_with(" cores") || machine.ends_with(", 1 core")) << machine;
  EXPECT_EQ(source_commit(fs::path(testing::TempDir()) / "no such 'folder'"), "unknown");
  const std::string commit = source_commit(DIFFREWARD_SOURCE_DIR);
  EXPECT_TRUE(commit == "unknown" || commit.size() >= 12) << commit;
}

}  // namespace
}  // namespace diffreward
