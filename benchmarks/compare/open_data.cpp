// How long it takes to open a data set, for benchmarks/compare/scale.py: {"seconds", "rows", "resident_mb"}.
// usage: open_data PATH
#include <chrono>
#include <fstream>
#include <iostream>
#include <string>

#include "core/error.h"
#include "core/json.h"
#include "datasets/dataset.h"

namespace {

double resident_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::cerr << "usage: open_data PATH\n";
    return 2;
  }
  try {
    const auto start = std::chrono::steady_clock::now();
    const diffreward::Dataset data = diffreward::Dataset::open(arguments[1]);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::cout << diffreward::Json{{"seconds", seconds}, {"rows", data.size()}, {"resident_mb", resident_mb()}}
                     .dump()
              << "\n";
  } catch (const std::exception& error) {
    std::cerr << "open_data: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
