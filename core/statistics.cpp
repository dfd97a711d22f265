#include "core/statistics.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/rng.h"

namespace diffreward {
namespace {

void check(std::span<const double> values, std::size_t least, const char* function) {
  require(values.size() >= least, function, ": expected at least ", least, " values, got ", values.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    require(std::isfinite(values[i]), function, ": expected finite values, got ", values[i], " at ", i);
}

std::vector<std::size_t> sorted_order(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  return order;
}

double sorted_quantile(std::span<const double> sorted, double q) {
  const double at = q * double(sorted.size() - 1);
  const auto below = std::min(static_cast<std::size_t>(at), sorted.size() - 1);
  const auto above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], at - double(below));
}

/// A sample's clusters as unit numbers 0 ... units - 1, in order of first appearance by number.
struct Units {
  std::vector<std::size_t> of;  // [values]
  std::size_t count = 0;
};

Units units(const Sample& sample, const char* function) {
  check(sample.values, 1, function);
  Units out{std::vector<std::size_t>(sample.values.size()), sample.values.size()};
  std::iota(out.of.begin(), out.of.end(), std::size_t{0});
  if (sample.clusters.empty()) return out;
  require(sample.clusters.size() == sample.values.size(), function, ": expected ", sample.values.size(),
          " clusters, got ", sample.clusters.size());
  std::vector<std::size_t> names = sample.clusters;
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  for (std::size_t i = 0; i < out.of.size(); ++i)
    out.of[i] = std::size_t(std::lower_bound(names.begin(), names.end(), sample.clusters[i]) - names.begin());
  out.count = names.size();
  return out;
}

/// Sums and sizes of clusters: all that a resampled mean needs.
struct ClusterSums {
  std::vector<double> sum, size;  // [units]
  double mean(const std::vector<double>& counts) const {
    return std::inner_product(sum.begin(), sum.end(), counts.begin(), 0.0) /
           std::inner_product(size.begin(), size.end(), counts.begin(), 0.0);
  }
};

ClusterSums cluster_sums(const Sample& sample, const char* function) {
  const Units unit = units(sample, function);
  ClusterSums out{std::vector<double>(unit.count), std::vector<double>(unit.count)};
  for (std::size_t i = 0; i < sample.values.size(); ++i) {
    out.sum[unit.of[i]] += sample.values[i];
    out.size[unit.of[i]] += 1;
  }
  return out;
}

Estimate percentile_interval(double value, std::vector<double> drawn, double confidence) {
  std::sort(drawn.begin(), drawn.end());
  return {value, sorted_quantile(drawn, (1 - confidence) / 2), sorted_quantile(drawn, (1 + confidence) / 2)};
}

}  // namespace

double mean(std::span<const double> values) {
  check(values, 1, "mean");
  return std::accumulate(values.begin(), values.end(), 0.0) / double(values.size());
}

double standard_deviation(std::span<const double> values) {
  const double middle = mean(values);
  if (values.size() == 1) return 0;
  double squares = 0;
  for (const double value : values) squares += (value - middle) * (value - middle);
  return std::sqrt(squares / double(values.size() - 1));
}

double quantile(std::span<const double> values, double q) {
  check(values, 1, "quantile");
  require(q >= 0 && q <= 1, "quantile: expected q in [0, 1], got ", q);
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted_quantile(sorted, q);
}

double median(std::span<const double> values) {
  return quantile(values, 0.5);
}

double interquartile_mean(std::span<const double> values) {
  check(values, 1, "interquartile_mean");
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const std::size_t cut = sorted.size() / 4;
  return mean(std::span(sorted).subspan(cut, sorted.size() - 2 * cut));
}

std::vector<double> winsorise(std::span<const double> values, double share) {
  require(share >= 0 && share < 0.5, "winsorise: expected a share in [0, 0.5), got ", share);
  const double low = quantile(values, share), high = quantile(values, 1 - share);
  std::vector<double> out(values.begin(), values.end());
  for (double& value : out) value = std::clamp(value, low, high);
  return out;
}

