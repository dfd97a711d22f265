#include "agents/trained.h"

#include <algorithm>

#include "core/installed.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;

fs::path trained_folder() {
  return installed_folder("trained", DIFFREWARD_TRAINED_SOURCE);
}

}  // namespace

std::vector<std::string> trained_agents() {
  const fs::path folder = trained_folder();
  std::vector<std::string> names;
  if (folder.empty()) return names;
  for (const fs::directory_entry& env : fs::directory_iterator(folder))
    if (env.is_directory())
      for (const fs::directory_entry& level : fs::directory_iterator(env))
        if (fs::exists(level.path() / "agent.safetensors"))
          names.push_back(env.path().filename().string() + "/" + level.path().filename().string());
  std::ranges::sort(names);
  return names;
}

std::optional<fs::path> trained_agent(const std::string& name) {
  const std::vector<std::string> names = trained_agents();
  if (!std::ranges::binary_search(names, name)) return std::nullopt;
  return trained_folder() / name;
}

}  // namespace diffreward
