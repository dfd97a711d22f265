#include "leaderboard/resampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/hash.h"
#include "core/rng.h"

namespace diffreward {
namespace {

constexpr std::uint64_t kBoardGroup = 1;  // of the streams for resampling; core/statistics.h has group 0
constexpr std::size_t kBlocks = 64;       // of resamples, whose sums are added in order

/// What one block of resamples adds to a statistic's influence.
struct BlockSums {
  std::vector<double> count_deviation;  // [runs of the groups]  sums of count times deviation
  double deviation = 0;
};

double checked(double value) {
  if (!std::isfinite(value)) throw Error(concat("resample: expected a finite statistic, got ", value));
  return value;
}

}  // namespace

std::size_t DrawGroups::add(const std::string& name, std::size_t size) {
  const auto [known, added] = by_name_.try_emplace(name, groups_.size());
  if (added) {
    // A position among 2^64, of which each resample has its own stream: groups are far apart.
    const std::uint64_t hash = std::stoull(sha256(name).substr(0, 16), nullptr, 16);
    groups_.push_back({size, runs_, hash & ~std::uint64_t{3}});
    runs_ += size;
  }
  require(groups_[known->second].size == size, "DrawGroups: expected ", groups_[known->second].size,
          " runs of one group, got ", size);
  return known->second;
}

void DrawGroups::draw(std::uint64_t seed, std::uint64_t resample, std::span<double> counts) const {
  std::fill(counts.begin(), counts.end(), 0.0);
  Rng rng(Streams(Purpose::kResampling, seed, kBoardGroup)[resample]);
  for (const Group& group : groups_) {
    rng.jump(group.position);
    double* const own = counts.data() + group.first;
    for (std::size_t i = 0; i < group.size; ++i) own[rng.below(group.size)] += 1;
  }
}

void resample(std::span<ResampledStatistic> statistics, const DrawGroups& groups, int resamples,
              std::uint64_t seed, ThreadPool* pool) {
  const auto total = std::size_t(resamples);
  const std::vector<double> once(groups.runs(), 1.0);
  for (ResampledStatistic& statistic : statistics) {
    statistic.value = checked(statistic.value_of(once));
    statistic.draws.assign(total, 0.0);
  }
  std::vector<std::vector<BlockSums>> sums(kBlocks, std::vector<BlockSums>(statistics.size()));
  std::vector<std::vector<double>> count_sums(kBlocks, std::vector<double>(groups.runs()));
  const auto body = [&](std::size_t begin, std::size_t end) {
    std::vector<double> counts(groups.runs());
    for (std::size_t block = begin; block < end; ++block) {
      for (std::size_t s = 0; s < statistics.size(); ++s) {
        std::size_t runs = 0;
        for (const std::size_t group : statistics[s].groups) runs += groups.size(group);
        sums[block][s].count_deviation.assign(runs, 0.0);
      }
      for (std::size_t draw = block * total / kBlocks; draw < (block + 1) * total / kBlocks; ++draw) {
        groups.draw(seed, draw, counts);
        for (std::size_t run = 0; run < counts.size(); ++run) count_sums[block][run] += counts[run];
        for (std::size_t s = 0; s < statistics.size(); ++s) {
          ResampledStatistic& statistic = statistics[s];
          statistic.draws[draw] = checked(statistic.value_of(counts));
          if (statistic.linear) continue;
          const double deviation = statistic.draws[draw] - statistic.value;
          double* out = sums[block][s].count_deviation.data();
          for (const std::size_t group : statistic.groups) {
            const double* const own = counts.data() + groups.first(group);
            for (std::size_t i = 0; i < groups.size(group); ++i) *out++ += own[i] * deviation;
          }
          sums[block][s].deviation += deviation;
        }
      }
    }
  };
  if (pool != nullptr)
    pool->parallel_for(kBlocks, body);
  else
    body(0, kBlocks);

  std::vector<double> drawn(groups.runs());  // how often in all resamples
  for (const std::vector<double>& block : count_sums)
    for (std::size_t run = 0; run < drawn.size(); ++run) drawn[run] += block[run];
  for (std::size_t s = 0; s < statistics.size(); ++s) {
    ResampledStatistic& statistic = statistics[s];
    if (statistic.linear) continue;
    statistic.influence.assign(sums[0][s].count_deviation.size(), 0.0);
    double deviation = 0;
    for (const std::vector<BlockSums>& block : sums) {
      deviation += block[s].deviation;
      for (std::size_t i = 0; i < statistic.influence.size(); ++i)
        statistic.influence[i] += block[s].count_deviation[i];
    }
    auto influence = statistic.influence.begin();
    for (const std::size_t group : statistic.groups)
      for (std::size_t i = 0; i < groups.size(group); ++i, ++influence)
        *influence =
            (*influence - drawn[groups.first(group) + i] * deviation / double(total)) / double(total);
  }
}

ResampledSpread spread_of(const ResampledStatistic& a, const ResampledStatistic* b,
                          const DrawGroups& groups) {
  // Variance of the draws about their mean.
  const std::size_t draws = a.draws.size();
  const double offset = a.value - (b != nullptr ? b->value : 0);
  double sum = 0, squares = 0;
  for (std::size_t draw = 0; draw < draws; ++draw) {
    const double deviation = a.draws[draw] - (b != nullptr ? b->draws[draw] : 0) - offset;
    sum += deviation;
    squares += deviation * deviation;
  }
  double variance = std::max(0.0, (squares - sum * sum / double(draws)) / double(draws - 1));
  const double scale = std::abs(a.value) + (b != nullptr ? std::abs(b->value) : 0);
  if (variance <= 1e-24 * scale * scale) variance = 0;  // rounding of equal scores
  ResampledSpread out{std::sqrt(variance), {}};

  const bool exact = a.linear && (b == nullptr || b->linear);
  std::vector<double> parts;
  std::vector<std::size_t> sizes;
  const std::vector<std::size_t> none;
  const std::vector<std::size_t>& of_a = a.groups;
  const std::vector<std::size_t>& of_b = b != nullptr ? b->groups : none;
  std::size_t i = 0, j = 0;  // among the groups
  const double* u = a.influence.data();
  const double* v = b != nullptr ? b->influence.data() : nullptr;
  while (i < of_a.size() || j < of_b.size()) {
    const bool has_a = i < of_a.size() && (j == of_b.size() || of_a[i] <= of_b[j]);
    const bool has_b = j < of_b.size() && (i == of_a.size() || of_b[j] <= of_a[i]);
    const std::size_t size = groups.size(has_a ? of_a[i] : of_b[j]);
    double part = exact ? 0 : -variance * double(size - 1) / double(draws);  // Monte-Carlo bias
    for (std::size_t run = 0; run < size; ++run) {
      const double influence = (has_a ? u[run] : 0) - (has_b ? v[run] : 0);
      part += influence * influence;
    }
    parts.push_back(std::max(0.0, part));
    sizes.push_back(size);
    if (has_a) ++i, u += size;
    if (has_b) ++j, v += size;
  }
  if (exact) {
    const double known = std::accumulate(parts.begin(), parts.end(), 0.0);
    out.expanded = expanded_error(variance > 0 ? known : 0, parts, sizes);
  } else {
    if (variance == 0) std::fill(parts.begin(), parts.end(), 0.0);
    out.expanded = expanded_error(variance, parts, sizes);
  }
  return out;
}

}  // namespace diffreward
