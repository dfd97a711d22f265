#include "leaderboard/board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <fstream>
#include <limits>
#include <thread>

#include "core/error.h"
#include "core/hash.h"
#include "leaderboard/schema.h"
#include "tests/core/temporary_folder.h"
#include "tests/leaderboard/submissions.h"

namespace diffreward {
namespace {

using testing::HasSubstr;

BoardTask task_named(const std::string& name) {
  return {.name = name,
          .env = "Hopper-v4",
          .norm_low = 0,
          .norm_high = 100,
          .pool = {{"seed", 5}, {"episodes", 3}}};
}

BoardSubmission submission_of(const std::string& name, std::uint64_t seed,
                              const std::vector<double>& scores = {1, 2, 3}) {
  return {.entry = {.name = name}, .runs = {run_of("s/a", seed, scores)}};
}

/// SQL from outside, as another program would send it; the message where it is refused.
std::string outside(const std::filesystem::path& path, const std::string& sql) {
  sqlite3* database = nullptr;
  sqlite3_open(path.c_str(), &database);
  char* message = nullptr;
  sqlite3_exec(database, sql.c_str(), nullptr, nullptr, &message);
  const std::string out = message == nullptr ? "" : message;
  sqlite3_free(message);
  sqlite3_close(database);
  return out;
}

class BoardTest : public testing::Test {
 protected:
  Board make() { return Board::create(path_, {task_named("s/a"), task_named("s/b")}); }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "board.sqlite";
};

TEST_F(BoardTest, KeepsWhatIsSubmittedBitForBit) {
  const double third = 1.0 / 3, tiny = std::numeric_limits<double>::denorm_min();
  {
    Board board = make();
    BoardSubmission given = submission_of("PPO", 7, {third, tiny, -0.0});
    given.entry.command = "diffreward rl";
    given.runs[0].config = {{"b", 1}, {"a", {{"y", 2.5}}}};
    given.runs[0].weights = sha256("weights");
    given.runs[0].inputs = {{"agent", sha256("weights")}, {"data", sha256("data")}};
    given.artifacts = {{sha256("weights"), 7, "weights", "file"}};
    given.contents = {{sha256("weights"), "weights"}};
    const BoardReceipt receipt = board.submit(given);
    EXPECT_TRUE(receipt.new_entry);
    EXPECT_EQ(receipt.new_runs, 1);
  }
  const Board board(path_);
  const std::vector<BoardRun> runs = board.runs(board.entry("PPO").id);
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(board.episodes(runs[0].id),
            (std::vector<BoardEpisode>{{0, third, 10}, {1, tiny, 10}, {2, 0.0, 10}}));
  EXPECT_FALSE(std::signbit(board.episodes(runs[0].id)[2].score));
  EXPECT_EQ(runs[0].train_seed, 7u);
  EXPECT_EQ(runs[0].config, Json({{"a", {{"y", 2.5}}}, {"b", 1}}));
  EXPECT_EQ(runs[0].inputs.at("data"), sha256("data"));
  EXPECT_EQ(board.content(sha256("weights")), "weights");
  EXPECT_EQ(board.artifact(sha256("data"))->bytes, -1);
  EXPECT_EQ(board.entry("1").command, "diffreward rl");
  EXPECT_EQ(board.entry(board.entry("PPO").hash().substr(0, 8)).name, "PPO");
  EXPECT_THAT(board.check().faults, testing::IsEmpty());
}

TEST_F(BoardTest, SubmittingAgainAddsNothing) {
  Board board = make();
  board.submit(submission_of("PPO", 0));
  const std::string head = board.head();
  const BoardReceipt again = board.submit(submission_of("PPO", 0));
  EXPECT_FALSE(again.new_entry);
  EXPECT_EQ(again.new_runs, 0);
  EXPECT_EQ(again.known_runs, 1);
  EXPECT_EQ(board.head(), head);
  EXPECT_EQ(board.submit(submission_of("PPO", 1)).new_runs, 1);
  EXPECT_EQ(board.entries().size(), 1u) << "parts are one entry";
}

TEST_F(BoardTest, OtherScoresOfARunAreRefusedAndNothingChanges) {
  Board board = make();
  board.submit(submission_of("PPO", 0));
  const std::string head = board.head();
  BoardSubmission other = submission_of("PPO", 0, {1, 2, std::nextafter(3.0, 4.0)});
  other.runs.insert(other.runs.begin(), run_of("s/b", 0, {1}));
  EXPECT_THAT(message_of<InvalidArgument>([&] { board.submit(other); }),
              HasSubstr("s/a, seed 0: the board has it with other scores"));
  EXPECT_EQ(board.head(), head) << "all or nothing";
  other = submission_of("PPO", 0);
  other.runs[0].weights = sha256("one bit");
  EXPECT_THAT(message_of<InvalidArgument>([&] { board.submit(other); }), HasSubstr("other weights"));
}

TEST_F(BoardTest, RunsOfOneTaskShareTheirConfig) {
  Board board = make();
  BoardSubmission given = submission_of("PPO", 0);
  given.runs[0].config = {{"ppo", {{"lr", 1e-3}}}};
  board.submit(given);
  given.runs[0].train_seed = 1;
  given.runs[0].config = {{"ppo", {{"lr", 1e-4}}}};
  EXPECT_THAT(message_of<InvalidArgument>([&] { board.submit(given); }),
              testing::AllOf(HasSubstr("/ppo/lr"), HasSubstr("another name")));
  given.runs[0].config = {{"ppo", {{"lr", {1e-3, 1e-3}}}}};
  EXPECT_THROW(board.submit(given), InvalidArgument);
  given.runs[0].config = {{"ppo", {{"lr", 1e-3}, {"clip", 0.2}}},
                          {"anchor", ""}};  // options of a later program
  EXPECT_EQ(board.submit(given).new_runs, 1);
  given.runs[0].train_seed = 2;
  given.runs[0].config = {{"ppo", {{"lr", 1e-4}}}};
  given.runs[0].task = "s/b";  // another task may have settings of its own
  EXPECT_EQ(board.submit(given).new_runs, 1);
}

TEST_F(BoardTest, FailedRunsStay) {
  Board board = make();
  BoardSubmission given = submission_of("PPO", 0, {1, std::nan(""), 3});
  given.runs.push_back({.task = "s/b", .status = "failed", .message = "out of memory"});
  board.submit(given);
  const std::vector<BoardRun> runs = board.runs();
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_TRUE(runs[0].failed());
  EXPECT_TRUE(std::isnan(runs[0].score));
  EXPECT_THAT(runs[0].message, HasSubstr("stream 1"));
  EXPECT_EQ(runs[1].message, "out of memory");
  EXPECT_EQ(board.submit(given).known_runs, 2);
  EXPECT_THAT(board.check().faults, testing::IsEmpty());
}

TEST_F(BoardTest, TasksNeverChange) {
  Board board = make();
  EXPECT_FALSE(board.add_task(task_named("s/a")));
  BoardTask other = task_named("s/a");
  other.norm_high = 101;
  EXPECT_THAT(message_of<InvalidArgument>([&] { board.add_task(other); }), HasSubstr("tasks never change"));
  other.name = "s/c";
  EXPECT_TRUE(board.add_task(other));
  EXPECT_EQ(board.task("s/c").hash(), other.hash());
  other.direction = "lower";
  other.name = "s/d";
  EXPECT_THROW(board.add_task(other), InvalidArgument);
  EXPECT_THAT(message_of<InvalidArgument>([&] { (void)board.task("s/x"); }), HasSubstr("unknown task 's/x'"));
}

TEST_F(BoardTest, RowsAreNeverChangedByOtherProgramsEither) {
  {
    Board board = make();
    board.submit(submission_of("PPO", 0));
  }
  for (const char* table : {"event", "task", "entry", "run", "episode"}) {
    EXPECT_THAT(outside(path_, concat("DELETE FROM ", table)), HasSubstr("never changed or removed"));
    EXPECT_THAT(outside(path_, concat("UPDATE ", table, " SET rowid = rowid + 1")),
                testing::Not(testing::IsEmpty()));
  }
  EXPECT_THAT(outside(path_, "UPDATE episode SET score = 9"), HasSubstr("never changed or removed"));
}

TEST_F(BoardTest, CheckFindsWhatWasChangedInSpiteOfTheTriggers) {
  const auto made = [&] {
    std::filesystem::remove(path_);
    Board board = make();
    board.submit(submission_of("PPO", 0));
    board.submit(submission_of("SAC", 0));
    board.retract(2, std::nullopt, "a mistake");
  };
  const std::string triggers =
      "DROP TRIGGER episode_keeps_UPDATE; DROP TRIGGER run_keeps_UPDATE; DROP TRIGGER "
      "retraction_keeps_DELETE; DROP "
      "TRIGGER event_keeps_DELETE; DROP TRIGGER event_keeps_UPDATE; DROP TRIGGER task_keeps_UPDATE;";
  for (const char* change :
       {"UPDATE episode SET score = 2.5 WHERE run = 1 AND stream = 1",
        "UPDATE run SET score = 99 WHERE id = 2", "DELETE FROM retraction",
        "UPDATE task SET norm_high = 50 WHERE id = 1", "UPDATE run SET train_seed = 5 WHERE id = 1",
        "UPDATE event SET body = replace(body, 'PPO', 'PPP')", "DELETE FROM event WHERE id = 3",
        "INSERT INTO episode VALUES(1, 77, 1.0, 1)"}) {
    made();
    ASSERT_THAT(Board(path_).check().faults, testing::IsEmpty());
    ASSERT_EQ(outside(path_, triggers + change), "") << change;
    EXPECT_THAT(Board(path_).check().faults, testing::Not(testing::IsEmpty())) << change;
  }
}

TEST_F(BoardTest, AKeptHashShowsThatTheEndWasCutOff) {
  std::string head;
  {
    Board board = make();
    board.submit(submission_of("PPO", 0));
    std::filesystem::copy_file(path_, folder_ / "earlier.sqlite");
    if (std::filesystem::exists(path_.string() + "-wal"))
      std::filesystem::copy_file(path_.string() + "-wal", (folder_ / "earlier.sqlite").string() + "-wal");
    board.submit(submission_of("SAC", 0));
    head = board.head();
    EXPECT_THAT(board.check(head).faults, testing::IsEmpty());
  }
  const Board earlier(folder_ / "earlier.sqlite");
  EXPECT_THAT(earlier.check().faults, testing::IsEmpty());
  EXPECT_THAT(earlier.check(head).faults, testing::ElementsAre(HasSubstr(head)));
}

TEST_F(BoardTest, RetractionsAreRows) {
  Board board = make();
  board.submit(submission_of("PPO", 0));
  board.submit(submission_of("PPO", 1));
  board.retract(1, 2, "wrong data");
  EXPECT_EQ(board.runs()[1].retracted, "wrong data");
  EXPECT_FALSE(board.runs()[0].retracted);
  // Another attempt of that seed is welcome, with other scores.
  EXPECT_EQ(board.submit(submission_of("PPO", 1, {4, 5, 6})).new_runs, 1);
  EXPECT_THROW(board.retract(1, 2, "again"), InvalidArgument);
  board.retract(1, std::nullopt, "all of it");
  EXPECT_EQ(board.entry("PPO").retracted, "all of it");
  EXPECT_THAT(message_of<InvalidArgument>([&] { board.submit(submission_of("PPO", 5)); }),
              HasSubstr("all of it"));
  EXPECT_EQ(board.runs().size(), 3u) << "nothing is removed";
  EXPECT_THAT(board.check().faults, testing::IsEmpty());
}

TEST_F(BoardTest, SupersededEntriesNameTheirSuccessor) {
  Board board = make();
  const BoardReceipt old = board.submit(submission_of("PPO", 0));
  BoardSubmission next = submission_of("PPO 2", 0);
  next.entry.supersedes = old.entry;
  const BoardReceipt successor = board.submit(next);
  EXPECT_EQ(board.entry("PPO").superseded_by, successor.entry);
  next.entry.name = "PPO 3";
  next.entry.supersedes = std::string(64, 'a');
  EXPECT_THROW(board.submit(next), InvalidArgument);
}

TEST_F(BoardTest, NamesOfAnyKindComeBack) {
  const std::vector<std::string>& names = hostile_names();
  Board board = make();
  for (const std::string& name : names) board.submit(submission_of(name, 0));
  std::vector<std::string> found;
  for (const BoardEntry& entry : Board(path_).entries()) found.push_back(entry.name);
  EXPECT_EQ(found, names);
  EXPECT_THAT(board.check().faults, testing::IsEmpty());
  EXPECT_THROW(board.submit(submission_of("\xFF", 0)), InvalidArgument);
  EXPECT_EQ(board.entry(names[5]).name, names[5]);
}

TEST_F(BoardTest, TruncatedEmptyAndOtherFilesAreRefusedAndLeftAlone) {
  {
    Board board = make();
    for (std::uint64_t seed = 0; seed < 50; ++seed) board.submit(submission_of("PPO", seed));
  }
  const std::string whole = bytes_of(path_);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{50}, std::size_t{4096}, whole.size() / 2, whole.size() - 4096}) {
    write_bytes(folder_ / "cut.sqlite", whole.substr(0, size));
    EXPECT_THAT(message_of<Error>([&] { Board board(folder_ / "cut.sqlite"); }),
                HasSubstr("cut.sqlite: expected a"))
        << size;
    EXPECT_EQ(bytes_of(folder_ / "cut.sqlite"), whole.substr(0, size)) << "left as it was";
  }
  write_bytes(folder_ / "text.sqlite", std::string(5000, 'x'));
  EXPECT_THAT(message_of<Error>([&] { Board board(folder_ / "text.sqlite"); }), HasSubstr("of another kind"));
  EXPECT_THAT(message_of<Error>([&] { Board board(folder_ / "none.sqlite"); }), HasSubstr("found no file"));
  outside(folder_ / "other.sqlite", "CREATE TABLE t(x)");
  EXPECT_THAT(message_of<Error>([&] { Board board(folder_ / "other.sqlite"); }), HasSubstr("another kind"));
  EXPECT_THAT(message_of<Error>([&] { Board::create(folder_ / "other.sqlite", {}); }),
              HasSubstr("found one"));
  EXPECT_THAT(message_of<Error>([&] { Board::create(path_, {}); }), HasSubstr("found one"));
  EXPECT_EQ(bytes_of(path_), whole);
}

