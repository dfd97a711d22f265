// diffreward data: look at a data set, find its faults, or write it in another format.
#include <ostream>

#include "cli/command.h"
#include "cli/inspect.h"
#include "cli/stage.h"
#include "datasets/check.h"
#include "datasets/dataset.h"

namespace diffreward::cli {
namespace {

Json column_range(std::span<const float> values) {
  float low = values.empty() ? 0 : values[0], high = low;
  double total = 0;
  for (const float value : values) {
    low = std::min(low, value);
    high = std::max(high, value);
    total += value;
  }
  return {{"min", low},
          {"mean", total / static_cast<double>(std::max<std::size_t>(1, values.size()))},
          {"max", high}};
}

Json describe(const Dataset& data) {
  const Provenance& from = data.provenance();
  std::size_t terminated = 0;
  for (const Episode& episode : data.episodes()) terminated += episode.terminated;
  return {{"transitions", data.size()},
          {"episodes", data.episodes().size()},
          {"terminated_episodes", terminated},
          {"observation_dim", data.observation_dim()},
          {"action_dim", data.action_dim()},
          {"infos", data.info_names()},
          {"reward", column_range(data.rewards())},
          {"observations", column_range(data.observations())},
          {"actions", column_range(data.actions())},
          {"env", from.env},
          {"behaviour", from.behaviour},
          {"generator", from.generator},
          {"seed", from.seed}};
}

}  // namespace

Json run_data(const DataConfig& config) {
  const std::filesystem::path path = product(config.path, "data");
  if (config.action == "check") {
    Json faults = Json::array();
    for (const Fault& fault : check_data(path))
      faults.push_back(
          {{"name", fault.name}, {"message", fault.message}, {"count", fault.count}, {"rows", fault.rows}});
    return {{"path", path.string()}, {"faults", faults}};
  }
  const Dataset data = Dataset::open(path);
  if (config.action == "info") return describe(data);
  if (config.out.empty()) throw UsageError("data convert: --out is missing");
  if (config.format == "minari") return {{"written", data.write_minari(config.out, config.id).string()}};
  data.write_d4rl(config.out);
  return {{"written", config.out}};
}

void print_data(const Json& result, std::ostream& out) {
  if (!result.contains("faults")) return print_result(result, out);
  for (const Json& fault : result.at("faults")) {
    out << fault.at("name").get<std::string>() << ": " << fault.at("message").get<std::string>() << "\n    "
        << fault.at("count") << " rows:";
    for (const Json& row : fault.at("rows")) out << ' ' << row;
    if (fault.at("count") > fault.at("rows").size()) out << " ...";
    out << "\n";
  }
  out << result.at("faults").size() << " faults in " << result.at("path").get<std::string>() << "\n";
}

}  // namespace diffreward::cli
