#include "envs/linear_quadratic/linear_quadratic.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "envs/rng_state.h"

namespace diffreward {
namespace {

constexpr double kReached = 0.1;   // m
constexpr double kHalfView = 1.5;  // m, of the picture's shorter side
constexpr double kMassRadius = 0.08;

}  // namespace

LinearQuadratic::LinearQuadratic(const LinearQuadraticConfig& config) : config_(config) {
  validate(config_);
  constexpr double kUnbounded = std::numeric_limits<double>::infinity();
  spec_.id = "LinearQuadratic-v0";
  spec_.observation = {std::vector<double>(4, -kUnbounded), std::vector<double>(4, kUnbounded)};
  spec_.action = {{-1, -1}, {1, 1}};
  spec_.max_steps = kSteps;
  spec_.seconds_per_step = kSecondsPerStep;
  spec_.state_size = 4 + kRngNumbers;
  spec_.info = {{"goal_distance", 1}, {"success", 1}};
}

void LinearQuadratic::check_size(const char* what, std::size_t expected, std::size_t found) const {
  require(expected == found, spec_.id, ": ", what, ": expected ", expected, " numbers, got ", found);
}

void LinearQuadratic::begin(std::optional<Seed> seed, const ResetOptions& options, std::span<double> obs) {
  check_size("observation", 4, obs.size());
  if (!options.state.empty()) {
    restore(options.state);
    if (seed) rng_ = Rng(*seed);
  } else {
    if (seed) rng_ = Rng(*seed);
    for (double& x : x_) x = rng_.uniform(-1, 1);
  }
  std::ranges::copy(x_, obs.begin());
}

StepResult LinearQuadratic::step(std::span<const double> action, std::span<double> obs) {
  check_size("action", 2, action.size());
  check_size("observation", 4, obs.size());
  for (const double push : action)
    require(std::isfinite(push), spec_.id, ": action: expected finite numbers, got ", push);
  double cost = 0;
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const double force = kForce * std::clamp(action[axis], -1.0, 1.0);
    double &p = x_[axis], &v = x_[2 + axis];
    v += kSecondsPerStep * force;
    p += kSecondsPerStep * v;
    cost += p * p + config_.velocity_cost * v * v + config_.action_cost * force * force;
  }
  std::ranges::copy(x_, obs.begin());
  return {-cost, false};
}

void LinearQuadratic::state(std::span<double> out) const {
  check_size("state", spec_.state_size, out.size());
  std::ranges::copy(x_, out.begin());
  write_rng(rng_, out.subspan<4, kRngNumbers>());
}

void LinearQuadratic::set_state(std::span<const double> state, std::span<double> obs) {
  check_size("observation", 4, obs.size());
  restore(state);
  std::ranges::copy(x_, obs.begin());
}

void LinearQuadratic::restore(std::span<const double> state) {
  check_size("state", spec_.state_size, state.size());
  for (std::size_t i = 0; i < 4; ++i)
    require(std::isfinite(state[i]), spec_.id, ": state: expected finite numbers, got ", state[i]);
  rng_.set_state(read_rng(spec_.id, state.subspan<4, kRngNumbers>()));
  std::copy_n(state.begin(), 4, x_.begin());
}

void LinearQuadratic::info(std::span<double> out) const {
  check_size("info", 2, out.size());
  out[0] = std::hypot(x_[0], x_[1]);
  out[1] = out[0] <= kReached;
}

Image LinearQuadratic::render(int width, int height) const {
  check_picture_size(width, height);
  Image image{width, height, std::vector<std::uint8_t>(static_cast<std::size_t>(width * height) * 3, 250)};
  const double scale = std::min(width, height) / (2 * kHalfView);  // pixels per metre
  std::uint8_t* pixel = image.rgb.data();
  for (int row = 0; row < height; ++row)
    for (int column = 0; column < width; ++column, pixel += 3) {
      const double x = (column + 0.5 - 0.5 * width) / scale, y = (0.5 * height - row - 0.5) / scale;
      const bool mass = std::hypot(x - x_[0], y - x_[1]) <= kMassRadius;
      const bool goal = std::abs(std::hypot(x, y) - kReached) <= std::max(0.01, 0.5 / scale);
      if (mass || goal) pixel[0] = mass ? 38 : 200, pixel[1] = mass ? 84 : 60, pixel[2] = mass ? 160 : 60;
    }
  return image;
}

std::array<std::array<double, 4>, 2> LinearQuadratic::optimal_gain(const LinearQuadraticConfig& config) {
  // The axes are alike and apart: one Riccati equation of 2 x 2, iterated to its fixed point. The cost is that of the
  // state reached, so that the stage cost of (x, u) is (A x + B u)^T Q (A x + B u) + R u^2, and P below includes Q.
  constexpr double dt = kSecondsPerStep;
  constexpr double a[2][2] = {{1, dt}, {0, 1}}, b[2] = {dt * dt, dt};
  double p[2][2] = {{1, 0}, {0, config.velocity_cost}}, k[2] = {0, 0};
  for (int i = 0; i < 10'000; ++i) {
    double pa[2][2], pb[2];
    for (int r = 0; r < 2; ++r) {
      pb[r] = p[r][0] * b[0] + p[r][1] * b[1];
      for (int c = 0; c < 2; ++c) pa[r][c] = p[r][0] * a[0][c] + p[r][1] * a[1][c];
    }
    const double s = config.action_cost + b[0] * pb[0] + b[1] * pb[1];
    for (int c = 0; c < 2; ++c) k[c] = (b[0] * pa[0][c] + b[1] * pa[1][c]) / s;
    double next[2][2];
    for (int r = 0; r < 2; ++r)
      for (int c = 0; c < 2; ++c)
        next[r][c] = (r == c ? (r == 0 ? 1 : config.velocity_cost) : 0) + a[0][r] * pa[0][c] +
                     a[1][r] * pa[1][c] - (a[0][r] * pb[0] + a[1][r] * pb[1]) * k[c];
    std::copy_n(&next[0][0], 4, &p[0][0]);
  }
  return {{{k[0], 0, k[1], 0}, {0, k[0], 0, k[1]}}};
}

}  // namespace diffreward
