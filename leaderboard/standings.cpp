#include "leaderboard/standings.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "core/statistics.h"

namespace diffreward {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr double kLeastLevel = 1e-12;  // of a look; less is what rounding leaves

/// Names the task's streams.
std::uint64_t stream_key(const BoardTask& task) {
  return std::stoull(task.hash().substr(0, 16), nullptr, 16);
}

RunScore score_of(const BoardTask& task, const BoardRun& run, std::uint64_t streams) {
  RunScore score{.score = run.failed() ? kNone : task.normalised(run.score)};
  if (task.kind != "imported") score.key = RunKey{run.train_seed, streams};
  return score;
}

/// By task, in the tasks' order; those without runs left out.
MethodScores scores_of(const std::string& method, const std::vector<BoardTask>& tasks,
                       const std::vector<const BoardRun*>& runs) {
  MethodScores scores{.method = method};
  for (const BoardTask& task : tasks) {
    TaskScores of_task{.task = task.name};
    const std::uint64_t streams = stream_key(task);
    for (const BoardRun* run : runs)
      if (run->task == task.name && !run->retracted) of_task.runs.push_back(score_of(task, *run, streams));
    if (!of_task.runs.empty()) scores.tasks.push_back(std::move(of_task));
  }
  return scores;
}

std::map<std::string, double> means_of(const std::vector<BoardRun>& runs) {
  std::map<std::string, std::vector<double>> scores;
  for (const BoardRun& run : runs)
    if (!run.failed() && !run.retracted) scores[run.task].push_back(run.score);
  std::map<std::string, double> means;
  for (const auto& [task, values] : scores) means[task] = mean(values);
  return means;
}

Json number_or_null(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

Spending spending_named(const std::string& name) {
  require(name == "obrien_fleming" || name == "pocock", "spending: expected obrien_fleming or pocock, got '",
          name, "'");
  return name == "pocock" ? Spending::kPocock : Spending::kOBrienFleming;
}

}  // namespace

const char* name_of(Checked checked) {
  constexpr const char* kNames[] = {"not verifiable here", "claimed", "partly verified", "verified",
                                    "refuted"};
  return kNames[static_cast<std::size_t>(checked)];
}

Checked checked_of(const BoardEntry& entry, const std::vector<BoardRun>& runs,
                   const std::vector<BoardVerification>& verifications) {
  if (!entry.imported_from.empty()) return Checked::kImported;
  std::map<std::int64_t, std::string> latest;
  for (const BoardVerification& verification : verifications)
    if (verification.outcome == "verified" || verification.outcome == "differs" ||
        verification.outcome == "changed")
      latest[verification.run] = verification.outcome;
  int verified = 0, all = 0;
  for (const BoardRun& run : runs) {
    if (run.retracted || run.failed()) continue;
    ++all;
    const auto found = latest.find(run.id);
    if (found == latest.end()) continue;
    if (found->second == "differs" || found->second == "changed") return Checked::kRefuted;
    verified += found->second == "verified";
  }
  return verified == 0 ? Checked::kClaimed : verified == all ? Checked::kVerified : Checked::kPartly;
}

MethodScores scores_of(const Board& board, const BoardEntry& entry, const std::string& tasks) {
  std::vector<BoardTask> wanted;
  for (const BoardTask& task : board.tasks())
    if (task.name.starts_with(tasks)) wanted.push_back(task);
  return scores_of(board, entry, wanted);
}

MethodScores scores_of(const Board& board, const BoardEntry& entry, const std::vector<BoardTask>& wanted) {
  const std::vector<BoardRun> runs = board.runs(entry.id);
  std::vector<const BoardRun*> its_own;
  for (const BoardRun& run : runs) its_own.push_back(&run);
  return scores_of(entry.name, wanted, its_own);
}

std::vector<SuiteStandings> standings(const Board& board, const StandingsConfig& config, ThreadPool* pool) {
  const std::vector<BoardTask> tasks = board.tasks();
  const std::vector<BoardEntry> entries = board.entries();
  const std::vector<BoardRun> runs = board.runs();
  std::map<std::int64_t, std::vector<BoardVerification>> verifications;
  for (BoardVerification& found : board.verifications()) verifications[found.run].push_back(std::move(found));
  std::set<std::string> used;
  std::map<std::int64_t, std::vector<const BoardRun*>> of_entry;
  for (const BoardRun& run : runs) {
    of_entry[run.entry_id].push_back(&run);
    if (!run.retracted) used.insert(run.task);
  }
  std::vector<SuiteStandings> out;
  bool known = config.tasks.empty();
  for (const BoardTask& task : tasks) {
    if (!task.name.starts_with(config.tasks)) continue;
    known = true;
    if (!used.contains(task.name)) continue;
    const std::string suite = config.tasks.empty() ? task.suite() : config.tasks;
    auto found =
        std::find_if(out.begin(), out.end(), [&](const SuiteStandings& s) { return s.suite == suite; });
    if (found == out.end()) found = out.insert(found, {suite, {}, {}, {}});
    found->tasks.push_back(task);
  }
  if (!known) {
    std::vector<std::string> names;
    for (const BoardTask& task : tasks) {
      names.push_back(task.name);
      names.push_back(task.suite());
    }
    throw InvalidArgument(concat("tasks: ", unknown_name("task", config.tasks, names)));
  }
  for (SuiteStandings& suite : out) {
    std::set<std::string> names;
    for (const BoardTask& task : suite.tasks) names.insert(task.name);
    std::vector<MethodScores> methods;
    std::map<std::string, BoardRow> rows;
    for (const BoardEntry& entry : entries) {
      if (entry.retracted || (!entry.superseded_by.empty() && !config.superseded)) continue;
      BoardRow row{.entry = entry, .standing = {}, .runs = {}};
      std::vector<BoardVerification> of_row;
      std::set<std::string> programs;
      std::vector<const BoardRun*> its_own;
      for (const BoardRun* run : of_entry[entry.id]) {
        if (!names.contains(run->task)) continue;
        row.runs.push_back(*run);
        its_own.push_back(run);
        if (!run->retracted) programs.insert(run->program);
        row.failed += run->failed() && !run->retracted;
        for (const BoardVerification& verification : verifications[run->id]) of_row.push_back(verification);
      }
      const MethodScores scores = scores_of(std::to_string(entry.id), suite.tasks, its_own);
      if (scores.tasks.empty()) continue;
      row.checked = checked_of(entry, row.runs, of_row);
      row.means = means_of(row.runs);
      row.programs = static_cast<int>(programs.size());
      methods.push_back(scores);
      rows.emplace(scores.method, std::move(row));
    }
    if (config.gaps == "norm_low") methods = failures_as(std::move(methods), 0);
    suite.statistics = leaderboard(methods, config.statistics, pool);
    for (const Standing& standing : suite.statistics.standings) {
      BoardRow& row = rows.at(standing.method);
      row.standing = standing;
      suite.rows.push_back(std::move(row));
    }
  }
  return out;
}

Json standings_json(const Board& board, const std::vector<SuiteStandings>& suites) {
  Json out = {{"head", board.head()}, {"suites", Json::array()}};
  for (const SuiteStandings& suite : suites) {
    Json tasks = Json::array(), rows = Json::array();
    for (const BoardTask& task : suite.tasks)
      tasks.push_back({{"name", task.name}, {"metric", task.metric}, {"direction", task.direction}});
    for (const BoardRow& row : suite.rows) {
      const Standing& standing = row.standing;
      const Estimate& value = standing.value.estimate;
      const bool ranked = standing.unranked.empty();
      Json means = Json::object();
      for (const auto& [task, score] : row.means) means[task] = number_or_null(score);
      std::int64_t standing_runs = 0;
      for (const BoardRun& run : row.runs) standing_runs += !run.retracted;
      rows.push_back({{"row", row.entry.id},
                      {"name", row.entry.name},
                      {"kind", row.entry.kind},
                      {"value", ranked ? number_or_null(value.value) : Json()},
                      {"low", ranked ? number_or_null(value.low) : Json()},
                      {"high", ranked ? number_or_null(value.high) : Json()},
                      {"tier", standing.tier},
                      {"best_rank", standing.best_rank},
                      {"worst_rank", standing.worst_rank},
                      {"unranked", standing.unranked},
                      {"runs", standing_runs},
                      {"failed", row.failed},
                      {"programs", row.programs},
                      {"checked", name_of(row.checked)},
                      {"means", means},
                      {"commit", row.entry.commit},
                      {"dirty", row.entry.dirty()},
                      {"command", row.entry.command},
                      {"imported_from", row.entry.imported_from},
                      {"superseded_by", row.entry.superseded_by},
                      {"note", row.entry.note},
                      {"created", row.entry.created},
                      {"hash", row.entry.hash()}});
    }
    out["suites"].push_back({{"suite", suite.suite},
                             {"aggregate", suite.statistics.config.aggregate},
                             {"confidence", suite.statistics.config.confidence},
                             {"tasks", tasks},
                             {"rows", rows}});
  }
  return out;
}

Json BoardComparison::json() const {
  Json out = comparison.json();
  out["sentence"] = comparison.sentence();
  if (look) out["look"] = {{"pool", look->pool}, {"share", look->share}, {"level", look->alpha}};
  return out;
}

BoardComparison compare_entries(Board& board, const BoardEntry& first, const BoardEntry& second,
                                const std::string& tasks, const BoardStatisticsConfig& config,
                                const LookConfig& look, ThreadPool* pool) {
  require(first.id != second.id, "compare: expected two entries, got row ", first.id, " twice");
  MethodScores a = scores_of(board, first, tasks), b = scores_of(board, second, tasks);
  if (a.method == b.method)
    for (auto [scores, entry] : {std::pair(&a, &first), {&b, &second}})
      scores->method += concat(" (row ", entry->id, ")");
  if (!look.spend) return {compare(a, b, config, std::nullopt, pool)};
  const Spending rule = spending_named(look.spending);
  const double alpha = 1 - config.confidence;
  const Comparison shared = compare(a, b, config, std::nullopt, pool);
  if (!shared.note.empty()) return {shared};  // too few runs: nothing is decided, nothing is spent
  std::size_t fewest = std::numeric_limits<std::size_t>::max();
  for (const std::string& task : shared.tasks)
    for (const MethodScores* scores : {&a, &b})
      for (const TaskScores& of_task : scores->tasks)
        if (of_task.task == task) fewest = std::min(fewest, of_task.runs.size());
  const double share = std::min(1.0, static_cast<double>(fewest) / look.planned);
  // Every task's streams were looked at, each is charged: the level is what the poorest has left.
  const BoardLook taken =
      board.add_look(concat(std::min(first.id, second.id), ", ", std::max(first.id, second.id)), shared.tasks,
                     [&](const std::vector<std::vector<BoardLook>>& before) {
                       double level = 1;
                       for (const std::vector<BoardLook>& of_task : before) {
                         double spent = 0;
                         for (const BoardLook& earlier : of_task) spent += earlier.alpha;
                         level = std::min(level, look_level(rule, share, std::min(1.0, spent), alpha));
                       }
                       return BoardLook{.share = share, .alpha = level < kLeastLevel ? 0 : level};
                     });
  return {compare(a, b, config, taken.alpha, pool), taken};
}

}  // namespace diffreward
