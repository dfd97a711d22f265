#include "agents/nets/batch_parts_torch.h"

#include <torch/torch.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/error.h"

namespace diffreward {
namespace {

constexpr std::int64_t kLossFloats = sizeof(double) / sizeof(float);  // a loss's bits among floats

torch::Tensor at_least(torch::Tensor& buffer, std::int64_t size) {
  if (!buffer.defined() || buffer.numel() != size) buffer = torch::zeros({size});
  return buffer;
}

}  // namespace

BatchParts::BatchParts(int parts, Ranks* ranks) : parts_(parts), ranks_(ranks) {
  require(ranks == nullptr || parts >= ranks->size(), "accumulate: expected at least ",
          ranks != nullptr ? ranks->size() : 0, " parts of a batch for as many processes, got ", parts);
}

std::int64_t BatchParts::count(std::int64_t n) const {
  return std::min<std::int64_t>(parts_, n);
}

std::int64_t BatchParts::first_of(std::int64_t rank, std::int64_t count) const {
  return count * rank / (ranks_ != nullptr ? ranks_->size() : 1);
}

BatchPart BatchParts::part(std::int64_t n, std::int64_t index, std::int64_t count) const {
  const std::int64_t begin = n * index / count;
  return {begin, n * (index + 1) / count - begin, n};
}

double BatchParts::sum(std::int64_t n, const torch::Tensor& gradient,
                       const std::function<double(const BatchPart&)>& add) {
  const torch::NoGradGuard no_grad;
  const auto with_graph = [&](const BatchPart& part) {
    const torch::AutoGradMode graph(true);
    return add(part);
  };
  if (ranks_ != nullptr) return sum_of_ranks(n, gradient, with_graph);
  const std::int64_t parts = count(n);
  double loss = 0;
  for (std::int64_t p = 0; p < parts; ++p) {
    loss += with_graph(part(n, p, parts));
    if (p > 0) gradient.add_(sum_);
    if (p + 1 == parts) break;
    sum_ = sum_.defined() ? sum_.copy_(gradient) : gradient.clone();
    gradient.zero_();
  }
  return loss;
}

double BatchParts::sum_of_ranks(std::int64_t n, const torch::Tensor& gradient,
                                const std::function<double(const BatchPart&)>& add) {
  const std::int64_t parts = count(n), ranks = ranks_->size(), first = first_of(ranks_->rank(), parts),
                     own = first_of(ranks_->rank() + 1, parts) - first, size = gradient.numel(),
                     slice = (size + ranks - 1) / ranks, most = (parts + ranks - 1) / ranks;
  require(parts >= ranks, "batch: expected a row for each of ", ranks, " processes, got ", n);

  // Own parts' gradients, slice by slice: [ranks, own, slice].
  const torch::Tensor sent = at_least(own_, ranks * own * slice).view({ranks, own, slice});
  std::vector<double> losses;
  for (std::int64_t i = 0; i < own; ++i) {
    losses.push_back(add(part(n, first + i, parts)));
    for (std::int64_t r = 0; r < ranks; ++r) {
      const std::int64_t begin = std::min(r * slice, size), length = std::min(slice, size - begin);
      sent[r][i].narrow(0, 0, length).copy_(gradient.narrow(0, begin, length));
    }
    gradient.zero_();
  }

  // All parts' gradients of this rank's slice, [parts, slice], and their sum.
  torch::Tensor received = at_least(slice_, parts * slice);
  std::vector<std::int64_t> from;
  for (std::int64_t r = 0; r < ranks; ++r)
    from.push_back((first_of(r + 1, parts) - first_of(r, parts)) * slice);
  ranks_->exchange(own_, std::vector<std::int64_t>(static_cast<std::size_t>(ranks), own * slice), received,
                   from);
  const torch::Tensor mine = at_least(mine_, slice + most * kLossFloats);
  const torch::Tensor total = mine.narrow(0, 0, slice), by_part = received.view({parts, slice});
  total.copy_(by_part[0]);
  for (std::int64_t p = 1; p < parts; ++p) total.add_(by_part[p]);

  // Behind each slice's sum the losses of the rank's own parts.
  std::memcpy(mine.data_ptr<float>() + slice, losses.data(), losses.size() * sizeof(double));
  at_least(all_, ranks * mine.numel());
  torch::Tensor all = all_.view({ranks, mine.numel()});
  ranks_->gather(mine, all);
  double loss = 0;
  for (std::int64_t r = 0; r < ranks; ++r) {
    const std::int64_t begin = std::min(r * slice, size), length = std::min(slice, size - begin);
    gradient.narrow(0, begin, length).copy_(all[r].narrow(0, 0, length));
    std::vector<double> theirs(static_cast<std::size_t>(first_of(r + 1, parts) - first_of(r, parts)));
    std::memcpy(theirs.data(), all[r].data_ptr<float>() + slice, theirs.size() * sizeof(double));
    for (const double part_loss : theirs) loss += part_loss;
  }
  return loss;
}

torch::Tensor BatchParts::rows(std::int64_t n,
                               const std::function<torch::Tensor(const BatchPart&)>& rows) const {
  const std::int64_t parts = count(n), rank = ranks_ != nullptr ? ranks_->rank() : 0;
  if (parts == 1) return rows({0, n, n});
  std::vector<torch::Tensor> own;
  for (std::int64_t p = first_of(rank, parts); p < first_of(rank + 1, parts); ++p)
    own.push_back(rows(part(n, p, parts)));
  if (ranks_ == nullptr) return torch::cat(own);
  // Ranks send equally many rows, of which some are nobody's.
  const std::int64_t ranks = ranks_->size();
  const auto first_row = [&](std::int64_t r) { return n * first_of(r, parts) / parts; };
  std::int64_t most = 0;
  for (std::int64_t r = 0; r < ranks; ++r) most = std::max(most, first_row(r + 1) - first_row(r));
  require(!own.empty(), "batch: expected a row for each of ", ranks, " processes, got ", n);
  const torch::Tensor made = torch::cat(own);
  std::vector<std::int64_t> shape = made.sizes().vec();
  shape[0] = most;
  const torch::Tensor mine = torch::zeros(shape);
  mine.narrow(0, 0, made.size(0)).copy_(made);
  shape.insert(shape.begin(), ranks);
  torch::Tensor all = torch::empty(shape);
  ranks_->gather(mine, all);
  std::vector<torch::Tensor> pieces;
  for (std::int64_t r = 0; r < ranks; ++r)
    pieces.push_back(all[r].narrow(0, 0, first_row(r + 1) - first_row(r)));
  return torch::cat(pieces).to(made.device());
}

}  // namespace diffreward
