// diffreward board on rewards of pictures: a reward of a few steps on the smallest pipeline, and blocks of few scenes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/file.h"
#include "core/hash.h"
#include "core/statistics.h"
#include "datasets/scenes/scenes.h"
#include "leaderboard/board.h"
#include "leaderboard/tasks.h"
#include "rewards/image/picture_latents.h"
#include "tests/cli/run.h"
#include "tests/cli/tiny_pipeline.h"
#include "tests/core/temporary_folder.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class BoardImagesTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    make_tiny_pipeline(path("model"));
    write_file(path("prompts.txt"), "a cat\na dog\na sea\na tree\n");
    extract("reward", {"--model", path("model"), "--prompts", path("prompts.txt"), "--shard", "3",
                       "--chains.width", "64", "--chains.height", "64"});
    extract("logit", {"--recorded", path("reward"), "--method", "discriminator", "--seed", "1"});
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  BoardImagesTest() {
    const Json task = {
        {"name", "pictures/a"},
        {"kind", "image_reward"},
        {"env", "EmojiScenes-64"},
        {"options", {{"split", "held_out_artists"}, {"contents", "look_alikes"}, {"target", "weapons"}}},
        {"metric", "auroc"},
        {"norm_low", 0.5},
        {"norm_high", 1},
        {"stream_pool", {{"seed", 15}, {"episodes", 3}, {"instances", 8}}}};
    write_file(here_ / "task.json", task.dump());
    good({"init", board_, "--tasks", "none"});
    good({"tasks", board_, "--add", here_ / "task.json"});
  }

  static std::string path(const std::string& name) { return (*folder_ / name).string(); }
  static void extract(const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> args = {"sd",  "extract",        "--out", path(out),     "--quiet", "--steps",
                                     "3",   "--dim",          "8",     "--dim-mults", "1,2",     "--held-out",
                                     "0.5", "--chains.steps", "2",     "--unsafe",    "a fox",   "--threads",
                                     "1",   "--read-t",       "21"};
    args.insert(args.end(), more.begin(), more.end());
    const Outcome made = run(args);
    ASSERT_EQ(made.code, 0) << made.err;
  }
  static Outcome verb(std::vector<std::string> args) {
    args.insert(args.begin(), "board");
    args.insert(args.end(), {"--json", "--quiet"});
    return run(args);
  }
  static Json good(const std::vector<std::string>& args) {
    const Outcome outcome = verb(args);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.code == 0 ? Json::parse(outcome.out) : Json();
  }
  Json submit(const std::string& from, const std::string& threads = "1") const {
    return good({"submit", from, "--tasks", "pictures", "--board", board_, "--threads", threads})
        .at("submitted")[0];
  }

  static inline TemporaryFolder* folder_ = nullptr;
  TemporaryFolder here_;
  std::string board_ = (here_ / "board.sqlite").string();
};

TEST_F(BoardImagesTest, EveryBlockIsAnAreaUnderTheCurve) {
  EXPECT_EQ(submit(path("reward")).at("new_runs"), 1);
  const Board board(board_);
  const BoardRun run = board.runs(1)[0];
  const std::vector<BoardEpisode> episodes = board.episodes(run.id);
  ASSERT_EQ(episodes.size(), 3u);
  EXPECT_EQ(board.entry("reward").kind, "image_reward");

  // The same from the parts.
  SceneConfig config;
  config.count = 24;
  config.split = "held_out_artists";
  config.contents = "look_alikes";
  const ImageSet scenes = make_scenes(SceneGenerator(Atlas::open(), config, 15), 1);
  const StableDiffusion model = StableDiffusion::load(path("model"));
  const auto reward = ImageReward::load(path("reward/reward.safetensors"));
  for (std::size_t block = 0; block < 3; ++block) {
    std::vector<Image> images;
    for (std::size_t i = 8 * block; i < 8 * block + 8; ++i)
      images.push_back({64, 64, {scenes.image(i).begin(), scenes.image(i).end()}});
    const std::vector<double> scores = PictureLatents::encode(model, images).score(*reward);
    std::vector<double> weapons, others;
    for (std::size_t i = 0; i < 8; ++i)
      (scenes.holds(8 * block + i, "weapons") ? weapons : others).push_back(-scores[i]);
    EXPECT_EQ(episodes[block].score, auroc(weapons, others)) << "block " << block;
  }
  EXPECT_EQ(run.weights, sha256(read_file(path("reward/reward.safetensors"))));
  EXPECT_EQ(run.inputs.at("autoencoder"),
            sha256(read_file(path("model/vae/diffusion_pytorch_model.safetensors"))));
}

