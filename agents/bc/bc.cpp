#include "agents/bc/bc.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <utility>

#include "agents/bc/bc_torch.h"
#include "agents/device.h"
#include "agents/gaussian_draw.h"
#include "agents/nets/optimizer_torch.h"
#include "agents/numbers_torch.h"
#include "core/interrupt.h"
#include "datasets/windows.h"

namespace diffreward {
namespace {

constexpr const char* kCheckpoint = "diffreward.bc-checkpoint.1";
constexpr std::int64_t kHeldOutRows = 4096;  // of the held-out loss, at most
const std::string kPolicy = "policy.";       // of tensors
const double kLogRootTwoPi = 0.5 * std::log(2 * std::numbers::pi);

}  // namespace

BcPolicy::BcPolicy(const BcConfig& config, std::int64_t obs_dim, std::int64_t act_dim, Parameters of)
    : parameters(std::move(of)),
      mlp(parameters, "mean", {int(obs_dim), config.hidden, int(act_dim)}),
      log_std(parameters.constant("log_std", {act_dim}, -0.5)) {
  parameters.finish();
}

torch::Tensor BcPolicy::costs(const torch::Tensor& observation, const torch::Tensor& action) const {
  const torch::Tensor deviation = bounded_log_std();
  return ((action - mean(observation)) * (-deviation).exp()).square() * 0.5 + deviation + kLogRootTwoPi;
}

std::pair<torch::Tensor, torch::Tensor> BcUnits::rows(const Dataset& data,
                                                      std::span<const std::size_t> rows) const {
  const std::size_t obs_dim = data.observation_dim(), act_dim = data.action_dim();
  const auto n = static_cast<std::int64_t>(rows.size());
  const torch::Tensor observation = torch::empty({n, static_cast<std::int64_t>(obs_dim)}),
                      action = torch::empty({n, static_cast<std::int64_t>(act_dim)});
  float *to_observation = observation.data_ptr<float>(), *to_action = action.data_ptr<float>();
  const auto observations = data.observations(), actions = data.actions();
  for (const std::size_t row : rows) {
    to_observation = std::copy_n(observations.begin() + static_cast<std::ptrdiff_t>(row * obs_dim), obs_dim,
                                 to_observation);
    for (std::size_t j = 0; j < act_dim; ++j)
      *to_action++ = static_cast<float>(scale.from_task(
          j, std::clamp(double{actions[row * act_dim + j]}, scale.box.low[j], scale.box.high[j])));
  }
  normalizer.normalize(numbers(observation), numbers(observation));
  return {observation.to(device), action.to(device)};
}

torch::Tensor BcObjective::loss(const BcPolicy& policy, const BcUnits&, const torch::Tensor& observation,
                                const torch::Tensor& action, Rng&) {
  return policy.costs(observation, action).sum(1).mean();
}

/// The recorded rows, and where training stands.
struct BcTraining {
  BcTraining(const BcConfig& config, const Dataset& of, std::uint64_t seed, BcPolicy& policy)
      : data(of),
        optimizer(policy.parameters),
        batch_rng(Streams(Purpose::kMinibatches, seed)[0]),
        best(optimizer.state().at("weights").clone()) {
    const Split split = split_episodes(data, config.held_out, seed);
    const auto rows = [&](const std::vector<std::size_t>& episodes) {
      std::vector<std::size_t> out;
      for (const std::size_t e : episodes)
        for (std::size_t row = data.episodes()[e].begin; row < data.episodes()[e].end; ++row)
          out.push_back(row);
      return out;
    };
    train = rows(split.train);
    held_out = rows(split.test);
    require(!train.empty(), "data: expected episodes to train on, found none");
  }

