#include "leaderboard/results.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <set>
#include <thread>
#include <tuple>

#include "core/file.h"
#include "core/format.h"

namespace diffreward {
namespace {

struct Bar {
  std::string comparison;
  double limit;
};

Bar parse_bar(const std::string& bar) {
  const std::size_t digits = bar.find_first_not_of("<>= ");
  std::string comparison = bar.substr(0, digits);
  comparison.erase(std::remove(comparison.begin(), comparison.end(), ' '), comparison.end());
  double limit = 0;
  bool number = false;
  if (digits != std::string::npos) {
    const auto [end, failure] = std::from_chars(bar.data() + digits, bar.data() + bar.size(), limit);
    number = failure == std::errc() && end == bar.data() + bar.size() && std::isfinite(limit);
  }
  const bool known = comparison == ">=" || comparison == "<=" || comparison == ">" || comparison == "<";
  require(number && known, "bar: expected >=, >, <= or < and a number, got '", bar, "'");
  return {comparison, limit};
}

/// Markdown's column separator and line breaks would end the cell.
std::string cell(std::string text) {
  for (std::size_t at = 0; (at = text.find_first_of("|\n", at)) != std::string::npos; ++at) {
    if (text[at] == '|')
      text.insert(at++, "\\");
    else
      text[at] = ' ';
  }
  return text;
}

std::string verdict(const Result& result) {
  const std::optional<bool> reached = passes(result.value, result.bar);
  return (!reached ? "" : *reached ? "yes" : "**no**") + std::string(undecided(result) ? " ~" : "");
}

std::string row_of(const std::vector<std::string>& cells) {
  std::string out = "|";
  for (const std::string& text : cells) out += " " + cell(text) + " |";
  return out + "\n";
}

std::string head_of(const std::vector<std::string>& cells) {
  std::string out = row_of(cells) + "|";
  for (std::size_t i = 0; i < cells.size(); ++i) out += "---|";
  return out + "\n";
}

/// The bars of a row: one that all share alone, others with their mazes.
std::string bars_of(const std::vector<const Result*>& row) {
  std::vector<std::pair<std::string, std::string>> mazes_of_bar;
  for (const Result* result : row) {
    if (result->bar.empty()) continue;
    const auto known = std::find_if(mazes_of_bar.begin(), mazes_of_bar.end(),
                                    [&](const auto& entry) { return entry.first == result->bar; });
    if (known == mazes_of_bar.end())
      mazes_of_bar.emplace_back(result->bar, result->maze);
    else
      known->second += ", " + result->maze;
  }
  const auto shared = [&](const std::string& bar) {
    return std::all_of(row.begin(), row.end(), [&](const Result* result) { return result->bar == bar; });
  };
  std::string out;
  for (const auto& [bar, mazes] : mazes_of_bar)
    out += (out.empty() ? "" : "; ") + bar + (shared(bar) ? "" : " (" + mazes + ")");
  return out;
}

std::string marked(const Result& result, const std::string& text) {
  return (passes(result.value, result.bar) == false ? "**" + text + "**" : text) +
         (undecided(result) ? " ~" : "");
}

std::string compact_cell(const Result& result) {
  return marked(result, (result.maze.empty() ? "all: " : "") + format_estimate(result.estimate()));
}

template <class Numbers>
std::string listed(const Numbers& numbers, const auto& format) {
  std::string out;
  for (const auto number : numbers) out += (out.empty() ? "" : ", ") + format(number);
  return out;
}

/// How a result was made: those made alike share a table.
std::string origin_of(const Result& result) {
  std::string out = result.group.empty() ? "" : "**" + result.group + "** · ";
  out += concat("`", result.command, "` · commit ", result.commit);
  if (!result.seeds.empty())
    out += " · seeds " + listed(result.seeds, [](std::uint64_t seed) { return std::to_string(seed); });
  out += " · " + result.machine;
  for (const auto& [package, version] : result.versions) out += concat(" · ", package, " ", version);
  return cell(out);
}

}  // namespace

std::optional<bool> passes(double value, const std::string& bar) {
  if (bar.empty()) return std::nullopt;
  const Bar parsed = parse_bar(bar);
  if (parsed.comparison == ">=") return value >= parsed.limit;
  if (parsed.comparison == "<=") return value <= parsed.limit;
  return parsed.comparison == ">" ? value > parsed.limit : value < parsed.limit;
}

bool undecided(const Result& result) {
  return result.interval &&
         passes((*result.interval)[0], result.bar) != passes((*result.interval)[1], result.bar);
}

std::string Result::name() const {
  std::string out = question;
  for (const std::string* part : {&maze, &group})
    if (!part->empty()) out += ", " + *part;
  return out;
}

Estimate Result::estimate() const {
  constexpr double kUnbounded = std::numeric_limits<double>::infinity();
  if (!interval) return {value, -kUnbounded, kUnbounded};
  return {value, (*interval)[0], (*interval)[1]};
}

Json Result::json() const {
  Json out = {{"name", name()}};
  if (!maze.empty() || !group.empty()) out.update({{"question", question}, {"maze", maze}, {"group", group}});
  out.update({{"value", value},
              {"unit", unit},
              {"bar", bar},
              {"command", command},
              {"commit", commit},
              {"machine", machine}});
  if (interval) out["interval"] = *interval;
  if (!runs.empty()) out["runs"] = runs;
  if (!seeds.empty()) out["seeds"] = seeds;
  if (!versions.empty()) out["versions"] = versions;
  if (!note.empty()) out["note"] = note;
  return out;
}

Result Result::from_json(const Json& json) {
  require(json.is_object(), "result: expected an object, got ", brief(json));
  const std::string name = member<std::string>(json, "name");
  Result out{.question = name};
  if (json.contains("question")) {
    out.question = member<std::string>(json, "question");
    out.maze = member<std::string>(json, "maze");
    out.group = member<std::string>(json, "group");
    require(out.name() == name, "name: expected '", out.name(), "', of question, maze and group, found '",
            name, "'");
  }
  out.value = member<double>(json, "value");
  out.unit = member<std::string>(json, "unit");
  out.bar = member<std::string>(json, "bar");
  out.command = member<std::string>(json, "command");
  out.commit = member<std::string>(json, "commit");
  out.machine = member<std::string>(json, "machine");
  passes(out.value, out.bar);
  if (json.contains("interval")) out.interval = member<std::array<double, 2>>(json, "interval");
  if (json.contains("runs")) out.runs = member<std::vector<double>>(json, "runs");
  if (json.contains("seeds")) out.seeds = member<std::vector<std::uint64_t>>(json, "seeds");
  if (json.contains("versions")) {
    const Json versions = member<Json>(json, "versions");
    require(versions.is_object(), "versions: expected an object, found ", brief(versions));
    for (const auto& [package, version] : versions.items())
      out.versions[package] = member<std::string>(versions, package.c_str());
  }
  if (json.contains("note")) out.note = member<std::string>(json, "note");
  return out;
}

std::vector<Result> load_results(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return {};
  const Json list = parse_json(read_file(path), path.string());
  if (!list.is_array())
    throw Error(concat(path.string(), ": expected a list of results, found ", brief(list)));
  std::vector<Result> out;
  for (const Json& entry : list) {
    try {
      out.push_back(Result::from_json(entry));
    } catch (const InvalidArgument& error) {
      throw Error(concat(path.string(), ": result ", out.size() + 1, ": ", error.what()));
    }
  }
  return out;
}

void save_results(const std::filesystem::path& path, std::vector<Result> results) {
  std::sort(results.begin(), results.end(),
            [](const Result& a, const Result& b) { return a.name() < b.name(); });
  Json list = Json::array();
  for (std::size_t i = 0; i < results.size(); ++i) {
    const Result& result = results[i];
    require(i == 0 || result.name() != results[i - 1].name(),
            "save_results: expected one result a name, got two of '", result.name(), "'");
    std::vector<double> numbers = result.runs;
    numbers.push_back(result.value);
    if (result.interval) numbers.insert(numbers.end(), result.interval->begin(), result.interval->end());
    for (const double number : numbers)
      require(std::isfinite(number), "save_results: expected finite numbers of '", result.name(), "', got ",
              number);
    list.push_back(result.json());
  }
  write_file(path, list.dump(2) + "\n");
}

std::vector<Result> merge_results(std::vector<Result> results, const std::vector<Result>& fresh) {
  std::set<std::string> names;
  for (const Result& result : fresh) names.insert(result.name());
  std::erase_if(results, [&](const Result& result) { return names.contains(result.name()); });
  results.insert(results.end(), fresh.begin(), fresh.end());
  return results;
}

std::string compact_table(const std::vector<Result>& results, const TableLayout& layout) {
  std::vector<std::string> header = {layout.group};
  header.insert(header.end(), layout.mazes.begin(), layout.mazes.end());
  header.push_back("bar");
  std::string rows;
  for (const std::string& question : layout.questions) {
    std::vector<std::string> cells(header.size());
    std::vector<const Result*> row;
    const auto put = [&](std::size_t column, const std::string& maze) {
      for (const Result& result : results) {
        if (result.question != question || result.group != layout.group || result.maze != maze) continue;
        cells[column] = compact_cell(result);
        row.push_back(&result);
      }
    };
    put(1, "");
    for (std::size_t i = 0; i < layout.mazes.size(); ++i) put(i + 1, layout.mazes[i]);
    if (row.empty()) continue;
    cells.front() = question + (row[0]->unit.empty() ? "" : ", " + row[0]->unit);
    cells.back() = bars_of(row);
    rows += row_of(cells);
  }
  return rows.empty() ? "" : head_of(header) + rows;
}

std::string marked_estimate(const Result& result) {
  return marked(result, format_estimate(result.estimate()));
}

std::string markdown_table(const std::vector<std::vector<std::string>>& rows) {
  std::string out;
  for (const std::vector<std::string>& row : rows) out += out.empty() ? head_of(row) : row_of(row);
  return out;
}

std::string results_table(const std::vector<Result>& results) {
  std::vector<std::pair<std::string, std::string>> tables;  // by origin, in order of appearance
  for (const Result& result : results) {
    const std::string origin = origin_of(result);
    auto table = std::find_if(tables.begin(), tables.end(), [&](const auto& t) { return t.first == origin; });
    if (table == tables.end())
      table = tables.insert(
          table,
          {origin, head_of({"question", "maze", "measured", "unit", "each seed", "bar", "reached", "note"})});
    const Estimate estimate = result.estimate();
    const auto format = [&](double run) { return format_as(estimate, run); };
    table->second += row_of({result.question, result.maze, format_estimate(result.estimate()), result.unit,
                             listed(result.runs, format), result.bar, verdict(result), result.note});
  }
  std::string out;
  for (const auto& [origin, table] : tables) out += concat(out.empty() ? "" : "\n", origin, "\n\n", table);
  return out;
}

std::string replace_table(const std::string& text, const std::string& table, const std::string& marker) {
  const std::string first = concat("<!-- ", marker, ":begin -->"), last = concat("<!-- ", marker, ":end -->");
  const std::size_t begin = text.find(first), end = text.find(last);
  require(begin != std::string::npos && end != std::string::npos && begin < end,
          "replace_table: expected the lines ", first, " and ", last, " in this order");
  return text.substr(0, begin + first.size()) + "\n" + table + text.substr(end);
}

std::string machine_description() {
  std::ifstream cpus("/proc/cpuinfo");
  std::string model = "unknown processor";
  for (std::string line; std::getline(cpus, line);)
    if (line.starts_with("model name") && line.find(": ") != std::string::npos) {
      model = line.substr(line.find(": ") + 2);
      break;
    }
  const unsigned cores = std::max(std::thread::hardware_concurrency(), 1u);
  return concat(model, ", ", cores, cores == 1 ? " core" : " cores");
}

}  // namespace diffreward
