// Coverage of the board's intervals, how often its tests tell equal methods apart, and what a board costs: every
// cell that docs/board-statistics.md shows. The tests of leaderboard/ hold a small twin.
//
// usage: board_statistics RESULTS.json [PAGE.md] [REPETITIONS]
//
// Figures go into the results file; PAGE's lines between <!-- coverage:begin --> and end, and family:begin and
// end, are replaced. 2,000 repetitions take ten minutes of a core.
#include <cmath>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <string>

#include "core/error.h"
#include "core/file.h"
#include "core/format.h"
#include "core/provenance.h"
#include "leaderboard/results.h"
#include "tests/leaderboard/simulated_runs.h"

using namespace diffreward;

namespace {

constexpr int kResamples = 500;
constexpr RunKind kKinds[] = {kNormalRuns, kSkewedRuns, kSuccessRates};
constexpr std::size_t kTasks[] = {1, 6, 20}, kRuns[] = {3, 5, 10, 20};

class Figures {
 public:
  explicit Figures(int repetitions) : repetitions_(repetitions) {}

  void add(const std::string& name, double value, const std::string& bar, int repetitions,
           const std::string& unit = "") {
    Result out{.question = name, .value = value, .unit = unit, .bar = bar};
    out.command = concat("make bench-board-statistics REPETITIONS=", repetitions_);
    out.commit = program_commit();
    out.machine = machine_description();
    if (unit.empty())
      out.note = concat(repetitions, " repetitions, standard error ",
                        format_number(std::sqrt(std::max(value * (1 - value), 1e-4) / repetitions)));
    std::cout << name << ": " << format_number(value)
              << (passes(value, bar) == false ? "  MISSES " + bar : "") << std::endl;
    results_.push_back(std::move(out));
  }
  const std::vector<Result>& results() const { return results_; }

 private:
  int repetitions_;
  std::vector<Result> results_;
};

std::string cell(double value) {
  char text[16];
  std::snprintf(text, sizeof text, value >= 0.93 && value <= 0.99 ? "%.3f" : "**%.3f**", value);
  return text;
}

std::string coverage_table(int repetitions, Figures& figures) {
  std::string out =
      "| runs are | tasks | runs | shown | expanded percentile | percentile | difference of two | "
      "difference, paired | "
      "improvement |\n|---|---|---|---|---|---|---|---|---|\n";
  for (const RunKind kind : kKinds)
    for (const std::size_t tasks : kTasks)
      for (const std::size_t runs : kRuns) {
        const Coverage one = coverage_of(kind, tasks, runs, repetitions, kResamples);
        const PairCoverage apart = pair_coverage_of(kind, tasks, runs, repetitions, kResamples, false);
        const PairCoverage paired = pair_coverage_of(kind, tasks, runs, repetitions, kResamples, true);
        const std::string where =
            concat(", ", name_of(kind), ", ", tasks, tasks == 1 ? " task, " : " tasks, ", runs, " runs");
        for (const char* bar : {">= 0.93", "<= 0.99"})
          figures.add("coverage" + where + " (" + bar + ")", one.shown, bar, repetitions);
        figures.add("coverage, expanded percentile" + where, one.expanded_percentile, "", repetitions);
        figures.add("coverage, percentile" + where, one.percentile, "", repetitions);
        figures.add("coverage, difference" + where, apart.difference, ">= 0.93", repetitions);
        figures.add("coverage, paired difference" + where, paired.difference, ">= 0.93", repetitions);
        figures.add("coverage, probability of improvement" + where, apart.improvement, ">= 0.93",
                    repetitions);
        out +=
            concat("| ", name_of(kind), " | ", tasks, " | ", runs, " | ", cell(one.shown), " | ",
                   cell(one.expanded_percentile), " | ", cell(one.percentile), " | ", cell(apart.difference),
                   " | ", cell(paired.difference), " | ", cell(apart.improvement), " |\n");
      }
  return out;
}

std::string family_table(int repetitions, Figures& figures) {
  std::string out =
      "| runs are | tasks | 3 runs | 5 | 10 | 20 | 5, seeds shared |\n|---|---|---|---|---|---|---|\n";
  for (const RunKind kind : kKinds)
    for (const std::size_t tasks : kTasks) {
      out += concat("| ", name_of(kind), " | ", tasks, " |");
      const auto measure = [&](std::size_t runs, bool keyed) {
        const double share = family_error(kind, 20, tasks, runs, repetitions, kResamples, keyed);
        figures.add(concat("family-wise error, 20 equal methods, ", name_of(kind), ", ", tasks,
                           tasks == 1 ? " task, " : " tasks, ", runs, " runs", keyed ? ", shared seeds" : ""),
                    share, "<= 0.06", repetitions);
        char text[16];
        std::snprintf(text, sizeof text, share <= 0.06 ? " %.3f |" : " **%.3f** |", share);
        out += text;
      };
      for (const std::size_t runs : kRuns) measure(runs, false);
      measure(5, true);
      out += "\n";
    }
  return out;
}

void measure_speed(Figures& figures) {
  for (const bool keyed : {false, true}) {
    Rng rng(1);
    std::vector<MethodScores> methods;
    for (int m = 0; m < 20; ++m)
      methods.push_back(
          simulated_method("method " + std::to_string(m), simulated_scores(kNormalRuns, 20, 10, rng), keyed));
    std::vector<double> seconds;
    for (int round = 0; round < 7; ++round) {
      const std::clock_t begin = std::clock();  // of the processor: other programs do not count
      const Leaderboard board = leaderboard(methods, {.resamples = 10000});
      seconds.push_back(double(std::clock() - begin) / CLOCKS_PER_SEC);
      require(board.pairs.size() == 190, "expected 190 pairs");
    }
    figures.add(concat("20 methods, 20 tasks, 10 runs, 10,000 resamples", keyed ? ", shared seeds" : ""),
                median(seconds), "<= 2", 7, "s of one core");
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    require(argc >= 2 && argc <= 4, "usage: board_statistics RESULTS.json [PAGE.md] [REPETITIONS]");
    const int repetitions = argc > 3 ? std::stoi(argv[3]) : 2000;
    Figures figures(repetitions);
    measure_speed(figures);
    const std::string family = family_table(std::max(1, repetitions / 2), figures);
    const std::string coverage = coverage_table(repetitions, figures);
    save_results(argv[1], merge_results(load_results(argv[1]), figures.results()));
    if (argc > 2)
      write_file(argv[2],
                 replace_table(replace_table(read_file(argv[2]), coverage, "coverage"), family, "family"));
  } catch (const std::exception& error) {
    std::cerr << "board_statistics: " << error.what() << "\n";
    return 1;
  }
}
