#include "core/installed.h"

#include <dlfcn.h>

#include <vector>

namespace diffreward {

namespace fs = std::filesystem;

fs::path installed_folder(const std::string& name, const fs::path& source) {
  std::vector<fs::path> candidates;
  std::error_code ignored;
  Dl_info here{};
  if (dladdr(reinterpret_cast<const void*>(&installed_folder), &here) != 0 && here.dli_fname != nullptr) {
    const fs::path own = fs::canonical(here.dli_fname, ignored).parent_path();
    candidates = {own / name, own.parent_path() / "share" / "diffreward" / name};
  }
  candidates.push_back(source);
  for (const fs::path& folder : candidates)
    if (fs::is_directory(folder, ignored)) return folder;
  return {};
}

}  // namespace diffreward
