// The subcommand that prints a shell's completion script.
#pragma once

#include <iosfwd>
#include <string>

#include "core/config.h"

namespace diffreward::cli {

struct CompletionConfig {
  std::string shell = "bash";  // bash, zsh or fish

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("shell", self.shell, "whose script", Choices{"bash", "zsh", "fish"});
  }
};
/// {"script": ...}: completes commands, options, choices, environment ids and built-in jobs, else files.
Json run_completion(const CompletionConfig& config);
void print_completion(const Json& result, std::ostream& out);

}  // namespace diffreward::cli
