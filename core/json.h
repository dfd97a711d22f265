// JSON from anywhere: parsed with a limit, read with its type checked, shown in messages cut short.
#pragma once

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"

namespace diffreward {

using Json = nlohmann::ordered_json;

constexpr int kDeepestJson = 64;  ///< levels of lists and objects that parse_json() accepts

/// The text as JSON. `where` is how messages name it: a file, or a file and its entry. Throws Error for other
/// text and for JSON deeper than kDeepestJson, which would exhaust the stack of whoever copies or prints it.
Json parse_json(std::string_view text, std::string_view where);

/// JSON with objects of very many members: Json looks through all earlier ones for each that it reads.
using LargeJson = nlohmann::json;
/// As parse_json().
LargeJson parse_large_json(std::string_view text, std::string_view where);

/// A whole file as a JSON object. Throws Error naming the file.
Json read_json_object(const std::filesystem::path& path);

/// The value as text for a message, at most about 60 characters of it.
std::string brief(const Json& value);

namespace detail {

template <class T>
struct ListOf {
  static constexpr bool is_list = false;
};
template <class T>
struct ListOf<std::vector<T>> {
  static constexpr bool is_list = true;
  static constexpr std::size_t size = 0;  // any
  using Item = T;
};
template <class T, std::size_t n>
struct ListOf<std::array<T, n>> {
  static constexpr bool is_list = true;
  static constexpr std::size_t size = n;
  using Item = T;
};

/// Whether T holds the value as it is: Json::get would let numbers wrap around and truncate.
template <class T>
bool holds(const Json& value) {
  if constexpr (ListOf<T>::is_list) {
    if (!value.is_array() || (ListOf<T>::size != 0 && value.size() != ListOf<T>::size)) return false;
    return std::all_of(value.begin(), value.end(), holds<typename ListOf<T>::Item>);
  } else if constexpr (std::is_same_v<T, Json>) {
    return true;
  } else if constexpr (std::is_same_v<T, bool>) {
    return value.is_boolean();
  } else if constexpr (std::is_integral_v<T>) {
    if (value.is_number_unsigned()) return std::in_range<T>(value.get<std::uint64_t>());
    return value.is_number_integer() && std::in_range<T>(value.get<std::int64_t>());
  } else if constexpr (std::is_floating_point_v<T>) {
    return value.is_number();
  } else {
    static_assert(std::is_same_v<T, std::string>);
    return value.is_string();
  }
}

template <class T>
std::string expected() {
  if constexpr (ListOf<T>::is_list) {
    const std::string items = expected<typename ListOf<T>::Item>();
    return ListOf<T>::size == 0 ? "a list of: " + items : concat("a list of ", ListOf<T>::size, ": ", items);
  } else if constexpr (std::is_same_v<T, Json>) {
    return "a value";
  } else if constexpr (std::is_same_v<T, bool>) {
    return "true or false";
  } else if constexpr (std::is_integral_v<T>) {
    using Limits = std::numeric_limits<T>;
    return concat("a whole number in [", +Limits::min(), ", ", +Limits::max(), "]");
  } else {
    return std::is_floating_point_v<T> ? "a number" : "a text";
  }
}

}  // namespace detail

/// The member `name` of an object; T is bool, a number, std::string, Json (anything), or std::vector or
/// std::array of these.
/// Throws InvalidArgument naming it where it is missing, of another type, or a number that T does not hold.
template <class T>
T member(const Json& object, const char* name) {
  require(object.is_object() && object.contains(name), name, ": expected ", detail::expected<T>(),
          ", found nothing");
  const Json& value = object.at(name);
  require(detail::holds<T>(value), name, ": expected ", detail::expected<T>(), ", found ", brief(value));
  return value.get<T>();
}

}  // namespace diffreward
