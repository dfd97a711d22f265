#include "leaderboard/results.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <memory>
#include <set>
#include <thread>

#include "core/file.h"

namespace diffreward {
namespace {

constexpr std::string_view kBegin = "<!-- results:begin -->", kEnd = "<!-- results:end -->";

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
  return !reached ? "" : *reached ? "yes" : "**no**";
}

}  // namespace

std::optional<bool> passes(double value, const std::string& bar) {
  if (bar.empty()) return std::nullopt;
  const Bar parsed = parse_bar(bar);
  if (parsed.comparison == ">=") return value >= parsed.limit;
  if (parsed.comparison == "<=") return value <= parsed.limit;
  return parsed.comparison == ">" ? value > parsed.limit : value < parsed.limit;
}

Json Result::json() const {
  Json out = {{"name", name},       {"value", value},   {"unit", unit},      {"bar", bar},
              {"command", command}, {"commit", commit}, {"machine", machine}};
  if (interval) out["interval"] = *interval;
  if (!seeds.empty()) out["seeds"] = seeds;
  if (!note.empty()) out["note"] = note;
  return out;
}

Result Result::from_json(const Json& json) {
  require(json.is_object(), "result: expected an object, got ", brief(json));
  Result out;
  out.name = member<std::string>(json, "name");
  out.value = member<double>(json, "value");
  out.unit = member<std::string>(json, "unit");
  out.bar = member<std::string>(json, "bar");
  out.command = member<std::string>(json, "command");
  out.commit = member<std::string>(json, "commit");
  out.machine = member<std::string>(json, "machine");
  passes(out.value, out.bar);
  if (json.contains("note")) out.note = member<std::string>(json, "note");
  if (json.contains("interval")) out.interval = member<std::array<double, 2>>(json, "interval");
  if (json.contains("seeds")) out.seeds = member<std::vector<std::uint64_t>>(json, "seeds");
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
  std::sort(results.begin(), results.end(), [](const Result& a, const Result& b) { return a.name < b.name; });
  Json list = Json::array();
  for (std::size_t i = 0; i < results.size(); ++i) {
    require(i == 0 || results[i].name != results[i - 1].name,
            "save_results: expected one result a name, got two of '", results[i].name, "'");
    require(std::isfinite(results[i].value), "save_results: expected a finite value of '", results[i].name,
            "', got ", results[i].value);
    list.push_back(results[i].json());
  }
  write_file(path, list.dump(2) + "\n");
}

std::vector<Result> merge_results(std::vector<Result> results, const std::vector<Result>& fresh) {
  std::set<std::string> names;
  for (const Result& result : fresh) names.insert(result.name);
  std::erase_if(results, [&](const Result& result) { return names.contains(result.name); });
  results.insert(results.end(), fresh.begin(), fresh.end());
  return results;
}

std::string format_number(double value) {
  if (!std::isfinite(value)) return std::isnan(value) ? "n/a" : value > 0 ? "∞" : "-∞";
  if (value == 0) return "0";
  const double magnitude = std::floor(std::log10(std::abs(value)));
  if (magnitude < -4 || magnitude > 14) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2e", value);
    return text;
  }
  char text[40];
  if (magnitude >= 3) {
    const double unit = std::pow(10.0, magnitude - 2);
    std::snprintf(text, sizeof text, "%.0f", std::round(value / unit) * unit);
    std::string grouped = text;
    for (std::ptrdiff_t at = std::ptrdiff_t(grouped.size()) - 3; at > (value < 0 ? 1 : 0); at -= 3)
      grouped.insert(std::size_t(at), ",");
    return grouped;
  }
  std::snprintf(text, sizeof text, "%.*f", std::max(0, 2 - int(magnitude)), value);
  std::string out = text;
  if (out.find('.') != std::string::npos) {
    out.erase(out.find_last_not_of('0') + 1);
    if (out.back() == '.') out.pop_back();
  }
  return out;
}

std::string results_table(const std::vector<Result>& results) {
  std::string out = "| what | measured | bar | reached |\n|---|---|---|---|\n";
  for (const Result& result : results) {
    std::string value = format_number(result.value);
    if (result.interval)
      value +=
          concat(" [", format_number((*result.interval)[0]), ", ", format_number((*result.interval)[1]), "]");
    if (!result.unit.empty()) value += " " + result.unit;
    const std::string note = result.note.empty() || result.interval ? "" : " (" + result.note + ")";
    out += concat("| ", cell(result.name + note), " | ", cell(value), " | ", cell(result.bar), " | ",
                  verdict(result), " |\n");
  }
  return out;
}

std::string replace_table(const std::string& text, const std::vector<Result>& results) {
  const std::size_t begin = text.find(kBegin), end = text.find(kEnd);
  require(begin != std::string::npos && end != std::string::npos && begin < end,
          "replace_table: expected the lines ", kBegin, " and ", kEnd, " in this order");
  return text.substr(0, begin + kBegin.size()) + "\n" + results_table(results) + text.substr(end);
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

std::string source_commit(const std::filesystem::path& folder) {
  std::string quoted;
  for (const char c : folder.string()) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  const std::string command = "git -C '" + quoted + "' rev-parse --short=12 HEAD 2>/dev/null";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  std::string out;
  char text[64];
  while (pipe && std::fgets(text, sizeof text, pipe.get())) out += text;
  while (!out.empty() && std::isspace(static_cast<unsigned char>(out.back()))) out.pop_back();
  const bool hex = !out.empty() && out.find_first_not_of("0123456789abcdef") == std::string::npos;
  return hex ? out : "unknown";
}

}  // namespace diffreward
