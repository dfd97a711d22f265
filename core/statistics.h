// Statistics of samples: location, rank statistics, and bootstrap intervals (Efron and Tibshirani 1993, "An
// Introduction to the Bootstrap"). Values are finite doubles; every function throws InvalidArgument, naming
// itself, for a sample that is too small or holds a value that is not finite.
//
// Intervals are percentile bootstrap intervals. Values that were recorded together are not independent, so a
// Sample may name the cluster each value belongs to; whole clusters are then drawn, not values.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/config.h"

namespace diffreward {

double mean(std::span<const double> values);
/// Sample standard deviation (n - 1); 0 for one value.
double standard_deviation(std::span<const double> values);
/// The q-quantile, q in [0, 1], linear between order statistics (NumPy's default).
double quantile(std::span<const double> values, double q);
double median(std::span<const double> values);
/// Mean of the middle half: the floor(n / 4) smallest and largest values are left out (Agarwal et al. 2021).
double interquartile_mean(std::span<const double> values);
/// Values beyond the `share` and 1 - `share` quantiles replaced by these.
std::vector<double> winsorise(std::span<const double> values, double share);
/// Values mapped affinely so that the smallest is 0 and the largest 1; all 0 when they are equal.
std::vector<double> min_max(std::span<const double> values);
/// Ranks 1 ... n; equal values share the mean of their ranks.
std::vector<double> ranks(std::span<const double> values);

/// Product-moment correlation; 0 when either side is constant.
double pearson(std::span<const double> x, std::span<const double> y);
/// Pearson's correlation of the ranks.
double spearman(std::span<const double> x, std::span<const double> y);
/// Spearman's correlation of x and y with the linear effect of z's ranks removed from both; 0 where
/// undefined.
double partial_spearman(std::span<const double> x, std::span<const double> y, std::span<const double> z);
/// P(positive > negative) + P(positive = negative) / 2: area under the ROC curve (Mann-Whitney's U / n m).
double auroc(std::span<const double> positive, std::span<const double> negative);

/// Equal bins over [low, high]; values outside count in the first or last bin.
struct Histogram {
  double low = 0, high = 0;
  std::vector<double> share;  // [bins], sums to 1
  double edge(std::size_t bin) const { return low + (high - low) * double(bin) / double(share.size()); }
};
Histogram histogram(std::span<const double> values, double low, double high, int bins);

/// A statistic with its interval.
struct Estimate {
  double value = 0, low = 0, high = 0;
  Json json() const { return {{"value", value}, {"low", low}, {"high", high}}; }
};

struct BootstrapConfig {
  int resamples = 1000;
  double confidence = 0.95;  // of the interval
  std::uint64_t seed = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("resamples", self.resamples, "bootstrap resamples", Bounds{10, 1e6});
    field("confidence", self.confidence, "confidence of the interval", Bounds{0.5, 0.9999});
    field("seed", self.seed, "seed of the resampling");
  }
};

struct Sample {
  std::vector<double> values;
  std::vector<std::size_t>
      clusters;  // [values]  numbers of any kind, equal within a cluster; empty: each its own
};

/// Any statistic of independent values.
Estimate bootstrap(std::span<const double> values,
                   const std::function<double(std::span<const double>)>& statistic,
                   const BootstrapConfig& config);
/// Mean of all values. Clusters of unequal size keep their weight.
Estimate bootstrap_mean(const Sample& sample, const BootstrapConfig& config);
/// mean(a) - mean(b); a and b are drawn independently.
Estimate bootstrap_difference(const Sample& a, const Sample& b, const BootstrapConfig& config);
Estimate bootstrap_auroc(const Sample& positive, const Sample& negative, const BootstrapConfig& config);

/// The general form: `sizes` are numbers of units in independent groups; `statistic` gets how often each unit
/// of each group was drawn, once each for the value itself, then `resamples` times drawn with replacement
/// within groups.
using DrawCounts = std::vector<std::vector<double>>;  // [groups][units]
Estimate bootstrap_counts(std::span<const std::size_t> sizes,
                          const std::function<double(const DrawCounts&)>& statistic,
                          const BootstrapConfig& config);

}  // namespace diffreward
