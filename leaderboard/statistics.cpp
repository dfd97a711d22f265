#include "leaderboard/statistics.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "core/format.h"
#include "core/rng.h"
#include "leaderboard/resampling.h"

namespace diffreward {
namespace {

constexpr double kUnbounded = std::numeric_limits<double>::infinity();
constexpr int kMostFurtherRuns = 10000;
constexpr std::uint64_t kRangeGroup = 2;  // of the streams for resampling; leaderboard/resampling.cpp has 1

const boost::math::normal kNormal;

/// Quantile of the normal that leaves `q` above it.
double normal_above(double q) {
  return q <= 0 ? kUnbounded : boost::math::quantile(boost::math::complement(kNormal, q));
}

double normal_tail(double z) {
  return std::isinf(z) ? 0 : boost::math::cdf(boost::math::complement(kNormal, z));
}

/// P(T > t) for t >= 0.
double student_tail(double t, double degrees) {
  if (std::isinf(t)) return 0;
  return boost::math::cdf(boost::math::complement(boost::math::students_t(degrees), t));
}

/// The t that leaves `q` above it.
double student_above(double q, double degrees) {
  return q <= 0 ? kUnbounded
                : boost::math::quantile(boost::math::complement(boost::math::students_t(degrees), q));
}

void check_scores(const ScoresByTask& scores, const char* function) {
  require(!scores.empty(), function, ": expected at least one task, got none");
  for (std::size_t task = 0; task < scores.size(); ++task) {
    require(!scores[task].empty(), function, ": expected at least one run of each task, got none of task ",
            task);
    for (const double score : scores[task])
      require(std::isfinite(score), function, ": expected finite scores, got ", score, " of task ", task);
  }
}

bool lower_is_better(Aggregate which) {
  return which == Aggregate::kOptimalityGap;
}

/// The aggregate as a function of how often each run counts.
class CountedAggregate {
 public:
  /// at: [tasks][runs of the task]  where the run's count stands among all counts.
  CountedAggregate(Aggregate which, double target, const ScoresByTask& scores,
                   const std::vector<std::vector<std::size_t>>& at)
      : which_(which), tasks_(scores.size()) {
    std::size_t total = 0;
    for (const std::vector<double>& task : scores) total += task.size();
    runs_ = double(total);
    cut_ = double(total / 4);
    for (std::size_t task = 0; task < tasks_; ++task)
      for (std::size_t run = 0; run < scores[task].size(); ++run) {
        const double score = scores[task][run];
        // N / K over n_k: 1, exactly, where all tasks have equally many runs.
        entries_.push_back({which == Aggregate::kOptimalityGap ? std::max(0.0, target - score) : score,
                            runs_ / (double(tasks_) * double(scores[task].size())), at[task][run], task});
      }
    in_task_order_ = entries_;
    if (which == Aggregate::kInterquartileMean)
      std::stable_sort(entries_.begin(), entries_.end(),
                       [](const Entry& a, const Entry& b) { return a.score < b.score; });
  }

  double operator()(std::span<const double> counts) const {
    switch (which_) {
      case Aggregate::kInterquartileMean:
        return interquartile_mean(counts);
      case Aggregate::kMedian:
        return median_of_tasks(counts);
      default:
        break;
    }
    double sum = 0;
    for (const Entry& entry : entries_) sum += counts[entry.at] * entry.weight * entry.score;
    return sum / runs_;
  }

  /// Whether it is a weighted sum of counts, whatever they are.
  bool linear() const {
    if (which_ == Aggregate::kInterquartileMean) return cut_ == 0;
    return which_ != Aggregate::kMedian || tasks_ <= 2;
  }

  /// Of a linear one: d value / d count of a run, less its mean over the task. By where the count stands.
  std::map<std::size_t, double> influence() const {
    std::vector<double> mean(tasks_);
    for (const Entry& entry : in_task_order_) mean[entry.task] += entry.score * entry.weight;
    std::map<std::size_t, double> out;
    for (const Entry& entry : in_task_order_)
      out[entry.at] = entry.weight / runs_ * (entry.score - mean[entry.task] * double(tasks_) / runs_);
    return out;
  }

 private:
  struct Entry {
    double score, weight;
    std::size_t at, task;
  };

  double interquartile_mean(std::span<const double> counts) const {
    const double top = runs_ - cut_;
    double below = 0, sum = 0;  // weight so far
    for (const Entry& entry : entries_) {
      const double above = below + counts[entry.at] * entry.weight;
      if (above > cut_) {
        sum += entry.score * (std::min(above, top) - std::max(below, cut_));
        if (above >= top) break;
      }
      below = above;
    }
    return sum / (top - cut_);
  }

  double median_of_tasks(std::span<const double> counts) const {
    std::vector<double> means(tasks_);
    for (const Entry& entry : entries_) means[entry.task] += counts[entry.at] * entry.weight * entry.score;
    for (double& mean : means) mean *= double(tasks_) / runs_;
    return median(means);
  }

