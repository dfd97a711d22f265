// Several processes that train one net: who they are, and what they tell each other.
//
// A launcher starts the same command in each and says which is which by RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as
// torchrun does. Rank 0 alone reads checkpoints and writes files; the others hold the same weights and write nothing. What
// goes from one to another is copied, never added on its way, so that who computes what is in nobody's bits
// (agents/nets/batch_parts_torch.h). Gloo carries it, over TCP.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agents/tensor.h"
#include "core/error.h"
#include "core/json.h"

namespace diffreward {

/// Another rank ended, or cannot be reached.
class LostRank : public Error {
 public:
  using Error::Error;
};

class Ranks {
 public:
  /// How many processes the environment speaks of: WORLD_SIZE, or 1. Throws InvalidArgument naming the variable.
  static int count();
  /// Meets the others; null where the environment speaks of one process alone. Throws InvalidArgument naming a variable that is
  /// missing or wrong, and Error where the port is taken or not all have come within DIFFREWARD_RANK_TIMEOUT seconds
  /// (600), which later is the longest that one waits for another. GLOO_SOCKET_IFNAME names the network interface.
  static std::unique_ptr<Ranks> from_environment();
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool first() const { return rank_ == 0; }

  // Each of the following is called by all ranks, in one order, and throws LostRank where one is gone.

  /// Throws Error, on every rank, naming the first member in which one differs from rank 0.
  void agree(const Json& on);
  /// Rank 0's.
  Json of_first(const Json& mine);
  /// Gives the tensor rank 0's numbers.
  void copy_first(at::Tensor& tensor);
  /// all[r] = mine of rank r.  mine: [...] on the CPU, of one shape; all: [size(), ...]
  void gather(const at::Tensor& mine, at::Tensor& all);
  /// Rank r gets the r-th of `mine`'s pieces, which all come to it in order of ranks.
  /// mine: [sum of to] on the CPU, all: [sum of from]
  void exchange(const at::Tensor& mine, std::vector<std::int64_t> to, at::Tensor& all,
                std::vector<std::int64_t> from);
  /// Returns when all have called it: rank 0 has written what it writes.
  void finish();

 private:
  struct Group;
  Ranks(int rank, int size, std::unique_ptr<Group> group);
  /// Calls `body`, whose errors are a rank's that is gone.
  void reach(const std::function<void()>& body);
  /// Every rank's.
  std::vector<std::string> texts(const std::string& mine);
  [[noreturn]] void lose(const std::string& why);
  std::string key(const std::string& name, int rank) const;

  int rank_, size_;
  std::unique_ptr<Group> group_;
};

}  // namespace diffreward
