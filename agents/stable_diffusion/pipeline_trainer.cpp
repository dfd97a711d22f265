// train_pipeline: the loop around the two losses.
//
// A run is a pure function of data, settings and seed: batch number k of a part is drawn from (seed, part, k) alone. A
// checkpoint is the optimiser's four vectors of the part that learns, the autoencoder's averaged weights once these are
// final, the step and the settings.
#include "agents/stable_diffusion/pipeline_trainer.h"

#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <map>
#include <optional>

#include "agents/device.h"
#include "agents/nets/crc32c.h"
#include "agents/nets/noise_torch.h"
#include "agents/nets/optimizer_torch.h"
#include "agents/nets/tensor_file_torch.h"
#include "agents/nets/training_log.h"
#include "agents/nets/training_run.h"
#include "agents/stable_diffusion/pipeline_torch.h"
#include "agents/stable_diffusion/stable_diffusion_torch.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/progress.h"
#include "datasets/windows.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;

constexpr const char* kKind = "diffreward-pipeline-training-1";
constexpr std::int64_t kEncoded = 64;       // images that become latents at a time
constexpr std::int64_t kHeldOutMost = 256;  // images of a held-out loss
enum Use : std::uint64_t {                  // of batches; 0 and 1 are train_diffusion()'s
  kAutoencoder = 2,
  kAutoencoderHeldOut,
  kDenoiser,
  kDenoiserHeldOut
};

std::uint32_t checksum(const torch::Tensor& tensor) {
  return crc32c({static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()});
}

/// Copies the weights of a net onto those of one that is made alike.
void take_over(const Parameters& from, Parameters& to, const std::string& part) {
  const torch::NoGradGuard no_grad;
  std::map<std::string, torch::Tensor> found;
  for (const auto& [name, tensor] : from.named()) found[name] = tensor;
  require(found.size() == to.named().size(), "pretrained: ", part, ": expected ", to.named().size(),
          " tensors as the pipeline's sizes have it, found ", found.size());
  for (const auto& [name, tensor] : to.named()) {
    const auto source = found.find(name);
    require(source != found.end() && source->second.sizes().equals(tensor.sizes()), "pretrained: ", part,
            ": ", name, ": expected ", tensor.sizes(), " as the pipeline's sizes have it, found ",
            source == found.end() ? std::string("none") : concat(source->second.sizes()));
    tensor.copy_(source->second);
  }
}

/// [n, side, side, 3] uint8
torch::Tensor checked_images(const CaptionedPictures& data, const PipelineConfig& config) {
  require(data.side == config.image_size, "pictures: expected ", config.image_size, " pixels a side, got ",
          data.side);
  const std::size_t each =
      std::size_t{3} * static_cast<std::size_t>(data.side) * static_cast<std::size_t>(data.side);
  require(!data.captions.empty() && data.pixels.size() == each * data.captions.size(), "pictures: expected ",
          each, " bytes for each of ", data.captions.size(), " captions, got ", data.pixels.size());
  const torch::Tensor images =
      torch::empty({static_cast<std::int64_t>(data.captions.size()), data.side, data.side, 3}, torch::kByte);
  std::ranges::copy(data.pixels, images.data_ptr<std::uint8_t>());
  return images;
}

class PipelineTrainer {
 public:
  PipelineTrainer(const CaptionedPictures& data, const ClipTokenizer& tokenizer, const PipelineConfig& config,
                  const PipelineTrainConfig& train, fs::path folder, const StableDiffusion* pretrained,
                  const fs::path& features)
      : config_(config),
        train_(train),
        folder_(std::move(folder)),
        device_(train.device),
        images_(checked_images(data, config)),
        tokenizer_(tokenizer.with_max_length(config.text_length)),
        vae_(autoencoder_config(config), Parameters(weights()[0], device_)),
        vae_average_(autoencoder_config(config), Parameters(weights()[0], device_)),
        net_(config, tokenizer.vocabulary(), weights()[1], device_),
        average_(config, tokenizer.vocabulary(), weights()[1], device_),
        vae_optimizer_(vae_.parameters, &vae_average_.parameters),
        optimizer_(net_.parameters, &average_.parameters),
        alpha_bar_(alpha_bars(SchedulerConfig()).to(device_)) {
    const std::size_t n = data.captions.size();
    ids_ = torch::empty({images_.size(0), config.text_length}, torch::kLong);
    for (std::size_t i = 0; i < n; ++i) ids_[static_cast<std::int64_t>(i)].copy_(encoded(data.captions[i]));
    nothing_ = encoded("");
    split(n);
    data_ = {{"images", n},
             {"pixels", checksum(images_)},
             {"captions", checksum(ids_)},
             {"vocabulary", tokenizer.vocabulary()}};
    if (!features.empty()) features_.emplace(EfficientNetLite0::open(features, device_));
    data_["features"] = features.empty() ? "" : sha256_of(features);
    if (pretrained != nullptr) begin_with(pretrained->impl());
  }

