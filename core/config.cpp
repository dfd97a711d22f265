#include "core/config.h"

#include <algorithm>
#include <cmath>
#include <iterator>
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
  if (kind == "table") return value.is_object();
  return value.is_string();
}

std::vector<std::string> with_prefix(const std::string& prefix, std::vector<std::string> names) {
  for (std::string& name : names) name.insert(0, prefix);
  return names;
}

/// A group's fields, named from there on.
std::vector<FieldInfo> fields_of(const std::string& group, const std::vector<FieldInfo>& fields) {
  std::vector<FieldInfo> out;
  for (const FieldInfo& field : fields) {
    if (!field.name.starts_with(group + ".")) continue;
    out.push_back(field);
    out.back().name.erase(0, group.size() + 1);
  }
  return out;
}

/// expand_names() for the group whose names begin with `prefix`.
void expand(const Json& given, const std::vector<FieldInfo>& fields, const std::string& prefix, Json& out,
            Json* unknown) {
  for (const auto& [key, value] : given.items()) {
    const bool group = is_group(key, fields);
    if (group && value.is_object()) {
      Json left = Json::object();
      expand(value, fields_of(key, fields), prefix + key + ".", out, unknown ? &left : nullptr);
      if (!left.empty()) (*unknown)[key] = left;
      continue;
    }
    const std::vector<FieldInfo> found = fields_named(key, fields);
    if (unknown && (found.empty() || (group && !value.is_string()) ||
                    (value.is_object() && found.front().kind != "table"))) {
      (*unknown)[key] = value;
      continue;
    }
    require(!group || (value.is_string() && !found.empty()), prefix, key, ": expected a table of keys, got ",
            brief(value));
    if (found.size() > 1) {
      std::string names;
      for (const FieldInfo& field : found) names += (names.empty() ? "" : ", ") + prefix + field.name;
      throw InvalidArgument(concat("'", prefix, key, "' is ambiguous: ", names));
    }
    if (found.empty()) {
      std::vector<std::string> names;
      for (const FieldInfo& field : fields) names.push_back(prefix + field.name);
      throw InvalidArgument(
          unknown_name("key", prefix + key, names, with_prefix(prefix, short_names(fields))));
    }
    const std::string name = prefix + found.front().name;
    require(value_at(out, name) == nullptr, name, ": given twice");
    out[detail::pointer_of(name)] = value;
  }
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
                         const std::vector<std::string>& candidates, const std::vector<std::string>& more) {
  std::vector<std::string> all = candidates;
  all.insert(all.end(), more.begin(), more.end());
  const std::string near = nearest_name(name, all);
  std::string text = concat("unknown ", what, " '", name, "'");
  if (!near.empty()) return concat(text, "; did you mean '", near, "'?");
  text += "; known:";
  for (const std::string& candidate : candidates) text += " " + candidate;
  return text;
}

bool is_group(std::string_view name, const std::vector<FieldInfo>& fields) {
  const std::string prefix = concat(name, ".");
  return std::ranges::any_of(fields, [&](const FieldInfo& f) { return f.name.starts_with(prefix); });
}

std::vector<FieldInfo> fields_named(std::string_view name, const std::vector<FieldInfo>& fields) {
  const std::string prefix = concat(name, "."), ending = concat(".", name);
  std::vector<FieldInfo> found;
  for (const FieldInfo& field : fields)
    if (field.name == name) return {field};
  for (const FieldInfo& field : fields)
    if (field.name.starts_with(prefix))
      return field.kind == "text" ? std::vector{field} : std::vector<FieldInfo>();
  if (name.find('.') == name.npos)
    std::ranges::copy_if(fields, std::back_inserter(found),
                         [&](const FieldInfo& field) { return field.name.ends_with(ending); });
  if (found.size() < 2) return found;
  std::vector<FieldInfo> chosen;
  std::ranges::copy_if(found, std::back_inserter(chosen), [&](const FieldInfo& field) {
    const std::string group = field.name.substr(0, field.name.find('.'));
    return std::ranges::any_of(fields, [&](const FieldInfo& one) {
      return one.kind == "text" && one.name.find('.') == one.name.npos && one.value == group;
    });
  });
  return chosen.size() == 1 ? chosen : found;
}

std::vector<FieldInfo> with_values(std::vector<FieldInfo> fields, const Json& given) {
  for (FieldInfo& field : fields)
    if (field.kind == "text" && given.contains(field.name) && given.at(field.name).is_string())
      field.value = given.at(field.name);
  return fields;
}

std::vector<std::string> short_names(const std::vector<FieldInfo>& fields) {
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  };
  for (const FieldInfo& field : fields) {
    for (auto dot = field.name.find('.'); dot != field.name.npos; dot = field.name.find('.', dot + 1))
      add(field.name.substr(0, dot));
    const std::string last = field.name.substr(field.name.rfind('.') + 1);
    const std::vector<FieldInfo> found = fields_named(last, fields);
    if (last != field.name && found.size() == 1 && found.front().name == field.name) add(last);
  }
  return names;
}

Json expand_names(const Json& given, const std::vector<FieldInfo>& fields, Json* unknown) {
  require(given.is_object(), "config: expected a table of keys, got ", brief(given));
  Json out = Json::object();
  expand(given, with_values(fields, given), "", out, unknown);
  return out;
}

void merge_config(Json& config, const Json& more) {
  if (!config.is_object() || !more.is_object()) {
    config = more;
    return;
  }
  for (const auto& [key, value] : more.items()) merge_config(config[key], value);
}

const Json* value_at(const Json& config, std::string_view name) {
  const Json::json_pointer pointer = detail::pointer_of(name);
  return config.contains(pointer) ? &config.at(pointer) : nullptr;
}

Json::json_pointer detail::pointer_of(std::string_view name) {
  std::string pointer = concat("/", name);
  std::ranges::replace(pointer, '.', '/');
  return Json::json_pointer(pointer);
}

void detail::check_value(const std::string& name, const std::string& kind, const Json& value,
                         const Bounds& bounds, const std::vector<std::string>& choices) {
  if (kind.ends_with("[]")) {
    require(value.is_array(), name, ": expected a list, got ", brief(value));
    for (const Json& item : value) check_value(name, kind.substr(0, kind.size() - 2), item, bounds, choices);
    return;
  }
  require(has_kind(value, kind), name, ": expected ", kind == "text" || kind == "table" ? "a " : "", kind,
          ", got ", brief(value));
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
