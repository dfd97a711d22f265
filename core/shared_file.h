// Names of files on a file system that several machines share: given by single calls, without locks, which such file systems
// do not keep.
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

namespace diffreward {

/// Makes the names in a folder last; nothing where the folder may not be read.
void sync_folder(const std::filesystem::path& folder);

/// Moves a whole file to another name on the same file system, replacing what has that name: flushes the file, then both
/// folders. Throws Error.
void move_file(const std::filesystem::path& from, const std::filesystem::path& to);

/// The same where nothing has that name yet; false, and nothing is moved, where something has. Of several processes one
/// succeeds: names are given by link().
bool move_new_file(const std::filesystem::path& from, const std::filesystem::path& to);

/// The same for a folder that is not empty: its name is given by rename(), which replaces no other such folder. Throws Error.
bool move_new_folder(const std::filesystem::path& from, const std::filesystem::path& to);

/// Calls `visit` with each name in a folder, of which an absent one has none. Throws Error where it cannot be read: what
/// cannot be seen is not missing.
void for_each_name(const std::filesystem::path& folder, const std::function<void(std::string_view)>& visit);

}  // namespace diffreward
