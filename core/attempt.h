// Work in progress on a file system that several machines share: a folder for each attempt, named by what is made and by the
// process that makes it, so that what killed processes left is known and nobody needs a lock.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace diffreward {

/// A process among those of all machines that share a disk. Neither host name nor process number is enough: containers
/// have the same ones when they are started again, and those with the host's network share its name.
struct ProcessName {
  std::string host;
  std::string boot;    ///< of the kernel: another one each time a machine is started
  std::string space;   ///< in which process numbers are counted
  std::string start;   ///< when the process was started
  std::string number;  ///< its own
  bool operator==(const ProcessName&) const = default;

  std::string text() const;
  /// Nothing for other text.
  static std::optional<ProcessName> parse(const std::string& text);
  static ProcessName self();
  /// Whether the process is known to have ended, as this one sees it.
  bool has_ended() const;
};

/// The folder of one attempt at making `key`, <attempts>/<key>.<ordinal>.<process>: one process alone writes in it.
class Attempt {
 public:
  /// `key` holds no dot. What processes that have ended left of attempts at the same is removed; where `work` is not empty,
  /// the last of it that holds a file or folder of this name becomes this attempt's, to be continued. Throws Error.
  Attempt(const std::filesystem::path& attempts, const std::string& key, const std::string& work = "");
  /// Removes the folder, unless it was kept or moved.
  ~Attempt();
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  const std::filesystem::path& folder() const { return folder_; }
  std::uint64_t ordinal() const { return ordinal_; }  ///< 1 for the first
  bool taken() const { return taken_; }               ///< whether it continues another
  void keep() { kept_ = true; }                       ///< leaves the folder, for another attempt to take

  /// Removes what processes that have ended left of attempts at `key`.
  static void remove_ended(const std::filesystem::path& attempts, const std::string& key);
  /// The folders of other processes' attempts at `key` that are not known to have ended, in order of ordinal and name.
  static std::vector<std::filesystem::path> of_others(const std::filesystem::path& attempts,
                                                      const std::string& key);

 private:
  std::filesystem::path folder_;
  std::uint64_t ordinal_ = 1;
  bool taken_ = false, kept_ = false;
};

/// The text of a file that the first of several processes writes: `text`, where there was none.
std::string agreed_text(const std::filesystem::path& file, std::string_view text);

}  // namespace diffreward
