// A VectorEnv that pays a reward model's score in place of the task's reward: the way from rewards back to
// envs.
#pragma once

#include <memory>

#include "envs/vector_env.h"
#include "rewards/reward_model.h"

namespace diffreward {

/// Forwards everything to the wrapped VectorEnv, and replaces StepView::reward by the score of the window
/// that ends with the step just taken; task_reward keeps the task's own. A window longer than one row is
/// filled from the episode's history (rows `stride` steps apart), before its start with copies of its first
/// row. The newest row is what the model reads of the step (rewards/transitions.h): the state *reached*, the
/// state and action, or all three. A step with which the task ends is paid RewardModel::terminal() besides. Scores of the whole batch are computed in one call. In next-step autoreset the step
/// that resets is paid 0. After an instance threw, all instances must be reset.
class RewardedEnv final : public VectorEnv {
 public:
  /// Throws InvalidArgument when the reward's dimensions are not the environment's.
  RewardedEnv(std::unique_ptr<VectorEnv> inner, std::shared_ptr<const RewardModel> reward);
  ~RewardedEnv() override;

  const EnvSpec& spec() const override;
  int size() const override;
  Autoreset autoreset() const override;
  const StepView& reset(const Streams& seeds) override;
  const StepView& reset(std::span<const std::uint8_t> mask, std::span<const Seed> seeds,
                        std::span<const ResetOptions> options) override;
  const StepView& step(std::span<const double> actions) override;
  const StepView& view() const override;
  Env& env(int i) override;
  std::vector<double> state() const override;  ///< histories included
  const StepView& set_state(std::span<const double> state) override;

  const RewardModel& reward() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace diffreward
