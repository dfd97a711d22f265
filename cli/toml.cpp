#include "cli/toml.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <utility>
#include <vector>

#include "cli/command.h"

namespace diffreward::cli {
namespace {

constexpr std::size_t kLargestConfig = 1 << 20;  // bytes

Json to_json(const toml::node& node) {
  if (const auto* value = node.as_boolean()) return value->get();
  if (const auto* value = node.as_integer()) return value->get();
  if (const auto* value = node.as_floating_point()) return value->get();
  if (const auto* value = node.as_string()) return value->get();
  if (const auto* array = node.as_array()) {
    Json list = Json::array();
    for (const toml::node& item : *array) list.push_back(to_json(item));
    return list;
  }
  if (const auto* table = node.as_table()) {
    Json object = Json::object();
    for (const auto& [key, value] : *table) object[std::string(key.str())] = to_json(value);
    return object;
  }
  throw UsageError("config files hold booleans, numbers, texts, lists and tables");
}

void put(toml::table& out, const std::string& key, const Json& value);

/// Appends the value. Objects in lists stand on one line.
void append(toml::array& out, const Json& value) {
  if (value.is_boolean()) {
    out.push_back(value.get<bool>());
  } else if (value.is_number_integer()) {
    const bool fits = !value.is_number_unsigned() || std::in_range<std::int64_t>(value.get<std::uint64_t>());
    if (fits)
      out.push_back(value.get<std::int64_t>());
    else
      out.push_back(value.dump());
  } else if (value.is_number_float()) {
    out.push_back(value.get<double>());
  } else if (value.is_string()) {
    out.push_back(value.get<std::string>());
  } else if (value.is_array()) {
    toml::array list;
    for (const Json& item : value) append(list, item);
    out.push_back(std::move(list));
  } else if (value.is_object()) {
    toml::table table;
    for (const auto& [key, item] : value.items()) put(table, key, item);
    table.is_inline(true);
    out.push_back(std::move(table));
  } else {
    throw InvalidArgument(concat("expected a value that a config file can hold, got ", brief(value)));
  }
}

void put(toml::table& out, const std::string& key, const Json& value) {
  toml::array one;
  append(one, value);
  out.insert_or_assign(key, std::move(one[0]));
}

/// Whether six digits are all that the numbers in it need.
bool is_short(const Json& value) {
  if (value.is_structured()) return std::all_of(value.begin(), value.end(), is_short);
  if (!value.is_number_float()) return true;
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value.get<double>());
  return std::strtod(text, nullptr) == value.get<double>();
}

/// Whether it stands under a header of its own: a table, or a list of tables.
bool has_header(const Json& value) {
  if (!value.is_array()) return value.is_object();
  return !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const Json& item) { return item.is_object(); });
}

/// "[path]", or "[[path]]" for an entry of a list.
void print_header(const std::vector<std::string>& path, bool entry, std::ostream& out) {
  toml::table inner;
  for (auto name = path.rbegin(); name != path.rend(); ++name) {
    toml::table outer;
    if (entry && name == path.rbegin()) {
      toml::array list;
      list.push_back(std::move(inner));
      outer.insert_or_assign(*name, std::move(list));
    } else {
      outer.insert_or_assign(*name, std::move(inner));
    }
    inner = std::move(outer);
  }
  out << "\n" << toml::toml_formatter(inner, toml::format_flags::allow_unicode_strings) << "\n";
}

/// A table's own values, then the tables in it, in their order (a toml::table sorts).
void print_toml(const Json& table, std::vector<std::string>& path, std::ostream& out) {
  using toml::format_flags;
  for (const auto& [key, value] : table.items()) {
    if (has_header(value)) continue;
    toml::table line;
    put(line, key, value);
    const format_flags digits = is_short(value) ? format_flags::relaxed_float_precision : format_flags::none;
    out << toml::toml_formatter(line, format_flags::allow_unicode_strings | digits) << "\n";
  }
  for (const auto& [key, value] : table.items()) {
    if (!has_header(value)) continue;
    path.push_back(key);
    for (const Json& entry : value.is_array() ? value : Json::array({value})) {
      print_header(path, value.is_array(), out);
      print_toml(entry, path, out);
    }
    path.pop_back();
  }
}

}  // namespace

Json parse_toml(const std::string& text, const std::string& where) {
  if (text.size() > kLargestConfig)
    throw UsageError(
        concat(where, ": expected a config of at most ", kLargestConfig, " bytes, found ", text.size()));
  try {
    return to_json(toml::parse(text, where));
  } catch (const toml::parse_error& error) {
    throw UsageError(concat(where, ":", error.source().begin.line, ": ", error.description()));
  }
}

std::string to_toml(const Json& config) {
  std::ostringstream text;
  std::vector<std::string> path;
  print_toml(config, path, text);
  return text.str();
}

}  // namespace diffreward::cli
