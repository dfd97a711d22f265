#include "core/shared_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "core/error.h"

namespace diffreward {
namespace fs = std::filesystem;
namespace {

Error failure(const fs::path& path, const char* what, int cause) {
  return Error(concat(path.string(), ": ", what, ": ", std::strerror(cause)));
}

fs::path folder_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

void sync_file(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0) throw failure(path, "cannot read", errno);
  const int result = ::fsync(file), cause = errno;
  ::close(file);
  if (result != 0) throw failure(path, "cannot write", cause);
}

}  // namespace

void sync_folder(const fs::path& path) {
  const int folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;  // it may be written to but not read
  ::fsync(folder);
  ::close(folder);
}

void move_file(const fs::path& from, const fs::path& to) {
  sync_file(from);
  std::error_code failed;
  fs::rename(from, to, failed);
  if (failed) throw Error(concat(to.string(), ": cannot write: ", failed.message()));
  sync_folder(folder_of(to));
  sync_folder(folder_of(from));
}

bool move_new_file(const fs::path& from, const fs::path& to) {
  sync_file(from);
  if (::link(from.c_str(), to.c_str()) != 0) {
    if (errno == EEXIST) return false;
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
      throw failure(to, "cannot write", errno);
    // A file system without hard links: no two names of one file, but a rename that refuses.
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) != 0) {
      if (errno == EEXIST) return false;
      throw failure(to, "cannot write", errno);
    }
  } else if (::unlink(from.c_str()) != 0) {
    throw failure(from, "cannot remove", errno);
  }
  sync_folder(folder_of(to));
  sync_folder(folder_of(from));
  return true;
}

bool move_new_folder(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    if (errno == EEXIST || errno == ENOTEMPTY) return false;
    throw failure(to, "cannot write", errno);
  }
  sync_folder(to);
  sync_folder(folder_of(to));
  sync_folder(folder_of(from));
  return true;
}

void for_each_name(const fs::path& folder, const std::function<void(std::string_view)>& visit) {
  const std::unique_ptr<DIR, int (*)(DIR*)> names(::opendir(folder.c_str()), ::closedir);
  if (!names && errno == ENOENT) return;
  const auto failure = [&] {
    return Error(concat(folder.string(), ": cannot list: ", std::strerror(errno)));
  };
  if (!names) throw failure();
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(names.get());
    if (!entry && errno != 0) throw failure();
    if (!entry) return;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") visit(name);
  }
}

}  // namespace diffreward
