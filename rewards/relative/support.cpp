#include "rewards/relative/support.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace diffreward {
namespace {

constexpr int kNeighbours = 8;

float window_distance(const KdTree& rows, std::span<const float> window) {
  float largest = 0;
  for (std::size_t at = 0; at < window.size(); at += rows.dim())
    largest = std::max(largest, rows.distance(window.subspan(at, rows.dim()), kNeighbours));
  return largest;
}

}  // namespace

SupportModel::SupportModel(KdTree rows, std::vector<float> held_out)
    : rows_(std::move(rows)), held_out_(std::move(held_out)) {
  require(!held_out_.empty(), "support: expected distances of held-out windows, got none");
  for (const float distance : held_out_)
    require(std::isfinite(distance) && distance >= 0, "support: expected finite distances, got ", distance);
  std::ranges::sort(held_out_);
}

SupportModel SupportModel::fit(KdTree rows, std::span<const float> windows, std::size_t horizon) {
  const std::size_t size = horizon * rows.dim();
  std::vector<float> distances;
  for (std::size_t at = 0; at + size <= windows.size(); at += size)
    distances.push_back(window_distance(rows, windows.subspan(at, size)));
  return {std::move(rows), std::move(distances)};
}

double SupportModel::p_value(std::span<const float> window) const {
  const float distance = window_distance(rows_, window);
  const auto at_least = held_out_.end() - std::ranges::lower_bound(held_out_, distance);
  return (1.0 + static_cast<double>(at_least)) / (1.0 + static_cast<double>(held_out_.size()));
}

}  // namespace diffreward