  void run() {
    resume();
    TrainingLog log(folder_ / "metrics.jsonl", step_);
    learn({"autoencoder", train_.autoencoder, 0, vae_optimizer_,
           [this](std::int64_t step) { return autoencoder_step(step); },
           [this](std::uint64_t batch) { return autoencoder_held_out(batch); }},
          log);
    encode_all();
    learn({"denoiser", train_.denoiser, train_.autoencoder.steps, optimizer_,
           [this](std::int64_t step) { return denoiser_step(step); },
           [this](std::uint64_t batch) { return denoiser_held_out(batch); }},
          log);
    write_pipeline(folder_ / "pipeline", vae_average_, scaling_factor_, average_.text, average_.unet,
                   tokenizer_, config_.scheduler);
  }

 private:
  using Clock = std::chrono::steady_clock;
  using Figures = std::map<std::string, double>;  // means over a batch; "loss" is what is minimised

  struct Part {
    const char* name;
    const PartTrainConfig& config;
    std::int64_t begin;  // steps before it
    Optimizer& optimizer;
    std::function<Figures(std::int64_t step)> step;  // adds the gradient of a batch
    std::function<double(std::uint64_t batch)> held_out;
  };
  struct Latents {  // a batch of the denoiser's
    torch::Tensor x_t, t, ids, noise, weight;
  };

  void begin_with(const StableDiffusion::Impl& model) {
    for (AutoencoderKl* net : {&vae_, &vae_average_})
      take_over(model.vae.parameters, net->parameters, "autoencoder");
    for (PromptedUnet* net : {&net_, &average_}) {
      take_over(model.text.parameters, net->text.parameters, "text encoder");
      take_over(model.unet.parameters, net->unet.parameters, "U-Net");
    }
    scaling_factor_ = model.vae.config().scaling_factor;
    data_["pretrained"] = {checksum(average_.parameters.flatten().to(torch::kCPU)),
                           checksum(vae_average_.parameters.flatten().to(torch::kCPU))};
  }

  Streams weights() const { return {Purpose::kModelWeights, train_.seed}; }
  Rng batch_rng(Use use, std::uint64_t index) const {
    return Rng(Streams(Purpose::kBatches, train_.seed, use)[index]);
  }
  fs::path checkpoint() const { return folder_ / "checkpoint.safetensors"; }
  std::int64_t all_steps() const { return train_.autoencoder.steps + train_.denoiser.steps; }

  torch::Tensor encoded(const std::string& caption) const {
    return torch::tensor(tokenizer_.encode(caption), torch::kLong);
  }

  void split(std::size_t n) {
    const Split parts = split_at_random(n, train_.held_out, train_.seed);
    held_out_rows_.assign(parts.test.begin(), parts.test.end());
    train_rows_.assign(parts.train.begin(), parts.train.end());
  }

  static torch::Tensor draw(const std::vector<std::int64_t>& rows, int count, Rng& rng) {
    torch::Tensor drawn = torch::empty({count}, torch::kLong);
    for (int i = 0; i < count; ++i) drawn.data_ptr<std::int64_t>()[i] = rows[rng.below(rows.size())];
    return drawn;
  }

