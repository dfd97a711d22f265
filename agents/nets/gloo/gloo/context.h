// LibTorch's wheel holds Gloo and the header of its process group, but not the headers of Gloo that this one includes. The
// declarations in this folder stand for them: Gloo's types are only pointed to, nothing of them is laid out here.
#pragma once

#include <chrono>

namespace gloo {
class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};
}  // namespace gloo
