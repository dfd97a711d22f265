// diffreward board: an evaluation leaderboard in one file (leaderboard/board.h). A verb each:
//
//   init, tasks                    make a board, look at its tasks or add one
//   submit, verify, retract        a row comes, is run again, is taken back
//   list, compare, show            who stands where, whether two differ, everything about one row
//   export, import                 pages and tables of it; results made elsewhere
//   check, gc                      walk the chain of hashes; give back the space of what nobody needs
//   keys, serve                    who may write over a network; the board as a web page and JSON
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "core/config.h"
#include "leaderboard/server.h"
#include "leaderboard/standings.h"

namespace diffreward::cli {

inline constexpr const char* kBoardFile = "board.sqlite";

struct BoardInitConfig {
  std::string board = kBoardFile;
  std::string tasks = "builtin";  // builtin or none

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("board", self.board, "file to make");
    field("tasks", self.tasks, "that it begins with: the project's own, or none", Choices{"builtin", "none"});
  }
};

struct BoardTasksConfig {
  std::string board = kBoardFile;
  std::string add;  // JSON file of a task, or a list of them

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("board", self.board, "the board's file");
    field("add", self.add,
          "JSON file of a task or a list of them to add: name, env, options, metric, direction, norm_low, "
          "norm_high, stream_pool");
  }
};

struct BoardSubmitConfig {
  std::string from;  // a stage's folder, a job's, a trained agent's name, a scripted agent's, or a file
  std::string board = kBoardFile;
  std::string tasks;             // beginning of names; empty: those that the stage's environment fits
  std::string name;              // of the method; empty: the folder's
  std::int64_t train_seed = -1;  // -1: as the stage's record has it
  std::string failed;            // not empty: the run failed, for this reason
  std::string supersedes, note, command;
  double keep = 16;  // MiB: files up to this size are kept in the board
  int threads = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("from", self.from,
          "folder of rl, plan, extract or sd extract, of a job, or a trained agent's name; a file; or a "
          "scripted "
          "agent");
    field("board", self.board, "the board's file");
    field("tasks", self.tasks,
          "that it is scored on: a suite, or any beginning of names; empty for those of the stage's "
          "environment");
    field("name", self.name, "of the method; runs of one name are one entry; empty for the folder's");
    field("train_seed", self.train_seed, "of the training; -1 for the record's", Bounds{-1, 9e18});
    field("failed", self.failed,
          "record a failed run instead of scores, for this reason; needs --tasks, and --train-seed where "
          "nothing is left of it");
    field("supersedes", self.supersedes, "row that this method replaces");
    field("note", self.note, "a line for readers");
    field("command", self.command, "that made it; empty for the record's");
    field("keep", self.keep, "files up to so many MiB are kept in the board; 0 for none", Bounds{0, 1024});
    field("threads", self.threads, "threads, 0 for one per core", Bounds{0, 1024});
  }
};

struct BoardListConfig {
  std::string board = kBoardFile;
  StandingsConfig standings;
  int threads = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("board", self.board, "the board's file");
    StandingsConfig::visit(self.standings, field);
    field("threads", self.threads, "threads, 0 for one per core", Bounds{0, 1024});
  }
};

struct BoardCompareConfig {
  std::string first, second;  // rows
  std::string board = kBoardFile;
  std::string tasks;
  BoardStatisticsConfig statistics;
  LookConfig look;
  int threads = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("first", self.first, "a row: its number, its name or the beginning of its hash");
    field("second", self.second, "the row to compare with");
    field("board", self.board, "the board's file");
    field("tasks", self.tasks, "a suite, or any beginning of tasks' names; empty for all that both have");
    field("statistics", self.statistics, "aggregate, intervals and test");
    field("look", self.look, "share one error among repeated looks at the same sealed streams");
    field("threads", self.threads, "threads, 0 for one per core", Bounds{0, 1024});
  }
};

struct BoardShowConfig {
  std::string row;
  std::string board = kBoardFile;
  bool episodes = false;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("row", self.row, "its number, its name or the beginning of its hash");
    field("board", self.board, "the board's file");
    field("episodes", self.episodes, "every episode's score too");
  }
};

struct BoardVerifyConfig {
  std::string row;
  std::string board = kBoardFile;
  std::string tasks;
  std::string files;   // folder
  bool record = true;  // in the board
  int threads = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("row", self.row, "its number, its name or the beginning of its hash");
    field("board", self.board, "the board's file");
    field("tasks", self.tasks, "runs on tasks whose names begin so; empty for all");
    field("files", self.files,
          "folder with the row's files: agent.safetensors, model.safetensors, ..., or others below it of the "
          "content that the row names; empty for those that the board keeps or knows the place of");
    field("record", self.record, "keep the outcome in the board");
    field("threads", self.threads, "threads, 0 for one per core", Bounds{0, 1024});
  }
};

struct BoardExportConfig {
  std::string board = kBoardFile;
  std::string format = "json";  // json, csv, markdown, card or page
  std::string out;              // empty: printed
  bool page = false;            // the same as format page
  std::string row;              // of a card
  std::string title = "Leaderboard";
  std::vector<std::string> pictures;  // of a page: ROW=FILE
  StandingsConfig standings;
  int threads = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("board", self.board, "the board's file");
    field("format", self.format,
          "json: all of it, to be imported again; csv: a line a run; markdown: tables; card: one row as a "
          "model card; "
          "page: a web page in one file",
          Choices{"json", "csv", "markdown", "card", "page"});
    field("out", self.out, "file to write; empty prints it");
    field("page", self.page, "the same as --format page");
    field("row", self.row, "of a card");
    field("title", self.title, "of a page");
    field("pictures", self.pictures,
          "of a page, shown behind rows: a row, '=' and a PNG or JPEG file, whose name is the caption");
    StandingsConfig::visit(self.standings, field);
    field("threads", self.threads, "threads, 0 for one per core", Bounds{0, 1024});
  }
};

