// diffreward shard: any recording of generate in pieces, with the bytes of one run.
#include "cli/shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "core/file.h"
#include "core/hash.h"
#include "tests/cli/run_json.h"
#include "tests/core/temporary_folder.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class ShardCommands : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  /// Compares a recording by generate with its shards, made in this many tasks, last ones first.
  void expect_equal(const std::vector<std::string>& recording, const std::string& shards,
                    const std::string& tasks) {
    fs::remove_all(folder_ / "one");
    fs::remove_all(folder_ / "plan");
    fs::remove_all(folder_ / "many");
    result(with({"generate", "--out", path("one")}, recording));
    result(with({"shard", "plan", "--out", path("plan"), "--shards", shards}, recording));
    for (int task = std::stoi(tasks); task-- > 0;)
      result({"shard", "run", path("plan"), "--task", std::to_string(task), "--tasks", tasks, "--threads",
              task % 2 ? "1" : "2"});
    result({"shard", "merge", path("plan"), "--out", path("many")});
    EXPECT_TRUE(bytes_of(folder_ / "one/data.hdf5") == bytes_of(folder_ / "many/data.hdf5"));
    EXPECT_EQ(bytes_of(folder_ / "one/card.md"), bytes_of(folder_ / "many/card.md"));
  }
  const TemporaryFolder folder_;
};

const std::vector<std::string> kWalks = {"--steps", "800", "--count", "8", "--episode-steps", "50"};

TEST_F(ShardCommands, APlanIsMadeLookedAtVerifiedAndMerged) {
  const Json plan = result(with({"shard", "plan", "--out", path("plan"), "--shards", "3"}, kWalks));
  EXPECT_EQ(plan.at("rows"), 800);
  EXPECT_EQ(plan.at("streams"), 8);
  EXPECT_EQ(result(with({"shard", "plan", "--out", path("plan"), "--shards", "3"}, kWalks)), plan)
      << "no news";

  EXPECT_EQ(result({"shard", "run", path("plan"), "--index", "1"}).at("made"), 1);
  Json status = result({"shard", "status", path("plan")});
  EXPECT_EQ(status.at("missing_index"), "0,2");
  EXPECT_EQ(status.at("complete"), false);
  EXPECT_EQ(result({"shard", "verify", path("plan")}, 1).at("faulty_index"), "0,2");
  EXPECT_THAT(refusal({"shard", "merge", path("plan"), "--out", path("many")}),
              HasSubstr("found none of 0,2"));
  EXPECT_FALSE(fs::exists(folder_ / "many/data.hdf5"));

  const Json all = result({"shard", "run", path("plan")});
  EXPECT_EQ(all.at("made"), 2);
  EXPECT_EQ(all.at("kept"), 1);
  EXPECT_EQ(result({"shard", "run", path("plan"), "--again"}).at("equal"), 3);
  EXPECT_EQ(result({"shard", "verify", path("plan")}).at("whole"), 3);
  EXPECT_EQ(result({"shard", "status", path("plan")}).at("complete"), true);

  fs::remove(folder_ / "plan/shards/0/2.h5");
  EXPECT_EQ(result({"shard", "verify", path("plan")}, 1).at("faults").at(0).at("index"), 2);
  EXPECT_EQ(result({"shard", "run", path("plan"), "--index", "2"}).at("repaired"), 1);

  const Json merged = result({"shard", "merge", path("plan"), "--out", path("many")});
  EXPECT_EQ(merged.at("transitions"), 800);
  const Json again = result(with({"generate", "--out", path("many"), "--reuse"}, kWalks));
  EXPECT_EQ(again, merged) << "the merged folder is generate's stage";
  EXPECT_EQ(result({"data", "info", path("plan")}).at("transitions"), 800) << "and the plan's a data set";
  EXPECT_EQ(result({"data", "info", path("plan")}), result({"data", "info", path("many")}));
}

