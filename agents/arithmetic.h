// What a processor's tensor arithmetic is, without including torch.
#pragma once

#include <string>

namespace diffreward {

/// SHA-256 of what LibTorch and the kernels make of fixed numbers on this processor: what else than machine_fingerprint()
/// (envs/fingerprint.h) tells agents that learned from machine to machine.
std::string tensor_arithmetic();

}  // namespace diffreward
