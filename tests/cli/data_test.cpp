// diffreward data: exit codes and what is printed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "core/file.h"
#include "tests/cli/run.h"
#include "tests/core/temporary_folder.h"
#include "tests/datasets/sample_data.h"

namespace diffreward::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

Dataset::Columns faulty() {
  Dataset::Columns columns = sample_columns();
  columns.timeouts.back() = 0;
  return columns;
}

TEST(DataCommand, CheckFailsWhereThereAreFaults) {
  const TemporaryFolder folder;
  Dataset::Columns good = sample_columns();
  good.infos.clear();
  Dataset::from_columns(good).write_d4rl(folder / "good/data.hdf5");
  const Outcome fine = run({"data", "check", folder / "good"});
  EXPECT_EQ(fine.code, 0) << fine.out << fine.err;
  EXPECT_THAT(fine.out, HasSubstr("0 faults in "));

  Dataset::from_columns(faulty()).write_d4rl(folder / "bad.hdf5");
  const Outcome bad = run({"data", "check", folder / "bad.hdf5"});
  EXPECT_EQ(bad.code, 1);
  EXPECT_THAT(bad.out, HasSubstr("missing-timeouts: timeouts: expected a mark on the last row, found none\n"
                                 "    1 rows: 9\n"));
  EXPECT_EQ(run({"data", "check", folder / "bad.hdf5", "--no-fail"}).code, 0);
  EXPECT_EQ(run({"data", "check", folder / "bad.hdf5", "--json"}).code, 1);

  write_file(folder / "page.hdf5", "<html>");
  const Outcome page = run({"data", "check", folder / "page.hdf5"});
  EXPECT_EQ(page.code, 1);
  EXPECT_THAT(page.out, HasSubstr("a web page"));
  EXPECT_THAT(page.out, Not(HasSubstr("rows:")));  // of the file as a whole
}

TEST(DataCommand, TextsOfFilesAreFitForATerminal) {
  const TemporaryFolder folder;
  Provenance from = sample_provenance();
  from.behaviour = "\x1b]0;owned\x07";
  Dataset::from_columns(sample_columns(), from).write_d4rl(folder / "x.hdf5");
  const Outcome shown = run({"data", "info", folder / "x.hdf5"});
  EXPECT_EQ(shown.code, 0);
  EXPECT_THAT(shown.out, HasSubstr("\\x1b]0;owned\\x07"));
  EXPECT_THAT(shown.out, Not(HasSubstr("\x1b")));
}

TEST(DataCommand, ConvertReplacesNoPipeAndNoLink) {
  const TemporaryFolder folder;
  Dataset::from_columns(sample_columns()).write_d4rl(folder / "x.hdf5");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  std::filesystem::create_symlink(folder / "x.hdf5", folder / "link");
  for (const auto& [name, what] : {std::pair{"pipe", "a pipe"}, {"link", "a symbolic link"}}) {
    const Outcome refused = run({"data", "convert", folder / "x.hdf5", "--out", folder / name});
    EXPECT_EQ(refused.code, 1) << name;
    EXPECT_THAT(refused.err, HasSubstr(what));
  }
  const Outcome minari = run({"data", "convert", folder / "x.hdf5", "--out", folder / "root", "--format",
                              "minari", "--id", "a-v0b"});
  EXPECT_EQ(minari.code, 0) << minari.err;
  EXPECT_TRUE(std::filesystem::exists(folder / "root/a-v0b-v0/data/main_data.hdf5"));
  EXPECT_EQ(run({"data", "info", folder / "root"}).code, 0);
}

}  // namespace
}  // namespace diffreward::cli
