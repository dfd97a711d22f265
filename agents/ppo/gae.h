// Generalised advantage estimation (Schulman et al., "High-dimensional continuous control using generalized
// advantage estimation", ICLR 2016).
//
//   delta_t = r_t + gamma (1 - terminated_t) V(s'_t) - V(s_t)
//   A_t     = delta_t + gamma lambda (1 - ended_t) A_{t+1}
//
// s'_t is the state that decision t reached: where the episode ended, the one before the reset. A truncated
// episode therefore is bootstrapped with the value of its last state, and a terminated one is worth nothing
// beyond its end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace diffreward {

/// Decisions of n instances, time-major: all [decisions, n].
struct GaeInput {
  std::span<const float> reward;
  std::span<const float> value;              // V(s_t)
  std::span<const float> next_value;         // V(s'_t)
  std::span<const std::uint8_t> terminated;  // the task ended with this decision: next_value is not read
  std::span<const std::uint8_t> ended;       // the episode ended with this decision, for whatever reason
};

inline void generalized_advantages(const GaeInput& in, std::size_t n, double gamma, double lambda,
                                   std::span<float> advantage) {
  for (std::size_t k = in.reward.size(); k-- > 0;) {
    const double bootstrap = in.terminated[k] ? 0.0 : gamma * double{in.next_value[k]};
    const double later =
        in.ended[k] || k + n >= in.reward.size() ? 0.0 : gamma * lambda * double{advantage[k + n]};
    advantage[k] = static_cast<float>(double{in.reward[k]} + bootstrap - double{in.value[k]} + later);
  }
}

}  // namespace diffreward
