#include "core/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string refusal(const std::string& text) {
  return message_of<Error>([&] { read_csv(text, "t.csv", {"a", "b"}); });
}

TEST(Csv, GivesTheColumnsAskedForInTheirOrder) {
  const auto rows = read_csv(
      "\xef\xbb\xbf"
      "b,c,a\r\n1,2,3\r\n\r\n\"x,\"\"y\"\"\nz\",,\"\"\n4,5,6",
      "t.csv", {"a", "b"});
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_THAT(rows[0].cells, ElementsAre("3", "1"));
  EXPECT_THAT(rows[1].cells, ElementsAre("", "x,\"y\"\nz"));
  EXPECT_THAT(rows[2].cells, ElementsAre("6", "4"));
  EXPECT_EQ(rows[0].where, "t.csv: line 2");
  EXPECT_EQ(rows[1].where, "t.csv: line 4");
  EXPECT_EQ(rows[2].where, "t.csv: line 6") << "a cell may go over lines";
}

TEST(Csv, NamesTheLineThatIsWrong) {
  EXPECT_THAT(refusal("a,c\n1,2\n"), HasSubstr("line 1: expected a table with a column named b"));
  EXPECT_THAT(refusal(""), HasSubstr("column named a"));
  EXPECT_THAT(refusal("a,b\n1,2\n1\n"), HasSubstr("line 3: expected 2 cells, found 1"));
  EXPECT_THAT(refusal("a,b\n1,\"2\n"), HasSubstr("line 2: expected a quote"));
}

}  // namespace
}  // namespace diffreward
