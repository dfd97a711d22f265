// diffreward data: exit codes and what is printed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <set>

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

TEST(DataCommand, ACardTellsWhatTheDataAre) {
  const TemporaryFolder folder;
  for (const std::string seed : {"0", "1"})
    ASSERT_EQ(run({"generate",  "--env",
                   "Hopper-v4", "--policy",
                   "random",    "--random.hold",
                   "3",         "--role",
                   "base",      "--steps",
                   "600",       "--count",
                   "3",         "--episode-steps",
                   "0",         "--no-whole-episodes",
                   "--seed",    seed,
                   "--out",     folder / seed,
                   "--quiet"})
                  .code,
              0);
  const std::string beside = read_file(folder / "0" / "card.md");
  ASSERT_EQ(run({"data", "card", folder / "0", "--out", folder / "card.md"}).code, 0);
  EXPECT_EQ(read_file(folder / "card.md"), beside);
  for (const char* told :
       {"# Data of Hopper-v4: random", "| engine | MuJoCo 4", "| agent: hold | 3 |", "| transitions | 600 |",
        "| faults found | none |", "-20.3 and 3,230", "## Lengths of whole episodes"})
    EXPECT_THAT(beside, HasSubstr(told));
  const Outcome json = run({"data", "card", folder / "0", "--json"});
  const Json card = Json::parse(json.out);
  EXPECT_EQ(card.at("episodes"), card.at("terminated").get<int>() + card.at("cut").get<int>() +
                                     card.at("cut_by_recording").get<int>());
  EXPECT_EQ(card.at("cut"), 0);
  EXPECT_LE(card.at("cut_by_recording"), 3);
  EXPECT_LT(card.at("length").at("max"), 200);
  EXPECT_EQ(run({"data", "card", folder / "0"}).code, 0);

  const Outcome joined = run({"join", "--data", (folder / "0").string() + "," + (folder / "1").string(),
                              "--out", folder / "both", "--quiet"});
  ASSERT_EQ(joined.code, 0) << joined.err;
  EXPECT_THAT(read_file(folder / "both" / "card.md"), HasSubstr("| transitions | 1200 |"));
  const Dataset both = Dataset::open(folder / "both"), first = Dataset::open(folder / "0"),
                second = Dataset::open(folder / "1");
  ASSERT_EQ(both.size(), 1200u);
  EXPECT_EQ(both.episodes().size(), first.episodes().size() + second.episodes().size());
  for (std::size_t k = 0; k < 600 * 11; ++k) {
    ASSERT_EQ(both.observations()[k], first.observations()[k]);
    ASSERT_EQ(both.observations()[600 * 11 + k], second.observations()[k]);
  }
  EXPECT_EQ(both.info_doubles("qpos").size(), 1200u * 6);
  EXPECT_EQ(both.provenance().extra.at("parts").at(1).at("seed"), 1);
  EXPECT_EQ(run({"data", "check", folder / "both"}).code, 0);

  ASSERT_EQ(run({"generate", "--env", "HalfCheetah-v5", "--policy", "random", "--role", "base", "--steps",
                 "50", "--count", "1", "--no-whole-episodes", "--out", folder / "other", "--quiet"})
                .code,
            0);
  const Outcome unlike = run({"join", "--data", (folder / "0").string() + "," + (folder / "other").string(),
                              "--out", folder / "x", "--quiet"});
  EXPECT_EQ(unlike.code, 1);
  EXPECT_THAT(unlike.err, HasSubstr("expected data of Hopper-v4"));
  EXPECT_FALSE(std::filesystem::exists(folder / "x" / "data.hdf5"));
}

/// Training and held-out episodes are all of them, once; the first episodes are the first.
TEST(Join, TakesPartsOfADataSet) {
  const TemporaryFolder folder;
  ASSERT_EQ(run({"generate", "--env", "Hopper-v4", "--policy", "random", "--role", "base", "--steps", "2000",
                 "--count", "2", "--no-whole-episodes", "--out", folder / "all", "--quiet"})
                .code,
            0);
  const Dataset all = Dataset::open(folder / "all");
  const auto part = [&](const std::string& name, const std::vector<std::string>& options) {
    std::vector<std::string> words = {"join", "--data", folder / "all", "--out", folder / name, "--quiet"};
    words.insert(words.end(), options.begin(), options.end());
    const Outcome joined = run(words);
    EXPECT_EQ(joined.code, 0) << joined.err;
    return Dataset::open(folder / name);
  };
  const Dataset train = part("train", {"--part", "train", "--held-out", "0.2", "--seed", "3"}),
                test = part("test", {"--part", "held_out", "--held-out", "0.2", "--seed", "3"});
  EXPECT_EQ(train.episodes().size() + test.episodes().size(), all.episodes().size());
  EXPECT_EQ(train.size() + test.size(), all.size());
  EXPECT_NEAR(static_cast<double>(test.episodes().size()), 0.2 * static_cast<double>(all.episodes().size()),
              1);
  const auto starts = [](const Dataset& data) {
    std::set<std::vector<float>> out;
    for (const Episode& episode : data.episodes()) {
      const auto row =
          data.observations().subspan(episode.begin * data.observation_dim(), data.observation_dim());
      out.insert({row.begin(), row.end()});
    }
    return out;
  };
  std::set<std::vector<float>> both = starts(train);
  both.merge(starts(test));
  EXPECT_EQ(both, starts(all));
  const Dataset some = part("some", {"--episodes", "3"});
  ASSERT_EQ(some.episodes().size(), 3u);
  EXPECT_EQ(some.size(), all.episodes()[2].end);
  EXPECT_EQ(run({"data", "check", folder / "test"}).code, 0) << "rewards follow from the recorded states";
}

}  // namespace
}  // namespace diffreward::cli
