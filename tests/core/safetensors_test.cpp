#include "core/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;

/// A file with this header and `data` zero bytes.
std::string file_with(const std::string& header, std::size_t data) {
  const std::uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + std::string(data, '\0');
}

Safetensors parse(const std::string& file) {
  return Safetensors::parse(std::as_bytes(std::span(file)), "x.safetensors");
}

std::string refusal(const std::string& file) {
  const std::string text = message_of<Error>([&] { parse(file); });
  EXPECT_THAT(text, HasSubstr("x.safetensors: "));
  return text;
}

std::string tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"w": {"dtype": ")" + dtype + R"(", "shape": )" + shape + R"(, "data_offsets": )" + offsets +
         "}}";
}

TEST(Safetensors, ComesBackFromDisk) {
  const TemporaryFolder folder;
  const float weights[6] = {1, 2, 3, -4, 5.5f, 6};
  const std::int64_t step[1] = {-7};
  const std::map<std::string, TensorBytes> tensors = {
      {"net.weight", {"F32", {2, 3}, std::as_bytes(std::span(weights))}},
      {"step", {"I64", {}, std::as_bytes(std::span(step))}},
      {"none", {"F16", {0, 4}, {}}}};
  write_safetensors(folder / "a.safetensors", tensors, {{"config", "{\"x\": \"ä\"}"}});
  const Safetensors file = Safetensors::open(folder / "a.safetensors");
  EXPECT_EQ(file.tensors().size(), 3u);
  for (const auto& [name, expected] : tensors) {
    const TensorBytes& found = file.at(name);
    EXPECT_EQ(found.dtype, expected.dtype);
    EXPECT_EQ(found.shape, expected.shape);
    ASSERT_EQ(found.bytes.size(), expected.bytes.size());
    EXPECT_TRUE(std::equal(found.bytes.begin(), found.bytes.end(), expected.bytes.begin()));
  }
  EXPECT_EQ(file.metadata_at("config"), "{\"x\": \"ä\"}");
  EXPECT_EQ(file.metadata_at("format"), "pt");

  write_safetensors(folder / "b.safetensors", tensors, {{"config", "{\"x\": \"ä\"}"}});
  EXPECT_EQ(bytes_of(folder / "a.safetensors"), bytes_of(folder / "b.safetensors"));
  EXPECT_EQ((bytes_of(folder / "a.safetensors").size() - 8) % 8, 0u);
}

TEST(Safetensors, NamesTheNearestTensor) {
  const std::string bytes = file_with(tensor("F32", "[1]", "[0, 4]"), 4);  // the spans point into it
  const Safetensors file = parse(bytes);
  EXPECT_THAT(message_of<Error>([&] { file.at("v"); }),
              HasSubstr("expected a tensor 'v', found none (nearest: 'w')"));
  EXPECT_THAT(message_of<Error>([&] { file.metadata_at("config"); }),
              HasSubstr("expected metadata 'config'"));
}

