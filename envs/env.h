// The front door of envs: one simulated task.
//
// An Env knows physics, reward and termination. It never truncates itself (VectorEnv counts steps), never
// resets itself, holds no learned thing, and is used by one thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
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

/// A named vector: a part of an observation, or what an environment can tell besides, which data sets store
/// as a column.
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
  std::vector<InfoField> info;                                      ///< what Env::info() writes, in order
  std::vector<InfoField> parts;  ///< of the observation; empty for one vector

  /// Normalised return, 100 (R - random) / (expert - random); NaN without reference returns.
  double score(double episode_return) const {
    return 100.0 * (episode_return - random_return) / (expert_return - random_return);
  }
  std::size_t info_size() const {
    std::size_t n = 0;
    for (const InfoField& field : info) n += field.size;
    return n;
  }

  /// All fields under their names. Infinities are written as "inf" and "-inf" and not-a-number as null, so
  /// that a text of it gives the same spec again; lists of InfoField as lists of {"name", "size"}, in order.
  Json json() const;
  /// The spec that json() wrote. Throws InvalidArgument naming the field: for one that is missing, unknown,
  /// or of another type, and for a box with unequal numbers of lows and highs.
  static EnvSpec from_json(const Json& json);
};

/// What a caller may fix about one reset. An environment refuses (InvalidArgument) fields it has no use for.
struct ResetOptions {
  std::optional<std::array<int, 2>> start_cell, goal_cell;  ///< mazes: (row, column)
  std::optional<std::array<double, 2>> start, goal;         ///< mazes: position, as observed
  std::vector<double> state;  ///< exact state as from Env::state(); empty for none
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
  /// without, it goes on, so that successive episodes differ.  obs: [observation.size()]
  virtual void reset(std::optional<Seed> seed, const ResetOptions& options, std::span<double> obs) = 0;

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

  /// The current state as a picture, drawn without a display. Throws InvalidArgument for a side that
  /// check_picture_size refuses.
  virtual Image render(int width, int height) const = 0;
};

}  // namespace diffreward
