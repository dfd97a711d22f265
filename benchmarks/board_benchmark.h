// What the benchmarks of the board share: one results file for all of them, times, and how they begin and end.
#pragma once

#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "leaderboard/results.h"

namespace diffreward {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Puts figures into a results file, in place of those of their names, beside what others put there; prints them.
inline void put_figures(const std::string& file, const Json& figures) {
  Json all =
      std::filesystem::exists(file) ? read_json_object(file) : Json{{"machine", machine_description()}};
  all.update(figures);
  write_file(file, all.dump(2) + "\n");
  std::puts(figures.dump(2).c_str());
}

/// Calls `body` with the arguments, at least one of them; the exit code.
inline int run_benchmark(int argc, char** argv, const char* usage,
                         int (*body)(const std::vector<std::string>&)) {
  const std::string name = std::filesystem::path(argv[0]).filename().string();
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s %s\n", name.c_str(), usage);
    return 2;
  }
  try {
    return body(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), error.what());
    return 1;
  }
}

}  // namespace diffreward
