#include "cli/report.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "cli/stage.h"
#include "core/format.h"
#include "core/provenance.h"
#include "core/statistics.h"

namespace diffreward::cli {

namespace fs = std::filesystem;

bool StepRecord::has_picture(const std::string& file) const {
  std::error_code ignored;
  return fs::is_regular_file(folder / file, ignored);
}

Image StepRecord::picture(const std::string& file) const {
  return read_png(folder / file);
}

std::string number(double value) {
  return format_number(value);
}

std::string number(const Json& value) {
  return value.is_number() ? number(value.get<double>()) : "-";
}

std::string with_interval(const Json& estimate) {
  for (const char* part : {"value", "low", "high"})
    if (!estimate.at(part).is_number()) return number(estimate.at("value"));
  return format_estimate({estimate.at("value"), estimate.at("low"), estimate.at("high")});
}

std::string readable(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

StepRecord record_of(const JobStep& step) {
  const Json record = stage_record(step.folder);
  return {step.name, step.folder, record.at("key").at("config"), record.at("result"),
          record.value("seconds", 0.0)};
}

Estimate ratio_of_means(const std::vector<double>& a, const std::vector<double>& b) {
  const double below = mean(b), ratio = mean(a) / below;
  std::vector<double> linear;
  for (std::size_t i = 0; i < a.size(); ++i) linear.push_back(ratio + (a[i] - ratio * b[i]) / below);
  if (const Estimate divisor = mean_of_runs(b); divisor.low <= 0 && divisor.high >= 0)
    return {ratio, -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  return mean_of_runs(linear);
}

namespace {

/// Records of a job's steps, each read once.
class Records {
 public:
  const StepRecord& of(const JobStep& step) {
    const auto found = records_.find(step.folder);
    return found != records_.end() ? found->second
                                   : records_.emplace(step.folder, record_of(step)).first->second;
  }

 private:
  std::map<fs::path, StepRecord> records_;
};

/// What a path leads to in the results of a run.
Json read_path(Records& records, const JobRun& run, const std::string& path) {
  const auto dot = path.find('.');
  const std::string name = path.substr(0, dot);
  const auto step =
      std::find_if(run.steps.begin(), run.steps.end(), [&](const JobStep& s) { return s.name == name; });
  require(step != run.steps.end(), path, ": expected a step of the job");
  const StepRecord& record = records.of(*step);
  Json value = record.result;
  if (!value.contains("seconds")) value["seconds"] = record.seconds;
  std::size_t at = dot;
  while (at != std::string::npos) {
    const std::size_t next = path.find('.', at + 1);
    const std::string key = path.substr(at + 1, next == std::string::npos ? next : next - at - 1);
    if (!value.is_object() || !value.contains(key)) {
      std::vector<std::string> keys;
      for (const auto& [known, unused] : value.items()) keys.push_back(known);
      throw Error(concat(path, ": ", unknown_name("key", key, keys)));
    }
    const Json inner = value.at(key);
    value = inner;
    at = next;
  }
  return value;
}

/// Not a number where a run had nothing to count.
double number_at(Records& records, const JobRun& run, const std::string& path) {
  Json value = read_path(records, run, path);
  if (value.is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (value.is_object() && value.contains("value")) value = Json(value.at("value"));
  if (!value.is_number()) throw Error(concat(path, ": expected a number, found ", brief(value)));
  return value;
}

/// The runs of each seed; all of them where seeds are no axis.
std::vector<std::vector<const JobRun*>> by_seed(const Job& job) {
  std::vector<std::vector<const JobRun*>> groups;
  if (job.axes.empty() || job.axes[0].variable != "seed") {
    groups.emplace_back();
    for (const JobRun& run : job.runs) groups.back().push_back(&run);
    return groups;
  }
  for (const Json& seed : job.axes[0].values) {
    groups.emplace_back();
    for (const JobRun& run : job.runs)
      if (run.values[0] == seed) groups.back().push_back(&run);
  }
  return groups;
}

Result figure_of(const Job& job, const JobFigure& figure, Records& records) {
  std::vector<double> values, below;  // [seeds]
  const bool ratio = !figure.over.empty() || !figure.to.empty();
  bool complete = true;  // every run had something to count
  for (const auto& runs : by_seed(job)) {
    std::vector<double> of_seed, below_of_seed;
    for (const JobRun* run : runs) {
      double value = number_at(records, *run, figure.value);
      complete = complete && std::isfinite(value);
      if (!figure.minus.empty()) value -= number_at(records, *run, figure.minus);
      if (!figure.from.empty()) {
        const double from = number_at(records, *run, figure.from);
        value -= from;
        below_of_seed.push_back(number_at(records, *run, figure.to) - from);
      }
      if (figure.within >= 0) value = value <= figure.within;
      of_seed.push_back(value);
      if (!figure.over.empty()) below_of_seed.push_back(number_at(records, *run, figure.over));
    }
    if (!complete) break;
    values.push_back(mean(of_seed));
    if (ratio) below.push_back(mean(below_of_seed));
  }
  Result result{.question = figure.name,
                .maze = job.column,
                .group = job.group,
                .unit = figure.unit,
                .bar = figure.bar,
                .note = figure.note};
  if (!complete) {
    result.value = std::numeric_limits<double>::quiet_NaN();
    return result;
  }
  Estimate estimate = ratio ? ratio_of_means(values, below) : mean_of_runs(values);
  const bool alone = job.runs.size() == 1 && !ratio && figure.minus.empty() && figure.within < 0;
  if (const Json found = alone ? read_path(records, job.runs[0], figure.value) : Json();
      found.is_object() && found.value("low", Json()).is_number() && found.value("high", Json()).is_number())
    estimate = {estimate.value, found.at("low"), found.at("high")};
  result.value = estimate.value;
  // Equal runs say nothing of how others would differ.
  if (std::isfinite(estimate.low) && estimate.low < estimate.high) {
    result.interval = {estimate.low, estimate.high};
    if (figure.range.size() == 2)
      result.interval = {std::max(estimate.low, figure.range[0]), std::min(estimate.high, figure.range[1])};
  }
  if (ratio)
    for (std::size_t i = 0; i < values.size(); ++i) values[i] /= below[i];
  if (std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); }))
    result.runs = values;
  return result;
}

}  // namespace

std::vector<Result> figures_of(const Job& job, const std::string& command) {
  Records records;
  std::vector<Result> results;
  for (const JobFigure& figure : job.figures) {
    Result result = figure_of(job, figure, records);
    if (!std::isfinite(result.value)) continue;  // nothing to compare with
    result.command = command;
    result.commit = program_commit();
    result.machine = machine_description();
    result.versions = {{"diffreward", DIFFREWARD_VERSION}};
    if (!job.axes.empty() && job.axes[0].variable == "seed")
      for (const Json& seed : job.axes[0].values) result.seeds.push_back(seed);
    results.push_back(result);
  }
  return results;
}

Page report_of(const Job& job, const JobRun& run, const std::vector<Result>& figures) {
  Page page(job.title, job.about);
  std::vector<Headline> headlines;
  Table table{"Figures", {"", "value", "bar"}, {}};
  for (std::size_t i = 0; i < figures.size(); ++i) {
    const Result& figure = figures[i];
    const std::string value =
        format_estimate(figure.estimate()) + (figure.unit.empty() ? "" : " " + figure.unit);
    table.rows.push_back({figure.question, value, figure.bar});
    const auto wanted = std::find_if(job.figures.begin(), job.figures.end(),
                                     [&](const JobFigure& f) { return f.name == figure.question; });
    if (wanted != job.figures.end() && wanted->headline)
      headlines.push_back({figure.question, value, figure.bar, passes(figure.value, figure.bar)});
  }
  if (!headlines.empty()) page.summary(headlines);
  std::vector<std::string> seen;
  double total = 0;
  Table times{"Steps", {"", "command", "seconds"}, {}};
  std::vector<StepRecord> all;
  for (const JobStep& step : run.steps) {
    all.push_back(record_of(step));
    total += all.back().seconds;
    times.rows.push_back({step.name, step.command, number(all.back().seconds)});
  }
  for (const JobStep& step : run.steps) {
    if (std::find(seen.begin(), seen.end(), step.command) != seen.end()) continue;
    seen.push_back(step.command);
    std::vector<StepRecord> of_command;
    for (std::size_t i = 0; i < all.size(); ++i)
      if (run.steps[i].command == step.command) of_command.push_back(all[i]);
    try {
      find_command(step.command).section(page, of_command);
    } catch (const Json::exception&) {
      throw Error(concat((of_command.front().folder / "stage.json").string(), ": expected the result of ",
                         step.command, ", found another"));
    }
  }
  page.section("How it was made");
  if (!table.rows.empty()) page.table(table);
  page.table(times);
  page.footer(concat("diffreward ", DIFFREWARD_VERSION, ", ", machine_description(), ", ", number(total / 60),
                     " minutes in all. Settings of every step: config.toml in its folder."));
  return page;
}

}  // namespace diffreward::cli