TEST(Safetensors, RefusesBadHeaders) {
  EXPECT_THAT(refusal(""), HasSubstr("expected at least 8 bytes, found 0"));
  EXPECT_THAT(refusal("seven b"), HasSubstr("found 7"));
  EXPECT_THAT(refusal(std::string(8, '\xff')), HasSubstr("header length"));
  EXPECT_THAT(refusal(file_with("{}", 0).substr(0, 9)), HasSubstr("header length: expected at most 1"));
  for (const char* text : {"[]", "null", "3"})
    EXPECT_THAT(refusal(file_with(text, 0)), HasSubstr("header: expected a JSON object")) << text;
  for (const char* text : {"", "{", "{\"w\": 1} x"})
    EXPECT_THAT(refusal(file_with(text, 0)), HasSubstr("header: expected JSON, found other text")) << text;
  EXPECT_THAT(refusal(file_with(std::string(100'000, '['), 0)),
              HasSubstr("header: expected JSON of at most 64"));
  EXPECT_THAT(refusal(file_with(R"({"w": 4})", 0)),
              HasSubstr("'w': expected dtype, shape and two data_offsets"));
  EXPECT_THAT(refusal(file_with(R"({"__metadata__": {"a": 1}})", 0)),
              HasSubstr("'a': expected a text, found 1"));
  EXPECT_THAT(refusal(file_with(R"({"__metadata__": 3})", 0)), HasSubstr("__metadata__"));
}

TEST(Safetensors, RefusesALengthBeyondTheFormatsLimit) {
  const TemporaryFolder folder;
  const std::uint64_t length = 100'000'001;
  write_bytes(folder / "long.safetensors", std::string(reinterpret_cast<const char*>(&length), 8));
  std::filesystem::resize_file(folder / "long.safetensors", length + 8);  // sparse
  EXPECT_THAT(message_of<Error>([&] { Safetensors::open(folder / "long.safetensors"); }),
              HasSubstr("expected at most 100000000 bytes, found 100000001"));
}

TEST(Safetensors, RefusesBadEntries) {
  EXPECT_THAT(refusal(file_with(tensor("F33", "[1]", "[0, 4]"), 4)),
              HasSubstr("expected a known dtype, found 'F33'"));
  EXPECT_THAT(refusal(file_with(tensor("F32", "[-1]", "[0, 4]"), 4)),
              HasSubstr("shape: expected sizes, found -1"));
  EXPECT_THAT(refusal(file_with(tensor("F32", "[1.5]", "[0, 4]"), 4)), HasSubstr("shape"));
  EXPECT_THAT(refusal(file_with(tensor("F32", "[4294967296, 4294967296]", "[0, 0]"), 4)),
              HasSubstr("fits into memory"));
  EXPECT_THAT(refusal(file_with(tensor("U8", "[9223372036854775808]", "[0, 4]"), 4)),
              HasSubstr("fits into memory"));
  EXPECT_THAT(refusal(file_with(tensor("F32", "[2]", "[0, 4]"), 8)),
              HasSubstr("expected 8 bytes for its shape and dtype, found 4"));
  EXPECT_THAT(refusal(file_with(tensor("F32", "[2]", "[0, 8]"), 7)),
              HasSubstr("expected a range within 7 bytes"));
  EXPECT_THAT(refusal(file_with(tensor("F32", "[1]", "[8, 4]"), 8)), HasSubstr("data_offsets"));
  EXPECT_THAT(refusal(file_with(tensor("F32", "[1]", "[-4, 0]"), 8)),
              HasSubstr("data_offsets: expected sizes"));
  EXPECT_THAT(refusal(file_with(tensor("F32", "[1]", "[0, 4, 8]"), 8)), HasSubstr("two data_offsets"));
}

TEST(Safetensors, RefusesSharedBytes) {
  const std::string header = R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                                 "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})";
  EXPECT_THAT(refusal(file_with(header, 8)),
              HasSubstr("'b': expected bytes of its own, found them shared with 'a'"));
}

TEST(Safetensors, RefusesBytesThatBelongToNoTensor) {
  EXPECT_THAT(refusal(file_with(tensor("F32", "[1]", "[0, 4]"), 5)),
              HasSubstr("expected 4 bytes of tensors, found 5"));
  EXPECT_THAT(refusal(file_with("{}", 1)), HasSubstr("expected 0 bytes of tensors, found 1"));
  EXPECT_THAT(refusal(file_with(tensor("F32", "[1]", "[4, 8]"), 8)),
              HasSubstr("'w': expected its bytes to begin at 0, found 4"));
  const std::string hole = R"({"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]},
                               "b": {"dtype": "U8", "shape": [1], "data_offsets": [3, 4]}})";
  EXPECT_THAT(refusal(file_with(hole, 4)), HasSubstr("'b': expected its bytes to begin at 2, found 3"));
}

