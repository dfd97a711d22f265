// What the board's tests submit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "leaderboard/board.h"

namespace diffreward {

/// A run of these scores, an episode of 10 steps each, from stream 0 on.
inline BoardRun run_of(const std::string& task, std::uint64_t seed, const std::vector<double>& scores) {
  BoardRun run{.task = task, .train_seed = seed};
  for (std::size_t i = 0; i < scores.size(); ++i)
    run.episodes.push_back({static_cast<std::int64_t>(i), scores[i], 10});
  return run;
}

/// A method with a run of each seed, from 0 on, on each task: two episodes of the seed's score.
inline BoardSubmission method_of(const std::string& name, const std::vector<std::string>& tasks,
                                 const std::vector<double>& scores) {
  BoardSubmission given{.entry = {.name = name, .command = name, .note = name}};
  for (std::size_t seed = 0; seed < scores.size(); ++seed)
    for (const std::string& task : tasks) {
      given.runs.push_back(run_of(task, seed, {scores[seed], scores[seed]}));
      given.runs.back().command = name;
    }
  return given;
}

/// Names that are code, formulas, marks or much too long somewhere.
inline const std::vector<std::string>& hostile_names() {
  static const auto names = [] {
    const std::filesystem::path file =
        std::filesystem::path(DIFFREWARD_SOURCE_DIR) / "tests/leaderboard/hostile_names.json";
    return parse_json(read_file(file), file.string()).get<std::vector<std::string>>();
  }();
  return names;
}

}  // namespace diffreward
