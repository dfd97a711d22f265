#include "datasets/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>

#include "core/file.h"
#include "datasets/storage/storage.h"
#include "tests/core/temporary_folder.h"
#include "tests/datasets/sample_data.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;

TEST(Dataset, TellsItsColumnsAndEpisodes) {
  const Dataset data = Dataset::from_columns(sample_columns(), sample_provenance());
  EXPECT_EQ(data.size(), 10u);
  EXPECT_EQ(data.observation_dim(), 4u);
  EXPECT_EQ(data.action_dim(), 2u);
  ASSERT_EQ(data.episodes().size(), 3u);
  EXPECT_EQ(data.episodes()[1].begin, 5u);
  EXPECT_EQ(data.episodes()[1].end, 6u);
  EXPECT_TRUE(data.episodes()[1].terminated);
  EXPECT_FALSE(data.episodes()[2].terminated);
  EXPECT_EQ(data.info("goal")[2 * 7 + 1], -7);
  EXPECT_THAT(message_of<Error>([&] { data.info("gaol"); }),
              HasSubstr("unknown info column 'gaol'; did you mean 'goal'?"));
  EXPECT_TRUE(data.path().empty());
}

TEST(Dataset, NamesTheColumnOfAnotherLength) {
  Dataset::Columns columns = sample_columns();
  columns.actions.pop_back();
  EXPECT_THAT(message_of<InvalidArgument>([&] { Dataset::from_columns(columns); }),
              HasSubstr("actions: expected 10 rows of 2, got 19 numbers"));
}

TEST(Dataset, ComesBackFromD4rlAndMinari) {
  const TemporaryFolder folder;
  const Dataset memory = Dataset::from_columns(sample_columns(), sample_provenance());
  memory.write_d4rl(folder / "a.hdf5");
  const Dataset d4rl = Dataset::open(folder / "a.hdf5");
  expect_equal(d4rl, memory);
  EXPECT_EQ(d4rl.path(), folder / "a.hdf5");

  const auto minari_folder = d4rl.write_minari(folder.path(), "maze/umaze/sample-v0");
  EXPECT_EQ(minari_folder, folder / "maze/umaze/sample-v0");
  const Dataset minari = Dataset::open(minari_folder);
  expect_equal(minari, memory);
  expect_equal(Dataset::open(minari_folder / "data/main_data.hdf5"), memory);

  minari.write_d4rl(folder / "b.hdf5");
  EXPECT_EQ(bytes_of(folder / "a.hdf5"), bytes_of(folder / "b.hdf5"));  // no time stamps either
}

TEST(Dataset, IsMappedNotRead) {
  const TemporaryFolder folder;
  Dataset::from_columns(sample_columns()).write_d4rl(folder / "a.hdf5");
  const Dataset data = Dataset::open(folder / "a.hdf5");
  // A change of the file shows through a mapping: overwrite every 0.125f, the second column of the first row.
  std::string bytes = bytes_of(folder / "a.hdf5");
  const std::string old_value(reinterpret_cast<const char*>(&data.observations()[1]), 4);
  ASSERT_EQ(data.observations()[1], 0.125f);
  std::fstream file(folder / "a.hdf5", std::ios::binary | std::ios::in | std::ios::out);
  for (std::size_t at = bytes.find(old_value); at != std::string::npos; at = bytes.find(old_value, at + 1)) {
    const float changed = 64;
    file.seekp(std::streamoff(at));
    file.write(reinterpret_cast<const char*>(&changed), 4);
  }
  file.close();
  EXPECT_EQ(data.observations()[1], 64);
}

TEST(Dataset, NamesFilesItCannotOpen) {
  const TemporaryFolder folder;
  EXPECT_THAT(message_of<Error>([&] { Dataset::open(folder / "absent.hdf5"); }),
              HasSubstr("absent.hdf5: cannot read"));
  write_bytes(folder / "foreign.hdf5", "PK\x03\x04 something else");
  EXPECT_THAT(message_of<Error>([&] { Dataset::open(folder / "foreign.hdf5"); }),
              HasSubstr("foreign.hdf5: expected an HDF5 file"));
  write_bytes(folder / "empty.hdf5", "");
  EXPECT_THAT(message_of<Error>([&] { Dataset::open(folder / "empty.hdf5"); }), HasSubstr("empty.hdf5"));
}

