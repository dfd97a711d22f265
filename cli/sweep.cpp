// diffreward sweep: plan, run, status, collect.
#include "cli/sweep.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <map>
#include <optional>
#include <ostream>
#include <set>

#include "cli/board.h"
#include "cli/board_submit.h"
#include "cli/job.h"
#include "cli/report.h"
#include "cli/run.h"
#include "cli/shared_stages.h"
#include "cli/toml.h"
#include "core/attempt.h"
#include "core/file.h"
#include "core/format.h"
#include "core/hash.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "core/provenance.h"
#include "core/shared_file.h"
#include "datasets/shards.h"
#include "leaderboard/board.h"
#include "leaderboard/exports.h"
#include "leaderboard/results.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPlan = "plan.json";
constexpr const char* kRecord = "index.json";
constexpr const char* kFormat = "diffreward sweep 1";
constexpr const char* kSeed = "seed";  // the variable whose values are replicates
constexpr std::size_t kMostIndices = 100'000;
constexpr std::size_t kShownRanges = 1000;
constexpr std::size_t kNamedFailures = 1000;

/// "extract.window=1, seed=0".
std::string text_of(const Json& setting) {
  std::string text;
  for (const auto& [key, value] : setting.items())
    text += concat(text.empty() ? "" : ", ", key, "=",
                   value.is_string() ? value.get<std::string>() : value.dump());
  return text;
}

std::string ranges_of(const std::vector<std::uint64_t>& indices) {
  std::vector<StreamRange> ranges;
  for (const std::uint64_t index : indices) {
    if (!ranges.empty() && ranges.back().end == index)
      ++ranges.back().end;
    else
      ranges.push_back({index, index + 1});
  }
  return ranges_text(ranges, kShownRanges);
}

// What is swept.

/// Settings that stand in each other's place: those of one key, or explicit ones.
using SweepAxis = std::vector<Json>;

/// "0..4" as its ends; nothing for other text.
std::optional<std::pair<std::int64_t, std::int64_t>> range_in(std::string_view text) {
  const std::size_t dots = text.find("..");
  if (dots == text.npos) return std::nullopt;
  const auto whole = [](std::string_view part, std::int64_t& value) {
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    return error == std::errc{} && end == part.data() + part.size();
  };
  std::pair<std::int64_t, std::int64_t> ends;
  if (!whole(text.substr(0, dots), ends.first) || !whole(text.substr(dots + 2), ends.second))
    return std::nullopt;
  return ends;
}

SweepAxis axis_of(const std::string& option, const std::string& key, const Json& given) {
  std::vector<Json> values;
  if (given.is_array()) {
    values.assign(given.begin(), given.end());
  } else if (given.is_string()) {
    const auto text = given.get<std::string>();
    for (std::size_t begin = 0; begin <= text.size();) {
      const std::size_t end = std::min(text.find(',', begin), text.size());
      const std::string part = text.substr(begin, end - begin);
      begin = end + 1;
      const auto range = range_in(part);
      if (!range) {
        if (part.empty())
          throw UsageError(
              concat(option, ": ", key, ": expected values such as 0..4 or 1,8, got '", text, "'"));
        values.push_back(value_of_text(part));
        continue;
      }
      if (range->first > range->second ||
          static_cast<std::uint64_t>(range->second) - static_cast<std::uint64_t>(range->first) >=
              kMostIndices)
        throw UsageError(concat(option, ": ", key, ": expected a range that grows, of at most ", kMostIndices,
                                " values, got '", part, "'"));
      for (std::int64_t value = range->first; value <= range->second; ++value) values.emplace_back(value);
    }
  } else {
    values.push_back(given);
  }
  if (values.empty()) throw UsageError(concat(option, ": ", key, ": expected values, got none"));
  std::set<std::string> seen;
  SweepAxis axis;
  for (const Json& value : values) {
    if (!seen.insert(value.dump()).second)
      throw UsageError(concat(option, ": ", key, ": expected each value once, got two of ", brief(value)));
    if (key == kSeed && !(value.is_number_integer() && (value.is_number_unsigned() || value >= 0)))
      throw UsageError(concat(option, ": seed: expected whole numbers from 0 on, got ", brief(value)));
    axis.push_back({{key, value}});
  }
  return axis;
}

/// Keys of tables in tables with dots between.
Json flat(const Json& table, const std::string& prefix = "") {
  Json out = Json::object();
  for (const auto& [key, value] : table.items()) {
    if (value.is_object())
      out.update(flat(value, prefix + key + "."));
    else
      out[prefix + key] = value;
  }
  return out;
}

