// Exact nearest neighbours in a few dimensions: nanoflann's k-d tree behind a small face.
#pragma once

#include <memory>
#include <span>
#include <vector>

namespace diffreward {

class KdTree {
 public:
  /// points: [n, dim], n and dim at least 1. Throws InvalidArgument for other sizes and for values that are
  /// not finite.
  KdTree(std::vector<float> points, std::size_t dim);

  std::size_t size() const;
  std::size_t dim() const;
  const std::vector<float>& points() const;  ///< [n, dim]

  /// Euclidean distance from `query` [dim] to its k-th nearest point (the farthest one where there are fewer
  /// than k); infinite for a query that is not finite. Safe from several threads.  1 <= k <= kMostNeighbours
  float distance(std::span<const float> query, int k) const;
  static constexpr int kMostNeighbours = 32;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;  // copies share one tree
};

}  // namespace diffreward
