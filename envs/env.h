// The front door of envs: one simulated task.
//
// An Env knows physics, reward and termination. It never truncates itself (VectorEnv counts steps), never
// resets itself, holds no learned thing, and is used by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.h"
#include "core/rng.h"
#include "envs/image.h"

namespace diffreward {

/// Element-wise interval; ±infinity where unbounded.
struct Box {
  std::vector<double> low, high;  // [dim]
  std::size_t size() const { return low.size(); }
};

/// A named vector: a part of an observation, what an environment can tell besides (data sets store it as a
/// column), or what a reset may fix.
struct InfoField {
  std::string name;
  std::size_t size;
  bool operator==(const InfoField&) const = default;
};

/// Everything known about an environment without making one. Reference returns stand here and nowhere else.
struct EnvSpec {
  std::string id;                                                   ///< with version: "Maze2D-UMaze-v0"
  Box observation, action;                                          ///< of one instance
  int max_steps = 0;                                                ///< steps until truncation; 0 means never
  double seconds_per_step = 0;                                      ///< simulated seconds
  double random_return = std::numeric_limits<double>::quiet_NaN();  ///< reference return of a random policy
  double expert_return = std::numeric_limits<double>::quiet_NaN();  ///< reference return of an expert
  std::size_t state_size = 0;                                       ///< numbers in Env::state()
  /// What Env::info() writes, in order. Two names mean the same wherever they stand: "success" [1], 1 where
  /// the task counts the state as solved, else 0; "goal_distance" [1], how far the goal is, in the
  /// environment's unit of length.
  std::vector<InfoField> info;
  std::vector<InfoField> parts;               ///< of the observation; empty for one vector
  std::vector<InfoField> reset_options = {};  ///< what ResetOptions::fixed may name

  /// Normalised return, 100 (R - random) / (expert - random); NaN without reference returns.
  double score(double episode_return) const {
    return 100.0 * (episode_return - random_return) / (expert_return - random_return);
  }
  std::size_t info_size() const {
    std::size_t n = 0;
    for (const InfoField& field : info) n += field.size;
    return n;
  }
  /// Where a field of `info` begins; none where the environment does not tell it.
  std::optional<std::size_t> info_offset(std::string_view name) const;

  /// All fields under their names. Infinities are written as "inf" and "-inf" and not-a-number as null, so
  /// that a text of it gives the same spec again; lists of InfoField as lists of {"name", "size"}, in order.
  Json json() const;
  /// The spec that json() wrote. Throws InvalidArgument naming the field: for one that is missing, unknown,
  /// or of another type, and for a box with unequal numbers of lows and highs.
  static EnvSpec from_json(const Json& json);
};

/// What a caller fixes about one reset:  ResetOptions{.fixed = {{"goal_cell", {1, 1}}}}
struct ResetOptions {
  /// Values by name; EnvSpec::reset_options lists the names and their sizes.
  std::map<std::string, std::vector<double>, std::less<>> fixed = {};
  /// Exact state as from Env::state(), beside which nothing else may be fixed; empty for none.
  std::vector<double> state = {};

  /// The values of a name; empty where it is not fixed.
  std::span<const double> values(std::string_view name) const {
    const auto found = fixed.find(name);
    return found == fixed.end() ? std::span<const double>() : found->second;
  }
};

struct StepResult {
  double reward = 0;        ///< the task's own reward for the step, paid for the state reached
  bool terminated = false;  ///< the task ended (never set by a time limit)
};

class Env {
 public:
  virtual ~Env() = default;

  virtual const EnvSpec& spec() const = 0;

  /// Starts an episode and writes the first observation. With a seed the generator restarts from its stream;
  /// without, it goes on, so that successive episodes differ. Throws InvalidArgument, changing nothing, for
  /// options that are not the spec's (naming the nearest), of another size or not finite, for a state with
  /// others beside it, and for what begin() refuses.  obs: [observation.size()]
  void reset(std::optional<Seed> seed, const ResetOptions& options, std::span<double> obs);

  /// One step of `seconds_per_step`. Actions outside the box are clipped. Throws InvalidArgument for a wrong
  /// size or a value that is not finite, and then leaves the episode as it was.
  virtual StepResult step(std::span<const double> action, std::span<double> obs) = 0;

  /// The whole state, random generator included: set_state(state()) resumes to equal bits.
  /// [spec().state_size]
  virtual void state(std::span<double> out) const = 0;
  /// Restores a state of an environment with the same spec, and writes its observation.
  virtual void set_state(std::span<const double> state, std::span<double> obs) = 0;

  /// The values of spec().info for the current state.  [spec().info_size()]
  virtual void info(std::span<double> out) const = 0;

  /// What data sets keep of the state in double precision, besides info; none where that tells it.
  virtual std::vector<InfoField> recorded_fields() const { return {}; }
  /// Their values for the current state, side by side.
  virtual void recorded(std::span<double> out) const { (void)out; }
  /// What the step from one recorded state to another paid under `action`, and whether it ended the task, computed as
  /// step() does; none where recorded states do not determine that.
  virtual std::optional<StepResult> recorded_step(std::span<const double> before,
                                                  std::span<const double> action,
                                                  std::span<const double> after) const {
    (void)before, (void)action, (void)after;
    return std::nullopt;
  }

  /// The current state as a picture, drawn without a display. Throws InvalidArgument for a side that
  /// check_picture_size refuses.
  virtual Image render(int width, int height) const = 0;

 protected:
  /// reset() with options whose names and sizes are right. With options.state a seed restarts the generator
  /// only.
  virtual void begin(std::optional<Seed> seed, const ResetOptions& options, std::span<double> obs) = 0;
};

}  // namespace diffreward
