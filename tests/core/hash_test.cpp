#include "core/hash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "core/error.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

TEST(Sha256, GivesTheKnownAnswers) {  // FIPS 180-4's examples
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, IsNotedBesideAFileOnlyWhereAChangeWouldShow) {
  const TemporaryFolder folder;
  const fs::path file = folder / "data", note = folder / ".data.sha256";
  write_bytes(file, "abc");
  EXPECT_EQ(sha256_of(file), sha256("abc"));
  EXPECT_FALSE(fs::exists(note)) << "within a tick of the clock a change may keep the time";
  const auto old = fs::file_time_type::clock::now() - std::chrono::hours(1);
  fs::last_write_time(file, old);
  EXPECT_EQ(sha256_of(file), sha256("abc"));
  EXPECT_TRUE(fs::exists(note));
  write_bytes(file, "abd");
  EXPECT_EQ(sha256_of(file), sha256("abd")) << "another time";
  fs::last_write_time(file, old);
  EXPECT_EQ(sha256_of(file), sha256("abc")) << "the note is what is read: size and time are as noted";
  write_bytes(file, "abcd");
  fs::last_write_time(file, old);
  EXPECT_EQ(sha256_of(file), sha256("abcd")) << "another size";
  write_bytes(note, "nonsense");
  EXPECT_EQ(sha256_of(file), sha256("abcd"));
}

TEST(Sha256, RefusesWhatIsNoFile) {
  const TemporaryFolder folder;
  EXPECT_THAT(message_of<Error>([&] { sha256_of(folder.path()); }),
              HasSubstr("expected a file, found a folder"));
  EXPECT_THAT(message_of<Error>([&] { sha256_of("/dev/zero"); }),
              HasSubstr("expected a file, found a device"));
  EXPECT_THAT(message_of<Error>([&] { sha256_of(folder / "absent"); }), HasSubstr("absent: cannot read"));
}

}  // namespace
}  // namespace diffreward
