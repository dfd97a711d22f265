// OpenMP's threads in this project's executables (agents/openmp_wait.c).
#include "agents/parallel.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <numeric>
#include <thread>
#include <vector>

namespace diffreward {
namespace {

double sum_of_a_loop() {
  std::vector<double> values(64);
  parallel_each(values.size(), [&](std::size_t i) { values[i] = double(i); });
  return std::accumulate(values.begin(), values.end(), 0.0);
}

double processor_milliseconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return 1e3 * double(time.tv_sec) + 1e-6 * double(time.tv_nsec);
}

TEST(OpenMp, ThreadsThatWaitForALoopSoonSleep) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "one core: nobody waits";
  ASSERT_NE(std::getenv("GOMP_SPINCOUNT"), nullptr)
      << "the library was not linked, or OMP_WAIT_POLICY is set";
  at::set_num_threads(2);
  double least = 1e9;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(sum_of_a_loop(), 64 * 63 / 2);
    const double begin = processor_milliseconds();
    ::usleep(50'000);
    least = std::min(least, processor_milliseconds() - begin);
  }
  EXPECT_LT(least, 1) << "libgomp's default takes 3 to 12 ms";
}

}  // namespace
}  // namespace diffreward
