#include "leaderboard/imports.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "core/config.h"
#include "core/csv.h"
#include "core/file.h"
#include "core/statistics.h"
#include "datasets/minari_id.h"
#include "leaderboard/exports.h"
#include "leaderboard/yaml.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// Scores of methods by task and seed, as every format but a board's own comes to.
struct ImportedScore {
  std::string method, task;
  std::uint64_t seed = 0;
  double score = 0;
  std::int64_t steps = 0;
};

std::string suite_of(const fs::path& from, const ImportConfig& config) {
  return config.suite.empty() ? from.stem().string() : config.suite;
}

std::vector<BoardReceipt> submit_scores(Board& board, const fs::path& from, const ImportConfig& config,
                                        const std::vector<ImportedScore>& scores) {
  if (scores.empty()) throw Error(concat(from.string(), ": expected scores, found none"));
  std::vector<std::string> methods, data;
  for (const std::string& id : config.data) data.push_back(minari_id(id));
  std::set<std::string> tasks;
  std::map<std::string, BoardSubmission> submissions;
  for (const ImportedScore& score : scores) {
    const std::string task = suite_of(from, config) + "/" + score.task;
    if (tasks.insert(task).second)
      board.add_task({.name = task,
                      .kind = "imported",
                      .metric = "score",
                      .direction = config.norm_high > config.norm_low ? "higher" : "lower",
                      .norm_low = config.norm_low,
                      .norm_high = config.norm_high});
    if (!submissions.contains(score.method)) {
      methods.push_back(score.method);
      submissions[score.method].entry = {
          .name = score.method, .kind = "imported", .imported_from = from.filename().string()};
      if (!data.empty()) submissions[score.method].entry.config = {{"data", data}};
    }
    BoardRun run{.task = task, .train_seed = score.seed};
    run.episodes = {{0, score.score, score.steps}};
    submissions[score.method].runs.push_back(std::move(run));
  }
  std::vector<BoardReceipt> receipts;
  for (const std::string& method : methods) receipts.push_back(board.submit(submissions[method]));
  return receipts;
}

std::vector<ImportedScore> from_matrices(const fs::path& from, const ImportConfig& config) {
  const LargeJson json = parse_large_json(read_file(from), from.string());
  const auto expect = [&](bool good, const auto&... what) {
    if (!good) throw Error(concat(from.string(), ": ", what...));
  };
  expect(json.is_object(),
         "expected an object of methods, each a list of runs, each a list of its tasks' scores");
  std::vector<ImportedScore> scores;
  std::size_t width = config.tasks.size();
  for (const auto& [method, runs] : json.items()) {
    expect(runs.is_array(), method, ": expected a list of runs, found ", runs.type_name());
    for (std::size_t run = 0; run < runs.size(); ++run) {
      expect(runs[run].is_array() && !runs[run].empty(), method, ", run ", run,
             ": expected a list of scores");
      if (width == 0) width = runs[run].size();
      expect(runs[run].size() == width, method, ", run ", run, ": expected ", width, " scores, found ",
             runs[run].size());
      for (std::size_t task = 0; task < width; ++task) {
        const LargeJson& score = runs[run][task];
        expect(score.is_number() || score.is_null(), method, ", run ", run, ", task ", task,
               ": expected a number, or null for a run that failed, found ", score.type_name());
        scores.push_back({method, config.tasks.empty() ? concat("task ", task + 1) : config.tasks[task], run,
                          score.is_null() ? kNone : score.get<double>(), 0});
      }
    }
  }
  return scores;
}

double number_of(const std::string& text, const std::string& where) {
  double value = 0;
  const std::size_t start = text.find_first_not_of(' ');
  const char* first = text.data() + (start == std::string::npos ? text.size() : start);
  const auto [end, failure] = std::from_chars(first, text.data() + text.size(), value);
  if (failure != std::errc() ||
      std::string_view(end, static_cast<std::size_t>(text.data() + text.size() - end))
              .find_first_not_of(' ') != std::string_view::npos)
    throw Error(concat(where, ": expected a number, found '", text, "'"));
  return value;
}

