#include "core/config.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace diffreward {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

bool has_kind(const Json& value, std::string_view kind) {
  if (kind == "bool") return value.is_boolean();
  if (kind == "int") return value.is_number_integer();
  if (kind == "float") return value.is_number();
  return value.is_string();
}

}  // namespace

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t least = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(name, candidate);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

std::string unknown_name(std::string_view what, std::string_view name,
                         const std::vector<std::string>& candidates) {
  const std::string near = nearest_name(name, candidates);
  std::string text = concat("unknown ", what, " '", name, "'");
  if (!near.empty()) return concat(text, "; did you mean '", near, "'?");
  text += "; known:";
  for (const std::string& candidate : candidates) text += " " + candidate;
  return text;
}

void detail::check_value(const std::string& name, const std::string& kind, const Json& value,
                         const Bounds& bounds, const std::vector<std::string>& choices) {
  if (kind.ends_with("[]")) {
    require(value.is_array(), name, ": expected a list, got ", brief(value));
    for (const Json& item : value) check_value(name, kind.substr(0, kind.size() - 2), item, bounds, choices);
    return;
  }
  require(has_kind(value, kind), name, ": expected ", kind == "text" ? "a text" : kind, ", got ",
          brief(value));
  if (value.is_number()) {
    const double number = value.get<double>();
    require(std::isfinite(number) && number >= bounds.low && number <= bounds.high, name,
            ": expected a number in [", bounds.low, ", ", bounds.high, "], got ", brief(value));
  }
  if (value.is_string() && !choices.empty()) {
    const auto text = value.get<std::string>();
    require(std::find(choices.begin(), choices.end(), text) != choices.end(), name, ": ",
            unknown_name("choice", text, choices));
  }
}

}  // namespace diffreward
