// Mean and variance of a stream of rows, and what PPO scales with them: observations and rewards.
//
// Batches are merged by Chan, Golub and LeVeque's update ("Algorithms for computing the sample variance",
// 1983), which stays exact where the textbook sum of squares cancels.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace diffreward {

class RunningStatistics {
 public:
  explicit RunningStatistics(std::size_t size) : mean_(size, 0.0), squares_(size, 0.0) {}

  std::size_t size() const { return mean_.size(); }
  double count() const { return count_; }
  double mean(std::size_t column) const { return mean_[column]; }
  /// Population variance; 1 before the first row.
  double variance(std::size_t column) const { return count_ > 0 ? squares_[column] / count_ : 1.0; }

  /// Adds rows [n, size].
  void update(std::span<const double> rows) {
    const std::size_t columns = size(), n = rows.size() / columns;
    if (n == 0) return;
    const double added = static_cast<double>(n), total = count_ + added;
    for (std::size_t c = 0; c < columns; ++c) {
      double sum = 0, squares = 0;
      for (std::size_t i = 0; i < n; ++i) sum += rows[i * columns + c];
      const double batch_mean = sum / added, difference = batch_mean - mean_[c];
      for (std::size_t i = 0; i < n; ++i) {
        const double deviation = rows[i * columns + c] - batch_mean;
        squares += deviation * deviation;
      }
      squares_[c] += squares + difference * difference * count_ * added / total;
      mean_[c] += difference * added / total;
    }
    count_ = total;
  }

  /// count, means [size], sums of squared deviations [size].
  std::vector<double> state() const {
    std::vector<double> out{count_};
    out.insert(out.end(), mean_.begin(), mean_.end());
    out.insert(out.end(), squares_.begin(), squares_.end());
    return out;
  }
  void set_state(std::span<const double> state) {
    count_ = state[0];
    std::copy_n(state.begin() + 1, size(), mean_.begin());
    std::copy_n(state.begin() + 1 + static_cast<std::ptrdiff_t>(size()), size(), squares_.begin());
  }

 private:
  double count_ = 0;
  std::vector<double> mean_, squares_;  // [size]
};

/// The running deviation of the discounted return, R <- gamma R + r, over all instances. Dividing rewards by
/// it gives values of order one whatever the task pays.
class ReturnDeviation {
 public:
  ReturnDeviation() : statistics_(1) {}

  /// All instances start an episode.
  void restart(std::size_t n) { returns_.assign(n, 0.0); }

  /// One decision of all instances; `ended` starts the instance's return afresh.
  void update(std::span<const float> reward, std::span<const std::uint8_t> ended, double gamma) {
    for (std::size_t i = 0; i < returns_.size(); ++i) returns_[i] = gamma * returns_[i] + double{reward[i]};
    statistics_.update(returns_);
    for (std::size_t i = 0; i < returns_.size(); ++i)
      if (ended[i]) returns_[i] = 0;
  }

  double value() const { return std::sqrt(statistics_.variance(0) + 1e-8); }
  RunningStatistics& statistics() { return statistics_; }
  const RunningStatistics& statistics() const { return statistics_; }
  std::vector<double>& running() { return returns_; }  // [n]
  const std::vector<double>& running() const { return returns_; }

 private:
  RunningStatistics statistics_;
  std::vector<double> returns_;  // [n]
};

}  // namespace diffreward
