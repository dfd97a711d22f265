#include "agents/scripted/random.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "agents/instance_noise.h"

namespace diffreward {
namespace {

class RandomAgent final : public Agent {
 public:
  RandomAgent(const RandomConfig& config, const VectorEnv& env, const Streams& streams)
      : hold_(config.hold), box_(env.spec().action), noise_(streams, env.size()) {
    validate(config);
    for (std::size_t j = 0; j < box_.size(); ++j)
      require(std::isfinite(box_.low[j]) && std::isfinite(box_.high[j]),
              "random: expected bounded actions of ", env.spec().id, ", found action ", j, " in [",
              box_.low[j], ", ", box_.high[j], "]");
    instances_.resize(static_cast<std::size_t>(env.size()), {0, std::vector<double>(box_.size())});
  }

  void act(const StepView& view, std::span<double> actions) override {
    const std::size_t dim = box_.size();
    require(actions.size() == instances_.size() * dim, "act: expected actions [", instances_.size(), ", ",
            dim, "], got ", actions.size(), " numbers");
    noise_.begin(view);
    for (std::size_t i = 0; i < instances_.size(); ++i) {
      Instance& instance = instances_[i];
      if (begins(view, i)) instance.left = 0;
      if (instance.left == 0) {
        instance.left = hold_;
        for (std::size_t j = 0; j < dim; ++j) instance.held[j] = noise_[i].uniform(box_.low[j], box_.high[j]);
      }
      --instance.left;
      std::ranges::copy(instance.held, actions.begin() + static_cast<std::ptrdiff_t>(i * dim));
    }
  }

  void number_episodes(std::span<const std::uint64_t> numbers) override { noise_.number_episodes(numbers); }

 private:
  struct Instance {
    int left;                  // steps that the held action still has
    std::vector<double> held;  // [act_dim]
  };

  const int hold_;
  const Box box_;
  InstanceNoise noise_;
  std::vector<Instance> instances_;
};

}  // namespace

std::unique_ptr<Agent> make_agent(const RandomConfig& config, VectorEnv& env, const Streams& streams) {
  return std::make_unique<RandomAgent>(config, env, streams);
}

}  // namespace diffreward
