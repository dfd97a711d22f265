#include "agents/stable_diffusion/scheduler_torch.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/config.h"
#include "core/error.h"

namespace diffreward {
namespace {

constexpr int kMostTimesteps = 10000;
constexpr int kFewSteps = 15;  // below, DPM-Solver++ ends with a step of first order

const std::map<std::string, std::string>& kinds_by_class() {
  static const std::map<std::string, std::string> table = {{"DDIMScheduler", "ddim"},
                                                           {"PNDMScheduler", "pndm"},
                                                           {"DPMSolverMultistepScheduler", "dpm_solver"},
                                                           {"EulerDiscreteScheduler", "euler"}};
  return table;
}

/// numpy.linspace(0, end, count).
std::vector<double> evenly(double end, int count) {
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(i * (end / std::max(1, count - 1)));
  if (count > 1) values.back() = end;
  return values;
}

/// From low to high, before what each scheduler makes of them.
std::vector<double> spaced(const SchedulerConfig& config, int steps) {
  const bool dpm = config.kind == "dpm_solver";
  const int count = steps + dpm;  // its lowest is left out
  std::vector<double> t;
  if (config.spacing == "linspace") {
    t = evenly(config.timesteps - 1, count);
    if (config.kind != "euler")
      for (double& value : t) value = std::nearbyint(value);
  } else if (config.spacing == "leading") {
    const int stride = config.timesteps / count;
    for (int i = 0; i < count; ++i) t.push_back(i * stride + 1);  // diffusers' pipelines take no other offset
  } else {
    const double stride = static_cast<double>(config.timesteps) / steps;
    const int many = static_cast<int>(std::ceil(config.timesteps / stride));
    for (int i = 0; i < many; ++i) t.push_back(std::nearbyint(config.timesteps - i * stride) - 1);
    std::reverse(t.begin(), t.end());
    return t;
  }
  if (dpm) t.erase(t.begin());
  return t;
}

/// Between the values at whole numbers, as numpy.interp does.
double interpolated(const std::vector<double>& values, double at) {
  const auto below = static_cast<std::size_t>(at);
  if (below + 1 >= values.size()) return values.back();
  return (values[below + 1] - values[below]) * (at - static_cast<double>(below)) + values[below];
}

double rounded(double value) {
  return static_cast<float>(value);
}

}  // namespace

SchedulerConfig SchedulerConfig::read(ComponentConfig& config, const std::string& kind) {
  SchedulerConfig out;
  if (kind.empty()) {
    const auto& table = kinds_by_class();
    const auto found = table.find(config.get<std::string>("_class_name"));
    if (found == table.end())
      config.refuse("_class_name",
                    "DDIMScheduler, PNDMScheduler, DPMSolverMultistepScheduler or EulerDiscreteScheduler");
    out.kind = found->second;
  } else {
    out.kind = kind;
  }
  const bool sigmas = out.kind == "dpm_solver" || out.kind == "euler";
  out.timesteps = static_cast<int>(config.size("num_train_timesteps", 1000));
  if (out.timesteps < 2 || out.timesteps > kMostTimesteps)
    config.refuse("num_train_timesteps", concat("2 to ", kMostTimesteps));
  out.beta_start = config.get<double>("beta_start", 0.0001);
  out.beta_end = config.get<double>("beta_end", 0.02);
  out.beta_schedule = config.get<std::string>("beta_schedule", "linear");
  if (out.beta_schedule != "linear" && out.beta_schedule != "scaled_linear")
    config.refuse("beta_schedule", "linear or scaled_linear");
  if (!(out.beta_start > 0 && out.beta_start < 1)) config.refuse("beta_start", "a number between 0 and 1");
  if (!(out.beta_end > 0 && out.beta_end < 1)) config.refuse("beta_end", "a number between 0 and 1");
  out.betas = config.get<std::vector<double>>("trained_betas", {});
  if (config.has("trained_betas") &&
      (out.betas.size() != static_cast<std::size_t>(out.timesteps) ||
       !std::all_of(out.betas.begin(), out.betas.end(), [](double b) { return b > 0 && b < 1; })))
    config.refuse("trained_betas", concat(out.timesteps, " numbers between 0 and 1"));
  out.spacing = config.get<std::string>("timestep_spacing", sigmas ? "linspace" : "leading");
  if (out.spacing != "leading" && out.spacing != "linspace" && out.spacing != "trailing")
    config.refuse("timestep_spacing", "leading, linspace or trailing");
  out.set_alpha_to_one = config.get<bool>("set_alpha_to_one", out.kind == "ddim");
  config.only("prediction_type", "epsilon");
  config.only("thresholding", false);
  config.only("rescale_betas_zero_snr", false);
  if (out.kind == "pndm" && !config.get<bool>("skip_prk_steps", false))
    config.refuse("skip_prk_steps", "true, which alone is supported");
  if (sigmas) {
    out.final_sigma = config.get<std::string>("final_sigmas_type", "zero");
    if (out.final_sigma != "zero" && out.final_sigma != "sigma_min")
      config.refuse("final_sigmas_type", "zero or sigma_min");
    out.lower_order_final = config.get<bool>("lower_order_final", true);
    out.euler_at_final = config.get<bool>("euler_at_final", false);
    for (const char* key : {"use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas",
                            "use_lu_lambdas", "use_flow_sigmas"})
      config.only(key, false);
  }
  if (out.kind == "dpm_solver") {
    config.only("algorithm_type", "dpmsolver++");
    config.only("solver_type", "midpoint");
    config.only("solver_order", 2);
    config.only("variance_type", nullptr);
  }
  if (out.kind == "euler") {
    config.only("interpolation_type", "linear");
    config.only("timestep_type", "discrete");
  }
  if (config.get<int>("steps_offset", 1) != 1)
    config.warn("steps_offset", "1 is taken, as by diffusers' pipelines");
  if (config.get<bool>("clip_sample", false))
    config.warn("clip_sample", "false is taken, as by diffusers' pipelines");
  // of no consequence, of no consequence where the above holds, or another scheduler's
  config.ignore({"algorithm_type",
                 "clip_sample_range",
                 "dynamic_thresholding_ratio",
                 "euler_at_final",
                 "final_sigmas_type",
                 "flow_shift",
                 "interpolation_type",
                 "lambda_min_clipped",
                 "lower_order_final",
                 "sample_max_value",
                 "sigma_max",
                 "sigma_min",
                 "skip_prk_steps",
                 "solver_order",
                 "solver_type",
                 "time_shift_type",
                 "timestep_type",
                 "use_beta_sigmas",
                 "use_dynamic_shifting",
                 "use_exponential_sigmas",
                 "use_flow_sigmas",
                 "use_karras_sigmas",
                 "use_lu_lambdas",
                 "variance_type"});
  return out;
}

torch::Tensor alpha_bars(const SchedulerConfig& config) {
  torch::Tensor betas;
  if (!config.betas.empty())
    betas = torch::tensor(config.betas, torch::kDouble).to(torch::kFloat);
  else if (config.beta_schedule == "linear")
    betas = torch::linspace(config.beta_start, config.beta_end, config.timesteps, torch::kFloat);
  else
    betas = torch::linspace(std::sqrt(config.beta_start), std::sqrt(config.beta_end), config.timesteps,
                            torch::kFloat)
                .square();
  return torch::cumprod(1.0 - betas, 0);
}

torch::Tensor min_snr_weights(const torch::Tensor& alpha_bar, double gamma) {
  if (gamma == 0) return torch::ones_like(alpha_bar);
  return (gamma * (1 - alpha_bar) / alpha_bar).clamp_max(1);
}

DiffusionScheduler::DiffusionScheduler(const SchedulerConfig& config, int steps) {
  require(steps >= 1 && steps <= config.timesteps, "steps: expected 1 to ", config.timesteps, ", got ",
          steps);
  Plan plan{.config = config,
            .stride = config.timesteps / steps,
            .alpha_bar = {},
            .timesteps = spaced(config, steps),
            .sigmas = {},
            .final_alpha_bar = 1,
            .init_noise_sigma = 1};
  const torch::Tensor bars = alpha_bars(config);
  const auto doubles = [](const torch::Tensor& values) {
    const torch::Tensor wide = values.to(torch::kDouble);
    return std::vector<double>(wide.data_ptr<double>(), wide.data_ptr<double>() + wide.numel());
  };
  plan.alpha_bar = doubles(bars);
  if (!config.set_alpha_to_one) plan.final_alpha_bar = plan.alpha_bar[0];
  require(plan.timesteps.back() < config.timesteps, "steps: expected fewer for this scheduler, got ", steps);

  if (config.kind == "pndm" && plan.timesteps.size() > 1)
    plan.timesteps.insert(plan.timesteps.end() - 1, plan.timesteps[plan.timesteps.size() - 2]);
  std::reverse(plan.timesteps.begin(), plan.timesteps.end());
  if (config.kind == "dpm_solver" || config.kind == "euler") {
    const std::vector<double> levels = doubles(((1.0 - bars) / bars).sqrt());
    for (double& t : plan.timesteps) {
      t = rounded(t);
      plan.sigmas.push_back(rounded(interpolated(levels, t)));
    }
    require(config.kind == "euler" ||
                std::adjacent_find(plan.sigmas.begin(), plan.sigmas.end()) == plan.sigmas.end(),
            "steps: expected fewer, which visit no timestep twice, got ", steps);
    plan.sigmas.push_back(config.final_sigma == "zero" ? 0 : levels[0]);
  }
  if (config.kind == "euler") {
    const double highest = *std::max_element(plan.sigmas.begin(), plan.sigmas.end());
    plan.init_noise_sigma = config.spacing == "leading" ? std::hypot(highest, 1.0) : highest;
  }
  plan_ = std::make_shared<const Plan>(std::move(plan));
}

torch::Tensor DiffusionScheduler::scale_model_input(const torch::Tensor& latents) const {
  if (plan_->config.kind != "euler") return latents;
  return latents / std::hypot(sigmas().at(static_cast<std::size_t>(index_)), 1.0);
}

torch::Tensor DiffusionScheduler::step(const torch::Tensor& predicted, const torch::Tensor& latents) {
  require(!done(), "step: expected a chain that is not at its end, got one of ", index_, " steps");
  const bool narrow = torch::elementSize(predicted.scalar_type()) < 4;
  const torch::Tensor eps = narrow ? predicted.to(torch::kFloat) : predicted;
  const torch::Tensor x = latents.to(eps.scalar_type());
  const auto i = static_cast<std::size_t>(index_);
  const std::string& kind = plan_->config.kind;
  const torch::Tensor after = kind == "ddim"         ? ddim(eps, x)
                              : kind == "pndm"       ? pndm(eps, x)
                              : kind == "dpm_solver" ? dpm_solver(eps, x)
                                                     : x + (sigmas()[i + 1] - sigmas()[i]) * eps;
  ++index_;
  return after.to(predicted.scalar_type());
}

torch::Tensor DiffusionScheduler::ddim(const torch::Tensor& eps, const torch::Tensor& x) const {
  const int t = static_cast<int>(timesteps()[static_cast<std::size_t>(index_)]);
  const double now = plan_->alpha_bar_at(t), next = plan_->alpha_bar_at(t - plan_->stride);
  const torch::Tensor x0 = (x - std::sqrt(1 - now) * eps) / std::sqrt(now);
  return std::sqrt(next) * x0 + std::sqrt(1 - next) * eps;
}

torch::Tensor DiffusionScheduler::pndm(torch::Tensor eps, torch::Tensor x) {
  int t = static_cast<int>(timesteps()[static_cast<std::size_t>(index_)]), next = t - plan_->stride;
  if (index_ == 1) {  // the first step again, by the mean of its ends
    next = t;
    t += plan_->stride;
    eps = (eps + before_.back()) / 2;
    x = first_;
    first_ = torch::Tensor();
  } else {
    if (index_ == 0) first_ = x;
    if (before_.size() == 4) before_.erase(before_.begin());
    before_.push_back(eps);
    const auto back = [&](std::size_t i) { return before_[before_.size() - 1 - i]; };
    if (before_.size() == 2)
      eps = (3 * back(0) - back(1)) / 2;
    else if (before_.size() == 3)
      eps = (23 * back(0) - 16 * back(1) + 5 * back(2)) / 12;
    else if (before_.size() == 4)
      eps = (55 * back(0) - 59 * back(1) + 37 * back(2) - 9 * back(3)) / 24;
  }
  const double a = plan_->alpha_bar_at(t), b = plan_->alpha_bar_at(next);
  const double by = (b - a) / (a * std::sqrt(1 - b) + std::sqrt(a * (1 - a) * b));
  return std::sqrt(b / a) * x - by * eps;
}

torch::Tensor DiffusionScheduler::dpm_solver(const torch::Tensor& eps, const torch::Tensor& x) {
  struct Level {
    double alpha, sigma, lambda;
    explicit Level(double s)
        : alpha(1 / std::hypot(s, 1.0)), sigma(s * alpha), lambda(std::log(alpha) - std::log(sigma)) {}
  };
  const auto i = static_cast<std::size_t>(index_), count = timesteps().size();
  const SchedulerConfig& config = plan_->config;
  const Level now(sigmas()[i]), next(sigmas()[i + 1]);
  const bool last = i + 1 == count && (config.euler_at_final || config.final_sigma == "zero" ||
                                       (config.lower_order_final && count < kFewSteps));
  const torch::Tensor x0 = (x - now.sigma * eps) / now.alpha;
  torch::Tensor d = x0;
  const double h = next.lambda - now.lambda;  // infinite where nothing is left of the noise
  if (!before_.empty() && !last) {
    const double r = (now.lambda - Level(sigmas()[i - 1]).lambda) / h;
    d = x0 + (x0 - before_[0]) / (2 * r);
  }
  before_ = {x0};
  return next.sigma / now.sigma * x - next.alpha * std::expm1(-h) * d;
}

}  // namespace diffreward
