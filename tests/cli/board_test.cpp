// diffreward board from outside: what users type, on tasks small enough for a test.
#include "cli/board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <chrono>

#include "agents/trained.h"
#include "core/file.h"
#include "core/hash.h"
#include "envs/image.h"
#include "leaderboard/board.h"
#include "leaderboard/tasks.h"
#include "tests/cli/run.h"
#include "tests/core/temporary_folder.h"

namespace diffreward::cli {
namespace {

using testing::HasSubstr;

class BoardCommandTest : public testing::Test {
 protected:
  BoardCommandTest() {
    // The project's tasks with few and short episodes.
    const Json tasks = {
        {{"name", "maze/one"},
         {"env", "Maze2D-UMaze-v0"},
         {"options", {{"goal_cell", {1, 1}}}},
         {"norm_low", 0},
         {"norm_high", 10},
         {"stream_pool", {{"seed", 11}, {"episodes", 4}, {"instances", 2}, {"episode_steps", 20}}}},
        {{"name", "maze/two"},
         {"env", "Maze2D-UMaze-v0"},
         {"options", {{"goal_cell", {3, 1}}}},
         {"norm_low", 0},
         {"norm_high", 10},
         {"stream_pool", {{"seed", 12}, {"episodes", 4}, {"instances", 2}, {"episode_steps", 20}}}},
        {{"name", "hop/one"},
         {"env", "Hopper-v4"},
         {"norm_low", 0},
         {"norm_high", 100},
         {"stream_pool", {{"seed", 13}, {"episodes", 2}, {"instances", 2}, {"episode_steps", 15}}}},
        {{"name", "judge/auroc"},
         {"kind", "reward"},
         {"env", "Maze2D-UMaze-v0"},
         {"options", {{"goal_cell", {1, 1}}}},
         {"metric", "auroc"},
         {"norm_low", 0.5},
         {"norm_high", 1},
         {"stream_pool", {{"seed", 14}, {"episodes", 8}, {"instances", 4}, {"episode_steps", 40}}}},
        {{"name", "judge/peak"},
         {"kind", "reward"},
         {"env", "Maze2D-UMaze-v0"},
         {"options", {{"goal_cell", {1, 1}}}},
         {"metric", "peak_to_goal"},
         {"direction", "lower"},
         {"norm_low", 2},
         {"norm_high", 0},
         {"stream_pool", {{"seed", 14}, {"episodes", 8}, {"instances", 4}, {"episode_steps", 40}}}}};
    write_file(folder_ / "tasks.json", tasks.dump());
    good({"init", board_, "--tasks", "none"});
    good({"tasks", board_, "--add", path("tasks.json")});
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  /// A verb on the board, in JSON.
  Outcome verb(std::vector<std::string> args) const {
    args.insert(args.begin(), "board");
    const std::vector<std::string> placed = {"init", "tasks", "list", "export", "check", "gc"};
    if (std::find(placed.begin(), placed.end(), args[1]) == placed.end()) {
      args.push_back("--board");
      args.push_back(board_);
    }
    const std::vector<std::string> computing = {"submit", "verify", "list", "compare", "export"};
    const bool computes = std::find(computing.begin(), computing.end(), args[1]) != computing.end();
    if (computes && std::find(args.begin(), args.end(), "--threads") == args.end()) {
      args.push_back("--threads");
      args.push_back("1");
    }
    args.insert(args.end(), {"--json", "--quiet"});
    return run(args);
  }
  Json good(const std::vector<std::string>& args) const {
    const Outcome outcome = verb(args);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.code == 0 ? Json::parse(outcome.out) : Json();
  }

  TemporaryFolder folder_;
  std::string board_ = (folder_ / "board.sqlite").string();
};

TEST_F(BoardCommandTest, BeginsWithTheProjectsTasks) {
  EXPECT_EQ(good({"init", path("new.sqlite")}).at("tasks"), builtin_board_tasks().size());
  const Outcome again = run({"board", "init", path("new.sqlite")});
  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.err, HasSubstr("expected no file, found one"));
  EXPECT_THAT(run({"board", "tasks", path("new.sqlite")}).out, HasSubstr("robots/Hopper-v4"));
  EXPECT_THAT(run({"board", "list", path("absent.sqlite")}).err, HasSubstr("found no file"));
}

TEST_F(BoardCommandTest, ScriptedAgentsAreScoredOnceAndVerified) {
  const Json first = good({"submit", "waypoints", "--tasks", "maze"}).at("submitted")[0];
  EXPECT_EQ(first.at("new_runs"), 2);
  EXPECT_EQ(good({"submit", "waypoints", "--tasks", "maze"}).at("submitted")[0].at("known_runs"), 2);
  EXPECT_EQ(good({"submit", "waypoints", "--tasks", "maze", "--train-seed", "1", "--threads", "2"})
                .at("submitted")[0]
                .at("new_runs"),
            2);
  const Json verified = good({"verify", "waypoints"});
  EXPECT_EQ(verified.at("verified"), 4);
  const Json list = good({"list", board_});
  ASSERT_EQ(list.at("suites").size(), 1u);
  EXPECT_EQ(list.at("suites")[0].at("rows")[0].at("checked"), "verified");
  EXPECT_EQ(list.at("suites")[0].at("rows")[0].at("command"), "diffreward board submit waypoints");
  EXPECT_EQ(good({"list", board_}), list);
  EXPECT_THAT(run({"board", "list", board_}).out, HasSubstr("waypoints"));
  EXPECT_EQ(good({"check", board_}).at("faults").size(), 0u);
}

TEST_F(BoardCommandTest, TrainedAgentsBringTheirCommandAndHashes) {
  if (!trained_folder("Hopper-v4/medium")) GTEST_SKIP() << "this installation lacks trained agents";
  EXPECT_EQ(good({"submit", "Hopper-v4/medium", "--name", "medium"}).at("submitted")[0].at("tasks"),
            Json::array({"hop/one"}));
  EXPECT_EQ(good({"submit", "Hopper-v4/medium-1", "--name", "medium"}).at("submitted")[0].at("new_entry"),
            false);
  const Json row = good({"show", "medium", "--episodes"});
  ASSERT_EQ(row.at("runs").size(), 2u);
  EXPECT_THAT(row.at("command").get<std::string>(), HasSubstr("diffreward rl --env Hopper-v4"));
  EXPECT_EQ(row.at("runs")[1].at("train_seed"), 1);
  EXPECT_EQ(row.at("runs")[0].at("episodes").at("score").size(), 2u);
  EXPECT_EQ(row.at("runs")[0].at("weights").get<std::string>().size(), 64u);
  EXPECT_EQ(good({"verify", "medium"}).at("verified"), 2);

  // One bit of the weights.
  std::filesystem::create_directory(path("changed"));
  std::string bytes = read_file(*trained_folder("Hopper-v4/medium") / "agent.safetensors");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_bytes(path("changed/agent.safetensors"), bytes);
  const Outcome changed = verb({"verify", "medium", "--files", path("changed")});
  EXPECT_EQ(changed.code, 1);
  EXPECT_EQ(Json::parse(changed.out).at("runs")[0].at("outcome"), "changed");
  EXPECT_EQ(good({"list", board_}).at("suites")[0].at("rows")[0].at("checked"), "refuted");
}

TEST_F(BoardCommandTest, FilesBelowAFolderAreFoundByTheirContent) {
  if (!trained_folder("Hopper-v4/medium")) GTEST_SKIP() << "this installation lacks trained agents";
  good({"submit", "Hopper-v4/medium", "--name", "medium", "--keep", "0"});
  good({"submit", "Hopper-v4/medium-1", "--name", "medium", "--keep", "0"});
  good({"export", board_, "--out", path("board.json")});
  good({"init", path("other.sqlite"), "--tasks", "none"});
  ASSERT_EQ(run({"board", "import", path("board.json"), "--board", path("other.sqlite")}).code, 0);
  const auto verified = [&](const std::string& files) {
    std::vector<std::string> args = {"board",     "verify", "medium", "--board", path("other.sqlite"),
                                     "--threads", "1",      "--json", "--quiet"};
    if (!files.empty()) args.insert(args.end(), {"--files", files});
    const Outcome outcome = run(args);
    std::vector<std::string> outcomes;
    EXPECT_EQ(outcome.err, "");
    const Json told = Json::parse(outcome.out);
    for (const Json& one : told.at("runs")) outcomes.push_back(one.at("outcome"));
    return outcomes;
  };
  EXPECT_THAT(verified(""), testing::ElementsAre("missing", "missing"));
  // Two runs of one role, in folders of any names; another file of the size stands first.
  std::string bytes = read_file(*trained_folder("Hopper-v4/medium") / "agent.safetensors");
  std::filesystem::create_directories(path("files/deep/er"));
  write_bytes(path("files/deep/er/b.safetensors"), bytes);
  write_bytes(path("files/c.safetensors"),
              read_file(*trained_folder("Hopper-v4/medium-1") / "agent.safetensors"));
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_bytes(path("files/a.safetensors"), bytes);
  EXPECT_THAT(verified(path("files")), testing::ElementsAre("verified", "verified"));
  std::filesystem::remove(path("files/c.safetensors"));
  EXPECT_THAT(verified(path("files")), testing::ElementsAre("verified", "missing"));
  const Outcome none = verb({"verify", "medium", "--files", path("absent")});
  EXPECT_EQ(none.code, 1);
  EXPECT_THAT(none.err, HasSubstr("absent: expected a folder"));
}

TEST_F(BoardCommandTest, AnotherMachineVerifiesNothing) {
  good({"submit", "waypoints", "--tasks", "maze/one"});
  Board board(board_);
  const BoardRun run_here = board.runs(1)[0];
  BoardSubmission elsewhere{.entry = board.entry("waypoints"), .runs = {run_here}};
  elsewhere.entry.name = "elsewhere";
  elsewhere.runs[0].machine = std::string(64, 'e');
  elsewhere.runs[0].episodes = board.episodes(run_here.id);
  board.submit(elsewhere);
  elsewhere.entry.name = "nearly";
  elsewhere.runs[0].episodes[1].score += 1;
  board.submit(elsewhere);
  elsewhere.entry.name = "wrong";
  elsewhere.runs[0].machine = run_here.machine;
  board.submit(elsewhere);
  EXPECT_EQ(good({"verify", "elsewhere"}).at("verified"), 0);
  EXPECT_EQ(good({"verify", "elsewhere"}).at("runs")[0].at("equal_bits"), true);
  const Json nearly = good({"verify", "nearly"}).at("runs")[0];
  EXPECT_EQ(nearly.at("outcome"), "other_machine");
  EXPECT_EQ(nearly.at("difference"), -0.25);
  EXPECT_THAT(nearly.at("first_difference").get<std::string>(), HasSubstr("stream 1"));
  const Outcome wrong = verb({"verify", "wrong"});
  EXPECT_EQ(wrong.code, 1);
  EXPECT_EQ(Json::parse(wrong.out).at("runs")[0].at("outcome"), "differs");
  const Json list = good({"list", board_});
  for (const Json& row : list.at("suites")[0].at("rows"))
    EXPECT_EQ(row.at("checked"), row.at("name") == "wrong" ? "refuted" : "claimed") << row.at("name");
}

TEST_F(BoardCommandTest, FailedRunsAndRetractionsStay) {
  good({"submit", "crashed", "--failed", "out of memory", "--tasks", "maze/one", "--train-seed", "3"});
  EXPECT_EQ(verb({"submit", "crashed", "--failed", "out of memory"}).code, 2);
  good({"submit", "waypoints", "--tasks", "maze/one"});
  const Json rows = good({"list", board_}).at("suites")[0].at("rows");
  EXPECT_EQ(rows[0].at("name"), "waypoints");
  EXPECT_EQ(rows[1].at("failed"), 1);
  EXPECT_TRUE(rows[1].at("value").is_null());
  EXPECT_EQ(good({"show", "crashed"}).at("runs")[0].at("message"), "out of memory");
  EXPECT_EQ(verb({"verify", "crashed"}).code, 1);
  good({"retract", "crashed", "--reason", "not ours"});
  EXPECT_EQ(good({"list", board_}).at("suites")[0].at("rows").size(), 1u);
  EXPECT_EQ(good({"show", "crashed"}).at("retracted"), "not ours");
  EXPECT_EQ(good({"gc", board_}).at("bytes_freed"), 0);
}

TEST_F(BoardCommandTest, AFailedRunIsOneOfItsMethods) {
  good({"submit", "waypoints", "--tasks", "maze/one", "--name", "ours"});
  const std::vector<std::string> failed = {"submit",        "ours",    "--failed",
                                           "out of memory", "--tasks", "maze/one"};
  const Outcome seedless = verb(failed);
  EXPECT_EQ(seedless.code, 2);
  EXPECT_THAT(seedless.err, HasSubstr("--train-seed"));
  std::vector<std::string> seeded = failed;
  seeded.insert(seeded.end(), {"--train-seed", "1", "--note", "of the cluster"});
  const Json receipt = good(seeded).at("submitted")[0];
  EXPECT_EQ(receipt.at("new_entry"), false);
  EXPECT_EQ(receipt.at("new_runs"), 1);
  EXPECT_THAT(receipt.at("ignored")[0].get<std::string>(), HasSubstr("note"));
  EXPECT_EQ(good(seeded).at("submitted")[0].at("known_runs"), 1);
  const Json rows = good({"list", board_}).at("suites")[0].at("rows");
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].at("failed"), 1);
  EXPECT_EQ(good({"submit", "waypoints", "--tasks", "maze/one", "--name", "ours", "--train-seed", "2"})
                .at("submitted")[0]
                .at("new_runs"),
            1);

