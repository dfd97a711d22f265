#include "rewards/image/evaluate/detection.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/error.h"

namespace diffreward {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

void check(std::span<const double> positive, std::span<const double> negative, const char* function) {
  for (const auto& [side, scores] : {std::pair{"positive", positive}, {"negative", negative}}) {
    require(!scores.empty(), function, ": expected at least one ", side, " score, got none");
    for (const double score : scores)
      require(std::isfinite(score), function, ": expected finite ", side, " scores, got ", score);
  }
}

/// Both sides in falling order of the score, positives first in `all`.
struct Ranking {
  std::vector<double> all;
  std::vector<std::size_t> order;
  std::size_t positives;

  Ranking(std::span<const double> positive, std::span<const double> negative)
      : all(positive.begin(), positive.end()), positives(positive.size()) {
    all.insert(all.end(), negative.begin(), negative.end());
    order.resize(all.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return all[a] > all[b]; });
  }
  bool is_positive(std::size_t i) const { return i < positives; }

  /// The corners, each picture `weight(i)` times.
  template <class Weight>
  std::vector<OperatingPoint> curve(const Weight& weight) const {
    std::vector<OperatingPoint> out = {{kInfinity, 0, 0}};
    double up = 0, down = 0;
    for (std::size_t k = 0; k < order.size();) {
      const double score = all[order[k]];
      for (; k < order.size() && all[order[k]] == score; ++k)
        (is_positive(order[k]) ? up : down) += weight(order[k]);
      out.push_back({score, down, up});
    }
    for (OperatingPoint& point : out) {
      point.false_positive_rate /= down;
      point.true_positive_rate /= up;
    }
    return out;
  }
};

/// The curve at rising false-positive rates, linear between corners, the upper end where it is steep.
std::vector<double> true_positive_rates(std::span<const OperatingPoint> curve,
                                        std::span<const double> rates) {
  std::vector<double> out;
  std::size_t next = 0;  // the first corner beyond the rate
  for (const double rate : rates) {
    while (next < curve.size() && curve[next].false_positive_rate <= rate) ++next;
    const OperatingPoint& before = curve[next - 1];
    if (next == curve.size()) {
      out.push_back(before.true_positive_rate);
      continue;
    }
    const OperatingPoint& after = curve[next];
    const double along =
        (rate - before.false_positive_rate) / (after.false_positive_rate - before.false_positive_rate);
    out.push_back(std::lerp(before.true_positive_rate, after.true_positive_rate, along));
  }
  return out;
}

double area(std::span<const OperatingPoint> curve) {
  double sum = 0;
  for (std::size_t i = 1; i < curve.size(); ++i)
    sum += (curve[i].false_positive_rate - curve[i - 1].false_positive_rate) *
           (curve[i].true_positive_rate + curve[i - 1].true_positive_rate) / 2;
  return sum;
}

}  // namespace

std::vector<OperatingPoint> roc_curve(std::span<const double> positive, std::span<const double> negative) {
  check(positive, negative, "roc_curve");
  return Ranking(positive, negative).curve([](std::size_t) { return 1.0; });
}

OperatingPoint threshold_at(std::span<const OperatingPoint> curve, double rate) {
  require(!curve.empty(), "threshold_at: expected a curve, got none");
  require(rate >= 0 && rate <= 1, "threshold_at: expected a rate in [0, 1], got ", rate);
  OperatingPoint best = curve.front();
  for (const OperatingPoint& point : curve)
    if (point.false_positive_rate <= rate && point.true_positive_rate > best.true_positive_rate) best = point;
  return best;
}

RocBand roc_band(std::span<const double> positive, std::span<const double> negative,
                 const BootstrapConfig& config, int points) {
  check(positive, negative, "roc_band");
  require(points >= 2, "roc_band: expected at least 2 points, got ", points);
  const Ranking ranking(positive, negative);
  RocBand out;
  for (int i = 0; i < points; ++i) out.false_positive_rate.push_back(i / double(points - 1));
  std::vector<std::vector<double>> drawn;  // [1 + resamples][points]  the curve itself first
  const std::size_t sizes[] = {positive.size(), negative.size()};
  out.auroc = bootstrap_counts(
      sizes,
      [&](const DrawCounts& counts) {
        const std::vector<OperatingPoint> curve = ranking.curve([&](std::size_t i) {
          return ranking.is_positive(i) ? counts[0][i] : counts[1][i - ranking.positives];
        });
        drawn.push_back(true_positive_rates(curve, out.false_positive_rate));
        return area(curve);
      },
      config);
  out.true_positive_rate = drawn.front();
  std::vector<double> column(drawn.size() - 1);
  for (std::size_t i = 0; i < out.false_positive_rate.size(); ++i) {
    for (std::size_t k = 0; k < column.size(); ++k) column[k] = drawn[k + 1][i];
    out.low.push_back(quantile(column, (1 - config.confidence) / 2));
    out.high.push_back(quantile(column, (1 + config.confidence) / 2));
  }
  return out;
}

std::vector<DetPoint> det_points(std::span<const OperatingPoint> curve) {
  const auto deviate = [](double rate) { return student_t_quantile(rate, kInfinity); };
  std::vector<DetPoint> out;
  for (const OperatingPoint& point : curve) {
    const double false_positive = point.false_positive_rate, miss = 1 - point.true_positive_rate;
    if (false_positive > 0 && false_positive < 1 && miss > 0 && miss < 1)
      out.push_back({false_positive, miss, deviate(false_positive), deviate(miss)});
  }
  return out;
}

double precision_at(std::span<const double> positive, std::span<const double> negative, std::size_t k) {
  check(positive, negative, "precision_at");
  const std::size_t all = positive.size() + negative.size();
  require(k >= 1 && k <= all, "precision_at: expected k in [1, ", all, "], got ", k);
  const Ranking ranking(positive, negative);
  const double kth = ranking.all[ranking.order[k - 1]];
  const auto above = [&](double score) { return score > kth; };
  const auto count = [](auto scores, auto holds) {
    return double(std::count_if(scores.begin(), scores.end(), holds));
  };
  const auto equal = [&](double score) { return score == kth; };
  const double sure = count(positive, above), sure_places = sure + count(negative, above);
  const double tied = count(positive, equal), tied_places = tied + count(negative, equal);
  return (sure + tied * (double(k) - sure_places) / tied_places) / double(k);
}

std::map<std::string, Histogram> group_histograms(const std::map<std::string, std::vector<double>>& groups,
                                                  int bins) {
  std::vector<double> all;
  for (const auto& [name, scores] : groups) all.insert(all.end(), scores.begin(), scores.end());
  const Histogram range = histograms(all, all, bins).first;
  std::map<std::string, Histogram> out;
  for (const auto& [name, scores] : groups) out[name] = histogram(scores, range.low, range.high, bins);
  return out;
}

}  // namespace diffreward
