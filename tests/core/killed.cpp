#include "tests/core/killed.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <exception>

namespace diffreward {
namespace {

int calls_left = -1;  // until this process is killed; below 0: never

void killed_here() {
  if (calls_left >= 0 && calls_left-- == 0) ::kill(::getpid(), SIGKILL);
}

}  // namespace

std::function<void(const char*to)> before_link, after_link, before_rename;

pid_t start_process(const std::function<int()>& work) {
  const pid_t process = ::fork();
  if (process != 0) return process;
  int code = 1;
  try {
    code = work();
  } catch (const std::exception&) {
  }
  ::_exit(code);
}

int end_of(pid_t process) {
  int status = 0;
  ::waitpid(process, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int killed_everywhere(const std::function<void(int call)>& body, const std::function<void(int call)>& check) {
  constexpr int kMost = 1000;  // calls: more are a loop
  for (int call = 0; call < kMost; ++call) {
    const int code = end_of(start_process([&] {
      calls_left = call;
      body(call);
      return 0;
    }));
    check(call);
    if (code == -SIGKILL) continue;
    EXPECT_EQ(code, 0);
    EXPECT_GT(call, 5) << "expected several places to be killed in";
    return call;
  }
  ADD_FAILURE() << "expected an end after " << kMost << " calls";
  return kMost;
}

}  // namespace diffreward

extern "C" {
int rename(const char* from, const char* to) noexcept {
  diffreward::killed_here();
  if (diffreward::before_rename) diffreward::before_rename(to);
  return static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}
int link(const char* from, const char* to) noexcept {
  diffreward::killed_here();
  if (diffreward::before_link) diffreward::before_link(to);
  const auto result = static_cast<int>(::syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0));
  const int cause = errno;
  if (diffreward::after_link) diffreward::after_link(to);
  errno = cause;
  return result;
}
int unlink(const char* path) noexcept {
  diffreward::killed_here();
  return static_cast<int>(::syscall(SYS_unlinkat, AT_FDCWD, path, 0));
}
int mkdir(const char* path, mode_t mode) noexcept {
  diffreward::killed_here();
  return static_cast<int>(::syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}
int remove(const char* path) noexcept {
  diffreward::killed_here();
  if (::syscall(SYS_unlinkat, AT_FDCWD, path, 0) == 0) return 0;
  return static_cast<int>(::syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR));
}
int unlinkat(int folder, const char* path, int flags) noexcept {
  diffreward::killed_here();
  return static_cast<int>(::syscall(SYS_unlinkat, folder, path, flags));
}
}