  Board board(board_);
  board.submit({.entry = {.name = "ours", .kind = "reward"}});
  seeded[6] = "--train-seed";
  seeded[7] = "5";
  const Outcome ambiguous = verb(seeded);
  EXPECT_EQ(ambiguous.code, 1);
  EXPECT_THAT(ambiguous.err, HasSubstr("found rows 1, 2"));
  seeded[1] = "1";
  EXPECT_EQ(good(seeded).at("submitted")[0].at("row"), 1);
}

TEST_F(BoardCommandTest, AStrangersBoardWritesNoFileElsewhere) {
  good({"submit", "waypoints", "--tasks", "maze/one"});
  const std::string target = path("written");
  sqlite3* database = nullptr;
  sqlite3_open(board_.c_str(), &database);
  // As a stranger would: the kind and the role are a path.
  const std::string hash = sha256("bytes");
  const std::string sql =
      concat("DROP TRIGGER entry_keeps_UPDATE; DROP TRIGGER run_keeps_UPDATE; UPDATE entry SET kind = '",
             target, "'; UPDATE run SET inputs = '{\"", target, "\":\"", hash,
             "\"}'; INSERT INTO content VALUES('", hash, "', CAST('bytes' AS BLOB))");
  EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(database);
  sqlite3_close(database);
  EXPECT_EQ(verb({"verify", "1"}).code, 1);
  EXPECT_FALSE(std::filesystem::exists(target + ".safetensors"));
}