  Aggregate which_;
  std::size_t tasks_;
  double runs_ = 0, cut_ = 0;
  std::vector<Entry> entries_, in_task_order_;
};

/// probability_of_improvement() as a function of how often each run counts.
class CountedImprovement {
 public:
  CountedImprovement(const ScoresByTask& a, const ScoresByTask& b,
                     const std::vector<std::vector<std::size_t>>& at_a,
                     const std::vector<std::vector<std::size_t>>& at_b) {
    for (std::size_t task = 0; task < a.size(); ++task) {
      std::vector<Entry> entries;
      for (std::size_t run = 0; run < a[task].size(); ++run)
        entries.push_back({a[task][run], at_a[task][run], true});
      for (std::size_t run = 0; run < b[task].size(); ++run)
        entries.push_back({b[task][run], at_b[task][run], false});
      std::stable_sort(entries.begin(), entries.end(),
                       [](const Entry& x, const Entry& y) { return x.score < y.score; });
      tasks_.push_back({std::move(entries), double(a[task].size() * b[task].size())});
    }
  }

  double operator()(std::span<const double> counts) const {
    double sum = 0;
    for (const Task& task : tasks_) {
      double below = 0, wins = 0;  // weight of b so far
      for (std::size_t begin = 0, end = 0; begin < task.entries.size(); begin = end) {
        double tied_a = 0, tied_b = 0;
        for (; end < task.entries.size() && task.entries[end].score == task.entries[begin].score; ++end)
          (task.entries[end].of_a ? tied_a : tied_b) += counts[task.entries[end].at];
        wins += tied_a * (below + tied_b / 2);
        below += tied_b;
      }
      sum += wins / task.pairs;
    }
    return sum / double(tasks_.size());
  }

 private:
  struct Entry {
    double score;
    std::size_t at;
    bool of_a;
  };
  struct Task {
    std::vector<Entry> entries;
    double pairs;
  };
  std::vector<Task> tasks_;
};

std::string key_text(const RunKey& key) {
  return concat(key.train_seed, "/", key.stream);
}

/// One task's runs in an order of their own, so that the caller's changes nothing.
struct OrderedRuns {
  std::string task;
  std::vector<RunScore> runs;  // by key, then score
  std::string keys;            // of all runs; empty unless each has one