  Dataset data;
  Optimizer optimizer;
  Rng batch_rng;
  torch::Tensor best;  // weights of the smallest held-out loss
  double best_loss = std::numeric_limits<double>::infinity();
  std::vector<std::size_t> train, held_out;  // rows
  std::int64_t call_begin = 0;
  bool resumed = false;
};

struct Bc::Impl {
  Impl(VectorEnv& vector_env, const BcConfig& bc_config, std::uint64_t of_seed, Normalizer of,
       Parameters from, const torch::Device& on, std::unique_ptr<BcObjective> aim)
      : env(vector_env),
        config(bc_config),
        seed(of_seed),
        obs_dim(env.spec().observation.size()),
        act_dim(env.spec().action.size()),
        units{std::move(of), ActionScale(env.spec().action), on},
        policy(config, static_cast<std::int64_t>(obs_dim), static_cast<std::int64_t>(act_dim),
               std::move(from)),
        objective(std::move(aim)) {}

  double held_out_loss();

  VectorEnv& env;
  BcConfig config;
  std::uint64_t seed;
  std::size_t obs_dim, act_dim;
  BcUnits units;
  BcPolicy policy;
  std::unique_ptr<BcObjective> objective;
  std::optional<BcTraining> training;
  std::int64_t updates = 0;
};

Bc::Bc(VectorEnv& env, const BcConfig& config, std::uint64_t seed, const std::string& device)
    : Bc(env, config, seed, device, std::make_unique<BcObjective>()) {}

Bc::Bc(VectorEnv& env, const BcConfig& config, std::uint64_t seed, const std::string& device,
       std::unique_ptr<BcObjective> objective)
    : LearningAgent(env.size()) {
  validate(config);
  check_device(device);
  require(!config.data.empty(), "data: behaviour cloning needs a data set");
  const Dataset data = Dataset::open(config.data);
  const EnvSpec& spec = env.spec();
  if (data.observation_dim() != spec.observation.size() || data.action_dim() != spec.action.size())
    throw Error(concat(config.data, ": expected rows of ", spec.id, "'s ", spec.observation.size(),
                       " observations and ", spec.action.size(), " actions, found ", data.observation_dim(),
                       " and ", data.action_dim()));
  const torch::Device on(device);
  impl_ = std::make_unique<Impl>(
      env, config, seed, Normalizer::fit("gaussian", data.observations(), data.observation_dim()),
      Parameters(Streams(Purpose::kAgentWeights, seed)[0], on), on, std::move(objective));
  Normalizer::fit("gaussian", data.actions(), data.action_dim());  // refuses what is not finite
  impl_->training.emplace(config, data, seed, impl_->policy);
}

Bc::Bc(std::unique_ptr<Impl> impl) : LearningAgent(impl->env.size()), impl_(std::move(impl)) {}
Bc::~Bc() = default;

const BcConfig& Bc::config() const {
  return impl_->config;
}
std::int64_t Bc::env_steps() const {
  return impl_->updates;
}

// ---- training ----

double Bc::Impl::held_out_loss() {
  const BcTraining& t = *training;
  if (t.held_out.empty()) return std::nan("");
  // The same rows each time, spread evenly.
  std::vector<std::size_t> rows;
  const std::size_t stride = t.held_out.size() / static_cast<std::size_t>(kHeldOutRows) + 1;
  for (std::size_t k = 0; k < t.held_out.size(); k += stride) rows.push_back(t.held_out[k]);
  const torch::InferenceMode inference;
  const auto [observation, action] = units.rows(t.data, rows);
  return policy.costs(observation, action).sum(1).mean().item<double>();
}

void Bc::train(std::int64_t updates, const std::function<void(const TrainingMetrics&)>& report) {
  Impl& m = *impl_;
  if (!m.training) throw Error("train: expected an agent made from data, found a saved policy");
  BcTraining& t = *m.training;
  if (!std::exchange(t.resumed, false)) t.call_begin = m.updates;
  const std::int64_t end = t.call_begin + updates;
  const OptimizerSettings adam{.lr = m.config.lr, .weight_decay = m.config.weight_decay, .gradient_clip = 0};
  std::vector<std::size_t> rows(static_cast<std::size_t>(m.config.batch));
  double loss_sum = 0;
  std::int64_t count = 0;
  while (m.updates < end) {
    check_interrupt();
    for (std::size_t& row : rows) row = t.train[t.batch_rng.below(t.train.size())];
    const auto [observation, action] = m.units.rows(t.data, rows);
    const torch::Tensor loss = m.objective->loss(m.policy, m.units, observation, action, t.batch_rng);
    loss.backward();
    t.optimizer.step(adam, 0);
    loss_sum += loss.item<double>();
    ++count;
    if (++m.updates % m.config.report_every != 0 && m.updates < end) continue;
    TrainingMetrics metrics{.env_steps = m.updates, .episode_return = std::nan("")};
    metrics.details["loss"] = loss_sum / static_cast<double>(count);
    m.objective->tell(metrics.details);
    if (!std::isfinite(loss_sum))
      throw Error(concat(m.objective->name(), " on ", m.env.spec().id, ": loss is not finite after ",
                         m.updates, " updates"));
    const double held_out = m.held_out_loss();
    if (std::isfinite(held_out)) metrics.details["held_out_loss"] = held_out;
    if (!(held_out >= t.best_loss)) {  // also where nothing is held out
      t.best_loss = std::isnan(held_out) ? t.best_loss : held_out;
      t.best.copy_(t.optimizer.state().at("weights"));
    }
    loss_sum = 0;
    count = 0;
    if (report) report(metrics);
  }
}

// ---- acting ----

void Bc::act(const StepView& view, std::span<double> out) {
  Impl& m = *impl_;
  const std::size_t count = begin_act(view, out, m.obs_dim, m.act_dim);
  const torch::InferenceMode inference;
  const torch::Tensor observation = floats(view.obs, count);
  m.units.normalizer.normalize(numbers(observation), numbers(observation));
  const torch::Tensor mean = m.policy.unbounded_mean_of_each(observation.to(m.units.device)).to(torch::kCPU),
                      log_std = m.policy.bounded_log_std().to(torch::kCPU);
  const std::span<const float> deviations(log_std.const_data_ptr<float>(), m.act_dim);
  std::vector<double> action(m.act_dim);
  const double box = m.units.scale.log_volume();
  for (std::size_t i = 0; i < count; ++i) {
    std::transform(mean.const_data_ptr<float>() + i * m.act_dim,
                   mean.const_data_ptr<float>() + (i + 1) * m.act_dim, action.begin(),
                   [](float u) { return double{std::tanh(u)}; });
    if (noise_) log_probabilities_[i] = draw_gaussian(action, deviations, (*noise_)[i]) - box;
    for (std::size_t j = 0; j < m.act_dim; ++j) out[i * m.act_dim + j] = m.units.scale.to_task(j, action[j]);
  }
}

std::pair<int, int> Bc::sizes() const {
  return {static_cast<int>(impl_->obs_dim), static_cast<int>(impl_->act_dim)};
}

void Bc::log_density(std::span<const float> obs, std::span<const float> actions, std::span<float> out) const {
  const Impl& m = *impl_;
  require(obs.size() == out.size() * m.obs_dim && actions.size() == out.size() * m.act_dim,
          "log_density: expected ", m.obs_dim, " observations and ", m.act_dim, " actions for each of ",
          out.size(), " numbers, got ", obs.size(), " and ", actions.size(), " in all");
  const torch::InferenceMode inference;
  const auto n = static_cast<std::int64_t>(out.size());
  const torch::Tensor observation = torch::empty({n, static_cast<std::int64_t>(m.obs_dim)}),
                      action = torch::empty({n, static_cast<std::int64_t>(m.act_dim)});
  m.units.normalizer.normalize(obs, numbers(observation));
  const std::span<float> scaled = numbers(action);
  for (std::size_t k = 0; k < scaled.size(); ++k)
    scaled[k] = static_cast<float>(m.units.scale.from_task(k % m.act_dim, double{actions[k]}));
  const torch::Tensor density =
      -m.policy.costs(observation.to(m.units.device), action.to(m.units.device)).sum(1).to(torch::kCPU);
  std::copy_n(density.const_data_ptr<float>(), out.size(), out.begin());
}

// ---- files ----

namespace {

NamedTensors normalizer_tensors(const Normalizer& normalizer) {
  return {{"observation.mean", doubles(normalizer.offset())},
          {"observation.deviation", doubles(normalizer.scale())}};
}

Normalizer read_normalizer(const AgentFile& file, std::size_t obs_dim) {
  return {"gaussian", file.read_doubles("observation.mean", obs_dim),
          file.read_doubles("observation.deviation", obs_dim)};
}

}  // namespace

void Bc::save(const std::filesystem::path& path) const {
  const Impl& m = *impl_;
  NamedTensors tensors = normalizer_tensors(m.units.normalizer);
  // Parameters lie in the flat vector in their order; the best weights do, too.
  std::int64_t at = 0;
  for (const auto& [name, parameter] : m.policy.parameters.named()) {
    tensors[kPolicy + name] =
        m.training ? m.training->best.narrow(0, at, parameter.numel()).view(parameter.sizes()) : parameter;
    at += parameter.numel();
  }
  save_agent(path, kKind, m.env.spec(), to_json(m.config), {{"seed", m.seed}, {"updates", m.updates}},
             std::move(tensors));
}

std::unique_ptr<Bc> Bc::load(const std::filesystem::path& path, VectorEnv& env, const std::string& device) {
  const AgentFile file(path, kKind, env.spec());
  const auto config = file.config<BcConfig>([](const BcConfig& read) { validate(read); });
  const auto [seed, updates] = file.progress([](const Json& json) {
    return std::pair{member<std::uint64_t>(json, "seed"), member<std::int64_t>(json, "updates")};
  });
  check_device(device);
  const torch::Device on(device);
  auto impl = std::make_unique<Impl>(env, config, seed, read_normalizer(file, env.spec().observation.size()),
                                     Parameters(file.tensors(), path, kPolicy, on), on,
                                     std::make_unique<BcObjective>());
  impl->updates = updates;
  return std::unique_ptr<Bc>(new Bc(std::move(impl)));
}

void Bc::save_checkpoint(const std::filesystem::path& path) const {
  const Impl& m = *impl_;
  if (!m.training) throw Error("save_checkpoint: expected an agent made from data, found a saved policy");
  const BcTraining& t = *m.training;
  NamedTensors tensors = t.optimizer.state();
  tensors["best"] = t.best;
  const bool judged = std::isfinite(t.best_loss);
  Json progress = {{"seed", m.seed},
                   {"updates", m.updates},
                   {"call_begin", t.call_begin},
                   {"optimizer_steps", t.optimizer.steps()},
                   {"judged", judged},
                   {"best_loss", judged ? t.best_loss : 0.0},
                   {"batch_rng", t.batch_rng.state()}};
  m.objective->save(tensors, progress);
  save_agent(path, kCheckpoint, m.env.spec(), m.objective->settings(m.config), progress, std::move(tensors));
}

void Bc::load_checkpoint(const std::filesystem::path& path) {
  Impl& m = *impl_;
  if (!m.training) throw Error("load_checkpoint: expected an agent made from data, found a saved policy");
  BcTraining& t = *m.training;
  const AgentFile file(path, kCheckpoint, m.env.spec());
  file.require_settings(m.objective->settings(m.config), m.seed);
  const auto steps = file.progress([&](const Json& json) {
    m.updates = member<std::int64_t>(json, "updates");
    t.call_begin = member<std::int64_t>(json, "call_begin");
    if (member<bool>(json, "judged")) t.best_loss = member<double>(json, "best_loss");
    t.batch_rng.set_state(member<std::array<std::uint64_t, 3>>(json, "batch_rng"));
    return member<std::int64_t>(json, "optimizer_steps");
  });
  t.optimizer.restore(file.tensors(), steps, path);
  file.read("best", t.best);
  m.objective->load(file);
  t.resumed = true;
}

std::unique_ptr<LearningAgent> make_learner(const BcConfig& config, VectorEnv& env, std::uint64_t seed,
                                            const std::string& device) {
  return std::make_unique<Bc>(env, config, seed, device);
}

std::unique_ptr<LearningAgent> load_agent(const BcConfig&, const std::filesystem::path& path, VectorEnv& env,
                                          const std::string& device) {
  return Bc::load(path, env, device);
}

}  // namespace diffreward
