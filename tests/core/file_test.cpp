#include "core/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

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
}

TEST(AtomicFile, NeverReplacesWhatIsNoFile) {
  const TemporaryFolder folder;
  write_file(folder / "elsewhere", "precious");
  std::filesystem::create_symlink(folder / "elsewhere", folder / "link");
  std::filesystem::create_symlink(folder / "absent", folder / "dangling");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  std::filesystem::create_directory(folder / "folder");
  const auto refusal = [&](const std::string& name) {
    return message_of<Error>([&] { AtomicFile file(folder / name); });
  };
  EXPECT_THAT(refusal("link"),
              HasSubstr("link: cannot write: expected a file or nothing, found a symbolic link"));
  EXPECT_THAT(refusal("dangling"), HasSubstr("found a symbolic link"));
  EXPECT_THAT(refusal("pipe"), HasSubstr("found a pipe"));
  EXPECT_THAT(refusal("folder"), HasSubstr("found a folder"));
  EXPECT_THAT(message_of<Error>([&] { AtomicFile file("/dev/null"); }), HasSubstr("found a device"));
  EXPECT_EQ(bytes_of(folder / "elsewhere"), "precious");
}

/// A temporary file of `target` as a killed writer leaves it: without a lock.
std::filesystem::path left_by_a_killed_writer(const std::filesystem::path& target) {
  std::filesystem::path path = target;
  path += ".123456.0.tmp";
  write_bytes(path, "half");
  return path;
}

TEST(AtomicFile, RemovesWhatKilledWritersLeftButNotALivingOnes) {
  const TemporaryFolder folder;
  const auto dead = left_by_a_killed_writer(folder / "file.txt");
  const auto other = left_by_a_killed_writer(folder / "file.txt.old");
  write_bytes(folder / "file.txt.notes.tmp", "mine");
  const AtomicFile living(folder / "file.txt");
  const AtomicFile second(folder / "file.txt");
  EXPECT_FALSE(std::filesystem::exists(dead));
  EXPECT_TRUE(std::filesystem::exists(living.path()));
  EXPECT_TRUE(std::filesystem::exists(other)) << "another file's";
  EXPECT_TRUE(std::filesystem::exists(folder / "file.txt.notes.tmp")) << "not a name of ours";
  remove_stale_temporaries(folder.path());
  EXPECT_FALSE(std::filesystem::exists(other));
  EXPECT_TRUE(std::filesystem::exists(living.path()));
}

TEST(AtomicFile, ASignalHandlerUnlinksOnlyWhatIsUnderConstruction) {
  const TemporaryFolder folder;
  write_file(folder / "whole.txt", "whole");
  const AtomicFile half(folder / "half.txt");
  unlink_temporaries();
  EXPECT_FALSE(std::filesystem::exists(half.path()));
  EXPECT_TRUE(std::filesystem::exists(folder / "whole.txt"));
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
  EXPECT_THAT(message_of<Error>([&] { read_file(folder.path()); }),
              HasSubstr("expected a file, found a folder"));
}

TEST(ReadFile, NeverWaitsForAPipeNorReadsADevice) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(message_of<Error>([&] { read_file(folder / "pipe"); }),
              HasSubstr("pipe: cannot read: expected a file"));
  EXPECT_THAT(message_of<Error>([&] { read_file("/dev/zero"); }), HasSubstr("found a device"));
}

TEST(Error, ShowsControlCharactersAsEscapes) {
  EXPECT_STREQ(Error("a\x1b[31mb\nc\td\x7f\xc2\x9bz\xc3\xa9").what(),
               "a\\x1b[31mb\\nc\\td\\x7f\\x9bz\xc3\xa9");
}

}  // namespace
}  // namespace diffreward
