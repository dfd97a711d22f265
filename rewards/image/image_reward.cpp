#include "rewards/image/image_reward.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "agents/device.h"
#include "agents/diffusion/noise_levels_torch.h"
#include "agents/nets/noise_torch.h"
#include "agents/nets/tensor_file_torch.h"
#include "core/error.h"
#include "rewards/guides.h"
#include "rewards/image/image_reward_torch.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kScored = 64;  // noised latents per pass through the net

double score_of_mean(const NoiseSchedule& schedule, int t) {
  const double beta = schedule.beta[static_cast<std::size_t>(t)];
  return std::sqrt(1 - beta) / beta;
}

}  // namespace

ImageReward::ImageReward(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ImageReward::~ImageReward() = default;

ImageReward::Impl::Impl(const ImageExtractConfig& settings, std::vector<std::int64_t> latent,
                        const NoiseSchedule& chain, Parameters values)
    : config(settings),
      shape(std::move(latent)),
      schedule(chain),
      net(make(Head::kScalar, std::move(values))) {
  require(config.read_t < schedule.timesteps, "read_t: expected a timestep below ", schedule.timesteps,
          ", got ", config.read_t);
  for (const auto& [name, parameter] : net->parameters.named())
    torch::Tensor(parameter).set_requires_grad(false);
}

std::unique_ptr<RewardNet> ImageReward::Impl::make(Head head, Parameters values) const {
  auto made = std::make_unique<LatentUnet>(
      LatentUnetShape{shape, schedule.timesteps, config.dim, config.dim_mults}, head, std::move(values));
  made->parameters.finish();
  return made;
}

std::shared_ptr<ImageReward> ImageReward::load(const fs::path& path, const std::string& device) {
  const Safetensors file = Safetensors::open(path);
  if (file.metadata_at("kind") != kKind)
    throw Error(concat(path.string(), ": metadata 'kind': expected ", kKind, ", found '",
                       file.metadata_at("kind"), "'"));
  auto config = read_entry(file, path, "config", [](const Json& json) {
    ImageExtractConfig out;
    update(out, json);
    return out;
  });
  config.device = device;
  check_device(device);
  const auto shape = read_entry(file, path, "latent",
                                [](const Json& json) { return json.get<std::vector<std::int64_t>>(); });
  const NoiseSchedule schedule = read_entry(file, path, "schedule", NoiseSchedule::from_json);
  const auto numbers = [&](const char* name) {
    return read_entry(file, path, name, [](const Json& json) { return json.get<std::vector<double>>(); });
  };
  try {
    auto impl = std::make_unique<Impl>(config, shape, schedule,
                                       Parameters(file, path, "net.", torch::Device(device)));
    impl->difference_rms = numbers("difference_rms");
    if (impl->difference_rms.size() != static_cast<std::size_t>(schedule.timesteps))
      throw Error(concat(path.string(), ": metadata 'difference_rms': expected ", schedule.timesteps,
                         " numbers, found ", impl->difference_rms.size()));
    impl->report = read_entry(file, path, "field_report", [](const Json& json) {
      std::vector<FieldReport> out;
      for (const Json& at : json) out.push_back(FieldReport::from_json(at));
      return out;
    });
    for (const auto& [name, scores] :
         {std::pair{"base_scores", &impl->base_scores}, {"safe_scores", &impl->safe_scores}}) {
      const std::vector<double> found = numbers(name);
      scores->assign(found.begin(), found.end());
    }
    impl->provenance = read_entry(file, path, "provenance", [](const Json& json) { return json; });
    return std::make_shared<ImageReward>(std::move(impl));
  } catch (const InvalidArgument& error) {
    throw Error(concat(path.string(), ": ", error.what()));
  }
}

void ImageReward::save(const fs::path& path) const {
  NamedTensors tensors;
  for (const auto& [name, parameter] : impl_->net->parameters.named()) tensors["net." + name] = parameter;
  Json report = Json::array();
  for (const FieldReport& at : impl_->report) report.push_back(at.json());
  save_tensors(path, tensors,
               {{"kind", kKind},
                {"config", to_json(impl_->config).dump()},
                {"latent", Json(impl_->shape).dump()},
                {"schedule", impl_->schedule.json().dump()},
                {"difference_rms", Json(impl_->difference_rms).dump()},
                {"field_report", report.dump()},
                {"base_scores", Json(impl_->base_scores).dump()},
                {"safe_scores", Json(impl_->safe_scores).dump()},
                {"provenance", impl_->provenance.dump()}});
}

const ImageExtractConfig& ImageReward::config() const {
  return impl_->config;
}
const std::vector<std::int64_t>& ImageReward::shape() const {
  return impl_->shape;
}
const NoiseSchedule& ImageReward::schedule() const {
  return impl_->schedule;
}
const std::vector<FieldReport>& ImageReward::field_report() const {
  return impl_->report;
}
const std::vector<float>& ImageReward::base_scores() const {
  return impl_->base_scores;
}
const std::vector<float>& ImageReward::safe_scores() const {
  return impl_->safe_scores;
}
Json& ImageReward::provenance() {
  return impl_->provenance;
}
const Json& ImageReward::provenance() const {
  return impl_->provenance;
}

double ImageReward::unit(int t) const {
  require(t >= 0 && t < impl_->schedule.timesteps, "unit: expected a timestep below ",
          impl_->schedule.timesteps, ", got ", t);
  return impl_->config.normalize_targets ? impl_->difference_rms[static_cast<std::size_t>(t)] : 1;
}

double ImageReward::nats_per_unit(int t) const {
  // A discriminator's logit is in nats.
  const double unit_here = unit(t);
  return impl_->config.method == "discriminator" ? 1 : unit_here * score_of_mean(impl_->schedule, t);
}

at::Tensor ImageReward::Impl::checked(const at::Tensor& x) const {
  require(x.dim() == 4 && x.sizes().slice(1) == at::IntArrayRef(shape), "latents: expected [n, ", shape[0],
          ", ", shape[1], ", ", shape[2], "], got ", x.sizes());
  return x.to(torch::Device(config.device), torch::kFloat);
}

at::Tensor ImageReward::value(const at::Tensor& x, const at::Tensor& t) const {
  const torch::Tensor there = impl_->checked(x);
  return impl_->net->forward(there, t.to(there.device())).to(x.device());
}

at::Tensor ImageReward::gradient(const at::Tensor& x, const at::Tensor& t) const {
  const torch::NoGradGuard no_grad;
  const torch::Tensor there = impl_->checked(x);
  return impl_->net->gradient(there, t.to(there.device())).to(x.device());
}

/// Calls body(noised [m, ...], t [1], i) for pieces of latents from i on, all draws of noise of each in turn.
template <class Body>
void ImageReward::Impl::each_noised(int t, const at::Tensor& latents, const Body& body) const {
  require(t >= 0 && t < schedule.timesteps, "score: expected a timestep below ", schedule.timesteps, ", got ",
          t);
  const torch::Tensor all = checked(latents);
  const double bar = schedule.alpha_bar[static_cast<std::size_t>(t)];
  const torch::Tensor when = torch::full({1}, t, torch::dtype(torch::kLong).device(all.device()));
  Rng rng(Streams(Purpose::kLikelihood, config.seed)[static_cast<std::uint64_t>(t)]);
  for (int draw = 0; draw < std::max(1, config.read_noises); ++draw) {
    torch::Tensor noise;
    if (config.read_noises > 0)
      noise = normal({&rng, 1}, {1, shape[0], shape[1], shape[2]}).to(all.device()) * std::sqrt(1 - bar);
    for (std::int64_t i = 0; i < all.size(0); i += kScored) {
      const torch::Tensor part = all.narrow(0, i, std::min(kScored, all.size(0) - i)) * std::sqrt(bar);
      body(noise.defined() ? part + noise : part, when, i);
    }
  }
}

at::Tensor ImageReward::score(const at::Tensor& latents) const {
  return score_at(config().read_t, latents);
}

at::Tensor ImageReward::score_at(int t, const at::Tensor& latents) const {
  const torch::NoGradGuard no_grad;
  const int draws = std::max(1, config().read_noises);
  torch::Tensor sum = torch::zeros({latents.size(0)});
  impl_->each_noised(t, latents, [&](const torch::Tensor& x, const torch::Tensor& when, std::int64_t i) {
    sum.narrow(0, i, x.size(0)) += impl_->net->forward(x, when).to(torch::kCPU);
  });
  return sum / draws;
}

at::Tensor ImageReward::score_gradient(const at::Tensor& latents) const {
  const torch::NoGradGuard no_grad;
  const int t = config().read_t, draws = std::max(1, config().read_noises);
  torch::Tensor sum = torch::zeros(latents.sizes());
  impl_->each_noised(t, latents, [&](const torch::Tensor& x, const torch::Tensor& when, std::int64_t i) {
    sum.narrow(0, i, x.size(0)) += impl_->net->gradient(x, when).to(torch::kCPU);
  });
  return sum * (std::sqrt(impl_->schedule.alpha_bar[static_cast<std::size_t>(t)]) / draws);
}

std::shared_ptr<const Guide> log_ratio_guide(std::shared_ptr<const ImageReward> reward) {
  std::vector<double> nats;
  for (int t = 0; t < reward->schedule().timesteps; ++t) nats.push_back(reward->nats_per_unit(t));
  return scaled_guide(std::move(reward), nats);
}

}  // namespace diffreward
