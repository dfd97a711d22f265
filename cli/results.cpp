// diffreward results: tables for people from measured figures.
#include "cli/results.h"

#include "cli/command.h"
#include "cli/toml.h"
#include "core/file.h"
#include "leaderboard/results.h"

namespace diffreward::cli {
namespace {

struct TableConfig {
  std::string group;
  std::vector<std::string> questions;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("group", self.group, "of the results, and above the table");
    field("questions", self.questions, "the rows");
  }
};

struct Tables {
  std::string text, marker = "results";
};

/// The tables of a layout, those without results left out.
Tables tables_of(const std::vector<Result>& results, const std::string& layout) {
  const Json document = parse_toml(read_file(layout), layout);
  Tables tables;
  std::string& text = tables.text;
  try {
    if (document.contains("marker")) tables.marker = member<std::string>(document, "marker");
    const auto columns = member<std::vector<std::string>>(document, "columns");
    for (const Json& entry : document.value("tables", Json::array())) {
      TableConfig table;
      update(table, entry);
      const std::string made = compact_table(results, {table.questions, columns, table.group});
      if (!made.empty()) text += (text.empty() ? "" : "\n") + made;
    }
  } catch (const InvalidArgument& error) {
    throw Error(concat(layout, ": ", error.what()));
  }
  return tables;
}

}  // namespace

Json run_results(const ResultsConfig& config) {
  const std::vector<Result> results = load_results(config.file);
  if (results.empty()) throw Error(concat(config.file, ": expected results, found none"));
  const auto put = [](const std::string& page, const std::string& table, const std::string& marker) {
    if (!page.empty()) write_file(page, replace_table(read_file(page), table, marker));
  };
  if (!config.page.empty() && config.layout.empty()) throw UsageError("results: --page needs --layout");
  Json result = {{"results", results.size()}};
  if (!config.layout.empty()) {
    const Tables tables = tables_of(results, config.layout);
    put(config.page, tables.text, tables.marker);
    result["tables"] = tables.text;
  }
  put(config.list, results_table(results), "results");
  return result;
}

}  // namespace diffreward::cli
