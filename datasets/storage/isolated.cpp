#include "datasets/storage/isolated.h"

#include <fcntl.h>
#include <hdf5.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <new>

#include "core/error.h"
#include "core/file.h"
#include "core/interrupt.h"

namespace diffreward {
namespace {

using namespace std::chrono_literals;

std::timed_mutex hdf5_mutex;

using Length = std::uint64_t;  // what goes before an answer

void limit(__rlimit_resource resource, rlim_t value) {
  rlimit now{};
  ::getrlimit(resource, &now);
  now.rlim_cur = std::min(now.rlim_max, value);
  ::setrlimit(resource, &now);
}

/// Bytes of private memory that this process holds, as RLIMIT_DATA counts them; 0 where that is unknown.
std::size_t private_memory() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (!file) return 0;
  unsigned long pages = 0;
  const int read = std::fscanf(file, "%*u %*u %*u %*u %*u %lu", &pages);
  std::fclose(file);
  return read == 1 ? pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

void close_all_but(std::vector<int> keep) {
  std::sort(keep.begin(), keep.end());
  unsigned from = 3;
  for (const int descriptor : keep) {
    const auto kept = static_cast<unsigned>(descriptor);
    if (kept > from) ::close_range(from, kept - 1, 0);
    from = std::max(from, kept + 1);
  }
  ::close_range(from, ~0u, 0);
}

bool send(int pipe, const void* bytes, std::size_t size) {
  const char* from = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t sent = ::write(pipe, from, size);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    from += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

/// The child: makes itself harmless, works, sends the answer.
[[noreturn]] void serve(const std::string& name, std::vector<int> keep, int pipe, pid_t parent,
                        const IsolationLimits& limits, const std::function<Json()>& work) {
  for (const int number : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGINT, SIGTERM, SIGALRM, SIGXCPU})
    std::signal(number, SIG_DFL);
  for (const int number : {SIGXFSZ, SIGPIPE}) std::signal(number, SIG_IGN);  // writing fails instead
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (::getppid() != parent) ::_exit(1);
  if (const int nowhere = ::open("/dev/null", O_RDWR); nowhere >= 0)
    for (const int standard : {0, 1, 2}) ::dup2(nowhere, standard);
  keep.push_back(pipe);
  close_all_but(keep);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, limits.cpu_seconds);
  if (const std::size_t inherited = private_memory()) limit(RLIMIT_DATA, inherited + limits.memory);
  Json answer;
  try {
    answer["answer"] = work();
  } catch (const std::bad_alloc&) {
    answer = {{"error", concat(name, ": expected contents that are read in ", limits.memory >> 20,
                               " MB of memory, found larger ones")}};
  } catch (const std::exception& error) {
    answer = {{"error", error.what()}};
  }
  const std::string text = answer.dump(-1, ' ', false, Json::error_handler_t::replace);
  const Length length = text.size();
  const bool sent = send(pipe, &length, sizeof length) && send(pipe, text.data(), text.size());
  ::_exit(sent ? 0 : 1);
}

/// A child of ours; killed, and waited for, at the end.
class Child {
 public:
  explicit Child(pid_t id) : id_(id) {}
  ~Child() {
    if (gone()) return;
    ::kill(id_, SIGKILL);
    while (::waitpid(id_, &status_, 0) < 0 && errno == EINTR) {
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  bool gone() {
    if (!gone_) gone_ = ::waitpid(id_, &status_, WNOHANG) != 0;  // also where somebody else waited for it
    return gone_;
  }
  /// The signal that ended it, or 0.
  int signal() const { return WIFSIGNALED(status_) ? WTERMSIG(status_) : 0; }

 private:
  pid_t id_;
  int status_ = 0;
  bool gone_ = false;
};

/// What the child sends before it ends; "" if that is not a whole answer.
std::string receive(Child& child, int pipe, const std::string& name, std::size_t most) {
  std::string bytes;
  char buffer[65536];
  for (bool last = false;;) {
    check_interrupt();
    pollfd ready{pipe, POLLIN, 0};
    if (::poll(&ready, 1, last ? 0 : 50) <= 0) {
      // The end of a pipe may be held open by a process that another thread forked: do not wait for it.
      if (last) return "";
      last = child.gone();
      continue;
    }
    const ssize_t count = ::read(pipe, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return "";
    bytes.append(buffer, static_cast<std::size_t>(count));
    if (bytes.size() < sizeof(Length)) continue;
    Length length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    if (length > most)
      throw Error(
          concat(name, ": expected a description of at most ", most >> 20, " MB, found a longer one"));
    if (bytes.size() >= sizeof length + length) return bytes.substr(sizeof length, length);
  }
}

[[noreturn]] void tell_death(Child& child, const std::string& name, const IsolationLimits& limits) {
  for (int i = 0; i < 100 && !child.gone(); ++i) ::usleep(10'000);
  check_interrupt();
  switch (child.signal()) {
    case SIGINT:
    case SIGTERM:
      throw Interrupted(concat(name, ": interrupted while reading"));
    case SIGXCPU:
      throw Error(concat(name, ": expected contents that are read in ", limits.cpu_seconds,
                         " s, found ones that take longer"));
    case SIGKILL:
      throw Error(concat(name, ": the process that reads it was killed; is there enough memory?"));
    default:
      throw Error(concat(name, ": expected a sound HDF5 file, found one that HDF5 itself crashes on"));
  }
}

}  // namespace

Hdf5Lock::Hdf5Lock() {
  while (!hdf5_mutex.try_lock_for(50ms)) check_interrupt();
  // Started once here, not in every child. HDF5's own clean-up at exit crashes on a file whose last flush hit
  // a full disk; we close what we open.
  static const herr_t started = (H5dont_atexit(), H5open());
  (void)started;
}

Hdf5Lock::~Hdf5Lock() {
  hdf5_mutex.unlock();
}

Json run_isolated(const std::string& name, const std::vector<int>& keep, const IsolationLimits& limits,
                  const std::function<Json()>& work) {
  int ends[2];
  pid_t id = 0;
  {
    const Hdf5Lock quiet;
    if (::pipe2(ends, O_CLOEXEC) != 0) throw Error(concat(name, ": cannot read: ", std::strerror(errno)));
    const pid_t parent = ::getpid();
    // Handlers of this process must not run in the child.
    sigset_t all, before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    id = ::fork();
    if (id == 0) serve(name, keep, ends[1], parent, limits, work);
    const int cause = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::close(ends[1]);
    if (id < 0) {
      ::close(ends[0]);
      throw Error(concat(name, ": cannot start a process to read it: ", std::strerror(cause)));
    }
  }
  Child child(id);
  const std::shared_ptr<const void> closing(nullptr, [end = ends[0]](const void*) { ::close(end); });
  const std::string text = receive(child, ends[0], name, limits.answer);
  if (text.empty()) tell_death(child, name, limits);
  Json answer = parse_json(text, name);
  if (answer.contains("error")) throw Error(member<std::string>(answer, "error"));
  return std::move(answer.at("answer"));
}

TemporaryFile::TemporaryFile() {
  std::error_code failed;
  const std::filesystem::path folder = std::filesystem::temp_directory_path(failed);
  descriptor_ = failed ? -1 : ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor_ < 0) descriptor_ = ::memfd_create("diffreward", MFD_CLOEXEC);
  if (descriptor_ < 0)
    throw Error(concat(folder.string(), ": cannot make a temporary file: ", std::strerror(errno)));
}

TemporaryFile::~TemporaryFile() {
  ::close(descriptor_);
}

std::size_t TemporaryFile::size() const {
  struct stat status {};
  return ::fstat(descriptor_, &status) == 0 ? static_cast<std::size_t>(status.st_size) : 0;
}

std::shared_ptr<const void> TemporaryFile::map() const {
  return RegularFile(concat("/proc/self/fd/", descriptor_)).map();
}

}  // namespace diffreward
