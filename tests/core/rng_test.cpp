#include "core/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

namespace diffreward {
namespace {

std::vector<std::uint32_t> block(std::uint64_t seed, std::uint64_t stream, std::uint64_t position = 0) {
  Rng rng;
  rng.set_state({seed, stream, position});
  std::vector<std::uint32_t> out;
  for (int i = 0; i < 4; ++i) out.push_back(rng());
  return out;
}

// Random123's known answers of philox4x32-10. A counter is (position / 4, stream), a key is the seed.
TEST(Rng, GivesTheKnownAnswersOfPhilox) {
  EXPECT_EQ(block(0, 0), (std::vector<std::uint32_t>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  // Counter 243f6a88 05a308d3 13198a2e 03707344, key a4093822 299f31d0, by an independent implementation that
  // gives Random123's three vectors; their own counters with the top bits set are beyond the reach of a
  // position.
  EXPECT_EQ(block(0x299f31d0a4093822, 0x0370734413198a2e, std::uint64_t{0x05a308d3243f6a88} << 2),
            (std::vector<std::uint32_t>{0x2fe11a02, 0x572a2f27, 0x2f88763b, 0x78d5e325}));
}

TEST(Rng, StreamsAndSeedsDiffer) {
  EXPECT_NE(block(0, 0), block(0, 1));
  EXPECT_NE(block(0, 0), block(1, 0));
  EXPECT_NE(block(0, std::uint64_t{1} << 40), block(0, 0));
  EXPECT_NE(block(std::uint64_t{1} << 40, 0), block(0, 0));
}

TEST(Rng, StateResumesInsideABlock) {
  for (int skip = 0; skip < 9; ++skip) {
    Rng rng({5, 6});
    for (int i = 0; i < skip; ++i) rng();
    Rng other;
    other.set_state(rng.state());
    for (int i = 0; i < 9; ++i) ASSERT_EQ(rng(), other()) << "after " << skip;
  }
}

TEST(Rng, UniformHasTheRightMoments) {
  Rng rng(1);
  const int n = 1'000'000;
  double sum = 0, squares = 0, low = 1, high = 0;
  for (int i = 0; i < n; ++i) {
    const double x = rng.uniform();
    sum += x;
    squares += x * x;
    low = std::min(low, x);
    high = std::max(high, x);
  }
  // Five standard errors: sqrt(1 / 12 / n) and sqrt(4 / 45 / n).
  EXPECT_NEAR(sum / n, 0.5, 5 * std::sqrt(1.0 / 12 / n));
  EXPECT_NEAR(squares / n, 1.0 / 3, 5 * std::sqrt(4.0 / 45 / n));
  EXPECT_GE(low, 0);
  EXPECT_LT(high, 1);
  EXPECT_LT(low, 1e-5);
  EXPECT_GT(high, 1 - 1e-5);
}

TEST(Rng, NormalHasTheRightMoments) {
  Rng rng(2);
  const int n = 1'000'000;
  double moments[5] = {};
  for (int i = 0; i < n; ++i) {
    const double x = rng.normal();
    double power = 1;
    for (double& moment : moments) {
      moment += power;
      power *= x;
    }
  }
  EXPECT_NEAR(moments[1] / n, 0, 5 * std::sqrt(1.0 / n));
  EXPECT_NEAR(moments[2] / n, 1, 5 * std::sqrt(2.0 / n));
  EXPECT_NEAR(moments[3] / n, 0, 5 * std::sqrt(15.0 / n));
  EXPECT_NEAR(moments[4] / n, 3, 5 * std::sqrt(96.0 / n));
}

TEST(Rng, NormalsFillPiecesOfFourAlikeAndHaveTheRightMoments) {
  const std::size_t n = 1'000'000;
  std::vector<float> whole(n), pieces(n);
  Rng rng(4), other(4);
  rng.normals(whole);
  for (std::size_t at = 0, size = 4; at < n; at += size, size = std::min<std::size_t>(size + 4, n - at))
    other.normals(std::span(pieces).subspan(at, size));
  EXPECT_EQ(whole, pieces);
  EXPECT_EQ(rng.state(), other.state());
  double moments[5] = {}, product = 0;
  float largest = 0;
  for (std::size_t i = 0; i < n; ++i) {
    double power = 1;
    for (double& moment : moments) {
      moment += power;
      power *= double{whole[i]};
    }
    if (i % 2 == 1) product += double{whole[i - 1]} * double{whole[i]};  // of the two that share a radius
    largest = std::max(largest, std::abs(whole[i]));
  }
  const double size = double(n);
  EXPECT_NEAR(moments[1] / size, 0, 5 * std::sqrt(1.0 / size));
  EXPECT_NEAR(moments[2] / size, 1, 5 * std::sqrt(2.0 / size));
  EXPECT_NEAR(moments[3] / size, 0, 5 * std::sqrt(15.0 / size));
  EXPECT_NEAR(moments[4] / size, 3, 5 * std::sqrt(96.0 / size));
  EXPECT_NEAR(product / size * 2, 0, 5 * std::sqrt(2.0 / size));
  EXPECT_GT(largest, 4.2f);  // about 1 - exp(-27) of a million
  EXPECT_LT(largest, 6.8f);
}

TEST(Rng, NormalsBeginAtTheNextBlock) {
  Rng rng(5), fresh(5);
  rng();
  std::vector<float> a(3), b(3);
  rng.normals(a);
  fresh.jump(4);
  fresh.normals(b);
  EXPECT_EQ(a, b);
  EXPECT_EQ(rng.state()[2], 8u);
}

// Every purpose, three neighbouring seeds, some groups and indices at the ends of their ranges.
TEST(Streams, ShareNoBlock) {
  const std::uint64_t last_group = (1u << 24) - 1, last_index = 0xffffffffu;
  std::set<std::vector<std::uint32_t>> blocks;
  std::size_t drawn = 0;
  for (int purpose = 0; purpose < int(Purpose::kCount); ++purpose)
    for (const std::uint64_t seed : {0, 1, 2})
      for (const std::uint64_t group : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{2}, last_group})
        for (const std::uint64_t index :
             {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{511}, last_index}) {
          const Seed name = Streams(Purpose(purpose), seed, group)[index];
          blocks.insert(block(name.value, name.stream));
          ++drawn;
        }
  EXPECT_EQ(blocks.size(), drawn);
}

TEST(Streams, AnIntegerNamesABatch) {
  EXPECT_EQ(Streams(7)[3], Streams(Purpose::kInstances, 7)[3]);
  EXPECT_NE(Streams(7)[0], Seed(7))
      << "a caller's generator draws actions, maybe, while the batch draws starts";
  EXPECT_EQ(Streams(Purpose::kEvaluation, 7, 1).skip(2).skip(1)[0], Streams(Purpose::kEvaluation, 7, 1)[3]);
}

TEST(Rng, BelowIsUniformOverItsRange) {
  Rng rng(3);
  const int n = 700'000;
  std::vector<int> counts(7);
  for (int i = 0; i < n; ++i) ++counts[rng.below(7)];
  double chi_squared = 0;
  for (const int count : counts) chi_squared += (count - n / 7.0) * (count - n / 7.0) / (n / 7.0);
  EXPECT_LT(chi_squared, 27.9);  // 99.99 % quantile with 6 degrees of freedom
  EXPECT_EQ(rng.below(1), 0u);
}

}  // namespace
}  // namespace diffreward
