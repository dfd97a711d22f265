// Counts heap allocations of the whole process, those of C libraries included.
#pragma once

#include <cstddef>

namespace diffreward {

/// Whether counting works in this build (sanitizers bring their own malloc).
bool counts_allocations();

/// Calls of malloc and its kin so far, by all threads.
std::size_t allocation_count();

}  // namespace diffreward
