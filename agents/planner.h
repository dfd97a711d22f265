// Receding-horizon control with a diffusion model (Janner et al. 2022): from what an instance observes a
// window of behaviour is sampled, or several of which one is chosen, its first actions are carried out, and some
// steps later it is sampled anew. All instances of an environment are planned as one batch.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "agents/agent.h"
#include "agents/diffusion/window_model.h"
#include "core/config.h"

namespace diffreward {

struct PlannerConfig {
  static constexpr int kMostCandidates = 1024;
  int replan_every = 1;  // environment steps that a plan is followed for
  int warm_level = -1;   // noise level from which a plan starts out of the one before; -1: from pure noise
  std::string follow = "actions";  // the plan's actions, or its states by a PD controller (point masses)
  double gain = 10;                // of the controller: action per distance ...
  double damping = 1;              // ... and per difference in velocity; D4RL's for Maze2D
  int candidates = 1;              // windows sampled for each plan
  std::string choose = "best";     // which of them is followed: best, worst, or drawn softly
  double softness = 1;             // of the soft choice, in units of the judge's value

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("replan_every", self.replan_every, "environment steps that a plan is followed for", Bounds{1, 1e6});
    field("warm_level", self.warm_level,
          "noise level from which a plan starts out of the one before, -1: pure noise", Bounds{-1, 9999});
    field("follow", self.follow, "the plan's actions, or its states by a PD controller",
          Choices{"actions", "states"});
    field("gain", self.gain, "of the controller, action per distance", Bounds{0, 1e6});
    field("damping", self.damping, "of the controller, action per difference in velocity", Bounds{0, 1e6});
    field("candidates", self.candidates, "windows sampled for each plan", Bounds{1, kMostCandidates});
    field("choose", self.choose,
          "which candidate is followed: best, worst, or drawn with probability exp(value / softness)",
          Choices{"best", "worst", "soft"});
    field("softness", self.softness, "of the soft choice, in units of the judge's value", Bounds{1e-9, 1e9});
  }
};

/// An agent that plans. The model must hold actions, take its first observation as a condition
/// (DiffusionTrainConfig::condition_probability), and have the environment's observations and actions.
///
/// Between rows of a model with a stride the row's action is held. With follow = "states" the action is
///   clip(gain (position planned for the next step - position) + damping (velocity planned - velocity), -1,
///   1),
/// rows interpolated: as Diffuser acts in mazes. Observations must begin with positions, then velocities, one
/// each per action. With warm_level a plan begins as the plan before it, moved on by the steps that were
/// taken, its last row repeated, noised to that level: only the sampler's levels below are visited (Janner et
/// al. 2022, section 5.4).
///
/// Of `candidates` windows the judge's most preferred is followed, its least preferred ("worst"), or one drawn with
/// probability proportional to exp(value / softness) ("soft"). Where the judge's value is log p_expert - log p_base
/// and softness 1, that is sampling importance resampling (Rubin 1988): many candidates of the base become the
/// expert's. Best of N moves the distribution by at most log N - (N - 1) / N nats (Beirami et al. 2024).
///
/// A plan's noise is named by (seed, number of the episode, number of the plan in it, candidate), or where episodes
/// have no numbers by (seed, instance, its episodes so far, plan, candidate): it depends on no instance that is
/// planned beside, and the first candidate is the plan that would have been made alone.
class Planner final : public Agent {
 public:
  /// The guide leads every sample, the judge chooses among candidates (null: the guide), valued at timestep 0. All
  /// must live as long as the planner. Throws InvalidArgument for settings that the model cannot follow, and for
  /// candidates that nothing judges.
  Planner(const WindowModel& model, const SampleConfig& sample, const PlannerConfig& config,
          const Guide* guide = nullptr, const Guide* judge = nullptr);
  /// Keeps the model alive itself.
  Planner(std::shared_ptr<const WindowModel> model, const SampleConfig& sample, const PlannerConfig& config,
          const Guide* guide = nullptr, const Guide* judge = nullptr);

  /// Reads observations and resets of the view.
  void act(const StepView& view, std::span<double> actions) override;
  void number_episodes(std::span<const std::uint64_t> numbers) override;
  /// The number of the first instance where these are a part of more, whose noise is named by their numbers in the whole.
  void number_instances(std::uint64_t first);
  /// Fixed rows besides the first, as a goal at the last; see WindowModel::sample. Holds from the next
  /// plan on.
  void set_conditions(std::vector<Condition> conditions);

  /// The present plan of instance i, [horizon, width] in data units; empty before its first.
  std::span<const float> plan(std::size_t i) const;
  std::int64_t plans() const { return planned_; }  ///< made so far, all instances

 private:
  void resize(std::size_t n);
  void begin(std::size_t i);
  void follow_states(std::size_t i, std::span<const double> obs, std::span<double> actions) const;
  void make_plans(const std::vector<std::size_t>& instances, bool warm, std::span<const double> obs);
  std::size_t chosen(std::span<const double> values, Rng& rng) const;

  std::shared_ptr<const WindowModel> owned_;  // null: somebody else's
  const WindowModel& model_;
  const Guide *guide_, *judge_;
  SampleConfig sample_;
  PlannerConfig config_;
  std::vector<Condition> conditions_;     // observations of n instances or one
  std::vector<float> windows_;            // [n, horizon, width]  present plans
  std::vector<int> age_;                  // [n] environment steps since the plan was made; -1: none
  std::vector<Seed> noise_;               // [n] of the present episode
  std::vector<std::uint64_t> next_plan_;  // [n] its number in the episode
  std::vector<std::uint64_t>
      numbers_;  // [n] of the episodes that begin with the next act(); empty: none given
  std::vector<std::uint64_t> episodes_;  // [most instances so far] begun
  std::int64_t planned_ = 0;
  std::uint64_t first_ = 0;  // number of instance 0
};

}  // namespace diffreward
