#include "cli/report.h"

#include <cmath>
#include <limits>

#include "cli/command.h"
#include "cli/stage.h"
#include "leaderboard/page.h"
#include "leaderboard/results.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;

std::string number(double value) {
  return format_number(value);
}
std::string number(const Json& value) {
  return value.is_number() ? number(value.get<double>()) : "-";
}

std::string with_interval(const Json& json) {
  for (const char* part : {"value", "low", "high"})
    if (!json.at(part).is_number()) return number(json.at("value"));
  return format_estimate({json.at("value"), json.at("low"), json.at("high")});
}

/// The stages of one results folder.
class Stages {
 public:
  explicit Stages(fs::path folder) : folder_(std::move(folder)) {}

  const Json& result(const std::string& stage) { return load(stage).at("result"); }
  const Json& config(const std::string& stage) { return load(stage).at("key").at("config"); }
  double seconds(const std::string& stage) { return load(stage).value("seconds", 0.0); }
  /// The stage that was looked at last, for messages.
  const fs::path& last() const { return last_; }
  Image picture(const std::string& stage, const std::string& name) const {
    return read_png(folder_ / stage / name);
  }

 private:
  const Json& load(const std::string& stage) {
    last_ = folder_ / stage;
    if (!loaded_.contains(stage)) {
      loaded_[stage] = stage_record(last_);
    }
    return loaded_.at(stage);
  }

  fs::path folder_, last_;
  std::map<std::string, Json> loaded_;
};

void meaning(Page& page, Stages& stages) {
  const Json& relative = stages.result("evaluate").at("relative");
  const Json& baseline = stages.result("evaluate").at("discriminator");
  page.section("What the reward says")
      .text(
          "The reward of standing at each position, extracted from the two diffusion models alone: no reward "
          "was shown to "
          "either. The star is the goal that the expert walks to, the cross the reward's peak. Beside it a "
          "discriminator "
          "trained to tell expert from base, the usual baseline.")
      .figures({{stages.picture("evaluate", "relative_heatmap.png"), "Relative reward",
                 "Heatmap of the relative reward over the maze"},
                {stages.picture("evaluate", "discriminator_heatmap.png"), "Discriminator",
                 "Heatmap of the discriminator's logit over the maze"}});
  Table table{"The reward against the task", {"", "relative reward", "discriminator"}, {}};
  const auto row = [&](const std::string& name, const auto& read) {
    table.rows.push_back({name, read(relative), read(baseline)});
  };
  row("peak to goal, cells", [](const Json& r) { return number(r.at("heatmap").at("peak_to_goal")); });
  row("Spearman with -(shortest path)",
      [](const Json& r) { return number(r.at("heatmap").at("rank_correlation")); });
  row("AUROC expert against base, held out",
      [](const Json& r) { return with_interval(r.at("separation").at("auroc")); });
  row("EPIC distance to the dense reward", [](const Json& r) { return number(r.at("epic").at("dense")); });
  row("EPIC distance to the sparse reward", [](const Json& r) { return number(r.at("epic").at("sparse")); });
  page.table(table).figure(stages.picture("evaluate", "strip.png"),
                           "The reward over the noise level t. Rewards of different t may not be compared.");
  const Json& bins = relative.at("separation").at("histogram");
  const double low = bins.at("low"), high = bins.at("high");
  page.chart(HistogramChart{"Mean reward of held-out stretches",
                            "relative reward",
                            "expert",
                            "base",
                            {low, high, bins.at("expert").get<std::vector<double>>()},
                            {low, high, bins.at("base").get<std::vector<double>>()}});
}

