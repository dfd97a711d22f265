#include "datasets/card.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "core/format.h"
#include "core/json.h"
#include "core/statistics.h"
#include "datasets/check.h"
#include "datasets/recorded_task.h"

namespace diffreward {
namespace {

constexpr int kBins = 10;

/// Mean, spread and histogram.
Json distribution(std::span<const double> values) {
  const auto [low, high] = std::ranges::minmax(values);
  const bool constant = high <= low;
  const Histogram bins = histogram(values, low, constant ? low + 1 : high, constant ? 1 : kBins);
  return {
      {"mean", mean(values)}, {"deviation", standard_deviation(values)},
      {"min", low},           {"median", median(values)},
      {"max", high},          {"histogram", {{"low", bins.low}, {"high", bins.high}, {"share", bins.share}}}};
}

std::string bar(double share) {
  return std::string(static_cast<std::size_t>(std::lround(20 * share)), '#');
}

void write_distribution(std::ostream& out, const char* title, const char* unit, const Json& d) {
  const auto at = [&](const char* key) { return format_number(d.at(key).get<double>()); };
  out << "## " << title << "\n\n"
      << "mean " << at("mean") << unit << ", deviation " << at("deviation") << ", from " << at("min")
      << " to " << at("max") << ", median " << at("median")
      << "\n\n| from | to | share of episodes | |\n|---|---|---|---|\n";
  const Json& h = d.at("histogram");
  const auto shares = h.at("share").get<std::vector<double>>();
  const double low = h.at("low"), width = (h.at("high").get<double>() - low) / double(shares.size());
  for (std::size_t k = 0; k < shares.size(); ++k)
    out << "| " << format_number(low + width * double(k)) << " | "
        << format_number(low + width * double(k + 1)) << " | " << format_number(shares[k]) << " | "
        << bar(shares[k]) << " |\n";
  out << "\n";
}

}  // namespace

Json card_of(const Dataset& data) {
  const Provenance& from = data.provenance();
  Json card = {{"env", from.env},
               {"env_options", from.env_options},
               {"engine", from.note("engine")},
               {"behaviour", from.behaviour},
               {"agent", from.extra.value("agent", Json::object())},
               {"recording", from.note("recording")},
               {"generator", from.generator},
               {"seed", from.seed},
               {"transitions", data.size()},
               {"episodes", data.episodes().size()}};
  const RecordedTask task = recorded_task(from);
  card["episode_limit"] = task.limit;
  const std::vector<double> returns = whole_returns(data, task);
  std::vector<double> lengths;
  std::size_t terminated = 0, cut = 0, stopped = 0;
  for (const Episode& episode : data.episodes()) {
    const bool whole = task.is_whole(episode);
    terminated += episode.terminated;
    cut += !episode.terminated && whole;
    stopped += !whole;
    if (whole) lengths.push_back(double(episode.size()));
  }
  card["terminated"] = terminated;
  card["cut"] = cut;
  card["cut_by_recording"] = stopped;
  if (!returns.empty()) {
    card["return"] = distribution(returns);
    card["length"] = distribution(lengths);
    if (task.env != nullptr && std::isfinite(task.env->spec().random_return)) {
      const EnvSpec& spec = task.env->spec();
      card["references"] = {{"random", spec.random_return}, {"expert", spec.expert_return}};
      card["score"] = spec.score(mean(returns));
    }
  }
  card["log_probabilities"] = data.has_info("action_log_probs");
  if (!data.path().empty()) {
    card["faults"] = Json::array();
    for (const Fault& fault : check_data(data.path()))
      card["faults"].push_back({{"name", fault.name}, {"message", fault.message}, {"count", fault.count}});
  }
  return card;
}

std::string card_markdown(const Json& card) {
  std::ostringstream out;
  const auto text = [&](const char* key) { return card.at(key).get<std::string>(); };
  out << "# Data of " << (text("env").empty() ? "an unknown environment" : text("env")) << ": "
      << text("behaviour") << "\n\n| | |\n|---|---|\n";
  const auto row = [&](const std::string& name, const std::string& value) {
    if (!value.empty() && value != "{}") out << "| " << name << " | " << value << " |\n";
  };
  row("options of the environment", card.at("env_options").dump());
  row("engine", text("engine"));
  row("made by",
      concat(text("generator"), ", seed ", card.at("seed").dump(), ", recording ", text("recording")));
  for (const auto& [key, value] : card.at("agent").items()) {
    if (value.is_object() && value.contains("low"))
      row("agent: " + key, format_estimate({member<double>(value, "value"), member<double>(value, "low"),
                                            member<double>(value, "high")}));
    else
      row("agent: " + key, value.is_string() ? value.get<std::string>() : value.dump());
  }
  row("transitions", card.at("transitions").dump());
  row("episodes",
      concat(card.at("episodes").dump(), ": ", card.at("terminated").dump(), " ended by the task, ",
             card.at("cut").dump(), " cut at ", card.at("episode_limit").dump(), " steps, ",
             card.at("cut_by_recording").dump(), " cut where the recording stops"));
  row("log-probabilities of actions",
      card.at("log_probabilities").get<bool>() ? "yes, action_log_probs" : "no");
  if (card.contains("score"))
    row("score", concat(format_number(card.at("score").get<double>()),
                        ", 100 (return - random) / (expert - random) with ",
                        format_number(card.at("references").at("random").get<double>()), " and ",
                        format_number(card.at("references").at("expert").get<double>())));
  if (card.contains("faults")) {
    std::string faults = card.at("faults").empty() ? "none" : "";
    for (const Json& fault : card.at("faults"))
      faults += concat(faults.empty() ? "" : "; ", fault.at("name").get<std::string>(), " (",
                       fault.at("count").dump(), ")");
    row("faults found", faults);
  }
  out << "\n";
  if (card.contains("return")) {
    write_distribution(out, "Returns of whole episodes", "", card.at("return"));
    write_distribution(out, "Lengths of whole episodes", " steps", card.at("length"));
  }
  return out.str();
}

}  // namespace diffreward