ImportedScore end_of_curve(const std::vector<CurvePoint>& curve, int last) {
  std::vector<double> values;
  const std::size_t count = std::min(curve.size(), static_cast<std::size_t>(last));
  for (std::size_t i = curve.size() - count; i < curve.size(); ++i) values.push_back(curve[i].value);
  const bool finite = std::ranges::all_of(values, [](double v) { return std::isfinite(v); });
  return {.method = {}, .task = {}, .score = finite ? mean(values) : kNone, .steps = curve.back().step};
}

std::string default_task(const ImportConfig& config) {
  return config.tasks.empty() ? "return" : config.tasks.front();
}

std::string default_name(const fs::path& from, const ImportConfig& config) {
  return config.name.empty() ? from.stem().string() : config.name;
}

std::vector<ImportedScore> from_csv(const fs::path& from, const ImportConfig& config) {
  require(config.columns.size() == 5 && !config.columns[4].empty(),
          "columns: expected names for method, task, seed, step and value, the last not empty");
  std::vector<std::string> present;
  std::array<std::size_t, 5> place{};
  for (std::size_t i = 0; i < 5; ++i) {
    place[i] = present.size();
    if (!config.columns[i].empty()) present.push_back(config.columns[i]);
  }
  std::map<std::tuple<std::string, std::string, std::uint64_t>, std::vector<CurvePoint>> curves;
  const std::string text = read_file(from);
  const bool own = text.starts_with(kBoardCsvHead);
  for (const CsvRow& row : read_csv(text, from.string(), present)) {
    const auto cell = [&](std::size_t i) -> std::optional<std::string> {
      if (config.columns[i].empty()) return std::nullopt;
      return own ? from_csv_text(row.cells[place[i]]) : row.cells[place[i]];
    };
    const auto whole = [&](std::size_t i, double otherwise) {
      const double value = cell(i) ? number_of(*cell(i), row.where) : otherwise;
      if (!(value >= 0 && value < 9e15 && value == std::floor(value)))
        throw Error(concat(row.where, ": ", config.columns[i], ": expected a whole number, found ", value));
      return value;
    };
    const auto seed = static_cast<std::uint64_t>(whole(2, static_cast<double>(config.train_seed)));
    curves[{cell(0).value_or(default_name(from, config)), cell(1).value_or(default_task(config)), seed}]
        .push_back({static_cast<std::int64_t>(whole(3, 0)), number_of(*cell(4), row.where)});
  }
  std::vector<ImportedScore> scores;
  for (auto& [key, curve] : curves) {
    std::stable_sort(curve.begin(), curve.end(),
                     [](const CurvePoint& a, const CurvePoint& b) { return a.step < b.step; });
    ImportedScore score = end_of_curve(curve, config.last);
    std::tie(score.method, score.task, score.seed) = key;
    scores.push_back(score);
  }
  return scores;
}

/// The fields of a protocol buffer, one after the other. Throws Error for a cut one.
class ProtoFields {
 public:
  ProtoFields(std::string_view bytes, const fs::path& file) : bytes_(bytes), file_(file) {}

  bool next() {
    if (at_ >= bytes_.size()) return false;
    const std::uint64_t key = varint();
    number = key >> 3u;
    switch (key & 7u) {
      case 0:
        value = varint();
        break;
      case 1:
        value = fixed<std::uint64_t>();
        break;
      case 2:
        text = piece(varint());
        break;
      case 5:
        value = fixed<std::uint32_t>();
        break;
      default:
        fail();
    }
    return true;
  }

  std::uint64_t number = 0, value = 0;
  std::string_view text;

 private:
  [[noreturn]] void fail() const {
    throw Error(concat(file_.string(), ": expected an event, found other bytes"));
  }

  std::uint64_t varint() {
    std::uint64_t out = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (at_ >= bytes_.size()) fail();
      const auto byte = static_cast<unsigned char>(bytes_[at_++]);
      out |= std::uint64_t{byte & 127u} << shift;
      if (byte < 128) return out;
    }
    fail();
  }
  template <class T>
  T fixed() {
    T out{};
    const std::string_view bytes = piece(sizeof out);
    std::memcpy(&out, bytes.data(), sizeof out);
    return out;
  }
  std::string_view piece(std::uint64_t size) {
    if (size > bytes_.size() - at_) fail();
    const std::string_view out = bytes_.substr(at_, static_cast<std::size_t>(size));
    at_ += out.size();
    return out;
  }

  std::string_view bytes_;
  const fs::path& file_;
  std::size_t at_ = 0;
};