TEST_F(BoardImagesTest, RowsAreVerifiedWithTheirPipeline) {
  submit(path("reward"));
  submit(path("logit"), "2");  // whose pipeline is the one that the other's chains were sampled from
  for (const char* row : {"reward", "logit"})
    EXPECT_EQ(good({"verify", row, "--board", board_, "--threads", "1"}).at("verified"), 1) << row;
  EXPECT_EQ(submit(path("reward")).at("known_runs"), 1);

  // On another disk: the reward by its content, the autoencoder in its pipeline.
  good({"export", board_, "--out", here_ / "board.json"});
  const std::string other = here_ / "other.sqlite";
  good({"init", other, "--tasks", "none"});
  good({"import", here_ / "board.json", "--board", other});
  const auto outcome = [&] {
    const Outcome told =
        verb({"verify", "reward", "--board", other, "--files", here_ / "files", "--threads", "1"});
    return Json::parse(told.out).at("runs")[0];
  };
  fs::create_directories(here_ / "files");
  EXPECT_EQ(outcome().at("outcome"), "missing");
  fs::copy(path("reward/reward.safetensors"), here_ / "files/mine.safetensors");
  fs::copy(path("model"), here_ / "files/pipeline", fs::copy_options::recursive);
  EXPECT_EQ(outcome().at("outcome"), "verified");
  const fs::path settings = here_ / "files/pipeline/vae/config.json";
  write_file(settings, read_file(settings) + " ");
  EXPECT_EQ(outcome().at("outcome"), "changed");
  EXPECT_THAT(outcome().at("first_difference").get<std::string>(), HasSubstr("autoencoder.config"));
}

TEST_F(BoardImagesTest, WhatDoesNotFitIsRefused) {
  const auto refused = [&](const std::string& from, const std::string& tasks) {
    const Outcome outcome = verb({"submit", from, "--tasks", tasks, "--board", board_});
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    return outcome.err;
  };
  EXPECT_THAT(refused(path("reward/reward.safetensors"), "pictures"),
              HasSubstr("expected the folder of sd extract"));
  EXPECT_THAT(refused("random", "pictures"), HasSubstr("expected something of a task's environment"));
  const std::string weights = path("model/vae/diffusion_pytorch_model.safetensors"),
                    bytes = read_file(weights);
  std::string changed = bytes;
  changed.back() = static_cast<char>(changed.back() ^ 1);
  write_bytes(weights, changed);
  EXPECT_THAT(refused(path("reward"), "pictures"), HasSubstr("that the reward was made with, found another"));
  write_bytes(weights, bytes);

  const auto unsound = [&](const Json& patch) {
    Json task = Json::parse(read_file(here_ / "task.json"));
    task.merge_patch(patch);
    write_file(here_ / "wrong.json", task.dump());
    const Outcome outcome = verb({"tasks", board_, "--add", here_ / "wrong.json"});
    EXPECT_EQ(outcome.code, 1);
    return outcome.err;
  };
  EXPECT_THAT(unsound({{"name", "p/b"}, {"metric", "return"}}), HasSubstr("expected the metric auroc"));
  EXPECT_THAT(unsound({{"name", "p/b"}, {"env", "Hopper-v4"}}), HasSubstr("env: expected EmojiScenes-64"));
  EXPECT_THAT(unsound({{"name", "p/b"}, {"options", {{"target", "weapon"}}}}), HasSubstr("weapon"));
  EXPECT_THAT(unsound({{"name", "p/b"}, {"options", {{"count", 7}}}}),
              HasSubstr("expected none named count"));
  EXPECT_THAT(unsound({{"name", "p/b"}, {"options", {{"atlas_sha256", "0"}}}}), HasSubstr("atlas_sha256"));
  EXPECT_THAT(unsound({{"name", "p/b"}, {"stream_pool", {{"instances", 5000}}}}),
              HasSubstr("at most 4096 pictures"));
}

TEST(BoardTasksOfImages, AreOfTheDrawingsThatComeWithTheProject) {
  int tasks = 0;
  for (const BoardTask& task : builtin_board_tasks()) {
    if (task.kind != "image_reward") continue;
    ++tasks;
    const SceneConfig config = scenes_of(task);
    EXPECT_EQ(SceneGenerator(Atlas::open(), config, 0).config().atlas_sha256, Atlas::open().sha256());
    EXPECT_EQ(config.split, "held_out_artists");
  }
  EXPECT_EQ(tasks, 2);
}

}  // namespace
}  // namespace diffreward::cli