TEST_F(BoardCommandTest, UnsoundTasksAreNotAdded) {
  const Json sound = {{"name", "new/a"},
                      {"env", "Maze2D-UMaze-v0"},
                      {"norm_low", 0},
                      {"norm_high", 10},
                      {"stream_pool", {{"seed", 11}, {"episodes", 4}}}};
  const auto refused = [&](const std::string& key, const Json& value) {
    Json wrong = sound;
    wrong["name"] = "new/b";
    wrong[key] = value;
    write_file(path("new.json"), Json({sound, wrong}).dump());
    const Outcome outcome = verb({"tasks", board_, "--add", path("new.json")});
    EXPECT_EQ(outcome.code, 1) << key;
    EXPECT_THAT(outcome.err, HasSubstr("new/b")) << key;
    return outcome.err;
  };
  EXPECT_THAT(refused("kind", "behavior"), HasSubstr("kind: expected"));
  EXPECT_THAT(refused("env", "Maze2D-UMaze-v9"), HasSubstr("env"));
  EXPECT_THAT(refused("options", {{"goal_sell", {1, 1}}}), HasSubstr("goal_sell"));
  EXPECT_THAT(refused("stream_pool", {{"sead", 1}}), HasSubstr("sead"));
  EXPECT_THAT(refused("metric", "auroc"), HasSubstr("metric"));
  EXPECT_EQ(Board(board_).tasks().size(), 5u) << "all of a file, or nothing";
  write_file(path("new.json"), sound.dump());
  EXPECT_EQ(good({"tasks", board_, "--add", path("new.json")}).at("added"), 1);
}

