#include "cli/prompts.h"

#include <algorithm>
#include <filesystem>

#include "cli/command.h"
#include "core/csv.h"
#include "core/file.h"
#include "datasets/image_set.h"

namespace diffreward::cli {
namespace {

constexpr std::size_t kLongest = 65536;  // bytes of a prompt, of which a text encoder reads some hundreds
constexpr std::string_view kSpaces = " \t\r\n\f\v";

bool is_blank(std::string_view text) {
  return text.find_first_not_of(kSpaces) == text.npos;
}

void check_prompt(const std::string& prompt, const std::string& where) {
  if (prompt.size() > kLongest)
    throw Error(concat(where, ": expected a prompt of at most ", kLongest, " bytes, found ", prompt.size()));
  if (!is_utf8(prompt)) throw Error(concat(where, ": expected UTF-8, found other bytes"));
}

}  // namespace

bool is_prompt_file(const std::string& given) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(given, ignored)) return true;
  return given.find_first_of(kSpaces) == given.npos &&
         (given.find('/') != given.npos || given.ends_with(".txt") || given.ends_with(".csv"));
}

namespace {

/// Whether a path stands for an image set: a stage's folder or an HDF5 file.
bool names_image_set(const std::string& given) {
  std::error_code ignored;
  return std::filesystem::is_directory(given, ignored) || given.ends_with(".hdf5");
}

}  // namespace

std::vector<StageInput> prompt_inputs(const std::string& given) {
  if (names_image_set(given)) return {{"prompts", given, "data"}};
  if (is_prompt_file(given)) return {{"prompts", given, ""}};
  return {{.option = "prompts", .path = given, .product = "data", .name = {}, .or_text = true}};
}

std::vector<std::string> read_prompts(const std::string& given) {
  if (!is_prompt_file(given) && !names_image_set(given)) {
    check_prompt(given, "prompts");
    return {given};
  }
  std::vector<std::string> prompts;
  if (names_image_set(given)) {
    const ImageSet set = ImageSet::open(product(given, "data"));
    for (std::size_t i = 0; i < set.size(); ++i)
      if (!set.caption(i).empty()) prompts.emplace_back(set.caption(i));
    if (prompts.empty()) throw Error(concat(given, ": expected captions, found none"));
    return prompts;
  }
  const std::string text = read_file(given);
  prompts = given.ends_with(".csv") ? prompts_of_table(text, given) : prompts_of_lines(text, given);
  if (prompts.empty()) throw Error(concat(given, ": expected prompts, found none"));
  return prompts;
}

std::vector<std::string> prompts_of_lines(std::string_view text, std::string_view where) {
  std::vector<std::string> prompts;
  text = without_byte_order_mark(text);
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
  std::vector<std::string> prompts;
  for (CsvRow& row : read_csv(text, where, {"prompt"})) {
    check_prompt(row.cells[0], row.where);
    prompts.push_back(std::move(row.cells[0]));
  }
  return prompts;
}

}  // namespace diffreward::cli
