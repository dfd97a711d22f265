// diffreward envs: what environments there are, and what one of them looks like.
#include <iomanip>
#include <ostream>

#include "cli/command.h"
#include "cli/inspect.h"
#include "envs/catalog.h"

namespace diffreward::cli {

Json run_envs(const EnvsConfig& config) {
  if (config.env.id.empty()) {
    Json list = Json::array();
    for (const EnvEntry& entry : env_catalog())
      list.push_back({{"id", entry.id}, {"summary", entry.summary}});
    return {{"envs", list}};
  }
  const auto env = make_env(config.env);
  const EnvSpec& spec = env->spec();
  Json option_list = Json::object();
  for (const FieldInfo& field : env_entry(spec.id).options_help())
    option_list[field.name] = concat(field.help, " [", field.value.dump(), "]");
  if (!config.render.empty()) {
    std::vector<double> obs(spec.observation.size());
    env->reset(config.seed, {}, obs);
    write_png(config.render, env->render(config.width, config.width));
  }
  Json out = spec.json();
  out["options"] = option_list;
  return out;
}

void print_envs(const Json& result, std::ostream& out) {
  if (!result.contains("envs")) return print_result(result, out);
  for (const Json& entry : result.at("envs"))
    out << std::left << std::setw(28) << entry.at("id").get<std::string>()
        << entry.at("summary").get<std::string>() << "\n";
}

}  // namespace diffreward::cli