std::vector<double> min_max(std::span<const double> values) {
  check(values, 1, "min_max");
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  std::vector<double> out(values.size(), 0.0);
  if (*high > *low)
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = (values[i] - *low) / (*high - *low);
  return out;
}

std::vector<double> ranks(std::span<const double> values) {
  check(values, 1, "ranks");
  const std::vector<std::size_t> order = sorted_order(values);
  std::vector<double> out(values.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (std::size_t i = begin; i < end; ++i) out[order[i]] = double(begin + 1 + end) / 2;
    begin = end;
  }
  return out;
}

double pearson(std::span<const double> x, std::span<const double> y) {
  check(x, 2, "pearson");
  check(y, 2, "pearson");
  require(x.size() == y.size(), "pearson: expected equal sizes, got ", x.size(), " and ", y.size());
  const double mx = mean(x), my = mean(y);
  double xx = 0, yy = 0, xy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mx) * (x[i] - mx);
    yy += (y[i] - my) * (y[i] - my);
    xy += (x[i] - mx) * (y[i] - my);
  }
  if (xx == 0 || yy == 0) return 0;
  return std::clamp(xy / std::sqrt(xx) / std::sqrt(yy), -1.0, 1.0);
}

double spearman(std::span<const double> x, std::span<const double> y) {
  return pearson(ranks(x), ranks(y));
}

double partial_spearman(std::span<const double> x, std::span<const double> y, std::span<const double> z) {
  const double xy = spearman(x, y), xz = spearman(x, z), yz = spearman(y, z);
  const double left = (1 - xz * xz) * (1 - yz * yz);
  // Ranks that follow z exactly leave nothing to correlate.
  return left < 1e-12 ? 0 : std::clamp((xy - xz * yz) / std::sqrt(left), -1.0, 1.0);
}

double auroc(std::span<const double> positive, std::span<const double> negative) {
  check(positive, 1, "auroc");
  check(negative, 1, "auroc");
  std::vector<double> all(positive.begin(), positive.end());
  all.insert(all.end(), negative.begin(), negative.end());
  const std::vector<double> rank = ranks(all);
  const double n = double(positive.size()), m = double(negative.size());
  const double sum = std::accumulate(rank.begin(), rank.begin() + std::ptrdiff_t(positive.size()), 0.0);
  return (sum - n * (n + 1) / 2) / (n * m);
}

Histogram histogram(std::span<const double> values, double low, double high, int bins) {
  check(values, 1, "histogram");
  require(low < high && bins >= 1, "histogram: expected low < high and at least one bin, got [", low, ", ",
          high, "] and ", bins);
  Histogram out{low, high, std::vector<double>(std::size_t(bins))};
  for (const double value : values) {
    const double at = std::floor((value - low) / (high - low) * bins);
    out.share[std::size_t(std::clamp(at, 0.0, double(bins - 1)))] += 1 / double(values.size());
  }
  return out;
}

std::pair<Histogram, Histogram> histograms(std::span<const double> a, std::span<const double> b, int bins) {
  std::vector<double> both(a.begin(), a.end());
  both.insert(both.end(), b.begin(), b.end());
  double low = quantile(both, 0.005), high = quantile(both, 0.995);
  if (low == high) low -= 0.5, high += 0.5;
  return {histogram(a, low, high, bins), histogram(b, low, high, bins)};
}

Estimate bootstrap_counts(std::span<const std::size_t> sizes,
                          const std::function<double(const DrawCounts&)>& statistic,
                          const BootstrapConfig& config) {
  validate(config);
  DrawCounts counts;
  for (const std::size_t size : sizes) {
    require(size >= 1, "bootstrap: expected at least one unit in each group, got none");
    counts.emplace_back(size, 1.0);
  }
  const double value = statistic(counts);
  Rng rng(Streams(Purpose::kResampling, config.seed)[0]);
  std::vector<double> drawn(std::size_t(config.resamples));
  for (double& result : drawn) {
    for (std::vector<double>& group : counts) {
      std::fill(group.begin(), group.end(), 0.0);
      for (std::size_t i = 0; i < group.size(); ++i) group[rng.below(group.size())] += 1;
    }
    result = statistic(counts);
  }
  return percentile_interval(value, std::move(drawn), config.confidence);
}