std::vector<SweepAxis> axes_in_file(const std::string& path) {
  const Json document = parse_toml(read_file(path), path);
  const std::string option = "--over-file";
  std::vector<SweepAxis> axes;
  for (const auto& [key, unused] : document.items())
    if (key != "over" && key != "settings")
      throw UsageError(concat(path, ": ", unknown_name("table", key, {"over", "settings"})));
  if (const Json settings = document.value("settings", Json::array()); !settings.empty()) {
    SweepAxis axis;
    for (const Json& setting : settings) {
      if (!setting.is_object() || setting.empty())
        throw UsageError(concat(path, ": settings: expected tables of keys, got ", brief(setting)));
      axis.push_back(flat(setting));
      std::set<std::string> first, own;
      for (const auto& [key, unused] : axis.front().items()) first.insert(key);
      for (const auto& [key, unused] : axis.back().items()) own.insert(key);
      if (own != first)
        throw UsageError(concat(path, ": settings: expected the same keys in each, got ",
                                text_of(axis.front()), " and ", text_of(axis.back())));
    }
    axes.push_back(std::move(axis));
  }
  const Json over = flat(document.value("over", Json::object()));
  for (const auto& [key, values] : over.items()) axes.push_back(axis_of(option, key, values));
  return axes;
}

std::vector<SweepAxis> axes_of(const SweepPlanConfig& config) {
  std::vector<SweepAxis> axes;
  if (!config.over_file.empty()) axes = axes_in_file(config.over_file);
  for (const auto& [key, values] : config.over.items()) axes.push_back(axis_of("--over", key, values));
  if (axes.empty()) throw UsageError("sweep plan: expected --over KEY=VALUES or --over-file, got neither");
  std::set<std::string> keys;
  std::size_t indices = 1;
  for (const SweepAxis& axis : axes) {
    for (const auto& [key, unused] : axis.front().items()) {
      if (config.set.contains(key)) throw UsageError(concat("--set: ", key, " is swept by --over"));
      if (!keys.insert(key).second) throw UsageError(concat("--over: ", key, " is given twice"));
    }
    indices *= axis.size();
    if (indices > kMostIndices)
      throw UsageError(concat("--over: expected at most ", kMostIndices, " indices, got more"));
  }
  return axes;
}

/// Each with each, the last axis fastest.
std::vector<Json> product_of(const std::vector<SweepAxis>& axes) {
  std::vector<Json> all = {Json::object()};
  for (const SweepAxis& axis : axes) {
    std::vector<Json> longer;
    for (const Json& start : all)
      for (const Json& setting : axis) {
        longer.push_back(start);
        longer.back().update(setting);
      }
    all = std::move(longer);
  }
  return all;
}

/// Throws UsageError for an axis along which no index needs another stage.
void expect_read(const std::vector<SweepAxis>& axes, const std::vector<std::vector<std::string>>& stages) {
  std::size_t stride = stages.size();
  for (const SweepAxis& axis : axes) {
    stride /= axis.size();
    bool differs = axis.size() == 1;
    for (std::size_t i = 0; i < stages.size() && !differs; ++i)
      if ((i / stride) % axis.size() != 0) differs = stages[i] != stages[i - stride];
    if (differs) continue;
    std::string keys;
    for (const auto& [key, unused] : axis.front().items()) keys += (keys.empty() ? "" : ", ") + key;
    throw UsageError(concat("--over: ", keys,
                            ": expected a key that a step reads, found none that does: all ", axis.size(),
                            " values make the same stages"));
  }
}

// The plan and its folder.

struct SweepInput {
  std::string option, path, product, sha256;
};

struct SweepPoint {
  Json setting;
  std::vector<std::string> stages;  // names in stages/
};

struct SweepPlan {
  std::string job;  // as it was given
  Json document;    // with what is set for all
  Json set = Json::object();
  std::vector<std::string> only;
  std::vector<SweepInput> inputs;  // files that no step makes
  std::string commit, program;
  std::vector<SweepPoint> points;

