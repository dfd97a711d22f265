// Many environments stepped as one. This is the interface that agents train on: PPO takes a VectorEnv& and
// cannot tell a task reward from an extracted one (rewards/rewarded_env.h is a VectorEnv too).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/config.h"
#include "envs/env.h"

namespace diffreward {

struct EnvConfig;  // envs/catalog.h

/// What happens to an instance whose episode ended (Gymnasium's AutoresetMode).
enum class Autoreset {
  kNextStep,  ///< the step after the end ignores its action, resets, and returns reward 0 and final_obs = obs
  kSameStep,  ///< the step that ends an episode resets at once; obs is the new one, final_obs the old
  kDisabled,  ///< the caller resets by mask; stepping an ended instance throws
};

/// The outcome of the latest reset or step. The spans stay valid, and change, until the VectorEnv is
/// destroyed. A reset sets final_obs = obs, final_info = info, reward 0 and no end for its instances and
/// leaves the others' entries as they were.
struct StepView {
  std::span<const double> obs = {};               // [n, obs_dim]  what the next action answers to
  std::span<const double> final_obs = {};         // [n, obs_dim]  reached by this step, before any autoreset
  std::span<const double> reward = {};            // [n]  what the agent is paid
  std::span<const double> task_reward = {};       // [n]  the environment's own; equals reward unless wrapped
  std::span<const std::uint8_t> terminated = {};  // [n]  the task ended with this step
  std::span<const std::uint8_t> truncated = {};   // [n]  it reached the step limit; `terminated` may hold too
  std::span<const std::uint8_t> reset = {};       // [n]  obs is the first of an episode
  std::span<const double> info = {};              // [n, info_size]  what Env::info tells of obs
  std::span<const double> final_info = {};        // [n, info_size]  and of final_obs
};

struct VectorConfig {
  int count = 1;                        // instances
  int threads = 1;                      // 0: one per hardware thread; results do not depend on it
  std::string autoreset = "next_step";  // next_step, same_step or disabled
  int max_steps = -1;                   // steps until truncation; -1: the spec's, 0: never

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("count", self.count, "instances", Bounds{1, 1 << 20});
    field("threads", self.threads, "threads, 0 for one per core; results do not depend on it",
          Bounds{0, 1024});
    field("autoreset", self.autoreset, "what follows the end of an episode",
          Choices{"next_step", "same_step", "disabled"});
    field("max_steps", self.max_steps, "steps until truncation, -1 for the environment's own, 0 for never",
          Bounds{-1, 1e9});
  }
};

class VectorEnv {
 public:
  virtual ~VectorEnv() = default;

  /// What holds for every instance; max_steps is the limit in force. Where instances differ, as physical
  /// parameters or maps let them, the boxes hold those of all, and reference returns and seconds_per_step are
  /// not-a-number; env(i).spec() tells those of instance i.
  virtual const EnvSpec& spec() const = 0;
  virtual int size() const = 0;
  virtual Autoreset autoreset() const = 0;

  /// Resets all instances; instance i draws from seeds[i]. Batches that are reset with two integers share no
  /// numbers.
  virtual const StepView& reset(const Streams& seeds) = 0;

  /// Resets the instances with mask[i] != 0 (an empty mask means all). `seeds` and `options` are empty, or
  /// hold one entry per instance, or one entry for all; without a seed an instance's generator goes on. An
  /// instance that refuses its options counts as failed, see step().
  virtual const StepView& reset(std::span<const std::uint8_t> mask, std::span<const Seed> seeds,
                                std::span<const ResetOptions> options) = 0;

  /// Steps all instances. actions: [n, act_dim]. Throws InvalidArgument, stepping nothing, for a wrong size
  /// or a value that is not finite, naming its instance. When an instance throws, the others finish their
  /// step, the error of the first one is rethrown (an Error with the instance's number in its message), the
  /// entries of all that failed in view() are not-a-number, and step() and state() refuse to go on until
  /// reset() has covered the failed instances or set_state() has replaced all. A reset is needed before the
  /// first step, too.
  virtual const StepView& step(std::span<const double> actions) = 0;

  /// The latest outcome again.
  virtual const StepView& view() const = 0;

  /// One instance, to read or to change between steps.
  virtual Env& env(int i) = 0;

  /// Exact state of the whole batch, step counts and view() included; set_state resumes to equal bits.
  virtual std::vector<double> state() const = 0;
  virtual const StepView& set_state(std::span<const double> state) = 0;
};

/// A VectorEnv of native environments on a thread pool. No allocation per step after the first. `options` are
/// those of make_env (envs/catalog.h): one object for all instances, or a list of config.count objects, one
/// an instance, so that physical parameters, maps and goals may differ. Throws InvalidArgument for options
/// that make_env refuses, naming the instance, and for instances that do not fit together: observations,
/// actions, states, info, parts and reset options need equal sizes, and the spec's max_steps must be equal
/// unless config gives one.
std::unique_ptr<VectorEnv> make_vector(const std::string& id, const VectorConfig& config,
                                       const Json& options = {});
std::unique_ptr<VectorEnv> make_vector(const EnvConfig& env, const VectorConfig& config);

/// The same over instances made elsewhere, which must have one id; config.count is not read.
std::unique_ptr<VectorEnv> make_vector(std::vector<std::unique_ptr<Env>> envs, const VectorConfig& config);

}  // namespace diffreward
