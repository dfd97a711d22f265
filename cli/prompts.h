// Prompts as people keep them: one a line, the column `prompt` of a table (CSV, RFC 4180), or the captions of an image set.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/stage.h"

namespace diffreward::cli {

/// Whether what was given as prompts names a file: one that is there, or a word that only a file is named by, with a
/// slash or the ending .txt or .csv.
bool is_prompt_file(const std::string& given);

/// What a stage reads of prompts: a file or an image set (datasets/image_set.h); of a text nothing, unless it is the name
/// of a job's step.
std::vector<StageInput> prompt_inputs(const std::string& given);

/// The prompts of a file, of an image set those that are not empty, or the text itself as the only one. Throws Error naming the file and the line for what is
/// no UTF-8, too long (65,536 bytes), empty, or no table with such a column.
std::vector<std::string> read_prompts(const std::string& given);

/// One prompt a line; lines of white space alone are none. `where` is how messages name the text.
std::vector<std::string> prompts_of_lines(std::string_view text, std::string_view where);
/// The column `prompt`; quoted cells may hold commas, line ends and, doubled, quotes.
std::vector<std::string> prompts_of_table(std::string_view text, std::string_view where);

}  // namespace diffreward::cli