  Json json() const {
    Json read = Json::array(), indices = Json::array();
    for (const SweepInput& input : inputs)
      read.push_back({{"option", input.option},
                      {"path", input.path},
                      {"product", input.product},
                      {"sha256", input.sha256}});
    for (const SweepPoint& point : points)
      indices.push_back({{"setting", point.setting}, {"stages", point.stages}});
    return {{"format", kFormat}, {"job", job},         {"set", set},
            {"only", only},      {"commit", commit},   {"program", program},
            {"inputs", read},    {"indices", indices}, {"document", document}};
  }

  /// Throws InvalidArgument naming the field.
  static SweepPlan from_json(const Json& json) {
    const auto format = member<std::string>(json, "format");
    require(format == kFormat, "format: expected '", kFormat, "', found '", format, "'");
    SweepPlan plan{.job = member<std::string>(json, "job"),
                   .document = member<Json>(json, "document"),
                   .set = member<Json>(json, "set"),
                   .only = member<std::vector<std::string>>(json, "only"),
                   .inputs = {},
                   .commit = member<std::string>(json, "commit"),
                   .program = member<std::string>(json, "program"),
                   .points = {}};
    require(plan.document.is_object(), "document: expected a table, found ", brief(plan.document));
    require(plan.set.is_object(), "set: expected a table, found ", brief(plan.set));
    for (const Json& input : member<std::vector<Json>>(json, "inputs"))
      plan.inputs.push_back({member<std::string>(input, "option"), member<std::string>(input, "path"),
                             member<std::string>(input, "product"), member<std::string>(input, "sha256")});
    for (const Json& point : member<std::vector<Json>>(json, "indices")) {
      plan.points.push_back(
          {member<Json>(point, "setting"), member<std::vector<std::string>>(point, "stages")});
      require(plan.points.back().setting.is_object(), "indices: setting: expected a table, found ",
              brief(plan.points.back().setting));
      for (const std::string& stage : plan.points.back().stages)
        require(fs::path(stage).filename() == stage && !stage.starts_with("."),
                "indices: stages: expected names of folders, found ", brief(stage));
    }
    require(!plan.points.empty() && plan.points.size() <= kMostIndices, "indices: expected 1 to ",
            kMostIndices, ", found ", plan.points.size());
    return plan;
  }
};

class SweepFolder {
 public:
  explicit SweepFolder(const fs::path& path) : folder_(path) {
    std::error_code ignored;
    if (!fs::is_directory(path, ignored) && path.filename() == kPlan)
      folder_ = path.has_parent_path() ? path.parent_path() : fs::path(".");
    const fs::path file = folder_ / kPlan;
    const std::string text = read_file(file);
    hash_ = sha256(text);
    try {
      plan_ = SweepPlan::from_json(parse_json(text, file.string()));
    } catch (const InvalidArgument& error) {
      throw Error(concat(file.string(), ": expected the plan of a sweep: ", error.what()));
    }
  }

  /// Writes a plan; the same again is no news.
  static SweepFolder create(const fs::path& folder, const SweepPlan& plan) {
    const std::string text = plan.json().dump(1) + "\n";
    if (agreed_text(folder / kPlan, text) != text)
      throw Error(concat((folder / kPlan).string(),
                         ": expected this plan or none, found another; choose another --out"));
    return SweepFolder(folder);
  }

  const SweepPlan& plan() const { return plan_; }
  const fs::path& path() const { return folder_; }
  const std::string& hash() const { return hash_; }
  fs::path stages() const { return folder_ / "stages"; }
  fs::path attempts() const { return folder_ / "attempts"; }
  fs::path run(std::uint64_t index) const { return folder_ / "runs" / concat(index); }
  fs::path failure(std::uint64_t index) const { return folder_ / "failed" / concat(index, ".json"); }

  /// The document of an index.
  Json document(std::uint64_t index) const {
    return set_in_job(plan_.document, plan_.points[index].setting, "--over");
  }

  /// The record of an index that was made; nothing where there is none. Throws Error where it is of another plan.
  std::optional<Json> record(std::uint64_t index) const {
    const fs::path file = run(index) / kRecord;
    std::error_code failed;
    const fs::file_type type = fs::symlink_status(file, failed).type();
    if (type == fs::file_type::none) throw Error(concat(file.string(), ": cannot read: ", failed.message()));
    if (type == fs::file_type::not_found) return std::nullopt;
    Json found = read_json_object(file);
    const std::string of = found.value("plan", "");
    if (of != hash_)
      throw Error(concat(file.string(), ": plan: expected the SHA-256 of ", kPlan, ", ", hash_.substr(0, 12),
                         "..., found ", of.substr(0, 12),
                         "...: the plan was changed after this index was run"));
    return found;
  }

