#include "core/shell.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>

namespace diffreward {
namespace {

/// What the shell of this system makes of a word.
std::string as_read_by_sh(const std::string& word) {
  std::FILE* pipe = ::popen(("printf %s " + word).c_str(), "r");
  std::array<char, 256> buffer{};
  const std::size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe);
  ::pclose(pipe);
  return {buffer.data(), size};
}

TEST(Shell, ReadsWordsAsTheyWere) {
  for (const std::string text :
       {"plain", "a=b,c:d+e@f%g", "", "two words", "it's", "$(id)`id`;&|<>*?~#!\\\"", "'"}) {
    EXPECT_EQ(as_read_by_sh(shell_word(text)), text);
    EXPECT_EQ(as_read_by_sh(single_quoted(text)), text);
  }
}

TEST(Shell, LeavesPlainWordsAlone) {
  EXPECT_EQ(shell_word("Hopper-v4/expert"), "Hopper-v4/expert");
  EXPECT_EQ(shell_word("~"), "'~'");
  EXPECT_EQ(single_quoted("plain"), "'plain'");
}

}  // namespace
}  // namespace diffreward
