// diffreward completion: what a shell offers at the Tab key.
#include "cli/completion.h"

#include <algorithm>
#include <ostream>
#include <sstream>

#include "cli/command.h"
#include "cli/job.h"
#include "core/shell.h"
#include "envs/catalog.h"

namespace diffreward::cli {
namespace {

struct Option {
  std::string name, help;  // "--ppo.lr"
  std::vector<std::string> values;
  bool takes_value = true;
};

std::vector<std::string> environment_ids() {
  std::vector<std::string> ids;
  for (const EnvEntry& entry : env_catalog()) ids.push_back(entry.id);
  return ids;
}

std::vector<std::string> non_empty(std::vector<std::string> names) {
  std::erase(names, "");
  return names;
}

std::vector<Option> options_of(const Command& command) {
  const std::vector<FieldInfo> fields = command.fields();
  std::vector<Option> options;
  for (const FieldInfo& field : fields) {
    std::vector<std::string> values = non_empty(field.choices);
    if (field.name == "env.id") values = environment_ids();
    options.push_back({option_of(field, fields), field.help, values, field.kind != "bool"});
  }
  options.push_back({"--config", "TOML file with the same keys as the flags", {}, true});
  options.push_back({"--json", "print the result as JSON", {}, false});
  options.push_back({"--quiet", "no progress bars", {}, false});
  options.push_back({"--help", "show the options", {}, false});
  return options;
}

/// What may stand where a command takes its first positional.
std::vector<std::string> positional_values(const Command& command) {
  if (command.positionals.empty()) return {};
  if (command.name == "run" || command.name == "sweep plan") return builtin_jobs();
  for (const Option& option : options_of(command))
    if (option.name == flag_of(command.positionals[0])) return option.values;
  return {};
}

/// A word that begins commands: a command, or a group of them.
struct FirstWord {
  std::string name, summary;
  std::vector<const Command*> members;  // of a group
};

std::vector<FirstWord> first_words() {
  std::vector<FirstWord> out;
  for (const Command& command : commands()) {
    const auto space = command.name.find(' ');
    const std::string first = command.name.substr(0, space);
    if (space == command.name.npos)
      out.push_back({first, command.summary, {}});
    else if (out.empty() || out.back().name != first)
      out.push_back({first, "", {&command}});
    else
      out.back().members.push_back(&command);
  }
  for (FirstWord& word : out)
    for (const Command* member : word.members)
      word.summary +=
          (member == word.members.front() ? "" : ", ") + member->name.substr(word.name.size() + 1);
  return out;
}

std::vector<std::string> second_words(const FirstWord& group) {
  std::vector<std::string> out;
  for (const Command* member : group.members) out.push_back(member->name.substr(group.name.size() + 1));
  return out;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string bash_script() {
  std::ostringstream out;
  std::vector<std::string> names;
  for (const FirstWord& word : first_words()) names.push_back(word.name);
  out << "# source <(diffreward completion bash)\n"
         "_diffreward() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words=\n"
         "  local command=${COMP_WORDS[1]} first=2\n"
         "  COMPREPLY=()\n"
         "  case $command in\n";
  for (const FirstWord& word : first_words())
    if (!word.members.empty())
      out << "    " << word.name << ") command=\"" << word.name << " ${COMP_WORDS[2]}\" first=3 ;;\n";
  out << "  esac\n"
         "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
         "    words="
      << single_quoted(joined(names)) << "\n  elif [ \"$COMP_CWORD\" -lt \"$first\" ]; then\n"
      << "    case ${COMP_WORDS[1]} in\n";
  for (const FirstWord& word : first_words())
    if (!word.members.empty())
      out << "      " << word.name << ") words=" << single_quoted(joined(second_words(word))) << " ;;\n";
  out << "    esac\n  else\n    case \"$command $previous\" in\n";
  for (const Command& command : commands())
    for (const Option& option : options_of(command))
      if (!option.values.empty())
        out << "      " << single_quoted(command.name + " " + option.name)
            << ") words=" << single_quoted(joined(option.values)) << " ;;\n";
  out << "      *) case $command in\n";
  for (const Command& command : commands()) {
    std::vector<std::string> words;
    for (const Option& option : options_of(command)) words.push_back(option.name);
    out << "        " << single_quoted(command.name)
        << ") if [[ $current == -* ]]; then words=" << single_quoted(joined(words))
        << "; elif [ \"$COMP_CWORD\" -eq \"$first\" ]; then words="
        << single_quoted(joined(positional_values(command))) << "; fi ;;\n";
  }
  out << "      esac ;;\n    esac\n  fi\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "  [ ${#COMPREPLY[@]} -eq 0 ] && compopt -o default 2>/dev/null\n"
         "  return 0\n"
         "}\n"
         "complete -F _diffreward diffreward\n";
  return out.str();
}

/// Text inside an argument of zsh's _arguments.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view(":[]\\").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_script() {
  std::ostringstream out;
  out << "#compdef diffreward\n# source <(diffreward completion zsh)\n"
         "_diffreward() {\n"
         "  if (( CURRENT == 2 )); then\n"
         "    local -a names=(\n";
  for (const FirstWord& word : first_words())
    out << "      " << single_quoted(word.name + ":" + word.summary) << "\n";
  out << "    )\n    _describe command names\n    return\n  fi\n"
         "  local name=${words[2]}\n  shift words\n  (( CURRENT-- ))\n";
  for (const FirstWord& word : first_words())
    if (!word.members.empty())
      out << "  if [[ $name == " << word.name << " ]]; then\n    if (( CURRENT == 2 )); then\n      compadd "
          << joined(second_words(word)) << "\n      return\n    fi\n    name=\"" << word.name
          << " ${words[2]}\"\n    shift words\n    (( CURRENT-- ))\n  fi\n";
  out << "  case $name in\n";
  for (const Command& command : commands()) {
    out << "    " << single_quoted(command.name) << ") _arguments";
    for (const Option& option : options_of(command)) {
      std::string spec = option.name + "[" + zsh_text(option.help) + "]";
      if (option.takes_value)
        spec += option.values.empty() ? ":value:_files" : ":value:(" + joined(option.values) + ")";
      out << " \\\n      " << single_quoted(spec);
    }
    const std::vector<std::string> first = positional_values(command);
    if (!first.empty()) out << " \\\n      " << single_quoted("1:first:(" + joined(first) + ")");
    out << " \\\n      '*:file:_files' ;;\n";
  }
  out << "  esac\n}\ncompdef _diffreward diffreward\n";
  return out.str();
}

std::string fish_script() {
  std::ostringstream out;
  out << "# diffreward completion fish | source\n";
  for (const FirstWord& word : first_words()) {
    out << "complete -c diffreward -n __fish_use_subcommand -f -a " << word.name << " -d "
        << single_quoted(word.summary) << "\n";
    const std::string seen = "__fish_seen_subcommand_from ", members = joined(second_words(word));
    for (const Command* member : word.members)
      out << "complete -c diffreward -n " << single_quoted(seen + word.name + "; and not " + seen + members)
          << " -f -a " << member->name.substr(word.name.size() + 1) << " -d "
          << single_quoted(member->summary) << "\n";
  }
  for (const Command& command : commands()) {
    std::string words = command.name;
    if (const auto space = words.find(' '); space != words.npos)
      words.replace(space, 1, "; and __fish_seen_subcommand_from ");
    const std::string when = single_quoted("__fish_seen_subcommand_from " + words);
    for (const Option& option : options_of(command)) {
      out << "complete -c diffreward -n " << when << " -l " << option.name.substr(2) << " -d "
          << single_quoted(option.help);
      if (option.takes_value)
        out << (option.values.empty() ? " -r" : " -x -a " + single_quoted(joined(option.values)));
      out << "\n";
    }
    if (const std::vector<std::string> first = positional_values(command); !first.empty())
      out << "complete -c diffreward -n " << when << " -a " << single_quoted(joined(first)) << "\n";
  }
  return out.str();
}

}  // namespace

Json run_completion(const CompletionConfig& config) {
  validate(config);
  return {{"script", config.shell == "zsh"    ? zsh_script()
                     : config.shell == "fish" ? fish_script()
                                              : bash_script()}};
}

void print_completion(const Json& result, std::ostream& out) {
  out << result.at("script").get<std::string>();
}

}  // namespace diffreward::cli