  /// Throws Error where the first index that was made is of another plan.
  void expect_own_runs() const {
    const std::set<std::uint64_t> made = indices_in("runs", "");
    if (!made.empty()) record(*made.begin());
  }

  /// Indices that names in a folder of the sweep tell of.
  std::set<std::uint64_t> indices_in(const char* name, std::string_view end) const {
    std::set<std::uint64_t> indices;
    for_each_name(folder_ / name, [&](std::string_view file) {
      if (!file.ends_with(end)) return;
      std::uint64_t index = 0;
      const char* last = file.data() + file.size() - end.size();
      const auto [end_of, error] = std::from_chars(file.data(), last, index);
      if (error == std::errc{} && end_of == last && index < plan_.points.size()) indices.insert(index);
    });
    return indices;
  }

  bool stages_are_there(std::uint64_t index) const {
    std::error_code ignored;
    return std::ranges::all_of(plan_.points[index].stages, [&](const std::string& stage) {
      return fs::is_directory(stages() / stage, ignored);
    });
  }

  /// Throws Error where this program or an input is not what the plan was made for.
  void expect_fresh() const {
    const std::string file = (folder_ / kPlan).string();
    if (plan_.program != program_sources(Link::kRewards))
      throw Error(concat(file, ": program: expected a plan of this program (", program_commit(),
                         "), found one of another (", plan_.commit,
                         "): its stages may have other bytes; plan again, or use that program"));
    for (const SweepInput& input : plan_.inputs)
      if (hash_of(input.option, input.path, input.product) != input.sha256)
        throw Error(concat(file, ": inputs: ", input.option, " ", input.path,
                           ": expected the file that was planned with, found a changed one; plan again"));
  }

  static std::string hash_of(const std::string& option, const std::string& path, const std::string& product) {
    StageSpec alone;
    alone.inputs = {{option, path, product}};
    return input_hashes(alone).at(option).get<std::string>();
  }

 private:
  fs::path folder_;
  std::string hash_;
  SweepPlan plan_;
};

/// Adds the files that a job's steps read and no step makes.
void add_inputs(const Job& job, std::vector<SweepInput>& inputs) {
  std::set<fs::path> made;
  const std::vector<JobStep> steps = steps_of(job);
  for (const JobStep& step : steps) made.insert(step.folder);
  for (const JobStep& step : steps)
    for (const StageInput& input : find_command(step.command).stage(step.config).inputs) {
      if (input.path.empty() || input.or_text || made.contains(input.path)) continue;
      const bool known = std::ranges::any_of(inputs, [&](const SweepInput& other) {
        return other.path == input.path && other.product == input.product;
      });
      if (!known)
        inputs.push_back({input.option, input.path, input.product,
                          SweepFolder::hash_of(input.option, input.path, input.product)});
    }
}

/// A setting over what is set for all.
RunJobConfig run_config(const SweepPlan& plan, const Json& setting) {
  RunJobConfig config;
  config.job = plan.job;
  config.set = plan.set;
  config.set.update(setting);
  config.only = plan.only;
  return config;
}

/// Makes an index in a folder of work and gives it its name.
void make_index(const SweepFolder& sweep, std::uint64_t index, SharedStages& stages, const Attempt& attempt) {
  const SweepPlan& plan = sweep.plan();
  const Json document = sweep.document(index);
  RunJobConfig run = run_config(plan, plan.points[index].setting);
  run.out = attempt.folder().string();
  // The same steps in two places: in this folder, as links, and where all indices share them.
  std::map<fs::path, JobStep> shared;
  {
    const Job here = part_of(plan_job(document, run.out, {}), plan.only);
    const Job there = part_of(plan_job(document, sweep.stages(), {}, StepFolders::kByContent), plan.only);
    for (std::size_t r = 0; r < here.runs.size(); ++r)
      for (std::size_t s = 0; s < here.runs[r].steps.size(); ++s)
        shared.emplace(here.runs[r].steps[s].folder, there.runs[r].steps[s]);
  }
  const Json result = run_document(run, document, [&](const JobStep& step) {
    const JobStep& stage = shared.at(step.folder);
    stages.make(stage);
    fs::create_directories(step.folder.parent_path());
    fs::create_directory_symlink(stage.folder.lexically_relative(step.folder.parent_path()), step.folder);
  });
  const Json record = {{"plan", sweep.hash()},
                       {"index", index},
                       {"setting", plan.points[index].setting},
                       {"figures", result.at("figures")},
                       {"commit", program_commit()},
                       {"machine", machine_description()}};
  write_file(attempt.folder() / kRecord, record.dump(2) + "\n");
  fs::create_directories(sweep.run(index).parent_path());
  if (move_new_folder(attempt.folder(), sweep.run(index))) return;
  const std::optional<Json> other = sweep.record(index);
  if (!other || other->value("figures", Json()) != record.at("figures"))
    throw Error(concat(sweep.run(index).string(),
                       ": expected the figures of this index, found others; remove "
                       "this folder, then run it again"));
}