TEST_F(BoardCommandTest, NotesBesideFilesVouchForNothing) {
  if (!trained_folder("Hopper-v4/medium")) GTEST_SKIP() << "this installation lacks trained agents";
  good({"submit", "Hopper-v4/medium", "--name", "medium"});
  std::filesystem::create_directory(path("theirs"));
  const std::filesystem::path file = path("theirs/agent.safetensors");
  std::string bytes = read_file(*trained_folder("Hopper-v4/medium") / "agent.safetensors");
  const std::string hash = sha256(bytes);
  write_bytes(file, bytes);
  std::filesystem::last_write_time(file,
                                   std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_EQ(sha256_of(file), hash);
  ASSERT_TRUE(std::filesystem::exists(path("theirs/.agent.safetensors.sha256")));
  const auto time = std::filesystem::last_write_time(file);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_bytes(file, bytes);
  std::filesystem::last_write_time(file, time);
  const Outcome changed = verb({"verify", "medium", "--files", path("theirs")});
  EXPECT_EQ(changed.code, 1);
  EXPECT_EQ(Json::parse(changed.out).at("runs")[0].at("outcome"), "changed");
}

TEST_F(BoardCommandTest, ComparesRowsInOneSentence) {
  for (const char* seed : {"0", "1", "2"})
    for (const char* agent : {"waypoints", "random"})
      good({"submit", agent, "--tasks", "maze", "--train-seed", seed});
  const Outcome told = run({"board", "compare", "waypoints", "random", "--board", board_, "--quiet"});
  EXPECT_EQ(told.code, 0) << told.err;
  EXPECT_THAT(told.out, HasSubstr("waypoints"));
  EXPECT_EQ(std::count(told.out.begin(), told.out.end(), '\n'), 1);
  EXPECT_THAT(run({"board", "compare", "waypoints", "rendom", "--board", board_}).err,
              HasSubstr("did you mean 'random'"));
  EXPECT_TRUE(good({"compare", "1", "2", "--spend"}).contains("look"));
}

TEST_F(BoardCommandTest, WholeJobsAreSubmittedAndVerified) {
  ASSERT_EQ(run({"run", "maze2d-tiny", "--only", "reward,rl_true", "--threads", "1", "--out", path("job"),
                 "--quiet"})
                .code,
            0);
  const Json submitted = good({"submit", path("job")});
  std::vector<std::string> names;
  for (const Json& receipt : submitted.at("submitted")) names.push_back(receipt.at("name"));
  EXPECT_THAT(names, testing::Contains("rl_true"));
  EXPECT_FALSE(submitted.at("left_out").empty()) << "a reward names no environment";
  good({"submit", path("job/reward"), "--tasks", "judge"});
  const Json reward = good({"show", "reward"});
  EXPECT_EQ(reward.at("runs").size(), 2u);
  EXPECT_TRUE(reward.at("runs")[0].at("inputs").contains("expert_data"));
  std::filesystem::remove_all(path("job"));  // the board keeps what it needs
  EXPECT_EQ(good({"verify", "reward"}).at("verified"), 2);
  EXPECT_EQ(good({"verify", "rl_true"}).at("refused"), 0);
  EXPECT_EQ(good({"check", board_}).at("faults").size(), 0u);
}

TEST_F(BoardCommandTest, PlannersAreScoredByTheirOwnStage) {
  ASSERT_EQ(run({"run", "maze2d-tiny", "--out", path("job"), "--only", "base_steered_model,guide",
                 "--threads", "1", "--quiet"})
                .code,
            0);
  ASSERT_EQ(run({"plan",
                 "--model",
                 path("job/base_steered_model"),
                 "--rewards",
                 path("job/guide"),
                 "--env",
                 "Maze2D-UMaze-v0",
                 "--env-option",
                 "goal_cell=1,1",
                 "--count",
                 "2",
                 "--episodes",
                 "2",
                 "--episode-steps",
                 "8",
                 "--replan-every",
                 "8",
                 "--threads",
                 "1",
                 "--sample.sampler",
                 "ddim",
                 "--sample.steps",
                 "3",
                 "--out",
                 path("plan"),
                 "--quiet"})
                .code,
            0);
  const Json receipt = good({"submit", path("plan")}).at("submitted")[0];
  EXPECT_EQ(receipt.at("tasks"), Json::array({"maze/one"}));
  std::filesystem::remove_all(path("job"));
  EXPECT_EQ(good({"verify", "plan", "--threads", "1"}).at("verified"), 1);
}

TEST_F(BoardCommandTest, ExportsAndImports) {
  good({"submit", "waypoints", "--tasks", "maze"});
  good({"export", board_, "--page", "--out", path("board.html")});
  EXPECT_THAT(read_file(path("board.html")), HasSubstr("waypoints"));
  write_png(path("peak-of_rho.png"), Image{2, 1, std::vector<std::uint8_t>(6, 7)});
  const std::string picture = path("peak-of_rho.png");
  good({"export", board_, "--page", "--pictures", "waypoints=" + picture, "--out", path("shown.html")});
  EXPECT_THAT(read_file(path("shown.html")), HasSubstr("<figcaption>peak of rho</figcaption>"));
  EXPECT_THAT(verb({"export", board_, "--page", "--pictures", picture}).err,
              HasSubstr("pictures: expected ROW=FILE, got"));
  EXPECT_THAT(verb({"export", board_, "--page", "--pictures", "nobody=" + picture}).err, HasSubstr("nobody"));
  EXPECT_EQ(verb({"export", board_, "--pictures", "waypoints=" + picture}).code, 2);
  for (const char* format : {"json", "csv", "markdown"}) {
    const Outcome printed = run({"board", "export", board_, "--format", format});
    EXPECT_EQ(printed.code, 0) << printed.err;
    EXPECT_THAT(printed.out, HasSubstr("waypoints"));
  }
  EXPECT_EQ(verb({"export", board_, "--format", "card"}).code, 2);
  good({"export", board_, "--format", "card", "--row", "waypoints", "--out", path("README.md")});
  good({"export", board_, "--out", path("board.json")});
  good({"init", path("other.sqlite"), "--tasks", "none"});
  const auto import = [&](const std::string& file) {
    return run({"board", "import", path(file), "--board", path("other.sqlite"), "--json"});
  };
  EXPECT_EQ(import("board.json").code, 0);
  EXPECT_EQ(run({"board", "verify", "waypoints", "--board", path("other.sqlite"), "--quiet"}).code, 0)
      << "rows can be run again there";
  EXPECT_EQ(import("README.md").code, 0);
  const Outcome imported = run({"board", "verify", "3", "--board", path("other.sqlite")});
  EXPECT_EQ(run({"board", "verify", "2", "--board", path("other.sqlite")}).code, 1);
  EXPECT_THAT(run({"board", "verify", "2", "--board", path("other.sqlite")}).err,
              HasSubstr("not verifiable here"));
  EXPECT_EQ(imported.code, 1);
}

TEST_F(BoardCommandTest, ConfigFilesNameTheBoardToo) {
  write_file(path("run.toml"), concat("[board.list]\nboard = \"", board_,
                                      "\"\n[board.list.statistics]\naggregate = \"mean\"\n"));
  const Outcome outcome = run({"board", "list", "--config", path("run.toml"), "--json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
}

}  // namespace
}  // namespace diffreward::cli
