#include "agents/scripted/linear.h"

#include <algorithm>

namespace diffreward {
namespace {

class LinearAgent final : public Agent {
 public:
  LinearAgent(const LinearConfig& config, const VectorEnv& env, const Streams& streams)
      : config_(config), box_(env.spec().action), obs_dim_(env.spec().observation.size()), streams_(streams) {
    validate(config_);
    const std::size_t act_dim = box_.size();
    require(config_.gain.empty() || config_.gain.size() == act_dim * obs_dim_, "gain: expected ", act_dim,
            " times ", obs_dim_, " numbers for ", env.spec().id, ", got ", config_.gain.size());
    require(config_.bias.empty() || config_.bias.size() == act_dim, "bias: expected ", act_dim,
            " numbers for ", env.spec().id, ", got ", config_.bias.size());
    for (int i = 0; i < env.size(); ++i) noise_.emplace_back(streams_[static_cast<std::uint64_t>(i)]);
  }

  void act(const StepView& view, std::span<double> actions) override {
    const std::size_t act_dim = box_.size(), n = noise_.size();
    require(view.obs.size() == n * obs_dim_ && actions.size() == n * act_dim, "act: expected observations [",
            n, ", ", obs_dim_, "] and actions [", n, ", ", act_dim, "], got ", view.obs.size(), " and ",
            actions.size(), " numbers");
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < act_dim; ++j) {
        double action = config_.bias.empty() ? 0 : config_.bias[j];
        for (std::size_t c = 0; c < obs_dim_ && !config_.gain.empty(); ++c)
          action -= config_.gain[j * obs_dim_ + c] * view.obs[i * obs_dim_ + c];
        if (config_.action_noise > 0) action += config_.action_noise * noise_[i].normal();
        actions[i * act_dim + j] = std::clamp(action, box_.low[j], box_.high[j]);
      }
  }

  void number_episodes(std::span<const std::uint64_t> numbers) override {
    for (std::size_t i = 0; i < noise_.size(); ++i) noise_[i] = Rng(streams_[numbers[i]]);
  }

 private:
  const LinearConfig config_;
  const Box box_;
  const std::size_t obs_dim_;
  const Streams streams_;
  std::vector<Rng> noise_;
};

}  // namespace

std::unique_ptr<Agent> make_agent(const LinearConfig& config, VectorEnv& env, const Streams& streams) {
  return std::make_unique<LinearAgent>(config, env, streams);
}

}  // namespace diffreward
