// Configs: plain aggregates that name their fields once.
//
//   struct WalkConfig {
//     double gain = 10;          // 1/cells
//     std::string style = "pd";
//     template <class Self, class Visitor>
//     static void visit(Self& self, Visitor&& field) {
//       field("gain", self.gain, "proportional gain, 1/cells", Bounds{0, 100});
//       field("style", self.style, "controller", Choices{"pd", "bang-bang"});
//     }
//   };
//
// That one `visit` gives the JSON form stored beside every result, the config-file keys, the command-line
// flags, Python's keyword arguments, range checks, the refusal of unknown keys and the table in the
// documentation. Field types: bool, int, std::int64_t, std::uint64_t, double, std::string, std::vector of
// these; nested configs (groups); Json, a free table: an object whose keys the config does not know.
//
// A config's own form is nested, {"ppo": {"lr": 3e-4}}. People may write "ppo.lr" or, where one field ends
// so, "lr": expand_names() makes the nested form of it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/error.h"
#include "core/json.h"

namespace diffreward {

struct Bounds {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
};
struct Choices {
  std::vector<std::string> names;
  Choices(std::initializer_list<std::string> list) : names(list) {}
  explicit Choices(std::vector<std::string> list) : names(std::move(list)) {}
};

/// One field as shown to people: `name` is dotted for nested configs, `kind` is "bool", "int", "float",
/// "text", or one of these with "[]", or "table" for a free table.
struct FieldInfo {
  std::string name, kind, help;
  Json value;                        ///< the current (or default) value
  Bounds bounds;                     ///< numbers only
  std::vector<std::string> choices;  ///< texts only; empty means any text
};

/// The candidate most like `name` (edit distance, at most a third of the letters), or "".
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

/// "unknown <what> 'nmae'; did you mean 'name'?" with the full list when nothing is near. Of `more` the
/// nearest is named too, but none is listed.
std::string unknown_name(std::string_view what, std::string_view name,
                         const std::vector<std::string>& candidates,
                         const std::vector<std::string>& more = {});

/// Whether a nested config has this dotted name.
bool is_group(std::string_view name, const std::vector<FieldInfo>& fields);

/// The fields that a name stands for: its own; of a group the first field, if that is a text; else all whose
/// dotted names end with it as their last part, or the one of them whose group is the value of a text beside the groups:
/// with {"algorithm": "sac"} "lr" is "sac.lr". None for an unknown name, several for an ambiguous one.
std::vector<FieldInfo> fields_named(std::string_view name, const std::vector<FieldInfo>& fields);

/// The fields with texts of these names set to what was given.
std::vector<FieldInfo> with_values(std::vector<FieldInfo> fields, const Json& given);

/// The names of all groups, and the last parts of dotted names that stand for one field.
std::vector<std::string> short_names(const std::vector<FieldInfo>& fields);

/// What people write, in the nested form that update() reads. A key is a group's name with an object of the
/// group's keys, or any name that stands for one field (fields_named()): {"ppo": {"lr": 1}}, {"ppo.lr": 1},
/// {"lr": 1}, {"env": "Hopper-v5"} for env.id. Values of fields are taken as they are, unchecked. Throws
/// InvalidArgument for an ambiguous name, a field that is given twice, an unknown name (with the nearest) and
/// a group that is given anything else. With `unknown`, an object, the last two are put there as they were
/// given, and so is an object for a field that is no table.
Json expand_names(const Json& given, const std::vector<FieldInfo>& fields, Json* unknown = nullptr);

/// Overwrites a nested config with what `more` holds: objects key by key, all else as a whole.
void merge_config(Json& config, const Json& more);

/// The value under a dotted name of a nested config; nullptr where there is none.
const Json* value_at(const Json& config, std::string_view name);

namespace detail {

template <class T>
struct is_vector : std::false_type {};
template <class T>
struct is_vector<std::vector<T>> : std::true_type {};

/// A field, other than a nested config.
template <class T>
concept Value = std::is_arithmetic_v<T> || std::is_same_v<T, std::string> || std::is_same_v<T, Json> ||
    is_vector<T>::value;

template <class T>
std::string kind_of() {
  if constexpr (is_vector<T>::value)
    return kind_of<typename T::value_type>() + "[]";
  else if constexpr (std::is_same_v<T, bool>)
    return "bool";
  else if constexpr (std::is_integral_v<T>)
    return "int";
  else if constexpr (std::is_floating_point_v<T>)
    return "float";
  else if constexpr (std::is_same_v<T, Json>)
    return "table";
  else
    return "text";
}

/// "ppo.lr" as a JSON pointer.
Json::json_pointer pointer_of(std::string_view name);

/// A value as JSON. Keys of free tables are sorted: equal ones compare equal, however they were written.
template <class T>
Json json_of(const T& value) {
  if constexpr (std::is_same_v<T, Json>)
    return Json(nlohmann::json(value));
  else
    return Json(value);
}

/// The bounds of a field, and of the numbers that its type holds.
template <class T>
Bounds bounds_of(Bounds bounds) {
  if constexpr (is_vector<T>::value) {
    return bounds_of<typename T::value_type>(bounds);
  } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    using Limits = std::numeric_limits<T>;
    bounds.low = std::max(bounds.low, static_cast<double>(Limits::min()));
    // The largest double that T holds. JSON's own numbers end with the largest std::uint64_t.
    double high = static_cast<double>(Limits::max());
    if (Limits::digits == 63) high = std::nextafter(high, 0.0);
    bounds.high = std::min(bounds.high, high);
  }
  return bounds;
}

/// Throws InvalidArgument unless `value` is of `kind`, inside the bounds and among the choices.
void check_value(const std::string& name, const std::string& kind, const Json& value, const Bounds& bounds,
                 const std::vector<std::string>& choices);

struct ListFields {
  std::vector<FieldInfo>& out;
  std::string prefix;