void field(Page& page, Stages& stages) {
  LineChart chart{"How much of the difference field a gradient explains, on held-out data",
                  "timestep t",
                  "share of energy",
                  {}};
  LineSeries rho{"relative reward", {}, {}}, free{"unconstrained vector net", {}, {}},
      read{"channels that are read", {}, {}};
  for (const Json& at : stages.result("reward").at("field")) {
    for (LineSeries* line : {&rho, &free, &read}) line->x.push_back(at.at("t"));
    rho.y.push_back(at.at("conservativeness"));
    free.y.push_back(at.at("ceiling"));
    read.y.push_back(at.at("read_share"));
  }
  chart.series = {rho, free, read};
  page.section("Conservativeness")
      .text(
          "The reward's gradient is fitted to the difference of the two models' denoising directions. The "
          "share of that "
          "field's energy which it explains stands below, with that of a vector net of equal inputs and size "
          "that need "
          "not be a gradient, and the share that lies in the channels they may read.")
      .chart(chart);
}

void preferences(Page& page, Stages& stages) {
  const Json& report = stages.result("evaluate").at("relative").at("preference");
  page.section("What the expert prefers")
      .text(
          "Behaviour of held-out expert recordings against base recordings: means with 95 % intervals over "
          "episodes, the "
          "difference in pooled standard deviations, and how the reward ranks that behaviour within base "
          "data.");
  Table table{
      "Behaviours", {"", "expert", "base", "difference", "effect size", "reward's rank correlation"}, {}};
  for (const Json& b : report.at("behaviours")) {
    const std::string unit = b.at("unit").get<std::string>();
    std::string name = b.at("name").get<std::string>();
    std::replace(name.begin(), name.end(), '_', ' ');
    table.rows.push_back({name + (unit.empty() ? "" : ", " + unit), number(b.at("expert").at("value")),
                          number(b.at("base").at("value")), with_interval(b.at("difference")),
                          number(b.at("effect_size")), number(b.at("reward_correlation"))});
  }
  page.table(table).figures(
      {{stages.picture("evaluate", "occupancy.png"),
        "Where the expert is more (red) and less (blue) than the base"},
       {stages.picture("evaluate", "regions.png"), "Log ratio of the time spent in each cell"}});
}

void agents(Page& page, Stages& stages) {
  const std::vector<std::pair<std::string, std::string>> runs = {{"rl_true", "true dense reward"},
                                                                 {"rl_plain", "relative reward, plain"},
                                                                 {"rl_shaped", "relative reward, shaped"}};
  page.section("Agents trained on it")
      .text(
          "PPO from scratch, with the same settings, on the true dense reward and on the extracted one. All "
          "are judged by "
          "the true task, with deterministic actions from fresh starts. Plain pays the reward as it is; "
          "shaped "
          "pays its growth over each step, which has the same optimal policies (`rewards/reading.h`).");
  const double truth = stages.result("rl_true").at("dense").at("return").at("value");
  Table table{"True returns",
              {"trained on", "dense return", "share of the true reward's", "sparse return",
               "median final distance, cells"},
              {}};
  LineChart chart{
      "Learning curves, judged by the true reward", "environment steps", "true reward per step", {}};
  for (const auto& [stage, name] : runs) {
    const Json& run = stages.result(stage);
    table.rows.push_back({name, with_interval(run.at("dense").at("return")),
                          number(run.at("dense").at("return").at("value").get<double>() / truth),
                          with_interval(run.at("sparse").at("return")),
                          number(run.at("dense").at("final_distance").at("50 %"))});
    LineSeries line{name, {}, {}};
    for (const Json& point : run.at("curve")) {
      line.x.push_back(point.at("env_steps"));
      line.y.push_back(point.at("task_reward"));
    }
    chart.series.push_back(line);
  }
  page.table(table).chart(chart);
}

