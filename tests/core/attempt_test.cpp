// Whose work is removed, whose is continued and whose is left alone.
#include "core/attempt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/file.h"
#include "core/shared_file.h"
#include "tests/core/killed.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class AttemptTest : public testing::Test {
 protected:
  /// The folder of an attempt with a file in it.
  fs::path leave(const std::string& key, int ordinal, const ProcessName& process) const {
    const fs::path folder = attempts() / concat(key, ".", ordinal, ".", process.text());
    fs::create_directories(folder);
    write_file(folder / "work", concat(ordinal));
    return folder;
  }
  static ProcessName ended() {
    ProcessName process = ProcessName::self();
    const pid_t gone = start_process([] { return 0; });
    end_of(gone);
    process.number = concat(gone);
    return process;
  }
  static ProcessName elsewhere() { return {"other", "boot", "1", "2", "77"}; }
  fs::path attempts() const { return folder_ / "attempts"; }
  TemporaryFolder folder_;
};

TEST_F(AttemptTest, NamesAreReadAsTheyAreWritten) {
  const ProcessName self = ProcessName::self();
  EXPECT_EQ(ProcessName::parse(self.text()), self);
  EXPECT_FALSE(ProcessName::parse("a.b.c"));
  EXPECT_FALSE(self.has_ended());
  EXPECT_TRUE(ended().has_ended());
  EXPECT_FALSE(elsewhere().has_ended()) << "nobody here knows";
}

TEST_F(AttemptTest, WhatEndedProcessesLeftIsRemovedOrContinued) {
  const ProcessName gone = ended();
  const fs::path first = leave("a", 1, gone), second = leave("a", 2, gone), far = leave("a", 3, elsewhere()),
                 other = leave("b", 1, gone);
  {
    const Attempt attempt(attempts(), "a", "work");
    EXPECT_TRUE(attempt.taken());
    EXPECT_EQ(attempt.ordinal(), 4u);
    EXPECT_EQ(read_file(attempt.folder() / "work"), "2") << "the last one";
    EXPECT_FALSE(fs::exists(first));
    EXPECT_FALSE(fs::exists(second));
    EXPECT_TRUE(fs::exists(far));
    EXPECT_TRUE(fs::exists(other));
    EXPECT_THAT(Attempt::of_others(attempts(), "a"), ElementsAre(far));
  }
  EXPECT_THAT(Attempt::of_others(attempts(), "a"), ElementsAre(far));
  fs::remove(leave("a", 5, gone) / "work");
  EXPECT_FALSE(Attempt(attempts(), "a", "work").taken()) << "nothing was begun in it";
  leave("a", 5, gone);
  const Attempt fresh(attempts(), "a");
  EXPECT_FALSE(fresh.taken());
  EXPECT_EQ(fresh.ordinal(), 6u) << "also of those that are removed";
  EXPECT_TRUE(fs::is_empty(fresh.folder()));
}

TEST_F(AttemptTest, WhatWasKeptIsContinuedByTheSameProcess) {
  {
    Attempt attempt(attempts(), "a");
    write_file(attempt.folder() / "work", "half");
    attempt.keep();
  }
  const Attempt next(attempts(), "a", "work");
  EXPECT_EQ(read_file(next.folder() / "work"), "half");
}

TEST_F(AttemptTest, OfSeveralThatTakeOneFolderOneHasIt) {
  for (int round = 0; round < 20; ++round) {
    leave("a", 1, ended());
    std::vector<pid_t> processes;
    for (int k = 0; k < 3; ++k)
      processes.push_back(start_process([&] {
        Attempt attempt(attempts(), "a", "work");
        attempt.keep();
        return attempt.taken() ? 7 : 0;
      }));
    int taken = 0;
    for (const pid_t process : processes) {
      const int code = end_of(process);
      EXPECT_TRUE(code == 0 || code == 7) << code;
      taken += code == 7;
    }
    EXPECT_GE(taken, 1);
    // One after the other may take it from who has ended; never two folders.
    int held = 0;
    for (const auto& entry : fs::directory_iterator(attempts())) held += fs::exists(entry.path() / "work");
    EXPECT_LE(held, 1);
    fs::remove_all(attempts());
  }
}

TEST_F(AttemptTest, TheFirstWriterOfATextDecides) {
  EXPECT_EQ(agreed_text(folder_ / "plan", "one"), "one");
  EXPECT_EQ(agreed_text(folder_ / "plan", "two"), "one");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()), 1);
}

TEST_F(AttemptTest, AFolderTakesNoOthersPlace) {
  for (const char* name : {"a", "b"}) {
    fs::create_directory(folder_ / name);
    write_file(folder_ / name / "file", name);
  }
  EXPECT_TRUE(move_new_folder(folder_ / "a", folder_ / "place"));
  EXPECT_FALSE(move_new_folder(folder_ / "b", folder_ / "place"));
  EXPECT_EQ(read_file(folder_ / "place/file"), "a");
  EXPECT_EQ(read_file(folder_ / "b/file"), "b");
  EXPECT_THAT(message_of<Error>([&] { move_new_folder(folder_ / "c", folder_ / "new"); }),
              HasSubstr("cannot write"));
}

}  // namespace
}  // namespace diffreward
