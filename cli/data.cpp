// diffreward data: look at a data set, find its faults, or write it in another format.
#include <algorithm>
#include <ostream>

#include "cli/command.h"
#include "cli/inspect.h"
#include "cli/stage.h"
#include "core/file.h"
#include "core/interrupt.h"
#include "datasets/card.h"
#include "datasets/check.h"
#include "datasets/dataset.h"
#include "datasets/image_set.h"

namespace diffreward::cli {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;  // numbers between two looks at Ctrl-C

/// Gives back each piece's memory, so that data larger than memory are described too.
Json column_range(const Dataset& data, std::span<const float> values) {
  float low = values.empty() ? 0 : values[0], high = low;
  double total = 0;
  for (std::size_t at = 0; at < values.size(); at += kPiece) {
    check_interrupt();
    for (const float value : values.subspan(at, std::min(kPiece, values.size() - at))) {
      low = std::min(low, value);
      high = std::max(high, value);
      total += value;
    }
    data.release_pages();
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
          {"left_out", data.ignored()},
          {"reward", column_range(data, data.rewards())},
          {"observations", column_range(data, data.observations())},
          {"actions", column_range(data, data.actions())},
          {"env", from.env},
          {"behaviour", from.behaviour},
          {"generator", from.generator},
          {"seed", from.seed}};
}

Json describe(const ImageSet& data) {
  Json told = card_of(data);
  told.erase("env_options");
  return told;
}

Json faults_of(const DataConfig& config, const std::filesystem::path& path, const std::vector<Fault>& found) {
  Json faults = Json::array();
  for (const Fault& fault : found)
    faults.push_back(
        {{"name", fault.name}, {"message", fault.message}, {"count", fault.count}, {"rows", fault.rows}});
  const bool failed = config.fail && !faults.empty();
  return {{"path", path.string()}, {"faults", faults}, {"failed", failed}};
}

Json run_pictures(const DataConfig& config, const std::filesystem::path& path) {
  const ImageSet data = ImageSet::open(path);
  if (config.action == "check") return faults_of(config, path, check_images(data));
  if (config.action == "info") return describe(data);
  if (config.action == "card") {
    const Json card = card_of(data);
    if (config.out.empty()) return card;
    write_file(config.out, image_card_markdown(card));
    return {{"written", config.out}};
  }
  if (config.action == "convert")
    throw UsageError(concat("data convert: expected recorded behaviour, got pictures: ", path.string()));
  if (config.out.empty()) throw UsageError("data picture: --out is missing");
  write_png(config.out, picture_sheet(data, static_cast<std::size_t>(config.first),
                                      static_cast<std::size_t>(config.count)));
  return {{"written", config.out}};
}

}  // namespace

Json run_data(const DataConfig& config) {
  // What is damaged is checked too.
  const std::filesystem::path path =
      config.action == "check" ? std::filesystem::path(config.path) : product(config.path, "data");
  if (is_image_set(path)) return run_pictures(config, path);
  if (config.action == "picture")
    throw UsageError(concat("data picture: expected pictures, got other data: ", path.string()));
  if (config.action == "check") return faults_of(config, path, check_data(path));
  const Dataset data = Dataset::open(path);
  if (config.action == "info") return describe(data);
  if (config.action == "card") {
    const Json card = card_of(data);
    if (config.out.empty()) return card;
    write_file(config.out, card_markdown(card));
    return {{"written", config.out}};
  }
  if (config.out.empty()) throw UsageError("data convert: --out is missing");
  if (config.format == "minari") return {{"written", data.write_minari(config.out, config.id).string()}};
  data.write_d4rl(config.out);
  return {{"written", config.out}};
}

void print_data(const Json& result, std::ostream& out) {
  if (!result.contains("failed")) return print_result(result, out);
  for (const Json& fault : result.at("faults")) {
    out << fault.at("name").get<std::string>() << ": " << fault.at("message").get<std::string>() << "\n";
    if (fault.at("rows").empty()) continue;  // of the file as a whole
    out << "    " << fault.at("count") << " rows:";
    for (const Json& row : fault.at("rows")) out << ' ' << row;
    if (fault.at("count") > fault.at("rows").size()) out << " ...";
    out << "\n";
  }
  out << result.at("faults").size() << " faults in " << printable(result.at("path").get<std::string>())
      << "\n";
}

int exit_code_of_data(const Json& result) {
  return result.contains("failed") && result.at("failed") == true ? 1 : 0;
}

}  // namespace diffreward::cli