TEST_F(BoardTest, ADamagedPageIsFoundByCheck) {
  {
    Board board = make();
    for (std::uint64_t seed = 0; seed < 50; ++seed) board.submit(submission_of("PPO", seed));
  }
  std::string bytes = bytes_of(path_);
  for (std::size_t at = bytes.size() / 2; at < bytes.size() / 2 + 4096; ++at)
    bytes[at] = static_cast<char>(at * 7);
  write_bytes(path_, bytes);
  try {
    EXPECT_THAT(Board(path_).check().faults, testing::Not(testing::IsEmpty()));
  } catch (const Error&) {  // refused already
  }
}

TEST_F(BoardTest, ANewerSchemaIsRefusedAndAnOlderOneBroughtUpToDate) {
  { make().submit(submission_of("PPO", 0)); }
  const std::size_t newest = board_migrations().size();
  outside(path_, concat("PRAGMA user_version = ", newest + 1));
  const std::string before = bytes_of(path_);
  EXPECT_THAT(message_of<Error>([&] { Board board(path_); }), HasSubstr("newer diffreward"));
  EXPECT_EQ(bytes_of(path_), before);

  const std::filesystem::path old = folder_ / "old.sqlite";
  outside(old, concat("PRAGMA journal_mode = WAL; PRAGMA application_id = ", kBoardApplication, "; ",
                      board_migrations()[0], "PRAGMA user_version = 1"));
  Board board(old);
  board.add_task(task_named("s/a"));
  BoardSubmission given = submission_of("PPO", 0);
  given.contents = {{sha256("x"), "x"}};  // a table of version 2
  EXPECT_EQ(board.submit(given).new_runs, 1);
  EXPECT_THAT(board.check().faults, testing::IsEmpty());
}

