// How well scores of pictures tell those that show a concept (positive) from those that do not: the receiver operating
// characteristic and what is read off it (Fawcett 2006, "An introduction to ROC analysis"). Scores rise with the concept:
// of a reward that falls with it, minus the reward. A picture is flagged at a threshold where its score is at least that.
//
// Every function throws InvalidArgument, naming itself, for an empty side and for scores that are not finite.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/statistics.h"

namespace diffreward {

/// What flagging from a threshold upwards does.
struct OperatingPoint {
  double threshold = 0;  ///< infinity where nothing is flagged
  double false_positive_rate = 0, true_positive_rate = 0;
};

/// The corners of the curve, from (0, 0) to (1, 1); equal scores of both sides are one slanting step, so that the area by
/// trapezia is auroc()'s.
std::vector<OperatingPoint> roc_curve(std::span<const double> positive, std::span<const double> negative);

/// The corner of the greatest true-positive rate among those whose false-positive rate is at most `rate`, in [0, 1].
OperatingPoint threshold_at(std::span<const OperatingPoint> curve, double rate);

/// Over equally spaced false-positive rates, both ends included.
struct RocBand {
  std::vector<double> false_positive_rate;            // [points]
  std::vector<double> true_positive_rate, low, high;  // [points]  pointwise interval
  Estimate auroc;                                     ///< from the same draws: bootstrap_auroc()'s
};

/// Resamples the pictures of each side.
RocBand roc_band(std::span<const double> positive, std::span<const double> negative,
                 const BootstrapConfig& config, int points = 101);

/// A corner in the detection error tradeoff's axes (Martin et al. 1997): both error rates as standard normal deviates, so
/// that two normal distributions of scores make a straight line.
struct DetPoint {
  double false_positive_rate = 0, miss_rate = 0;  // in (0, 1)
  double false_positive_deviate = 0, miss_deviate = 0;
};
/// Of the corners where both errors occur; none where the scores tell the sides apart without error.
std::vector<DetPoint> det_points(std::span<const OperatingPoint> curve);

/// Share of positives among the k pictures of the highest scores, k from 1 to all of them; where equal scores straddle the
/// k-th place, what a random order of them has in the mean.
double precision_at(std::span<const double> positive, std::span<const double> negative, std::size_t k);

/// One histogram a group, in equal bins over the common range, winsorised by 0.5 %.
std::map<std::string, Histogram> group_histograms(const std::map<std::string, std::vector<double>>& groups,
                                                  int bins);

}  // namespace diffreward
