// The subcommand that makes tables for people from a results file.
#pragma once

#include <string>

#include "core/config.h"

namespace diffreward::cli {

struct ResultsConfig {
  std::string file;  // of results (leaderboard/results.h)
  std::string
      layout;  // TOML: `columns`, [[tables]] of `group` and `questions`, and the page's `marker` ("results")
  std::string page;  // Markdown page whose tables are replaced by those of the layout
  std::string list;  // the same by all results, with runs, commands and commits

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("file", self.file, "results file, as run --results writes it");
    field("layout", self.layout, "TOML file of columns, and of tables with a group and its questions");
    field("page", self.page,
          "Markdown page whose tables are replaced, between <!-- MARKER:begin --> and :end, the layout's "
          "marker");
    field("list", self.list, "the same for the full list, with runs, commands and commits");
  }
};
/// The tables as Markdown; writes the pages that are named. Throws Error naming a file.
Json run_results(const ResultsConfig& config);

}  // namespace diffreward::cli