enum class Made : std::uint8_t { kKept, kMade, kFailed };

Made run_index(const SweepFolder& sweep, std::uint64_t index, SharedStages& stages, std::string& message) {
  std::error_code ignored;
  const std::string key = concat("run_", index);
  if (sweep.record(index) && sweep.stages_are_there(index)) {
    fs::remove(sweep.failure(index), ignored);
    Attempt::remove_ended(sweep.attempts(), key);
    return Made::kKept;
  }
  const Attempt attempt(sweep.attempts(), key);
  try {
    make_index(sweep, index, stages, attempt);
  } catch (const Interrupted&) {
    throw;
  } catch (const std::exception& error) {
    message = error.what();
    message = message.substr(0, message.find('\n'));  // LibTorch's go on with a backtrace
    const fs::path text = attempt.folder() / "failed.json";
    write_file(text, Json{{"plan", sweep.hash()},
                          {"index", index},
                          {"setting", sweep.plan().points[index].setting},
                          {"message", printable(message)},
                          {"attempts", attempt.ordinal()},
                          {"commit", program_commit()},
                          {"machine", machine_description()}}
                             .dump(2) +
                         "\n");
    fs::create_directories(sweep.failure(index).parent_path());
    move_file(text, sweep.failure(index));
    return Made::kFailed;
  }
  fs::remove(sweep.failure(index), ignored);
  return Made::kMade;
}

/// What is known of failures, by index.
Json failures_of(const SweepFolder& sweep, const std::vector<std::uint64_t>& indices) {
  Json named = Json::array();
  for (const std::uint64_t index : indices) {
    if (named.size() == kNamedFailures) break;
    std::string message = "unknown";
    try {
      message = read_json_object(sweep.failure(index)).value("message", message);
    } catch (const Error&) {  // it was made meanwhile
      continue;
    }
    named.push_back(
        {{"index", index}, {"setting", text_of(sweep.plan().points[index].setting)}, {"message", message}});
  }
  return named;
}

struct SweepStatus {
  std::vector<std::uint64_t> missing, failed;
  std::uint64_t done = 0;
};

/// By names alone.
SweepStatus status_of_indices(const SweepFolder& sweep) {
  const std::set<std::uint64_t> made = sweep.indices_in("runs", ""),
                                failed = sweep.indices_in("failed", ".json");
  SweepStatus status;
  for (std::uint64_t i = 0; i < sweep.plan().points.size(); ++i) {
    if (made.contains(i)) {
      ++status.done;
      continue;
    }
    status.missing.push_back(i);
    if (failed.contains(i)) status.failed.push_back(i);
  }
  return status;
}

std::uint64_t count_names(const fs::path& folder) {
  std::uint64_t count = 0;
  for_each_name(folder, [&](std::string_view) { ++count; });
  return count;
}

// The table.

/// The indices of one setting, seeds apart.
struct SweepRow {
  Json setting = Json::object();
  std::vector<std::uint64_t> indices, missing;
  std::vector<std::uint64_t> seeds;  // of `indices`; none where seeds are not swept
  std::vector<Result> figures;
};

