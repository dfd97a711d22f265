// diffreward extract: the relative reward of two models, or the discriminator that it is compared with.
#include "agents/device.h"
#include "cli/stage.h"
#include "cli/stages.h"
#include "rewards/discriminator/discriminator.h"

namespace diffreward::cli {

Json run_extract(const ExtractStageConfig& config) {
  return run_stage(
      "extract", config.run.out, to_json(config),
      {config.expert, config.base, config.expert_data, config.base_data}, config.run.reuse, [&] {
        check_device(config.extract.device);
        set_torch_threads(config.run.threads);
        const std::filesystem::path folder = config.run.out;
        const Dataset expert_data = open_data(config.expert_data), base_data = open_data(config.base_data);
        const DiffusionModel base = open_model(config.base, config.extract.device);
        Json result = {{"reward", (folder / "reward.safetensors").string()}, {"method", config.method}};
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
