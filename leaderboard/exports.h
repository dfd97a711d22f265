// A board as files for others: JSON with everything in it, CSV and Markdown for people, a model card. Names may hold
// anything; every format keeps them or shows that it could not.
#pragma once

#include <string>
#include <vector>

#include "leaderboard/standings.h"

namespace diffreward {

inline constexpr const char* kBoardFormat = "diffreward-board-1";
/// First line of board_csv(): texts below it are as csv_text() writes them.
inline constexpr const char* kBoardCsvHead =
    "row,entry,name,kind,task,train_seed,status,message,score,episodes,weights,machine,commit,command,"
    "verification,"
    "imported_from,retracted,created";

/// As many digits of a hash as people are shown.
std::string short_hash(const std::string& hash);

Json entry_json(const BoardEntry& entry);
Json run_json(const BoardRun& run);
/// {"stream": [...], "score": [...], "steps": [...]}; a score that is no number is null.
Json episodes_json(const std::vector<BoardEpisode>& episodes);

/// As `diffreward board tasks --json` has it: {"tasks": [...]}, each with its hash.
Json tasks_json(const Board& board);
/// As `diffreward board show --json` has it: the entry with "row", "checked" and "runs", each with its verifications.
Json row_json(const Board& board, const BoardEntry& entry, bool episodes = false);
/// {"runs": [...]}, a record each run of tasks whose names begin so, as dr.Board.records() has it.
Json runs_json(const Board& board, const std::string& tasks = {});

/// All of it but kept bytes: tasks, machines, artefacts, entries with runs and episodes, verifications, retractions.
Json board_json(const Board& board);

/// A line a run (RFC 4180). A text cell that a spreadsheet would calculate, or that begins with an apostrophe, has an
/// apostrophe before it; backslashes are doubled, and control characters but tabs and line ends are \xNN.
std::string board_csv(const Board& board);
std::string csv_text(const std::string& text);  ///< a cell
/// What csv_text() was given, of the cell's text without its quotes.
std::string from_csv_text(const std::string& cell);

/// A table each suite.
std::string board_markdown(const std::vector<SuiteStandings>& suites);
/// Text that Markdown shows as it is.
std::string markdown_text(const std::string& text);

/// A Hugging Face model card of one row, with its results as model-index, in a front matter that is JSON as well as YAML.
std::string model_card(const Board& board, const BoardEntry& entry);

}  // namespace diffreward
