// Statistics of samples: location, rank statistics, and bootstrap intervals (Efron and Tibshirani 1993, "An
// Introduction to the Bootstrap"). Values are finite doubles; every function throws InvalidArgument, naming
// itself, for a sample that is too small or holds a value that is not finite.
//
// Intervals are of two kinds. Within a run, over some tens of episodes or more: percentile bootstrap
// intervals. Values that were recorded together are not independent, so a Sample may name the cluster each
// value belongs to; whole clusters are then drawn, not values. Over runs, of which there are few:
// mean_of_runs and expanded_bootstrap. A percentile interval that says 95 % covers a mean of 3 runs in 75 of
// 100 cases: the bootstrap's variance is too small by (n - 1) / n, and it takes the normal's quantile where
// Student's is due.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
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
/// Of two samples over their common range, winsorised by 0.5 %.
std::pair<Histogram, Histogram> histograms(std::span<const double> a, std::span<const double> b, int bins);

/// A statistic with its interval.
struct Estimate {
  double value = 0, low = 0, high = 0;
  Json json() const { return {{"value", value}, {"low", low}, {"high", high}}; }
};

/// Of all intervals by resampling, within runs and over runs.
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

/// The p-quantile of Student's t, p in (0, 1), by Boost.Math; `degrees` of freedom > 0, infinity for the
/// normal.
double student_t_quantile(double p, double degrees);

/// Mean of n independent runs with Student's interval: mean +- t_{n-1} s / sqrt(n). One run says nothing
/// about others: its interval is (-infinity, infinity). Skewed runs are covered less: log-normal ones, sigma
/// 0.25, by 0.94; sigma 0.5, by 0.91 to 0.93.
Estimate mean_of_runs(std::span<const double> runs, double confidence = 0.95);

/// A standard error from a bootstrap of few runs, and the degrees of freedom that it has.
struct ExpandedError {
  double standard_error = 0, degrees = 1;
  double expansion = 1;  ///< its square over the bootstrap's variance
  /// value +- t_degrees standard_error.
  Estimate interval(double value, double confidence) const;
};

/// The bootstrap's variance of a statistic is too small by (n - 1) / n where it comes from n runs (Hesterberg
/// 2015, "What Teachers Should Know About the Bootstrap"). Over several tasks, of n_k >= 2 runs, with v_k the
/// part of the variance that task k has:
///   S^2 = variance * (sum of u_k) / (sum of v_k), u_k = v_k n_k / (n_k - 1);
///   d   = (sum of u_k)^2 / sum of (u_k^2 / (n_k - 1)) (Satterthwaite 1946).
/// Where all parts are 0 the variance counts as the smallest task's.
ExpandedError expanded_error(double variance, std::span<const double> parts,
                             std::span<const std::size_t> sizes);

/// A statistic over several tasks, each of its own n_k >= 2 independent runs, which need not be equally many.
/// Runs are drawn with replacement within tasks (Agarwal et al. 2021). The interval is expanded_error()'s of
/// the variance of the resampled statistic and
///   v_k = sum of squared covariances of the statistic and how often each run of the task was drawn (the
///         infinitesimal jackknife, Efron 2014), less their Monte-Carlo bias (Wager et al. 2014).
/// Up to Monte-Carlo error it is mean_of_runs' interval for a mean (one task) or Welch's (several). Shifted
/// or stretched percentiles, which keep the skewness of 3 runs, cover less. A trimmed statistic hides a task
/// whose runs all lie in its tails: with one such task of 8, 20 times as noisy as the rest, 3 runs cover
/// 0.74.
Estimate expanded_bootstrap(const std::vector<std::vector<double>>& runs,  // [tasks][runs of the task]
                            const std::function<double(std::span<const std::vector<double>>)>& statistic,
                            const BootstrapConfig& config);

}  // namespace diffreward