Estimate bootstrap(std::span<const double> values,
                   const std::function<double(std::span<const double>)>& statistic,
                   const BootstrapConfig& config) {
  validate(config);
  check(values, 1, "bootstrap");
  Rng rng(Streams(Purpose::kResampling, config.seed)[0]);
  std::vector<double> resample(values.size()), drawn(std::size_t(config.resamples));
  for (double& result : drawn) {
    for (double& value : resample) value = values[rng.below(values.size())];
    result = statistic(resample);
  }
  return percentile_interval(statistic(values), std::move(drawn), config.confidence);
}

Estimate bootstrap_mean(const Sample& sample, const BootstrapConfig& config) {
  const ClusterSums sums = cluster_sums(sample, "bootstrap_mean");
  const std::size_t sizes[] = {sums.sum.size()};
  return bootstrap_counts(
      sizes, [&](const DrawCounts& counts) { return sums.mean(counts[0]); }, config);
}

Estimate bootstrap_difference(const Sample& a, const Sample& b, const BootstrapConfig& config) {
  const ClusterSums left = cluster_sums(a, "bootstrap_difference"),
                    right = cluster_sums(b, "bootstrap_difference");
  const std::size_t sizes[] = {left.sum.size(), right.sum.size()};
  return bootstrap_counts(
      sizes, [&](const DrawCounts& counts) { return left.mean(counts[0]) - right.mean(counts[1]); }, config);
}

Estimate bootstrap_auroc(const Sample& positive, const Sample& negative, const BootstrapConfig& config) {
  const Units up = units(positive, "bootstrap_auroc"), down = units(negative, "bootstrap_auroc");
  std::vector<double> all = positive.values;
  all.insert(all.end(), negative.values.begin(), negative.values.end());
  const std::vector<std::size_t> order = sorted_order(all);  // once: a resample only changes the weights
  const std::size_t n = positive.values.size();
  const auto statistic = [&](const DrawCounts& counts) {
    double below = 0, pairs = 0,
           positives = 0;  // weight of negatives so far; favourable pairs; weight of positives
    for (std::size_t begin = 0; begin < order.size();) {
      double tied_up = 0, tied_down = 0;
      std::size_t end = begin;
      for (; end < order.size() && all[order[end]] == all[order[begin]]; ++end) {
        const std::size_t i = order[end];
        (i < n ? tied_up : tied_down) += i < n ? counts[0][up.of[i]] : counts[1][down.of[i - n]];
      }
      pairs += tied_up * (below + tied_down / 2);
      below += tied_down;
      positives += tied_up;
      begin = end;
    }
    return pairs / (positives * below);
  };
  const std::size_t sizes[] = {up.count, down.count};
  return bootstrap_counts(sizes, statistic, config);
}

double student_t_quantile(double p, double degrees) {
  require(p > 0 && p < 1, "student_t_quantile: expected p in (0, 1), got ", p);
  require(degrees > 0, "student_t_quantile: expected degrees > 0, got ", degrees);
  return boost::math::quantile(boost::math::students_t(degrees), p);
}

