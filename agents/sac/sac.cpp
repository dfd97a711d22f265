#include "agents/sac/sac.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "agents/device.h"
#include "agents/numbers_torch.h"
#include "agents/parallel.h"
#include "agents/sac/sac_torch.h"
#include "core/interrupt.h"

namespace diffreward {
namespace {

/// 1, and 0 in the absorbing state: [n], of what the critics observe.
torch::Tensor acts_in(const torch::Tensor& observation) {
  return 1 - observation.select(1, -1);
}

}  // namespace

// ---- made of ----

SacActor::SacActor(const SacConfig& config, std::int64_t obs_dim, std::int64_t act_dim, Parameters of)
    : parameters(std::move(of)),
      policy(parameters, "policy", obs_dim, act_dim, config.hidden),
      log_temperature(
          parameters.constant("log_temperature", {1}, std::log(std::max(config.temperature, 1e-30)))) {
  parameters.finish();
}

SacCritic::SacCritic(const SacConfig& config, std::int64_t obs_dim, std::int64_t act_dim, Seed seed,
                     const torch::Device& device)
    : parameters(seed, device),
      nets(parameters, "critic", {int(obs_dim + act_dim), config.hidden, 1, config.layer_norm}, 2) {}

SacTraining::SacTraining(const SacConfig& config, std::uint64_t seed, std::size_t n, std::size_t obs_dim,
                         std::size_t act_dim, bool absorbing, SacActor& actor, const torch::Device& device)
    : critic(config, static_cast<std::int64_t>(obs_dim) + (absorbing ? 1 : 0),
             static_cast<std::int64_t>(act_dim), Streams(Purpose::kAgentWeights, seed)[1], device),
      target(config, static_cast<std::int64_t>(obs_dim) + (absorbing ? 1 : 0),
             static_cast<std::int64_t>(act_dim), Streams(Purpose::kAgentWeights, seed)[1], device),
      critic_optimizer(critic.parameters, &target.parameters),
      actor_optimizer(actor.parameters),
      buffer(config.buffer, n, obs_dim, act_dim, absorbing),
      action_rng(Streams(Purpose::kActions, seed)[0]),
      batch_rng(Streams(Purpose::kMinibatches, seed)[0]),
      noise_rng(Streams(Purpose::kMinibatches, seed)[1]),
      episode_return(n) {}

Sac::Impl::Impl(VectorEnv& vector_env, const SacConfig& sac_config, std::uint64_t of_seed, Parameters from,
                const torch::Device& on, std::unique_ptr<SacObjective> aim)
    : env(vector_env),
      config(sac_config),
      seed(of_seed),
      n(static_cast<std::size_t>(env.size())),
      obs_dim(env.spec().observation.size()),
      act_dim(env.spec().action.size()),
      scale(env.spec().action),
      device(on),
      actor(config, static_cast<std::int64_t>(obs_dim), static_cast<std::int64_t>(act_dim), std::move(from)),
      objective(std::move(aim)),
      actions(n * act_dim),
      chosen(n * act_dim) {
  const EnvSpec& spec = env.spec();
  require(env.autoreset() == Autoreset::kSameStep, spec.id, ": SAC needs autoreset same_step");
  for (std::size_t j = 0; j < act_dim; ++j)
    require(std::isfinite(spec.action.low[j]) && std::isfinite(spec.action.high[j]), spec.id,
            ": SAC needs bounded actions, number ", j, " is not");
}

Sac::Sac(VectorEnv& env, const SacConfig& config, std::uint64_t seed, const std::string& device)
    : Sac(env, config, seed, device, nullptr) {}

Sac::Sac(VectorEnv& env, const SacConfig& config, std::uint64_t seed, const std::string& device,
         std::unique_ptr<SacObjective> objective)
    : LearningAgent(env.size()) {
  validate(config);
  check_device(device);
  const torch::Device on(device);
  if (!objective) objective = std::make_unique<SacObjective>(config, on);
  impl_ = std::make_unique<Impl>(env, config, seed, Parameters(Streams(Purpose::kAgentWeights, seed)[0], on),
                                 on, std::move(objective));
}

Sac::Sac(std::unique_ptr<Impl> impl) : LearningAgent(impl->env.size()), impl_(std::move(impl)) {}
Sac::~Sac() = default;

const SacConfig& Sac::config() const {
  return impl_->config;
}

// ---- what is learned ----

SacBatch draw_transitions(const ReplayBuffer& from, Rng& rng, std::int64_t rows, const SacConfig& config,
                          const torch::Device& device) {
  const auto width = static_cast<std::int64_t>(from.observation_width()),
             act = static_cast<std::int64_t>(from.action_width());
  const SacBatch drawn{torch::empty({rows, width}), torch::empty({rows, act}), torch::empty({rows}),
                       torch::empty({rows}), torch::empty({rows, width})};
  from.sample(rng, config.n_step, config.gamma,
              {numbers(drawn.observation), numbers(drawn.action), numbers(drawn.reward),
               numbers(drawn.discount), numbers(drawn.next_observation)});
  return {drawn.observation.to(device), drawn.action.to(device), drawn.reward.to(device),
          drawn.discount.to(device), drawn.next_observation.to(device)};
}

SacBatch SacObjective::batch(const ReplayBuffer& memory, Rng& rng) {
  return draw_transitions(memory, rng, config_.batch, config_, device_);
}

torch::Tensor SacObjective::critic_loss(const SacStep& step) {
  const torch::Tensor target = step.batch.reward + step.batch.discount * step.next_value;
  return (step.value - target).square().sum(0).mean() * 0.5;
}

// ---- training ----

SacTraining& Sac::Impl::begin_training() {
  return training.emplace(config, seed, n, obs_dim, act_dim, objective->absorbing(), actor, device);
}

void Sac::train(std::int64_t env_steps, const std::function<void(const TrainingMetrics&)>& report) {
  Impl& m = *impl_;
  if (!m.training) m.begin_training();
  if (!std::exchange(m.resumed, false)) {
    m.env.reset(Streams(Purpose::kTraining, m.seed, static_cast<std::uint64_t>(m.calls++)));
    m.call_begin = m.env_steps;
    m.training->episode_return.assign(m.n, 0.0);
  }
  const std::int64_t end = m.call_begin + env_steps;
  TrainingMetrics metrics;
  while (m.env_steps < end) {
    check_interrupt();
    m.step(metrics);
    const std::int64_t learned = m.env_steps - m.config.learning_starts;
    const auto due = static_cast<std::int64_t>(
        std::floor(static_cast<double>(std::max<std::int64_t>(learned, 0)) * m.config.updates_per_step));
    while (m.training->updates < due) m.update();
    if (m.steps >= m.config.report_every || m.env_steps >= end) {
      m.report(metrics);
      if (report) report(metrics);
      metrics = {};
    }
  }
}

torch::Tensor Sac::Impl::noise(std::int64_t rows) {
  const torch::Tensor noise = torch::empty({rows, static_cast<std::int64_t>(act_dim)});
  training->noise_rng.normals(numbers(noise));
  return noise.to(device);
}

/// Actions in half-boxes for what the env shows: uniform before learning starts, then drawn from the policy.
void Sac::Impl::explore(std::span<float> half_boxes) {
  Rng& rng = training->action_rng;
  if (env_steps < config.learning_starts) {
    for (float& action : half_boxes) action = static_cast<float>(rng.uniform(-1, 1));
    return;
  }
  const torch::InferenceMode inference;
  const torch::Tensor observation = floats(env.view().obs, n);
  const torch::Tensor noise =
      torch::empty({static_cast<std::int64_t>(n), static_cast<std::int64_t>(act_dim)});
  rng.normals(numbers(noise));
  const torch::Tensor action =
      SquashedGaussian::draw(actor.policy(observation.to(device)), noise.to(device)).action.to(torch::kCPU);
  std::ranges::copy(numbers(action.contiguous()), half_boxes.begin());
}

/// One step of all instances, remembered.
void Sac::Impl::step(TrainingMetrics& metrics) {
  explore(chosen);
  for (std::size_t k = 0; k < chosen.size(); ++k) actions[k] = scale.to_task(k % act_dim, double{chosen[k]});
  const std::vector<double> obs(env.view().obs.begin(), env.view().obs.end());
  const StepView& after = env.step(actions);
  try {
    training->buffer.add(obs, chosen, after);
  } catch (const InvalidArgument&) {
    throw;
  } catch (const Error& error) {
    throw Error(concat(objective->name(), " on ", env.spec().id, ": ", error.what(), ", after ", env_steps,
                       " steps"));
  }
  for (std::size_t i = 0; i < n; ++i) {
    metrics.reward += after.reward[i];
    metrics.task_reward += after.task_reward[i];
    training->episode_return[i] += after.reward[i];
    if (!after.terminated[i] && !after.truncated[i]) continue;
    finished_return += std::exchange(training->episode_return[i], 0.0);
    ++finished;
  }
  env_steps += static_cast<std::int64_t>(n);
  steps += static_cast<std::int64_t>(n);
}

SquashedGaussian::Draw Sac::Impl::choose(const torch::Tensor& observation, const torch::Tensor& noise) const {
  const auto draw = SquashedGaussian::draw(
      actor.policy(observation.narrow(1, 0, static_cast<std::int64_t>(obs_dim))), noise);
  if (!objective->absorbing()) return draw;
  const torch::Tensor acting = acts_in(observation);
  return {draw.action * acting.unsqueeze(1), draw.log_probability * acting};
}

/// One step of the critics and, every so often, of policy and temperature.
void Sac::Impl::update() {
  SacTraining& t = *training;
  OptimizerSettings adam{
      .lr = config.lr, .weight_decay = 0, .ema = 1 - config.tau, .gradient_clip = 0, .young_ema = false};
  const SacBatch batch = objective->batch(t.buffer, t.batch_rng);
  const bool acts = t.updates++ % config.actor_every == 0;
  const torch::Tensor temperature = actor.log_temperature.detach().exp();
  const torch::Tensor next_noise = noise(config.batch),
                      own_noise = acts ? noise(config.batch) : torch::Tensor();
  // What depends on no other: a thread for the target, one for what is learned.
  torch::Tensor next_value, value;
  SquashedGaussian::Draw own;
  parallel_each(2, [&](std::size_t task) {
    const torch::AutoGradMode graph(task == 1);
    if (task == 0) {
      const auto next = choose(batch.next_observation, next_noise);
      const torch::Tensor worth = t.target.values(batch.next_observation, next.action, false).amin(0);
      next_value = worth - temperature * next.log_probability;
    } else {
      value = t.critic.values(batch.observation, batch.action, true);
      if (acts) own = choose(batch.observation, own_noise);
    }
  });
  const torch::Tensor critic_loss =
      objective->critic_loss({batch, t.critic, value, next_value, own, temperature});
  critic_loss.backward();
  t.critic_optimizer.step(adam, 0);
  {
    const torch::NoGradGuard no_grad;
    const torch::Tensor seen = torch::stack({critic_loss, value.mean()});
    sums.critic = sums.critic.defined() ? sums.critic + seen : seen;
    ++sums.critic_updates;
  }
  if (!acts) return;

  const torch::Tensor worth = t.critic.values(batch.observation, own.action, false).amin(0);
  const torch::Tensor actor_loss = (temperature * own.log_probability - worth).mean();
  actor_loss.backward();
  const torch::NoGradGuard no_grad;
  torch::Tensor entropy = -own.log_probability.mean();
  if (objective->absorbing()) entropy = entropy / acts_in(batch.observation).mean();  // of who has a choice
  if (config.learn_temperature) actor.log_temperature.mutable_grad() += entropy - target_entropy();
  adam.lr = objective->actor_lr();
  t.actor_optimizer.step(adam, 0);
  const torch::Tensor seen = torch::stack({actor_loss, entropy});
  sums.actor = sums.actor.defined() ? sums.actor + seen : seen;
  ++sums.actor_updates;
}

/// Completes a line of metrics and begins the next.
void Sac::Impl::report(TrainingMetrics& metrics) {
  metrics.env_steps = env_steps;
  metrics.reward /= static_cast<double>(steps);
  metrics.task_reward /= static_cast<double>(steps);
  metrics.episode_return = finished > 0 ? finished_return / static_cast<double>(finished) : std::nan("");
  metrics.details["updates"] = static_cast<double>(training->updates);
  const auto tell = [&](const torch::Tensor& sum, std::int64_t count,
                        std::pair<const char*, const char*> names) {
    if (count == 0) return;
    const torch::Tensor mean = (sum / static_cast<double>(count)).to(torch::kCPU);
    metrics.details[names.first] = double{mean.const_data_ptr<float>()[0]};
    metrics.details[names.second] = double{mean.const_data_ptr<float>()[1]};
  };
  tell(sums.critic, sums.critic_updates, {"critic_loss", "q"});
  tell(sums.actor, sums.actor_updates, {"actor_loss", "entropy"});
  if (sums.critic_updates > 0) metrics.details["temperature"] = actor.log_temperature.exp().item<double>();
  objective->tell(metrics.details);
  for (const auto& [name, value] : metrics.details)
    if (!std::isfinite(value))
      throw Error(concat(objective->name(), " on ", env.spec().id, ": ", name, " is not finite after ",
                         env_steps, " steps"));
  sums = {};
  steps = finished = 0;
  finished_return = 0;
}

// ---- acting ----

void Sac::act(const StepView& view, std::span<double> out) {
  Impl& m = *impl_;
  const std::size_t count = begin_act(view, out, m.obs_dim, m.act_dim);
  const torch::InferenceMode inference;
  const auto distribution = m.actor.policy.each_row(floats(view.obs, count).to(m.device));
  const torch::Tensor action = distribution.mean.to(torch::kCPU).contiguous(),
                      log_std = distribution.log_std.to(torch::kCPU).contiguous();
  const double box = m.scale.log_volume();
  for (std::size_t i = 0; i < count; ++i) {
    const std::span<float> row(action.mutable_data_ptr<float>() + i * m.act_dim, m.act_dim);
    const double density = draw_squashed(row, {log_std.const_data_ptr<float>() + i * m.act_dim, m.act_dim},
                                         noise_ ? &(*noise_)[i] : nullptr);
    if (noise_) log_probabilities_[i] = density - box;
    for (std::size_t j = 0; j < m.act_dim; ++j) out[i * m.act_dim + j] = m.scale.to_task(j, double{row[j]});
  }
}

void Sac::value(std::span<const double> obs, std::span<const double> actions, std::span<double> out) const {
  const Impl& m = *impl_;
  if (!m.training) throw Error("value: expected an agent that trains, found a policy alone");
  require(obs.size() == out.size() * m.obs_dim && actions.size() == out.size() * m.act_dim,
          "value: expected observations [", out.size(), ", ", m.obs_dim, "] and actions [", out.size(), ", ",
          m.act_dim, "], got ", obs.size(), " and ", actions.size(), " numbers");
  const torch::InferenceMode inference;
  const torch::Tensor observation = floats(obs, out.size()), action = floats(actions, out.size());
  for (std::size_t k = 0; k < actions.size(); ++k)
    action.data_ptr<float>()[k] = static_cast<float>(m.scale.from_task(k % m.act_dim, actions[k]));
  const torch::Tensor shown =
      torch::constant_pad_nd(observation, {0, m.objective->absorbing() ? 1 : 0}).to(m.device);
  const torch::Tensor value =
      m.training->critic.values(shown, action.to(m.device), false).amin(0).to(torch::kCPU);
  std::copy_n(value.const_data_ptr<float>(), out.size(), out.begin());
}

std::int64_t Sac::env_steps() const {
  return impl_->env_steps;
}

}  // namespace diffreward
