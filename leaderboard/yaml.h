// YAML of strangers, as far as it is JSON in another style: model cards' front matter.
#pragma once

#include <string>
#include <string_view>

#include "core/json.h"

namespace diffreward {

constexpr std::size_t kMostYaml = 1 << 20;  ///< bytes of a text that parse_yaml() accepts
constexpr int kMostYamlNodes = 100'000;     ///< values in it, those that aliases repeat counted again

/// One document of YAML 1.2 as JSON: numbers, true, false and null where they stand plain, all else texts. `where` is how
/// messages name it. Throws Error, with the line, for other text, for keys that are no texts or come twice, and for more
/// than kMostYaml, kMostYamlNodes or, in depth, kDeepestJson.
Json parse_yaml(const std::string& text, std::string_view where);

}  // namespace diffreward