std::vector<SweepRow> rows_of(const SweepFolder& sweep) {
  std::vector<SweepRow> rows;
  std::map<std::string, std::size_t> known;
  for (std::uint64_t i = 0; i < sweep.plan().points.size(); ++i) {
    Json setting = sweep.plan().points[i].setting;
    const Json seed = setting.value(kSeed, Json());
    setting.erase(kSeed);
    const auto [at, fresh] = known.emplace(setting.dump(), rows.size());
    if (fresh) rows.emplace_back().setting = setting;
    SweepRow& row = rows[at->second];
    if (!sweep.record(i)) {
      row.missing.push_back(i);
      continue;
    }
    row.indices.push_back(i);
    if (!seed.is_null()) row.seeds.push_back(seed);
  }
  for (SweepRow& row : rows) {
    if (row.indices.empty()) continue;
    RunJobConfig config = run_config(sweep.plan(), row.setting);
    for (const std::uint64_t seed : row.seeds) config.seeds += concat(config.seeds.empty() ? "" : ",", seed);
    const Json document = set_in_job(sweep.plan().document, row.setting, "--over");
    const Job job = plan_job(document, sweep.stages(), row.seeds, StepFolders::kByContent);
    row.figures = figures_of(part_of(job, sweep.plan().only), command_line(config));
    for (Result& figure : row.figures) figure.commit = sweep.plan().commit;  // whose program made all
  }
  return rows;
}

std::string cell_of(const Json& value) {
  return value.is_null() ? "" : value.is_string() ? value.get<std::string>() : value.dump();
}

/// The rows as CSV, JSON and Markdown.
struct SweepTables {
  std::string csv, markdown;
  Json json;
};

SweepTables tables_of(const SweepFolder& sweep, const std::vector<SweepRow>& rows) {
  std::vector<std::string> keys, questions;
  std::map<std::string, std::string> units;
  std::vector<std::uint64_t> missing;
  bool seeds = false;
  for (const auto& [key, unused] : rows.front().setting.items()) keys.push_back(key);
  for (const SweepRow& row : rows) {
    missing.insert(missing.end(), row.missing.begin(), row.missing.end());
    seeds = seeds || !row.seeds.empty();
    for (const Result& figure : row.figures) {
      if (std::ranges::find(questions, figure.question) == questions.end())
        questions.push_back(figure.question);
      units[figure.question] = figure.unit;
    }
  }
  std::ranges::sort(missing);
  SweepTables tables;
  std::vector<std::vector<std::string>> cells(1);
  for (const std::string& key : keys) {
    tables.csv += csv_text(key) + ",";
    cells[0].push_back(key);
  }
  tables.csv += "runs,missing";
  cells[0].push_back(seeds ? "seeds" : "runs");
  for (const std::string& question : questions) {
    for (const char* part : {"", " low", " high"}) tables.csv += "," + csv_text(question + part);
    cells[0].push_back(question + (units[question].empty() ? "" : ", " + units[question]));
  }
  tables.csv += "\n";
  Json list = Json::array();
  for (const SweepRow& row : rows) {
    std::vector<std::string>& line = cells.emplace_back();
    for (const std::string& key : keys) {
      line.push_back(cell_of(row.setting.value(key, Json())));
      tables.csv += csv_text(line.back()) + ",";
    }
    tables.csv += concat(row.indices.size(), ",", csv_text(ranges_of(row.missing)));
    line.push_back(concat(row.indices.size(), row.missing.empty()
                                                  ? ""
                                                  : concat(" of ", row.indices.size() + row.missing.size())));
    Json figures = Json::object();
    for (const std::string& question : questions) {
      const auto figure = std::ranges::find(row.figures, question, &Result::question);
      if (figure == row.figures.end()) {
        tables.csv += ",,,";
        line.emplace_back();
        continue;
      }
      tables.csv += concat(",", Json(figure->value).dump(), ",");
      if (figure->interval)
        tables.csv += concat(Json((*figure->interval)[0]).dump(), ",", Json((*figure->interval)[1]).dump());
      else
        tables.csv += ",";
      line.push_back(marked_estimate(*figure));
      figures[question] = {{"value", figure->value}, {"runs", figure->runs}};
      if (figure->interval) figures[question]["interval"] = *figure->interval;
      if (!figure->unit.empty()) figures[question]["unit"] = figure->unit;
      if (!figure->bar.empty()) figures[question]["bar"] = figure->bar;
    }
    tables.csv += "\n";
    list.push_back({{"setting", row.setting},
                    {"indices", row.indices},
                    {"seeds", row.seeds},
                    {"missing", row.missing},
                    {"figures", figures}});
  }
  tables.markdown = markdown_table(cells);
  if (!missing.empty()) tables.markdown += concat("\nMissing of the sweep: ", ranges_of(missing), "\n");
  tables.json = {{"job", sweep.plan().job},
                 {"set", sweep.plan().set},
                 {"plan", sweep.hash()},
                 {"commit", sweep.plan().commit},
                 {"missing_index", ranges_of(missing)},
                 {"rows", list}};
  return tables;
}

