// Pays an agent a reward of one's own in place of the task's: a RewardModel is all that is needed. Here: be
// in the maze's first row and stand still there, whatever the task wants.
//
//   build/release/examples/example_plug_a_reward 15
//
// prints, in 5 seconds on two cores, where the agent ends: row 1, slowly.
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "agents/device.h"
#include "agents/ppo/ppo.h"
#include "rewards/rewarded_env.h"

using namespace diffreward;

class StandInFirstRow final : public RewardModel {
 public:
  const WindowLayout& layout() const override { return layout_; }
  Reads reads() const override { return Reads::kReached; }
  void score(std::span<const float> windows, std::span<float> out) const override {
    for (std::size_t i = 0; i < out.size(); ++i) {
      const float* state = windows.data() + 4 * i;  // x (row), y (column), vx, vy
      const float distance = std::abs(state[0] - 1), speed = std::hypot(state[2], state[3]);
      out[i] = std::exp(-distance - 0.2f * speed);
    }
  }

 private:
  WindowLayout layout_{.horizon = 1, .observation_dim = 4};
};

int main(int argc, char** argv) {
  const int iterations = argc > 1 ? std::atoi(argv[1]) : 15;
  set_torch_threads(1);

  auto maze = make_vector("Maze2D-UMaze-v0", {.count = 128, .threads = 2, .autoreset = "same_step"});
  RewardedEnv rewarded(std::move(maze), std::make_shared<StandInFirstRow>());
  const PpoConfig config{.decisions = 64, .action_repeat = 4};
  Ppo agent(rewarded, config);  // cannot tell it from the maze itself
  agent.train(std::int64_t{iterations} * rewarded.size() * config.decisions * config.action_repeat);

  double paid = 0, task = 0, row = 0, speed = 0;
  const auto outcomes = evaluate_agent(rewarded, agent, 128, /*seed=*/1000);
  const double n = double(outcomes.size());
  for (const EpisodeOutcome& outcome : outcomes) {
    const std::vector<double>& last = outcome.last_observation;
    paid += outcome.paid_return / n;
    task += outcome.task_return / n;
    row += last[0] / n;
    speed += std::hypot(last[2], last[3]) / n;
  }
  std::printf("paid %.1f, the task itself would have paid %.1f; ends in row %.2f at %.2f m/s\n", paid, task,
              row, speed);
}
