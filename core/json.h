// JSON from anywhere: parsed with a limit, read with its type checked, shown in messages cut short.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace diffreward {

using Json = nlohmann::ordered_json;

constexpr int kDeepestJson = 64;  ///< levels of lists and objects that parse_json() accepts

/// The text as JSON. `where` is how messages name it: a file, or a file and its entry. Throws Error for other
/// text and for JSON deeper than kDeepestJson, which would exhaust the stack of whoever copies or prints it.
Json parse_json(std::string_view text, std::string_view where);

/// A whole file as a JSON object. Throws Error naming the file.
Json read_json_object(const std::filesystem::path& path);

/// The value as text for a message, at most about 60 characters of it.
std::string brief(const Json& value);

namespace detail {
/// A JSON integer of either sign that fits into Integer.
template <class Integer>
bool holds_integer(const Json& value) {
  if (value.is_number_unsigned()) return std::in_range<Integer>(value.get<std::uint64_t>());
  return value.is_number_integer() && std::in_range<Integer>(value.get<std::int64_t>());
}
}  // namespace detail

/// The member `name` of an object. Throws InvalidArgument naming it where it is missing, of another type, or
/// a number that T does not hold: unlike Json::get, nothing wraps around.
template <class T>
T member(const Json& object, const char* name) {
  require(object.is_object() && object.contains(name), name, ": expected a value, found none");
  const Json& value = object.at(name);
  if constexpr (std::is_same_v<T, bool>) {
    require(value.is_boolean(), name, ": expected true or false, found ", brief(value));
  } else if constexpr (std::is_integral_v<T>) {
    require(detail::holds_integer<T>(value), name, ": expected a whole number in [",
            +std::numeric_limits<T>::min(), ", ", +std::numeric_limits<T>::max(), "], found ", brief(value));
  } else if constexpr (std::is_floating_point_v<T>) {
    require(value.is_number(), name, ": expected a number, found ", brief(value));
  } else if constexpr (std::is_same_v<T, std::string>) {
    require(value.is_string(), name, ": expected a text, found ", brief(value));
  }
  try {
    return value.get<T>();
  } catch (const Json::exception&) {  // an item of a list
    throw InvalidArgument(concat(name, ": expected another type, found ", brief(value)));
  }
}

}  // namespace diffreward
