// The bootstrap behind leaderboard/statistics.h: many statistics on the same draws of runs, with what each
// group of runs contributes to their variances and to those of their differences.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/statistics.h"
#include "core/thread_pool.h"

namespace diffreward {

/// Groups of runs, each drawn with replacement within itself. A group is known by its name, and so are its
/// draws: other groups change none of them.
class DrawGroups {
 public:
  /// The group of that name, added where it is new; one of another size is an error of the caller.
  std::size_t add(const std::string& name, std::size_t size);

  std::size_t count() const { return groups_.size(); }
  std::size_t size(std::size_t group) const { return groups_[group].size; }
  /// Where the group's counts begin in an array of all.
  std::size_t first(std::size_t group) const { return groups_[group].first; }
  std::size_t runs() const { return runs_; }

  /// How often each run is drawn in one resample.
  void draw(std::uint64_t seed, std::uint64_t resample, std::span<double> counts) const;  // [runs]

 private:
  struct Group {
    std::size_t size, first;
    std::uint64_t position;  // of the random stream, by the name's hash
  };
  std::vector<Group> groups_;
  std::map<std::string, std::size_t> by_name_;
  std::size_t runs_ = 0;
};

/// A statistic of runs and what its resamples say of it.
struct ResampledStatistic {
  std::function<double(std::span<const double> counts)> value_of;  ///< called from several threads
  std::vector<std::size_t> groups;                                 ///< it reads, ascending
  /// [runs of the groups]  d statistic / d count of a run; filled in here unless the caller knows it
  std::vector<double> influence = {};
  bool linear = false;  ///< the caller filled in the influence, and the statistic is linear in the counts
  double value = 0;     ///< with each run once
  std::vector<double> draws = {};  ///< [resamples]
};

/// Evaluates each statistic on the runs and on `resamples` draws of them. The result does not depend on the
/// pool. Throws Error for a statistic that is not finite.
void resample(std::span<ResampledStatistic> statistics, const DrawGroups& groups, int resamples,
              std::uint64_t seed, ThreadPool* pool);

/// The spread of a - b, or of a alone: what the draws have in common cancels.
struct ResampledSpread {
  double bootstrap_error = 0;   ///< standard deviation of the draws
  ExpandedError expanded = {};  ///< its standard error is 0 where all draws are equal
};
ResampledSpread spread_of(const ResampledStatistic& a, const ResampledStatistic* b, const DrawGroups& groups);

}  // namespace diffreward
