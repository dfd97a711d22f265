// How a stage's folder becomes a submission to a board, and how its runs are scored again.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "cli/board.h"
#include "cli/board_evaluation.h"

namespace diffreward::cli {

/// A method as it was found: what is scored, and where it comes from.
struct BoardCandidate {
  BoardEntry entry;
  BoardSubject subject;
  std::string program = {};  ///< SHA-256 of the sources that made it
  std::uint64_t train_seed = 0;
  std::string command;
  Json run_config;                            ///< of the run, equal for all seeds of one task
  std::map<std::string, std::string> inputs;  ///< role to SHA-256, data too
  std::vector<std::string> tasks;             ///< that fit
};

/// What `from` holds: one method, or those of all stages of a job's folder. Throws Error where there is none.
std::vector<BoardCandidate> find_candidates(const BoardSubmitConfig& config,
                                            const std::vector<BoardTask>& tasks);

/// SHA-256 of a file's bytes, whatever a note beside it says (core/hash.h); a note is as old as its writer wants it.
std::string hash_of_bytes(const std::filesystem::path& file);

/// The command line that a stage's record stands for: every option that differs from its default; files that it read
/// by their hash.
std::string command_of(const Json& record);

}  // namespace diffreward::cli