  std::vector<double> scores() const {
    std::vector<double> out;
    for (const RunScore& run : runs) out.push_back(run.score);
    return out;
  }
};

std::string whose(const std::string& method, const std::string& task) {
  return concat("'", method, "', task '", task, "'");
}

/// The method's tasks by name. Throws InvalidArgument for two of one name and two runs of one key.
std::map<std::string, OrderedRuns> ordered(const MethodScores& method) {
  std::map<std::string, OrderedRuns> out;
  for (const TaskScores& task : method.tasks) {
    OrderedRuns runs{task.task, task.runs, ""};
    std::sort(runs.runs.begin(), runs.runs.end(), [](const RunScore& a, const RunScore& b) {
      if (a.key != b.key) return a.key < b.key;
      return std::isnan(b.score) ? !std::isnan(a.score) : a.score < b.score;
    });
    bool keyed = !runs.runs.empty();
    for (std::size_t i = 0; i < runs.runs.size(); ++i) {
      const std::optional<RunKey>& key = runs.runs[i].key;
      keyed = keyed && key.has_value();
      require(i == 0 || !key || key != runs.runs[i - 1].key, whose(method.method, task.task),
              ": expected one run of each training seed and stream, found two of ",
              key ? key_text(*key) : "");
    }
    if (keyed)
      for (const RunScore& run : runs.runs) runs.keys += key_text(*run.key) + ' ';
    require(out.emplace(task.task, std::move(runs)).second, "'", method.method,
            "': expected each task once, found '", task.task, "' twice");
  }
  return out;
}

/// What keeps the runs from counting; empty for none.
std::string fault_of(const OrderedRuns& runs) {
  if (runs.runs.empty()) return concat("task '", runs.task, "' has no runs");
  for (const RunScore& run : runs.runs)
    if (!std::isfinite(run.score)) return concat("task '", runs.task, "' has a run that scored ", run.score);
  return "";
}

/// What keeps the runs from having an interval; empty for none.
std::string shortage_of(const std::string& method, const OrderedRuns& runs) {
  if (runs.runs.size() >= kFewestRuns) return "";
  return concat(whose(method, runs.task), ": ", runs.runs.size(), runs.runs.size() == 1 ? " run" : " runs",
                ", an interval needs ", kFewestRuns);
}

/// A method on some tasks, ready for drawing.
struct DrawnMethod {
  ScoresByTask scores;
  std::vector<std::vector<std::size_t>> at;  // [tasks][runs]  where the run's count stands
  std::vector<std::size_t> groups;           // ascending
};

/// Runs with keys are drawn in the group of all methods with the same keys, others in one of their own.
DrawnMethod drawn_method(const std::string& name, const std::vector<const OrderedRuns*>& tasks,
                         DrawGroups& groups) {
  DrawnMethod out;
  for (const OrderedRuns* runs : tasks) {
    const std::string group = concat(runs->task.size(), ' ', runs->task, '\n',
                                     runs->keys.empty() ? "method " + name : "keys " + runs->keys);
    const std::size_t number = groups.add(group, runs->runs.size());
    out.groups.push_back(number);
    std::vector<std::size_t> at(runs->runs.size());
    std::iota(at.begin(), at.end(), groups.first(number));
    out.at.push_back(std::move(at));
    out.scores.push_back(runs->scores());
  }
  std::sort(out.groups.begin(), out.groups.end());
  return out;
}

ResampledStatistic aggregate_statistic(Aggregate which, double target, const DrawnMethod& method,
                                       const DrawGroups& groups) {
  CountedAggregate counted(which, target, method.scores, method.at);
  ResampledStatistic out{.value_of = {}, .groups = method.groups};
  if (counted.linear()) {
    out.linear = true;
    const std::map<std::size_t, double> influence = counted.influence();
    for (const std::size_t group : out.groups)
      for (std::size_t i = 0; i < groups.size(group); ++i)
        out.influence.push_back(influence.at(groups.first(group) + i));
  }
  out.value_of = std::move(counted);
  return out;
}

/// Between quantiles of sorted draws, linear between order statistics as quantile().
Estimate percentiles(double value, const std::vector<double>& sorted, double below) {
  const auto at = [&](double q) {
    const double position = q * double(sorted.size() - 1);
    const auto left = std::min(static_cast<std::size_t>(position), sorted.size() - 1);
    return std::lerp(sorted[left], sorted[std::min(left + 1, sorted.size() - 1)], position - double(left));
  };
  return {value, at(below), at(1 - below)};
}

/// Draws of a - b, or of a alone.
std::vector<double> draws_of(const ResampledStatistic& a, const ResampledStatistic* b) {
  std::vector<double> out = a.draws;
  if (b != nullptr)
    for (std::size_t i = 0; i < out.size(); ++i) out[i] -= b->draws[i];
  return out;
}

BoardEstimate board_estimate(double value, const ResampledSpread& spread, std::vector<double> draws,
                             double confidence) {
  BoardEstimate out;
  std::sort(draws.begin(), draws.end());
  out.estimate = spread.expanded.interval(value, confidence);
  const double t = student_t_quantile((1 + confidence) / 2, spread.expanded.degrees);
  const double below = boost::math::cdf(kNormal, -t * std::sqrt(spread.expanded.expansion));
  out.expanded_percentile = percentiles(value, draws, below);
  out.percentile = percentiles(value, draws, (1 - confidence) / 2);
  return out;
}

BoardEstimate without_interval(double value) {
  const Estimate estimate{value, -kUnbounded, kUnbounded};
  return {estimate, estimate, estimate};
}

/// The interval of a probability, symmetric in its logit, so that it stays within (0, 1). At 0 or 1, where every run
/// of one side beats every run of the other, with chance q: that happens for probabilities below q^(1 / n), n
/// the number of disjoint pairs of runs (pair the runs one by one, each won independently; of several tasks
/// the product of the chances is largest where all are equal), as Clopper and Pearson's bound.
Estimate probability_interval(const BoardEstimate& of, double error, double pairs, double confidence,
                              double degrees) {
  const double value = of.estimate.value;
  if (value <= 0 || value >= 1) {
    const double bound = std::pow((1 - confidence) / 2, 1 / pairs);
    return value >= 1 ? Estimate{value, bound, 1} : Estimate{value, 0, 1 - bound};
  }
  const double half = student_t_quantile((1 + confidence) / 2, degrees) * error / (value * (1 - value));
  const auto inverse = [&](double shift) { return 1 / (1 + (1 - value) / value * std::exp(-shift)); };
  return {value, inverse(-half), inverse(half)};
}

/// About how many more runs of each task a difference of that size needs: its standard error shrinks with the
/// root of the runs, its degrees of freedom grow with them.
std::optional<int> further_runs(double difference, const ExpandedError& error, double runs, double level,
                                double power) {
  if (difference == 0) return std::nullopt;
  const auto told = [&](int more) {
    const double grown = runs + more;
    const double degrees = error.degrees * (grown - 1) / (runs - 1);
    const double half = student_above(level / 2, degrees) + student_above(1 - power, degrees);
    return std::abs(difference) >= half * error.standard_error * std::sqrt(runs / grown);
  };
  if (!told(kMostFurtherRuns)) return std::nullopt;
  int low = 0, high = kMostFurtherRuns;  // low: not enough
  while (high - low > 1) {
    const int middle = low + (high - low) / 2;
    (told(middle) ? high : low) = middle;
  }
  return high;
}

Json bounds(const Estimate& estimate) {
  return {estimate.low, estimate.high};
}

std::string percent(double confidence) {
  return format_number(100 * confidence) + " %";
}

std::string chance(double p) {
  return p < 0.001 ? "p < 0.001" : "p = " + format_number(p);
}

std::string tasks_text(std::size_t n) {
  return concat(n, n == 1 ? " task" : " tasks");
}

void check_names(std::span<const MethodScores> methods) {
  std::set<std::string> names;
  for (const MethodScores& method : methods)
    require(names.insert(method.method).second, "methods: expected each name once, found '", method.method,
            "' twice");
}

}  // namespace

std::string aggregate_words(const std::string& aggregate) {
  if (aggregate == "iqm") return "interquartile mean";
  if (aggregate == "optimality_gap") return "optimality gap";
  return aggregate == "median" ? "median of the tasks' means" : "mean";
}

Aggregate aggregate_named(const std::string& name) {
  if (name == "iqm") return Aggregate::kInterquartileMean;
  if (name == "mean") return Aggregate::kMean;
  if (name == "median") return Aggregate::kMedian;
  require(name == "optimality_gap",
          unknown_name("aggregate", name, {"iqm", "mean", "median", "optimality_gap"}));
  return Aggregate::kOptimalityGap;
}

double aggregate(Aggregate which, const ScoresByTask& scores, double target) {
  check_scores(scores, "aggregate");
  require(std::isfinite(target), "aggregate: expected a finite target, got ", target);
  std::vector<std::vector<std::size_t>> at;
  for (const std::vector<double>& task : scores) at.emplace_back(task.size());  // one count for all
  return CountedAggregate(which, target, scores, at)(std::vector<double>{1});
}

double probability_of_improvement(const ScoresByTask& a, const ScoresByTask& b) {
  check_scores(a, "probability_of_improvement");
  check_scores(b, "probability_of_improvement");
  require(a.size() == b.size(), "probability_of_improvement: expected equally many tasks, got ", a.size(),
          " and ", b.size());
  double sum = 0;
  for (std::size_t task = 0; task < a.size(); ++task) sum += auroc(a[task], b[task]);
  return sum / double(a.size());
}

std::vector<double> performance_profile(const ScoresByTask& scores, std::span<const double> thresholds) {
  check_scores(scores, "performance_profile");
  std::vector<double> out;
  for (const double threshold : thresholds) {
    require(!std::isnan(threshold), "performance_profile: expected thresholds, got ", threshold);
    double sum = 0;
    for (const std::vector<double>& task : scores)
      sum +=
          double(std::count_if(task.begin(), task.end(), [&](double score) { return score > threshold; })) /
          double(task.size());
    out.push_back(sum / double(scores.size()));
  }
  return out;
}

Json BoardEstimate::json() const {
  Json out = estimate.json();
  out["expanded_percentile"] = bounds(expanded_percentile);
  out["percentile"] = bounds(percentile);
  return out;
}

namespace {

/// The method's tasks in order of their names, all with finite scores.
std::vector<const OrderedRuns*> complete(const std::string& method,
                                         const std::map<std::string, OrderedRuns>& tasks) {
  require(!tasks.empty(), "'", method, "': expected at least one task, found none");
  std::vector<const OrderedRuns*> out;
  for (const auto& [name, runs] : tasks) {
    const std::string fault = fault_of(runs);
    require(fault.empty(), "'", method, "': expected finite runs, found that ", fault);
    out.push_back(&runs);
  }
  return out;
}

std::string shortage_of(const std::string& method, const std::vector<const OrderedRuns*>& tasks) {
  for (const OrderedRuns* runs : tasks)
    if (const std::string shortage = shortage_of(method, *runs); !shortage.empty()) return shortage;
  return "";
}

}  // namespace

BoardEstimate estimate(const MethodScores& method, const BoardStatisticsConfig& config, ThreadPool* pool) {
  validate(config);
  const std::map<std::string, OrderedRuns> runs = ordered(method);
  const std::vector<const OrderedRuns*> tasks = complete(method.method, runs);
  DrawGroups groups;
  const DrawnMethod drawn = drawn_method(method.method, tasks, groups);
  const Aggregate which = aggregate_named(config.aggregate);
  if (!shortage_of(method.method, tasks).empty())
    return without_interval(aggregate(which, drawn.scores, config.target));
  ResampledStatistic statistic = aggregate_statistic(which, config.target, drawn, groups);
  resample({&statistic, 1}, groups, config.resamples, config.seed, pool);
  return board_estimate(statistic.value, spread_of(statistic, nullptr, groups), statistic.draws,
                        config.confidence);
}

std::vector<Estimate> profile_with_intervals(const MethodScores& method, std::span<const double> thresholds,
                                             const BoardStatisticsConfig& config, ThreadPool* pool) {
  validate(config);
  const std::map<std::string, OrderedRuns> runs = ordered(method);
  const std::vector<const OrderedRuns*> tasks = complete(method.method, runs);
  DrawGroups groups;
  const DrawnMethod drawn = drawn_method(method.method, tasks, groups);
  const std::vector<double> values = performance_profile(drawn.scores, thresholds);
  std::vector<Estimate> out;
  if (!shortage_of(method.method, tasks).empty()) {
    for (const double value : values) out.push_back({value, -kUnbounded, kUnbounded});
    return out;
  }
  // A run counts at every threshold below its score: at the first so many, once they are sorted.
  std::vector<std::size_t> order(thresholds.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return thresholds[a] < thresholds[b]; });
  struct Counted {
    std::size_t at, thresholds;
    double weight;
  };
  std::vector<Counted> counted;
  for (std::size_t task = 0; task < drawn.scores.size(); ++task)
    for (std::size_t run = 0; run < drawn.scores[task].size(); ++run) {
      const double score = drawn.scores[task][run];
      const auto first_above =
          std::find_if(order.begin(), order.end(), [&](std::size_t i) { return thresholds[i] >= score; });
      counted.push_back({drawn.at[task][run], std::size_t(first_above - order.begin()),
                         1 / (double(drawn.scores.size()) * double(drawn.scores[task].size()))});
    }
  std::vector<std::vector<double>> draws(thresholds.size(),
                                         std::vector<double>(std::size_t(config.resamples)));
  const auto body = [&](std::size_t begin, std::size_t end) {
    std::vector<double> counts(groups.runs()), share(thresholds.size() + 1);
    for (std::size_t draw = begin; draw < end; ++draw) {
      groups.draw(config.seed, draw, counts);
      std::fill(share.begin(), share.end(), 0.0);
      for (const Counted& run : counted) share[run.thresholds] += counts[run.at] * run.weight;
      double above = 0;
      for (std::size_t i = order.size(); i-- > 0;) {
        above += share[i + 1];
        draws[order[i]][draw] = above;
      }
    }
  };
  if (pool != nullptr)
    pool->parallel_for(std::size_t(config.resamples), body);
  else
    body(0, std::size_t(config.resamples));
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::sort(draws[i].begin(), draws[i].end());
    out.push_back(percentiles(values[i], draws[i], (1 - config.confidence) / 2));
  }
  return out;
}

