#include "datasets/join.h"

#include <algorithm>

#include "core/error.h"
#include "datasets/storage/d4rl_writer.h"

namespace diffreward {

Dataset join(std::span<const Dataset> parts, const std::filesystem::path& path) {
  require(!parts.empty(), "join: expected data sets, got none");
  const Dataset& first = parts.front();
  Provenance from = first.provenance();
  std::size_t rows = 0;
  Json told = Json::array();
  std::string behaviour;
  for (const Dataset& part : parts) {
    const Provenance& own = part.provenance();
    require(own.env == from.env && own.env_options == from.env_options, part.path().string(),
            ": expected data of ", from.env, " with the options ", brief(from.env_options), ", found ",
            own.env, " with ", brief(own.env_options));
    require(part.observation_dim() == first.observation_dim() && part.action_dim() == first.action_dim(),
            part.path().string(), ": expected rows of ", first.observation_dim(), " observations and ",
            first.action_dim(), " actions, found ", part.observation_dim(), " and ", part.action_dim());
    told.push_back({{"rows", {rows, rows + part.size()}},
                    {"behaviour", own.behaviour},
                    {"seed", own.seed},
                    {"extra", own.extra}});
    behaviour += (behaviour.empty() ? "" : ", then ") + own.behaviour;
    rows += part.size();
  }
  std::vector<InfoField> infos, doubles;
  for (const std::string& name : first.info_names()) {
    const auto all = [&](const auto& holds) { return std::ranges::all_of(parts, holds); };
    if (!all([&](const Dataset& part) {
          return part.has_info(name) && part.info_dim(name) == first.info_dim(name);
        }))
      continue;
    const bool wide = all([&](const Dataset& part) { return !part.info_doubles(name).empty(); });
    (wide ? doubles : infos).push_back({name, first.info_dim(name)});
  }
  from.behaviour = behaviour;
  const int steps = from.episode_steps();
  from.extra = {{"parts", told}};
  if (std::ranges::all_of(parts, [&](const Dataset& p) { return p.provenance().episode_steps() == steps; }))
    from.extra["episode_steps"] = steps;
  D4rlWriter writer(path, rows, first.observation_dim(), first.action_dim(), infos, doubles, from);
  std::size_t at = 0;
  for (const Dataset& part : parts) {
    writer.write("observations", at, part.observations());
    writer.write("next_observations", at, part.next_observations());
    writer.write("actions", at, part.actions());
    writer.write("rewards", at, part.rewards());
    writer.write("terminals", at, part.terminals());
    // A data set ends where it ends, also where nothing marks it.
    std::vector<std::uint8_t> timeouts(part.timeouts().begin(), part.timeouts().end());
    timeouts.back() = part.terminals().back() ? timeouts.back() : 1;
    writer.write("timeouts", at, std::span<const std::uint8_t>(timeouts));
    for (const InfoField& info : infos) writer.write("infos/" + info.name, at, part.info(info.name));
    for (const InfoField& info : doubles)
      writer.write("infos/" + info.name, at, part.info_doubles(info.name));
    at += part.size();
    part.release_pages();
  }
  writer.commit();
  return Dataset::open(path);
}

}  // namespace diffreward
