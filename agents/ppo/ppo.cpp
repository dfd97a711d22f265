#include "agents/ppo/ppo.h"

#include <torch/torch.h>

#include <utility>

#include "agents/device.h"
#include "agents/gaussian_draw.h"
#include "agents/parallel.h"
#include "agents/ppo/gae.h"
#include "agents/ppo/ppo_torch.h"
#include "core/interrupt.h"

namespace diffreward {
namespace {

constexpr double kObservationLimit = 10;  // deviations, after normalising
constexpr double kRewardLimit = 10;       // return deviations
constexpr double kAdamEpsilon =
    1e-5;  // of the implementation that others are measured by (Huang et al. 2022)
constexpr double kSmallestRate = 1e-5, kLargestRate = 1e-2, kRateFactor = 1.5;  // of the adaptive schedule

double adapted(double lr, double kl, double target) {
  if (kl > 2 * target) return std::max(kSmallestRate, lr / kRateFactor);
  if (kl < target / 2) return std::min(kLargestRate, lr * kRateFactor);
  return lr;
}

}  // namespace

Ppo::Impl::Impl(VectorEnv& vector_env, const PpoConfig& ppo_config, std::uint64_t of_seed, Parameters from)
    : env(vector_env),
      config(ppo_config),
      seed(of_seed),
      n(static_cast<std::size_t>(env.size())),
      obs_dim(env.spec().observation.size()),
      act_dim(env.spec().action.size()),
      scale(env.spec().action),
      device(from.device()),
      action_rng(Streams(Purpose::kActions, seed)[0]),
      batch_rng(Streams(Purpose::kMinibatches, seed)[0]),
      net(static_cast<int>(obs_dim), static_cast<int>(act_dim), config.hidden, config.initial_log_std,
          std::move(from)),
      optimizer(net.parameters),
      observations(obs_dim),
      actions(n * act_dim),
      episode_return(n) {}

Ppo::Ppo(VectorEnv& env, const PpoConfig& config, std::uint64_t seed, const std::string& device)
    : LearningAgent(env.size()) {
  validate(config);
  check_device(device);
  require(env.autoreset() == Autoreset::kSameStep, env.spec().id, ": PPO needs autoreset same_step");
  impl_ = std::make_unique<Impl>(env, config, seed,
                                 Parameters(Streams(Purpose::kAgentWeights, seed)[0], torch::Device(device)));
}

Ppo::Ppo(std::unique_ptr<Impl> impl) : LearningAgent(impl->env.size()), impl_(std::move(impl)) {}

Ppo::~Ppo() = default;

const PpoConfig& Ppo::config() const {
  return impl_->config;
}

// ---- training ----

void Ppo::train(std::int64_t env_steps, const std::function<void(const TrainingMetrics&)>& report) {
  Impl& m = *impl_;
  const std::int64_t per_iteration = std::int64_t{m.config.decisions} * m.config.action_repeat * m.env.size();
  const std::int64_t iterations = (env_steps + per_iteration - 1) / per_iteration;
  PpoRollout rollout(m.config.decisions, m.env.size(), static_cast<std::int64_t>(m.obs_dim),
                     static_cast<std::int64_t>(m.act_dim));
  if (!std::exchange(m.resumed, false)) {
    m.env.reset(Streams(Purpose::kTraining, m.seed, static_cast<std::uint64_t>(m.calls++)));
    m.returns.restart(m.n);
    m.episode_return.assign(m.n, 0.0);
    m.call_begin = m.iterations;
    m.lr = m.config.lr;
  }
  for (std::int64_t k = m.iterations - m.call_begin; k < iterations; ++k) {
    check_interrupt();
    PpoMetrics metrics;
    m.collect(rollout, metrics);
    if (m.config.lr_schedule == "linear")
      m.lr = scheduled_rate(m.config.lr, "linear", static_cast<double>(k) / static_cast<double>(iterations));
    m.optimize(m.training_table(rollout, metrics), metrics);
    m.env_steps += per_iteration;
    ++m.iterations;
    metrics.env_steps = m.env_steps;
    m.check_finite(metrics);
    metrics.details = {{"policy_loss", metrics.policy_loss},
                       {"value_loss", metrics.value_loss},
                       {"entropy", metrics.entropy},
                       {"kl", metrics.kl},
                       {"clip_fraction", metrics.clip_fraction},
                       {"explained_variance", metrics.explained_variance},
                       {"lr", m.lr}};
    if (report) report(metrics);
  }
}

/// Fills `rollout` with decisions of the current policy.
void Ppo::Impl::collect(PpoRollout& rollout, PpoMetrics& metrics) {
  torch::InferenceMode inference;
  const torch::Tensor log_std = net.log_std.to(torch::kCPU);
  const std::span<const float> deviations(log_std.const_data_ptr<float>(), act_dim);
  std::vector<double> drawn(act_dim);
  rollout.truncated_at.clear();
  rollout.truncated_observation.clear();
  finished_return = 0;
  finished = 0;

  for (std::int64_t decision = 0; decision < config.decisions; ++decision) {
    const auto now = static_cast<std::size_t>(decision);
    const std::span<const double> obs = env.view().obs;
    if (config.normalize_observations) observations.update(obs);
    normalize(obs, rollout.observation.data_ptr<float>() + now * n * obs_dim);
    const torch::Tensor mean = net.mean(rollout.observation[decision].to(device)).to(torch::kCPU);
    const float* mean_of = mean.const_data_ptr<float>();
    float* action = rollout.action.data_ptr<float>() + now * n * act_dim;
    float* log_probability_of = rollout.log_probability.data_ptr<float>() + now * n;
    for (std::size_t i = 0; i < n; ++i) {
      std::copy_n(mean_of + i * act_dim, act_dim, drawn.begin());
      log_probability_of[i] = static_cast<float>(draw_gaussian(drawn, deviations, action_rng));
      for (std::size_t j = 0; j < act_dim; ++j) {
        action[i * act_dim + j] = static_cast<float>(drawn[j]);
        actions[i * act_dim + j] = scale.to_task(j, drawn[j]);
      }
    }
    hold(rollout, now, metrics);
  }
  normalize(env.view().obs,
            rollout.observation.data_ptr<float>() + static_cast<std::size_t>(config.decisions) * n * obs_dim);

  const double steps = static_cast<double>(config.decisions) * config.action_repeat * static_cast<double>(n);
  metrics.reward /= steps;
  metrics.task_reward /= steps;
  metrics.episode_return = finished ? finished_return / static_cast<double>(finished) : std::nan("");
}

/// Steps the environment with the current actions for one hold, and credits the decision.
void Ppo::Impl::hold(PpoRollout& rollout, std::size_t decision, PpoMetrics& metrics) {
  float* reward = rollout.reward.data() + decision * n;
  std::uint8_t* terminated = rollout.terminated.data() + decision * n;
  std::uint8_t* ended = rollout.ended.data() + decision * n;
  std::fill_n(reward, n, 0.0f);
  std::fill_n(terminated, n, std::uint8_t{0});
  std::fill_n(ended, n, std::uint8_t{0});
  for (int repeat = 0; repeat < config.action_repeat; ++repeat) {
    const StepView& view = env.step(actions);
    for (std::size_t i = 0; i < n; ++i) {
      metrics.reward += view.reward[i];
      metrics.task_reward += view.task_reward[i];
      episode_return[i] += view.reward[i];
      const bool over = view.terminated[i] || view.truncated[i];
      if (!ended[i]) {
        reward[i] += static_cast<float>(view.reward[i]);
        terminated[i] = view.terminated[i];
        ended[i] = over;
        if (over && !view.terminated[i]) {
          rollout.truncated_at.push_back(decision * n + i);
          const std::size_t at = rollout.truncated_observation.size();
          rollout.truncated_observation.resize(at + obs_dim);
          normalize(view.final_obs.subspan(i * obs_dim, obs_dim), rollout.truncated_observation.data() + at);
        }
      }
      if (over) {
        finished_return += std::exchange(episode_return[i], 0.0);
        ++finished;
      }
    }
  }
  if (config.normalize_rewards) returns.update(std::span(reward, n), std::span(ended, n), config.gamma);
}

/// One row per decision: [observation, action, log probability, advantage, value target], on the device.
torch::Tensor Ppo::Impl::training_table(PpoRollout& rollout, PpoMetrics& metrics) {
  torch::InferenceMode inference;
  const std::size_t total = rollout.reward.size();
  if (config.normalize_rewards) {
    const double deviation = returns.value();
    for (float& r : rollout.reward)
      r = static_cast<float>(std::clamp(double{r} / deviation, -kRewardLimit, kRewardLimit));
  }
  const auto rows = static_cast<std::int64_t>(total), width = static_cast<std::int64_t>(obs_dim);
  const torch::Tensor values = net.value(rollout.observation.view({-1, width}).to(device)).to(torch::kCPU);
  const std::span<const float> value(values.const_data_ptr<float>(), total + n);
  std::vector<float> next_value(value.begin() + static_cast<std::ptrdiff_t>(n), value.end());
  if (!rollout.truncated_at.empty()) {
    const torch::Tensor reached =
        torch::from_blob(rollout.truncated_observation.data(),
                         {static_cast<std::int64_t>(rollout.truncated_at.size()), width});
    const torch::Tensor bootstrap = net.value(reached.to(device)).to(torch::kCPU);
    for (std::size_t k = 0; k < rollout.truncated_at.size(); ++k)
      next_value[rollout.truncated_at[k]] = bootstrap.const_data_ptr<float>()[k];
  }
  const torch::Tensor advantage = torch::empty({rows});
  generalized_advantages({rollout.reward, value.first(total), next_value, rollout.terminated, rollout.ended},
                         n, config.gamma, config.lambda, std::span(advantage.data_ptr<float>(), total));
  const torch::Tensor target = advantage + values.narrow(0, 0, rows);
  metrics.explained_variance = 1 - (advantage.var() / (target.var() + 1e-12)).item<double>();
  const torch::Tensor table = torch::cat(
      {rollout.observation.narrow(0, 0, config.decisions).view({rows, width}),
       rollout.action.view({rows, -1}), rollout.log_probability.view({rows, 1}),
       ((advantage - advantage.mean()) / (advantage.std() + 1e-8)).view({rows, 1}), target.view({rows, 1})},
      1);
  return table.to(device);
}

/// `epochs` passes of clipped policy-gradient steps over the table.
void Ppo::Impl::optimize(const torch::Tensor& table, PpoMetrics& metrics) {
  const std::int64_t rows = table.size(0);
  const auto width = static_cast<std::int64_t>(obs_dim), act = static_cast<std::int64_t>(act_dim);
  const double log_normal_entropy = 0.5 * std::log(2 * std::numbers::pi * std::numbers::e);
  torch::Tensor order = torch::arange(rows), sums = torch::zeros({5}, device);
  std::int64_t* order_of = order.data_ptr<std::int64_t>();
  std::int64_t updates = 0;
  for (int epoch = 0; epoch < config.epochs; ++epoch) {
    for (std::int64_t i = rows - 1; i > 0; --i)
      std::swap(order_of[i], order_of[batch_rng.below(static_cast<std::uint64_t>(i) + 1)]);
    torch::Tensor shuffled;
    {
      torch::NoGradGuard no_grad;
      shuffled = table.index_select(0, order.to(device));
    }
    for (std::int64_t b = 0; b < config.minibatches; ++b) {
      const std::int64_t begin = rows * b / config.minibatches, end = rows * (b + 1) / config.minibatches;
      if (begin == end) continue;
      const torch::Tensor batch = shuffled.narrow(0, begin, end - begin);
      const torch::Tensor observation = batch.narrow(1, 0, width), action = batch.narrow(1, width, act);
      const torch::Tensor old_log_probability = batch.select(1, width + act);
      const torch::Tensor advantage = batch.select(1, width + act + 1),
                          target = batch.select(1, width + act + 2);

      // The nets share nothing: a thread each.
      torch::Tensor log_ratio, ratio, policy_loss, value_loss, entropy;
      parallel_each(2, [&](std::size_t task) {
        const torch::AutoGradMode graph(true);
        if (task == 1) {
          value_loss = torch::mse_loss(net.value(observation), target);
          (config.value_weight * value_loss).backward();
          return;
        }
        log_ratio = log_probability(action, net.mean(observation), net.log_std) - old_log_probability;
        ratio = log_ratio.exp();
        policy_loss =
            -torch::min(ratio * advantage, ratio.clamp(1 - config.clip, 1 + config.clip) * advantage).mean();
        entropy = net.log_std.sum() + log_normal_entropy * static_cast<double>(act);
        (policy_loss - config.entropy_weight * entropy).backward();
      });
      optimizer.step(
          {.lr = lr, .weight_decay = 0, .gradient_clip = config.gradient_clip, .epsilon = kAdamEpsilon},
          config.gradient_clip > 0 ? optimizer.gradient_norm() : 0);

      torch::NoGradGuard no_grad;
      const torch::Tensor kl = (ratio - 1 - log_ratio).mean();
      sums += torch::stack({policy_loss, value_loss, entropy, kl,
                            ((ratio - 1).abs() > config.clip).to(torch::kFloat32).mean()});
      ++updates;
      if (config.lr_schedule == "adaptive") lr = adapted(lr, kl.item<double>(), config.target_kl);
    }
  }
  const torch::Tensor means = (sums / static_cast<double>(updates)).to(torch::kCPU);
  const float* mean = means.const_data_ptr<float>();
  metrics.policy_loss = double{mean[0]};
  metrics.value_loss = double{mean[1]};
  metrics.entropy = double{mean[2]};
  metrics.kl = double{mean[3]};
  metrics.clip_fraction = double{mean[4]};
}

/// obs [rows, obs_dim] in task units to model units.
void Ppo::Impl::normalize(std::span<const double> obs, float* out) const {
  if (!config.normalize_observations) {
    for (std::size_t i = 0; i < obs.size(); ++i) out[i] = static_cast<float>(obs[i]);
    return;
  }
  for (std::size_t c = 0; c < obs_dim; ++c) {
    const double mean = observations.mean(c), factor = 1 / std::sqrt(observations.variance(c) + 1e-8);
    for (std::size_t i = c; i < obs.size(); i += obs_dim)
      out[i] =
          static_cast<float>(std::clamp((obs[i] - mean) * factor, -kObservationLimit, kObservationLimit));
  }
}

void Ppo::Impl::check_finite(const PpoMetrics& metrics) const {
  const std::pair<const char*, double> values[] = {{"reward", metrics.reward},
                                                   {"policy loss", metrics.policy_loss},
                                                   {"value loss", metrics.value_loss},
                                                   {"kl", metrics.kl}};
  for (const auto& [name, value] : values)
    if (!std::isfinite(value))
      throw Error(concat("PPO on ", env.spec().id, ": ", name, " is not finite in iteration ", iterations));
}

// ---- acting ----

void Ppo::act(const StepView& view, std::span<double> actions) {
  Impl& m = *impl_;
  const std::size_t count = begin_act(view, actions, m.obs_dim, m.act_dim);
  if (m.left.size() != count) {
    m.left.assign(count, 0);
    m.held.resize(count * m.act_dim);
  }
  for (std::size_t i = 0; i < count; ++i)
    if (begins(view, i)) m.left[i] = 0;
  if (std::any_of(m.left.begin(), m.left.end(), [](int left) { return left == 0; })) {
    torch::InferenceMode inference;
    const torch::Tensor observation =
        torch::empty({static_cast<std::int64_t>(count), static_cast<std::int64_t>(m.obs_dim)});
    m.normalize(view.obs, observation.data_ptr<float>());
    const torch::Tensor mean = m.net.mean_of_each(observation.to(m.device)).to(torch::kCPU);
    const float* mean_of = mean.const_data_ptr<float>();
    const torch::Tensor log_std = m.net.log_std.to(torch::kCPU);
    const std::span<const float> deviations(log_std.const_data_ptr<float>(), m.act_dim);
    std::vector<double> action(m.act_dim);
    const double box = m.scale.log_volume();
    for (std::size_t i = 0; i < count; ++i) {
      if (m.left[i] > 0) continue;
      m.left[i] = m.config.action_repeat;
      std::copy_n(mean_of + i * m.act_dim, m.act_dim, action.begin());
      if (noise_) log_probabilities_[i] = draw_gaussian(action, deviations, (*noise_)[i]) - box;
      for (std::size_t j = 0; j < m.act_dim; ++j) m.held[i * m.act_dim + j] = m.scale.to_task(j, action[j]);
    }
  }
  for (int& left : m.left) --left;
  std::copy(m.held.begin(), m.held.end(), actions.begin());
}

std::int64_t Ppo::env_steps() const {
  return impl_->env_steps;
}

void Ppo::value(std::span<const double> obs, std::span<double> out) const {
  const Impl& m = *impl_;
  require(obs.size() == out.size() * m.obs_dim, "value: expected observations [", out.size(), ", ", m.obs_dim,
          "], got ", obs.size(), " numbers");
  torch::InferenceMode inference;
  const torch::Tensor observation =
      torch::empty({static_cast<std::int64_t>(out.size()), static_cast<std::int64_t>(m.obs_dim)});
  m.normalize(obs, observation.data_ptr<float>());
  const torch::Tensor value = m.net.value(observation.to(m.device)).to(torch::kCPU);
  const double unit = m.config.normalize_rewards ? m.returns.value() : 1.0;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = unit * double{value.const_data_ptr<float>()[i]};
}

}  // namespace diffreward
