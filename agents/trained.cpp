#include "agents/trained.h"

#include <dlfcn.h>

#include <algorithm>

namespace diffreward {
namespace {

namespace fs = std::filesystem;

/// Where they stand: beside the Python package's libraries, in the share folder of an installation, or in the sources.
fs::path trained_folder() {
  std::vector<fs::path> candidates;
  Dl_info here{};
  if (dladdr(reinterpret_cast<const void*>(&trained_agents), &here) != 0 && here.dli_fname != nullptr) {
    std::error_code ignored;
    const fs::path own = fs::canonical(here.dli_fname, ignored).parent_path();
    candidates = {own / "trained", own.parent_path() / "share" / "diffreward" / "trained"};
  }
  candidates.emplace_back(DIFFREWARD_TRAINED_SOURCE);
  std::error_code ignored;
  for (const fs::path& folder : candidates)
    if (fs::is_directory(folder, ignored)) return folder;
  return {};
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
