// What a machine's arithmetic is: the bits that its C library and simulators give for fixed arguments.
//
// Sums and products are the same everywhere; exp, log, sin and the like are not: glibc picks their code by the
// processor's features (with or without fused multiply-add), and their last digits differ. Data whose bytes must not
// depend on who made them come from machines of one fingerprint.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/json.h"

namespace diffreward {

/// {"hash", "arithmetic": {"libm", "environments", "features", ...}, "machine": {"processor", "libc"}}. `hash` is the
/// SHA-256 of `arithmetic`: hashes of results of the C library's functions, of states that two environments (Box2D's and
/// MuJoCo's) reach, which of the features that glibc chooses code by it finds, and the named hashes of `more`. `machine` is
/// for people alone. Takes some milliseconds.
Json machine_fingerprint(const std::vector<std::pair<std::string, std::string>>& more = {});

/// What of two fingerprints' arithmetic differs: "libm, features".
std::string fingerprint_difference(const Json& a, const Json& b);

}  // namespace diffreward
