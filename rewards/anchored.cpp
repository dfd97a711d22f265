#include "rewards/anchored.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/error.h"

namespace diffreward {
namespace {

class Anchored final : public RewardModel {
 public:
  Anchored(std::shared_ptr<const RewardModel> reward, std::shared_ptr<const Bc> policy, double weight)
      : reward_(std::move(reward)), policy_(std::move(policy)), weight_(weight) {}

  const WindowLayout& layout() const override { return reward_->layout(); }
  Reads reads() const override { return reward_->reads(); }
  double terminal() const override { return reward_->terminal(); }

  void score(std::span<const float> windows, std::span<float> out) const override {
    reward_->score(windows, out);
    const WindowLayout& of = layout();
    const auto actions_size = static_cast<std::size_t>(of.action_dim),
               obs_size = static_cast<std::size_t>(of.observation_dim);
    // The newest row, [action, observation, ...].
    std::vector<float> actions, observations;
    for (std::size_t i = 0; i < out.size(); ++i) {
      const auto row = windows.subspan((i + 1) * static_cast<std::size_t>(of.size()) -
                                       static_cast<std::size_t>(of.width()));
      actions.insert(actions.end(), row.begin(), row.begin() + of.action_dim);
      const auto observation = row.subspan(actions_size, obs_size);
      observations.insert(observations.end(), observation.begin(), observation.end());
    }
    std::vector<float> log_density(out.size());
    policy_->log_density(observations, actions, log_density);
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<float>(double{out[i]} + weight_ * double{log_density[i]});
  }

 private:
  std::shared_ptr<const RewardModel> reward_;
  std::shared_ptr<const Bc> policy_;
  double weight_;
};

}  // namespace

std::shared_ptr<const RewardModel> anchored(std::shared_ptr<const RewardModel> reward,
                                            std::shared_ptr<const Bc> policy, double weight) {
  require(reward != nullptr && policy != nullptr,
          "anchor: expected a reward and a policy, got a null pointer");
  require(weight > 0, "anchor: expected a weight above 0, got ", weight);
  require(reward->reads() != Reads::kReached,
          "anchor: expected a reward of states and actions, found one of the state reached");
  const WindowLayout& of = reward->layout();
  const auto [obs_dim, act_dim] = policy->sizes();
  require(of.observation_dim == obs_dim && of.action_dim == act_dim, "anchor: expected a policy of ",
          of.observation_dim, " observations and ", of.action_dim, " actions as the reward, found ", obs_dim,
          " and ", act_dim);
  return std::make_shared<Anchored>(std::move(reward), std::move(policy), weight);
}

}  // namespace diffreward
