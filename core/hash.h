// SHA-256 of files, remembered beside them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace diffreward {

std::string sha256(std::string_view bytes);  ///< 64 hexadecimal digits

/// SHA-256 of a file's content. Kept beside the file in ".<name>.sha256" with its size and time, so that a
/// large file is read once, where it is old enough for a change to show in its time and the folder can be
/// written to. Throws Error naming the file; Ctrl-C ends it.
std::string sha256_of(const std::filesystem::path& file);

/// Removes what sha256_of() keeps beside a file that is replaced or removed.
void forget_sha256(const std::filesystem::path& file);

}  // namespace diffreward
