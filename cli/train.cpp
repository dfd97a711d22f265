// diffreward train: fit a diffusion model to a data set.
#include "agents/device.h"
#include "agents/nets/ranks.h"
#include "agents/nets/training_log.h"
#include "cli/section.h"
#include "cli/stages.h"

namespace diffreward::cli {

DiffusionModel open_model(const std::string& path, const std::string& device) {
  return DiffusionModel::load(product(path, "model.safetensors"), device);
}

StageSpec stage_of(const TrainConfig& config) {
  return {.command = "train",
          .config = to_json(config),
          .folder = config.run.out,
          .reuse = config.run.reuse,
          .inputs = {{"data", config.data, "data"}, {"start", config.start, "model.safetensors"}},
          .products = {"model.safetensors", "checkpoint.safetensors", "metrics.jsonl", kTensorboardFile},
          .extends = {"steps", "checkpoint_every", "log_every"},
          .continues_from = {"checkpoint.safetensors", "metrics.jsonl"},
          .link = Link::kAgents};
}

Json run_train(const TrainConfig& config) {
  const std::unique_ptr<Ranks> ranks = Ranks::from_environment();
  return run_stage(
      stage_of(config),
      [&](const std::filesystem::path& folder) {
        check_device(config.train.device);
        set_torch_threads(config.run.threads);
        const Dataset data = open_data(config.data);
        std::unique_ptr<DiffusionModel> start;
        if (!config.start.empty())
          start = std::make_unique<DiffusionModel>(open_model(config.start, config.train.device));
        const DiffusionModel model = train_diffusion(data, start ? start->config() : config.model,
                                                     config.train, folder, start.get(), ranks.get());
        if (!folder.empty()) write_tensorboard(folder / "metrics.jsonl", folder);
        return Json{{"model", "model.safetensors"},
                    {"parameters", model.parameters()},
                    {"training", model.provenance()}};
      },
      ranks.get());
}

void train_section(Page& page, std::span<const StepRecord> steps) {
  Table table{
      "Diffusion models", {"", "net", "rows x stride", "steps of training", "weights", "minutes"}, {}};
  for (const StepRecord& step : steps) {
    const Json& model = step.config.at("model");
    table.rows.push_back({readable(step.name), model.at("net"),
                          concat(number(model.at("horizon")), " x ", number(model.at("stride"))),
                          number(step.config.at("steps")), number(step.result.at("parameters")),
                          number(step.seconds / 60)});
  }
  page.section("Models of behaviour")
      .text("Denoising diffusion models of windows of behaviour; an expert is fine-tuned from its base.")
      .table(table);
}

}  // namespace diffreward::cli