void steering(Page& page, Stages& stages) {
  const Json& report = stages.result("steer");
  page.section("The base model, steered")
      .text(
          "The base model of whole walks, sampled from random first states without guide and with a relative "
          "reward of whole walks as guide, and the expert model. "
          "Success is a last row within 0.5 cells of the goal; it can be bought by teleporting, so the "
          "largest step and the "
          "share of points in free space stand beside it.");
  Table table{"Samples", {"", "success", "largest step, 99 % quantile, cells", "points in free space"}, {}};
  std::vector<Picture> pictures;
  for (const char* name : {"data", "unguided", "guided", "expert"}) {
    const Json& set = report.at(name);
    table.rows.push_back({name, with_interval(set.at("success")), number(set.at("largest_step_q99")),
                          number(set.at("free").at("value"))});
    if (std::string(name) != "data")
      pictures.push_back(
          {stages.picture("steer", std::string(name) + ".png"), name, concat("Paths sampled, ", name)});
  }
  page.table(table).figures(pictures);
}

}  // namespace

namespace {

Json write_report(const ReportConfig& config, Stages& stages) {
  const Json& relative = stages.result("evaluate").at("relative");
  const Json& steer = stages.result("steer");
  const auto dense = [&](const char* stage) {
    return stages.result(stage).at("dense").at("return").at("value").get<double>();
  };
  const Json figures = {{"peak_to_goal", relative.at("heatmap").at("peak_to_goal")},
                        {"spearman", relative.at("heatmap").at("rank_correlation")},
                        {"auroc", relative.at("separation").at("auroc").at("value")},
                        {"ppo_plain_to_true", dense("rl_plain") / dense("rl_true")},
                        {"ppo_shaped_to_true", dense("rl_shaped") / dense("rl_true")},
                        {"steering_success", steer.at("guided").at("success").at("value")},
                        {"steering_success_unguided", steer.at("unguided").at("success").at("value")},
                        {"steering_success_expert", steer.at("expert").at("success").at("value")}};
  const std::string env = stages.config("base_data").at("env");
  Page page("A reward from two diffusion models: " + env,
            "A wanderer and an expert were recorded, a diffusion model was trained on each, and the reward "
            "that tells them apart "
            "was extracted, explained, and given back to new agents.");
  page.summary({{"Reward's peak to the goal", number(figures.at("peak_to_goal")) + " cells", "at most 0.5",
                 figures.at("peak_to_goal").get<double>() <= 0.5},
                {"AUROC expert against base", number(figures.at("auroc")), "at least 0.85",
                 figures.at("auroc").get<double>() >= 0.85},
                {"PPO on the reward / on the true one", number(figures.at("ppo_shaped_to_true")),
                 "at least 0.9", figures.at("ppo_shaped_to_true").get<double>() >= 0.9},
                {"Steered / unsteered success",
                 concat(number(figures.at("steering_success")), " / ",
                        number(figures.at("steering_success_unguided"))),
                 "at least three times",
                 figures.at("steering_success").get<double>() >=
                     3 * figures.at("steering_success_unguided").get<double>()}});
  meaning(page, stages);
  field(page, stages);
  preferences(page, stages);
  agents(page, stages);
  steering(page, stages);
  double total = 0;
  for (const char* stage :
       {"base_data", "expert_data", "base_test", "expert_test", "base_model", "expert_model",
        "base_path_model", "expert_path_model", "base_steered_model", "expert_steered_model", "reward",
        "discriminator", "guide", "evaluate", "rl_true", "rl_plain", "rl_shaped", "steer"})
    total += stages.seconds(stage);
  page.footer(concat("diffreward ", DIFFREWARD_VERSION, ", ", machine_description(), ", ", number(total / 60),
                     " minutes in all. Settings of every stage: config.toml in its folder."));
  const fs::path out = config.out.empty() ? fs::path(config.results) / "report.html" : fs::path(config.out);
  page.save(out);
  return {{"report", out.string()}, {"figures", figures}};
}

}  // namespace

Json run_report(const ReportConfig& config) {
  Stages stages(config.results);
  try {
    return write_report(config, stages);
  } catch (const Json::exception&) {
    throw Error(concat((stages.last() / "stage.json").string(),
                       ": expected the result of a stage of demo, found another"));
  }
}

}  // namespace diffreward::cli
