// diffreward catalog: what there is, by name.
#include "agents/catalog.h"

#include <algorithm>
#include <iomanip>
#include <iostream>

#include "agents/trained.h"
#include "cli/command.h"
#include "cli/stage.h"
#include "core/format.h"
#include "rewards/catalog.h"

namespace diffreward::cli {
namespace {

struct CatalogConfig {
  std::string kind;  // agents or rewards; empty: both

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("kind", self.kind, "what to list; empty for both", Choices{"", "agents", "rewards"});
  }
};

Json run_catalog(const CatalogConfig& config) {
  Json result = Json::object();
  const auto add = [&](const char* kind, const std::string& name, const std::string& summary,
                       const char* use) {
    if (config.kind.empty() || config.kind == kind)
      result[kind].push_back({{"name", name}, {"summary", summary}, {"use", use}});
  };
  for (const AgentInfo& agent : scripted_agents())
    add("agents", agent.name, agent.summary, "generate --policy");
  for (const std::string& name : trained_agents()) {
    const Json record = stage_record(name);
    const Json& told = record.at("result");
    const auto value = [](const Json& estimate) { return format_number(estimate.at("value").get<double>()); };
    std::string summary = concat("returns ", value(told.at("judges").at("task").at("return")), " after ",
                                 format_number(told.at("selection").at("env_steps").get<double>()),
                                 " steps of ", told.at("algorithm").get<std::string>());
    add("agents", name, summary, "generate --policy");
  }
  for (const AgentInfo& agent : learning_agents()) add("agents", agent.name, agent.summary, "rl --algorithm");
  for (const RewardEntry& entry : reward_catalog())
    add("rewards", entry.name, entry.summary, "extract --method");
  return result;
}

void print_catalog(const Json& result, std::ostream& out) {
  for (const auto& [kind, entries] : result.items()) {
    std::size_t width = 0;
    for (const Json& entry : entries) width = std::max(width, entry.at("name").get<std::string>().size());
    std::string use;
    for (const Json& entry : entries) {
      if (entry.at("use") != use) out << (use = entry.at("use").get<std::string>()) << "\n";
      out << "  " << std::left << std::setw(static_cast<int>(width) + 2)
          << entry.at("name").get<std::string>() << entry.at("summary").get<std::string>() << "\n";
    }
  }
}

}  // namespace

Command catalog_command() {
  return make_command<CatalogConfig, run_catalog>("catalog", "list agents and rewards by name",
                                                  "Environments: diffreward envs.", {"kind"}, {},
                                                  print_catalog);
}

}  // namespace diffreward::cli
