// The project's own board, leaderboard/board.json: README shows what it says, and a row of each kind comes out again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "core/file.h"
#include "leaderboard/machine.h"
#include "leaderboard/results.h"
#include "tests/cli/run.h"
#include "tests/core/temporary_folder.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = DIFFREWARD_SOURCE_DIR;

class ProjectBoardTest : public testing::Test {
 protected:
  ProjectBoardTest() : json_(parse_json(read_file(kSource / "leaderboard/board.json"), "board.json")) {}

  /// Everything in a board of its own.
  std::string imported() const {
    const std::string board = (folder_ / "board.sqlite").string();
    write_file(folder_ / "board.json", json_.dump());
    for (const std::vector<std::string>& args :
         {std::vector<std::string>{"board", "init", board, "--tasks", "none"},
          {"board", "import", (folder_ / "board.json").string(), "--board", board}}) {
      const Outcome outcome = run(args);
      EXPECT_EQ(outcome.code, 0) << outcome.err;
    }
    return board;
  }
  static Outcome verify(const std::string& board, const std::string& row, const std::string& tasks) {
    return run({"board", "verify", row, "--tasks", tasks, "--board", board, "--files",
                (kSource / "agents/trained").string(), "--threads", "1", "--json", "--quiet"});
  }

  TemporaryFolder folder_;
  Json json_;
};

TEST_F(ProjectBoardTest, ReadmeShowsWhatItSays) {
  const Outcome table =
      run({"board", "export", imported(), "--format", "markdown", "--tasks", "robots", "--threads", "1"});
  ASSERT_EQ(table.code, 0) << table.err;
  const std::string readme = read_file(kSource / "README.md");
  EXPECT_EQ(replace_table(readme, table.out, "leaderboard"), readme) << "make board puts it there";
}

TEST_F(ProjectBoardTest, ARowOfEachKindComesOutAgain) {
  const std::string board = imported();
  std::set<std::string> kinds;
  for (const auto& [row, tasks] : {std::pair{"waypoints", "maze2d/open"},
                                   {"random", "maze2d/umaze"},
                                   {"medium", "robots/Hopper-v4"},
                                   {"planner", "maze2d/umaze"},
                                   {"rho", "rewards/umaze/auroc"}}) {
    const Outcome outcome = verify(board, row, tasks);
    EXPECT_EQ(outcome.code, 0) << row << ": " << outcome.out;
    if (outcome.code != 0) continue;
    const Json result = Json::parse(outcome.out);
    EXPECT_FALSE(result.at("runs").empty());
    for (const Json& told : result.at("runs")) {
      // Other machines may compute other bits, and promise nothing.
      EXPECT_THAT(told.at("outcome"), testing::AnyOf("verified", "other_machine")) << told.dump();
    }
    for (const Json& entry : json_.at("entries"))
      if (entry.at("name") == row) kinds.insert(entry.at("kind"));
  }
  EXPECT_EQ(kinds.size(), 4u) << "scripted agents, agents, planners and rewards";
}

TEST_F(ProjectBoardTest, AScoreThatWasChangedIsFound) {
  for (Json& entry : json_.at("entries"))
    for (Json& run : entry.at("runs")) {
      if (entry.at("name") != "waypoints") continue;
      run["machine"] = this_machine().fingerprint;
      Json& score = run.at("episodes").at("score").at(7);
      score = score.get<double>() + 1e-9;
    }
  const Outcome outcome = verify(imported(), "waypoints", "maze2d/open");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, testing::HasSubstr("\"differs\""));
}

}  // namespace
}  // namespace diffreward::cli
