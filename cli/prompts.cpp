#include "cli/prompts.h"

#include <algorithm>
#include <filesystem>

#include "cli/command.h"
#include "core/file.h"

namespace diffreward::cli {
namespace {

constexpr std::size_t kLongest = 65536;  // bytes of a prompt, of which a text encoder reads some hundreds
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::string_view kSpaces = " \t\r\n\f\v";

bool is_blank(std::string_view text) {
  return text.find_first_not_of(kSpaces) == text.npos;
}

void check_prompt(const std::string& prompt, const std::string& where) {
  if (prompt.size() > kLongest)
    throw Error(concat(where, ": expected a prompt of at most ", kLongest, " bytes, found ", prompt.size()));
  if (!is_utf8(prompt)) throw Error(concat(where, ": expected UTF-8, found other bytes"));
}

std::string_view without_mark(std::string_view text) {
  return text.starts_with(kByteOrderMark) ? text.substr(kByteOrderMark.size()) : text;
}

/// A table's rows, one at a time (RFC 4180; lines may end with \n alone). The packaged readers are C or take no line
/// end within a cell.
class TableRows {
 public:
  TableRows(std::string_view text, std::string_view where) : text_(without_mark(text)), where_(where) {}

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

bool is_prompt_file(const std::string& given) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(given, ignored)) return true;
  return given.find_first_of(kSpaces) == given.npos &&
         (given.find('/') != given.npos || given.ends_with(".txt") || given.ends_with(".csv"));
}

std::vector<std::string> read_prompts(const std::string& given) {
  if (!is_prompt_file(given)) {
    check_prompt(given, "prompts");
    return {given};
  }
  const std::string text = read_file(given);
  std::vector<std::string> prompts =
      given.ends_with(".csv") ? prompts_of_table(text, given) : prompts_of_lines(text, given);
  if (prompts.empty()) throw Error(concat(given, ": expected prompts, found none"));
  return prompts;
}

std::vector<std::string> prompts_of_lines(std::string_view text, std::string_view where) {
  std::vector<std::string> prompts;
  text = without_mark(text);
  std::size_t line = 1;
  for (std::size_t begin = 0; begin < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string prompt(text.substr(begin, end - begin));
    begin = end + 1;
    if (prompt.ends_with('\r')) prompt.pop_back();
    if (is_blank(prompt)) continue;
    check_prompt(prompt, concat(where, ": line ", line));
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

std::vector<std::string> prompts_of_table(std::string_view text, std::string_view where) {
  TableRows rows(text, where);
  std::vector<std::string> cells, prompts;
  rows.next(cells);
  const auto place =
      static_cast<std::size_t>(std::find(cells.begin(), cells.end(), "prompt") - cells.begin());
  if (place == cells.size())
    throw Error(concat(rows.where(), ": expected a table with a column named prompt, found ", cells.size(),
                       " others"));
  const std::size_t width = cells.size();
  while (rows.next(cells)) {
    if (cells.size() == 1 && is_blank(cells[0])) continue;
    if (cells.size() != width)
      throw Error(concat(rows.where(), ": expected ", width, " cells, found ", cells.size()));
    check_prompt(cells[place], rows.where());
    prompts.push_back(cells[place]);
  }
  return prompts;
}

}  // namespace diffreward::cli
