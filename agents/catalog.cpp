#include "agents/catalog.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "agents/diffusion/diffusion_model.h"
#include "core/safetensors.h"

namespace diffreward {
namespace {

template <class Agents>
std::vector<AgentInfo> list() {
  std::vector<AgentInfo> out;
  const Agents defaults;
  Agents::visit(defaults, [&](const char* name, const auto&, const char* help) {
    out.push_back({name, help});
  });
  return out;
}

/// Throws InvalidArgument for a name that none of them has.
template <class Agents>
void check_name(const char* what, const std::string& name) {
  std::vector<std::string> names;
  for (const AgentInfo& agent : list<Agents>()) names.push_back(agent.name);
  require(std::ranges::find(names, name) != names.end(), what, ": ", unknown_name("agent", name, names));
}

}  // namespace

std::vector<AgentInfo> scripted_agents() {
  return list<ScriptedAgents>();
}
std::vector<AgentInfo> learning_agents() {
  return list<LearningAgents>();
}

std::unique_ptr<Agent> make_agent(const std::string& name, const ScriptedAgents& configs, VectorEnv& env,
                                  const Streams& streams) {
  check_name<ScriptedAgents>("policy", name);
  std::unique_ptr<Agent> agent;
  ScriptedAgents::visit(configs, [&](const char* entry, const auto& config, const char*) {
    if (name == entry) agent = make_agent(config, env, streams);
  });
  return agent;
}

std::unique_ptr<LearningAgent> make_learner(const std::string& algorithm, const LearningAgents& configs,
                                            VectorEnv& env, std::uint64_t seed, const std::string& device) {
  check_name<LearningAgents>("algorithm", algorithm);
  std::unique_ptr<LearningAgent> agent;
  LearningAgents::visit(configs, [&](const char* entry, const auto& config, const char*) {
    if (algorithm == entry) agent = make_learner(config, env, seed, device);
  });
  return agent;
}

std::unique_ptr<Agent> load_agent(const std::filesystem::path& path, VectorEnv& env, const Streams& streams,
                                  const ActingConfig& acting, const std::string& device,
                                  std::uint64_t first_instance) {
  const std::string kind = Safetensors::open(path).metadata_at("kind");
  std::unique_ptr<LearningAgent> policy;
  const LearningAgents defaults;
  LearningAgents::visit(defaults, [&](const char*, const auto& config, const char*) {
    if (policy == nullptr && kind == kind_of(config)) policy = load_agent(config, path, env, device);
  });
  if (policy != nullptr) {
    if (acting.stochastic) policy->act_stochastically(streams.skip(first_instance));
    return policy;
  }
  if (kind != DiffusionModel::kKind) {
    std::string expected = DiffusionModel::kKind;
    LearningAgents::visit(defaults, [&](const char*, const auto& config, const char*) {
      if (expected.find(kind_of(config)) == std::string::npos)
        expected = concat(kind_of(config), ", ", expected);
    });
    throw Error(
        concat(path.string(), ": metadata 'kind': expected one of ", expected, ", found '", kind, "'"));
  }
  const auto model = std::make_shared<DiffusionModel>(DiffusionModel::load(path, device));
  const EnvSpec& spec = env.spec();
  const auto observation = static_cast<std::size_t>(model->layout().observation_dim),
             action = static_cast<std::size_t>(model->layout().action_dim);
  if (observation != spec.observation.size() || action != spec.action.size())
    throw Error(concat(path.string(), ": expected a model of ", spec.id, "'s ", spec.observation.size(),
                       " observations and ", spec.action.size(), " actions, found ", observation, " and ",
                       action));
  const SampleConfig sample{.sampler = acting.sample.sampler,
                            .steps = acting.sample.steps,
                            .clip = acting.sample.clip,
                            .seed = Rng(streams[0]).bits64()};
  auto planner = std::make_unique<Planner>(model, sample, acting.planner);
  planner->number_instances(first_instance);
  return planner;
}

}  // namespace diffreward
