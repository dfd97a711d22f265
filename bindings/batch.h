// What Python holds of a VectorEnv or an AsyncEnv: the object, and the process that its threads belong to.
#pragma once

#include <unistd.h>

#include <memory>

#include "core/error.h"
#include "envs/vector_env.h"

namespace diffreward::python {

/// An object with threads. Views of its arrays (NumPy's `base`) keep it alive. Threads do not survive a fork:
/// a child process can neither use nor destroy it, and is told so.
template <class Envs>
class Threaded {
 public:
  explicit Threaded(std::unique_ptr<Envs> envs) : envs_(std::move(envs)), process_(::getpid()) {}
  ~Threaded() {
    if (process_ != ::getpid())
      (void)envs_.release();  // its destructor would wait for threads that are not here
  }
  Threaded(const Threaded&) = delete;
  Threaded& operator=(const Threaded&) = delete;

  /// Throws Error in a forked process, or after take().
  Envs& get() const {
    if (process_ != ::getpid())
      throw Error(
          "this environment was made before the process forked, and its threads stayed behind: make it in "
          "the child process, or start processes by 'spawn' or 'forkserver'");
    if (!envs_) throw Error("this batch of environments became part of another one");
    return *envs_;
  }
  /// Gives the environments to a wrapper.
  std::unique_ptr<Envs> take() {
    get();
    return std::move(envs_);
  }

 private:
  std::unique_ptr<Envs> envs_;
  pid_t process_;
};

using Batch = Threaded<VectorEnv>;

}  // namespace diffreward::python
