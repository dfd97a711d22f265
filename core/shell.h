// Texts as words of a shell's command line, so that lines which are printed can be typed again.
#pragma once

#include <string>

namespace diffreward {

/// In single quotes, as every POSIX shell reads them.
std::string single_quoted(const std::string& text);

/// The same, but where the text is one plain word already.
std::string shell_word(const std::string& text);

}  // namespace diffreward