double float_of(std::uint64_t bits) {
  return double{std::bit_cast<float>(static_cast<std::uint32_t>(bits))};
}

/// The only number of a TensorProto of floats; not-a-number for another one.
double number_of_tensor(std::string_view bytes, const fs::path& file) {
  double value = kNone;
  for (ProtoFields field(bytes, file); field.next();) {
    std::uint32_t bits = 0;
    if ((field.number == 4 || field.number == 5) &&
        field.text.size() == sizeof bits) {  // content, or packed floats
      std::memcpy(&bits, field.text.data(), sizeof bits);
      value = float_of(bits);
    } else if (field.number == 5 && field.text.empty()) {
      value = float_of(field.value);
    }
  }
  return value;
}

std::string missing_tag(const std::string& tag, const std::set<std::string>& tags) {
  return unknown_name("tag", tag, std::vector<std::string>(tags.begin(), tags.end()));
}

/// The points of a tag in the file's order; all tags that it has are added to `tags`.
std::vector<CurvePoint> points_of(const fs::path& file, const std::string& tag, std::set<std::string>& tags) {
  const std::string bytes = read_file(file);
  std::vector<CurvePoint> curve;
  constexpr std::size_t kHead = 12, kTail = 4;  // length and its checksum; the checksum of the data
  for (std::size_t at = 0; at + kHead + kTail <= bytes.size();) {
    std::uint64_t size = 0;
    std::memcpy(&size, bytes.data() + at, sizeof size);
    if (size > bytes.size() - at - kHead - kTail) {
      if (at == 0)
        throw Error(concat(file.string(), ": expected an event file of TensorBoard, found another"));
      break;
    }
    std::int64_t step = 0;
    std::vector<std::pair<std::string, double>> values;
    for (ProtoFields event(std::string_view(bytes).substr(at + kHead, static_cast<std::size_t>(size)), file);
         event.next();) {
      if (event.number == 2) step = static_cast<std::int64_t>(event.value);
      if (event.number != 5) continue;
      for (ProtoFields summary(event.text, file); summary.next();) {
        if (summary.number != 1) continue;
        std::pair<std::string, double> value{"", kNone};
        for (ProtoFields part(summary.text, file); part.next();) {
          if (part.number == 1) value.first = std::string(part.text);
          if (part.number == 2) value.second = float_of(part.value);
          if (part.number == 8) value.second = number_of_tensor(part.text, file);
        }
        values.push_back(std::move(value));
      }
    }
    for (const auto& [name, value] : values) {
      tags.insert(name);
      if (name == tag) curve.push_back({step, value});
    }
    at += kHead + kTail + static_cast<std::size_t>(size);
  }
  return curve;
}

std::vector<ImportedScore> from_tensorboard(const fs::path& from, const ImportConfig& config) {
  // A run that was continued has several files in its folder, which are one curve.
  std::map<fs::path, std::vector<fs::path>> folders;
  try {
    if (fs::is_directory(from)) {
      for (const fs::directory_entry& entry : fs::recursive_directory_iterator(from))
        if (entry.is_regular_file() && entry.path().filename().string().find("tfevents") != std::string::npos)
          folders[fs::relative(entry.path().parent_path(), from)].push_back(entry.path());
    } else {
      folders["."].push_back(from);
    }
  } catch (const fs::filesystem_error& error) {
    throw Error(concat(from.string(), ": cannot look for event files: ", error.code().message()));
  }
  if (folders.empty())
    throw Error(concat(from.string(), ": expected event files of TensorBoard, found none"));
  std::vector<ImportedScore> scores;
  std::set<std::string> tags;
  std::map<std::string, std::uint64_t> seeds;
  for (auto& [folder, files] : folders) {
    std::sort(files.begin(), files.end());  // names begin with the time
    std::vector<CurvePoint> curve;
    for (const fs::path& file : files)
      for (const CurvePoint& point : points_of(file, config.tag, tags)) curve.push_back(point);
    if (curve.empty()) continue;
    std::stable_sort(curve.begin(), curve.end(),
                     [](const CurvePoint& a, const CurvePoint& b) { return a.step < b.step; });
    ImportedScore score = end_of_curve(curve, config.last);
    std::error_code ignored;
    score.method = !config.name.empty() ? config.name
                   : folder != "."      ? folder.string()
                                   : fs::absolute(files.front(), ignored).parent_path().filename().string();
    score.task = default_task(config);
    score.seed = config.train_seed + seeds[score.method]++;
    scores.push_back(score);
  }
  if (scores.empty()) throw Error(concat(from.string(), ": ", missing_tag(config.tag, tags)));
  return scores;
}

