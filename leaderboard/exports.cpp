#include "leaderboard/exports.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>

#include "core/format.h"

namespace diffreward {
namespace {

Json number_or_null(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

Json text_or_null(const std::optional<std::string>& text) {
  return text ? Json(*text) : Json();
}

std::string hex(unsigned char byte) {
  constexpr const char* kDigits = "0123456789abcdef";
  return {'\\', 'x', kDigits[byte >> 4u], kDigits[byte & 15u]};
}

bool is_control(unsigned char c) {
  return c < 32 || c == 127;
}

/// As a row of numbers wants it: shortest text of the same bits; empty for not-a-number.
std::string csv_number(double value) {
  return std::isfinite(value) ? Json(value).dump() : "";
}

std::string rank_of(const Standing& standing) {
  if (!standing.unranked.empty()) return "-";
  return standing.best_rank == standing.worst_rank ? concat(standing.best_rank)
                                                   : concat(standing.best_rank, " to ", standing.worst_rank);
}

Json verification_json(const BoardVerification& found) {
  return {{"machine", found.machine},
          {"outcome", found.outcome},
          {"first_difference", found.first_difference},
          {"difference", found.difference ? number_or_null(*found.difference) : Json()},
          {"program", found.program},
          {"created", found.created}};
}

}  // namespace

std::string short_hash(const std::string& hash) {
  return hash.substr(0, 12);
}

Json entry_json(const BoardEntry& entry) {
  return {{"hash", entry.hash()},
          {"name", entry.name},
          {"kind", entry.kind},
          {"config", entry.config},
          {"commit", entry.commit},
          {"command", entry.command},
          {"supersedes", entry.supersedes},
          {"superseded_by", entry.superseded_by},
          {"imported_from", entry.imported_from},
          {"note", entry.note},
          {"created", entry.created},
          {"retracted", text_or_null(entry.retracted)}};
}

Json run_json(const BoardRun& run) {
  return {{"run", run.id},
          {"task", run.task},
          {"train_seed", run.train_seed},
          {"status", run.status},
          {"message", run.message},
          {"score", number_or_null(run.score)},
          {"episode_count", run.episode_count},
          {"weights", run.weights},
          {"machine", run.machine},
          {"program", run.program},
          {"commit", run.commit},
          {"scored_by", run.scored_by},
          {"command", run.command},
          {"config", run.config},
          {"inputs", run.inputs},
          {"retracted", text_or_null(run.retracted)}};
}

Json episodes_json(const std::vector<BoardEpisode>& episodes) {
  Json streams = Json::array(), scores = Json::array(), steps = Json::array();
  for (const BoardEpisode& episode : episodes) {
    streams.push_back(episode.stream);
    scores.push_back(number_or_null(episode.score));
    steps.push_back(episode.steps);
  }
  return {{"stream", streams}, {"score", scores}, {"steps", steps}};
}

Json tasks_json(const Board& board) {
  Json tasks = Json::array();
  for (const BoardTask& task : board.tasks()) {
    tasks.push_back(task.json());
    tasks.back()["hash"] = task.hash();
  }
  return {{"tasks", tasks}};
}

Json row_json(const Board& board, const BoardEntry& entry, bool episodes) {
  const std::vector<BoardRun> runs = board.runs(entry.id);
  std::vector<BoardVerification> verifications;
  Json told = Json::array();
  for (const BoardRun& run : runs) {
    Json one = run_json(run);
    if (episodes) one["episodes"] = episodes_json(board.episodes(run.id));
    one["verifications"] = Json::array();
    for (BoardVerification& found : board.verifications(run.id)) {
      one["verifications"].push_back(verification_json(found));
      verifications.push_back(std::move(found));
    }
    told.push_back(one);
  }
  Json result = entry_json(entry);
  result["row"] = entry.id;
  result["checked"] = name_of(checked_of(entry, runs, verifications));
  result["runs"] = told;
  return result;
}

Json runs_json(const Board& board, const std::string& tasks) {
  std::map<std::int64_t, BoardEntry> entries;
  for (BoardEntry& entry : board.entries()) entries.emplace(entry.id, std::move(entry));
  Json runs = Json::array();
  for (const BoardRun& run : board.runs()) {
    if (!run.task.starts_with(tasks)) continue;
    const BoardEntry& entry = entries.at(run.entry_id);
    runs.push_back({{"row", entry.id},
                    {"name", entry.name},
                    {"kind", entry.kind},
                    {"entry", run.entry},
                    {"run", run.id},
                    {"task", run.task},
                    {"train_seed", run.train_seed},
                    {"status", run.status},
                    {"message", run.message},
                    {"score", number_or_null(run.score)},
                    {"weights", run.weights},
                    {"machine", run.machine},
                    {"retracted", text_or_null(run.retracted)},
                    {"episodes", run.episode_count}});
  }
  return {{"runs", runs}};
}

Json board_json(const Board& board) {
  Json tasks = Json::array(), machines = Json::array(), entries = Json::array(), artifacts = Json::array();
  for (const BoardTask& task : board.tasks()) tasks.push_back(task.json());
  for (const Machine& machine : board.machines()) machines.push_back(machine.json());
  std::set<std::string> hashes;
  for (const BoardEntry& entry : board.entries()) {
    Json runs = Json::array();
    for (const BoardRun& run : board.runs(entry.id)) {
      Json told = run_json(run);
      told["episodes"] = episodes_json(board.episodes(run.id));
      told["verifications"] = Json::array();
      for (const BoardVerification& found : board.verifications(run.id))
        told["verifications"].push_back(verification_json(found));
      runs.push_back(told);
      if (!run.weights.empty()) hashes.insert(run.weights);
      for (const auto& [role, hash] : run.inputs) hashes.insert(hash);
    }
    Json told = entry_json(entry);
    told["runs"] = runs;
    entries.push_back(told);
  }
  for (const std::string& hash : hashes)
    if (const std::optional<BoardArtifact> found = board.artifact(hash))
      artifacts.push_back({{"sha256", found->sha256}, {"bytes", found->bytes}, {"kind", found->kind}});
  return {{"format", kBoardFormat}, {"head", board.head()},   {"tasks", tasks},
          {"machines", machines},   {"artifacts", artifacts}, {"entries", entries}};
}

std::string csv_text(const std::string& text) {
  std::string out;
  if (!text.empty() && std::string_view("=+-@\t\r\n'").find(text.front()) != std::string_view::npos)
    out = "'";
  for (const char c : text) {
    if (c == '\\')
      out += "\\\\";
    else if (is_control(static_cast<unsigned char>(c)) && c != '\t' && c != '\n')
      out += hex(static_cast<unsigned char>(c));
    else if (c == '"')
      out += "\"\"";
    else
      out += c;
  }
  const bool quote =
      out.find_first_of(",\"\n") != std::string::npos || out.starts_with(' ') || out.ends_with(' ');
  return quote ? "\"" + out + "\"" : out;
}

std::string from_csv_text(const std::string& cell) {
  std::string out;
  for (std::size_t i = cell.starts_with('\'') ? 1 : 0; i < cell.size(); ++i) {
    if (cell[i] != '\\' || i + 1 >= cell.size()) {
      out += cell[i];
    } else if (cell[i + 1] == 'x' && i + 3 < cell.size() &&
               std::isxdigit(static_cast<unsigned char>(cell[i + 2])) != 0 &&
               std::isxdigit(static_cast<unsigned char>(cell[i + 3])) != 0) {
      out += static_cast<char>(std::stoi(cell.substr(i + 2, 2), nullptr, 16));
      i += 3;
    } else {
      out += cell[++i];
    }
  }
  return out;
}

std::string board_csv(const Board& board) {
  std::map<std::int64_t, BoardEntry> entries;
  for (BoardEntry& entry : board.entries()) entries.emplace(entry.id, std::move(entry));
  std::map<std::int64_t, std::string> outcomes;
  for (const BoardVerification& found : board.verifications()) outcomes[found.run] = found.outcome;
  std::string out = std::string(kBoardCsvHead) + "\n";
  for (const BoardRun& run : board.runs()) {
    const BoardEntry& entry = entries.at(run.entry_id);
    out += concat(entry.id, ",", run.entry, ",", csv_text(entry.name), ",", csv_text(entry.kind), ",",
                  csv_text(run.task), ",", run.train_seed, ",", run.status, ",", csv_text(run.message), ",",
                  csv_number(run.score), ",", run.episode_count, ",", run.weights, ",", csv_text(run.machine),
                  ",", csv_text(run.commit), ",", csv_text(entry.command), ",", csv_text(outcomes[run.id]),
                  ",", csv_text(entry.imported_from), ",", csv_text(run.retracted.value_or("")), ",",
                  entry.created, "\n");
  }
  return out;
}

std::string markdown_text(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // Marks that turn the direction of what follows, and line separators, as their numbers.
    if (c == 0xe2 && i + 2 < text.size()) {
      const auto second = static_cast<unsigned char>(text[i + 1]),
                 third = static_cast<unsigned char>(text[i + 2]);
      const bool mark =
          (second == 0x80 && ((third >= 0x8e && third <= 0x8f) || (third >= 0xa8 && third <= 0xae))) ||
          (second == 0x81 && third >= 0xa6 && third <= 0xa9);
      if (mark) {
        out +=
            concat("U+20", hex(static_cast<unsigned char>(((second & 1u) << 6u) | (third & 63u))).substr(2));
        i += 2;
        continue;
      }
    }
    if (is_control(c))
      out += c == '\n' || c == '\t' ? std::string(" ") : "\\" + hex(c);
    else if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else if (std::string_view("\\`*_{}[]()#+-.!|>~:@$=\"'").find(static_cast<char>(c)) !=
                 std::string_view::npos &&
             c != '-' && c != '.' && c != '\'' && c != '=')
      out += std::string("\\") + static_cast<char>(c);
    else
      out += static_cast<char>(c);
  }
  return out;
}

std::string board_markdown(const std::vector<SuiteStandings>& suites) {
  std::string out;
  for (const SuiteStandings& suite : suites) {
    out += concat(out.empty() ? "" : "\n", "**", markdown_text(suite.suite), "** · ",
                  aggregate_words(suite.statistics.config.aggregate), " over ", suite.tasks.size(),
                  suite.tasks.size() == 1 ? " task" : " tasks", "\n\n");
    out += "| rank | method | score | ";
    std::string rule = "|---|---|---|";
    for (const BoardTask& task : suite.tasks) {
      out += concat(markdown_text(task.name), task.direction == "higher" ? " ↑" : " ↓", " | ");
      rule += "---|";
    }
    out += "runs | checked |\n" + rule + "---|---|\n";
    for (const BoardRow& row : suite.rows) {
      const bool ranked = row.standing.unranked.empty();
      out += concat("| ", rank_of(row.standing), " | ", markdown_text(row.entry.name), " (row ", row.entry.id,
                    ") | ",
                    ranked ? format_estimate(row.standing.value.estimate)
                           : "unranked: " + markdown_text(row.standing.unranked),
                    " | ");
      for (const BoardTask& task : suite.tasks) {
        const auto mean = row.means.find(task.name);
        out += concat(mean == row.means.end() ? "" : format_number(mean->second), " | ");
      }
      const auto standing =
          std::ranges::count_if(row.runs, [](const BoardRun& run) { return !run.retracted; });
      out += concat(standing, row.failed > 0 ? concat(", ", row.failed, " failed") : "", " | ",
                    name_of(row.checked), " |\n");
    }
  }
  return out;
}

std::string model_card(const Board& board, const BoardEntry& entry) {
  const std::vector<BoardRun> runs = board.runs(entry.id);
  std::vector<BoardVerification> verifications;
  for (const BoardRun& run : runs)
    for (BoardVerification& found : board.verifications(run.id)) verifications.push_back(std::move(found));
  const Checked checked = checked_of(entry, runs, verifications);
  Json results = Json::array();
  std::string table = "| task | metric | mean over runs | runs |\n|---|---|---|---|\n";
  for (const BoardTask& task : board.tasks()) {
    std::vector<double> scores;
    for (const BoardRun& run : runs)
      if (run.task == task.name && !run.failed() && !run.retracted) scores.push_back(run.score);
    if (scores.empty()) continue;
    const double value = mean(scores);
    results.push_back(
        {{"task",
          {{"type", task.kind.ends_with("reward") ? "reward-learning" : "reinforcement-learning"},
           {"name", task.name}}},
         {"dataset", {{"type", task.env.empty() ? task.name : task.env}, {"name", task.name}}},
         {"metrics",
          {{{"type", task.metric},
            {"name", task.metric},
            {"value", value},
            {"verified", checked == Checked::kVerified}}}}});
    table += concat("| ", markdown_text(task.name), " | ", markdown_text(task.metric), " | ",
                    format_number(value), " | ", scores.size(), " |\n");
  }
  const Json front = {{"library_name", "diffreward"},
                      {"tags", {"reinforcement-learning", "diffreward"}},
                      {"model-index", {{{"name", entry.name}, {"results", results}}}}};
  std::string fence = "```";
  while (entry.command.find(fence) != std::string::npos) fence += "`";
  return concat("---\n", front.dump(2, ' ', /*ensure_ascii=*/true), "\n---\n\n# ", markdown_text(entry.name),
                "\n\n", entry.note.empty() ? "" : markdown_text(entry.note) + "\n\n", "Row ", entry.id,
                " of a board, ", name_of(checked), "; hash ", short_hash(entry.hash()), ", commit ",
                entry.commit.empty() ? "unknown" : markdown_text(entry.commit), ".\n\n", table, "\n", fence,
                "sh\n", printable(entry.command), "\n", fence, "\n");
}

}  // namespace diffreward