/// Figures as a results file keeps them, each setting a column.
std::vector<Result> results_of(const std::vector<SweepRow>& rows) {
  std::vector<Result> all;
  for (const SweepRow& row : rows)
    for (Result figure : row.figures) {
      const std::string setting = text_of(row.setting);
      figure.maze += (figure.maze.empty() || setting.empty() ? "" : ", ") + setting;
      all.push_back(std::move(figure));
    }
  return all;
}

/// Submits every agent, planner and reward once: the runs of a setting, whose seeds differ, under one name.
Json submit(const SweepFolder& sweep, const SweepCollectConfig& config, const std::vector<SweepRow>& rows) {
  struct Found {
    std::string step;
    Json setting;  // the keys that have one value in all indices that share the stage
  };
  std::vector<fs::path> order;
  std::map<fs::path, Found> found;
  for (const SweepRow& row : rows)
    for (const std::uint64_t index : row.indices) {
      const Job job = plan_job(sweep.document(index), sweep.stages(), {}, StepFolders::kByContent);
      for (const JobStep& step : steps_of(part_of(job, sweep.plan().only))) {
        if (step.command != "rl" && step.command != "plan" && step.command != "extract") continue;
        const auto [at, fresh] = found.emplace(step.folder, Found{step.name, row.setting});
        if (fresh) order.push_back(step.folder);
        Json shared = Json::object();
        for (const auto& [key, value] : at->second.setting.items())
          if (row.setting.value(key, Json()) == value) shared[key] = value;
        at->second.setting = shared;
      }
    }
  Json result = {{"submitted", Json::array()}, {"left_out", Json::array()}};
  const std::vector<BoardTask> tasks = Board(config.board).tasks();
  for (const fs::path& folder : order) {
    const Found& stage = found.at(folder);
    const std::string setting = text_of(stage.setting);
    BoardSubmitConfig submission;
    submission.from = folder.string();
    submission.board = config.board;
    submission.tasks = config.tasks;
    submission.name = stage.step + (setting.empty() ? "" : ", " + setting);
    submission.threads = config.threads;
    const std::vector<BoardCandidate> candidates = find_candidates(submission, tasks);
    if (std::ranges::all_of(candidates, [](const BoardCandidate& one) { return one.tasks.empty(); })) {
      result["left_out"].push_back(submission.name);
      continue;
    }
    const Json submitted = run_board_submit(submission);
    for (const Json& one : submitted.at("submitted")) result["submitted"].push_back(one);
  }
  return result;
}

}  // namespace

Json run_sweep_plan(const SweepPlanConfig& config) {
  const std::vector<SweepAxis> axes = axes_of(config);
  RunJobConfig asked;
  asked.job = config.job;
  asked.set = config.set;
  SweepPlan plan{.job = config.job,
                 .document = with_absolute_files(document_of(asked)),
                 .set = with_absolute_files(config.set),
                 .only = config.only,
                 .inputs = {},
                 .commit = program_commit(),
                 .program = program_sources(Link::kRewards),
                 .points = {}};
  const fs::path stages = fs::path(config.out) / "stages";
  std::vector<std::vector<std::string>> needed;
  std::map<std::string, std::size_t> uses;
  for (const Json& setting : product_of(axes)) {
    check_interrupt();
    SweepPoint point{with_absolute_files(setting), {}};
    const Json document = set_in_job(plan.document, point.setting, "--over");
    const Job job = part_of(plan_job(document, stages, {}, StepFolders::kByContent), plan.only);
    add_inputs(job, plan.inputs);
    for (const JobStep& step : steps_of(job)) {
      point.stages.push_back(step.folder.filename().string());
      ++uses[point.stages.back()];
    }
    needed.push_back(point.stages);
    plan.points.push_back(std::move(point));
  }
  expect_read(axes, needed);
  const SweepFolder sweep = SweepFolder::create(config.out, plan);
  std::set<std::string> settings;
  for (SweepPoint point : plan.points) {
    point.setting.erase(kSeed);
    settings.insert(point.setting.dump());
  }
  std::size_t steps = 0;
  for (const auto& [unused, count] : uses) steps += count;
  return {{"sweep", sweep.path().string()},
          {"indices", plan.points.size()},
          {"settings", settings.size()},
          {"first", text_of(plan.points.front().setting)},
          {"last", text_of(plan.points.back().setting)},
          {"steps", steps},
          {"stages", uses.size()},
          {"sha256", sweep.hash()}};
}

