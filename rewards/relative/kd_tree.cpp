#include "rewards/relative/kd_tree.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/error.h"

namespace diffreward {
namespace {

constexpr std::uint32_t kBucket = 8;
constexpr float kInfinite = std::numeric_limits<float>::infinity();

}  // namespace

struct KdTree::Search {
  const float* query;
  int k;
  int found = 0;
  std::array<float, kMostNeighbours> nearest{};  // squared distances, ascending

  float worst() const { return found < k ? kInfinite : nearest[static_cast<std::size_t>(k) - 1]; }
  void offer(float squared) {
    if (squared >= worst()) return;
    if (found < k) ++found;
    auto at = static_cast<std::size_t>(found) - 1;
    for (; at > 0 && nearest[at - 1] > squared; --at) nearest[at] = nearest[at - 1];
    nearest[at] = squared;
  }
};

KdTree::KdTree(std::vector<float> points, std::size_t dim) : dim_(dim) {
  require(dim > 0 && !points.empty() && points.size() % dim == 0,
          "nearest neighbours: expected whole points of ", dim, " numbers, got ", points.size(), " numbers");
  for (std::size_t i = 0; i < points.size(); ++i)
    require(std::isfinite(points[i]), "nearest neighbours: point ", i / dim,
            ": expected a finite number, got ", points[i]);
  points_ = std::move(points);
  std::vector<std::uint32_t> order(size());
  std::iota(order.begin(), order.end(), 0u);
  build(order, 0, static_cast<std::uint32_t>(order.size()));
  std::vector<float> sorted(points_.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    std::copy_n(points_.data() + order[i] * dim_, dim_, sorted.data() + i * dim_);
  points_ = std::move(sorted);
}

std::uint32_t KdTree::build(std::vector<std::uint32_t>& order, std::uint32_t begin, std::uint32_t end) {
  const auto node = static_cast<std::uint32_t>(nodes_.size());
  nodes_.push_back({begin, end, 0, -1, 0});
  if (end - begin <= kBucket) return node;
  int axis = 0;
  float widest = -1;
  for (std::size_t a = 0; a < dim_; ++a) {
    float low = kInfinite, high = -kInfinite;
    for (std::uint32_t i = begin; i < end; ++i) {
      const float x = points_[order[i] * dim_ + a];
      low = std::min(low, x);
      high = std::max(high, x);
    }
    if (high - low > widest) {
      widest = high - low;
      axis = static_cast<int>(a);
    }
  }
  const auto value = [&](std::uint32_t point) {
    return points_[point * dim_ + static_cast<std::size_t>(axis)];
  };
  const std::uint32_t middle = begin + (end - begin) / 2;
  std::nth_element(order.begin() + begin, order.begin() + middle, order.begin() + end,
                   [&](std::uint32_t a, std::uint32_t b) { return value(a) < value(b); });
  const float split = value(order[middle]);
  build(order, begin, middle);
  const std::uint32_t right = build(order, middle, end);
  nodes_[node] = {begin, end, right, axis, split};
  return node;
}

float KdTree::distance(std::span<const float> query, int k) const {
  require(query.size() == dim_ && k >= 1 && k <= kMostNeighbours, "nearest neighbours: expected ", dim_,
          " numbers and 1 to ", kMostNeighbours, " neighbours, got ", query.size(), " and ", k);
  for (const float x : query)
    if (!std::isfinite(x)) return kInfinite;
  Search search{query.data(), static_cast<int>(std::min<std::size_t>(static_cast<std::size_t>(k), size()))};
  visit(0, search);
  return std::sqrt(search.worst());
}

void KdTree::visit(std::uint32_t index, Search& search) const {
  const Node& node = nodes_[index];
  if (node.axis < 0) {
    const float* point = points_.data() + node.begin * dim_;
    for (std::uint32_t i = node.begin; i < node.end; ++i, point += dim_) {
      float squared = 0;
      for (std::size_t a = 0; a < dim_; ++a)
        squared += (point[a] - search.query[a]) * (point[a] - search.query[a]);
      search.offer(squared);
    }
    return;
  }
  const float beyond = search.query[node.axis] - node.split;
  visit(beyond < 0 ? index + 1 : node.right, search);
  if (beyond * beyond < search.worst()) visit(beyond < 0 ? node.right : index + 1, search);
}

}  // namespace diffreward