/// What stands between the lines --- at the beginning of a model card; nothing where there are none.
std::optional<std::string> front_matter(const std::string& text) {
  if (!text.starts_with("---\n") && !text.starts_with("---\r\n")) return std::nullopt;
  const std::size_t begin = text.find('\n') + 1, end = text.find("\n---", begin - 1);
  return text.substr(begin, end == std::string::npos ? end : end + 1 - begin);
}

/// The model-index of a card's front matter, which is YAML, or JSON as cards written here have it; or of a file of either.
Json index_of(const fs::path& from) {
  const std::string text = read_file(from);
  const std::optional<std::string> front = front_matter(text);
  const bool yaml = front || from.extension() == ".yaml" || from.extension() == ".yml";
  const std::string& whole = front ? *front : text;
  // YAML would take most JSON, but not its pairs of surrogates.
  const Json found =
      yaml && !Json::accept(whole) ? parse_yaml(whole, from.string()) : parse_json(whole, from.string());
  for (const char* inside : {"cardData", "model-index"})
    if (found.is_object() && found.contains(inside)) {
      const Json& part = found.at(inside);
      return part.is_object() && part.contains("model-index") ? part.at("model-index") : part;
    }
  throw Error(concat(from.string(), ": expected a model-index, found none"));
}

std::vector<ImportedScore> from_model_index(const fs::path& from, const ImportConfig& config) {
  std::vector<ImportedScore> scores;
  const Json models = index_of(from);
  try {
    require(models.is_array(), "model-index: expected a list, found ", brief(models));
    for (const Json& model : models) {
      const auto name = config.name.empty() ? member<std::string>(model, "name") : config.name;
      const Json results = member<Json>(model, "results");
      require(results.is_array(), "results: expected a list, found ", brief(results));
      for (const Json& result : results) {
        const auto dataset = member<std::string>(member<Json>(result, "dataset"), "name");
        const Json metrics = member<Json>(result, "metrics");
        require(metrics.is_array(), "metrics: expected a list, found ", brief(metrics));
        for (const Json& metric : metrics) {
          const Json value = member<Json>(metric, "value");
          // "243.31 +/- 18.06", as many cards have it
          const double score =
              value.is_number() ? value.get<double>()
                                : number_of(member<std::string>(metric, "value")
                                                .substr(0, member<std::string>(metric, "value").find(" +")),
                                            from.string());
          scores.push_back(
              {name, dataset + "/" + member<std::string>(metric, "type"), config.train_seed, score, 0});
        }
      }
    }
  } catch (const InvalidArgument& error) {
    throw Error(concat(from.string(), ": ", error.what()));
  }
  return scores;
}

std::optional<std::string> optional_text(const Json& json, const char* name) {
  return json.contains(name) && json.at(name).is_string() ? std::optional(json.at(name).get<std::string>())
                                                          : std::nullopt;
}

BoardRun run_from(const Json& json) {
  BoardRun run{.task = member<std::string>(json, "task"),
               .train_seed = member<std::uint64_t>(json, "train_seed")};
  run.status = member<std::string>(json, "status");
  run.message = member<std::string>(json, "message");
  run.weights = member<std::string>(json, "weights");
  run.machine = member<std::string>(json, "machine");
  run.program = member<std::string>(json, "program");
  run.commit = member<std::string>(json, "commit");
  run.scored_by = member<std::string>(json, "scored_by");
  run.command = member<std::string>(json, "command");
  run.config = member<Json>(json, "config");
  run.retracted = optional_text(json, "retracted");
  const Json inputs = member<Json>(json, "inputs"), episodes = member<Json>(json, "episodes");
  for (const auto& [role, unused] : inputs.items())
    run.inputs[role] = member<std::string>(inputs, role.c_str());
  const auto streams = member<std::vector<std::int64_t>>(episodes, "stream");
  const auto steps = member<std::vector<std::int64_t>>(episodes, "steps");
  const Json scores = member<Json>(episodes, "score");
  require(scores.is_array() && scores.size() == streams.size() && steps.size() == streams.size(),
          "episodes: expected as many scores and steps as streams");
  for (std::size_t i = 0; i < streams.size(); ++i) {
    require(scores[i].is_number() || scores[i].is_null(), "episodes: expected numbers, found ",
            brief(scores[i]));
    run.episodes.push_back({streams[i], scores[i].is_null() ? kNone : scores[i].get<double>(), steps[i]});
  }
  return run;
}

