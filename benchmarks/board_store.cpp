// What the board's store takes and what it survives: an import of a million episodes, a list of them, many writers, and
// writers that are killed. Writes its figures as JSON.
//
//   board_store OUT.json [kills [writers [submissions [episodes]]]]
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "benchmarks/board_benchmark.h"
#include "core/rng.h"
#include "core/statistics.h"
#include "leaderboard/exports.h"
#include "leaderboard/imports.h"
#include "leaderboard/standings.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;
std::vector<BoardTask> tasks(int count) {
  std::vector<BoardTask> out;
  for (int i = 0; i < count; ++i) out.push_back({.name = concat("suite/", i), .norm_low = 0, .norm_high = 1});
  return out;
}

BoardRun run_of(int task, std::uint64_t seed, int episodes, Rng& rng) {
  BoardRun run{.task = concat("suite/", task), .train_seed = seed};
  for (int i = 0; i < episodes; ++i) run.episodes.push_back({i, rng.uniform(), 1000});
  return run;
}

double percentile(std::vector<double> values, double q) {
  return quantile(values, q);
}

/// 20 methods with 10 runs on 20 tasks, and as many episodes each as are asked for in all.
Json large_board(const fs::path& folder, std::int64_t episodes) {
  constexpr int kMethods = 20, kTasks = 20, kRuns = 10, kLists = 40;
  Board source = Board::create(folder / "source.sqlite", tasks(kTasks));
  const int each = static_cast<int>(episodes / (kMethods * kTasks * kRuns));
  Rng rng(Seed{1});
  const auto begin = Clock::now();
  for (int method = 0; method < kMethods; ++method) {
    BoardSubmission submission{.entry = {.name = concat("method ", method)}};
    for (int task = 0; task < kTasks; ++task)
      for (std::uint64_t seed = 0; seed < kRuns; ++seed)
        submission.runs.push_back(run_of(task, seed, each, rng));
    source.submit(submission);
  }
  const double submitted = seconds_since(begin);
  write_file(folder / "board.json", board_json(source).dump());
  Board board = Board::create(folder / "imported.sqlite", {});
  const auto start = Clock::now();
  import_results(board, folder / "board.json", {});
  const double imported = seconds_since(start);
  const auto walk = Clock::now();
  const BoardCheck check = board.check();
  Json out = {{"episodes", check.episodes},    {"submit_seconds", submitted},
              {"import_seconds", imported},    {"check_seconds", seconds_since(walk)},
              {"faults", check.faults.size()}, {"bytes", fs::file_size(folder / "imported.sqlite")}};
  StandingsConfig config;
  ThreadPool pool(1);
  const auto first = Clock::now();
  (void)standings_json(board, standings(board, config, &pool));
  out["first_list_seconds"] = seconds_since(first);
  std::vector<double> times;
  for (int i = 0; i < kLists; ++i) {
    const auto look = Clock::now();
    const Board opened(folder / "imported.sqlite");
    (void)standings_json(opened, standings(opened, config, &pool));
    times.push_back(1e3 * seconds_since(look));
  }
  out["list_ms"] = {{"p50", percentile(times, 0.5)}, {"p95", percentile(times, 0.95)}};
  return out;
}

/// A child process that runs `body` and ends.
template <class Body>
pid_t in_child(const Body& body) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  try {
    body();
    ::_exit(0);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    ::_exit(1);
  }
}

