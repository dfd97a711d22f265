#include "cli/command.h"

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
#include <map>
#include <optional>
#include <ostream>
#include <sstream>
#include <utility>

#include "cli/toml.h"
#include "core/file.h"
#include "core/format.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "core/provenance.h"

namespace diffreward::cli {

std::string flag_of(std::string field) {
  std::replace(field.begin(), field.end(), '_', '-');
  return "--" + field;
}

std::string option_of(const FieldInfo& field, const std::vector<FieldInfo>& all) {
  std::string name = field.name;
  if (field.kind == "table") {
    std::replace(name.begin(), name.end(), '.', '-');
    if (name.ends_with("s")) name.pop_back();
    return flag_of(name);
  }
  for (auto dot = name.rfind('.'); dot != name.npos; dot = name.rfind('.')) {
    const std::vector<FieldInfo> first = fields_named(name.substr(0, dot), all);
    if (first.empty() || first.front().name != field.name) break;
    name.resize(dot);
  }
  return flag_of(name);
}

bool is_utf8(const std::string& text) {
  try {
    (void)Json(text).dump();
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

std::vector<std::string> command_groups() {
  std::vector<std::string> groups;
  for (const Command& command : commands()) {
    const auto space = command.name.find(' ');
    if (space == command.name.npos) continue;
    const std::string group = command.name.substr(0, space);
    if (groups.empty() || groups.back() != group) groups.push_back(group);
  }
  return groups;
}

const Command& find_command(const std::string& name) {
  std::vector<std::string> names;
  for (const Command& command : commands()) {
    if (command.name == name) return command;
    names.push_back(command.name);
  }
  throw UsageError(unknown_name("command", name, names));
}

namespace {

/// The whole text as a T; nothing for other text.
template <class T>
std::optional<T> number_in(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

template <class T>
T parse_number(const std::string& option, const std::string& kind, const std::string& text) {
  if (const auto value = number_in<T>(text)) return *value;
  throw UsageError(
      concat(option, ": expected ", kind == "int" ? "an integer" : "a number", ", got '", text, "'"));
}

Json parse_value(const std::string& option, const std::string& kind, const std::string& text) {
  if (kind == "int") {
    if (text.starts_with("-")) return parse_number<std::int64_t>(option, kind, text);
    return parse_number<std::uint64_t>(option, kind, text);
  }
  if (kind == "float") return parse_number<double>(option, kind, text);
  if (kind == "bool") {
    if (text == "true" || text == "1") return true;
    if (text == "false" || text == "0") return false;
    throw UsageError(concat(option, ": expected true or false, got '", text, "'"));
  }
  return text;
}

Json parse_list(const std::string& option, const std::string& kind, const std::vector<std::string>& texts) {
  Json list = Json::array();
  for (const std::string& text : texts) {
    std::istringstream parts(text);
    for (std::string part; std::getline(parts, part, ',');) list.push_back(parse_value(option, kind, part));
  }
  return list;
}

/// A whole number or a finite number; null for other text.
Json number_or_null(std::string_view text) {
  if (const auto value = number_in<std::int64_t>(text)) return *value;
  if (const auto value = number_in<std::uint64_t>(text)) return *value;
  if (const auto value = number_in<double>(text); value && std::isfinite(*value)) return *value;
  return nullptr;
}

}  // namespace

Json value_of_text(const std::string& text) {
  if (text.starts_with("[") || text.starts_with("{")) {
    try {
      return parse_json(text, "value");
    } catch (const Error&) {
      return text;
    }
  }
  if (text == "true") return true;
  if (text == "false") return false;
  if (text.find(',') == text.npos) {
    const Json number = number_or_null(text);
    return number.is_null() ? Json(text) : number;
  }
  Json list = Json::array();
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    list.push_back(number_or_null(std::string_view(text).substr(begin, end - begin)));
    if (list.back().is_null()) return text;
    begin = end + 1;
  }
  return list;
}

namespace {

Json parse_table(const std::string& option, const std::vector<std::string>& entries) {
  Json table = Json::object();
  for (const std::string& entry : entries) {
    const auto equals = entry.find('=');
    if (equals == entry.npos || equals == 0)
      throw UsageError(concat(option, ": expected KEY=VALUE, got '", entry, "'"));
    const std::string key = entry.substr(0, equals);
    if (table.contains(key)) throw UsageError(concat(option, ": ", key, " is given twice"));
    table[key] = value_of_text(entry.substr(equals + 1));
  }
  return table;
}

std::string help_of(const FieldInfo& field) {
  std::string text = field.help;
  if (!field.choices.empty()) {
    text += ":";
    for (const std::string& choice : field.choices) text += " " + choice;
  }
  const std::string value = field.value.is_string() ? field.value.get<std::string>() : field.value.dump();
  if (!value.empty() && value != "[]" && value != "{}") text += " [" + value + "]";
  return text;
}

/// Integers that to_toml had to write as texts.
void restore_integers(Json& value) {
  if (value.is_array())
    for (Json& item : value) restore_integers(item);
  if (!value.is_string()) return;
  const auto number = number_in<std::uint64_t>(value.get_ref<const std::string&>());
  if (number && !std::in_range<std::int64_t>(*number)) value = *number;
}

/// The commands, or those of a group.
std::string overview(const std::string& group = "") {
  std::ostringstream text;
  const std::string prefix = group.empty() ? "" : group + " ";
  text << "diffreward " << DIFFREWARD_VERSION
       << ": rewards from diffusion models, and back into environments\n\n"
       << "usage: diffreward " << prefix << "<command> [options]     (diffreward " << prefix
       << "<command> --help lists them)\n\n";
  std::size_t longest = 0;
  for (const Command& command : commands())
    if (command.name.starts_with(prefix)) longest = std::max(longest, command.name.size());
  for (const Command& command : commands())
    if (command.name.starts_with(prefix))
      text << "  " << command.name << std::string(longest + 2 - command.name.size(), ' ') << command.summary
           << "\n";
  text << "\nEvery option is also a key of a config file (--config run.toml). --json prints the result for "
          "programs,\n"
          "--quiet hides progress bars. Exit codes: 0 done, 1 failed, 2 wrong use.\n";
  return text.str();
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string no_of(const std::string& option) {
  return "--no-" + option.substr(2);
}

/// An argument "--lr=3" with the name that the parser knows: "--ppo.lr=3". Throws UsageError.
std::string resolve_option(const std::string& arg, const std::vector<FieldInfo>& infos) {
  const std::size_t end = std::min(arg.find('='), arg.size());
  std::string name = arg.substr(2, end - 2);
  std::replace(name.begin(), name.end(), '-', '_');
  const std::string option = flag_of(name), value = arg.substr(end);
  std::vector<std::string> known = {"--config", "--json", "--quiet", "--help"};
  for (const FieldInfo& field : infos) {
    known.push_back(option_of(field, infos));
    if (field.kind == "bool") known.push_back(no_of(option_of(field, infos)));
  }
  if (has(known, option)) return option + value;

  std::vector<std::string> meant;
  for (const FieldInfo& field : fields_named(name, infos)) meant.push_back(option_of(field, infos));
  if (meant.empty() && name.starts_with("no_"))
    for (const FieldInfo& field : fields_named(name.substr(3), infos))
      if (field.kind == "bool") meant.push_back(no_of(option_of(field, infos)));
  if (meant.size() == 1) return meant.front() + value;
  if (meant.size() > 1) {
    std::string all;
    for (const std::string& one : meant) all += (all.empty() ? "" : ", ") + one;
    throw UsageError(concat("'", option, "' is ambiguous: ", all));
  }
  std::vector<std::string> shorter;
  for (const std::string& one : short_names(infos))
    if (!fields_named(one, infos).empty()) shorter.push_back(flag_of(one));
  throw UsageError(unknown_name("option", option, known, shorter));
}

/// Whether the name stands for the field.
bool is_named(const FieldInfo& field, const std::string& name, const std::vector<FieldInfo>& infos) {
  const std::vector<FieldInfo> found = fields_named(name, infos);
  return found.size() == 1 && found.front().name == field.name;
}

/// Whether a table of this name is a group or a free table.
bool is_table(const std::string& name, const std::vector<FieldInfo>& infos) {
  const std::vector<FieldInfo> found = fields_named(name, infos);
  return is_group(name, infos) || (found.size() == 1 && found.front().kind == "table");
}

/// What is left of a config file's top level when a command's own is taken out.
Json unknown_to(const Command& command, const Json& given) {
  const std::vector<FieldInfo> infos = command.fields();
  Json left = Json::object();
  for (const auto& [key, value] : given.items()) {
    try {
      expand_names({{key, value}}, infos, &left);
    } catch (const InvalidArgument&) {  // ambiguous there, so not unknown
    }
  }
  return left;
}

/// Throws InvalidArgument for the first of the entries at a config file's top level that no command knows.
[[noreturn]] void refuse(const Json& unknown, const std::vector<Command>& all) {
  const auto group = [&](const std::string& name) {
    return std::any_of(all.begin(), all.end(), [&](const Command& c) { return is_group(name, c.fields()); });
  };
  std::string name = unknown.begin().key();
  const Json* value = &*unknown.begin();
  while (value->is_object() && !value->empty() && group(name)) {
    name += "." + value->begin().key();
    value = &*value->begin();
  }
  require(value->is_object() || !group(name), name, ": expected a table of keys, got ", brief(*value));
  std::vector<std::string> keys, tables, shorter;
  const auto add = [](std::vector<std::string>& names, const std::string& one) {
    if (!has(names, one)) names.push_back(one);
  };
  for (const Command& command : all) add(tables, command.name);
  for (const Command& command : all) {
    const std::vector<FieldInfo> infos = command.fields();
    for (const FieldInfo& field : infos) add(field.kind == "table" ? tables : keys, field.name);
    for (const std::string& one : short_names(infos)) add(is_table(one, infos) ? tables : shorter, one);
  }
  throw InvalidArgument(value->is_object() ? unknown_name("table", name, tables)
                                           : unknown_name("key", name, keys, shorter));
}

/// The texts beside the groups that arguments give: {"algorithm": "sac"}.
Json texts_in(std::span<const std::string> args, const std::vector<FieldInfo>& infos) {
  Json texts = Json::object();
  for (const FieldInfo& field : infos) {
    if (field.kind != "text" || field.name.find('.') != field.name.npos) continue;
    const std::string option = option_of(field, infos);
    for (std::size_t k = 0; k < args.size(); ++k) {
      if (args[k] == option && k + 1 < args.size() && is_utf8(args[k + 1])) texts[field.name] = args[k + 1];
      if (args[k].starts_with(option + "=") && is_utf8(args[k]))
        texts[field.name] = args[k].substr(option.size() + 1);
    }
  }
  return texts;
}

/// A config file with [sd.sample] as the table "sd sample".
Json with_group_tables(Json file) {
  for (const std::string& group : command_groups()) {
    if (!file.contains(group) || !file.at(group).is_object()) continue;
    const Json tables = file.at(group);
    for (const auto& [name, table] : tables.items()) {
      const std::string whole = group + " " + name;
      if (!table.is_object() ||
          std::ranges::none_of(commands(), [&](const Command& command) { return command.name == whole; }))
        continue;
      file[whole] = table;
      file.at(group).erase(name);
    }
    if (file.at(group).empty()) file.erase(group);
  }
  return file;
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
  std::map<std::string, std::vector<std::string>> entries;
  std::map<std::string, bool> flags;
  std::map<std::string, CLI::Option*> options;
  bool nested = false;
  for (const FieldInfo& field : infos) {
    std::string names = option_of(field, infos);
    nested = nested || names.find('.') != names.npos;
    if (field.kind == "bool") {
      names += ",!" + no_of(names);
      options[field.name] = app.add_flag(names, flags[field.name], help_of(field));
      continue;
    }
    if (field.kind == "table") {
      options[field.name] = app.add_option(names, entries[field.name], help_of(field))
                                ->option_text("KEY=VALUE")
                                ->allow_extra_args(false);  // one entry for each time it is given
      continue;
    }
    bool placed = false;
    for (const std::string& positional : command.positionals)
      if (is_named(field, positional, infos)) {
        names += "," + positional;
        placed = true;
      }
    if (placed && field.kind.ends_with("[]")) {
      options[field.name] =
          app.add_option(names, entries[field.name], help_of(field))->option_text(field.kind);
      continue;
    }
    options[field.name] = app.add_option(names, texts[field.name], help_of(field))->option_text(field.kind);
  }
  if (nested) app.footer("The last part of a dotted name is enough where no other option's name ends so.");

  const std::vector<FieldInfo> chosen = with_values(infos, texts_in(args, infos));
  std::vector<std::string> reversed;  // CLI11 reads its vector from the back
  for (const std::string& arg : args) {
    if (!is_utf8(arg)) throw UsageError(concat("expected options in UTF-8, got '", brief(arg), "'"));
    reversed.insert(reversed.begin(), arg.starts_with("--") ? resolve_option(arg, chosen) : arg);
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
    const std::string option = option_of(field, infos), &text = texts[field.name];
    if (field.kind == "bool")
      values[field.name] = flags[field.name];
    else if (field.kind == "table")
      values[field.name] = parse_table(option, options[field.name]->results());
    else if (field.kind.ends_with("[]"))
      values[field.name] = parse_list(option, field.kind.substr(0, field.kind.size() - 2),
                                      entries.contains(field.name) ? entries[field.name] : std::vector{text});
    else
      values[field.name] = parse_value(option, field.kind, text);
  }
  return expand_names(values, infos);
}

Json read_config_file(const std::string& path, const Command& command, const std::vector<Command>& all) {
  const Json file = with_group_tables(parse_toml(read_file(path), path));
  const std::vector<FieldInfo> own = command.fields();
  std::vector<Command> known = all;
  known.push_back(command);
  Json top = Json::object(), table = Json::object();
  for (const auto& [key, value] : file.items()) {
    const bool is_commands =
        value.is_object() &&
        std::any_of(known.begin(), known.end(), [&](const Command& other) { return other.name == key; });
    if (is_commands && key == command.name)
      table = value;
    else if (!is_commands || is_table(key, own))
      top[key] = value;
  }

  std::string where;
  try {
    Json unknown = Json::object();
    Json values = expand_names(top, own, &unknown);
    for (const Command& other : all) unknown = unknown_to(other, unknown);
    if (!unknown.empty()) refuse(unknown, known);
    where = concat("[", command.name, "] ");
    if (is_group(command.name, own)) {  // a group of the same name: its keys first
      Json left = Json::object();
      merge_config(values, expand_names({{command.name, table}}, own, &left));
      table = left.value(command.name, Json::object());
    }
    merge_config(values, expand_names(table, own));
    for (const FieldInfo& field : own)
      if (field.kind.starts_with("int") && value_at(values, field.name) != nullptr)
        restore_integers(values[detail::pointer_of(field.name)]);
    return values;
  } catch (const InvalidArgument& error) {
    throw UsageError(concat(path, ": ", where, error.what()));
  }
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
    const std::vector<FieldInfo> infos = command.fields();
    const auto check = [&](const Json& given, const auto& name_of) {
      for (const FieldInfo& field : infos)
        if (const Json* value = value_at(given, field.name))
          detail::check_value(name_of(field), field.kind, *value, field.bounds, field.choices);
    };
    check(flags, [&](const FieldInfo& field) { return option_of(field, infos); });
    Json values = config_file.empty() ? Json::object() : read_config_file(config_file, command, commands());
    check(values, [&](const FieldInfo& field) { return config_file + ": " + field.name; });
    merge_config(values, flags);
    for (const std::string& name : command.required) {
      const auto is_given = [&](const FieldInfo& field) {
        const Json* value = value_at(values, field.name);
        return is_named(field, name, infos) && value != nullptr && *value != "" && !value->empty();
      };
      if (std::none_of(infos.begin(), infos.end(), is_given))
        throw UsageError(concat(command.name, ": ", flag_of(name), " is missing"));
    }
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
    if (result.is_null()) return 0;  // another process tells it
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
    if (has(command_groups(), args[0])) {
      if (args.size() < 2 || args[1] == "--help" || args[1] == "-h" || args[1] == "help") {
        deliver(args.size() < 2 ? err : out, overview(args[0]));
        return args.size() < 2 ? 2 : 0;
      }
      return run_command(find_command(args[0] + " " + args[1]), args.subspan(2), out, err);
    }
    return run_command(find_command(args[0]), args.subspan(1), out, err);
  });
}

}  // namespace diffreward::cli