TEST_F(BoardTest, GarbageIsWhatNoStandingRowNeeds) {
  Board board = make();
  for (const char* name : {"kept", "gone"}) {
    BoardSubmission given = submission_of(name, 0);
    given.runs[0].inputs = {{"agent", sha256(name)}};
    given.contents = {{sha256(name), name}};
    board.submit(given);
  }
  EXPECT_EQ(board.collect_garbage(), 0);
  board.retract(2, std::nullopt, "no longer");
  EXPECT_EQ(board.collect_garbage(), 4);
  EXPECT_EQ(board.content(sha256("kept")), "kept");
  EXPECT_FALSE(board.content(sha256("gone")));
  EXPECT_TRUE(board.artifact(sha256("gone"))) << "its hash stays";
  EXPECT_THAT(board.check().faults, testing::IsEmpty());
  BoardSubmission wrong = submission_of("wrong", 0);
  wrong.contents = {{sha256("a"), "b"}};
  EXPECT_THROW(board.submit(wrong), InvalidArgument);
}

TEST_F(BoardTest, VerificationsAndLooksAreRows) {
  Board board = make();
  board.submit(submission_of("PPO", 0));
  board.add_verification({.run = 1,
                          .machine = std::string(64, 'f'),
                          .outcome = "differs",
                          .first_difference = "stream 2",
                          .difference = 0.5,
                          .program = "p"});
  ASSERT_EQ(board.verifications(1).size(), 1u);
  EXPECT_EQ(board.verifications()[0].difference, 0.5);
  EXPECT_THROW(board.add_verification({.run = 9, .machine = "m", .outcome = "differs", .program = "p"}),
               Error);
  const BoardLook look =
      board.add_look("1, 2", {"pool", "next"}, [](const std::vector<std::vector<BoardLook>>& before) {
        EXPECT_EQ(before.size(), 2u);
        EXPECT_TRUE(before[0].empty() && before[1].empty());
        return BoardLook{.share = 0.5, .alpha = 0.01};
      });
  EXPECT_EQ(look.alpha, 0.01);
  EXPECT_EQ(board.looks("pool").size(), 1u);
  EXPECT_EQ(board.looks("next").size(), 1u);
  EXPECT_TRUE(board.looks("other").empty());
  EXPECT_THAT(board.check().faults, testing::IsEmpty());
}