/// Submits one entry run by run, for attempts that were retracted come before those that stand. Machines and artifacts
/// come with the first, and `entries`, by hash, has what was done: a stranger's list may be long.
BoardReceipt import_entry(Board& board, const Json& json, std::vector<Machine>& machines,
                          std::vector<BoardArtifact>& artifacts, std::map<std::string, BoardEntry>& entries) {
  BoardSubmission submission;
  BoardEntry& entry = submission.entry;
  entry.name = member<std::string>(json, "name");
  entry.kind = member<std::string>(json, "kind");
  entry.config = member<Json>(json, "config");
  entry.commit = member<std::string>(json, "commit");
  entry.command = member<std::string>(json, "command");
  entry.supersedes = member<std::string>(json, "supersedes");
  entry.imported_from = member<std::string>(json, "imported_from");
  entry.note = member<std::string>(json, "note");
  std::vector<BoardRun> before;
  const std::string its_hash = entry.hash();
  if (const auto known = entries.find(its_hash); known != entries.end()) {
    if (known->second.retracted) return {.entry = its_hash, .id = known->second.id};
    before = board.runs(known->second.id);
  }
  submission.machines = std::exchange(machines, {});
  submission.artifacts = std::exchange(artifacts, {});
  std::vector<BoardRun> standing, gone;
  const Json runs = member<Json>(json, "runs");
  require(runs.is_array(), "runs: expected a list, found ", brief(runs));
  const std::optional<std::string> reason = optional_text(json, "retracted");
  for (const Json& one : runs) {
    BoardRun run = run_from(one);
    run.retracted && !reason ? gone.push_back(run) : standing.push_back(run);
  }
  BoardReceipt receipt = board.submit(submission);
  submission.machines.clear();
  submission.artifacts.clear();
  // What was here before is this board's: another board takes back what came from it alone.
  const bool whole = reason && receipt.new_entry;
  if (reason && !whole) {
    for (BoardRun& run : standing) {
      if (!run.retracted) run.retracted = reason;
      gone.push_back(run);
    }
    standing.clear();
    receipt.left_out.push_back(concat(entry.name, ": retracted on the other board (", *reason,
                                      "), not here: board retract ", receipt.id));
  }
  for (const BoardRun& run : gone) {
    const std::string hash = hash_of_episodes(run.episodes);
    const bool known = std::ranges::any_of(before, [&](const BoardRun& other) {
      return other.retracted && other.task == run.task && other.train_seed == run.train_seed &&
             other.episodes_sha256 == hash && other.weights == run.weights;
    });
    if (known) {
      ++receipt.known_runs;
      continue;
    }
    const bool stands = std::ranges::any_of(before, [&](const BoardRun& other) {
      return !other.retracted && other.task == run.task && other.train_seed == run.train_seed;
    });
    if (stands) {
      ++receipt.known_runs;
      receipt.left_out.push_back(concat(entry.name, ": ", run.task, ", seed ", run.train_seed,
                                        ": retracted on the other board (", *run.retracted,
                                        "), while this board's run stands"));
      continue;
    }
    submission.runs = {run};
    const BoardReceipt attempt = board.submit(submission);
    if (attempt.new_runs == 0) continue;
    ++receipt.new_runs;
    board.retract(receipt.id, attempt.last_run, *run.retracted);
  }
  submission.runs = standing;
  const BoardReceipt rest = board.submit(submission);
  receipt.new_runs += rest.new_runs;
  receipt.known_runs += rest.known_runs;
  if (whole) board.retract(receipt.id, std::nullopt, *reason);
  BoardEntry& done = entries[its_hash];
  done.id = receipt.id;
  if (whole) done.retracted = reason;
  return receipt;
}

std::vector<BoardReceipt> import_board(Board& board, const fs::path& from) {
  const Json json = read_json_object(from);
  try {
    return merge_board(board, json);
  } catch (const InvalidArgument& error) {
    throw Error(concat(from.string(), ": ", error.what()));
  }
}