std::string Comparison::sentence() const {
  const std::string what = aggregate_words(aggregate);
  const std::string where = left_out.empty() ? "on " + tasks_text(tasks.size())
                                             : concat("on the ", tasks_text(tasks.size()), " that both have");
  const std::string numbers = concat(format_estimate(difference.estimate),
                                     std::isfinite(difference.estimate.low)
                                         ? " (" + percent(confidence) + " interval, " + chance(p) + ")"
                                         : "");
  std::string out;
  if (verdict == Verdict::kUndecided) {
    out = concat("The runs do not tell ", first, " from ", second, ": ", what, " of ", first, " minus ",
                 second, " ", numbers, " ", where);
    if (!note.empty())
      out += "; " + note;
    else if (more_runs)
      out += concat("; about ", format_number(*more_runs), " more ", *more_runs == 1 ? "run" : "runs",
                    " of each task of both would tell, were the difference as large as it looks");
    else
      out += "; no number of further runs within reach would tell";
  } else {
    const bool is_first = verdict == Verdict::kFirst;
    out = concat(is_first ? first : second, " is better than ", is_first ? second : first, ": ", what, " of ",
                 first, " minus ", second, " ", numbers, " ", where, "; a run of ", first, " beats one of ",
                 second, " with probability ", format_estimate(improvement.estimate));
  }
  return printable(out + ".");
}

