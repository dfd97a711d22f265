// diffreward train: fit a diffusion model to a data set.
#include "agents/device.h"
#include "cli/stage.h"
#include "cli/stages.h"

namespace diffreward::cli {

DiffusionModel open_model(const std::string& path, const std::string& device) {
  require(!path.empty(), "model: expected a model file or the folder of train, got nothing");
  return DiffusionModel::load(product(path, "model.safetensors"), device);
}

Json run_train(const TrainConfig& config) {
  std::vector<std::filesystem::path> inputs = {config.data};
  if (!config.start.empty()) inputs.emplace_back(config.start);
  return run_stage("train", config.run.out, to_json(config), inputs, config.run.reuse, [&] {
    check_device(config.train.device);
    set_torch_threads(config.run.threads);
    const Dataset data = open_data(config.data);
    std::unique_ptr<DiffusionModel> start;
    if (!config.start.empty())
      start = std::make_unique<DiffusionModel>(open_model(config.start, config.train.device));
    const DiffusionModel model = train_diffusion(data, start ? start->config() : config.model, config.train,
                                                 config.run.out, start.get());
    return Json{{"model", (std::filesystem::path(config.run.out) / "model.safetensors").string()},
                {"parameters", model.parameters()},
                {"training", model.provenance()}};
  });
}

}  // namespace diffreward::cli
