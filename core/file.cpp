#include "core/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "core/error.h"

namespace diffreward {
namespace fs = std::filesystem;

AtomicFile::AtomicFile(fs::path target) : target_(std::move(target)) {
  static std::atomic<int> counter{0};
  std::error_code failure;
  if (target_.has_parent_path()) fs::create_directories(target_.parent_path(), failure);
  if (failure) throw Error(concat(target_.string(), ": cannot create its folder: ", failure.message()));
  // The process id keeps two runs on one folder apart, the counter two threads of one run.
  temporary_ = target_;
  temporary_ += concat(".", ::getpid(), ".", counter++, ".tmp");
}

AtomicFile::~AtomicFile() {
  std::error_code ignored;
  if (!committed_) fs::remove(temporary_, ignored);
}

void AtomicFile::commit() {
  const int file = ::open(temporary_.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0 || ::fsync(file) != 0) {
    const int cause = errno;
    if (file >= 0) ::close(file);
    throw Error(concat(target_.string(), ": cannot write: ", std::strerror(cause)));
  }
  ::close(file);
  std::error_code failure;
  fs::rename(temporary_, target_, failure);
  if (failure) throw Error(concat(target_.string(), ": cannot write: ", failure.message()));
  committed_ = true;
}

void write_file(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  {
    std::ofstream out(file.path(), std::ios::binary);
    out.write(text.data(), static_cast<std::streamsize>(text.size()));
    out.close();
    if (!out) throw Error(concat(path.string(), ": cannot write: ", std::strerror(errno)));
  }
  file.commit();
}

std::string read_file(const fs::path& path) {
  std::error_code ignored;
  std::ifstream in(path, std::ios::binary);
  if (!in || fs::is_directory(path, ignored))
    throw Error(concat(path.string(), ": cannot read: ",
                       fs::is_directory(path, ignored) ? "is a folder" : std::strerror(errno)));
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace diffreward
