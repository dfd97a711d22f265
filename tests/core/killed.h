// Processes of a test that are killed at a chosen place: before each call by which a name appears or vanishes in the file
// system (rename, link, unlink, mkdir, remove, unlinkat), which killed.cpp puts in the place of libc's.
#pragma once

#include <sys/types.h>

#include <functional>

namespace diffreward {

/// Called with the name before and after each link() and before each rename() of this process, where set.
extern std::function<void(const char*to)> before_link, after_link, before_rename;

/// Runs `work` in a process of its own, which ends with what it returns, or with 1 where it throws.
pid_t start_process(const std::function<int()>& work);
/// Waits for a process; its exit code, or minus the signal that ended it.
int end_of(pid_t process);

/// Runs `body` in a process that is killed by SIGKILL before its first, second, ... such call, until it comes through;
/// `check` looks at what is left each time. Both are told which call. Returns how many were killed.
int killed_everywhere(const std::function<void(int call)>& body, const std::function<void(int call)>& check);

}  // namespace diffreward
