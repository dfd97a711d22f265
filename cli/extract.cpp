// diffreward extract: the relative reward of two models, or what it is compared with.
#include <optional>

#include "agents/device.h"
#include "agents/nets/ranks.h"
#include "cli/command.h"
#include "cli/section.h"
#include "cli/stages.h"
#include "rewards/catalog.h"
#include "rewards/relative/sample_source.h"

namespace diffreward::cli {

std::vector<std::string> names_of_rewards() {
  std::vector<std::string> names;
  for (const RewardEntry& entry : reward_catalog()) names.push_back(entry.name);
  return names;
}

StageSpec stage_of(const ExtractStageConfig& config) {
  return {.command = "extract",
          .config = to_json(config),
          .folder = config.run.out,
          .reuse = config.run.reuse,
          .inputs = {{"expert", config.expert, "model.safetensors"},
                     {"base", config.base, "model.safetensors"},
                     {"expert_data", config.expert_data, "data"},
                     {"base_data", config.base_data, "data"}},
          .products = {"reward.safetensors", "metrics.jsonl"}};
}

Json run_extract(const ExtractStageConfig& config) {
  if (config.expert.empty() && reward_entry(config.method).reads_expert)
    throw UsageError(concat("extract: --expert is missing, which --method ", config.method, " reads"));
  const std::unique_ptr<Ranks> ranks = Ranks::from_environment();
  return run_stage(
      stage_of(config),
      [&](const std::filesystem::path& folder) {
        check_device(config.extract.device);
        set_torch_threads(config.run.threads);
        const Dataset expert_data = open_data(config.expert_data), base_data = open_data(config.base_data);
        const DiffusionModel base = open_model(config.base, config.extract.device);
        std::optional<DiffusionModel> expert;
        if (!config.expert.empty()) expert.emplace(open_model(config.expert, config.extract.device));
        validate(config.extract);
        const auto windows = windows_of(expert_data, base_data, base.layout(), base.normalizer(),
                                        config.extract.held_out, config.extract.seed);
        Json result = {{"reward", "reward.safetensors"}};
        result.update(train_reward(config.method, {expert ? &*expert : nullptr, base, *windows, ranks.get()},
                                   config.extract, folder));
        return result;
      },
      ranks.get());
}

void extract_section(Page& page, std::span<const StepRecord> steps) {
  const auto fitted = std::find_if(steps.begin(), steps.end(),
                                   [](const StepRecord& step) { return step.result.contains("field"); });
  if (fitted == steps.end()) return;
  LineChart chart{"How much of the difference field a gradient explains, on held-out data",
                  "timestep t",
                  "share of energy",
                  {}};
  LineSeries rho{"relative reward", {}, {}}, free{"unconstrained vector net", {}, {}},
      read{"channels that are read", {}, {}};
  for (const Json& at : fitted->result.at("field")) {
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

}  // namespace diffreward::cli