TEST_F(BoardTest, KeysAreRowsOfTheChainAndAreNotKept) {
  Board board = make();
  const std::string anna = board.add_key("anna"), bob = board.add_key(
                                                      "b\xC3\xB6"
                                                      "b");
  EXPECT_NE(anna, bob);
  EXPECT_EQ(anna.size(), 4u + 64u) << "256 bits";
  ASSERT_TRUE(board.key_of(anna));
  EXPECT_EQ(board.key_of(anna)->name, "anna");
  for (const std::string& wrong :
       {std::string(), anna + "0", anna.substr(1), sha256(anna), std::string("anna")})
    EXPECT_FALSE(board.key_of(wrong)) << wrong;
  for (const std::string& name :
       {std::string("anna"), std::string(), std::string("\xff"), std::string(201, 'x')})
    EXPECT_FALSE(message_of<InvalidArgument>([&] { board.add_key(name); }).empty());

  const std::string before = board.head();
  {
    BoardBatch batch(board);
    board.submit(submission_of("PPO", 0));
    board.sign("anna", before);
    batch.commit();
  }
  EXPECT_EQ(board.keys()[0].submissions, 1);
  board.revoke_key("anna");
  EXPECT_TRUE(board.key_of(anna)->revoked) << "it is told from nobody's";
  EXPECT_THAT(message_of<InvalidArgument>([&] { board.revoke_key("anna"); }), HasSubstr("was revoked"));
  EXPECT_THAT(message_of<InvalidArgument>([&] { board.sign("anna", before); }), HasSubstr("was revoked"));
  EXPECT_THAT(message_of<InvalidArgument>([&] { board.sign("carl", before); }), HasSubstr("found none"));
  EXPECT_THAT(message_of<InvalidArgument>([&] { board.add_key("anna"); }), HasSubstr("no key had"));
  EXPECT_THAT(board.check().faults, testing::IsEmpty());
  for (const char* table : {"write_key", "revocation", "submission"})
    for (const std::string sql : {"DELETE FROM ", "UPDATE OR IGNORE "})
      EXPECT_THAT(outside(path_, sql + table + (sql[0] == 'U' ? " SET id = id + 1" : "")),
                  HasSubstr("never changed or removed"));
  EXPECT_EQ(bytes_of(path_).find(anna), std::string::npos);
  EXPECT_EQ(bytes_of(path_.string() + "-wal").find(anna), std::string::npos);
  outside(path_, "DROP TRIGGER submission_keeps_UPDATE; UPDATE submission SET write_key = 2");
  EXPECT_THAT(board.check().faults, testing::Contains(HasSubstr("expected the row of submission")));
}

