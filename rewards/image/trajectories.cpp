#include "rewards/image/trajectories.h"

#include <torch/torch.h>

#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

#include "agents/nets/tensor_file_torch.h"
#include "agents/stable_diffusion/safe_latent_diffusion_torch.h"
#include "agents/stable_diffusion/scheduler_torch.h"
#include "agents/stable_diffusion/stable_diffusion_torch.h"
#include "core/error.h"
#include "core/interrupt.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;

constexpr const char* kKind = "diffreward-trajectories-1";

void write_trajectories(const fs::path& file, const std::string& follows,
                        const std::vector<std::string>& prompts, const std::vector<std::int64_t>& seeds,
                        const std::vector<std::int64_t>& timesteps, const std::vector<torch::Tensor>& x,
                        const std::vector<torch::Tensor>& difference, const torch::Tensor& latents,
                        const TrajectoryConfig& config, const NoiseSchedule& schedule) {
  Json settings = to_json(config);
  settings.erase("seed");
  save_tensors(file,
               {{"x", torch::stack(x, 1)},
                {"difference", torch::stack(difference, 1)},
                {"timesteps", torch::tensor(timesteps, torch::kLong)},
                {"latents", latents.to(torch::kFloat)}},
               {{"kind", kKind},
                {"follows", follows},
                {"prompts", Json(prompts).dump()},
                {"seeds", Json(seeds).dump()},
                {"settings", settings.dump()},
                {"schedule", schedule.json().dump()}});
}

}  // namespace

ImageSampleConfig TrajectoryConfig::sample(const std::string& follow) const {
  SafetyConfig safety;
  safety.preset = preset;
  safety.unsafe = unsafe;
  safety = safety.resolved();
  if (!momentum) {
    safety.preset = "custom";
    safety.warmup_steps = 0;
    safety.momentum_scale = 0;
  }
  return {.steps = steps,
          .guidance_scale = guidance_scale,
          .scheduler = scheduler,
          .safety = safety,
          .follow = follow,
          .pair = false,
          .negative_prompt = {},
          .width = width,
          .height = height,
          .seed = seed,
          .seed_each = true};
}

void record_trajectories(const StableDiffusion& model, std::span<const std::string> prompts,
                         std::uint64_t first_seed, const TrajectoryConfig& config, const std::string& follow,
                         const fs::path& file, const StableDiffusion::OnStep& on_step) {
  const torch::NoGradGuard no_grad;
  validate(config);
  ImageSampleConfig sample = config.sample(follow);
  sample.seed = first_seed;
  std::vector<torch::Tensor> x, difference;
  std::vector<std::int64_t> timesteps, seeds;
  for (std::size_t i = 0; i < prompts.size(); ++i) seeds.push_back(static_cast<std::int64_t>(first_seed + i));
  const torch::Tensor latents =
      model.sample({prompts.begin(), prompts.end()}, sample, [&](const DenoisingStep& step) {
        if (!step.after.isfinite().all().item<bool>())
          throw Error(concat("step ", step.index, ": expected finite latents, found others"));
        timesteps.push_back(std::llround(step.timestep));
        x.push_back(step.before.to(torch::kCPU, torch::kHalf));
        difference.push_back((step.eps_safe - step.eps_base).to(torch::kCPU, torch::kHalf));
        if (on_step) on_step(step);
      });
  write_trajectories(file, follow, {prompts.begin(), prompts.end()}, seeds, timesteps, x, difference, latents,
                     config, model.schedule());
}

