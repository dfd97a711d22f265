// TOML, the language of config files and jobs, to JSON and back.
#pragma once

#include <string>

#include "core/json.h"

namespace diffreward::cli {

/// TOML text as JSON, at most 1 MiB of it. `where` is how messages name it. Throws UsageError with the line.
Json parse_toml(const std::string& text, const std::string& where);

/// A nested config as TOML text, from which read_config_file makes an equal one; integers above 2^63 - 1,
/// which TOML lacks, are texts there. Throws InvalidArgument for null.
std::string to_toml(const Json& config);

}  // namespace diffreward::cli
