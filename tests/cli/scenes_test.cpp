// diffreward generate --env EmojiScenes-64, and data on what it writes.
#include "datasets/scenes/scenes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/file.h"
#include "datasets/image_set.h"
#include "envs/image.h"
#include "tests/cli/run.h"
#include "tests/core/temporary_folder.h"
#include "tests/datasets/sample_data.h"

namespace diffreward::cli {
namespace {

using testing::HasSubstr;

Outcome generate(const std::string& out, std::vector<std::string> more) {
  std::vector<std::string> args = {"generate", "--env", kEmojiScenes, "--out", out, "--quiet"};
  args.insert(args.end(), more.begin(), more.end());
  return run(args);
}

TEST(ScenesCommand, WritesADataSetThatDataKnows) {
  const TemporaryFolder folder;
  const std::string out = folder / "scenes";
  const Outcome made = generate(out, {"--scenes.count", "70", "--seed", "4", "--threads", "1", "--json"});
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(Json::parse(made.out).at("pictures"), 70);

  SceneConfig config;
  config.count = 70;
  const ImageSet expected = make_scenes(SceneGenerator(Atlas::open(), config, 4), 1),
                 data = ImageSet::open(out);
  EXPECT_TRUE(std::ranges::equal(data.images(), expected.images()));
  EXPECT_THAT(read_file(folder / "scenes/card.md"), HasSubstr("CC-BY-4.0"));
  const Json record = Json::parse(read_file(folder / "scenes/stage.json"));
  EXPECT_EQ(record.at("key").at("config").at("scenes").at("atlas_sha256"), Atlas::open().sha256());

  EXPECT_THAT(run({"data", "info", out}).out, HasSubstr("EmojiScenes-64"));
  EXPECT_THAT(run({"data", "check", out}).out, HasSubstr("0 faults in "));
  EXPECT_EQ(run({"data", "card", out, "--out", folder / "card.md"}).code, 0);
  EXPECT_EQ(read_file(folder / "card.md"), read_file(folder / "scenes/card.md"));
  EXPECT_EQ(run({"data", "picture", out, "--out", folder / "sheet.png", "--count", "9"}).code, 0);
  EXPECT_GT(read_png(folder / "sheet.png").width, 64);
  const Outcome convert = run({"data", "convert", out, "--out", folder / "x.hdf5"});
  EXPECT_EQ(convert.code, 2);
  EXPECT_THAT(convert.err, HasSubstr("data convert: expected recorded behaviour, got pictures"));

  const Outcome again = generate(out, {"--scenes.count", "70", "--seed", "4", "--reuse"});
  EXPECT_EQ(again.code, 0) << again.err;
}

TEST(ScenesCommand, RefusesOptionsThatSayNothing) {
  const TemporaryFolder folder;
  const std::string out = folder / "scenes";
  const Outcome count = generate(out, {"--count", "70"});
  EXPECT_EQ(count.code, 2);
  EXPECT_THAT(count.err, HasSubstr("--count: expected --scenes.count with --env EmojiScenes-64"));
  EXPECT_THAT(generate(out, {"--policy", "random"}).err, HasSubstr("--policy: expected options of scenes"));
  EXPECT_THAT(generate(out, {"--split", "test"}).err, HasSubstr("--scenes.split"));
  const Outcome elsewhere = run({"generate", "--scenes.count", "7", "--out", out});
  EXPECT_EQ(elsewhere.code, 2);
  EXPECT_THAT(elsewhere.err, HasSubstr("--scenes.count: expected it with --env EmojiScenes-64 alone"));
  EXPECT_TRUE(folder.empty());
}

TEST(ScenesCommand, OtherDataIsNoPicture) {
  const TemporaryFolder folder;
  Dataset::from_columns(sample_columns()).write_d4rl(folder / "a.hdf5");
  const Outcome picture = run({"data", "picture", folder / "a.hdf5", "--out", folder / "a.png"});
  EXPECT_EQ(picture.code, 2);
  EXPECT_THAT(picture.err, HasSubstr("data picture: expected pictures, got other data"));
}

}  // namespace
}  // namespace diffreward::cli
