// train_diffusion: the loop around the denoising loss
//
//   E_{x_0, t, eps} mean( weights (net(x_t, t) - target)^2 )
//
// A run is a pure function of data, settings and seed: batch number k is drawn from (seed, k) alone. A
// checkpoint is the optimiser's four vectors, the step and the settings; with it a run continues as if it had
// never stopped. Several processes that train together each take parts of every batch and hold the same state
// (agents/nets/batch_parts_torch.h).
#include <torch/torch.h>

#include <chrono>
#include <future>
#include <memory>

#include "agents/diffusion/diffusion_model.h"
#include "agents/diffusion/diffusion_model_torch.h"
#include "agents/diffusion/training_batch_torch.h"
#include "agents/nets/crc32c.h"
#include "agents/nets/loss_torch.h"
#include "agents/nets/optimizer_torch.h"
#include "agents/nets/ranks.h"
#include "agents/nets/tensor_file_torch.h"
#include "agents/nets/training_log.h"
#include "agents/nets/training_run.h"
#include "agents/parallel.h"
#include "core/error.h"
#include "core/progress.h"

namespace diffreward {
namespace {

constexpr const char* kKind = "diffreward-diffusion-training-3";
constexpr int kHeldOutWindows = 512;
enum Use : std::uint64_t { kTraining, kHeldOut };  // of batches

WindowLayout layout_of(const Dataset& data, const DiffusionConfig& config) {
  return {config.horizon, config.stride, config.actions ? static_cast<int>(data.action_dim()) : 0,
          static_cast<int>(data.observation_dim())};
}

/// The normaliser of rows [action, observation]. Also finds values that are not finite.
Normalizer fit_rows(const Dataset& data, const DiffusionConfig& config) {
  const Normalizer observations =
      Normalizer::fit(config.normalizer, data.observations(), data.observation_dim());
  if (!config.actions) return observations;
  require(data.action_dim() > 0, "actions: expected data with actions, found none");
  Normalizer rows = Normalizer::fit(config.normalizer, data.actions(), data.action_dim());
  std::vector<double> offset = rows.offset(), scale = rows.scale();
  offset.insert(offset.end(), observations.offset().begin(), observations.offset().end());
  scale.insert(scale.end(), observations.scale().begin(), observations.scale().end());
  return {config.normalizer, std::move(offset), std::move(scale)};
}

Normalizer checked_normalizer(const Dataset& data, const DiffusionConfig& config,
                              const DiffusionModel* start) {
  Normalizer fitted = fit_rows(data, config);
  if (start == nullptr) return fitted;
  require_same(config, to_json(start->config()), {},
               "fine-tuning keeps the settings of the model it starts from");
  require(start->layout() == layout_of(data, config), "data: expected rows of ", start->layout().action_dim,
          " actions and ", start->layout().observation_dim,
          " observations as in the model to start from, found ", data.action_dim(), " and ",
          data.observation_dim());
  return start->normalizer();
}

class Trainer {
 public:
  Trainer(const Dataset& data, const DiffusionConfig& config, const DiffusionTrainConfig& train,
          std::filesystem::path folder, const DiffusionModel* start, Ranks* ranks)
      : config_(train),
        purpose_(start != nullptr ? Purpose::kFineTuning : Purpose::kBatches),
        folder_(std::move(folder)),
        model_(config, layout_of(data, config), checked_normalizer(data, config, start), train.seed,
               train.device),
        average_(start != nullptr ? copy_to(model_, *start) : model_.clone()),
        windows_(data, model_.layout(), train.pad),
        split_(split_episodes(data, train.held_out, train.seed)),
        train_(windows_, split_.train),
        held_out_(windows_, split_.test),
        batches_(model_.impl(), windows_, config_),
        held_out_batches_(model_.impl(), windows_, config_),
        optimizer_(model_.impl().net->parameters, &average_.impl().net->parameters),
        ranks_(ranks),
        parts_(train.accumulate, ranks),
        data_{{"rows", data.size()},
              {"episodes", data.episodes().size()},
              {"windows", windows_.count()},
              {"environment", data.provenance().env},
              {"behaviour", data.provenance().behaviour},
              {"seed", data.provenance().seed},
              {"recording", data.provenance().note("recording")},
              {"start", start != nullptr ? fingerprint(optimizer_.state().at("weights")) : Json()}} {
    require(train_.count() > 0,
            "data: expected windows to train on, found none outside the held-out episodes");
  }

