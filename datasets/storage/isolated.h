// Work on a stranger's file in a child process, whose memory is its own: HDF5 crashes on some damaged files.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/json.h"

namespace diffreward {

/// Held while this process uses HDF5, which is not safe for threads, and while it forks, so that a child
/// starts with an HDF5 at rest. Waiting for it obeys Ctrl-C.
class Hdf5Lock {
 public:
  Hdf5Lock();
  ~Hdf5Lock();
  Hdf5Lock(const Hdf5Lock&) = delete;
  Hdf5Lock& operator=(const Hdf5Lock&) = delete;
};

struct IsolationLimits {
  std::size_t cpu_seconds = 2;
  std::size_t memory = std::size_t{1} << 30;   ///< bytes beyond what the child inherits
  std::size_t answer = std::size_t{64} << 20;  ///< bytes of JSON
};

/// Runs `work` in a forked child with default signal handlers, without terminal, core dumps and other open
/// files than `keep`, and returns what it returns. Errors that it throws are thrown here; where it dies or
/// passes a limit, throws Error saying so of `name`. Ctrl-C ends the child. The answer comes from a process
/// that may have been taken over: check it.
Json run_isolated(const std::string& name, const std::vector<int>& keep, const IsolationLimits& limits,
                  const std::function<Json()>& work);

/// A file without a name in the folder for temporary files, or in memory where that folder refuses.
class TemporaryFile {
 public:
  TemporaryFile();
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  int descriptor() const { return descriptor_; }
  std::size_t size() const;
  /// Its bytes as they are now, mapped for reading; null for none.
  std::shared_ptr<const void> map() const;

 private:
  int descriptor_;
};

}  // namespace diffreward
