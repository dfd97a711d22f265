// Every agent there is: the one list, two structs whose fields are agents' configs.
//
// An agent is a config and, in its header, the functions that make it from one: make_agent() where it acts by a rule;
// make_learner(), load_agent() and kind_of() (what its files say they are) where it learns. A line here makes it an
// agent of the command line, of jobs and of Python. Of those whose files are of one kind the first one loads them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "agents/agent.h"
#include "agents/bc/bc.h"
#include "agents/imitation/dwbc.h"
#include "agents/imitation/imitation.h"
#include "agents/planner.h"
#include "agents/ppo/ppo.h"
#include "agents/sac/sac.h"
#include "agents/scripted/linear.h"
#include "agents/scripted/random.h"
#include "agents/scripted/waypoints.h"
#include "core/config.h"

namespace diffreward {

/// Agents that act by a rule.
struct ScriptedAgents {
  WaypointConfig waypoints{.action_noise = 0.1};
  RandomConfig random;
  LinearConfig linear;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("waypoints", self.waypoints, "walks through a maze to its goal");
    field("random", self.random, "actions drawn uniformly");
    field("linear", self.linear, "a linear law of the observation");
  }
};

/// Agents that learn.
struct LearningAgents {
  PpoConfig ppo{.action_repeat = 4};
  SacConfig sac;
  BcConfig bc;
  SqilConfig sqil;
  GailConfig gail;
  AirlConfig airl;
  IqLearnConfig iq_learn{{.sac = {.temperature = 0.01, .learn_temperature = false}}};
  DwbcConfig dwbc;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("ppo", self.ppo, "proximal policy optimisation");
    field("sac", self.sac, "soft actor-critic");
    field("bc", self.bc, "behaviour cloning: learns from a data set alone");
    field("sqil", self.sqil, "imitation by SAC: demonstrations are paid 1, the agent's own steps 0");
    field("gail", self.gail,
          "imitation by SAC: paid -log(1 - D), where D tells demonstrations from its own steps");
    field("airl", self.airl, "the same, paid log D - log(1 - D)");
    field("iq_learn", self.iq_learn, "imitation by SAC whose critics are the reward");
    field("dwbc", self.dwbc,
          "behaviour cloning of an expert and of what is like it in other data, from data alone");
  }
};

/// How a saved agent acts: a policy by its mode or by draws, a diffusion model by planning, by itself.
struct ActingConfig {
  /// What of a SampleConfig has a meaning here.
  struct Sampling {
    std::string sampler = "ddpm";
    int steps = 0;
    bool clip = true;

    template <class Self, class Visitor>
    static void visit(Self& self, Visitor&& field) {
      field("sampler", self.sampler, "ddpm, ddim, or DPM-Solver++ 2M", Choices{"ddpm", "ddim", "dpm_solver"});
      field("steps", self.steps, "denoising steps, 0 for all", Bounds{0, 10000});
      field("clip", self.clip, "clip the predicted clean sample to [-1, 1]");
    }
  };
  bool stochastic = false;
  PlannerConfig planner;
  Sampling sample;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("stochastic", self.stochastic, "a saved policy draws its actions as it did while it learned");
    field("planner", self.planner, "how a diffusion model's plans are followed");
    field("sample", self.sample, "how they are sampled");
  }
};

struct AgentInfo {
  std::string name, summary;
};
std::vector<AgentInfo> scripted_agents();
std::vector<AgentInfo> learning_agents();

/// The scripted agent of this name for `env`, which must outlive it; what instance i draws comes from stream i. Throws
/// InvalidArgument for an unknown name (naming the nearest) and where the agent cannot act in `env`.
std::unique_ptr<Agent> make_agent(const std::string& name, const ScriptedAgents& configs, VectorEnv& env,
                                  const Streams& streams);

/// A fresh agent that learns by this algorithm in `env`, which must outlive it. Throws InvalidArgument for an unknown
/// name (naming the nearest) and settings that do not fit.
std::unique_ptr<LearningAgent> make_learner(const std::string& algorithm, const LearningAgents& configs,
                                            VectorEnv& env, std::uint64_t seed, const std::string& device);

/// A saved agent that acts in `env`, which must outlive it, by the kind of its file: a policy that was learned, or a
/// diffusion model, which plans. What instance i draws at random comes from stream first_instance + i, the number that it has
/// where `env` is a part of more. Throws Error naming the file, what was expected and found.
std::unique_ptr<Agent> load_agent(const std::filesystem::path& path, VectorEnv& env, const Streams& streams,
                                  const ActingConfig& acting = {}, const std::string& device = "cpu",
                                  std::uint64_t first_instance = 0);

}  // namespace diffreward
