#include "agents/trained.h"

#include <algorithm>
#include <iterator>

#include "core/installed.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;

fs::path all_trained() {
  return installed_folder("trained", DIFFREWARD_TRAINED_SOURCE);
}

}  // namespace

std::vector<std::string> trained_agents() {
  const fs::path folder = all_trained();
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

std::optional<fs::path> trained_folder(const std::string& name) {
  const fs::path all = all_trained(), relative(name);
  // A name comes from a user: two words, and nothing that leads elsewhere.
  const bool plain =
      relative.is_relative() && std::distance(relative.begin(), relative.end()) == 2 &&
      std::ranges::none_of(relative, [](const fs::path& part) { return part == "." || part == ".."; });
  std::error_code ignored;
  if (all.empty() || !plain || !fs::exists(all / relative / "stage.json", ignored)) return std::nullopt;
  return all / relative;
}

}  // namespace diffreward
