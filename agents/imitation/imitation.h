// Imitation: agents that are shown demonstrations and never paid by the task. Each is SAC (agents/sac) whose batches are
// drawn, paid or learned from in another way; a saved policy is one of SAC's.
//
// SQIL (Reddy et al., "SQIL: imitation learning via reinforcement learning with sparse rewards", 2020, arXiv 1905.11108): half
// of each batch are demonstrated transitions, paid 1, half the agent's own, paid 0.
//
// GAIL and AIRL (Ho and Ermon 2016; Fu et al. 2018), off-policy as discriminator-actor-critic (Kostrikov et al. 2019, arXiv
// 1809.02925): before each update a discriminator D(s, a) is trained once to tell demonstrations from what is remembered,
//
//   minimise  -E_demonstrated log D - E_own log(1 - D) + penalty E (||d logit / d(s, a)|| - 1)^2
//
// the last between pairs of both (Gulrajani et al. 2017); what was drawn from the memory is then paid by it, never stored:
// -log(1 - D) by GAIL, log D - log(1 - D) by AIRL.
//
// IQ-Learn (Garg et al., "IQ-Learn: inverse soft-Q learning for imitation", 2021, arXiv 2106.12142): the critics are the
// reward, r = Q(s, a) - gamma V(s') with V = Q(s, a') - alpha log pi(a'|s), a' ~ pi, and half of each batch is demonstrated:
//
//   critics  minimise  -E_demonstrated r + E_both [V(s) - gamma V(s')] + E_both r^2 / (4 chi)
//
// with V(s') of the followers. The second term is the loss "value" of the authors' code; their "v0" is (1 - gamma)
// E_demonstrated V(s), which takes every demonstrated state for an initial one. The temperature is fixed.
//
// Episodes that the task ends go on in an absorbing state, of demonstrations as of the agent (agents/sac/replay_buffer.h), so
// that payments of one sign make neither dying nor surviving good by themselves. Episodes that a time limit cut are
// bootstrapped, as SAC's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agents/sac/sac.h"

namespace diffreward {

/// What all of them need. The fields of `sac` stand among the others: --sqil.data, --sqil.lr.
struct ImitationConfig {
  std::string data = {};      // demonstrations: file, Minari folder or generate's folder
  std::int64_t episodes = 0;  // demonstrated episodes that are used, the first; 0: all
  bool absorbing = true;
  SacConfig sac = {};

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("data", self.data, "demonstrations: a file, a Minari folder or the folder of generate");
    field("episodes", self.episodes, "demonstrated episodes that are used, the first; 0 for all",
          Bounds{0, 1e12});
    field("absorbing", self.absorbing,
          "episodes that the task ends go on in an absorbing state, else they are worth nothing beyond");
    SacConfig::visit(self.sac, field);
  }
};

struct SqilConfig : ImitationConfig {};

struct AdversarialConfig : ImitationConfig {
  std::vector<int> discriminator_hidden = {256, 256};  // tanh units
  double discriminator_lr = 1e-3;                      // Adam
  double penalty = 10;                                 // of the discriminator's gradient

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    ImitationConfig::visit(self, field);
    field("discriminator_hidden", self.discriminator_hidden, "tanh units of the discriminator",
          Bounds{1, 65536});
    field("discriminator_lr", self.discriminator_lr, "learning rate of Adam, of the discriminator",
          Bounds{0, 1});
    field("penalty", self.penalty, "of the discriminator's gradient where its norm is not 1", Bounds{0, 1e6});
  }
};
struct GailConfig : AdversarialConfig {};
struct AirlConfig : AdversarialConfig {};

/// The authors' settings on robots have a temperature of 0.01 and a slow policy. `sac` must have learn_temperature = false, as
/// LearningAgents gives it.
struct IqLearnConfig : ImitationConfig {
  std::string loss = "value";
  double chi = 0.5;        // weight of demonstrations against the square of the reward
  double actor_lr = 3e-5;  // Adam, of the policy

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    ImitationConfig::visit(self, field);
    field("loss", self.loss, "how the value of states is drawn", Choices{"value", "v0"});
    field("chi", self.chi, "divisor of the squared reward, 4 chi; large ones let rewards grow",
          Bounds{1e-6, 1e6});
    field("actor_lr", self.actor_lr, "learning rate of the policy's Adam", Bounds{0, 1});
  }
};

// For the catalog. `env` is asked for its sizes, stepped and never for its reward. Throw InvalidArgument for settings that do
// not fit, and Error, in one line that names the data, what was expected and what was found, for demonstrations of another
// robot, numbers that are not finite, fewer episodes than asked for, and falls that nothing marks as an end.
std::unique_ptr<Sac> make_learner(const SqilConfig& config, VectorEnv& env, std::uint64_t seed,
                                  const std::string& device);
std::unique_ptr<Sac> make_learner(const GailConfig& config, VectorEnv& env, std::uint64_t seed,
                                  const std::string& device);
std::unique_ptr<Sac> make_learner(const AirlConfig& config, VectorEnv& env, std::uint64_t seed,
                                  const std::string& device);
std::unique_ptr<Sac> make_learner(const IqLearnConfig& config, VectorEnv& env, std::uint64_t seed,
                                  const std::string& device);

std::unique_ptr<LearningAgent> load_agent(const ImitationConfig& of, const std::filesystem::path& path,
                                          VectorEnv& env, const std::string& device);
inline constexpr const char* kind_of(const ImitationConfig&) {
  return Sac::kKind;
}

}  // namespace diffreward
