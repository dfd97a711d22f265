// diffreward run: the steps of a job, in order. diffreward report: its page again.
#include "cli/run.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <map>
#include <set>

#include "agents/nets/ranks.h"
#include "cli/job.h"
#include "cli/report.h"
#include "cli/stage.h"
#include "cli/toml.h"
#include "core/file.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "core/shell.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kJob =
    "job.toml";  // in a job's folder: the document and the seeds that it was run with
constexpr std::uint64_t kMostSeeds = 10'000;

std::uint64_t parse_seed(const std::string& all, std::string_view text) {
  std::uint64_t value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    throw UsageError(concat("--seeds: expected a list as 0-4 or 0,1,5, got '", all, "'"));
  return value;
}

/// "0-2,7" as 0, 1, 2, 7.
std::vector<std::uint64_t> parse_seeds(const std::string& text) {
  std::vector<std::uint64_t> seeds;
  for (std::size_t at = 0; !text.empty() && at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string_view part = std::string_view(text).substr(at, comma - at);
    const std::size_t dash = part.find('-');
    const std::uint64_t first = parse_seed(text, part.substr(0, dash));
    const std::uint64_t last =
        dash == std::string_view::npos ? first : parse_seed(text, part.substr(dash + 1));
    if (last < first || last - first >= kMostSeeds)
      throw UsageError(concat("--seeds: expected at most ", kMostSeeds, " seeds, upwards, got '", text, "'"));
    for (std::uint64_t seed = first; seed <= last; ++seed) {
      if (std::find(seeds.begin(), seeds.end(), seed) != seeds.end())
        throw UsageError(concat("--seeds: expected each seed once, got '", text, "'"));
      seeds.push_back(seed);
      if (seed == last) break;
    }
    at = comma + 1;
  }
  return seeds;
}

std::string seeds_text(const std::vector<std::uint64_t>& seeds) {
  std::string text;
  for (const std::uint64_t seed : seeds) text += concat(text.empty() ? "" : ",", seed);
  return text;
}

/// The steps that are wanted, with what they need. Throws UsageError for an unknown one.
std::set<std::string> wanted_steps(const Job& job, const std::vector<std::string>& only) {
  std::map<std::string, std::vector<std::string>> needs;
  std::vector<std::string> known;
  for (const JobStep& step : job.runs[0].steps) {
    needs[step.name] = step.needs;
    known.push_back(step.name);
  }
  std::set<std::string> wanted;
  std::vector<std::string> open = only.empty() ? known : only;
  while (!open.empty()) {
    const std::string name = open.back();
    open.pop_back();
    if (!needs.contains(name)) throw UsageError(concat("--only: ", unknown_name("step", name, known)));
    if (wanted.insert(name).second)
      for (const std::string& need : needs.at(name)) open.push_back(need);
  }
  return wanted;
}

Json list_steps(const std::vector<JobStep>& steps, const fs::path& out) {
  using enum StageStatus::State;
  static const std::map<StageStatus::State, const char*> kWords = {
      {kAbsent, "to do"}, {kUnfinished, "begun"}, {kChanged, "to do again"}, {kDone, "done"}};
  Json list = Json::array();
  std::set<fs::path> stale;  // folders whose steps are to be made, and so all that reads them
  for (const JobStep& step : steps) {
    const StageSpec spec = find_command(step.command).stage(step.config);
    StageStatus status = status_of(spec);
    const bool of_stale = std::any_of(spec.inputs.begin(), spec.inputs.end(),
                                      [&](const StageInput& input) { return stale.contains(input.path); });
    if (of_stale && status.state == kDone) status.state = kChanged;
    if (status.state != kDone) stale.insert(step.folder);
    list.push_back({{"step", step.folder.lexically_relative(out).string()},
                    {"command", step.command},
                    {"state", kWords.at(status.state)},
                    {"seconds", std::round(10 * status.seconds) / 10}});
  }
  return list;
}

Json figures_json(const std::vector<Result>& figures) {
  Json json = Json::object();
  for (const Result& figure : figures)
    json[figure.question] = figure.interval ? figure.estimate().json() : Json(figure.value);
  return json;
}

/// results.json and the page of every run.
Json conclude(const Job& job, const std::vector<Result>& figures, const fs::path& out,
              const std::string& command, const fs::path& page) {
  save_results(out / "results.json", figures);
  Json result = {{"results", (out / "results.json").string()}, {"figures", figures_json(figures)}};
  for (const JobRun& run : job.runs) {
    fs::path file = page;
    if (job.runs.size() > 1) {  // beside the steps that belong to this run alone
      fs::path deepest = out;
      for (const JobStep& step : run.steps)
        if (std::distance(step.folder.begin(), step.folder.end()) - 1 >
            std::distance(deepest.begin(), deepest.end()))
          deepest = step.folder.parent_path();
      file = deepest / "report.html";
    }
    const Job alone{.title = job.title,
                    .about = job.about,
                    .column = job.column,
                    .group = job.group,
                    .axes = {},
                    .runs = {run},
                    .figures = job.figures};
    report_of(alone, run, job.runs.size() > 1 ? figures_of(alone, command) : figures).save(file);
    result["report"] = file.string();
  }
  return result;
}

}  // namespace

Json with_absolute_files(Json value, int depth) {
  std::error_code ignored;
  if (value.is_string() && fs::is_regular_file(value.get<std::string>(), ignored))
    return fs::absolute(value.get<std::string>()).lexically_normal().string();
  if (value.is_object() && depth < 2)
    for (const auto& [key, item] : value.items()) item = with_absolute_files(item, depth + 1);
  return value;
}