void record_noised_pictures(const StableDiffusion& model, const CaptionedPictures& pictures,
                            std::size_t first, std::size_t count, const TrajectoryConfig& config,
                            const fs::path& file) {
  const torch::NoGradGuard no_grad;
  validate(config);
  const std::vector<std::string> prompts(
      pictures.captions.begin() + static_cast<std::ptrdiff_t>(first),
      pictures.captions.begin() + static_cast<std::ptrdiff_t>(first + count));
  const auto n = static_cast<std::int64_t>(count), side = static_cast<std::int64_t>(pictures.side);
  const torch::Tensor bytes = torch::from_blob(
      const_cast<std::uint8_t*>(pictures.pixels.data()) + static_cast<std::int64_t>(first) * side * side * 3,
      {n, side, side, 3}, torch::kByte);
  const torch::Tensor latents = model.encode(StableDiffusion::images(bytes));
  const ImageSampleConfig sample = config.sample("base");
  const SafetyConfig safety = sample.safety.resolved();
  const std::vector<double> all =
      DiffusionScheduler(model.impl().scheduler(config.scheduler), config.steps).timesteps();
  const auto steps = static_cast<std::int64_t>(all.size());
  std::vector<torch::Tensor> noise;
  std::vector<std::int64_t> timesteps, seeds;
  for (std::size_t i = first; i < first + count; ++i) {
    seeds.push_back(static_cast<std::int64_t>(config.seed + i));
    std::vector<std::int64_t> shape = {steps};
    for (const std::int64_t size : latents.sizes().slice(1)) shape.push_back(size);
    noise.push_back(seeded_normal(config.seed + i, shape, torch::kFloat));
  }
  const torch::Tensor noises = torch::stack(noise, 1).to(latents.device(), latents.scalar_type()),
                      text = torch::cat({model.embed({""}).expand({n, -1, -1}), model.embed(prompts),
                                         model.embed({config.unsafe}).expand({n, -1, -1})});
  std::vector<torch::Tensor> x, difference;
  for (std::int64_t step = 0; step < steps; ++step) {
    check_interrupt();
    timesteps.push_back(std::llround(all[static_cast<std::size_t>(step)]));
    const double kept = model.schedule().alpha_bar[static_cast<std::size_t>(timesteps.back())];
    const torch::Tensor noised = std::sqrt(kept) * latents + std::sqrt(1 - kept) * noises[step];
    const torch::Tensor t =
        torch::full({1}, timesteps.back(), torch::dtype(torch::kLong).device(noised.device()));
    const std::vector<torch::Tensor> eps = model.eps(noised.repeat({3, 1, 1, 1}), t, text).chunk(3);
    const SldStep parted =
        sld_combine(eps[0], eps[1], eps[2], {}, static_cast<int>(step), config.guidance_scale, safety);
    x.push_back(noised.to(torch::kCPU, torch::kHalf));
    difference.push_back((parted.eps_safe - parted.eps_base).to(torch::kCPU, torch::kHalf));
  }
  write_trajectories(file, "pictures", prompts, seeds, timesteps, x, difference, latents, config,
                     model.schedule());
}

double seconds_per_step(const StableDiffusion& model, const TrajectoryConfig& config) {
  ImageSampleConfig sample = config.sample("base");
  sample.steps = 2;
  using Clock = std::chrono::steady_clock;
  Clock::time_point before, after;
  model.sample({""}, sample, [&](const DenoisingStep& step) {
    before = after;
    after = Clock::now();
    if (step.index == 0) before = after;
  });
  return std::chrono::duration<double>(after - before).count();
}

struct Trajectories::Impl {
  struct Part {
    std::int64_t begin;
    torch::Tensor x, difference, latents;
  };
  std::vector<Safetensors> files;  // keep the tensors mapped
  std::vector<Part> parts;
  std::vector<std::string> prompts;
  std::vector<int> timesteps;
  std::vector<std::int64_t> shape;
  std::optional<NoiseSchedule> schedule;
  Json settings;
  std::string follows;