TEST_F(ShardCommands, AStepReadsAPlanAsItReadsTheMergedFile) {
  result(with({"shard", "plan", "--out", path("plan"), "--shards", "2"}, kWalks));
  result({"shard", "run", path("plan")});
  result({"shard", "merge", path("plan"), "--out", path("many")});
  const auto train = [&](const std::string& data, const std::string& out) {
    result({"train", "--data", path(data), "--out", path(out), "--horizon", "4", "--stride", "1", "--dim",
            "8", "--layers", "1", "--steps", "3", "--threads", "1", "--reuse"});
    return bytes_of(folder_ / (out + "/model.safetensors"));
  };
  EXPECT_TRUE(train("plan", "a") == train("many", "b"));
  const auto made = fs::last_write_time(folder_ / "a/model.safetensors");
  train("plan", "a");
  EXPECT_EQ(fs::last_write_time(folder_ / "a/model.safetensors"), made) << "known by its content";
}

TEST_F(ShardCommands, EveryKindOfAgentKeepsItsNumbers) {
  expect_equal({"--steps", "1400", "--count", "7", "--episode-steps", "40", "--env", "Maze2D-Medium-v0"}, "3",
               "2");
  expect_equal(
      {"--env", "Hopper-v4", "--policy", "random", "--steps", "600", "--count", "6", "--episode-steps", "50"},
      "6", "3");
  expect_equal({"--env", "LinearQuadratic-v0", "--policy", "linear", "--linear.action-noise", "0.3",
                "--steps", "600", "--count", "6", "--episode-steps", "50", "--no-whole-episodes"},
               "4", "1");
}

TEST_F(ShardCommands, AgentsThatLearnedKeepTheirNumbers) {
  const std::vector<std::string> size = {
      "--steps", "3100", "--count", "31", "--episode-steps", "0", "--no-whole-episodes"};
  expect_equal(
      with({"--env", "Hopper-v4", "--policy", "Hopper-v4/medium", "--stochastic", "--log-probabilities"},
           size),
      "7", "2");
  expect_equal(with({"--env", "HalfCheetah-v4", "--policy", "HalfCheetah-v4/expert"}, size), "16", "2");
}

TEST_F(ShardCommands, ADiffusionModelsPlansKeepTheirNumbers) {
  result(with({"generate", "--out", path("walks")}, kWalks));
  result({"train", "--data", path("walks"), "--out", path("model"), "--horizon", "4", "--stride", "1",
          "--dim", "8", "--layers", "1", "--steps", "3", "--condition-probability", "0.5"});
  expect_equal({"--policy", path("model"), "--steps", "120", "--count", "6", "--episode-steps", "10",
                "--sampler", "ddim", "--sample.steps", "4", "--replan-every", "4"},
               "3", "2");
}

TEST_F(ShardCommands, ScenesKeepTheirNumbers) {
  const std::vector<std::string> scenes = {"--env", "EmojiScenes-64", "--scenes.count",
                                           "30",    "--scenes.size",  "32"};
  expect_equal(scenes, "4", "2");
  EXPECT_TRUE(bytes_of(folder_ / "one/pictures.png") == bytes_of(folder_ / "many/pictures.png"));
}

TEST_F(ShardCommands, APlanOfOtherThingsIsStale) {
  write_file(folder_ / "m.txt", "#####\n#OOO#\n###O#\n#OOO#\n#####\n");
  const std::vector<std::string> mine =
      with({"--env", "Maze2D-UMaze-v0", "--env-option", "map=" + path("m.txt")}, kWalks);
  result(with({"shard", "plan", "--out", path("plan"), "--shards", "2"}, mine));
  result({"shard", "run", path("plan"), "--index", "0"});
  write_file(folder_ / "m.txt", "#####\n#OOO#\n#O#O#\n#OOO#\n#####\n");
  EXPECT_THAT(
      refusal({"shard", "run", path("plan"), "--index", "1"}),
      AllOf(HasSubstr("plan.json: inputs: env.options.map: expected the file that was planned with")));
  write_file(folder_ / "m.txt", "#####\n#OOO#\n###O#\n#OOO#\n#####\n");
  result({"shard", "run", path("plan"), "--index", "1"});

  Json plan = read_json_object(folder_ / "plan/plan.json");
  plan["program"] = "of other sources";
  fs::create_directory(folder_ / "other");
  write_file(folder_ / "other/plan.json", plan.dump(2));
  for (const char* command : {"run", "merge"})
    EXPECT_THAT(refusal(with({"shard", command, path("other")},
                             command == std::string("merge") ? std::vector<std::string>{"--out", path("x")}
                                                             : std::vector<std::string>{})),
                HasSubstr("program: expected a plan of this program"));
}

