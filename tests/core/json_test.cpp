#include "core/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;

std::string nested(int levels, const std::string& open = "[", const std::string& close = "]") {
  std::string text;
  for (int i = 0; i < levels; ++i) text += open;
  text += "1";
  for (int i = 0; i < levels; ++i) text += close;
  return text;
}

std::string refusal(const std::string& text) {
  return message_of<Error>([&] { parse_json(text, "a.json"); });
}

TEST(ParseJson, RefusesDepthBeforeAnyoneRecursesIntoIt) {
  EXPECT_EQ(parse_json(nested(kDeepestJson), "a.json").dump(), nested(kDeepestJson));
  EXPECT_THAT(refusal(nested(kDeepestJson + 1)), HasSubstr("a.json: expected JSON of at most 64 levels"));
  for (const int levels : {1000, 100'000, 3'000'000}) {
    EXPECT_THAT(refusal(nested(levels)), HasSubstr("levels, found deeper"));
    EXPECT_THAT(refusal(nested(levels, R"({"a":)", "}")), HasSubstr("levels, found deeper"));
  }
}

TEST(ParseJson, NamesTheFileAndThePlaceInOneLine) {
  EXPECT_EQ(refusal("{\"a\": nul}"), "a.json: expected JSON, found other text at byte 10");
  EXPECT_THAT(refusal(""), HasSubstr("a.json: expected JSON"));
  EXPECT_THAT(refusal("[1e999]"), HasSubstr("a.json: expected JSON, found a number out of range"));
  EXPECT_THAT(refusal("\xff\xfe"), HasSubstr("a.json: expected JSON"));
}

TEST(ReadJsonObject, RefusesOtherJson) {
  const TemporaryFolder folder;
  write_file(folder / "list.json", "[1, 2]");
  EXPECT_THAT(message_of<Error>([&] { read_json_object(folder / "list.json"); }),
              HasSubstr("list.json: expected a JSON object, found [1,2]"));
}

TEST(Brief, IsShortAndNeverThrows) {
  EXPECT_EQ(brief(Json::parse(R"({"a": [1], "b": 2})")), R"({"a":"...","b":2})");
  EXPECT_LT(brief(Json(std::vector<int>(1'000'000, 7))).size(), 70u);
  EXPECT_LT(brief(Json(std::string(1'000'000, 'x'))).size(), 70u);
  EXPECT_NO_THROW(brief(Json(std::string("\xff\x1b"))));
}

TEST(Member, RefusesWhatWouldWrapAround) {
  const Json json = {
      {"big", 4294967297}, {"negative", -1}, {"half", 1.5}, {"text", "4"}, {"max", ~std::uint64_t{0}}};
  EXPECT_EQ(member<std::int64_t>(json, "big"), 4294967297);
  EXPECT_EQ(member<std::uint64_t>(json, "max"), ~std::uint64_t{0});
  const auto refused = [&](auto type, const char* name) {
    return message_of<InvalidArgument>([&] { member<decltype(type)>(json, name); });
  };
  EXPECT_THAT(refused(int{}, "big"), HasSubstr("big: expected a whole number in [-2147483648, 2147483647]"));
  EXPECT_THAT(refused(std::size_t{}, "negative"), HasSubstr("negative: expected a whole number in [0,"));
  EXPECT_THAT(refused(std::int64_t{}, "max"), HasSubstr("max"));
  EXPECT_THAT(refused(int{}, "half"), HasSubstr("half: expected a whole number"));
  EXPECT_THAT(refused(int{}, "text"), HasSubstr("text: expected a whole number"));
  EXPECT_THAT(refused(double{}, "text"), HasSubstr("text: expected a number, found \"4\""));
  EXPECT_THAT(refused(int{}, "absent"),
              HasSubstr("absent: expected a whole number in [-2147483648, 2147483647], found nothing"));
  const Json lists = {{"one", {1, -1}}, {"three", {1, 2, 3}}};
  EXPECT_EQ((member<std::array<int, 3>>(lists, "three")), (std::array<int, 3>{1, 2, 3}));
  EXPECT_THAT(message_of<InvalidArgument>([&] { member<std::vector<std::uint64_t>>(lists, "one"); }),
              HasSubstr("one: expected a list of: a whole number in [0,"));
  EXPECT_THAT(message_of<InvalidArgument>([&] { member<std::array<int, 2>>(lists, "three"); }),
              HasSubstr("three: expected a list of 2"));
}

}  // namespace
}  // namespace diffreward