TEST(Dataset, EveryTruncationIsAnErrorWithTheFilesName) {
  const TemporaryFolder folder;
  const Dataset data = Dataset::from_columns(sample_columns(), sample_provenance());
  data.write_d4rl(folder / "whole.hdf5");
  const auto minari = data.write_minari(folder.path(), "maze/umaze/sample-v0") / "data/main_data.hdf5";
  for (const auto& [whole, name] :
       {std::pair{folder / "whole.hdf5", "cut.hdf5"}, {minari, "main_data.hdf5"}}) {
    const std::string bytes = bytes_of(whole);
    for (std::size_t kept = 0; kept < bytes.size(); kept += 1 + bytes.size() / 200) {
      write_bytes(folder / name, bytes.substr(0, kept));
      EXPECT_THAT(message_of<Error>([&] { Dataset::open(folder / name); }), HasSubstr(name))
          << kept << " bytes";
    }
  }
}

/// Any byte changed gives a data set or an Error, never a crash.
TEST(Dataset, DamagedBytesAreErrorsOrData) {
  const TemporaryFolder folder;
  const Dataset data = Dataset::from_columns(sample_columns(), sample_provenance());
  data.write_d4rl(folder / "whole.hdf5");
  const std::string bytes = bytes_of(folder / "whole.hdf5");
  int refused = 0;
  for (std::size_t at = 0; at < bytes.size(); at += 11) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x41);
    write_bytes(folder / "damaged.hdf5", damaged);
    try {
      const Dataset opened = Dataset::open(folder / "damaged.hdf5");
      float sum = 0;
      for (const float value : opened.observations()) sum += value;  // every page is there
      (void)sum;
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 15);
}

TEST(Dataset, AFullDiskLeavesNothing) {
  const TemporaryFolder folder;
  Dataset::Columns columns = sample_columns();
  for (std::size_t i = 0; i < 13; ++i) {  // 10 * 2^13 rows
    const auto twice = [](auto& values) { values.insert(values.end(), values.begin(), values.end()); };
    twice(columns.observations), twice(columns.next_observations), twice(columns.actions),
        twice(columns.rewards);
    twice(columns.terminals), twice(columns.timeouts);
    for (auto& info : columns.infos) twice(info.values);
  }
  const Dataset data = Dataset::from_columns(std::move(columns));
  {
    const FullDisk full(1'000'000);
    EXPECT_THAT(message_of<Error>([&] { data.write_d4rl(folder / "a.hdf5"); }), HasSubstr("a.hdf5"));
    EXPECT_FALSE(std::filesystem::exists(folder / "a.hdf5"));
    EXPECT_TRUE(folder.empty());
    EXPECT_THAT(message_of<Error>([&] { data.write_minari(folder.path(), "a/b/c-v0"); }),
                HasSubstr("main_data.hdf5"));
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path()))
    EXPECT_TRUE(entry.is_directory()) << entry.path();
}

/// Copies a written file without some of its columns, as D4RL's files are.
void remove_columns(const std::filesystem::path& path, const std::vector<const char*>& names) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  for (const char* name : names) H5Ldelete(file, name, H5P_DEFAULT);
  H5Fclose(file);
}

TEST(Dataset, FindsTheDataSetThatAFolderStandsFor) {
  const TemporaryFolder folder;
  const Dataset data = Dataset::from_columns(sample_columns());
  EXPECT_THAT(message_of<Error>([&] { find_data_file(folder.path()); }),
              HasSubstr("expected a data set (*.hdf5, *.h5 or Minari's), found a folder without one"));
  EXPECT_EQ(find_data_file(folder / "a.hdf5"), folder / "a.hdf5");
  const auto first = data.write_minari(folder / "root", "maze/walk-v0");
  for (const auto& path : {first, first / "data", folder / "root/maze", folder / "root", folder.path()})
    EXPECT_EQ(find_data_file(path), first / "data/main_data.hdf5") << path;
  data.write_minari(folder / "root", "maze/run-v3");
  EXPECT_THAT(
      message_of<Error>([&] { Dataset::open(folder / "root"); }),
      HasSubstr("found 2: maze/run-v3/data/main_data.hdf5, maze/walk-v0/data/main_data.hdf5: name one"));
  data.write_d4rl(folder / "plain/x.h5");
  write_file(folder / "plain/notes.txt", "");
  EXPECT_EQ(Dataset::open(folder / "plain").path(), folder / "plain/x.h5");
  data.write_d4rl(folder / "root/data.hdf5");  // a stage's
  EXPECT_EQ(find_data_file(folder / "root"), folder / "root/data.hdf5");
}