  DiffusionModel run() {
    resume();
    share_state();
    TrainingLog log(folder_.empty() ? "" : folder_ / "metrics.jsonl", step_);
    Progress progress("train", config_.steps - step_, "steps");
    while (step_ < config_.steps) {
      const double loss = saving_when_alone([this] { return train_step(); });
      const bool last = step_ == config_.steps;
      if (last || step_ % config_.log_every == 0) log.write(metrics());
      if (config_.checkpoint_every > 0 && (last || step_ % config_.checkpoint_every == 0)) save_checkpoint();
      advance(progress, loss);
    }
    average_.provenance() = provenance();
    if (!folder_.empty()) average_.save(folder_ / "model.safetensors");
    return std::move(average_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  /// Makes `model` and the returned copy of it start from the weights of another model, on whatever device.
  static DiffusionModel copy_to(DiffusionModel& model, const DiffusionModel& from) {
    const torch::NoGradGuard no_grad;
    const auto& to = model.impl().net->parameters.named();
    const auto& weights = from.impl().net->parameters.named();
    for (std::size_t i = 0; i < to.size(); ++i) torch::Tensor(to[i].second).copy_(weights[i].second);
    return model.clone();
  }

  static Json fingerprint(const torch::Tensor& weights) {
    const torch::Tensor here = weights.detach().cpu();
    return crc32c({static_cast<const std::byte*>(here.data_ptr()), here.nbytes()});
  }

  std::filesystem::path checkpoint() const { return folder_ / "checkpoint.safetensors"; }

  Streams streams(Use use) const { return {purpose_, config_.seed, use}; }

  double train_step() {
    const Batch batch = next_batch();
    const double loss = parts_.sum(config_.batch, optimizer_.gradient(), [&](const BatchPart& part) {
      return add_loss_gradient(*model_.impl().net, batch, part);
    });
    const double norm = optimizer_.gradient_norm();
    watch_.check(step_, loss, norm, checkpoint(), saved_step_);
    optimizer_.step(optimizer_settings(config_, step_), norm);
    ++step_;
    loss_sum_ += loss;
    ++loss_count_;
    return loss;
  }

  /// Where there is another thread or a device to work beside, the batch after this one is made meanwhile.
  Batch next_batch() {
    const auto make = [this](std::int64_t step) {
      return batches_.make(train_, config_.batch, streams(kTraining)[static_cast<std::uint64_t>(step)]);
    };
    Batch batch = ahead_.valid() ? ahead_.get() : make(step_);
    if (step_ + 1 < config_.steps && (config_.device != "cpu" || at::get_num_threads() > 1))
      ahead_ = std::async(std::launch::async, [make, next = step_ + 1] {
        stay_in_this_thread();
        return make(next);
      });
    return batch;
  }

  double held_out_loss() {
    const torch::NoGradGuard no_grad;
    double sum = 0;
    int windows = 0;
    for (std::uint64_t i = 0; windows < kHeldOutWindows; ++i, windows += config_.batch) {
      const Batch batch = held_out_batches_.make(held_out_, config_.batch, streams(kHeldOut)[i]);
      const torch::Tensor output = average_.impl().net->forward(batch.x_t, batch.t);
      sum += weighted_square_error(output, batch.target, batch.weights).value * config_.batch;
    }
    return sum / windows;
  }

  Json metrics() {
    const double seconds = std::chrono::duration<double>(Clock::now() - logged_).count();
    Json line = {{"step", step_}, {"loss", loss_sum_ / static_cast<double>(loss_count_)}};
    if (held_out_.count() > 0) line["held_out_loss"] = held_out_loss();
    last_metrics_ = line;  // without what differs from run to run: files of equal runs are equal
    line["steps_per_second"] = static_cast<double>(step_ - logged_step_) / seconds;
    line["time"] = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    loss_sum_ = 0;
    loss_count_ = 0;
    logged_ = Clock::now();
    logged_step_ = step_;
    return line;
  }

  /// The value of `step`. Where another rank is gone, this one's work is kept.
  double saving_when_alone(const std::function<double()>& step) {
    try {
      return step();
    } catch (const LostRank&) {
      if (config_.checkpoint_every > 0 && step_ > saved_step_) save_checkpoint();
      throw;
    }
  }

  void advance(Progress& progress, double loss) {
    advance_training(progress, loss, [this] {
      if (config_.checkpoint_every > 0) save_checkpoint();
    });
  }

  void save_checkpoint() {
    if (folder_.empty()) return;
    save_tensors(checkpoint(), optimizer_.state(),
                 {{"kind", kKind},
                  {"step", std::to_string(step_)},
                  {"config", to_json(model_.config()).dump()},
                  {"train", to_json(config_).dump()},
                  {"normalizer", model_.normalizer().json().dump()},
                  {"data", data_.dump()},
                  {"log", Json{{"loss_sum", loss_sum_},
                               {"loss_count", loss_count_},
                               {"early_loss", watch_.early_loss()},
                               {"last", last_metrics_}}
                              .dump()}});
    saved_step_ = step_;
  }

  void resume() {
    if (folder_.empty() || !std::filesystem::exists(checkpoint())) return;
    const Safetensors file = Safetensors::open(checkpoint());
    const std::string name = checkpoint().string();
    if (file.metadata_at("kind") != kKind)
      throw Error(
          concat(name, ": metadata 'kind': expected ", kKind, ", found '", file.metadata_at("kind"), "'"));
    const auto entry = [&](const char* key) {
      return read_entry(file, checkpoint(), key, [](const Json& json) { return json; });
    };
    try {
      const std::string what = name + ": a run continues with its own settings";
      require_same(model_.config(), entry("config"), {}, what);
      require_same(config_, entry("train"), {"steps", "checkpoint_every", "log_every", "device"}, what);
      const Json trained_on = entry("data");
      for (const auto& [key, value] : data_.items())
        require(trained_on.at(key) == value, name, ": a run continues with its own data: ", key,
                ": expected ", brief(value), ", found ", brief(trained_on.at(key)));
      require(read_entry(file, checkpoint(), "normalizer", Normalizer::from_json) == model_.normalizer(),
              name, ": a run continues with its own data: normalizer: found another range of values");
      const auto step = read_entry(file, checkpoint(), "step", [](const Json& json) {
        const auto value = member<std::int64_t>(Json{{"step", json}}, "step");
        require(value >= 0, "step: expected at least 0, found ", value);
        return value;
      });
      optimizer_.restore(file, step, checkpoint());
      step_ = saved_step_ = logged_step_ = optimizer_.steps();
      read_entry(file, checkpoint(), "log", [&](const Json& log) {
        loss_sum_ = member<double>(log, "loss_sum");
        loss_count_ = member<std::int64_t>(log, "loss_count");
        watch_.restore(member<double>(log, "early_loss"));
        last_metrics_ = member<Json>(log, "last");
        return true;
      });
    } catch (const Json::exception&) {
      throw Error(concat(name, ": metadata: expected other members than it holds"));
    }
    require(step_ <= config_.steps, name, ": steps: expected at least ", step_, " as already trained, got ",
            config_.steps);
  }

  /// All ranks go on from where the first one is.
  void share_state() {
    if (ranks_ == nullptr) return;
    const Json state = ranks_->of_first({{"step", step_},
                                         {"loss_sum", loss_sum_},
                                         {"loss_count", loss_count_},
                                         {"early_loss", watch_.early_loss()},
                                         {"last", last_metrics_}});
    for (auto& [name, tensor] : optimizer_.state()) ranks_->copy_first(tensor);
    optimizer_.resume_at(member<std::int64_t>(state, "step"));
    step_ = logged_step_ = optimizer_.steps();
    loss_sum_ = member<double>(state, "loss_sum");
    loss_count_ = member<std::int64_t>(state, "loss_count");
    watch_.restore(member<double>(state, "early_loss"));
    last_metrics_ = member<Json>(state, "last");
  }

  Json provenance() const {
    return {{"data", data_}, {"train", to_json(config_)}, {"steps", step_}, {"last", last_metrics_}};
  }

  DiffusionTrainConfig config_;
  Purpose purpose_;  // of the batches
  std::filesystem::path folder_;
  DiffusionModel model_, average_;
  WindowSampler windows_;
  Split split_;
  EpisodeWindows train_, held_out_;
  BatchMaker batches_, held_out_batches_;
  Optimizer optimizer_;
  Ranks* ranks_;
  BatchParts parts_;
  Json data_;  // what a resumed run must find again
  std::int64_t step_ = 0, saved_step_ = -1, logged_step_ = 0;
  LossWatch watch_;
  double loss_sum_ = 0;  // since the last metrics
  std::int64_t loss_count_ = 0;
  Json last_metrics_;
  Clock::time_point logged_ = Clock::now();
  std::future<Batch> ahead_;  // of the step to come; the last member, so that it ends before what it reads
};

}  // namespace

DiffusionModel train_diffusion(const Dataset& data, const DiffusionConfig& config,
                               const DiffusionTrainConfig& train, const std::filesystem::path& folder,
                               const DiffusionModel* start, Ranks* ranks) {
  validate(config);
  validate(train);
  require(ranks == nullptr || ranks->first() || folder.empty(),
          "folder: expected it on rank 0 alone, found one on rank ", ranks != nullptr ? ranks->rank() : 0);
  return Trainer(data, config, train, folder, start, ranks).run();
}

}  // namespace diffreward