Json Comparison::json() const {
  const char* const verdicts[] = {"first", "second", "undecided"};
  Json out = {{"first", first},
              {"second", second},
              {"aggregate", aggregate},
              {"tasks", tasks},
              {"left_out", left_out},
              {"paired", paired},
              {"difference", difference.json()},
              {"improvement", improvement.json()},
              {"p", p},
              {"level", level},
              {"confidence", confidence},
              {"verdict", verdicts[static_cast<int>(verdict)]},
              {"more_runs", more_runs ? Json(*more_runs) : Json()},
              {"note", note},
              {"sentence", sentence()}};
  return out;
}

Comparison compare(const MethodScores& first, const MethodScores& second, const BoardStatisticsConfig& config,
                   std::optional<double> level, ThreadPool* pool) {
  validate(config);
  const MethodScores* both[] = {&first, &second};
  require(first.method != second.method, "compare: expected two methods, found '", first.method, "' twice");
  Comparison out{.first = first.method, .second = second.method, .aggregate = config.aggregate};
  out.level = level.value_or(1 - config.confidence);
  require(out.level >= 0 && out.level < 1, "compare: expected a level in [0, 1), got ", out.level);
  out.confidence = 1 - out.level;

  const std::map<std::string, OrderedRuns> of_first = ordered(first), of_second = ordered(second);
  std::vector<const OrderedRuns*> tasks[2];
  const auto has = [](const std::map<std::string, OrderedRuns>& tasks_of, const std::string& task) {
    const auto found = tasks_of.find(task);
    return found != tasks_of.end() && !found->second.runs.empty();
  };
  for (const auto& [task, runs] : of_first) {
    if (!has(of_first, task) || !has(of_second, task)) {
      out.left_out.push_back(task);
      continue;
    }
    out.tasks.push_back(task);
    tasks[0].push_back(&runs);
    tasks[1].push_back(&of_second.at(task));
    if (!runs.keys.empty() && runs.keys == tasks[1].back()->keys) out.paired.push_back(task);
  }
  for (const auto& [task, runs] : of_second)
    if (!of_first.contains(task)) out.left_out.push_back(task);
  std::sort(out.left_out.begin(), out.left_out.end());
  require(!out.tasks.empty(), "compare: expected a task with runs of both '", first.method, "' and '",
          second.method, "', found none");
  DrawGroups groups;
  DrawnMethod drawn[2];
  for (int side = 0; side < 2; ++side) {
    for (const OrderedRuns* runs : tasks[side]) {
      const std::string fault = fault_of(*runs);
      require(fault.empty(), "'", both[side]->method, "': expected finite runs, found that ", fault);
    }
    drawn[side] = drawn_method(both[side]->method, tasks[side], groups);
    if (out.note.empty()) out.note = shortage_of(both[side]->method, tasks[side]);
  }
  if (out.note.empty() && out.level == 0)
    out.note = "this look uncovers nothing new and has no error to spend";

  const Aggregate which = aggregate_named(config.aggregate);
  if (!out.note.empty()) {
    out.difference = without_interval(aggregate(which, drawn[0].scores, config.target) -
                                      aggregate(which, drawn[1].scores, config.target));
    out.improvement = without_interval(probability_of_improvement(drawn[0].scores, drawn[1].scores));
    return out;
  }

  std::vector<ResampledStatistic> statistics;
  for (const DrawnMethod& method : drawn)
    statistics.push_back(aggregate_statistic(which, config.target, method, groups));
  ResampledStatistic improvement{
      .value_of = CountedImprovement(drawn[0].scores, drawn[1].scores, drawn[0].at, drawn[1].at),
      .groups = {}};
  std::set_union(drawn[0].groups.begin(), drawn[0].groups.end(), drawn[1].groups.begin(),
                 drawn[1].groups.end(), std::back_inserter(improvement.groups));
  statistics.push_back(std::move(improvement));
  resample(statistics, groups, config.resamples, config.seed, pool);

  const ResampledStatistic &a = statistics[0], &b = statistics[1], &won = statistics[2];
  const double difference = a.value - b.value;
  const ResampledSpread spread = spread_of(a, &b, groups);
  out.difference = board_estimate(difference, spread, draws_of(a, &b), out.confidence);
  const ResampledSpread won_spread = spread_of(won, nullptr, groups);
  out.improvement = board_estimate(won.value, won_spread, won.draws, out.confidence);
  double pairs = 0, inverse = 0;  // inverse: sum of 1 / n, of the harmonic mean
  for (std::size_t task = 0; task < out.tasks.size(); ++task) {
    const double n = double(drawn[0].scores[task].size()), m = double(drawn[1].scores[task].size());
    pairs += std::min(n, m);
    inverse += 1 / n + 1 / m;
  }
  out.improvement.estimate = probability_interval(out.improvement, won_spread.expanded.standard_error, pairs,
                                                  out.confidence, won_spread.expanded.degrees);

  const double error = spread.expanded.standard_error;
  const double t = error > 0 ? std::abs(difference) / error : difference == 0 ? 0 : kUnbounded;
  out.p = 2 * student_tail(t, spread.expanded.degrees);
  if (out.p <= out.level && difference != 0)
    out.verdict = (difference > 0) != lower_is_better(which) ? Verdict::kFirst : Verdict::kSecond;
  else
    out.more_runs = further_runs(difference, spread.expanded, 2 * double(out.tasks.size()) / inverse,
                                 out.level, config.power);
  return out;
}

