#include "rewards/relative/kd_tree.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nanoflann.hpp>
#include <utility>

#include "core/error.h"

namespace diffreward {
namespace {

/// What nanoflann asks of a set of points.
struct Points {
  std::vector<float> values;  // [n, dim]
  std::size_t dim;

  std::size_t kdtree_get_point_count() const { return values.size() / dim; }
  float kdtree_get_pt(std::size_t point, std::size_t axis) const { return values[point * dim + axis]; }
  template <class Box>
  bool kdtree_get_bbox(Box&) const {
    return false;
  }
};

using Index = nanoflann::KDTreeSingleIndexAdaptor<nanoflann::L2_Simple_Adaptor<float, Points>, Points, -1,
                                                  std::uint32_t>;

Points checked(std::vector<float> values, std::size_t dim) {
  require(dim > 0 && !values.empty() && values.size() % dim == 0, "k-d tree: expected rows of ", dim,
          " numbers, got ", values.size(), " numbers");
  for (const float x : values) require(std::isfinite(x), "k-d tree: expected finite numbers, got ", x);
  return {std::move(values), dim};
}

}  // namespace

struct KdTree::Impl {
  Impl(std::vector<float> values, std::size_t dim)
      : points(checked(std::move(values), dim)), index(static_cast<int>(dim), points) {}
  Points points;
  Index index;  // refers to the points
};

KdTree::KdTree(std::vector<float> points, std::size_t dim)
    : impl_(std::make_shared<const Impl>(std::move(points), dim)) {}

std::size_t KdTree::size() const {
  return impl_->points.kdtree_get_point_count();
}
std::size_t KdTree::dim() const {
  return impl_->points.dim;
}
const std::vector<float>& KdTree::points() const {
  return impl_->points.values;
}

float KdTree::distance(std::span<const float> query, int k) const {
  require(query.size() == dim(), "k-d tree: expected a query of ", dim(), " numbers, got ", query.size());
  require(k >= 1 && k <= kMostNeighbours, "k-d tree: expected 1 to ", kMostNeighbours, " neighbours, got ",
          k);
  if (!std::ranges::all_of(query, [](float x) { return std::isfinite(x); }))
    return std::numeric_limits<float>::infinity();
  std::array<std::uint32_t, kMostNeighbours> nearest{};
  std::array<float, kMostNeighbours> squared{};
  const auto found =
      impl_->index.knnSearch(query.data(), static_cast<std::size_t>(k), nearest.data(), squared.data());
  return std::sqrt(squared[found - 1]);
}

}  // namespace diffreward
