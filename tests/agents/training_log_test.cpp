#include "agents/nets/training_log.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <string_view>

#include "agents/nets/crc32c.h"
#include "core/error.h"
#include "core/file.h"

namespace diffreward {
namespace {

std::uint32_t crc(std::string_view text) {
  return crc32c(std::as_bytes(std::span(text)));
}

class TrainingLogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_ = std::filesystem::path(::testing::TempDir()) / "diffreward_training_log";
  std::filesystem::path file_ = folder_ / "metrics.jsonl";
};

TEST(Crc32c, MatchesTheVectorsOfRfc3720) {
  EXPECT_EQ(crc("123456789"), 0xE3069283U);
  EXPECT_EQ(crc(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc(std::string(32, '\xff')), 0x62A8AB43U);
}

TEST_F(TrainingLogTest, ResumingDropsLaterAndHalfWrittenLines) {
  {
    TrainingLog log(file_, 0);
    for (int step : {10, 20, 30}) log.write({{"step", step}, {"loss", 1.0 / step}});
  }
  const std::string whole = read_file(file_);
  write_file(file_, whole + "{\"step\": 40, \"lo");
  { TrainingLog log(file_, 30); }
  EXPECT_EQ(read_file(file_), whole);
  {
    TrainingLog log(file_, 20);
    log.write({{"step", 30}, {"loss", 1.0 / 30}});
  }
  EXPECT_EQ(read_file(file_), whole);
}

/// The records of a TFRecord file, after checking both checksums of each.
std::vector<std::string> records(const std::string& bytes) {
  const auto number = [&]<class T>(std::size_t at, T) {
    T out;
    std::memcpy(&out, bytes.substr(at, sizeof out).data(), sizeof out);
    return out;
  };
  const auto unmask = [](std::uint32_t masked) { return std::rotl(masked - 0xA282EAD8U, 15); };
  std::vector<std::string> out;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto size = number(at, std::uint64_t{});
    EXPECT_EQ(unmask(number(at + 8, std::uint32_t{})), crc(std::string_view(bytes).substr(at, 8)));
    out.push_back(bytes.substr(at + 12, size));
    EXPECT_EQ(unmask(number(at + 12 + size, std::uint32_t{})), crc(out.back()));
    at += 16 + size;
  }
  return out;
}

TEST_F(TrainingLogTest, TensorBoardEventsAreFramedAndEncoded) {
  write_file(file_, "{\"step\":300,\"loss\":0.5,\"time\":2.0}\n{\"step\":400,\"loss\":0.25,\"time\":3.0}\n");
  const std::vector<std::string> events = records(read_file(write_tensorboard(file_, folder_ / "tb")));
  ASSERT_EQ(events.size(), 3U);
  const std::string two("\x09\0\0\0\0\0\0\0\x40", 9);  // field 1, 64 bits: the double 2.0
  EXPECT_EQ(events[0], concat(two, "\x1a\x0d", "brain.Event:2"));
  // step 300 = ac 02 as a varint; summary { value { tag: "loss" simple_value: 0.5f } }
  EXPECT_EQ(events[1], two + std::string("\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\0\0\0\x3f", 18));
}

TEST_F(TrainingLogTest, TensorBoardNamesABadLine) {
  write_file(file_, "{\"step\":1,\"loss\":0.5}\nloss 3\n");
  try {
    write_tensorboard(file_, folder_);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()),
              file_.string() + ": line 2: expected a JSON object with an integer 'step', found loss 3");
  }
  write_file(file_, "");
  EXPECT_THROW(write_tensorboard(file_, folder_), Error);
  EXPECT_THROW(write_tensorboard(folder_ / "absent.jsonl", folder_), Error);
}

}  // namespace
}  // namespace diffreward