TEST_F(BoardTest, KeepsFilesOfStandingRuns) {
  Board board = make();
  BoardSubmission given = submission_of("PPO", 0);
  given.runs[0].weights = sha256("weights");
  given.runs[0].inputs = {{"data", sha256("data")}};
  board.submit(given);
  EXPECT_TRUE(board.needs(sha256("weights")) && board.needs(sha256("data")));
  EXPECT_FALSE(board.needs(sha256("other")) || board.needs("data") || board.needs(""));
  EXPECT_TRUE(board.keep(sha256("data"), "data"));
  EXPECT_FALSE(board.keep(sha256("data"), "data"));
  EXPECT_THAT(message_of<InvalidArgument>([&] { board.keep(sha256("data"), "Data"); }),
              HasSubstr("found others"));
  board.retract(1, std::nullopt, "a test");
  EXPECT_FALSE(board.needs(sha256("data")));
}

TEST_F(BoardTest, RolesAndKindsThatCouldNameOtherFilesAreRefused) {
  Board board = make();
  const std::string head = board.head();
  for (const char* role : {"../agent", "/tmp/x", "", "a/b", ".hidden", "a..b", "a\n"}) {
    BoardSubmission given = submission_of("PPO", 0);
    given.runs[0].inputs = {{role, sha256("x")}};
    EXPECT_THAT(message_of<InvalidArgument>([&] { board.submit(given); }),
                HasSubstr("inputs: expected roles"))
        << role;
  }
  BoardSubmission given = submission_of("PPO", 0);
  given.entry.kind = "../../x";
  EXPECT_THAT(message_of<InvalidArgument>([&] { board.submit(given); }), HasSubstr("kind: expected agent"));
  EXPECT_EQ(board.head(), head);
  given.entry.kind = "agent";
  given.runs[0].inputs = {{"model.expert_data", sha256("x")}, {"rewards.reward_0", sha256("y")}};
  EXPECT_EQ(board.submit(given).new_runs, 1);
}

