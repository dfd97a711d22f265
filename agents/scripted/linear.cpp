#include "agents/scripted/linear.h"

#include <algorithm>

#include "agents/instance_noise.h"

namespace diffreward {
namespace {

class LinearAgent final : public Agent {
 public:
  LinearAgent(const LinearConfig& config, const VectorEnv& env, const Streams& streams)
      : config_(config),
        box_(env.spec().action),
        obs_dim_(env.spec().observation.size()),
        noise_(streams, env.size()),
        count_(static_cast<std::size_t>(env.size())) {
    validate(config_);
    const std::size_t act_dim = box_.size();
    require(config_.gain.empty() || config_.gain.size() == act_dim * obs_dim_, "gain: expected ", act_dim,
            " times ", obs_dim_, " numbers for ", env.spec().id, ", got ", config_.gain.size());
    require(config_.bias.empty() || config_.bias.size() == act_dim, "bias: expected ", act_dim,
            " numbers for ", env.spec().id, ", got ", config_.bias.size());
  }

  void act(const StepView& view, std::span<double> actions) override {
    const std::size_t act_dim = box_.size(), n = count_;
    require(view.obs.size() == n * obs_dim_ && actions.size() == n * act_dim, "act: expected observations [",
            n, ", ", obs_dim_, "] and actions [", n, ", ", act_dim, "], got ", view.obs.size(), " and ",
            actions.size(), " numbers");
    noise_.begin(view);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < act_dim; ++j) {
        double action = config_.bias.empty() ? 0 : config_.bias[j];
        for (std::size_t c = 0; c < obs_dim_ && !config_.gain.empty(); ++c)
          action -= config_.gain[j * obs_dim_ + c] * view.obs[i * obs_dim_ + c];
        if (config_.action_noise > 0) action += config_.action_noise * noise_[i].normal();
        actions[i * act_dim + j] = std::clamp(action, box_.low[j], box_.high[j]);
      }
  }

  void number_episodes(std::span<const std::uint64_t> numbers) override { noise_.number_episodes(numbers); }

 private:
  const LinearConfig config_;
  const Box box_;
  const std::size_t obs_dim_;
  InstanceNoise noise_;
  const std::size_t count_;  // instances
};

}  // namespace

std::unique_ptr<Agent> make_agent(const LinearConfig& config, VectorEnv& env, const Streams& streams) {
  return std::make_unique<LinearAgent>(config, env, streams);
}

}  // namespace diffreward
