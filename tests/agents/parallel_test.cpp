// What wait_briefly() may cost a process.
#include "agents/parallel.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <thread>
#include <vector>

namespace diffreward {
namespace {

std::ptrdiff_t tasks() {
  const std::filesystem::directory_iterator all("/proc/self/task");
  return std::distance(begin(all), end(all));
}

double sum_of_a_loop() {
  std::vector<double> values(64);
  parallel_each(values.size(), [&](std::size_t i) { values[i] = double(i); });
  return std::accumulate(values.begin(), values.end(), 0.0);
}

// One test, because the process has only one start.
TEST(WaitBriefly, AddsAFewSleepingThreadsOnceAndForksStillWork) {
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  if (cores < 2) GTEST_SKIP() << "one core: nobody waits";
  at::set_num_threads(1);
  const std::ptrdiff_t before = tasks();
  wait_briefly();
  EXPECT_EQ(tasks(), before) << "one thread waits for nobody";
  at::set_num_threads(cores);
  ::setenv("GOMP_SPINCOUNT", "1000", 1);
  wait_briefly();
  EXPECT_EQ(tasks(), before) << "the user's own choice";
  ::unsetenv("GOMP_SPINCOUNT");
  wait_briefly();
  const std::ptrdiff_t after = tasks();
  EXPECT_GT(after, before);
  EXPECT_LE(after, before + 5);
  wait_briefly();
  EXPECT_EQ(tasks(), after);
  EXPECT_EQ(sum_of_a_loop(), 64 * 63 / 2);
  const pid_t child = ::fork();
  if (child == 0) {
    at::set_num_threads(1);  // OpenMP's teams do not survive a fork
    wait_briefly();
    ::_exit(sum_of_a_loop() == 64 * 63 / 2 ? 0 : 1);
  }
  int status = 1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace diffreward