std::string format_of(const fs::path& from) {
  std::error_code ignored;
  const std::string name = from.filename().string();
  if (fs::is_directory(from, ignored) || name.find("tfevents") != std::string::npos) return "tensorboard";
  if (from.extension() == ".csv") return "csv";
  if (from.extension() == ".npz" || from.extension() == ".npy")
    throw Error(
        concat(from.string(),
               ": expected JSON, CSV, a model card or event files; numpy's files are read from Python "
               "(diffreward.Board.import_scores)"));
  if (from.extension() == ".md" || from.extension() == ".yaml" || from.extension() == ".yml")
    return "model-index";
  const Json json = read_json_object(from);
  if (json.contains("format")) return "board";
  return json.contains("model-index") || json.contains("cardData") ? "model-index" : "scores";
}

constexpr std::size_t kMostMembers = 1000;  // Json looks through all earlier ones for each that it reads

bool has_large_object(const LargeJson& json) {
  return (json.is_object() && json.size() > kMostMembers) ||
         (json.is_structured() && std::any_of(json.begin(), json.end(), has_large_object));
}

}  // namespace

Json parse_board(std::string_view exported) {
  try {
    require(!has_large_object(parse_large_json(exported, "board")), "board: expected objects of at most ",
            kMostMembers, " members, found more");
    return parse_json(exported, "board");
  } catch (const InvalidArgument&) {
    throw;
  } catch (const Interrupted&) {
    throw;
  } catch (const Error& error) {
    throw InvalidArgument(error.what());
  }
}

std::vector<BoardReceipt> merge_board(Board& board, const Json& exported) {
  const auto list = [&](const char* name) {
    Json found = member<Json>(exported, name);
    require(found.is_array(), name, ": expected a list, found ", brief(found));
    return found;
  };
  const auto format = member<std::string>(exported, "format");
  require(format == kBoardFormat, "format: expected ", kBoardFormat, ", found ", brief(format));
  std::vector<Machine> machines;
  for (const Json& m : list("machines"))
    machines.push_back({member<std::string>(m, "fingerprint"), member<std::string>(m, "cpu"),
                        member<std::string>(m, "isa"), member<std::string>(m, "libm"),
                        member<std::string>(m, "packages")});
  std::vector<BoardArtifact> artifacts;
  for (const Json& a : list("artifacts"))
    artifacts.push_back({member<std::string>(a, "sha256"),
                         member<std::int64_t>(a, "bytes"),
                         member<std::string>(a, "kind"),
                         {}});
  for (const Json& task : list("tasks")) board.add_task(BoardTask::from_json(task));
  std::map<std::string, BoardEntry> entries;
  for (BoardEntry& entry : board.entries()) entries.emplace(entry.hash(), std::move(entry));
  std::vector<BoardReceipt> receipts;
  for (const Json& entry : list("entries"))
    receipts.push_back(import_entry(board, entry, machines, artifacts, entries));
  return receipts;
}

std::vector<CurvePoint> read_tensorboard(const fs::path& file, const std::string& tag) {
  std::set<std::string> tags;
  std::vector<CurvePoint> curve = points_of(file, tag, tags);
  if (curve.empty()) throw Error(concat(file.string(), ": ", missing_tag(tag, tags)));
  return curve;
}

std::vector<BoardReceipt> import_results(Board& board, const fs::path& from, const ImportConfig& config) {
  const std::string format = config.format == "auto" ? format_of(from) : config.format;
  require(format == "board" || format == "scores" || format == "csv" || format == "tensorboard" ||
              format == "model-index",
          "format: expected board, scores, csv, tensorboard or model-index, got '", format, "'");
  require(config.data.empty() || format != "board",
          "data: expected none of a board, whose rows have their own");
  std::vector<ImportedScore> scores;
  if (format == "scores") scores = from_matrices(from, config);
  if (format == "csv") scores = from_csv(from, config);
  if (format == "tensorboard") scores = from_tensorboard(from, config);
  if (format == "model-index") scores = from_model_index(from, config);
  BoardBatch batch(board);  // all of the file, or nothing
  std::vector<BoardReceipt> receipts =
      format == "board" ? import_board(board, from) : submit_scores(board, from, config, scores);
  batch.commit();
  return receipts;
}

}  // namespace diffreward
