// Many environments that do not wait for each other: actions go out to some instances, and results come back
// in the order in which they finish. For steps of unequal length, and for a policy that works while others
// step.
//
//   AsyncEnv envs("Humanoid-v5", {.count = 64, .threads = 8});
//   envs.reset(seed);
//   for (;;) {
//     const AsyncBatch& batch = envs.recv(16);  // at least 16 results
//     envs.send(batch.ids, policy(batch.obs));
//   }
//
// What an instance returns depends on its own actions alone: bit for bit what a VectorEnv of the same config
// returns for it. The order among instances depends on the machine. One thread uses an AsyncEnv at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "envs/vector_env.h"

namespace diffreward {

/// Results of `m` instances, in the order in which they finished. The spans are valid until the next recv()
/// or the end of the AsyncEnv. The fields mean what they do in StepView.
struct AsyncBatch {
  std::span<const int> ids;                  // [m]  instances, each at most once
  std::span<const double> obs;               // [m, obs_dim]
  std::span<const double> final_obs;         // [m, obs_dim]
  std::span<const double> reward;            // [m]
  std::span<const std::uint8_t> terminated;  // [m]
  std::span<const std::uint8_t> truncated;   // [m]
  std::span<const std::uint8_t> reset;       // [m]
  std::span<const double> info;              // [m, info_size]
  std::span<const double> final_info;        // [m, info_size]
};

/// One instance threw.
class InstanceError : public Error {
 public:
  InstanceError(int instance, const std::string& message) : Error(message), instance_(instance) {}
  int instance() const { return instance_; }

 private:
  int instance_;
};

/// An instance is in flight from send() or send_reset() until recv() has returned or thrown what came of it.
/// No allocation per step.
class AsyncEnv {
 public:
  /// Instances and config as make_vector takes them; config.threads counts workers, beside the caller's
  /// thread.
  AsyncEnv(const std::string& id, const VectorConfig& config, const Json& options = {});
  AsyncEnv(std::vector<std::unique_ptr<Env>> envs, const VectorConfig& config);
  /// Waits for steps that have begun; those that have not are dropped.
  ~AsyncEnv();
  AsyncEnv(const AsyncEnv&) = delete;
  AsyncEnv& operator=(const AsyncEnv&) = delete;

  const EnvSpec& spec() const;  ///< as VectorEnv::spec
  int size() const;
  Autoreset autoreset() const;
  int in_flight() const;  ///< results that recv() has yet to deliver

  /// Sends all instances to a reset; seeds as in VectorEnv::reset. None may be in flight.
  void reset(const Streams& seeds);
  /// Sends instances to a reset, which recv() returns as a result with reward 0. `seeds` and `options` are
  /// empty, or hold one entry per id, or one entry for all; without a seed an instance's generator goes on.
  void send_reset(std::span<const int> ids, std::span<const Seed> seeds = {},
                  std::span<const ResetOptions> options = {});
  /// Sends instances to a step. actions: [ids.size(), act_dim], copied. Throws, sending nothing:
  /// InvalidArgument for a wrong size, an id out of range, a value that is not finite, an instance that is in
  /// flight, and with autoreset 'disabled' one whose episode has ended; Error for one without an episode
  /// (never reset, or failed).
  void send(std::span<const int> ids, std::span<const double> actions);

  /// Waits until at least `min` results have finished, and returns all that have; with 0 it does not wait.
  /// Throws InvalidArgument if fewer than `min` are in flight. If an instance threw, throws InstanceError
  /// with its number as soon as that is known: the instance is in flight no more and needs a reset, and no
  /// other result is lost, the next recv() returns them.
  const AsyncBatch& recv(int min = 1);

  /// One instance, to read or to change. Throws InvalidArgument while it is in flight.
  Env& env(int i);

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

}  // namespace diffreward