  /// [n, 3, H, W] in [-1, 1]
  torch::Tensor pixels(const torch::Tensor& uint8) const {
    return (uint8.to(device_).to(torch::kFloat) / 127.5 - 1).permute({0, 3, 1, 2}).contiguous();
  }
  std::vector<std::int64_t> latent_shape(std::int64_t n) const {
    const std::int64_t side = config_.image_size / vae_.config().factor();
    return {n, config_.latent_channels, side, side};
  }

  AutoencoderLoss vae_loss(const AutoencoderKl& net, const std::vector<std::int64_t>& rows, Rng rng) const {
    const torch::Tensor image = pixels(images_.index_select(0, draw(rows, train_.autoencoder.batch, rng)));
    const torch::Tensor noise = normal({&rng, 1}, latent_shape(image.size(0))).to(device_);
    return autoencoder_loss(net, image, noise, train_.kl_weight, features_ ? &*features_ : nullptr,
                            train_.perceptual_weight);
  }
  Figures autoencoder_step(std::int64_t step) {
    const AutoencoderLoss loss =
        vae_loss(vae_, train_rows_, batch_rng(kAutoencoder, static_cast<std::uint64_t>(step)));
    loss.total.backward();
    Figures figures = {
        {"loss", loss.total.item<double>()}, {"l1", loss.l1.item<double>()}, {"kl", loss.kl.item<double>()}};
    if (loss.perceptual.defined()) figures["perceptual"] = loss.perceptual.item<double>();
    return figures;
  }
  double autoencoder_held_out(std::uint64_t batch) const {
    return vae_loss(vae_average_, held_out_rows_, batch_rng(kAutoencoderHeldOut, batch)).total.item<double>();
  }

  /// The distribution of every image's latent, and the factor that makes their deviation 1.
  void encode_all() {
    const torch::NoGradGuard no_grad;
    const std::int64_t n = images_.size(0);
    std::vector<std::int64_t> shape = latent_shape(n);
    mean_ = torch::empty(shape);
    deviation_ = torch::empty(shape);
    double sum = 0, squares = 0;
    for (std::int64_t begin = 0; begin < n; begin += kEncoded) {
      const std::int64_t count = std::min(kEncoded, n - begin);
      const torch::Tensor moments =
          vae_average_.encode(pixels(images_.narrow(0, begin, count))).to(torch::kCPU);
      const torch::Tensor deviation = (moments[1] / 2).exp();
      mean_.narrow(0, begin, count).copy_(moments[0]);
      deviation_.narrow(0, begin, count).copy_(deviation);
      sum += moments[0].sum(torch::kDouble).item<double>();
      squares += (moments[0].square() + deviation.square()).sum(torch::kDouble).item<double>();
    }
    if (train_.autoencoder.steps == 0) return;  // the pretrained one's factor
    const auto numbers = static_cast<double>(mean_.numel());
    scaling_factor_ = 1 / std::sqrt(squares / numbers - (sum / numbers) * (sum / numbers));
    if (!std::isfinite(scaling_factor_))
      throw Error(
          concat("training: expected latents that differ, found a deviation of ", 1 / scaling_factor_));
  }