TEST(Safetensors, ReadsTheShardsOfAnIndex) {
  const TemporaryFolder folder;
  const float one[2] = {1, 2}, two[1] = {3};
  write_safetensors(folder / "1.safetensors", {{"a", {"F32", {2}, std::as_bytes(std::span(one))}}}, {});
  write_safetensors(folder / "2.safetensors", {{"b", {"F32", {1}, std::as_bytes(std::span(two))}}}, {});
  const auto refused = [&](const std::string& index) {
    write_bytes(folder / "x.json", index);
    return message_of<Error>([&] { Safetensors::open_index(folder / "x.json"); });
  };
  write_bytes(folder / "x.json", R"({"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}})");
  const Safetensors both = Safetensors::open_index(folder / "x.json");
  EXPECT_EQ(both.tensors().size(), 2u);
  EXPECT_TRUE(std::ranges::equal(both.at("b").bytes, std::as_bytes(std::span(two))));
  EXPECT_THAT(message_of<Error>([&] { both.at("c"); }), HasSubstr("x.json: expected a tensor 'c'"));

  EXPECT_THAT(refused("{}"), HasSubstr("x.json: expected a weight_map, found none"));
  EXPECT_THAT(refused(R"({"weight_map": {"a": 1}})"), HasSubstr("'a': expected a file's name, found 1"));
  for (const char* outside : {"../1.safetensors", "/1.safetensors", "..", "", "sub/1.safetensors"})
    EXPECT_THAT(refused(concat(R"({"weight_map": {"a": ")", outside, "\"}}")),
                HasSubstr("'a': expected a file"));
  EXPECT_THAT(refused(R"({"weight_map": {"a": "3.safetensors"}})"), HasSubstr("3.safetensors: cannot read"));
  EXPECT_THAT(refused(R"({"weight_map": {"c": "1.safetensors"}})"), HasSubstr("expected a tensor 'c'"));
  const float more[2] = {4, 5};
  write_safetensors(folder / "1.safetensors",
                    {{"a", {"F32", {2}, std::as_bytes(std::span(one))}},
                     {"d", {"F32", {2}, std::as_bytes(std::span(more))}}},
                    {});
  EXPECT_THAT(refused(R"({"weight_map": {"a": "1.safetensors"}})"),
              HasSubstr("expected every tensor of 1.safetensors, found no 'd'"));
}

TEST(Safetensors, GoesByOtherNames) {
  const std::string bytes = file_with(tensor("F32", "[1, 2]", "[0, 8]"), 8);
  const Safetensors file = parse(bytes), other = file.renamed([](const std::string&name, TensorBytes&entry) {
    entry.shape = {2};
    return "net." + name;
  });
  EXPECT_EQ(other.at("net.w").shape, (std::vector<std::int64_t>{2}));
  EXPECT_EQ(file.at("w").shape, (std::vector<std::int64_t>{1, 2}));
  EXPECT_TRUE(file.renamed([](const std::string&, TensorBytes&) { return ""; }).tensors().empty());
  const std::string two = file_with(R"({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
                                        "b": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}})",
                                    2);
  EXPECT_THAT(
      message_of<Error>([&] { parse(two).renamed([](const std::string&, TensorBytes&) { return "c"; }); }),
      HasSubstr("'b': expected one tensor of this meaning, found 'c' too"));
}

TEST(Safetensors, NamesFilesItCannotOpen) {
  const TemporaryFolder folder;
  EXPECT_THAT(message_of<Error>([&] { Safetensors::open(folder / "absent"); }),
              HasSubstr("absent: cannot read"));
  EXPECT_THAT(message_of<Error>([&] { Safetensors::open(folder.path()); }), HasSubstr("expected a file"));
  write_bytes(folder / "empty", "");
  EXPECT_THAT(message_of<Error>([&] { Safetensors::open(folder / "empty"); }), HasSubstr("found 0"));
}

TEST(Safetensors, LeavesNothingOnAFullDisk) {
  const TemporaryFolder folder;
  const std::vector<std::byte> bytes(100'000);
  const FullDisk full(50'000);
  EXPECT_THAT(message_of<Error>([&] {
                write_safetensors(folder / "big", {{"w", {"U8", {100'000}, bytes}}}, {});
              }),
              HasSubstr("big: cannot write"));
  EXPECT_TRUE(folder.empty());
}

}  // namespace
}  // namespace diffreward