  template <class T>
  void operator()(const char* name, const T& value, const char* help, Bounds bounds = {}) {
    if constexpr (Value<T>)
      out.push_back({prefix + name, kind_of<T>(), help, json_of(value), bounds_of<T>(bounds), {}});
    else
      T::visit(value, ListFields{out, prefix + name + "."});
  }
  template <class T>
  void operator()(const char* name, const T& value, const char* help, Choices choices) {
    out.push_back({prefix + name, kind_of<T>(), help, Json(value), {}, choices.names});
  }
};

struct ReadFields {
  const Json& in;
  std::string prefix;
  std::vector<std::string>& known;

  template <class T>
  void operator()(const char* name, T& value, const char* help, Bounds bounds = {}) {
    if constexpr (Value<T>) {
      read(name, value, bounds, {});
    } else {
      known.emplace_back(name);
      (void)help;
      if (in.contains(name)) read_config(in.at(name), value, prefix + name + ".");
    }
  }
  template <class T>
  void operator()(const char* name, T& value, const char*, Choices choices) {
    read(name, value, {}, choices.names);
  }

  template <class T>
  void read(const char* name, T& value, const Bounds& bounds, const std::vector<std::string>& choices) {
    known.emplace_back(name);
    if (!in.contains(name)) return;
    check_value(prefix + name, kind_of<T>(), in.at(name), bounds_of<T>(bounds), choices);
    value = in.at(name).template get<T>();
  }

  template <class Config>
  static void read_config(const Json& in, Config& config, const std::string& prefix) {
    require(in.is_object(), prefix.empty() ? "config" : prefix, ": expected a table of keys, got ",
            brief(in));
    std::vector<std::string> known;
    Config::visit(config, ReadFields{in, prefix, known});
    for (const auto& [key, unused] : in.items()) {
      bool found = false;
      for (const std::string& name : known) found = found || name == key;
      require(found, unknown_name("key", prefix + key, [&] {
                std::vector<std::string> names;
                for (const std::string& name : known) names.push_back(prefix + name);
                return names;
              }()));
    }
  }
};

}  // namespace detail

/// All fields in declaration order, nested ones with dotted names.
template <class Config>
std::vector<FieldInfo> fields(const Config& config) {
  std::vector<FieldInfo> out;
  Config::visit(config, detail::ListFields{out, ""});
  return out;
}

/// The config as a (nested) JSON object.
template <class Config>
Json to_json(const Config& config) {
  Json out = Json::object();
  for (const FieldInfo& field : fields(config)) out[detail::pointer_of(field.name)] = field.value;
  return out;
}

/// Overwrites the fields named in `in`. Throws InvalidArgument on an unknown key (with the nearest name), a
/// value of another type, or one out of range; `config` is then unchanged.
template <class Config>
void update(Config& config, const Json& in) {
  Config changed = config;
  detail::ReadFields::read_config(in, changed, "");
  config = changed;
}

/// Checks the ranges of a config built in code. Throws InvalidArgument.
template <class Config>
void validate(const Config& config) {
  for (const FieldInfo& f : fields(config)) detail::check_value(f.name, f.kind, f.value, f.bounds, f.choices);
}

}  // namespace diffreward