Json run_sweep_run(const SweepRunConfig& config) {
  const SweepFolder sweep(config.sweep);
  const std::vector<std::uint64_t> indices = indices_of(config.choice, sweep.plan().points.size());
  sweep.expect_fresh();
  sweep.expect_own_runs();
  SharedStages stages({.stages = sweep.stages(),
                       .attempts = sweep.attempts(),
                       .quarantine = sweep.path() / "quarantine",
                       .wait = config.wait,
                       .threads = config.threads});
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t made = 0, kept = 0;
  std::vector<std::uint64_t> failed;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    check_interrupt();
    const std::uint64_t index = indices[i];
    Progress::line(concat("index ", index, " (", i + 1, "/", indices.size(),
                          "): ", text_of(sweep.plan().points[index].setting)));
    std::string message;
    switch (run_index(sweep, index, stages, message)) {
      case Made::kKept:
        ++kept;
        break;
      case Made::kMade:
        ++made;
        break;
      case Made::kFailed:
        failed.push_back(index);
        Progress::line(concat("index ", index, " failed: ", message));
        break;
    }
  }
  return {{"sweep", sweep.path().string()},
          {"indices", indices.size()},
          {"made", made},
          {"kept", kept},
          {"failed", failed.size()},
          {"failed_index", ranges_of(failed)},
          {"failures", failures_of(sweep, failed)},
          {"seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()}};
}

int exit_code_of_sweep_run(const Json& result) {
  return result.at("failed") == 0 ? 0 : 1;
}

Json run_sweep_status(const SweepStatusConfig& config) {
  const SweepFolder sweep(config.sweep);
  sweep.expect_own_runs();
  const SweepStatus status = status_of_indices(sweep);
  std::set<std::string> stages;
  for (const SweepPoint& point : sweep.plan().points) stages.insert(point.stages.begin(), point.stages.end());
  std::uint64_t there = 0;
  for_each_name(sweep.stages(), [&](std::string_view name) { there += stages.contains(std::string(name)); });
  Json aside = Json::array();
  for_each_name(sweep.path() / "quarantine",
                [&](std::string_view name) { aside.push_back(concat("quarantine/", name)); });
  return {{"sweep", sweep.path().string()},
          {"indices", sweep.plan().points.size()},
          {"done", status.done},
          {"missing", status.missing.size()},
          {"missing_index", ranges_of(status.missing)},
          {"failed", status.failed.size()},
          {"failed_index", ranges_of(status.failed)},
          {"failures", failures_of(sweep, status.failed)},
          {"stages", stages.size()},
          {"stages_done", there},
          {"attempts", count_names(sweep.attempts())},
          {"quarantined", aside},
          {"complete", status.missing.empty()}};
}

Json run_sweep_collect(const SweepCollectConfig& config) {
  const SweepFolder sweep(config.sweep);
  const SweepStatus status = status_of_indices(sweep);
  if (!status.missing.empty() && (!config.partial || status.done == 0))
    throw Error(concat(sweep.path().string(), ": expected all ", sweep.plan().points.size(),
                       " indices, found none of ", ranges_of(status.missing),
                       status.failed.empty() ? "" : concat(" (", ranges_of(status.failed), " failed)"),
                       "; run these", status.done == 0 ? "" : ", or collect --partial"));
  const std::vector<SweepRow> rows = rows_of(sweep);
  const SweepTables tables = tables_of(sweep, rows);
  const fs::path out = config.out.empty() ? sweep.path() : fs::path(config.out);
  write_file(out / "table.csv", tables.csv);
  write_file(out / "table.json", tables.json.dump(2) + "\n");
  write_file(out / "table.md", tables.markdown);
  Json result = {{"sweep", sweep.path().string()},
                 {"rows", rows.size()},
                 {"runs", status.done},
                 {"missing_index", ranges_of(status.missing)},
                 {"failed_index", ranges_of(status.failed)},
                 {"table", (out / "table.md").string()},
                 {"markdown", tables.markdown}};
  if (!config.results.empty())
    save_results(config.results, merge_results(load_results(config.results), results_of(rows)));
  if (!config.board.empty()) result["board"] = submit(sweep, config, rows);
  return result;
}

void print_sweep_collect(const Json& result, std::ostream& out) {
  Json rest = result;
  rest.erase("markdown");
  out << result.at("markdown").get<std::string>() << "\n";
  print_result(rest, out);
}

}  // namespace diffreward::cli
