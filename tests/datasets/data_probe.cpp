// What C++ writes and reads, for tests/oracle/data_formats_test.py to compare with Python's readers and
// writers.
//
//   data_probe write FILE ROOT ID   the sample data set as a D4RL file and as a Minari data set
//   data_probe read PATH            any data set, as JSON on standard output
//   data_probe check PATH           names of its faults, one a line
//   data_probe walk PATH            its rows, and the most memory this process held while it read every
//   number, KB data_probe minari PATH ROOT ID  any data set written as Minari's
#include <cstdio>
#include <fstream>
#include <iostream>

#include "core/interrupt.h"
#include "datasets/check.h"
#include "tests/datasets/sample_data.h"

using namespace diffreward;

namespace {

template <class T>
Json list(std::span<const T> values) {
  return std::vector<T>(values.begin(), values.end());
}

/// KB; other than getrusage's, not that of the program that started this one.
long most_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (long kilobytes = 0; word == "VmHWM:" && status >> kilobytes) return kilobytes;
  return -1;
}

Json describe(const Dataset& data) {
  Json infos = Json::object(), episodes = Json::array();
  for (const std::string& name : data.info_names())
    infos[name] = {{"size", data.info_dim(name)}, {"values", list(data.info(name))}};
  for (const Episode& e : data.episodes()) episodes.push_back({e.begin, e.end, e.terminated});
  const Provenance& from = data.provenance();
  return {{"observation_dim", data.observation_dim()},
          {"action_dim", data.action_dim()},
          {"observations", list(data.observations())},
          {"next_observations", list(data.next_observations())},
          {"actions", list(data.actions())},
          {"rewards", list(data.rewards())},
          {"terminals", list(data.terminals())},
          {"timeouts", list(data.timeouts())},
          {"infos", infos},
          {"ignored", data.ignored()},
          {"episodes", episodes},
          {"metadata",
           {{"env", from.env},
            {"behaviour", from.behaviour},
            {"generator", from.generator},
            {"seed", from.seed},
            {"env_options", from.env_options},
            {"extra", from.extra}}}};
}

}  // namespace

int main(int argc, char** argv) try {
  catch_interrupts();
  const std::string action = argc > 1 ? argv[1] : "";
  if (action == "write" && argc == 5) {
    const Dataset data = Dataset::from_columns(sample_columns(), sample_provenance());
    data.write_d4rl(argv[2]);
    data.write_minari(argv[3], argv[4]);
  } else if (action == "read" && argc == 3) {
    std::cout << describe(Dataset::open(argv[2])).dump() << "\n";
  } else if (action == "check" && argc == 3) {
    for (const Fault& fault : check_data(argv[2])) std::cout << fault.name << "\n";
  } else if (action == "walk" && argc == 3) {
    const Dataset data = Dataset::open(argv[2]);
    float sum = 0;
    for (const auto column :
         {data.observations(), data.next_observations(), data.actions(), data.rewards()}) {
      for (const float value : column) sum += value;
      data.release_pages();
    }
    std::cout << data.size() << " " << most_memory() << " " << sum << "\n";
  } else if (action == "minari" && argc == 5) {
    Dataset::open(argv[2]).write_minari(argv[3], argv[4]);
  } else {
    std::cerr << "usage: data_probe write FILE ROOT ID | read PATH | check PATH | walk PATH | minari PATH "
                 "ROOT ID\n";
    return 2;
  }
  return 0;
} catch (const Error& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