struct BoardImportConfig {
  std::string from;
  std::string board = kBoardFile;
  std::string format = "auto";  // auto, board, scores, csv, tensorboard or model-index
  std::string suite;
  std::string name;
  std::string tag = "episode_return";
  std::vector<std::string> tasks;
  std::vector<std::string> columns = {"method", "task", "seed", "step", "value"};
  std::vector<std::string> data;
  double norm_low = 0, norm_high = 1;
  int last = 1;
  std::int64_t train_seed = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("from", self.from, "a board's JSON, rliable's score matrices, curves, or a model card");
    field("board", self.board, "the board's file");
    field("format", self.format,
          "board: what export wrote; scores: JSON of method to [runs][tasks]; csv: curves; tensorboard: an "
          "event file "
          "or a folder of them; model-index: a model card or the Hub's JSON of one",
          Choices{"auto", "board", "scores", "csv", "tensorboard", "model-index"});
    field("suite", self.suite, "that the tasks are put into; empty for the file's name");
    field("name", self.name, "of the method where the file has none");
    field("tag", self.tag, "tensorboard: the curve");
    field("tasks", self.tasks,
          "scores: names of the tasks, in order; curves: the task, where the file names none");
    field("columns", self.columns, "csv: its columns for method, task, seed, step and value; empty for none");
    field("data", self.data,
          "data sets that the methods learned from, by Minari's ids (D4RL/pointmaze/umaze-v2): the same "
          "method on "
          "others is another row");
    field("norm_low", self.norm_low, "score that counts as 0");
    field("norm_high", self.norm_high, "score that counts as 1");
    field("last", self.last, "curves: the score is the mean of so many last points", Bounds{1, 1e6});
    field("train_seed", self.train_seed, "of a run where the file has none", Bounds{0, 9e18});
  }
};

struct BoardRetractConfig {
  std::string row, reason;
  std::string board = kBoardFile;
  std::int64_t run = 0;  // 0: the whole entry

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("row", self.row, "its number, its name or the beginning of its hash");
    field("reason", self.reason, "why it is taken back, which stays readable");
    field("board", self.board, "the board's file");
    field("run", self.run, "number of one of its runs (board show); 0 for the whole row", Bounds{0, 9e18});
  }
};

struct BoardCheckConfig {
  std::string board = kBoardFile;
  std::string head;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("board", self.board, "the board's file");
    field("head", self.head, "hash that an earlier check printed: it must still be in the chain");
  }
};

struct BoardGcConfig {
  std::string board = kBoardFile;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("board", self.board, "the board's file");
  }
};

struct BoardKeysConfig {
  std::string board = kBoardFile;
  std::string add, revoke;  // names

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("board", self.board, "the board's file");
    field("add", self.add, "name of a new key, which is shown this once");
    field("revoke", self.revoke, "name of a key that shall open nothing any more");
  }
};

struct BoardServeConfig {
  std::string board = kBoardFile;
  std::string host = "127.0.0.1";
  int port = 8080;
  std::string title = "Leaderboard";
  bool behind_proxy = false;
  BoardStatisticsConfig statistics;
  BoardServerLimits limits;
  int threads = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("board", self.board, "the board's file");
    field("host", self.host, "to listen on; another one than this machine's own needs a proxy with TLS");
    field("port", self.port, "to listen on; 0 for any that is free", Bounds{0, 65535});
    field("title", self.title, "of the page");
    field("behind_proxy", self.behind_proxy,
          "addresses are those that X-Forwarded-For names last: for a proxy on this machine");
    field("statistics", self.statistics, "aggregate, intervals and tests");
    field("limits", self.limits, "what clients may take");
    field("threads", self.threads, "threads that compute, 0 for one per core", Bounds{0, 1024});
  }
};

Json run_board_init(const BoardInitConfig& config);
Json run_board_tasks(const BoardTasksConfig& config);
/// What was added: a receipt each method, and what fits no task.
Json run_board_submit(const BoardSubmitConfig& config);
Json run_board_list(const BoardListConfig& config);
Json run_board_compare(const BoardCompareConfig& config);
Json run_board_show(const BoardShowConfig& config);
/// An outcome each run. "verified" alone means: equal bits on a machine of the same fingerprint.
Json run_board_verify(const BoardVerifyConfig& config);
Json run_board_export(const BoardExportConfig& config);
Json run_board_import(const BoardImportConfig& config);
Json run_board_retract(const BoardRetractConfig& config);
Json run_board_check(const BoardCheckConfig& config);
Json run_board_gc(const BoardGcConfig& config);
/// {"keys": [...]}, and of a new one "key".
Json run_board_keys(const BoardKeysConfig& config);
/// Until it is interrupted, which is its ordinary end. Requests that were not answered in time are an interruption.
Json run_board_serve(const BoardServeConfig& config);

void print_board_tasks(const Json& result, std::ostream& out);
void print_board_list(const Json& result, std::ostream& out);
void print_board_compare(const Json& result, std::ostream& out);
void print_board_show(const Json& result, std::ostream& out);
void print_board_verify(const Json& result, std::ostream& out);
void print_board_export(const Json& result, std::ostream& out);
void print_board_check(const Json& result, std::ostream& out);
/// A new key alone, so that it can be sent into a file; otherwise a line each.
void print_board_keys(const Json& result, std::ostream& out);
int exit_code_of_board_verify(const Json& result);
int exit_code_of_board_check(const Json& result);

}  // namespace diffreward::cli
