#include "cli/command.h"

#include <toml++/toml.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ostream>
#include <sstream>

#include "core/file.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "core/provenance.h"
#include "leaderboard/results.h"

namespace diffreward::cli {

std::string flag_of(std::string field) {
  std::replace(field.begin(), field.end(), '_', '-');
  return "--" + field;
}

namespace {

constexpr std::size_t kLargestConfig = 1 << 20;  // bytes

template <class T>
T parse_number(const std::string& name, const std::string& kind, const std::string& text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    throw UsageError(concat(flag_of(name), ": expected ", kind == "int" ? "an integer" : "a number",
                            ", got '", text, "'"));
  return value;
}

Json parse_value(const std::string& name, const std::string& kind, const std::string& text) {
  if (kind == "int") {
    if (text.starts_with("-")) return parse_number<std::int64_t>(name, kind, text);
    return parse_number<std::uint64_t>(name, kind, text);
  }
  if (kind == "float") return parse_number<double>(name, kind, text);
  if (kind == "bool") {
    if (text == "true" || text == "1") return true;
    if (text == "false" || text == "0") return false;
    throw UsageError(concat(flag_of(name), ": expected true or false, got '", text, "'"));
  }
  return text;
}

Json parse_list(const std::string& name, const std::string& kind, const std::string& text) {
  Json list = Json::array();
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) list.push_back(parse_value(name, kind, part));
  return list;
}

std::string help_of(const FieldInfo& field) {
  std::string text = field.help;
  if (!field.choices.empty()) {
    text += ":";
    for (const std::string& choice : field.choices) text += " " + choice;
  }
  const std::string value = field.value.is_string() ? field.value.get<std::string>() : field.value.dump();
  if (!value.empty() && value != "[]") text += " [" + value + "]";
  return text;
}

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

const Command& find_command(const std::string& name) {
  std::vector<std::string> names;
  for (const Command& command : commands()) {
    if (command.name == name) return command;
    names.push_back(command.name);
  }
  throw UsageError(unknown_name("command", name, names));
}

std::string overview() {
  std::ostringstream text;
  text << "diffreward " << DIFFREWARD_VERSION
       << ": rewards from diffusion models, and back into environments\n\n"
       << "usage: diffreward <command> [options]     (diffreward <command> --help lists them)\n\n";
  for (const Command& command : commands())
    text << "  " << command.name << std::string(12 - command.name.size(), ' ') << command.summary << "\n";
  text << "\nEvery option is also a key of a config file (--config run.toml). --json prints the result for "
          "programs,\n"
          "--quiet hides progress bars. Exit codes: 0 done, 1 failed, 2 wrong use.\n";
  return text.str();
}

/// Whether results and records, which are JSON, can hold the text.
bool is_utf8(const std::string& text) {
  try {
    (void)Json(text).dump();
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

/// Thrown to leave parsing when help was asked for.
struct HelpShown {
  std::string text;
};

}  // namespace

Json parse_flags(const Command& command, std::span<const std::string> args, Common& common,
                 std::string& config_file) {
  CLI::App app(command.summary + "\n" + command.details, "diffreward " + command.name);
  app.set_help_flag("-h,--help", "show this text");
  app.get_formatter()->column_width(34);
  app.add_option("--config", config_file, "TOML file with the same keys as the flags")->option_text("FILE");
  app.add_flag("--json", common.json, "print the result as JSON");
  app.add_flag("--quiet", common.quiet, "no progress bars");
  const std::vector<FieldInfo> infos = command.fields();
  std::map<std::string, std::string> texts;
  std::map<std::string, bool> flags;
  std::map<std::string, CLI::Option*> options;
  for (const FieldInfo& field : infos) {
    std::string names = flag_of(field.name);
    if (field.kind == "bool") {
      names += ",!--no-" + names.substr(2);
      options[field.name] = app.add_flag(names, flags[field.name], help_of(field));
      continue;
    }
    for (const std::string& positional : command.positionals)
      if (positional == field.name) names += "," + field.name;
    options[field.name] = app.add_option(names, texts[field.name], help_of(field))->option_text(field.kind);
  }

  std::vector<std::string> reversed;  // CLI11 reads its vector from the back
  for (const std::string& arg : args) {
    std::string word = arg;
    if (!is_utf8(arg)) throw UsageError(concat("expected options in UTF-8, got '", brief(arg), "'"));
    if (word.starts_with("--")) {
      const auto end = std::min(word.find('='), word.size());
      std::replace(word.begin() + 2, word.begin() + static_cast<std::ptrdiff_t>(end), '_', '-');
      std::vector<std::string> known = {"--config", "--json", "--quiet", "--help"};
      for (const FieldInfo& field : infos) {
        known.push_back(flag_of(field.name));
        if (field.kind == "bool") known.push_back("--no-" + flag_of(field.name).substr(2));
      }
      if (std::find(known.begin(), known.end(), word.substr(0, end)) == known.end())
        throw UsageError(unknown_name("option", word.substr(0, end), known));
    }
    reversed.insert(reversed.begin(), word);
  }
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    throw HelpShown{app.help()};
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }

  Json values = Json::object();
  for (const FieldInfo& field : infos) {
    if (options[field.name]->count() == 0) continue;
    if (field.kind == "bool")
      values[field.name] = flags[field.name];
    else if (field.kind.ends_with("[]"))
      values[field.name] =
          parse_list(field.name, field.kind.substr(0, field.kind.size() - 2), texts[field.name]);
    else
      values[field.name] = parse_value(field.name, field.kind, texts[field.name]);
  }
  return values;
}

Json read_config_file(const std::string& path, const Command& command, const std::vector<Command>& all) {
  Json file;
  try {
    const std::string text = read_file(path);
    if (text.size() > kLargestConfig)
      throw UsageError(
          concat(path, ": expected a config of at most ", kLargestConfig, " bytes, found ", text.size()));
    file = to_json(toml::parse(text, path));
  } catch (const toml::parse_error& error) {
    throw UsageError(concat(path, ":", error.source().begin.line, ": ", error.description()));
  }
  std::vector<std::string> own, keys, tables;
  for (const FieldInfo& field : command.fields()) own.push_back(field.name);
  for (const Command& other : all) {
    tables.push_back(other.name);
    for (const FieldInfo& field : other.fields()) keys.push_back(field.name);
  }
  const auto has = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  Json values = Json::object();
  for (const auto& [key, value] : file.items()) {
    const std::vector<std::string>& names = value.is_object() ? tables : keys;
    if (!has(names, key))
      throw UsageError(concat(path, ": ", unknown_name(value.is_object() ? "table" : "key", key, names)));
    if (!value.is_object() && has(own, key)) values[key] = value;
  }
  if (file.contains(command.name) && file.at(command.name).is_object()) {
    for (const auto& [key, value] : file.at(command.name).items()) {
      if (!has(own, key))
        throw UsageError(concat(path, ": [", command.name, "] ", unknown_name("key", key, own)));
      values[key] = value;
    }
  }
  return values;
}

std::string to_toml(const Json& config) {
  std::ostringstream text;
  for (const auto& [key, value] : config.items())
    if (!value.is_object())
      text << key << " = " << value.dump() << "\n";  // JSON scalars and lists are TOML's too
  return text.str();
}

namespace {

/// An interval, as Estimate::json() writes it.
bool is_estimate(const Json& value) {
  if (!value.is_object() || value.size() != 3) return false;
  for (const char* part : {"value", "low", "high"})
    if (!value.contains(part) || !value.at(part).is_number()) return false;
  return true;
}

/// Four significant digits, but the whole part as it is.
Json round_number(double value) {
  if (std::abs(value) >= 1e15) return value;
  if (std::abs(value) >= 1000) return std::llround(value);
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return std::strtod(text, nullptr);
}

/// Numbers at every level as people read them.
Json rounded(Json value) {
  if (is_estimate(value)) return format_estimate({value.at("value"), value.at("low"), value.at("high")});
  if (value.is_number_float()) return round_number(value.get<double>());
  if (value.is_structured())
    for (Json& item : value) item = rounded(item);
  return value;
}

std::string shown(const Json& value) {
  const Json text = rounded(value);
  return printable(text.is_string() ? text.get<std::string>() : text.dump());
}

constexpr std::size_t kShownEntries = 12;  // of a list
constexpr std::size_t kNameWidth = 28;

void print_fields(const Json& json, std::size_t indent, std::ostream& out) {
  for (const auto& [key, value] : json.items()) {
    const std::string name = std::string(indent, ' ') + printable(key);
    const auto is_object = [](const Json& entry) { return entry.is_object(); };
    const bool lines = value.is_array() ? std::any_of(value.begin(), value.end(), is_object)
                                        : value.is_object() && !is_estimate(value);
    if (lines && (value.is_object() || value.size() <= kShownEntries)) {
      out << name << "\n";
      print_fields(value, indent + 2, out);
    } else {
      const bool many = value.is_array() && value.size() > kShownEntries;
      out << name << std::string(name.size() < kNameWidth ? kNameWidth - name.size() : 1, ' ')
          << (many ? concat(value.size(), " entries, see --json") : shown(value)) << "\n";
    }
  }
}

}  // namespace

void print_result(const Json& result, std::ostream& out) {
  print_fields(result, 0, out);
}

namespace {

/// Prints the text. Throws Error where it did not arrive: on a full disk.
void deliver(std::ostream& out, const std::string& text) {
  errno = 0;
  if (out << text << std::flush) return;
  throw Error(concat("cannot write the result", errno != 0 ? concat(": ", std::strerror(errno)) : ""));
}

/// Calls `body` and turns what it throws into a line on `err` and an exit code.
int guarded(std::ostream& out, std::ostream& err, const std::function<int()>& body) {
  try {
    return body();
  } catch (const HelpShown& help) {
    out << help.text;
    return out.flush() ? 0 : 1;
  } catch (const UsageError& error) {
    err << "diffreward: " << error.what() << "\n";
    return 2;
  } catch (const std::bad_alloc&) {
    err << "diffreward: out of memory\n";
    return 1;
  } catch (const std::exception& error) {  // LibTorch's go on with a backtrace
    const std::string_view text = error.what();
    err << "diffreward: " << printable(text.substr(0, text.find('\n'))) << "\n";
    return 1;
  }
}

/// Defaults, then the config file, then flags; only what differs from the defaults is in the result.
Json resolve(const Command& command, std::span<const std::string> args, Common& common) {
  std::string config_file;
  try {
    const Json flags = parse_flags(command, args, common, config_file);
    const auto check = [&](const Json& given, const auto& name_of) {
      for (const FieldInfo& field : command.fields())
        if (given.contains(field.name))
          detail::check_value(name_of(field.name), field.kind, given.at(field.name), field.bounds,
                              field.choices);
    };
    check(flags, flag_of);
    Json values = config_file.empty() ? Json::object() : read_config_file(config_file, command, commands());
    check(values, [&](const std::string& name) { return config_file + ": " + name; });
    values.update(flags);
    for (const std::string& name : command.required)
      if (!values.contains(name) || values.at(name) == "")
        throw UsageError(concat(command.name, ": ", flag_of(name), " is missing"));
    return values;
  } catch (const InvalidArgument& error) {
    throw UsageError(error.what());
  }
}

}  // namespace

int run_command(const Command& command, std::span<const std::string> args, std::ostream& out,
                std::ostream& err) {
  return guarded(out, err, [&] {
    Common common;
    const Json values = resolve(command, args, common);
    Progress::silence(common.quiet);
    const Json result = command.run(values);
    std::ostringstream text;
    if (common.json)
      text << result.dump(2) << "\n";
    else
      command.print(result, text);
    deliver(out, text.str());
    return command.exit_code ? command.exit_code(result) : 0;
  });
}

int run_cli(std::span<const std::string> args, std::ostream& out, std::ostream& err) {
  return guarded(out, err, [&] {
    if (args.empty() || args[0] == "--help" || args[0] == "-h" || args[0] == "help") {
      deliver(args.empty() ? err : out, overview());
      return args.empty() ? 2 : 0;
    }
    if (args[0] == "--version") {
      deliver(out, concat("diffreward ", DIFFREWARD_VERSION, " (", program_commit(), ")\n"));
      return 0;
    }
    return run_command(find_command(args[0]), args.subspan(1), out, err);
  });
}

}  // namespace diffreward::cli
