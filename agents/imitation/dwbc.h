// DWBC: discriminator-weighted behaviour cloning (Xu et al., "TransitionDiscriminator-weighted offline imitation learning from suboptimal
// demonstrations", 2022, arXiv 2207.10050). Few rows of an expert (e) and many of anybody (o), among which the expert's like may
// be; nothing is simulated. A discriminator d(s, a, log pi(a|s)) learns which of the many could be the expert's, from positive
// and unlabelled examples, its values clipped to [0.1, 0.9]:
//
//   d   minimises  eta E_e [-log d + log(1 - d)] - E_o log(1 - d)
//   pi  minimises  E_e [(alpha - 1 - eta / (d (1 - d))) (-log pi(a|s))] + E_o [w (-log pi(a|s))]
//
// with w = d / (1 - d) where d >= 1/2, else 0, as in the authors' code: the paper's 1 / (1 - d) would clone every row a little. The policy is behaviour cloning's (agents/bc), and so is its file.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agents/bc/bc.h"

namespace diffreward {

/// The fields of `bc` stand among the others; nothing is held out, the latest weights act.
struct DwbcConfig {
  std::string expert_data = {};  // demonstrations; `data` is what is weighted
  std::int64_t episodes = 0;     // of the expert's, the first; 0: all
  double alpha = 7.5;            // weight of the expert's rows
  double eta = 0.5;              // share of the expert's like in the data, as the discriminator supposes
  std::vector<int> discriminator_hidden = {256, 256};  // tanh units
  double discriminator_lr = 3e-4;                      // Adam
  BcConfig bc{.data = {}, .lr = 3e-4, .held_out = 0};

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("expert_data", self.expert_data,
          "demonstrations: a file, a Minari folder or the folder of generate");
    field("data", self.bc.data, "behaviour of any quality, of which what is like the expert's is cloned too");
    field("episodes", self.episodes, "demonstrated episodes that are used, the first; 0 for all",
          Bounds{0, 1e12});
    field("alpha", self.alpha, "weight of demonstrations", Bounds{0, 1e6});
    field("eta", self.eta, "share of the data that the discriminator takes for the expert's like",
          Bounds{0, 1});
    field("discriminator_hidden", self.discriminator_hidden, "tanh units of the discriminator",
          Bounds{1, 65536});
    field("discriminator_lr", self.discriminator_lr, "learning rate of Adam, of the discriminator",
          Bounds{0, 1});
    field("hidden", self.bc.hidden, "ReLU units of the policy", Bounds{1, 65536});
    field("batch", self.bc.batch, "rows of each data set per update", Bounds{1, 1 << 20});
    field("lr", self.bc.lr, "learning rate of Adam", Bounds{0, 1});
    field("weight_decay", self.bc.weight_decay, "of AdamW", Bounds{0, 1});
    field("report_every", self.bc.report_every, "updates per line of metrics", Bounds{1, 1e12});
  }
};

// For the catalog. Throws as make_learner of BcConfig does, and for demonstrations as agents/imitation/imitation.h says.
std::unique_ptr<Bc> make_learner(const DwbcConfig& config, VectorEnv& env, std::uint64_t seed,
                                 const std::string& device);
std::unique_ptr<LearningAgent> load_agent(const DwbcConfig& of, const std::filesystem::path& path,
                                          VectorEnv& env, const std::string& device);
inline constexpr const char* kind_of(const DwbcConfig&) {
  return Bc::kKind;
}

}  // namespace diffreward