Json Standing::json() const {
  Json out = {{"method", method},
              {"value", value.json()},
              {"best_rank", best_rank},
              {"worst_rank", worst_rank},
              {"tier", tier}};
  if (!unranked.empty()) out["unranked"] = unranked;
  return out;
}

Json Leaderboard::json() const {
  Json out = {
      {"tasks", tasks}, {"config", to_json(config)}, {"standings", Json::array()}, {"pairs", Json::array()}};
  for (const Standing& standing : standings) out["standings"].push_back(standing.json());
  for (const PairStanding& pair : pairs)
    out["pairs"].push_back({{"first", pair.first},
                            {"second", pair.second},
                            {"difference", pair.difference.json()},
                            {"p", pair.p},
                            {"improvement", pair.improvement},
                            {"told", pair.told}});
  return out;
}

namespace {

/// A pair as a hypothesis of no difference.
struct Hypothesis {
  std::size_t pair = 0, a = 0, b = 0;  // statistics
  bool together = false;               // the two have runs that are drawn together
  double z = 0;                        // the t statistic as the normal's quantile of equal tail
  double mean = 0;                     // of the draws of the difference
  ResampledSpread spread = {};
};

/// Max-|t| step-down over differences of draws (Romano and Wolf 2005, algorithm 4.1): p-values in order of
/// |z|, descending, not yet monotone; and the maximum of each draw over all hypotheses.
/// scaled(h): hypothesis h's offset and scale, |a - b - offset| * scale.
struct MaximumTest {
  std::vector<double> p;        // [hypotheses]
  std::vector<double> largest;  // [draws]
};
MaximumTest maximum_test(const std::vector<Hypothesis>& hypotheses,
                         const std::function<const std::vector<double>&(std::size_t)>& draws_of_method,
                         const std::function<std::pair<double, double>(const Hypothesis&)>& scaled) {
  MaximumTest out{std::vector<double>(hypotheses.size()), {}};
  out.largest.assign(draws_of_method(hypotheses.front().a).size(), 0.0);
  for (std::size_t h = hypotheses.size(); h-- > 0;) {  // over those that remain when h is tested
    const Hypothesis& hypothesis = hypotheses[h];
    const std::vector<double>&a = draws_of_method(hypothesis.a), &b = draws_of_method(hypothesis.b);
    const auto [offset, scale] = scaled(hypothesis);
    std::size_t reached = 1;
    for (std::size_t draw = 0; draw < out.largest.size(); ++draw) {
      out.largest[draw] = std::max(out.largest[draw], std::abs(a[draw] - b[draw] - offset) * scale);
      reached += out.largest[draw] >= hypothesis.z;
    }
    out.p[h] = double(reached) / double(out.largest.size() + 1);
  }
  return out;
}

/// Adjusted p-values of all pairs, and the critical value of |z| of all together. The bootstrap of few runs
/// has no tails, and knows no more directions than it has runs that are drawn together: of 20 equal methods
/// with 3 runs of one task it alone tells two apart in 9 of 100 cases, with 5 shared seeds in 17. So it never
/// tells more than Tukey's range of independent methods would, nor, with runs drawn together, than Holm's test.
double step_down(std::vector<Hypothesis>& hypotheses, const std::vector<ResampledStatistic>& statistics,
                 const BoardStatisticsConfig& config, std::vector<PairStanding>& pairs) {
  const double level = 1 - config.confidence;
  std::stable_sort(hypotheses.begin(), hypotheses.end(),
                   [](const Hypothesis& x, const Hypothesis& y) { return x.z > y.z; });
  const MaximumTest resampled = maximum_test(
      hypotheses, [&](std::size_t method) -> const std::vector<double>& { return statistics[method].draws; },
      [](const Hypothesis& h) {
        return std::pair(h.mean, h.spread.bootstrap_error > 0 ? 1 / h.spread.bootstrap_error : 0.0);
      });
  double critical = quantile(resampled.largest, 1 - level);
  std::vector<double> p = resampled.p;
  if (std::any_of(hypotheses.begin(), hypotheses.end(), [](const Hypothesis& h) { return h.together; })) {
    for (std::size_t h = 0; h < hypotheses.size(); ++h)
      p[h] = std::max(p[h], std::min(1.0, 2 * normal_tail(hypotheses[h].z) * double(hypotheses.size() - h)));
    critical = std::max(critical, normal_above(level / 2 / double(hypotheses.size())));
  } else {
    std::vector<std::vector<double>> independent;
    for (std::size_t method = 0; method < statistics.size(); ++method) {
      Rng rng(Streams(Purpose::kResampling, config.seed, kRangeGroup)[method]);
      independent.emplace_back(std::size_t(config.resamples));
      for (double& draw : independent.back()) draw = rng.normal();
    }
    const MaximumTest range = maximum_test(
        hypotheses, [&](std::size_t method) -> const std::vector<double>& { return independent[method]; },
        [](const Hypothesis&) { return std::pair(0.0, std::sqrt(0.5)); });
    for (std::size_t h = 0; h < hypotheses.size(); ++h) p[h] = std::max(p[h], range.p[h]);
    critical = std::max(critical, quantile(range.largest, 1 - level));
  }
  for (std::size_t h = 0; h < hypotheses.size(); ++h) {
    if (h > 0) p[h] = std::max(p[h], p[h - 1]);
    pairs[hypotheses[h].pair].p = p[h];
    pairs[hypotheses[h].pair].told = p[h] <= level;
  }
  return critical;
}

}  // namespace

