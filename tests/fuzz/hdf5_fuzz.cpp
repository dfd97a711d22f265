// hdf5_fuzz SEEDS d4rl|minari COUNT [FIRST]: opens and checks COUNT damaged copies of the HDF5 files in SEEDS
// whose names begin so. Case i is the same on every machine; FIRST is the first. Each must end as a data set
// or as one line that names the file, in bounded time and memory; else its copy is kept in the working
// directory and the exit code is
// 1. Other than libFuzzer's targets it forks for every case, as the readers do.
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "core/rng.h"
#include "datasets/check.h"
#include "tests/core/temporary_folder.h"

using namespace diffreward;
namespace fs = std::filesystem;

namespace {

constexpr double kSlowest = 6;           // seconds of processors a case; the machine may be busy
constexpr long kMostMemory = 1'000'000;  // KB, of this process and of the largest child

std::string mutate(const std::vector<std::string>& seeds, Rng& rng) {
  std::string bytes = seeds[rng.below(seeds.size())];
  const auto place = [&] { return static_cast<std::size_t>(rng.below(bytes.size())); };
  for (std::size_t left = 1 + rng.below(4); left > 0 && !bytes.empty(); --left) {
    const std::size_t at = place(), length = std::min<std::size_t>(1 + rng.below(64), bytes.size() - at);
    switch (rng.below(8)) {
      case 0:  // a byte
        bytes[at] = static_cast<char>(rng.below(256));
        break;
      case 1:
        std::fill_n(bytes.begin() + std::ptrdiff_t(at), length, '\0');
        break;
      case 2: {  // a number at one of its edges
        const std::uint64_t edges[] = {~0ull, 1ull << 63, 1ull << 32, 1ull << 62, 0x7fffffff, 0xffff};
        const std::uint64_t edge = edges[rng.below(std::size(edges))];
        std::memcpy(bytes.data() + at, &edge, std::min<std::size_t>(sizeof edge, bytes.size() - at));
        break;
      }
      case 3: {  // a piece of any seed
        const std::string& other = seeds[rng.below(seeds.size())];
        const std::size_t from = rng.below(other.size());
        bytes.replace(at, length, other.substr(from, length));
        break;
      }
      case 4:
        if (rng.below(8) == 0) bytes.resize(at);
        break;
      default:  // a bit
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << rng.below(8)));
    }
  }
  return bytes;
}

/// Of this process and its children so far.
double processor_seconds() {
  double seconds = 0;
  for (const auto who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage used{};
    ::getrusage(who, &used);
    for (const timeval& time : {used.ru_utime, used.ru_stime})
      seconds += static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  }
  return seconds;
}

/// What is wrong with how a case ended; "" for nothing.
std::string judge(const fs::path& file, std::string& outcome) {
  try {
    check_data(file);
    const Dataset data = Dataset::open(file);
    float sum = 0;  // every number is there
    for (const auto column : {data.observations(), data.next_observations(), data.actions(), data.rewards()})
      for (const float value : column) sum += value;
    for (const std::string& name : data.info_names())
      for (const float value : data.info(name)) sum += value;
    if (data.episodes().empty() || data.episodes().back().end != data.size()) return "episodes end elsewhere";
    outcome = "opened";
    return "";
  } catch (const Error& error) {
    outcome = error.what();
    if (outcome.find('\n') != std::string::npos || outcome.find(file.filename()) == std::string::npos)
      return outcome;
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: hdf5_fuzz SEEDS d4rl|minari COUNT [FIRST]\n";
    return 2;
  }
  std::vector<fs::path> names;
  for (const auto& entry : fs::directory_iterator(argv[1]))
    if (entry.path().filename().string().starts_with(argv[2])) names.push_back(entry.path());
  std::sort(names.begin(), names.end());
  std::vector<std::string> seeds;
  for (const fs::path& name : names) seeds.push_back(bytes_of(name));
  if (seeds.empty()) {
    std::cerr << "hdf5_fuzz: expected seeds in " << argv[1] << ", found none\n";
    return 2;
  }
  const std::uint64_t count = std::stoull(argv[3]), first = argc > 4 ? std::stoull(argv[4]) : 0;
  const TemporaryFolder folder;
  const fs::path file = folder / (std::string(argv[2]) == "minari" ? "main_data.hdf5" : "data.hdf5");
  std::uint64_t opened = 0, crashed = 0, slow = 0, failed = 0;
  double slowest = 0;
  for (std::uint64_t i = first; i < first + count; ++i) {
    Rng rng(i, 0x66757a7a);
    const std::string bytes = mutate(seeds, rng);
    write_bytes(file, bytes);
    const double start = processor_seconds();
    std::string outcome, fault = judge(file, outcome);
    const double seconds = processor_seconds() - start;
    slowest = std::max(slowest, seconds);
    opened += outcome == "opened";
    crashed += outcome.find("HDF5 itself crashes") != std::string::npos;
    slow += outcome.find("found ones that take longer") != std::string::npos;
    if (fault.empty() && seconds > kSlowest) fault = "took " + std::to_string(seconds) + " s";
    for (const auto who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
      rusage used{};
      ::getrusage(who, &used);
      if (used.ru_maxrss > kMostMemory) fault += "held " + std::to_string(used.ru_maxrss) + " KB";
    }
    if (fault.empty()) continue;
    ++failed;
    const std::string kept = std::string(argv[2]) + "_case_" + std::to_string(i) + ".hdf5";
    write_bytes(kept, bytes);
    std::cerr << "case " << i << " (" << kept << "): " << fault << "\n";
    if (failed == 20) break;
  }
  rusage used{};
  ::getrusage(RUSAGE_CHILDREN, &used);
  std::cout << count << " cases: " << opened << " opened, " << crashed << " crashed HDF5 in its child, "
            << slow << " ran into its time limit, " << failed << " failed; slowest " << slowest
            << " s, largest child " << used.ru_maxrss / 1024 << " MB\n";
  return failed == 0 ? 0 : 1;
}