  void add(const fs::path& path) {
    files.push_back(Safetensors::open(path));
    const Safetensors& file = files.back();
    if (file.metadata_at("kind") != kKind)
      throw Error(concat(path.string(), ": metadata 'kind': expected ", kKind, ", found '",
                         file.metadata_at("kind"), "'"));
    const auto json = [&](const char* key) {
      return read_entry(file, path, key, [](const Json& entry) { return entry; });
    };
    const auto same = [&](const char* what, const auto& expected, const auto& found) {
      if (expected != found)
        throw Error(concat(path.string(), ": ", what, ": expected ", brief(Json(expected)),
                           ", which the first file has, found ", brief(Json(found))));
    };
    const auto tensor = [&](const char* name, const char* type) {
      const TensorBytes& bytes = file.at(name);
      if (bytes.dtype != type)
        throw Error(concat(path.string(), ": tensor '", name, "': expected ", type, ", found ", bytes.dtype));
      return tensor_from(bytes, concat(path.string(), ": tensor '", name, "'"), file.mapping());
    };
    Part part{static_cast<std::int64_t>(prompts.size()), tensor("x", "F16"), tensor("difference", "F16"),
              tensor("latents", "F32")};
    const torch::Tensor times = tensor("timesteps", "I64");
    const auto texts = read_entry(file, path, "prompts",
                                  [](const Json& entry) { return entry.get<std::vector<std::string>>(); });
    const auto n = static_cast<std::int64_t>(texts.size());
    std::vector<std::int64_t> expected = {n, times.numel()};
    if (part.latents.dim() == 4)
      for (const std::int64_t size : part.latents.sizes().slice(1)) expected.push_back(size);
    if (n == 0 || times.numel() == 0 || part.latents.dim() != 4 || part.latents.size(0) != n ||
        part.x.sizes() != at::IntArrayRef(expected) || part.difference.sizes() != at::IntArrayRef(expected))
      throw Error(concat(path.string(), ": expected chains of ", n, " prompts at ", times.numel(),
                         " timesteps, found x ", part.x.sizes(), ", difference ", part.difference.sizes(),
                         ", latents ", part.latents.sizes()));
    const NoiseSchedule chain = read_entry(file, path, "schedule", NoiseSchedule::from_json);
    std::vector<int> steps;
    for (const std::int64_t t :
         std::span(times.const_data_ptr<std::int64_t>(), static_cast<std::size_t>(times.numel()))) {
      if (t < 0 || t >= chain.timesteps)
        throw Error(concat(path.string(), ": tensor 'timesteps': expected numbers below ", chain.timesteps,
                           ", found ", t));
      steps.push_back(static_cast<int>(t));
    }
    const std::vector<std::int64_t> latent(expected.begin() + 2, expected.end());
    if (parts.empty()) {
      timesteps = steps;
      shape = latent;
      schedule = chain;
      settings = json("settings");
      follows = file.metadata_at("follows");
    }
    same("timesteps", timesteps, steps);
    same("latents", shape, latent);
    same("schedule", schedule->json(), chain.json());
    same("settings", settings, json("settings"));
    same("follows", follows, file.metadata_at("follows"));
    parts.push_back(std::move(part));
    prompts.insert(prompts.end(), texts.begin(), texts.end());
  }
  const Part& part_of(std::int64_t chain) const {
    const auto after = std::ranges::upper_bound(parts, chain, {}, &Part::begin);
    return *std::prev(after);
  }
};

Trajectories::Trajectories(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Trajectories::Trajectories(Trajectories&&) noexcept = default;
Trajectories& Trajectories::operator=(Trajectories&&) noexcept = default;
Trajectories::~Trajectories() = default;

Trajectories Trajectories::open(const std::vector<fs::path>& files) {
  require(!files.empty(), "trajectories: expected files, got none");
  auto impl = std::make_unique<Impl>();
  for (const fs::path& file : files) impl->add(file);
  return Trajectories(std::move(impl));
}

std::int64_t Trajectories::count() const {
  return static_cast<std::int64_t>(impl_->prompts.size());
}
const std::vector<std::string>& Trajectories::prompts() const {
  return impl_->prompts;
}
const std::vector<int>& Trajectories::timesteps() const {
  return impl_->timesteps;
}
std::vector<std::int64_t> Trajectories::shape() const {
  return impl_->shape;
}
const NoiseSchedule& Trajectories::schedule() const {
  return *impl_->schedule;
}
const Json& Trajectories::settings() const {
  return impl_->settings;
}
const std::string& Trajectories::follows() const {
  return impl_->follows;
}
at::Tensor Trajectories::x(std::int64_t chain, std::int64_t step) const {
  const Impl::Part& part = impl_->part_of(chain);
  return part.x[chain - part.begin][step].to(torch::kFloat);
}
at::Tensor Trajectories::difference(std::int64_t chain, std::int64_t step) const {
  const Impl::Part& part = impl_->part_of(chain);
  return part.difference[chain - part.begin][step].to(torch::kFloat);
}
at::Tensor Trajectories::latents() const {
  std::vector<torch::Tensor> all;
  for (const Impl::Part& part : impl_->parts) all.push_back(part.latents);
  return torch::cat(all);
}

}  // namespace diffreward
