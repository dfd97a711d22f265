#include "core/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;

TEST(AtomicFile, AppearsOnlyWhenCommitted) {
  const TemporaryFolder folder;
  const auto target = folder / "new/deeper/file.txt";
  {
    AtomicFile file(target);
    EXPECT_EQ(file.path().parent_path(), target.parent_path());
    write_bytes(file.path(), "whole");
    EXPECT_FALSE(std::filesystem::exists(target));
    file.commit();
    EXPECT_EQ(bytes_of(target), "whole");
  }
  EXPECT_EQ(bytes_of(target), "whole");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(target.parent_path()), {}), 1);
}

TEST(AtomicFile, LeavesTheOldFileWhenAbandoned) {
  const TemporaryFolder folder;
  write_file(folder / "file.txt", "old");
  {
    AtomicFile file(folder / "file.txt");
    write_bytes(file.path(), "half of the n");
  }
  EXPECT_EQ(bytes_of(folder / "file.txt"), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(AtomicFile, TwoWritersOfOneNameDoNotMix) {
  const TemporaryFolder folder;
  AtomicFile first(folder / "file.txt"), second(folder / "file.txt");
  EXPECT_NE(first.path(), second.path());
  write_bytes(first.path(), "first");
  write_bytes(second.path(), "second");
  first.commit();
  second.commit();
  EXPECT_EQ(bytes_of(folder / "file.txt"), "second");
}

TEST(AtomicFile, NamesTheFileItCannotWrite) {
  const TemporaryFolder folder;
  write_file(folder / "plain", "a file, not a folder");
  EXPECT_THAT(message_of<Error>([&] { AtomicFile file(folder / "plain/inside.txt"); }),
              HasSubstr("plain/inside.txt"));
  AtomicFile nothing(folder / "nothing.txt");
  EXPECT_THAT(message_of<Error>([&] { nothing.commit(); }), HasSubstr("nothing.txt: cannot write"));
}

TEST(WriteFile, LeavesNothingOnAFullDisk) {
  const TemporaryFolder folder;
  const FullDisk full(1000);
  EXPECT_THAT(message_of<Error>([&] { write_file(folder / "big.txt", std::string(100'000, 'x')); }),
              HasSubstr("big.txt: cannot write"));
  EXPECT_TRUE(folder.empty());
}

TEST(ReadFile, GivesAllBytesOrNamesTheFile) {
  const TemporaryFolder folder;
  const std::string bytes("a\0b\r\n\xff", 6);
  write_file(folder / "bytes", bytes);
  EXPECT_EQ(read_file(folder / "bytes"), bytes);
  EXPECT_THAT(message_of<Error>([&] { read_file(folder / "absent"); }), HasSubstr("absent: cannot read"));
  EXPECT_THAT(message_of<Error>([&] { read_file(folder.path()); }), HasSubstr("is a folder"));
}

}  // namespace
}  // namespace diffreward