Leaderboard leaderboard(std::span<const MethodScores> methods, const BoardStatisticsConfig& config,
                        ThreadPool* pool) {
  validate(config);
  check_names(methods);
  const Aggregate which = aggregate_named(config.aggregate);
  Leaderboard out;
  out.config = config;
  for (const MethodScores& method : methods)
    for (const TaskScores& task : method.tasks)
      if (std::find(out.tasks.begin(), out.tasks.end(), task.task) == out.tasks.end())
        out.tasks.push_back(task.task);
  std::vector<std::string> by_name = out.tasks;
  std::sort(by_name.begin(), by_name.end());

  struct Place {
    std::string method;
    DrawnMethod drawn;
    double value = 0;
    std::optional<std::size_t> statistic = {};  // none: no interval
  };
  std::vector<Place> places;
  std::vector<Standing> unranked;
  std::vector<std::map<std::string, OrderedRuns>> runs;
  for (const MethodScores& method : methods) runs.push_back(ordered(method));
  DrawGroups groups;
  std::vector<ResampledStatistic> statistics;
  std::vector<std::size_t> order(methods.size());  // by name: sums are added in the same order in any input
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return methods[a].method < methods[b].method; });
  for (const std::size_t m : order) {
    const std::string& name = methods[m].method;
    std::string fault = by_name.empty() ? "there are no tasks" : "";
    std::vector<const OrderedRuns*> tasks;
    for (const std::string& task : by_name) {
      const auto found = runs[m].find(task);
      if (fault.empty())
        fault = found == runs[m].end() ? concat("task '", task, "' has no runs") : fault_of(found->second);
      if (fault.empty()) tasks.push_back(&found->second);
    }
    if (!fault.empty()) {
      unranked.push_back({.method = name,
                          .value = without_interval(std::numeric_limits<double>::quiet_NaN()),
                          .unranked = fault});
      continue;
    }
    const bool interval = shortage_of(name, tasks).empty();
    DrawGroups apart;
    Place place{.method = name, .drawn = drawn_method(name, tasks, interval ? groups : apart)};
    place.value = aggregate(which, place.drawn.scores, config.target);
    if (interval) {
      place.statistic = statistics.size();
      statistics.push_back(aggregate_statistic(which, config.target, place.drawn, groups));
    }
    places.push_back(std::move(place));
  }
  std::sort(places.begin(), places.end(), [&](const Place& a, const Place& b) {
    if (a.value != b.value) return lower_is_better(which) ? a.value < b.value : a.value > b.value;
    return a.method < b.method;
  });
  resample(statistics, groups, config.resamples, config.seed, pool);

  std::vector<Hypothesis> hypotheses;
  for (std::size_t i = 0; i < places.size(); ++i)
    for (std::size_t j = i + 1; j < places.size(); ++j) {
      PairStanding pair{.first = places[i].method, .second = places[j].method};
      const double difference = places[i].value - places[j].value;
      pair.difference = {difference, -kUnbounded, kUnbounded};
      pair.improvement = probability_of_improvement(places[i].drawn.scores, places[j].drawn.scores);
      if (places[i].statistic && places[j].statistic) {
        Hypothesis h{.pair = out.pairs.size(), .a = *places[i].statistic, .b = *places[j].statistic};
        const ResampledStatistic &a = statistics[h.a], &b = statistics[h.b];
        h.spread = spread_of(a, &b, groups);
        h.mean = mean(a.draws) - mean(b.draws);
        const double error = h.spread.expanded.standard_error;
        const double t = error > 0 ? std::abs(difference) / error : difference == 0 ? 0 : kUnbounded;
        h.z = normal_above(student_tail(t, h.spread.expanded.degrees));
        h.together = std::find_first_of(a.groups.begin(), a.groups.end(), b.groups.begin(), b.groups.end()) !=
                     a.groups.end();
        hypotheses.push_back(h);
      }
      out.pairs.push_back(std::move(pair));
    }
  if (!hypotheses.empty()) {
    const double critical = step_down(hypotheses, statistics, config, out.pairs);
    const double tail = normal_tail(critical);
    for (const Hypothesis& h : hypotheses) {
      Estimate& difference = out.pairs[h.pair].difference;
      const double error = h.spread.expanded.standard_error;
      const double half = error > 0 ? student_above(tail, h.spread.expanded.degrees) * error : 0;
      difference.low = difference.value - half;
      difference.high = difference.value + half;
    }
  }

  const int ranked = int(places.size());
  for (const Place& place : places) {
    Standing standing{.method = place.method, .best_rank = 1, .worst_rank = ranked};
    standing.value =
        place.statistic
            ? board_estimate(place.value, spread_of(statistics[*place.statistic], nullptr, groups),
                             statistics[*place.statistic].draws, config.confidence)
            : without_interval(place.value);
    out.standings.push_back(std::move(standing));
  }
  std::size_t pair = 0, leader = 0;  // leader: the tier's first
  int tier = 1;
  std::vector<std::vector<bool>> told(places.size(), std::vector<bool>(places.size()));
  for (std::size_t i = 0; i < places.size(); ++i)
    for (std::size_t j = i + 1; j < places.size(); ++j, ++pair) {
      told[i][j] = out.pairs[pair].told;
      if (!told[i][j]) continue;
      ++out.standings[j].best_rank;
      --out.standings[i].worst_rank;
    }
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (told[leader][i]) leader = i, ++tier;
    out.standings[i].tier = tier;
  }
  out.standings.insert(out.standings.end(), unranked.begin(), unranked.end());
  return out;
}

