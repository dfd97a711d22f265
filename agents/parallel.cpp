#include "agents/parallel.h"

#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>
#include <atomic>

namespace diffreward {

void parallel_each(std::size_t count, const std::function<void(std::size_t)>& body) {
  if (count == 1) return body(0);  // which may then have loops of its own
  std::atomic<std::size_t> next{0};
  const auto threads = std::min<std::int64_t>(at::get_num_threads(), std::int64_t(count));
  at::parallel_for(0, threads, 1, [&](std::int64_t, std::int64_t) {
    for (std::size_t i = next++; i < count; i = next++) body(i);
  });
}

void stay_in_this_thread() {
  at::init_num_threads();  // which would set their number later
  omp_set_num_threads(1);
}

}  // namespace diffreward
