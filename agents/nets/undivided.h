// Sums whose last digit must not depend on the number of threads.
#pragma once

#include <functional>

namespace diffreward {

/// Calls body() where LibTorch divides none of its loops among threads: for sums of many numbers into one, whose last digit
/// depends on how they are divided. In any thread, of whose settings (as gradients' being off) nothing is known.
void undivided(const std::function<void()>& body);

}  // namespace diffreward
