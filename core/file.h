// Files that are either whole or absent.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace diffreward {

/// A file under construction: write to `path()`, a temporary name in the folder of the target, then
/// `commit()` renames it to its final name. Destroyed without a commit it removes the temporary file, so a
/// crash, a full disk or an exception never leaves half a file under the final name.
class AtomicFile {
 public:
  /// Creates missing parent folders. Throws Error when that fails.
  explicit AtomicFile(std::filesystem::path target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::filesystem::path& path() const { return temporary_; }
  /// Flushes the file to disk and renames it. Throws Error.
  void commit();

 private:
  std::filesystem::path target_, temporary_;
  bool committed_ = false;
};

/// Writes `text` through an AtomicFile.
void write_file(const std::filesystem::path& path, std::string_view text);

/// The whole file. Throws Error naming the path when it cannot be read.
std::string read_file(const std::filesystem::path& path);

}  // namespace diffreward
