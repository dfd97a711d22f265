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

/// The tables of a layout, those without results left out.
std::string tables_of(const std::vector<Result>& results, const std::string& layout) {
  const Json document = parse_toml(read_file(layout), layout);
  std::string text;
  try {
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
  return text;
}

}  // namespace

Json run_results(const ResultsConfig& config) {
  const std::vector<Result> results = load_results(config.file);
  if (results.empty()) throw Error(concat(config.file, ": expected results, found none"));
  const auto put = [](const std::string& page, const std::string& table) {
    if (!page.empty()) write_file(page, replace_table(read_file(page), table));
  };
  if (!config.page.empty() && config.layout.empty()) throw UsageError("results: --page needs --layout");
  Json result = {{"results", results.size()}};
  if (!config.layout.empty()) {
    const std::string tables = tables_of(results, config.layout);
    put(config.page, tables);
    result["tables"] = tables;
  }
  put(config.list, results_table(results));
  return result;
}

}  // namespace diffreward::cli
