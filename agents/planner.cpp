#include "agents/planner.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.h"

namespace diffreward {
namespace {

// Random words that a plan may take, one of its candidates, and where the choice among them is drawn.
constexpr unsigned kPlanBits = 40, kCandidateBits = 29;
constexpr std::uint64_t kChoice = std::uint64_t{PlannerConfig::kMostCandidates} << kCandidateBits;
static_assert(kChoice < std::uint64_t{1} << kPlanBits);
constexpr std::uint64_t kNumberedEpisodes = 0xffffff;  // group; instances are the others

}  // namespace

Planner::Planner(const WindowModel& model, const SampleConfig& sample, const PlannerConfig& config,
                 const Guide* guide, const Guide* judge)
    : model_(model),
      guide_(guide),
      judge_(judge != nullptr ? judge : guide),
      sample_(sample),
      config_(config) {
  validate(sample);
  validate(config);
  const WindowLayout& layout = model.layout();
  require(layout.action_dim > 0, "Planner: expected a model with actions, got one of observations alone");
  const int reach = layout.horizon * layout.stride;
  require(config.replan_every <= reach, "replan_every: expected at most the ", reach,
          " environment steps that a plan covers, got ", config.replan_every);
  require(config.warm_level < model.schedule().timesteps,
          "warm_level: expected a noise level below the model's ", model.schedule().timesteps, ", got ",
          config.warm_level);
  require(config.warm_level < 0 || config.replan_every % layout.stride == 0,
          "replan_every: expected a multiple of the model's stride of ", layout.stride,
          " to start plans warm, by whole rows, got ", config.replan_every);
  require(config.candidates == 1 || judge_ != nullptr, "candidates: expected a judge of ", config.candidates,
          " candidates, got none");
  require(config.follow == "actions" || layout.observation_dim >= 2 * layout.action_dim,
          "follow: expected observations that begin with ", layout.action_dim,
          " positions and as many velocities, got ", layout.observation_dim, " numbers");
}

Planner::Planner(std::shared_ptr<const WindowModel> model, const SampleConfig& sample,
                 const PlannerConfig& config, const Guide* guide, const Guide* judge)
    : Planner(*model, sample, config, guide, judge) {
  owned_ = std::move(model);
}

std::span<const float> Planner::plan(std::size_t i) const {
  if (i >= age_.size() || age_[i] < 0) return {};
  const auto size = static_cast<std::size_t>(model_.layout().size());
  return std::span(windows_).subspan(i * size, size);
}

void Planner::set_conditions(std::vector<Condition> conditions) {
  for (const Condition& condition : conditions)
    require(condition.time > 0, "set_conditions: row 0 is what is observed, got a condition on it");
  conditions_ = std::move(conditions);
}

void Planner::number_episodes(std::span<const std::uint64_t> numbers) {
  numbers_.assign(numbers.begin(), numbers.end());
}

void Planner::number_instances(std::uint64_t first) {
  require(age_.empty(),
          "number_instances: expected a planner before its first act(), got one that has acted");
  first_ = first;
}

void Planner::begin(std::size_t i) {
  age_[i] = -1;
  next_plan_[i] = 0;
  noise_[i] = numbers_.empty() ? Streams(Purpose::kPlanning, sample_.seed, first_ + i)[episodes_[i]++]
                               : Streams(Purpose::kPlanning, sample_.seed, kNumberedEpisodes)[numbers_[i]];
}

void Planner::resize(std::size_t n) {
  if (age_.size() == n) return;
  age_.assign(n, -1);
  next_plan_.assign(n, 0);
  noise_.assign(n, Seed());
  episodes_.resize(std::max(n, episodes_.size()));
  windows_.assign(n * static_cast<std::size_t>(model_.layout().size()), 0.0F);
  for (std::size_t i = 0; i < n; ++i) begin(i);
}

void Planner::act(const StepView& view, std::span<double> actions) {
  const std::span<const double> obs = view.obs;
  const WindowLayout& layout = model_.layout();
  const auto obs_dim = static_cast<std::size_t>(layout.observation_dim),
             action_dim = static_cast<std::size_t>(layout.action_dim),
             width = static_cast<std::size_t>(layout.width()), size = static_cast<std::size_t>(layout.size());
  const std::size_t n = obs.size() / obs_dim;
  require(n * obs_dim == obs.size() && n * action_dim == actions.size(),
          "Planner::act: expected observations of ", obs_dim, " and actions of ", action_dim,
          " numbers each, got ", obs.size(), " and ", actions.size(), " numbers");
  require(numbers_.empty() || numbers_.size() == n, "Planner: expected numbers of ", n, " episodes, got ",
          numbers_.size());
  const bool all_begin = age_.size() != n;
  resize(n);
  std::vector<std::size_t> cold, warm;
  for (std::size_t i = 0; i < n; ++i) {
    if (!all_begin && begins(view, i)) begin(i);
    if (age_[i] < 0 || (age_[i] >= config_.replan_every && config_.warm_level < 0))
      cold.push_back(i);
    else if (age_[i] >= config_.replan_every)
      warm.push_back(i);
  }
  numbers_.clear();
  make_plans(cold, false, obs);
  make_plans(warm, true, obs);
  for (std::size_t i = 0; i < n; ++i) {
    if (config_.follow == "states") {
      follow_states(i, obs.subspan(i * obs_dim, obs_dim), actions.subspan(i * action_dim, action_dim));
      ++age_[i];
      continue;
    }
    const std::size_t row = static_cast<std::size_t>(age_[i]++ / layout.stride);
    const auto from = windows_.begin() + static_cast<std::ptrdiff_t>(i * size + row * width);
    std::copy_n(from, action_dim, actions.begin() + static_cast<std::ptrdiff_t>(i * action_dim));
  }
}

void Planner::follow_states(std::size_t i, std::span<const double> obs, std::span<double> actions) const {
  const WindowLayout& layout = model_.layout();
  const auto last = static_cast<std::size_t>(layout.horizon - 1),
             width = static_cast<std::size_t>(layout.width()),
             axes = static_cast<std::size_t>(layout.action_dim);
  const std::span<const float> rows = plan(i);
  const auto step = static_cast<std::size_t>(age_[i] + 1), stride = static_cast<std::size_t>(layout.stride);
  const std::size_t before = std::min(step / stride, last), after = std::min(before + 1, last);
  const double share = static_cast<double>(step % stride) / static_cast<double>(stride);
  const auto planned = [&](std::size_t k) {
    return (1 - share) * rows[before * width + axes + k] + share * rows[after * width + axes + k];
  };
  for (std::size_t axis = 0; axis < axes; ++axis) {
    const double pull = config_.gain * (planned(axis) - obs[axis]) +
                        config_.damping * (planned(axes + axis) - obs[axes + axis]);
    actions[axis] = std::clamp(pull, -1.0, 1.0);
  }
}

void Planner::make_plans(const std::vector<std::size_t>& instances, bool warm, std::span<const double> obs) {
  if (instances.empty()) return;
  const WindowLayout& layout = model_.layout();
  const auto obs_dim = static_cast<std::size_t>(layout.observation_dim),
             size = static_cast<std::size_t>(layout.size()), width = static_cast<std::size_t>(layout.width());
  const auto candidates = static_cast<std::size_t>(config_.candidates);
  // Of each instance as often as it has candidates.
  const auto of_instances = [&](const auto& from, std::size_t count) {
    std::vector<float> out;
    out.reserve(instances.size() * candidates * count);
    for (const std::size_t i : instances)
      for (std::size_t c = 0; c < candidates; ++c)
        for (std::size_t k = 0; k < count; ++k) out.push_back(static_cast<float>(from[i * count + k]));
    return out;
  };
  std::vector<Condition> conditions = {{0, of_instances(obs, obs_dim)}};
  for (const Condition& condition : conditions_) {
    const bool one = condition.observations.size() == obs_dim;
    require(one || condition.observations.size() == age_.size() * obs_dim, "condition at time ",
            condition.time, ": expected observations of ", obs_dim, " numbers for 1 or ", age_.size(),
            " instances, got ", condition.observations.size(), " numbers");
    conditions.push_back(
        {condition.time, one ? condition.observations : of_instances(condition.observations, obs_dim)});
  }
  std::vector<float> start;
  if (warm) {
    const auto moved = static_cast<std::size_t>(config_.replan_every / layout.stride),
               rows = static_cast<std::size_t>(layout.horizon);
    start.reserve(instances.size() * candidates * size);
    for (const std::size_t i : instances)
      for (std::size_t c = 0; c < candidates; ++c)
        for (std::size_t row = 0; row < rows; ++row) {
          const auto from = windows_.begin() +
                            static_cast<std::ptrdiff_t>(i * size + std::min(row + moved, rows - 1) * width);
          start.insert(start.end(), from, from + static_cast<std::ptrdiff_t>(width));
        }
  }
  std::vector<Rng> noise, choice;
  for (const std::size_t i : instances) {
    const std::uint64_t plan = next_plan_[i]++ << kPlanBits;
    const auto stream = [&](std::uint64_t from) {
      Rng rng(noise_[i]);
      rng.jump(plan + from);
      return rng;
    };
    for (std::size_t c = 0; c < candidates; ++c) noise.push_back(stream(std::uint64_t{c} << kCandidateBits));
    choice.push_back(stream(kChoice));
  }
  const std::vector<float> plans =
      warm ? model_.sample_from(start, config_.warm_level, conditions, sample_, guide_, noise)
           : model_.sample(static_cast<int>(noise.size()), conditions, sample_, guide_, noise);
  const std::vector<double> values =
      candidates > 1 ? model_.values(*judge_, plans, 0) : std::vector<double>(instances.size());
  for (std::size_t k = 0; k < instances.size(); ++k) {
    const std::size_t from =
        k * candidates + chosen(std::span(values).subspan(k * candidates, candidates), choice[k]);
    std::copy_n(plans.begin() + static_cast<std::ptrdiff_t>(from * size), size,
                windows_.begin() + static_cast<std::ptrdiff_t>(instances[k] * size));
    age_[instances[k]] = 0;
  }
  planned_ += static_cast<std::int64_t>(instances.size());
}

/// Which of the candidates of these values is followed.
std::size_t Planner::chosen(std::span<const double> values, Rng& rng) const {
  for (const double value : values)
    if (!std::isfinite(value))
      throw Error(concat("Planner: expected finite values of candidates, found ", value));
  const auto at = [&](auto found) { return static_cast<std::size_t>(found - values.begin()); };
  const auto best = std::ranges::max_element(values);
  if (config_.choose == "best") return at(best);
  if (config_.choose == "worst") return at(std::ranges::min_element(values));
  std::vector<double> sums;  // of probabilities, up to a factor
  double sum = 0;
  for (const double value : values) sums.push_back(sum += std::exp((value - *best) / config_.softness));
  const double drawn = sum * rng.uniform();
  const auto found = std::ranges::upper_bound(sums, drawn) - sums.begin();
  return std::min(static_cast<std::size_t>(found), sums.size() - 1);
}

}  // namespace diffreward