TEST_F(BoardTest, FailedRunsNeedNoSettings) {
  Board board = make();
  BoardSubmission given = submission_of("PPO", 0);
  given.runs[0].config = {{"gamma", 0.9}};
  board.submit(given);
  BoardSubmission failed{.entry = {.name = "PPO"}, .runs = {{.task = "s/a", .train_seed = 1}}};
  failed.runs[0].status = "failed";
  failed.runs[0].message = "out of memory";
  EXPECT_EQ(board.submit(failed).new_runs, 1);
  given.runs[0].train_seed = 2;
  EXPECT_EQ(board.submit(given).new_runs, 1) << "the failed run's settings bind nobody";
  given.runs[0].train_seed = 3;
  given.runs[0].config = {{"gamma", 0.8}};
  EXPECT_THROW(board.submit(given), InvalidArgument);
}

TEST_F(BoardTest, AReadingIsOfOneMoment) {
  Board board = make();
  board.submit(submission_of("PPO", 0));
  const std::string before = board.head();
  {
    const BoardReading reading(board);
    EXPECT_EQ(board.head(), before);
    Board(path_).submit(submission_of("SAC", 0));
    EXPECT_EQ(board.head(), before);
    EXPECT_EQ(board.entries().size(), 1u);
    EXPECT_EQ(board.runs().size(), 1u);
  }
  EXPECT_NE(board.head(), before);
  EXPECT_EQ(board.runs().size(), 2u);
}

TEST_F(BoardTest, ABatchComesAllTogetherOrNotAtAll) {
  Board board = make();
  const std::string before = board.head();
  {
    const BoardBatch batch(board);
    board.submit(submission_of("PPO", 0));
    EXPECT_TRUE(Board(path_).entries().empty());
  }
  EXPECT_EQ(board.head(), before);
  {
    BoardBatch batch(board);
    board.submit(submission_of("PPO", 0));
    board.submit(submission_of("SAC", 0));
    batch.commit();
  }
  EXPECT_EQ(Board(path_).entries().size(), 2u);
  EXPECT_EQ(board.submit(submission_of("SAC", 1)).new_runs, 1);
  EXPECT_THAT(board.check().faults, testing::IsEmpty());
}

