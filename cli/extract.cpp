// diffreward extract: the relative reward of two models, or the discriminator that it is compared with.
#include "agents/device.h"
#include "cli/stage.h"
#include "cli/stages.h"
#include "rewards/discriminator/discriminator.h"

namespace diffreward::cli {

Json run_extract(const ExtractStageConfig& config) {
  const StageSpec stage{"extract",
                        to_json(config),
                        config.run.out,
                        config.run.reuse,
                        {{"expert", config.expert, "model.safetensors"},
                         {"base", config.base, "model.safetensors"},
                         {"expert_data", config.expert_data, "data"},
                         {"base_data", config.base_data, "data"}},
                        {"reward.safetensors", "metrics.jsonl"}};
  return run_stage(stage, [&](const std::filesystem::path& folder) {
    check_device(config.extract.device);
    set_torch_threads(config.run.threads);
    const Dataset expert_data = open_data(config.expert_data), base_data = open_data(config.base_data);
    const DiffusionModel base = open_model(config.base, config.extract.device);
    Json result = {{"reward", "reward.safetensors"}, {"method", config.method}};
    if (config.method == "discriminator") {
      train_discriminator(base, expert_data, base_data, config.extract, folder);
      return result;
    }
    const DiffusionModel expert = open_model(config.expert, config.extract.device);
    const auto reward = extract(expert, base, expert_data, base_data, config.extract, folder);
    Json report = Json::array();
    for (const FieldReport& at : reward->field_report())
      report.push_back({{"t", at.t},
                        {"difference_rms", at.difference_rms},
                        {"read_share", at.read_share},
                        {"conservativeness", at.conservativeness},
                        {"ceiling", at.ceiling}});
    result["field"] = report;
    return result;
  });
}

}  // namespace diffreward::cli
