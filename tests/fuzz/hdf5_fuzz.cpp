// hdf5_fuzz SEEDS d4rl|minari COUNT [FIRST]: opens and checks COUNT damaged copies of the HDF5 files in SEEDS
// whose names begin so. Case i is the same on every machine; FIRST is the first. See mutation.h. Other than
// libFuzzer's targets it forks for every case, as the readers do.
#include <cmath>

#include "datasets/check.h"
#include "tests/fuzz/mutation.h"

using namespace diffreward;

namespace {

/// Checks the file, opens it and looks at every number.
std::string read(const std::filesystem::path& file) {
  check_data(file);
  const Dataset data = Dataset::open(file);
  float sum = 0;
  for (const auto column : {data.observations(), data.next_observations(), data.actions(), data.rewards()})
    for (const float value : column) sum += value;
  for (const std::string& name : data.info_names())
    for (const float value : data.info(name)) sum += value;
  if (data.episodes().empty() || data.episodes().back().end != data.size())
    throw std::logic_error("episodes end elsewhere");
  return std::isnan(sum) ? "opened, with not-a-number" : "opened";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: hdf5_fuzz SEEDS d4rl|minari COUNT [FIRST]\n";
    return 2;
  }
  const std::string layout = argv[2];
  const std::vector<std::string> seeds = fuzz::seeds_in(argv[1], layout);
  const TemporaryFolder folder;
  const std::filesystem::path file = folder / (layout == "minari" ? "main_data.hdf5" : "data.hdf5");
  return fuzz::run(
      layout, argc > 4 ? std::stoull(argv[4]) : 0, std::stoull(argv[3]), {},
      [&](Rng& rng) { return fuzz::mutate(seeds, rng); }, file, [&] { return read(file); });
}
