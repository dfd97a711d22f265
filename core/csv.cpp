#include "core/csv.h"

#include <algorithm>

#include "core/error.h"

namespace diffreward {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::string_view kSpaces = " \t\r\n\f\v";

/// Rows, one at a time. The packaged readers are C or take no line end within a cell.
class Rows {
 public:
  Rows(std::string_view text, std::string_view where) : text_(without_byte_order_mark(text)), where_(where) {}

  /// Whether there was another row; `cells` are its. Throws Error for a quote that is not closed.
  bool next(std::vector<std::string>& cells) {
    cells.clear();
    if (at_ >= text_.size()) return false;
    line_ = next_line_;
    for (;;) {
      cells.push_back(cell());
      if (at_ >= text_.size()) return true;
      const char end = text_[at_++];
      if (end == ',') continue;
      if (end == '\r' && at_ < text_.size() && text_[at_] == '\n') ++at_;
      ++next_line_;
      return true;
    }
  }
  std::string where() const { return concat(where_, ": line ", line_); }  ///< of the row

 private:
  std::string cell() {
    std::string out;
    bool quoted = at_ < text_.size() && text_[at_] == '"';
    if (quoted) ++at_;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (quoted && c == '"') {
        if (at_ + 1 < text_.size() && text_[at_ + 1] == '"')
          ++at_;
        else {
          quoted = false;
          continue;
        }
      } else if (!quoted && (c == ',' || c == '\n' || c == '\r')) {
        return out;
      }
      next_line_ += c == '\n';
      out += c;
    }
    if (quoted) throw Error(concat(where(), ": expected a quote at the end of a cell, found none"));
    return out;
  }

  std::string_view text_, where_;
  std::size_t at_ = 0, line_ = 1, next_line_ = 1;
};

}  // namespace

std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == text.npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) out.append(c == '"' ? 2 : 1, c);
  return out + '"';
}

std::string_view without_byte_order_mark(std::string_view text) {
  return text.starts_with(kByteOrderMark) ? text.substr(kByteOrderMark.size()) : text;
}

std::vector<CsvRow> read_csv(std::string_view text, std::string_view where,
                             const std::vector<std::string>& columns) {
  Rows rows(text, where);
  std::vector<std::string> cells;
  rows.next(cells);
  std::vector<std::size_t> places;
  for (const std::string& column : columns) {
    places.push_back(static_cast<std::size_t>(std::find(cells.begin(), cells.end(), column) - cells.begin()));
    if (places.back() == cells.size())
      throw Error(concat(rows.where(), ": expected a table with a column named ", column, ", found ",
                         cells.size(), " others"));
  }
  const std::size_t width = cells.size();
  std::vector<CsvRow> out;
  while (rows.next(cells)) {
    if (cells.size() == 1 && cells[0].find_first_not_of(kSpaces) == std::string::npos) continue;
    if (cells.size() != width)
      throw Error(concat(rows.where(), ": expected ", width, " cells, found ", cells.size()));
    CsvRow& row = out.emplace_back(CsvRow{{}, rows.where()});
    for (const std::size_t place : places) row.cells.push_back(cells[place]);
  }
  return out;
}

}  // namespace diffreward
