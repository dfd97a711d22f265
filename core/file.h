// Files that are either whole or absent, and files that are files: no pipe, device or link is read or
// replaced.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace diffreward {

/// A regular file, open for reading. Pipes and devices, which may block or never end, and folders are
/// refused.
class RegularFile {
 public:
  /// Throws Error naming the path and what is there instead.
  explicit RegularFile(std::filesystem::path path);
  ~RegularFile();
  RegularFile(const RegularFile&) = delete;
  RegularFile& operator=(const RegularFile&) = delete;

  int descriptor() const { return descriptor_; }
  std::size_t size() const { return size_; }  ///< bytes, when it was opened
  /// Its bytes mapped for reading, null for an empty file; valid as long as the pointer, also after this
  /// object. Throws Error.
  std::shared_ptr<const void> map() const;

 private:
  std::filesystem::path path_;
  int descriptor_;
  std::size_t size_ = 0;
};

/// A file under construction: write to `path()`, a temporary name in the folder of the target, then
/// `commit()` renames it to its final name. Destroyed without a commit it removes the temporary file, so a
/// full disk or an exception never leaves half a file under the final name. What a killed process left is
/// removed when the same target is written again: a temporary file is locked as long as its writer lives.
class AtomicFile {
 public:
  /// Creates missing parent folders. Throws Error when that fails, or when the target is a folder, a symbolic
  /// link, a pipe or a device.
  explicit AtomicFile(std::filesystem::path target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::filesystem::path& path() const { return temporary_; }
  /// Flushes the file to disk and renames it. Throws Error.
  void commit();

 private:
  std::filesystem::path target_, temporary_;
  int descriptor_ = -1;
  bool committed_ = false;
};

/// Removes the temporary files in `folder` whose writers are gone.
void remove_stale_temporaries(const std::filesystem::path& folder);

/// Unlinks the temporary files of this process. Only calls what a signal handler may.
void unlink_temporaries() noexcept;

/// Writes `text` through an AtomicFile.
void write_file(const std::filesystem::path& path, std::string_view text);

/// The whole file. Throws Error naming the path when it cannot be read.
std::string read_file(const std::filesystem::path& path);

}  // namespace diffreward
