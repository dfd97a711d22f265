// Who stands where on a board: its rows as the statistics see them (leaderboard/statistics.h), a table a suite.
//
// A run's score is the mean of its episodes, normalised by its task. Runs pair on their training seed and on the
// task's streams, but for imported ones, which share neither. Entries that were retracted, and those that a newer
// one replaces, are left out. An entry with a failed run, or without runs on a task of its suite, is unranked; on
// request its gaps count as 0.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "leaderboard/board.h"
#include "leaderboard/statistics.h"

namespace diffreward {

struct StandingsConfig {
  std::string tasks;              // suite, or any beginning of tasks' names; empty: all suites
  std::string gaps = "unranked";  // entries with failed or missing runs: unranked, or scored norm_low
  bool superseded = false;        // show replaced entries too
  BoardStatisticsConfig statistics;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("tasks", self.tasks, "a suite, or any beginning of tasks' names; empty for all");
    field("gaps", self.gaps, "entries with failed or missing runs: unranked, or these scored as norm_low",
          Choices{"unranked", "norm_low"});
    field("superseded", self.superseded, "show entries that newer ones replace, too");
    field("statistics", self.statistics, "aggregate, intervals and tests");
  }
};

/// How far a row's claim was checked.
enum class Checked { kImported, kClaimed, kPartly, kVerified, kRefuted };
/// "not verifiable here", "claimed", "partly verified", "verified", "refuted".
const char* name_of(Checked checked);

struct BoardRow {
  BoardEntry entry;
  Standing standing;
  std::vector<BoardRun> runs;  ///< of the suite's tasks, those retracted too
  int failed = 0;
  int programs = 0;  ///< that made the runs
  Checked checked = Checked::kClaimed;
  std::map<std::string, double> means = {};  ///< raw, by task; of finished runs
};

struct SuiteStandings {
  std::string suite;             ///< or the names' beginning that was asked for
  std::vector<BoardTask> tasks;  ///< that somebody has runs of
  std::vector<BoardRow> rows;    ///< best first, then those unranked
  Leaderboard statistics;        ///< standings named by the entries' numbers
};

/// A suite each that has runs, in the order of tasks. Throws InvalidArgument where no task begins so.
std::vector<SuiteStandings> standings(const Board& board, const StandingsConfig& config,
                                      ThreadPool* pool = nullptr);

/// As `diffreward board list --json` has it: {"head", "suites": [{"suite", "tasks", "rows"}]}.
Json standings_json(const Board& board, const std::vector<SuiteStandings>& suites);

/// One entry's scores on the tasks whose names begin so, as the statistics read them.
MethodScores scores_of(const Board& board, const BoardEntry& entry, const std::string& tasks);
/// The same on these tasks.
MethodScores scores_of(const Board& board, const BoardEntry& entry, const std::vector<BoardTask>& wanted);

/// Two entries compared. With `look` the sealed pool's error is spent: the verdict has only what earlier looks left of it;
/// where too few runs are there to decide anything, nothing is spent.
struct BoardComparison {
  Comparison comparison;
  std::optional<BoardLook> look = {};
  Json json() const;
};
struct LookConfig {
  bool spend = false;                       // make this a look
  std::string spending = "obrien_fleming";  // obrien_fleming or pocock
  int planned = 5;                          // runs of each task that the last look will have

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("spend", self.spend, "make this a look, which spends its part of the error for good");
    field("spending", self.spending, "how the error is spent as runs come in",
          Choices{"obrien_fleming", "pocock"});
    field("planned", self.planned, "runs of each task that the last look will have", Bounds{1, 1e6});
  }
};
BoardComparison compare_entries(Board& board, const BoardEntry& first, const BoardEntry& second,
                                const std::string& tasks, const BoardStatisticsConfig& config,
                                const LookConfig& look = {}, ThreadPool* pool = nullptr);

/// Claims of runs, from the verifications that a board has of them: the latest of each run counts
/// that could decide; one of another machine, of missing files or of a failed evaluation could not.
Checked checked_of(const BoardEntry& entry, const std::vector<BoardRun>& runs,
                   const std::vector<BoardVerification>& verifications);

}  // namespace diffreward
