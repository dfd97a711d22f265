// Extracts the reward that tells an expert from a base, from nothing but two diffusion models and their data.
//
//   build/examples/example_extract_reward [training steps = 1500]
//
// The base stands anywhere in a square, the expert near one corner. Expected, after about 6 s on one core:
// the reward is highest near the expert's corner (0.7, 0.7) and a place outside the square has no support.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "agents/device.h"
#include "agents/diffusion/diffusion_model.h"
#include "core/rng.h"
#include "rewards/relative/relative_reward.h"

using namespace diffreward;

namespace {

/// Episodes of 4 steps at places (x, y) around a random one: anywhere for the base, near the corner for the
/// expert.
Dataset stays(int episodes, bool expert) {
  Dataset::Columns columns;
  columns.observation_dim = 2;
  Rng rng(expert ? 1 : 2);
  for (int e = 0; e < episodes; ++e) {
    const double x = expert ? 0.7 + 0.1 * rng.normal() : rng.uniform(-1, 1);
    const double y = expert ? 0.7 + 0.1 * rng.normal() : rng.uniform(-1, 1);
    for (int step = 0; step < 4; ++step) {
      columns.observations.push_back(static_cast<float>(std::clamp(x + 0.02 * rng.normal(), -1.0, 1.0)));
      columns.observations.push_back(static_cast<float>(std::clamp(y + 0.02 * rng.normal(), -1.0, 1.0)));
      columns.rewards.push_back(0);
      columns.terminals.push_back(0);
      columns.timeouts.push_back(step == 3);
    }
  }
  columns.next_observations = columns.observations;
  return Dataset::from_columns(std::move(columns));
}

}  // namespace

int main(int argc, char** argv) try {
  set_torch_threads(1);
  const std::int64_t steps = argc > 1 ? std::atoll(argv[1]) : 1500;
  const Dataset base_data = stays(4000, false), expert_data = stays(4000, true);
  const DiffusionConfig config{
      .horizon = 4, .stride = 1, .actions = false, .timesteps = 50, .dim = 64, .layers = 2};
  const DiffusionModel base = train_diffusion(base_data, config, {.steps = steps});
  const DiffusionModel expert = train_diffusion(expert_data, config, {.steps = steps / 2}, {}, &base);

  const auto reward = extract(expert, base, expert_data, base_data, {.steps = steps / 2});
  for (const FieldReport& at : reward->field_report())
    std::printf("t %2d: the reward's gradient explains %.2f of the models' difference, a free field %.2f\n",
                at.t, at.conservativeness, at.ceiling);

  const std::vector<float> places = {0.7f, 0.7f, 0.0f, 0.0f, -0.7f, -0.7f, 3.0f, 3.0f};  // windows of one row
  std::vector<float> score(4), support(4);
  reward->score(places, score);
  reward->support(places, support);
  for (std::size_t i = 0; i < score.size(); ++i)
    std::printf("(%4.1f, %4.1f): reward %7.2f, support %.4f\n", places[2 * i], places[2 * i + 1], score[i],
                support[i]);
} catch (const Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
