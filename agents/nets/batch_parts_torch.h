// A batch in parts: its gradient is the sum of theirs, in their order, whoever computes them.
//
//   g = ((g_0 + g_1) + g_2) + ...      with g_p the gradient of part p's share of the mean loss
//
// Parts are a setting, by which a batch is cut; processes (agents/nets/ranks.h) are not: each takes whole parts. Sums of
// floating-point numbers depend on their order, so gradients are not added as they arrive: each rank gets all parts of one
// slice of the vector, adds them in order and hands the sum to all. What a rank sends a step is its own parts once and
// its slice of the sum to each other.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "agents/nets/ranks.h"

namespace diffreward {

/// Some rows of a batch.
struct BatchPart {
  std::int64_t begin, size, of;
  double share() const { return static_cast<double>(size) / static_cast<double>(of); }
  /// Its rows of what has one for each of the batch; else the values as they are.
  torch::Tensor operator()(const torch::Tensor& values) const {
    return values.size(0) == of ? values.narrow(0, begin, size) : values;
  }
};

class BatchParts {
 public:
  /// `ranks`: the processes among which parts are divided; null for this one alone. Must live as long. Throws InvalidArgument
  /// where there are more ranks than parts.
  explicit BatchParts(int parts, Ranks* ranks = nullptr);

  /// Calls add(part) for the parts of a batch of n, of which there are at most n. It adds to `gradient`, a vector that is zero
  /// at first, that of the part's share of the batch's mean loss, and returns this share of the loss.
  /// Afterwards the vector holds the batch's gradient, and what is returned is its mean loss, on every rank.
  double sum(std::int64_t n, const torch::Tensor& gradient,
             const std::function<double(const BatchPart&)>& add);

  /// The rows that rows(part) makes of the parts of a batch of n, in their order, on every rank.  [n, ...] float
  torch::Tensor rows(std::int64_t n, const std::function<torch::Tensor(const BatchPart&)>& rows) const;

 private:
  BatchPart part(std::int64_t n, std::int64_t index, std::int64_t count) const;
  std::int64_t count(std::int64_t n) const;
  /// The first part of a rank's; of size() where the last one's end.
  std::int64_t first_of(std::int64_t rank, std::int64_t count) const;
  double sum_of_ranks(std::int64_t n, const torch::Tensor& gradient,
                      const std::function<double(const BatchPart&)>& add);

  int parts_;
  Ranks* ranks_;
  torch::Tensor sum_;                       // of the parts so far
  torch::Tensor own_, slice_, mine_, all_;  // of ranks: see sum_of_ranks()
};

}  // namespace diffreward
