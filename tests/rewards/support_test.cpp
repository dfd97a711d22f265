#include "rewards/relative/support.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/rng.h"

namespace diffreward {
namespace {

std::vector<float> normals(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> out(n);
  for (float& x : out) x = static_cast<float>(rng.normal());
  return out;
}

float brute_force(const std::vector<float>& points, std::size_t dim, std::span<const float> query, int k) {
  std::vector<float> distances;
  for (std::size_t at = 0; at < points.size(); at += dim) {
    float squared = 0;
    for (std::size_t a = 0; a < dim; ++a)
      squared += (points[at + a] - query[a]) * (points[at + a] - query[a]);
    distances.push_back(squared);
  }
  std::ranges::sort(distances);
  return std::sqrt(distances[std::min(static_cast<std::size_t>(k), distances.size()) - 1]);
}

TEST(KdTree, FindsTheSameNeighboursAsLookingAtAllPoints) {
  for (const std::size_t dim : {1u, 2u, 6u})
    for (const std::size_t n : {1u, 7u, 8u, 9u, 500u}) {
      std::vector<float> points = normals(n * dim, dim + n);
      for (std::size_t i = 0; i < n / 2 * dim; ++i)
        points[i] = std::round(points[i]);  // many equal coordinates
      const KdTree tree(points, dim);
      const std::vector<float> queries = normals(50 * dim, 99);
      for (std::size_t q = 0; q < 50; ++q)
        for (const int k : {1, 3, KdTree::kMostNeighbours}) {
          const auto query = std::span(queries).subspan(q * dim, dim);
          EXPECT_EQ(tree.distance(query, k), brute_force(points, dim, query, k))
              << dim << ' ' << n << ' ' << k;
        }
    }
}

TEST(KdTree, EqualPointsAndBadInput) {
  const KdTree tree(std::vector<float>(200, 0.5f), 2);
  EXPECT_EQ(tree.distance(std::vector<float>{0.5f, 1.5f}, 8), 1.0f);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(tree.distance(std::vector<float>{nan, 0}, 1), std::numeric_limits<float>::infinity());
  EXPECT_THROW(tree.distance(std::vector<float>{0}, 1), InvalidArgument);
  EXPECT_THROW(tree.distance(std::vector<float>{0, 0}, 0), InvalidArgument);
  EXPECT_THROW(KdTree({}, 2), InvalidArgument);
  EXPECT_THROW(KdTree({1, 2, 3}, 2), InvalidArgument);
  EXPECT_THROW(KdTree({1, nan}, 2), InvalidArgument);
}

class Support : public ::testing::TestWithParam<std::size_t> {};  // rows of a window

TEST_P(Support, PValuesAreUniformOnHeldOutDataAndSmallOutside) {
  const std::size_t horizon = GetParam(), n = 2000;
  const SupportModel support =
      SupportModel::fit(KdTree(normals(8192 * 2, 1), 2), normals(n * horizon * 2, 2), horizon);
  const std::vector<float> fresh = normals(n * horizon * 2, 3);
  std::vector<double> p;
  for (std::size_t i = 0; i < n; ++i)
    p.push_back(support.p_value(std::span(fresh).subspan(i * horizon * 2, horizon * 2)));
  std::ranges::sort(p);
  double largest_gap = 0;  // Kolmogorov-Smirnov; 0.061 is its 0.1 % critical value for two samples of 2000
  for (std::size_t i = 0; i < n; ++i)
    largest_gap = std::max(largest_gap, std::abs(p[i] - (static_cast<double>(i) + 0.5) / double(n)));
  EXPECT_LT(largest_gap, 0.061);

  std::vector<float> window(fresh.begin(), fresh.begin() + static_cast<std::ptrdiff_t>(horizon * 2));
  window[window.size() - 1] = 10;  // one row far outside
  EXPECT_EQ(support.p_value(window), 1 / (1 + double(n)));
  window.back() = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(support.p_value(window), 1 / (1 + double(n)));
}
INSTANTIATE_TEST_SUITE_P(Rows, Support, ::testing::Values(1, 4));

TEST(Support, RefusesDistancesThatAreNone) {
  const KdTree rows(normals(200, 1), 2);
  EXPECT_THROW(SupportModel(rows, {}), InvalidArgument);
  EXPECT_THROW(SupportModel(rows, {0.1f, -1.0f}), InvalidArgument);
  EXPECT_THROW(SupportModel(rows, {std::numeric_limits<float>::infinity()}), InvalidArgument);
}

}  // namespace
}  // namespace diffreward
