#include "core/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace diffreward {
namespace {

TEST(ThreadPool, CoversEachIndexOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const std::size_t n : {0u, 1u, 2u, 7u, 64u, 1001u}) {
      std::vector<std::atomic<int>> visits(n);
      pool.parallel_for(n, [&](std::size_t begin, std::size_t end) {
        ASSERT_LT(begin, end);
        for (std::size_t i = begin; i < end; ++i) ++visits[i];
      });
      for (std::size_t i = 0; i < n; ++i)
        ASSERT_EQ(visits[i], 1) << i << " of " << n << ", " << threads << " threads";
    }
  }
}

TEST(ThreadPool, GivesEqualResultsForAnyNumberOfThreads) {
  const auto compute = [](int threads) {
    ThreadPool pool(threads);
    std::vector<double> out(999);
    for (int round = 0; round < 20; ++round)
      pool.parallel_for(out.size(), [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i) out[i] = std::sin(out[i] + double(i) + round);
      });
    return out;
  };
  const std::vector<double> one = compute(1);
  for (const int threads : {2, 3, 8}) EXPECT_EQ(compute(threads), one);
}

TEST(ThreadPool, RethrowsAfterAllRangesEndedAndWorksAgain) {
  for (const int threads : {1, 2, 8}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 50; ++round) {
      std::atomic<int> inside{0};
      EXPECT_THROW(pool.parallel_for(100,
                                     [&](std::size_t begin, std::size_t end) {
                                       ++inside;
                                       const bool fails = begin <= 42 && 42 < end;
                                       --inside;
                                       if (fails) throw std::runtime_error("42");
                                     }),
                   std::runtime_error);
      EXPECT_EQ(inside, 0);
      std::atomic<std::size_t> sum{0};
      pool.parallel_for(100, [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i) sum += i;
      });
      ASSERT_EQ(sum, 4950u);
    }
  }
}

TEST(ThreadPool, SurvivesManyShortLoops) {
  ThreadPool pool(4);
  std::vector<int> counts(16);
  for (int round = 0; round < 20'000; ++round)
    pool.parallel_for(counts.size(), [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) ++counts[i];
    });
  EXPECT_EQ(counts, std::vector<int>(16, 20'000));
}

TEST(ThreadPool, CountsTheMachinesThreadsForZero) {
  EXPECT_GE(ThreadPool(0).threads(), 1);
}

}  // namespace
}  // namespace diffreward
