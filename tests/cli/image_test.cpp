// diffreward sd extract and diffreward image on the smallest pipeline of the goldens: what users type, what lies on the
// disk, and what is refused.
#include "cli/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cli/captioned_pictures.h"
#include "core/file.h"
#include "envs/image.h"
#include "rewards/image/image_reward.h"
#include "tests/cli/run.h"
#include "tests/cli/tiny_pipeline.h"
#include "tests/core/temporary_folder.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class ImageTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    make_tiny_pipeline(*folder_ / "model");
    write_file(*folder_ / "prompts.txt", "a cat\na dog\na sea\na tree\n");
    const Outcome made =
        extract("reward", {"--model", path("model"), "--prompts", path("prompts.txt"), "--shard", "3"});
    ASSERT_EQ(made.code, 0) << made.err;
    fs::create_directories(*folder_ / "pictures");
    for (int i = 0; i < 3; ++i)
      write_png(*folder_ / "pictures" / concat(i, ".png"), slope(20 + 40 * i, 32 + 8 * i));
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }

  static std::string path(const std::string& name) { return (*folder_ / name).string(); }
  static Outcome extract(const std::string& out, const std::vector<std::string>& more) {
    std::vector<std::string> args = {"sd",          "extract",  "--out",      path(out),   "--quiet",
                                     "--json",      "--steps",  "3",          "--dim",     "8",
                                     "--dim-mults", "1,2",      "--held-out", "0.5",       "--chains.steps",
                                     "2",           "--unsafe", "a fox",      "--threads", "1"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  static Outcome image(const std::string& command, std::vector<std::string> args) {
    args.insert(args.begin(), {"image", command, "--reward", path("reward"), "--model", path("model"),
                               "--threads", "1", "--quiet", "--json"});
    return run(args);
  }
  static Image slope(int colour, int side) {
    Image image{side + 10, side, {}};
    for (int y = 0; y < image.height; ++y)
      for (int x = 0; x < image.width; ++x)
        for (int c = 0; c < 3; ++c)
          image.rgb.push_back(static_cast<std::uint8_t>((colour + 3 * x * c + 2 * y) % 256));
    return image;
  }
  /// The one line of a refusal.
  static std::string refused(const Outcome& outcome, int code) {
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    return outcome.err;
  }

  static inline TemporaryFolder* folder_ = nullptr;
};

TEST_F(ImageTest, ExtractKeepsChainsThatOthersLearnFrom) {
  const Json result = read_json_object(*folder_ / "reward" / "stage.json").at("result");
  EXPECT_EQ(result.at("chains"), 8);
  EXPECT_GT(result.at("field").size(), 0u);
  for (const char* file : {"base-000000", "base-000003", "safe-000000", "safe-000003"})
    EXPECT_TRUE(fs::exists(*folder_ / "reward" / "chains" / concat(file, ".safetensors"))) << file;
  const auto reward = ImageReward::load(*folder_ / "reward" / "reward.safetensors");
  EXPECT_EQ(reward->provenance().at("pair").at("unsafe"), "a fox");
  EXPECT_TRUE(reward->provenance().at("model").contains("unet/diffusion_pytorch_model.safetensors"));

  const Outcome logit = extract("logit", {"--recorded", path("reward"), "--method", "discriminator"});
  ASSERT_EQ(logit.code, 0) << logit.err;
  EXPECT_FALSE(fs::exists(*folder_ / "logit" / "chains"));
  EXPECT_THAT(refused(extract("x", {"--recorded", path("reward"), "--model", path("model")}), 2),
              HasSubstr("--model: expected none beside --recorded"));
  EXPECT_THAT(refused(extract("x", {"--recorded", path("reward"), "--pictures", path("pictures")}), 2),
              HasSubstr("--pictures: expected none beside --recorded"));
  EXPECT_THAT(refused(extract("x", {"--model", path("model")}), 2),
              HasSubstr("sd extract: --prompts is missing"));
  write_file(*folder_ / "one.txt", "a cat\n");
  EXPECT_THAT(refused(extract("x", {"--model", path("model"), "--prompts", path("one.txt")}), 1),
              HasSubstr("prompts: expected at least 2"));
}

TEST_F(ImageTest, ScoresFoldersAndSaysWhatItCouldNotRead) {
  const Outcome scored = image("score", {path("pictures")});
  ASSERT_EQ(scored.code, 0) << scored.err;
  const Json result = Json::parse(scored.out);
  ASSERT_EQ(result.at("pictures").size(), 3u);
  EXPECT_EQ(result.at("pictures")[0].at("file"), path("pictures/0.png"));
  EXPECT_TRUE(result.at("unreadable").empty());

  // Ranked is the same, least first; a picture's score does not depend on what is beside it.
  const Json ranked = Json::parse(image("rank", {path("pictures/2.png"), path("pictures/0.png")}).out);
  EXPECT_LE(ranked.at("pictures")[0].at("reward").get<double>(),
            ranked.at("pictures")[1].at("reward").get<double>());
  for (const Json& picture : ranked.at("pictures"))
    for (const Json& other : result.at("pictures"))
      if (picture.at("file") == other.at("file")) {
        EXPECT_NEAR(picture.at("reward").get<double>(), other.at("reward").get<double>(), 1e-3);
      }

  // With its own pictures for a reference, half of them are flagged at a rate of one half.
  const Json half = Json::parse(
      image("score", {path("pictures"), "--reference", path("pictures"), "--false-positive-rate", "0.5"})
          .out);
  int flagged = 0;
  for (const Json& picture : half.at("pictures")) flagged += picture.at("flagged").get<bool>() ? 1 : 0;
  EXPECT_EQ(flagged, 1);

  const std::string bytes = read_file(*folder_ / "pictures" / "1.png");
  write_file(*folder_ / "bad" / "cut.png", bytes.substr(0, bytes.size() / 2));
  write_file(*folder_ / "bad" / "good.png", bytes);
  const Outcome some = image("score", {path("bad")});
  EXPECT_EQ(some.code, 1);
  const Json told = Json::parse(some.out);
  EXPECT_EQ(told.at("pictures").size(), 1u);
  ASSERT_EQ(told.at("unreadable").size(), 1u);
  EXPECT_THAT(told.at("unreadable")[0].get<std::string>(), HasSubstr("cut.png"));
  fs::create_directories(*folder_ / "empty");
  EXPECT_THAT(refused(image("score", {path("empty")}), 1),
              HasSubstr("expected PNG or JPEG files in this folder"));
}

TEST_F(ImageTest, ReportsWithLabels) {
  write_file(*folder_ / "labels.csv", "file_name,label\n0.png,1\n1.png,0\n2.png,0\n");
  const Outcome made = image("report", {path("pictures"), "--labels", path("labels.csv"), "--out",
                                        path("report"), "--resamples", "50"});
  ASSERT_EQ(made.code, 0) << made.err;
  for (const char* file : {"report.html", "scores.csv", "evaluation.json"})
    EXPECT_TRUE(fs::exists(*folder_ / "report" / file)) << file;
  EXPECT_THAT(bytes_of(*folder_ / "report" / "scores.csv"), HasSubstr("0.png"));
  write_file(*folder_ / "few.csv", "file_name,label\n0.png,1\n");
  EXPECT_THAT(
      refused(image("report", {path("pictures"), "--labels", path("few.csv"), "--out", path("x")}), 1),
      HasSubstr("few.csv: expected a line of 1.png"));
  write_file(*folder_ / "words.csv", "file_name,label\n0.png,yes\n");
  EXPECT_THAT(
      refused(image("report", {path("pictures"), "--labels", path("words.csv"), "--out", path("x")}), 1),
      HasSubstr("words.csv: line 2: label: expected 0 or 1, found yes"));
}

TEST_F(ImageTest, DetectsAndLabels) {
  const std::string golden = DIFFREWARD_SOURCE_DIR "/tests/golden/detector/";
  Image red{32, 32, {}};
  for (int i = 0; i < 32 * 32; ++i) red.rgb.insert(red.rgb.end(), {255, 0, 0});
  fs::create_directories(*folder_ / "seen");
  write_png(*folder_ / "seen" / "red, all.png", red);
  write_png(*folder_ / "seen" / "dark.png", Image{8, 8, std::vector<std::uint8_t>(192, 3)});
  const std::vector<std::string> given = {
      "image",  "detect", path("seen"), "--detector", golden + "cells.onnx", "--kinds", golden + "kinds.txt",
      "--side", "32"};
  const auto detect = [&](std::vector<std::string> more) {
    std::vector<std::string> all = given;
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  };
  const Outcome all = detect({"--table", path("found.csv"), "--json"});
  ASSERT_EQ(all.code, 0) << all.err;
  const Json pictures = Json::parse(all.out).at("pictures");
  ASSERT_EQ(pictures.size(), 2u);
  EXPECT_EQ(pictures[0].at("label"), 0);
  EXPECT_EQ(pictures[1].at("label"), 1);
  EXPECT_EQ(pictures[1].at("found").size(), 3u);
  EXPECT_EQ(pictures[1].at("found")[0].at("kind"), "red");
  EXPECT_EQ(read_file(*folder_ / "found.csv"), "file_name,label\r\ndark.png,0\r\n\"red, all.png\",1\r\n");
  const Outcome blue = detect({"--wanted", "blue", "--json"});
  EXPECT_EQ(Json::parse(blue.out).at("pictures")[1].at("label"), 0);
  EXPECT_THAT(refused(detect({"--wanted", "bleu"}), 1), HasSubstr("wanted: unknown kind 'bleu'"));
  write_file(*folder_ / "seen" / "broken.png", "no picture");
  const Outcome most = detect({});
  EXPECT_EQ(most.code, 1);
  EXPECT_THAT(most.out, AllOf(HasSubstr("red 1"), HasSubstr("not read: ")));
}

TEST_F(ImageTest, CaptionedPicturesOfAFolder) {
  write_file(*folder_ / "pictures" / "metadata.csv", "file_name,text\n0.png,a hill\n2.png,\"a dune, far\"\n");
  const CaptionedPictures data = read_captioned(path("pictures"), 16);
  EXPECT_EQ(data.side, 16);
  EXPECT_EQ(data.pixels.size(), 2u * 16 * 16 * 3);
  EXPECT_THAT(data.captions, ElementsAre("a hill", "a dune, far"));
  EXPECT_EQ(captioned_inputs(path("pictures")).size(), 3u);
  EXPECT_EQ(count_captioned(path("pictures")), 2u);
  write_file(*folder_ / "outside" / "metadata.csv", "file_name,text\n../pictures/0.png,a hill\n");
  EXPECT_THAT(message_of<Error>([&] { read_captioned(path("outside"), 16); }),
              HasSubstr("line 2: expected a file of this folder"));
  fs::remove(*folder_ / "pictures" / "metadata.csv");
}

TEST_F(ImageTest, SteersSamplesByTheReward) {
  for (auto& [out, more] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"plain", {}},
           {"none", {"--reward", path("reward"), "--guide-scale", "0"}},
           {"led", {"--reward", path("reward")}}}) {
    const Outcome made = run([&] {
      std::vector<std::string> args = {"sd",      "sample",  "--model", path("model"), "--prompts",
                                       "a cat",   "--steps", "2",       "--threads",   "1",
                                       "--quiet", "--out",   path(out)};
      args.insert(args.end(), more.begin(), more.end());
      return args;
    }());
    ASSERT_EQ(made.code, 0) << made.err;
  }
  EXPECT_EQ(bytes_of(*folder_ / "plain" / "000000.png"), bytes_of(*folder_ / "none" / "000000.png"));
  EXPECT_NE(bytes_of(*folder_ / "plain" / "000000.safetensors"),
            bytes_of(*folder_ / "led" / "000000.safetensors"));
}

}  // namespace
}  // namespace diffreward::cli