Estimate mean_of_runs(std::span<const double> runs, double confidence) {
  check(runs, 1, "mean_of_runs");
  require(confidence > 0 && confidence < 1, "mean_of_runs: expected a confidence in (0, 1), got ",
          confidence);
  const double value = mean(runs), n = double(runs.size());
  if (runs.size() == 1)
    return {value, -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  const double half =
      student_t_quantile((1 + confidence) / 2, n - 1) * standard_deviation(runs) / std::sqrt(n);
  return {value, value - half, value + half};
}

Estimate ExpandedError::interval(double value, double confidence) const {
  const double half = student_t_quantile((1 + confidence) / 2, degrees) * standard_error;
  return {value, value - half, value + half};
}

ExpandedError expanded_error(double variance, std::span<const double> parts,
                             std::span<const std::size_t> sizes) {
  require(!parts.empty() && parts.size() == sizes.size(),
          "expanded_error: expected one part and one size of each task, got ", parts.size(), " and ",
          sizes.size());
  double raw = 0, corrected = 0, weighted = 0, fewest = double(sizes[0]);
  for (std::size_t task = 0; task < parts.size(); ++task) {
    require(sizes[task] >= 2, "expanded_error: expected at least 2 runs of each task, got ", sizes[task],
            " of task ", task);
    const double n = double(sizes[task]), unbiased = parts[task] * n / (n - 1);
    raw += parts[task];
    corrected += unbiased;
    weighted += unbiased * unbiased / (n - 1);
    fewest = std::min(fewest, n);
  }
  // Without a linear part to tell the tasks apart: as if all of the variance were the smallest task's.
  const double expansion = weighted > 0 ? corrected / raw : fewest / (fewest - 1);
  const double degrees = weighted > 0 ? corrected * corrected / weighted : fewest - 1;
  return {std::sqrt(variance * expansion), degrees, expansion};
}

Estimate expanded_bootstrap(const std::vector<std::vector<double>>& runs,
                            const std::function<double(std::span<const std::vector<double>>)>& statistic,
                            const BootstrapConfig& config) {
  validate(config);
  require(!runs.empty(), "expanded_bootstrap: expected at least one task, got none");
  for (std::size_t task = 0; task < runs.size(); ++task) {
    require(runs[task].size() >= 2, "expanded_bootstrap: expected at least 2 runs of each task, got ",
            runs[task].size(), " of task ", task);
    check(runs[task], 2, "expanded_bootstrap");
  }
  const auto finite = [&](double value) {
    require(std::isfinite(value), "expanded_bootstrap: expected a finite statistic, got ", value);
    return value;
  };
  const double value = finite(statistic(runs)), draws = config.resamples;

  Rng rng(Streams(Purpose::kResampling, config.seed)[0]);
  std::vector<std::vector<double>> resample = runs;
  DrawCounts counts, count_sums, products;  // [tasks][runs]  products: sums of count times deviation
  for (const std::vector<double>& task : runs) counts.emplace_back(task.size());
  count_sums = products = counts;
  double sum = 0, squares = 0;  // of the deviations from the value
  for (int draw = 0; draw < config.resamples; ++draw) {
    for (std::size_t task = 0; task < runs.size(); ++task) {
      std::fill(counts[task].begin(), counts[task].end(), 0.0);
      for (double& score : resample[task]) {
        const std::size_t run = rng.below(runs[task].size());
        score = runs[task][run];
        counts[task][run] += 1;
      }
    }
    const double deviation = finite(statistic(resample)) - value;
    sum += deviation;
    squares += deviation * deviation;
    for (std::size_t task = 0; task < runs.size(); ++task)
      for (std::size_t run = 0; run < runs[task].size(); ++run) {
        count_sums[task][run] += counts[task][run];
        products[task][run] += counts[task][run] * deviation;
      }
  }
  const double variance = std::max(0.0, (squares - sum * sum / draws) / (draws - 1));

  std::vector<double> parts;
  std::vector<std::size_t> sizes;
  for (std::size_t task = 0; task < runs.size(); ++task) {
    const double n = double(runs[task].size());
    double part = -variance * (n - 1) / draws;  // a count's variance is (n - 1) / n
    for (std::size_t run = 0; run < runs[task].size(); ++run) {
      const double covariance = (products[task][run] - count_sums[task][run] * sum / draws) / draws;
      part += covariance * covariance;
    }
    parts.push_back(std::max(0.0, part));
    sizes.push_back(runs[task].size());
  }
  return expanded_error(variance, parts, sizes).interval(value, config.confidence);
}

}  // namespace diffreward