Json many_writers(const fs::path& folder, int writers, int submissions) {
  const fs::path path = folder / "writers.sqlite";
  { Board::create(path, tasks(1)); }
  int pipe[2];
  if (::pipe(pipe) != 0) throw Error("pipe: failed");
  std::vector<pid_t> children;
  const auto begin = Clock::now();
  for (int writer = 0; writer < writers; ++writer)
    children.push_back(in_child([&] {
      Board board(path);
      Rng rng(Seed{static_cast<std::uint64_t>(writer)});
      for (int i = 0; i < submissions; ++i) {
        const BoardSubmission submission{.entry = {.name = concat("method ", writer)},
                                         .runs = {run_of(0, static_cast<std::uint64_t>(i), 10, rng)}};
        const auto start = Clock::now();
        board.submit(submission);
        const double took = 1e3 * seconds_since(start);
        if (::write(pipe[1], &took, sizeof took) != sizeof took) throw Error("pipe: failed");
      }
    }));
  ::close(pipe[1]);
  std::vector<double> times;
  for (double took = 0; ::read(pipe[0], &took, sizeof took) == sizeof took;) times.push_back(took);
  ::close(pipe[0]);
  int failed = 0;
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    failed += status != 0;
  }
  const double seconds = seconds_since(begin);
  const Board board(path);
  const std::size_t expected = static_cast<std::size_t>(writers) * static_cast<std::size_t>(submissions);
  return {
      {"writers", writers},
      {"submissions", expected},
      {"failed_writers", failed},
      {"rows", board.runs().size()},
      {"lost_or_doubled",
       static_cast<std::int64_t>(expected) - static_cast<std::int64_t>(board.runs().size())},
      {"faults", board.check().faults.size()},
      {"seconds", seconds},
      {"ms",
       {{"p50", percentile(times, 0.5)}, {"p99", percentile(times, 0.99)}, {"max", percentile(times, 1)}}}};
}

Json killed_writers(const fs::path& folder, int kills) {
  const fs::path path = folder / "killed.sqlite";
  { Board::create(path, tasks(1)); }
  std::uint64_t next = 0, lost = 0, faults = 0;
  Rng rng(Seed{2});
  for (int kill = 0; kill < kills; ++kill) {
    int pipe[2];
    if (::pipe(pipe) != 0) throw Error("pipe: failed");
    const pid_t child = in_child([&] {
      Board board(path);
      Rng scores(Seed{next});
      for (std::uint64_t seed = next;; ++seed) {
        board.submit({.entry = {.name = "method"}, .runs = {run_of(0, seed, 300, scores)}});
        if (::write(pipe[1], &seed, sizeof seed) != sizeof seed) return;
      }
    });
    ::close(pipe[1]);
    std::this_thread::sleep_for(std::chrono::microseconds(static_cast<int>(200'000 * rng.uniform())));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    std::uint64_t acknowledged = next;
    for (std::uint64_t seed = 0; ::read(pipe[0], &seed, sizeof seed) == sizeof seed;) acknowledged = seed + 1;
    ::close(pipe[0]);
    const Board board(path);
    const std::uint64_t found = board.runs().size();
    lost += acknowledged > found ? acknowledged - found : 0;
    if (kill % 10 == 9 || kill + 1 == kills) faults += board.check().faults.size();
    next = found;
  }
  return {{"kills", kills}, {"rows", next}, {"acknowledged_rows_lost", lost}, {"faults", faults}};
}

int measure(const std::vector<std::string>& args) {
  const auto number = [&](std::size_t i, int otherwise) {
    return i < args.size() ? std::stoi(args[i]) : otherwise;
  };
  std::string name = (fs::temp_directory_path() / "diffreward_board_store_XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw Error(concat(name, ": cannot create this folder"));
  const fs::path folder = name;
  Json out = {{"machine", machine_description()}};
  out["killed_writers"] = killed_writers(folder, number(1, 200));
  out["many_writers"] = many_writers(folder, number(2, 8), number(3, 200));
  out["large_board"] = large_board(folder, number(4, 1'000'000));
  fs::remove_all(folder);
  put_figures(args[0], out);
  return 0;
}

}  // namespace
}  // namespace diffreward

int main(int argc, char** argv) {
  return diffreward::run_benchmark(argc, argv, "OUT.json [kills [writers [submissions [episodes]]]]",
                                   diffreward::measure);
}
