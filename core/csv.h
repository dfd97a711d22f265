// Tables of text as people keep them: comma-separated values (RFC 4180), lines ending with \r\n or \n.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace diffreward {

struct CsvRow {
  std::vector<std::string> cells;  ///< of the columns asked for, in that order
  std::string where;               ///< "prompts.csv: line 3", for messages
};

/// The rows below the header, which names the columns in any order; quoted cells may hold commas, line ends and, doubled,
/// quotes. Lines of white space alone are no rows. `where` is how messages name the text. Throws Error naming the line: a
/// header that lacks one of the columns, another number of cells than it has, a quote that is not closed.
std::vector<CsvRow> read_csv(std::string_view text, std::string_view where,
                             const std::vector<std::string>& columns);

/// A cell of a table, in quotes where it must be.
std::string csv_cell(std::string_view text);

/// The text without the mark of UTF-8 that some programs begin files with.
std::string_view without_byte_order_mark(std::string_view text);

}  // namespace diffreward
