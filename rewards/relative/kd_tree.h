// Exact nearest neighbours in a few dimensions (Bentley 1975): points split at the median of the widest axis
// down to buckets, searched depth first.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace diffreward {

class KdTree {
 public:
  /// points: [n, dim], n and dim at least 1. Throws InvalidArgument for other sizes and for values that are
  /// not finite.
  KdTree(std::vector<float> points, std::size_t dim);

  std::size_t size() const { return points_.size() / dim_; }
  std::size_t dim() const { return dim_; }
  /// The points in the tree's own order, [n, dim].
  const std::vector<float>& points() const { return points_; }

  /// Euclidean distance from `query` [dim] to its k-th nearest point (the farthest one where there are fewer
  /// than k); infinite for a query that is not finite. Safe from several threads.  1 <= k <= kMostNeighbours
  float distance(std::span<const float> query, int k) const;
  static constexpr int kMostNeighbours = 32;

 private:
  struct Node {
    std::uint32_t begin, end;  // points of a leaf
    std::uint32_t right;       // the left child is the next node
    int axis;                  // -1: a leaf
    float split;
  };
  struct Search;
  std::uint32_t build(std::vector<std::uint32_t>& order, std::uint32_t begin, std::uint32_t end);
  void visit(std::uint32_t node, Search& search) const;

  std::size_t dim_;
  std::vector<float> points_;
  std::vector<Node> nodes_;
};

}  // namespace diffreward
