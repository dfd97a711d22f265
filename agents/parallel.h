// Loops over LibTorch's own threads (at::set_num_threads), so that the process has one pool of them.
#pragma once

#include <cstddef>
#include <functional>

namespace diffreward {

/// Calls body(i) for every i in [0, count), each once, in any order; returns when all are done. Within
/// another parallel loop of more than one it runs in the calling thread. The first exception of a body is
/// rethrown.
void parallel_each(std::size_t count, const std::function<void(std::size_t)>& body);

/// Keeps the loops of LibTorch that the calling thread starts from now on in that thread: for one that works beside
/// the pool.
void stay_in_this_thread();

}  // namespace diffreward
