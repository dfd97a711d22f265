#include "rewards/evaluate/steering.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "agents/guide.h"
#include "tests/rewards/toy_data.h"

namespace diffreward {
namespace {

const MazeMap kCorridor = MazeMap::parse("#####\n#OOO#\n#####");  // columns 0.3 ... 3.3, rows 0.3 ... 1.3
constexpr Point kGoal{1, 3};
const WindowLayout kLayout{.horizon = 3, .stride = 1, .action_dim = 1, .observation_dim = 2};

TEST(TrajectoryMetrics, CountSuccessStepsAndFreeSpace) {
  const std::vector<float> windows = {
      // action, row, column
      0, 0.8f, 1.0f, 0, 0.8f,  2.0f, 0, 0.8f, 3.0f,   // arrives in steps of 1
      0, 0.8f, 2.8f, 0, 0.8f,  2.3f, 0, 0.8f, 1.8f,   // begins at the goal and leaves
      0, 0.8f, 1.0f, 0, 0.2f,  1.0f, 0, 0.8f, 1.0f,   // through the wall and back, 0.6 each
      0, 0.8f, 1.0f, 0, 0.35f, 1.0f, 0, 1.0f, 1.0f};  // touches the wall with its side
  const TrajectoryMetrics m = trajectory_metrics(windows, kLayout, kCorridor, kGoal, {});
  EXPECT_DOUBLE_EQ(m.success.value, 0.25);
  EXPECT_DOUBLE_EQ(m.success_any.value, 0.5);
  EXPECT_NEAR(m.largest_step.value, (1 + 0.5 + 0.6 + 0.65) / 4, 1e-6);
  EXPECT_NEAR(m.largest_step_max, 1, 1e-6);
  EXPECT_NEAR(m.largest_step_q99, 0.65 + 0.97 * 0.35, 1e-6);  // NumPy's quantile of (0.5, 0.6, 0.65, 1)
  EXPECT_NEAR(m.free.value, 11.0 / 12, 1e-9);
  EXPECT_NEAR(m.clear.value, 10.0 / 12, 1e-9);
  EXPECT_NEAR(m.final_distance[1], std::hypot(0.2, 1.2), 1e-6);
  EXPECT_GE(m.success.low, 0);
  EXPECT_GT(m.success.high, m.success.low);
  EXPECT_THROW(trajectory_metrics(std::span(windows).first(10), kLayout, kCorridor, kGoal, {}),
               InvalidArgument);
}

TEST(RandomStarts, LieInFreeSpaceAwayFromTheGoal) {
  const std::vector<float> starts = random_starts(kCorridor, kGoal, 2, {.samples = 500});
  bool seen[3] = {};
  for (std::size_t i = 0; i < 500; ++i) {
    const Point p{starts[2 * i], starts[2 * i + 1]};
    EXPECT_TRUE(kCorridor.clear(p, 0.099));
    EXPECT_GT(std::hypot(p[0] - kGoal[0], p[1] - kGoal[1]), 0.499);
    seen[kCorridor.cell_at(p)[1] - 1] = true;
  }
  EXPECT_TRUE(seen[0] && seen[1]);
  EXPECT_EQ(random_starts(kCorridor, kGoal, 2, {.samples = 500}), starts);
}

/// Rows are independent Gaussians around one position, so the denoiser is known:
/// E[x_0 | x_t] = m + sqrt(abar) s^2 / (abar s^2 + 1 - abar) (x_t - sqrt(abar) m).
class GaussianModel final : public WindowModel {
 public:
  explicit GaussianModel(Point mean) : mean_(mean) {}
  const WindowLayout& layout() const override { return kLayout; }
  const Normalizer& normalizer() const override { return normalizer_; }
  const NoiseSchedule& schedule() const override { return schedule_; }
  const std::string& device() const override { return device_; }
  at::Tensor predict_x0(const at::Tensor& x_t, const at::Tensor& t) const override {
    const double abar = schedule_.alpha_bar[std::size_t(t[0].item<std::int64_t>())];
    const torch::Tensor m = torch::tensor({0.0f, float(mean_[0]), float(mean_[1])});
    return m + std::sqrt(abar) * kVariance / (abar * kVariance + 1 - abar) * (x_t - std::sqrt(abar) * m);
  }

 private:
  static constexpr double kVariance = 0.01;
  Point mean_;
  Normalizer normalizer_{"gaussian", {0, 0, 0}, {1, 1, 1}};
  NoiseSchedule schedule_{"cosine", 100};
  std::string device_ = "cpu";
};

/// Minus the squared distance of all rows to a position.
class Attraction final : public Guide {
 public:
  at::Tensor value(const at::Tensor& x, const at::Tensor&) const override {
    const torch::Tensor to = x.narrow(2, 1, 2) - torch::tensor({float(kGoal[0]), float(kGoal[1])});
    return -(to * to).sum({1, 2});
  }
};

TEST(EvaluateSteering, TellsGuidedFromUnguided) {
  Dataset::Columns columns;  // steps of 0.25 cells
  columns.observation_dim = 2;
  columns.action_dim = 1;
  for (int i = 0; i < 8; ++i) {
    columns.observations.insert(columns.observations.end(), {0.8f, 0.8f + 0.25f * float(i)});
    columns.next_observations.insert(columns.next_observations.end(), {0.8f, 1.05f + 0.25f * float(i)});
    columns.actions.push_back(0);
    columns.rewards.push_back(0);
    columns.terminals.push_back(0);
    columns.timeouts.push_back(i == 7);
  }
  const Dataset data = Dataset::from_columns(std::move(columns));
  const GaussianModel base({0.8, 1}), expert({0.9, 3});
  const SteeringConfig config{.samples = 64, .bootstrap = {.resamples = 100}};
  const SampleConfig sample{.scale = 0.4, .clip = false};
  const SteeringReport r =
      evaluate_steering(base, expert, Attraction{}, data, kCorridor, kGoal, sample, config);
  EXPECT_EQ(r.unguided.metrics.success.value, 0);
  EXPECT_EQ(r.expert.metrics.success.value, 1);
  EXPECT_GT(r.guided.metrics.success.value, 0.9);
  EXPECT_DOUBLE_EQ(r.success_to_expert, r.guided.metrics.success.value);
  EXPECT_TRUE(r.json()["success_to_unguided"].is_null());  // infinitely better than never
  EXPECT_NEAR(r.data.metrics.largest_step_max, 0.25, 1e-6);
  EXPECT_GT(r.step_to_data, 4);  // the rows jump from the start to the goal
  const std::vector<float> starts = random_starts(kCorridor, kGoal, 2, config);
  for (const SteeringSet* set : {&r.unguided, &r.guided, &r.expert})
    for (std::size_t i = 0; i < 64; ++i)
      EXPECT_NEAR(set->paths[i][0][1], starts[2 * i + 1], 1e-5) << set->name;
  EXPECT_EQ(draw_paths(r.guided, kCorridor, kGoal, 10, 200, 80).width, 200);
  EXPECT_DOUBLE_EQ(r.json()["guided"]["success"]["value"], r.guided.metrics.success.value);
}

}  // namespace
}  // namespace diffreward
