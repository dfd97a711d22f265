#include "agents/nets/undivided.h"

#include <cstddef>

#include "agents/parallel.h"

namespace diffreward {

void undivided(const std::function<void()>& body) {
  parallel_each(2, [&](std::size_t i) {  // LibTorch divides nothing within a loop that is
    if (i == 0) body();
  });
}

}  // namespace diffreward
