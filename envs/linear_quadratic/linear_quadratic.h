// LinearQuadratic: a unit mass in two dimensions is pushed to the origin; the smallest task whose optimum is known.
//
//   observation  [4]  position [2] m, velocity [2] m/s
//   action       [2]  force in [-1, 1] of 2 N
//   dynamics     v' = v + dt f,  p' = p + dt v',  f = 2 u,  dt = 0.1 s
//   reward       -(|p'|^2 + velocity_cost |v'|^2 + action_cost |f|^2)
//   ends         never terminates; truncated after 100 steps
//   reset        p, v + U(-1, 1)
//   info         goal_distance [1] m, success [1]: 1 where goal_distance <= 0.1
//   versions     v0  first release
//
// Where no force is cut off the best force is linear, f = -K x, with K from the Riccati equation
//   P = Q + A^T P A - A^T P B (R + B^T P B)^-1 B^T P A,  K = (R + B^T P B)^-1 B^T P A.
#pragma once

#include <array>

#include "core/config.h"
#include "core/rng.h"
#include "envs/env.h"

namespace diffreward {

struct LinearQuadraticConfig {
  double velocity_cost = 0.1;  // per (m/s)^2
  double action_cost = 0.1;    // per N^2

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("velocity_cost", self.velocity_cost, "cost of the squared velocity", Bounds{0, 1e6});
    field("action_cost", self.action_cost, "cost of the squared action", Bounds{0, 1e6});
  }
};

class LinearQuadratic final : public Env {
 public:
  static constexpr int kSteps = 100;
  static constexpr double kSecondsPerStep = 0.1;
  static constexpr double kForce = 2;  // N

  explicit LinearQuadratic(const LinearQuadraticConfig& config);

  const EnvSpec& spec() const override { return spec_; }
  StepResult step(std::span<const double> action, std::span<double> obs) override;
  void state(std::span<double> out) const override;
  void set_state(std::span<const double> state, std::span<double> obs) override;
  void info(std::span<double> out) const override;
  Image render(int width, int height) const override;

  /// [2, 4]: the best force is -K x, newtons. Undiscounted, for episodes without end.
  static std::array<std::array<double, 4>, 2> optimal_gain(const LinearQuadraticConfig& config);

 protected:
  void begin(std::optional<Seed> seed, const ResetOptions& options, std::span<double> obs) override;

 private:
  void check_size(const char* what, std::size_t expected, std::size_t found) const;
  void restore(std::span<const double> state);

  const LinearQuadraticConfig config_;
  EnvSpec spec_;
  Rng rng_;
  std::array<double, 4> x_{};  // position, velocity
};

}  // namespace diffreward