std::vector<MethodScores> failures_as(std::vector<MethodScores> methods, double score) {
  require(std::isfinite(score), "failures_as: expected a finite score, got ", score);
  std::vector<std::string> tasks;
  for (const MethodScores& method : methods)
    for (const TaskScores& task : method.tasks)
      if (std::find(tasks.begin(), tasks.end(), task.task) == tasks.end()) tasks.push_back(task.task);
  for (MethodScores& method : methods) {
    std::size_t fewest = 0;  // of the tasks that have runs
    for (TaskScores& task : method.tasks) {
      for (RunScore& run : task.runs)
        if (!std::isfinite(run.score)) run.score = score;
      if (!task.runs.empty()) fewest = fewest == 0 ? task.runs.size() : std::min(fewest, task.runs.size());
    }
    for (const std::string& name : tasks) {
      const auto task = std::find_if(method.tasks.begin(), method.tasks.end(),
                                     [&](const TaskScores& known) { return known.task == name; });
      TaskScores& runs =
          task != method.tasks.end() ? *task : method.tasks.emplace_back(TaskScores{.task = name});
      if (runs.runs.empty()) runs.runs.assign(std::max<std::size_t>(fewest, 1), RunScore{.score = score});
    }
  }
  return methods;
}

double alpha_spent(Spending rule, double share, double alpha) {
  require(share >= 0 && share <= 1, "alpha_spent: expected a share in [0, 1], got ", share);
  require(alpha > 0 && alpha < 1, "alpha_spent: expected alpha in (0, 1), got ", alpha);
  if (share == 0) return 0;
  if (share == 1) return alpha;
  if (rule == Spending::kPocock) return alpha * std::log1p((std::exp(1.0) - 1) * share);
  return 2 * normal_tail(normal_above(alpha / 2) / std::sqrt(share));
}

double look_level(Spending rule, double share, double spent_before, double alpha) {
  require(spent_before >= 0 && spent_before <= 1, "look_level: expected what was spent in [0, 1], got ",
          spent_before);
  return std::max(0.0, alpha_spent(rule, share, alpha) - spent_before);
}

}  // namespace diffreward
