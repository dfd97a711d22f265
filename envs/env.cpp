#include "envs/env.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace diffreward {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Json json_of(double value) {
  if (std::isnan(value)) return nullptr;
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

Json json_of(const std::vector<double>& values) {
  Json out = Json::array();
  for (const double value : values) out.push_back(json_of(value));
  return out;
}

Json json_of(const Box& box) {
  return {{"low", json_of(box.low)}, {"high", json_of(box.high)}};
}

Json json_of(const std::vector<InfoField>& fields) {
  Json out = Json::array();
  for (const InfoField& field : fields) out.push_back({{"name", field.name}, {"size", field.size}});
  return out;
}

/// A value with its dotted name, which messages begin with.
struct Field {
  const Json& value;
  std::string name;

  template <class... Parts>
  void expect(bool ok, const Parts&... expected) const {
    require(ok, "EnvSpec: ", name, ": expected ", expected..., ", got ", brief(value));
  }
  Field at(const char* key) const {
    const std::string full = name.empty() ? key : concat(name, ".", key);
    require(value.contains(key), "EnvSpec: ", full, ": expected a value, got none");
    return {value.at(key), full};
  }
  /// The entries of a list.
  std::vector<Field> list() const {
    expect(value.is_array(), "a list");
    std::vector<Field> out;
    for (std::size_t i = 0; i < value.size(); ++i) out.push_back({value[i], concat(name, "[", i, "]")});
    return out;
  }
  void check_keys(const std::vector<std::string>& known) const {
    require(value.is_object(), "EnvSpec: ", name.empty() ? "" : name + ": ", "expected a table of keys, got ",
            value.dump());
    for (const auto& [key, unused] : value.items())
      require(std::find(known.begin(), known.end(), key) != known.end(),
              "EnvSpec: ", unknown_name("key", name.empty() ? key : concat(name, ".", key), known));
  }

  double number() const {
    if (value.is_null()) return std::numeric_limits<double>::quiet_NaN();
    if (value == "inf") return kInfinity;
    if (value == "-inf") return -kInfinity;
    expect(value.is_number(), "a number, \"inf\", \"-inf\" or null");
    return value.get<double>();
  }
  std::uint64_t count(std::uint64_t most) const {
    const bool natural =
        value.is_number_unsigned() || (value.is_number_integer() && value.get<std::int64_t>() >= 0);
    expect(natural && value.get<std::uint64_t>() <= most, "a count up to ", most);
    return value.get<std::uint64_t>();
  }
  std::string text() const {
    expect(value.is_string(), "a text");
    return value.get<std::string>();
  }
  Box box() const {
    check_keys({"low", "high"});
    Box out;
    for (const Field& field : at("low").list()) out.low.push_back(field.number());
    for (const Field& field : at("high").list()) out.high.push_back(field.number());
    expect(out.low.size() == out.high.size(), "as many lows as highs");
    return out;
  }
  std::vector<InfoField> fields() const {
    std::vector<InfoField> out;
    for (const Field& field : list()) {
      field.check_keys({"name", "size"});
      out.push_back({field.at("name").text(), std::size_t(field.at("size").count(kMostNumbers))});
    }
    return out;
  }

  static constexpr std::uint64_t kMostNumbers = std::uint64_t(1) << 48;  // so that sums do not overflow
};

/// Throws InvalidArgument unless the spec knows the options.
void check(const EnvSpec& spec, const ResetOptions& options) {
  for (const auto& [name, values] : options.fixed) {
    const auto field = std::ranges::find(spec.reset_options, name, &InfoField::name);
    if (field == spec.reset_options.end()) {
      std::vector<std::string> known;
      for (const InfoField& one : spec.reset_options) known.push_back(one.name);
      known.emplace_back("state");
      throw InvalidArgument(concat(spec.id, ": reset: ", unknown_name("option", name, known)));
    }
    require(values.size() == field->size, spec.id, ": reset: ", name, ": expected ", field->size,
            " numbers, got ", values.size());
    for (const double value : values)
      require(std::isfinite(value), spec.id, ": reset: ", name, ": expected finite numbers, got ", value);
    require(options.state.empty(), spec.id, ": reset: expected a state alone, got ", name, " beside it");
  }
}

}  // namespace

std::optional<std::size_t> EnvSpec::info_offset(std::string_view name) const {
  std::size_t offset = 0;
  for (const InfoField& field : info) {
    if (field.name == name) return offset;
    offset += field.size;
  }
  return std::nullopt;
}

void Env::reset(std::optional<Seed> seed, const ResetOptions& options, std::span<double> obs) {
  if (!options.fixed.empty()) check(spec(), options);
  begin(seed, options, obs);
}

Json EnvSpec::json() const {
  return {{"id", id},
          {"observation", json_of(observation)},
          {"action", json_of(action)},
          {"max_steps", max_steps},
          {"seconds_per_step", json_of(seconds_per_step)},
          {"random_return", json_of(random_return)},
          {"expert_return", json_of(expert_return)},
          {"state_size", state_size},
          {"info", json_of(info)},
          {"parts", json_of(parts)},
          {"reset_options", json_of(reset_options)}};
}

EnvSpec EnvSpec::from_json(const Json& json) {
  const Field all{json, ""};
  all.check_keys({"id", "observation", "action", "max_steps", "seconds_per_step", "random_return",
                  "expert_return", "state_size", "info", "parts", "reset_options"});
  EnvSpec spec;
  spec.id = all.at("id").text();
  spec.observation = all.at("observation").box();
  spec.action = all.at("action").box();
  spec.max_steps = int(all.at("max_steps").count(std::numeric_limits<int>::max()));
  spec.seconds_per_step = all.at("seconds_per_step").number();
  spec.random_return = all.at("random_return").number();
  spec.expert_return = all.at("expert_return").number();
  spec.state_size = std::size_t(all.at("state_size").count(Field::kMostNumbers));
  spec.info = all.at("info").fields();
  spec.parts = all.at("parts").fields();
  spec.reset_options = all.at("reset_options").fields();
  return spec;
}

}  // namespace diffreward
