// Folders of data that come with the project.
#pragma once

#include <filesystem>
#include <string>

namespace diffreward {

/// Where such a folder stands: beside the Python package's libraries, in the share folder of an installation, or in the
/// sources, at `source`. Empty where there is none.
std::filesystem::path installed_folder(const std::string& name, const std::filesystem::path& source);

}  // namespace diffreward
