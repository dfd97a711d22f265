#include "core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "core/error.h"
#include "core/interrupt.h"
#include "core/shared_file.h"

namespace diffreward {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kPiece = std::size_t{16} << 20;  // bytes read between two looks at Ctrl-C

/// What a path is, for people.
std::string kind_of(fs::file_type type) {
  switch (type) {
    case fs::file_type::directory:
      return "a folder";
    case fs::file_type::symlink:
      return "a symbolic link";
    case fs::file_type::fifo:
      return "a pipe";
    case fs::file_type::socket:
      return "a socket";
    case fs::file_type::block:
    case fs::file_type::character:
      return "a device";
    default:
      return "something else";
  }
}

Error failure(const fs::path& path, const char* what, int cause) {
  return Error(concat(path.string(), ": ", what, ": ", std::strerror(cause)));
}

/// Paths that a signal handler unlinks. More files than slots are only removed by the next writer.
std::array<std::atomic<const char*>, 64> temporaries;

void remember(const char* path) {
  for (auto& slot : temporaries) {
    const char* empty = nullptr;
    if (slot.compare_exchange_strong(empty, path)) return;
  }
}

void forget(const char* path) {
  for (auto& slot : temporaries) {
    const char* held = path;
    if (slot.compare_exchange_strong(held, nullptr)) return;
  }
}

/// Locks a whole file for this descriptor alone; HDF5's own flock() does not meet this kind of lock.
bool lock(int descriptor) {
  struct flock whole {};
  whole.l_type = F_WRLCK;
  return ::fcntl(descriptor, F_OFD_SETLK, &whole) == 0;
}

/// "<target>.<process>.<counter>.tmp"; an empty `target` stands for any.
bool is_temporary(std::string_view name, std::string_view target) {
  constexpr std::string_view kEnd = ".tmp";
  if (!name.ends_with(kEnd)) return false;
  name.remove_suffix(kEnd.size());
  for (int number = 0; number < 2; ++number) {
    const std::size_t dot = name.rfind('.');
    if (dot == std::string_view::npos || dot + 1 == name.size() ||
        name.find_first_not_of("0123456789", dot + 1) != std::string_view::npos)
      return false;
    name = name.substr(0, dot);
  }
  return target.empty() ? !name.empty() : name == target;
}

void remove_stale(const fs::path& folder, std::string_view target) {
  std::error_code failed;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed)) {
    const fs::path& path = entry->path();
    if (!is_temporary(path.filename().string(), target)) continue;
    const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0) continue;
    struct stat status {};
    if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode) && lock(file)) ::unlink(path.c_str());
    ::close(file);
  }
}

fs::path folder_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

}  // namespace

RegularFile::RegularFile(fs::path path) : path_(std::move(path)) {
  // Opening a pipe would wait for a writer.
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) throw failure(path_, "cannot read", errno);
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor_);
    std::error_code ignored;
    throw Error(concat(path_.string(), ": cannot read: expected a file, found ",
                       kind_of(fs::status(path_, ignored).type())));
  }
  size_ = static_cast<std::size_t>(status.st_size);
}

RegularFile::~RegularFile() {
  ::close(descriptor_);
}

std::shared_ptr<const void> RegularFile::map() const {
  if (size_ == 0) return nullptr;
  void* memory = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor_, 0);
  if (memory == MAP_FAILED) throw failure(path_, "cannot map", errno);
  return {memory, [size = size_](const void* address) { ::munmap(const_cast<void*>(address), size); }};
}

AtomicFile::AtomicFile(fs::path target) : target_(std::move(target)) {
  static std::atomic<int> counter{0};
  std::error_code failed;
  fs::create_directories(folder_of(target_), failed);
  if (failed) throw Error(concat(target_.string(), ": cannot create its folder: ", failed.message()));
  const fs::file_type type = fs::symlink_status(target_, failed).type();
  if (type != fs::file_type::regular && type != fs::file_type::not_found)
    throw Error(
        concat(target_.string(), ": cannot write: expected a file or nothing, found ", kind_of(type)));
  remove_stale(folder_of(target_), target_.filename().string());
  // The process id keeps two runs on one folder apart, the counter two threads of one run.
  struct stat status {};
  do {
    if (descriptor_ >= 0) ::close(descriptor_);
    temporary_ = target_;
    temporary_ += concat(".", ::getpid(), ".", counter++, ".tmp");
    descriptor_ = ::open(temporary_.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && errno != EEXIST) throw failure(target_, "cannot write", errno);
    // Another writer may take it for a stale one before it is locked.
  } while (descriptor_ < 0 ||
           (lock(descriptor_) && ::fstat(descriptor_, &status) == 0 && status.st_nlink == 0));
  remember(temporary_.c_str());
}

AtomicFile::~AtomicFile() {
  std::error_code ignored;
  if (!committed_) fs::remove(temporary_, ignored);
  forget(temporary_.c_str());
  ::close(descriptor_);
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) throw failure(target_, "cannot write", errno);
  std::error_code failed;
  fs::rename(temporary_, target_, failed);
  if (failed) throw Error(concat(target_.string(), ": cannot write: ", failed.message()));
  committed_ = true;
  sync_folder(folder_of(target_));
}

void remove_stale_temporaries(const fs::path& folder) {
  remove_stale(folder, "");
}

void unlink_temporaries() noexcept {
  for (const auto& slot : temporaries)
    if (const char* path = slot.load()) ::unlink(path);
}

void write_file(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  {
    std::ofstream out(file.path(), std::ios::binary);
    out.write(text.data(), static_cast<std::streamsize>(text.size()));
    out.close();
    if (!out) throw failure(path, "cannot write", errno);
  }
  file.commit();
}

std::string read_file(const fs::path& path) {
  const RegularFile file(path);
  std::string text(file.size(), '\0');
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t count = ::read(file.descriptor(), text.data() + done, std::min(kPiece, text.size() - done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw failure(path, "cannot read", errno);
    if (count == 0) text.resize(done);  // it shrank meanwhile
    done += static_cast<std::size_t>(count);
    check_interrupt();
  }
  return text;
}

}  // namespace diffreward