TEST(Dataset, ManyEpisodesAreRefusedBeforeRoomIsMadeForThem) {
  Dataset::Storage storage;
  storage.path = "x.hdf5";
  const std::vector<std::uint8_t> ends(Dataset::Storage::kMostEpisodes + 1, 1);
  storage.rows = ends.size();
  storage.terminals = storage.timeouts = ends;
  EXPECT_EQ(message_of<Error>([&] { storage.find_episodes(); }),
            "x.hdf5: expected at most 33554432 episodes, found 33554433");
  EXPECT_EQ(storage.episodes.capacity(), 0u);
}

TEST(Dataset, RebuildsWhatOldFilesLack) {
  const TemporaryFolder folder;
  const Dataset data = Dataset::from_columns(sample_columns());
  data.write_d4rl(folder / "old.hdf5");
  remove_columns(folder / "old.hdf5", {"next_observations", "timeouts", "infos", "metadata"});
  const Dataset old = Dataset::open(folder / "old.hdf5");
  ASSERT_EQ(old.episodes().size(), 2u);  // the terminal and the end
  EXPECT_EQ(old.episodes()[0].end, 6u);
  EXPECT_EQ(old.timeouts()[9], 1);
  EXPECT_TRUE(old.info_names().empty());
  for (std::size_t i = 0; i < 10; ++i)
    EXPECT_EQ(old.next_observations()[4 * i], old.observations()[4 * (i == 5 || i == 9 ? i : i + 1)]) << i;
}

TEST(Dataset, NamesTheColumnThatIsMissing) {
  const TemporaryFolder folder;
  for (const char* column : {"observations", "actions", "rewards", "terminals"}) {
    Dataset::from_columns(sample_columns()).write_d4rl(folder / "a.hdf5");
    remove_columns(folder / "a.hdf5", {column});
    EXPECT_THAT(message_of<Error>([&] { Dataset::open(folder / "a.hdf5"); }),
                HasSubstr(std::string("a.hdf5: ") + column + ": expected a column, found none"));
  }
}

TEST(Dataset, MinariIdsAreThoseThatMinariTakes) {
  const TemporaryFolder folder;
  const Dataset data = Dataset::from_columns(sample_columns());
  for (const char* id : {"", "../x-v0", "/x-v0", "a/b/", "a//b-v0", "a/b-v0", "x y-v0", "x.y-v0",
                         "ab/data/x-v0", "ab/data", "x\n-v0"})
    EXPECT_THROW(data.write_minari(folder.path(), id), InvalidArgument) << id;
  EXPECT_TRUE(folder.empty());
  for (const auto& [id, written] : {std::pair{"a/b/c", "a/b/c-v0"},
                                    {"a-v0b", "a-v0b-v0"},
                                    {"diffreward/x-v1/test", "diffreward/x-v1/test-v0"},
                                    {"walk-v12", "walk-v12"},
                                    {"ab/-v1", "ab/-v1-v0"}})
    EXPECT_EQ(data.write_minari(folder.path(), id), folder / written);
  EXPECT_TRUE(std::filesystem::exists(folder / "diffreward/x-v1/namespace_metadata.json"));
  // Minari looks for no data set inside one.
  EXPECT_THAT(message_of<Error>([&] { data.write_minari(folder.path(), "walk-v12/x"); }),
              HasSubstr("walk-v12: expected a namespace, found a data set"));
}

TEST(Dataset, MinariMetadataOfOtherKindsIsNoCrash) {
  const TemporaryFolder folder;
  const auto at = Dataset::from_columns(sample_columns()).write_minari(folder.path(), "a/b/c-v0");
  write_file(at / "data/metadata.json",
             R"({"algorithm_name": 3, "diffreward": {"seed": "x", "env": [], "extra": 1}})");
  EXPECT_EQ(Dataset::open(at).provenance().behaviour, "");
  write_file(at / "data/metadata.json", "[");
  EXPECT_THAT(message_of<Error>([&] { Dataset::open(at); }),
              HasSubstr("metadata.json: expected JSON, found other text"));
  write_file(at / "data/metadata.json", "[]");
  EXPECT_THAT(message_of<Error>([&] { Dataset::open(at); }),
              HasSubstr("metadata.json: expected a JSON object"));
}

}  // namespace
}  // namespace diffreward