TEST_F(ShardCommands, FaultsOfAPlansFolderAreNamedByShardAndRow) {
  result(with({"shard", "plan", "--out", path("plan"), "--shards", "4"}, kWalks));
  result({"shard", "run", path("plan")});
  EXPECT_TRUE(result({"data", "check", path("plan")}).at("faults").empty());
  // A fault that was recorded: the file is what its record tells.
  for (const char* index : {"1", "3"}) {
    const fs::path file = folder_ / ("plan/shards/0/" + std::string(index) + ".h5"),
                   listed = folder_ / ("plan/shards/0/shard-" + std::string(index) + ".json");
    Json record = read_json_object(listed);
    std::string bytes = bytes_of(file);
    for (const Json& column : record.at("columns"))
      if (column.at("name") == "rewards")
        bytes.replace(column.at("offset").get<std::size_t>() + 4 * 7, 4, {0, 0, '\xc0', '\x7f'});
    write_bytes(file, bytes);
    record["sha256"] = sha256(bytes);
    write_file(listed, record.dump());
  }
  fs::remove(folder_ / "plan/shards/0/2.h5");
  const Json faults = result({"data", "check", path("plan")}, 1).at("faults");
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_EQ(faults.at(0).at("name"), "not-finite");
  EXPECT_EQ(faults.at(0).at("rows"), Json({207, 607}));
  EXPECT_EQ(faults.at(0).at("count"), 2);
  EXPECT_THAT(faults.at(0).at("message").get<std::string>(),
              AllOf(HasSubstr("shard 1, rows 200 to 399: rewards: expected numbers"),
                    HasSubstr("(the first of shards 1,3)")));
  EXPECT_EQ(faults.at(1).at("name"), "damaged-shard");
  EXPECT_THAT(
      faults.at(1).at("message").get<std::string>(),
      AllOf(HasSubstr("shard 2, rows 400 to 599: "), HasSubstr("expected the shard's file, found none")));
}

TEST_F(ShardCommands, WrongUseIsSaid) {
  EXPECT_THAT(refusal(with({"shard", "plan", "--out", path("p"), "--shards", "9"}, kWalks)),
              HasSubstr("shards: expected at most one for each of the 8 streams"));
  EXPECT_THAT(refusal({"shard", "plan", "--out", path("p"), "--policy", "nobody"}, 2), HasSubstr("policy"));
  EXPECT_THAT(refusal({"shard", "run", path("absent")}), HasSubstr("absent: cannot read"));
  result(with({"shard", "plan", "--out", path("p"), "--shards", "4"}, kWalks));
  EXPECT_THAT(refusal({"shard", "run", path("p"), "--index", "4"}),
              HasSubstr("index: expected indices below 4"));
  EXPECT_THAT(refusal({"shard", "run", path("p"), "--index", "1", "--tasks", "2"}), HasSubstr("got both"));
  EXPECT_THAT(refusal({"shard", "run", path("p"), "--task", "2", "--tasks", "2"}),
              HasSubstr("below --tasks 2"));
  EXPECT_EQ(result({"shard", "run", path("p"), "--task", "4", "--tasks", "5"}).at("shards"), 1);
  EXPECT_EQ(result({"shard", "run", path("p"), "--task", "0", "--tasks", "5"}).at("shards"), 0)
      << "more than shards";
  EXPECT_THAT(refusal(with({"shard", "plan", "--out", path("p"), "--shards", "3"}, kWalks)),
              HasSubstr("expected this plan or none, found another"));
}

TEST_F(ShardCommands, TheNumberOfShardsFollowsTheirSize) {
  const Json plan = result({"shard", "plan", "--out", path("p"), "--steps", "100000000", "--count", "100000",
                            "--episode-steps", "200"});
  EXPECT_GT(plan.at("bytes_per_shard"), 256 << 20);
  EXPECT_LT(plan.at("bytes_per_shard"), 1 << 30);
}

}  // namespace
}  // namespace diffreward::cli