  Latents latents(const std::vector<std::int64_t>& rows, Rng rng) const {
    const int n = train_.denoiser.batch;
    const torch::Tensor drawn = draw(rows, n, rng);
    torch::Tensor t = torch::empty({n}, torch::kLong), ids = ids_.index_select(0, drawn);
    for (int i = 0; i < n; ++i) {
      t.data_ptr<std::int64_t>()[i] =
          static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(alpha_bar_.size(0))));
      if (rng.uniform() < train_.caption_dropout) ids[i].copy_(nothing_);
    }
    const torch::Tensor of_latent = normal({&rng, 1}, latent_shape(n)),
                        noise = normal({&rng, 1}, latent_shape(n)).to(device_);
    const torch::Tensor z = mean_.index_select(0, drawn) + deviation_.index_select(0, drawn) * of_latent;
    t = t.to(device_);
    const torch::Tensor kept = alpha_bar_.index_select(0, t).view({n, 1, 1, 1});
    return {kept.sqrt() * (scaling_factor_ * z.to(device_)) + (1 - kept).sqrt() * noise, t, ids.to(device_),
            noise, min_snr_weights(kept, train_.snr_gamma)};
  }
  static torch::Tensor denoising_loss(const PromptedUnet& net, const Latents& batch) {
    return (batch.weight * (net.forward(batch.x_t, batch.t, batch.ids) - batch.noise).square()).mean();
  }
  Figures denoiser_step(std::int64_t step) {
    const torch::Tensor loss =
        denoising_loss(net_, latents(train_rows_, batch_rng(kDenoiser, static_cast<std::uint64_t>(step))));
    loss.backward();
    return {{"loss", loss.item<double>()}};
  }
  double denoiser_held_out(std::uint64_t batch) const {
    return denoising_loss(average_, latents(held_out_rows_, batch_rng(kDenoiserHeldOut, batch)))
        .item<double>();
  }

  void learn(const Part& part, TrainingLog& log) {
    const std::int64_t end = part.begin + part.config.steps;
    if (step_ >= end) return;
    if (step_ == part.begin) watch_ = LossWatch();
    logged_ = Clock::now();
    logged_step_ = step_;
    Progress progress(concat("train ", part.name), end - step_, "steps");
    while (step_ < end) {
      const std::int64_t step = step_ - part.begin;
      const Figures figures = part.step(step);
      const double norm = part.optimizer.gradient_norm(), loss = figures.at("loss");
      watch_.check(step, loss, norm, checkpoint(), saved_step_);
      const double done = static_cast<double>(step) / static_cast<double>(part.config.steps);
      const double risen =
          std::min(1.0, static_cast<double>(step + 1) / static_cast<double>(part.config.warmup + 1));
      part.optimizer.step({.lr = risen * scheduled_rate(part.config.lr, part.config.lr_schedule, done),
                           .weight_decay = part.config.weight_decay,
                           .ema = part.config.ema,
                           .gradient_clip = part.config.gradient_clip},
                          norm);
      ++step_;
      for (const auto& [name, value] : figures) sums_[name] += value;
      ++summed_;
      const bool last = step_ == end;
      if (last || step_ % train_.log_every == 0) log.write(metrics(part));
      if (train_.checkpoint_every > 0 && (last || step_ % train_.checkpoint_every == 0)) save_checkpoint();
      advance(progress, loss);
    }
  }

  Json metrics(const Part& part) {
    const torch::NoGradGuard no_grad;
    const double seconds = std::chrono::duration<double>(Clock::now() - logged_).count();
    Json line = {{"step", step_}, {"part", part.name}};
    for (const auto& [name, sum] : sums_) line[name] = sum / static_cast<double>(summed_);
    if (!held_out_rows_.empty()) {
      const auto batches =
          static_cast<std::uint64_t>((kHeldOutMost + part.config.batch - 1) / part.config.batch);
      double sum = 0;
      for (std::uint64_t i = 0; i < batches; ++i) sum += part.held_out(i);
      line["held_out_loss"] = sum / static_cast<double>(batches);
    }
    line["steps_per_second"] = static_cast<double>(step_ - logged_step_) / seconds;
    line["time"] = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    sums_.clear();
    summed_ = 0;
    logged_ = Clock::now();
    logged_step_ = step_;
    return line;
  }

  void advance(Progress& progress, double loss) {
    advance_training(progress, loss, [this] {
      if (train_.checkpoint_every > 0) save_checkpoint();
    });
  }

  void save_checkpoint() {
    const bool autoencoder = step_ <= train_.autoencoder.steps;
    NamedTensors tensors = (autoencoder ? vae_optimizer_ : optimizer_).state();
    if (!autoencoder) tensors["autoencoder"] = vae_average_.parameters.flatten();
    save_tensors(
        checkpoint(), tensors,
        {{"kind", kKind},
         {"step", std::to_string(step_)},
         {"config", to_json(config_).dump()},
         {"train", to_json(train_).dump()},
         {"data", data_.dump()},
         {"log", Json{{"sums", sums_}, {"summed", summed_}, {"early_loss", watch_.early_loss()}}.dump()}});
    saved_step_ = step_;
  }

  void resume() {
    if (!fs::exists(checkpoint())) return;
    const Safetensors file = Safetensors::open(checkpoint());
    const std::string name = checkpoint().string();
    if (file.metadata_at("kind") != kKind)
      throw Error(
          concat(name, ": metadata 'kind': expected ", kKind, ", found '", file.metadata_at("kind"), "'"));
    const auto entry = [&](const char* key) {
      return read_entry(file, checkpoint(), key, [](const Json& json) { return json; });
    };
    const std::string what = name + ": a run continues with its own settings";
    require_same(config_, entry("config"), {}, what);
    require_same(train_, entry("train"), {"denoiser.steps", "checkpoint_every", "log_every", "device"}, what);
    const Json trained_on = entry("data");
    for (const auto& [key, value] : data_.items()) {
      const Json* const found = value_at(trained_on, key);
      require(found != nullptr && *found == value, name, ": a run continues with its own data: ", key,
              ": expected ", brief(value), ", found ", brief(found != nullptr ? *found : Json()));
    }
    const auto step = read_entry(file, checkpoint(), "step", [](const Json& json) {
      const auto value = member<std::int64_t>(Json{{"step", json}}, "step");
      require(value >= 1, "step: expected at least 1, found ", value);
      return value;
    });
    require(step <= all_steps(), name, ": denoiser.steps: expected at least ",
            step - train_.autoencoder.steps, " as already trained, got ", train_.denoiser.steps);
    if (step <= train_.autoencoder.steps) {
      vae_optimizer_.restore(file, step, checkpoint());
    } else {
      optimizer_.restore(file, step - train_.autoencoder.steps, checkpoint());
      const torch::Tensor weights = vae_average_.parameters.flatten();
      const std::string tensor = name + ": tensor 'autoencoder'";
      const TensorBytes& found = file.at("autoencoder");
      if (found.dtype != "F32" || !weights.sizes().equals(found.shape))
        throw Error(concat(tensor, ": expected F32 ", weights.sizes(), ", found ", found.dtype, " ",
                           at::IntArrayRef(found.shape)));
      weights.copy_(tensor_from(found, tensor));
    }
    step_ = saved_step_ = step;
    read_entry(file, checkpoint(), "log", [&](const Json& log) {
      const Json sums = member<Json>(log, "sums");
      for (const auto& [key, unused] : sums.items()) sums_[key] = member<double>(sums, key.c_str());
      summed_ = member<std::int64_t>(log, "summed");
      watch_.restore(member<double>(log, "early_loss"));
      return true;
    });
  }

  PipelineConfig config_;
  PipelineTrainConfig train_;
  fs::path folder_;
  torch::Device device_;
  torch::Tensor images_;  // [n, image_size, image_size, 3] uint8, on the CPU as all that belongs to images
  ClipTokenizer tokenizer_;
  torch::Tensor ids_, nothing_;  // [n, text_length], [text_length]
  std::vector<std::int64_t> train_rows_, held_out_rows_;
  AutoencoderKl vae_, vae_average_;
  PromptedUnet net_, average_;
  std::optional<EfficientNetLite0> features_;
  Optimizer vae_optimizer_, optimizer_;
  torch::Tensor alpha_bar_;         // [timesteps]
  torch::Tensor mean_, deviation_;  // of latents
  double scaling_factor_ = 1;
  Json data_;  // what a resumed run must find again
  std::int64_t step_ = 0, saved_step_ = -1, logged_step_ = 0;
  LossWatch watch_;
  Figures sums_;  // since the last metrics
  std::int64_t summed_ = 0;
  Clock::time_point logged_;
};

}  // namespace

StableDiffusion train_pipeline(const CaptionedPictures& data, const ClipTokenizer& tokenizer,
                               const PipelineConfig& config, const PipelineTrainConfig& train,
                               const fs::path& folder, const StableDiffusion* pretrained,
                               const fs::path& features) {
  check_pipeline(config);
  validate(train);
  require(train.denoiser.steps > 0, "denoiser.steps: expected at least 1, got 0");
  require(train.autoencoder.steps > 0 || pretrained != nullptr,
          "autoencoder.steps: expected at least 1, or a pretrained pipeline, got 0");
  check_device(train.device);
  PipelineTrainer(data, tokenizer, config, train, folder, pretrained, features).run();
  return StableDiffusion::load(folder / "pipeline", train.device);
}

}  // namespace diffreward