TEST_F(BoardTest, PlacesOfFilesAreNotInTheChain) {
  Board board = make();
  BoardSubmission given = submission_of("PPO", 0);
  given.artifacts = {{sha256("w"), 1, "weights", "/home/somebody/w"}};
  board.submit(given);
  const std::string head = board.head();
  EXPECT_EQ(outside(path_,
                    "CREATE TEMP TABLE t(x CHECK (x = 0)); INSERT INTO t SELECT count(*) FROM event WHERE "
                    "instr(body, 'somebody') > 0"),
            "");
  given.artifacts[0].uri = "/elsewhere/w";
  board.submit(given);
  EXPECT_EQ(board.artifact(sha256("w"))->uri, "/elsewhere/w") << "the place where it was found last";
  EXPECT_EQ(board.head(), head);
  board.collect_garbage();
  EXPECT_EQ(board.artifact(sha256("w"))->uri, "") << "no run needs it";
  EXPECT_THAT(board.check().faults, testing::IsEmpty());
}

TEST_F(BoardTest, AnEmptyFileOfAKilledInitIsMadeABoard) {
  write_bytes(path_, "");
  EXPECT_EQ(make().tasks().size(), 2u);
  EXPECT_EQ(Board(path_).tasks().size(), 2u);
}

TEST_F(BoardTest, WritersQueueAndNothingIsLostOrDoubled) {
  { make(); }
  constexpr int kWriters = 4, kSubmissions = 25;  // 8 x 200: benchmarks/board_store.cpp
  std::vector<std::thread> writers;
  std::atomic<int> failures{0};
  for (int writer = 0; writer < kWriters; ++writer)
    writers.emplace_back([&, writer] {
      try {
        Board board(path_);
        for (int i = 0; i < kSubmissions; ++i) {
          board.submit(submission_of(concat("method ", writer % 2),
                                     static_cast<std::uint64_t>(writer / 2 * 1000 + i)));
          board.submit(
              submission_of("shared", static_cast<std::uint64_t>(i)));  // everyone's, once on the board
        }
      } catch (const Error& error) {
        ADD_FAILURE() << error.what();
        ++failures;
      }
    });
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(failures, 0);
  const Board board(path_);
  EXPECT_EQ(board.entries().size(), 3u);
  EXPECT_EQ(board.runs().size(), static_cast<std::size_t>(kWriters * kSubmissions + kSubmissions));
  EXPECT_THAT(board.check().faults, testing::IsEmpty());
}

TEST_F(BoardTest, AKilledWriterLosesNothingThatItAcknowledged) {
  { make(); }
  constexpr int kKills = 12;  // of 200: benchmarks/board_store.cpp
  std::uint64_t seed = 0, acknowledged = 0;
  for (int kill = 0; kill < kKills; ++kill) {
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      Board board(path_);
      for (std::uint64_t s = seed;; ++s) {
        board.submit(submission_of("PPO", s, std::vector<double>(200, static_cast<double>(s))));
        if (::write(pipe[1], &s, sizeof s) != sizeof s) ::_exit(1);
      }
    }
    ::close(pipe[1]);
    std::this_thread::sleep_for(std::chrono::milliseconds(3 + 7 * kill));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    for (std::uint64_t s = 0; ::read(pipe[0], &s, sizeof s) == sizeof s;)
      acknowledged = std::max(acknowledged, s + 1);
    ::close(pipe[0]);
    const Board board(path_);
    EXPECT_THAT(board.check().faults, testing::IsEmpty());
    const std::size_t found = board.runs().size();
    EXPECT_GE(found, acknowledged);
    EXPECT_LE(found, acknowledged + 1) << "at most the one whose acknowledgement was on its way";
    seed = acknowledged = found;
  }
  EXPECT_GT(acknowledged, 0u);
}

TEST_F(BoardTest, ReadsWhereItCannotWrite) {
  { make().submit(submission_of("PPO", 0)); }
  std::filesystem::permissions(path_, std::filesystem::perms::owner_read);
  if (::access(path_.c_str(), W_OK) == 0) GTEST_SKIP() << "this user may write everywhere";
  Board board(path_);
  EXPECT_EQ(board.entries().size(), 1u);
  EXPECT_THROW(board.submit(submission_of("PPO", 1)), Error);
}

TEST_F(BoardTest, ReadsOddlyNamedFilesAndWhileOthersWrite) {
  path_ = folder_ / "a b%20?#.sqlite";
  Board writer = make();
  writer.submit(submission_of("PPO", 0));
  const Board reader(path_);
  EXPECT_EQ(reader.entries().size(), 1u);
  writer.submit(submission_of("SAC", 0));
  EXPECT_EQ(reader.entries().size(), 2u);
  EXPECT_EQ(Board(path_).check(reader.head()).faults.size(), 0u);
}

}  // namespace
}  // namespace diffreward
