#include "datasets/windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/core/temporary_folder.h"
#include "tests/datasets/sample_data.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;

Dataset sample() {
  return Dataset::from_columns(sample_columns(), sample_provenance());
}

std::vector<float> window(const WindowSampler& windows, std::size_t index) {
  std::vector<float> out(static_cast<std::size_t>(windows.layout().size()));
  windows.copy(index, out);
  return out;
}

/// Episode lengths of the sample are 5, 1 and 4.
TEST(Windows, CountWhatLiesInOneEpisode) {
  const auto count = [](int horizon, int stride, bool pad) {
    return WindowSampler(sample(), {horizon, stride, 2, 4}, pad).count();
  };
  EXPECT_EQ(count(1, 1, false), 10u);
  EXPECT_EQ(count(2, 1, false), 4u + 0 + 3);
  EXPECT_EQ(count(4, 1, false), 2u + 0 + 1);
  EXPECT_EQ(count(2, 3, false), 2u + 0 + 1);
  EXPECT_EQ(count(3, 2, false), 1u);
  EXPECT_EQ(count(4, 1, true), 10u);
  EXPECT_THAT(message_of<InvalidArgument>([&] { count(6, 1, false); }),
              HasSubstr("expected an episode of at least 6 steps (horizon 6, stride 1), the longest has 5"));
}

TEST(Windows, AreContiguousRowsStrideApartInOneEpisode) {
  const Dataset data = sample();
  for (const int stride : {1, 2, 3}) {
    const WindowSampler windows(data, {2, stride, 2, 4}, false);
    std::set<std::size_t> starts;
    for (std::size_t i = 0; i < windows.count(); ++i) {
      const std::size_t row = windows.row(i);
      const Episode& episode = data.episodes()[windows.episode(i)];
      starts.insert(row);
      EXPECT_GE(row, episode.begin);
      EXPECT_LT(row + static_cast<std::size_t>(stride), episode.end);
      const std::vector<float> out = window(windows, i);
      for (std::size_t k = 0; k < 2; ++k) {
        const std::size_t at = row + k * static_cast<std::size_t>(stride);
        EXPECT_TRUE(std::equal(out.begin() + std::ptrdiff_t(6 * k), out.begin() + std::ptrdiff_t(6 * k + 2),
                               data.actions().begin() + std::ptrdiff_t(2 * at)));
        EXPECT_TRUE(std::equal(out.begin() + std::ptrdiff_t(6 * k + 2),
                               out.begin() + std::ptrdiff_t(6 * k + 6),
                               data.observations().begin() + std::ptrdiff_t(4 * at)));
      }
    }
    EXPECT_EQ(starts.size(), windows.count()) << "each window once";
  }
}

TEST(Windows, PaddingRepeatsTheLastObservationWithZeroActions) {
  const Dataset data = sample();
  const WindowSampler windows(data, {4, 2, 2, 4}, true);
  const std::vector<float> out = window(windows, 3);  // rows 3, then past row 4
  EXPECT_EQ(windows.row(3), 3u);
  EXPECT_EQ(out[0], data.actions()[6]);
  EXPECT_EQ(out[2], data.observations()[12]);
  for (const std::size_t k : {1u, 2u, 3u}) {
    EXPECT_EQ(out[6 * k], 0);
    EXPECT_EQ(out[6 * k + 1], 0);
    EXPECT_EQ(out[6 * k + 2], data.observations()[16]);
  }
}

TEST(Windows, MayHoldObservationsOnly) {
  const Dataset data = sample();
  const WindowSampler windows(data, {2, 1, 0, 4}, false);
  const std::vector<float> out = window(windows, 0);
  EXPECT_TRUE(std::equal(out.begin(), out.end(), data.observations().begin()));
}

TEST(Windows, SampleDrawsEachWindowEquallyOften) {
  const Dataset data = sample();
  const WindowSampler windows(data, {2, 1, 0, 4}, false);
  Rng rng(1), again(1);
  const std::size_t n = 7'000;
  std::vector<float> out(n * 8), other(n * 8);
  windows.sample(rng, out);
  windows.sample(again, other);
  EXPECT_EQ(out, other);
  std::vector<int> counts(windows.count());
  for (std::size_t i = 0; i < n; ++i) {
    const std::vector<float> drawn(out.begin() + std::ptrdiff_t(8 * i),
                                   out.begin() + std::ptrdiff_t(8 * i + 8));
    for (std::size_t w = 0; w < windows.count(); ++w) counts[w] += drawn == window(windows, w);
  }
  const double expected = double(n) / double(windows.count());
  double chi_squared = 0;
  for (const int count : counts) chi_squared += (count - expected) * (count - expected) / expected;
  EXPECT_LT(chi_squared, 27.9);  // 99.99 % quantile with 6 degrees of freedom
}

TEST(Windows, RefuseWrongUse) {
  const Dataset data = sample();
  EXPECT_THROW(WindowSampler(data, {0, 1, 2, 4}, false), InvalidArgument);
  EXPECT_THROW(WindowSampler(data, {1, 0, 2, 4}, false), InvalidArgument);
  EXPECT_THAT(message_of<InvalidArgument>([&] {
                WindowSampler(data, {1, 1, 3, 4}, false);
              }),
              HasSubstr("3 action columns, got 2"));
  EXPECT_THROW(WindowSampler(data, {1, 1, 2, 5}, false), InvalidArgument);
  const WindowSampler windows(data, {2, 1, 2, 4}, false);
  std::vector<float> out(12), less(11);
  EXPECT_THROW(windows.copy(windows.count(), out), InvalidArgument);
  EXPECT_THROW(windows.copy(0, less), InvalidArgument);
  Rng rng(0);
  EXPECT_THROW(windows.sample(rng, less), InvalidArgument);
}

TEST(Split, PartitionsEpisodes) {
  const Dataset data = sample();
  for (const std::uint64_t seed : {0, 1, 2}) {
    const Split split = split_episodes(data, 0.3, seed);
    EXPECT_EQ(split.test.size(), 1u);
    std::vector<std::size_t> all = split.train;
    all.insert(all.end(), split.test.begin(), split.test.end());
    std::sort(all.begin(), all.end());
    EXPECT_EQ(all, (std::vector<std::size_t>{0, 1, 2}));
    EXPECT_EQ(split_episodes(data, 0.3, seed).test, split.test);
  }
  EXPECT_EQ(split_episodes(data, 0, 0).train.size(), 3u);
  EXPECT_EQ(split_episodes(data, 0.01, 0).test.size(), 1u);  // never an empty part
  EXPECT_EQ(split_episodes(data, 0.99, 0).train.size(), 1u);
  EXPECT_THROW(split_episodes(data, 1, 0), InvalidArgument);
}

TEST(Split, SelectsWholeEpisodes) {
  const Dataset data = sample();
  const std::vector<std::size_t> chosen = {2, 1};
  const Dataset part = select_episodes(data, chosen);
  ASSERT_EQ(part.size(), 5u);
  ASSERT_EQ(part.episodes().size(), 2u);
  EXPECT_TRUE(part.episodes()[1].terminated);
  EXPECT_EQ(part.observations()[0], data.observations()[24]);
  EXPECT_EQ(part.info("goal")[8], data.info("goal")[10]);
  EXPECT_EQ(part.provenance().env, data.provenance().env);
  EXPECT_THROW(select_episodes(data, std::vector<std::size_t>{3}), InvalidArgument);
}

}  // namespace
}  // namespace diffreward