std::string command_line(const RunJobConfig& config) {
  std::string line = "diffreward run " + shell_word(config.job);
  if (!config.seeds.empty()) line += " --seeds " + config.seeds;
  for (const auto& [key, value] : config.set.items())
    line += " --set " + shell_word(key + "=" + (value.is_string() ? value.get<std::string>() : value.dump()));
  for (const std::string& step : config.only) line += " --only " + shell_word(step);
  return line;
}

std::vector<JobStep> steps_of(const Job& job) {
  std::vector<JobStep> steps;
  std::set<fs::path> seen;
  for (const JobRun& run : job.runs)
    for (const JobStep& step : run.steps)
      if (seen.insert(step.folder).second) steps.push_back(step);
  return steps;
}

Job part_of(Job job, const std::vector<std::string>& only) {
  const std::set<std::string> wanted = wanted_steps(job, only);
  for (JobRun& run : job.runs)
    std::erase_if(run.steps, [&](const JobStep& step) { return !wanted.contains(step.name); });
  std::erase_if(job.figures, [&](const JobFigure& figure) {
    const auto missing = [&](const std::string& path) {
      return !path.empty() && !wanted.contains(path.substr(0, path.find('.')));
    };
    return missing(figure.value) || missing(figure.over) || missing(figure.minus) || missing(figure.from) ||
           missing(figure.to);
  });
  return job;
}

Json document_of(const RunJobConfig& config) {
  Json document = set_in_job(load_job(config.job), config.set);
  document.erase("run");  // of a job.toml that was run before
  return document;
}

Json run_document(const RunJobConfig& config, Json document, const StepMaker& make) {
  if (const int ranks = Ranks::count(); ranks > 1)
    throw UsageError(concat("run: expected one process, found WORLD_SIZE ", ranks,
                            "; train and extract alone divide their work"));
  const fs::path out = config.out;
  const std::vector<std::uint64_t> seeds = parse_seeds(config.seeds);
  const Job whole = plan_job(document, out, seeds);
  const Job job = part_of(whole, config.only);
  const std::vector<JobStep> steps = steps_of(job);
  if (config.list) return {{"steps", list_steps(steps, out)}};

  fs::create_directories(out);
  document = with_absolute_files(document);
  document["run"] = {{"command", command_line(config)}, {"seeds", seeds_text(seeds)}};
  write_file(out / kJob, "# what `diffreward report` reads: the job as it was run\n" + to_toml(document));
  Json seconds = Json::object();
  for (std::size_t i = 0; i < steps.size(); ++i) {
    check_interrupt();
    const JobStep& step = steps[i];
    const std::string name = step.folder.lexically_relative(out).string();
    Progress::line(concat("[", i + 1, "/", steps.size(), "] ", name));
    try {
      make(step);
    } catch (const Interrupted&) {
      throw;
    } catch (const std::exception& error) {
      throw Error(concat("step ", name, ": ", error.what()));
    }
    seconds[name] = std::round(10 * stage_record(step.folder).at("seconds").get<double>()) / 10;
  }
  Json result = {{"seconds", seconds}};
  const std::vector<Result> figures = figures_of(job, command_line(config));
  if (job.runs[0].steps.size() == whole.runs[0].steps.size())
    result.update(conclude(job, figures, out, command_line(config), out / "report.html"));
  else
    result["figures"] = figures_json(figures);
  if (!config.results.empty())
    save_results(config.results, merge_results(load_results(config.results), figures));
  return result;
}

Json run_job(const RunJobConfig& config) {
  if (config.job.empty()) {
    Json list = Json::array();
    for (const std::string& name : builtin_jobs()) {
      list.push_back({{"job", name}, {"title", plan_job(load_job(name), "", {}).title}});
    }
    return {{"jobs", list}};
  }
  if (config.out.empty()) throw UsageError("run: --out is missing");
  if (!config.seeds.empty() && config.set.contains("seed"))
    throw UsageError("run: expected --seeds or --set seed, got both");
  return run_document(config, document_of(config), [&](const JobStep& step) {
    Json settings = step.config;
    settings["threads"] = config.threads;
    find_command(step.command).run(settings);
  });
}

Json run_report(const ReportConfig& config) {
  const fs::path folder = config.results;
  Json document = parse_toml(read_file(folder / kJob), (folder / kJob).string());
  const Json ran = document.value("run", Json::object());
  const std::vector<std::uint64_t> seeds = parse_seeds(ran.value("seeds", ""));
  const std::string command = ran.value("command", "");
  document.erase("run");
  const Job job = plan_job(document, folder, seeds);
  if (!config.out.empty() && job.runs.size() > 1)
    throw UsageError(
        concat("--out: expected a job of one run, found ", job.runs.size(), ", each with a page of its own"));
  const Json result = conclude(job, figures_of(job, command), folder, command,
                               config.out.empty() ? folder / "report.html" : fs::path(config.out));
  return {{"report", result.at("report")}, {"figures", result.at("figures")}};
}

void print_job(const Json& result, std::ostream& out) {
  if (result.contains("jobs")) {
    for (const Json& job : result.at("jobs"))
      out << std::left << std::setw(28) << job.at("job").get<std::string>()
          << job.at("title").get<std::string>() << "\n";
    return;
  }
  if (!result.contains("steps")) return print_result(result, out);
  for (const Json& step : result.at("steps")) {
    out << std::left << std::setw(14) << step.at("state").get<std::string>() << std::setw(40)
        << step.at("step").get<std::string>() << std::setw(10) << step.at("command").get<std::string>();
    if (step.at("seconds") > 0) out << step.at("seconds") << " s";
    out << "\n";
  }
}

}  // namespace diffreward::cli
