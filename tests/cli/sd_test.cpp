// diffreward sd on the smallest pipeline of the goldens: what users type, what lies on the disk, and what is refused.
#include "cli/sd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "agents/stable_diffusion/pipeline_folder.h"
#include "cli/prompts.h"
#include "core/hash.h"
#include "core/safetensors.h"
#include "envs/image.h"
#include "tests/cli/run.h"
#include "tests/cli/tiny_pipeline.h"
#include "tests/core/temporary_folder.h"

namespace diffreward::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class SdTest : public testing::Test {
 protected:
  SdTest() { make_tiny_pipeline(folder_ / "model"); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  /// Runs `sd sample` on the pipeline, 3 steps where nothing else is said.
  Outcome sample(const std::string& out, const std::vector<std::string>& more) const {
    std::vector<std::string> args = {"sd",      "sample",  "--model", path("model"), "--out",
                                     path(out), "--quiet", "--json",  "--threads",   "1"};
    if (std::ranges::find(more, "--steps") == more.end()) args.insert(args.end(), {"--steps", "3"});
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }

  /// The one line of a refusal.
  std::string refused(const Outcome& outcome, int code) const {
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    return outcome.err;
  }

  void edit(const std::string& file, const std::string& from, const std::string& to) const {
    std::string text = bytes_of(folder_ / file);
    const auto at = text.find(from);
    ASSERT_NE(at, text.npos) << file;
    write_bytes(folder_ / file, text.replace(at, from.size(), to));
  }

  std::vector<std::int64_t> shape(const std::string& file, const std::string& tensor) const {
    return Safetensors::open(folder_ / file).at(tensor).shape;
  }

  TemporaryFolder folder_;
};

TEST_F(SdTest, InfoTellsWhatAFolderHolds) {
  const Outcome outcome = run({"sd", "info", path("model"), "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err << outcome.out;
  const Json told = Json::parse(outcome.out);
  EXPECT_EQ(told.at("nets").at("unet").at("channels"), Json::array({16, 32}));
  EXPECT_EQ(told.at("nets").at("unet").at("type"), Json::array({"F32"}));
  EXPECT_GT(told.at("nets").at("vae").at("parameters"), 1000);
  EXPECT_EQ(told.at("scheduler").at("kind"), "pndm");
  EXPECT_EQ(told.at("tokenizer").at("vocabulary"), 64);
  EXPECT_EQ(told.at("text_length"), 77);
  EXPECT_EQ(told.at("image"), Json::array({32, 32}));
  EXPECT_EQ(told.at("latent"), Json::array({4, 16, 16}));
  EXPECT_EQ(told.at("own"), false);
  EXPECT_TRUE(told.at("problems").empty());
  EXPECT_THAT(run({"sd", "info", path("model")}).out, HasSubstr("pndm"));
}

TEST_F(SdTest, InfoNamesAllThatIsMissingOrNotSupported) {
  std::filesystem::remove_all(folder_ / "model/tokenizer");
  std::filesystem::remove(folder_ / "model/vae/diffusion_pytorch_model.safetensors");
  write_bytes(folder_ / "model/vae/diffusion_pytorch_model.bin", "pickled");
  edit("model/scheduler/scheduler_config.json", "PNDMScheduler", "HeunScheduler");
  edit("model/unet/config.json", "\"act_fn\"", "\"wholly_new\": 1, \"act_fn\"");
  const Outcome outcome = run({"sd", "info", path("model")});
  EXPECT_EQ(outcome.code, 1);
  for (const char* what : {"problem: ", "tokenizer: expected a tokenizer, found none", "pickled",
                           "HeunScheduler", "warning: ", "wholly_new"})
    EXPECT_THAT(outcome.out, HasSubstr(what));
  EXPECT_THAT(refused(run({"sd", "info", path("none")}), 1), HasSubstr("none: expected a folder"));
  write_bytes(folder_ / "file", "x");
  EXPECT_THAT(refused(run({"sd", "info", path("file")}), 1), HasSubstr("from_single_file"));
}

TEST_F(SdTest, SamplesTwiceToEqualBytes) {
  const std::vector<std::string> more = {"--prompts", "a castle", "--samples", "3",      "--batch",
                                         "2",         "--safety", "max",       "--seed", "5"};
  const Outcome outcome = sample("a", more);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  ASSERT_EQ(sample("b", more).code, 0);
  for (const char* name :
       {"000000.png", "000000.safetensors", "000002.png", "000002.safetensors", "manifest.json"})
    EXPECT_EQ(bytes_of(folder_ / "a" / name), bytes_of(folder_ / "b" / name)) << name;
  EXPECT_NE(bytes_of(folder_ / "a/000000.png"), bytes_of(folder_ / "a/000001.png"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "a/unfinished"));

  const Json manifest = Json::parse(bytes_of(folder_ / "a/manifest.json"));
  ASSERT_EQ(manifest.at("pictures").size(), 3u);
  const Json& last = manifest.at("pictures").at(2);
  EXPECT_EQ(last.at("seed"), 7);
  EXPECT_EQ(last.at("prompt"), "a castle");
  EXPECT_EQ(last.at("picture_sha256"), sha256(bytes_of(folder_ / "a/000002.png")));
  EXPECT_EQ(last.at("latents_sha256"), sha256(bytes_of(folder_ / "a/000002.safetensors")));
  EXPECT_EQ(manifest.at("config").at("safety").at("preset"), "max");
  EXPECT_EQ(manifest.at("model").at("files").at("unet/diffusion_pytorch_model.safetensors"),
            sha256(bytes_of(folder_ / "model/unet/diffusion_pytorch_model.safetensors")));
  EXPECT_TRUE(manifest.at("versions").contains("libtorch"));

  // A picture is a function of its own seed, whatever it is sampled with, up to rounding.
  ASSERT_EQ(sample("c", {"--prompts", "a castle", "--safety", "max", "--seed", "7"}).code, 0);
  EXPECT_EQ(Safetensors::open(folder_ / "c/000000.safetensors").metadata_at("seed"), "7");
  const Safetensors alone = Safetensors::open(folder_ / "c/000000.safetensors"),
                    among = Safetensors::open(folder_ / "a/000002.safetensors");
  const auto noise = [](const Safetensors& file) { return file.at("noise").bytes; };
  EXPECT_TRUE(std::ranges::equal(noise(alone), noise(among)));
}

TEST_F(SdTest, TheNoiseOfASeedIsPyTorchs) {
  ASSERT_EQ(sample("a", {"--prompts", "a", "--seed", concat(std::uint64_t{1} << 40), "--width", "8",
                         "--height", "8"})
                .code,
            0);
  const Safetensors goldens = Safetensors::open(std::filesystem::path(DIFFREWARD_SOURCE_DIR) /
                                                "tests/golden/stable_diffusion/a/goldens.safetensors"),
                    made = Safetensors::open(folder_ / "a/000000.safetensors");
  EXPECT_EQ(made.at("noise").shape, goldens.at("noise.large").shape);
  EXPECT_TRUE(std::ranges::equal(made.at("noise").bytes, goldens.at("noise.large").bytes));
}

TEST_F(SdTest, PairsHoldBothBranchesOfEveryStep) {
  const std::vector<std::string> more = {"--prompts", "a castle",    "--safety", "strong",
                                         "--pair",    "--batch",     "2",        "--samples",
                                         "2",         "--scheduler", "ddim"};
  const Outcome outcome = sample("a", more);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const char* name : {"before", "after_base", "after_safe"})
    EXPECT_THAT(shape("a/000001.safetensors", name), ElementsAre(3, 4, 16, 16)) << name;
  EXPECT_THAT(shape("a/000001.safetensors", "timesteps"), ElementsAre(3));
  const Safetensors file = Safetensors::open(folder_ / "a/000001.safetensors");
  const std::size_t step = file.at("before").bytes.size() / 3;
  const auto of = [&](const char* name, std::size_t i) {
    return file.at(name).bytes.subspan(i * step, step);
  };
  // The chain follows the safe branch: the next step begins where it ended.
  EXPECT_TRUE(std::ranges::equal(of("before", 0), file.at("noise").bytes));
  EXPECT_TRUE(std::ranges::equal(of("after_safe", 0), of("before", 1)));
  EXPECT_TRUE(std::ranges::equal(of("after_safe", 2), file.at("latents").bytes));
  EXPECT_TRUE(std::ranges::equal(of("after_base", 1), of("after_safe", 1))) << "strong begins at step 7";
}

TEST_F(SdTest, PicturesOfStrangersModelsAreBlurred) {
  const std::vector<std::string> prompts = {"--prompts", "a castle"};
  const Outcome strange = sample("strange", prompts),
                bare = sample("bare", {"--prompts", "a castle", "--no-blur"});
  ASSERT_EQ(strange.code, 0) << strange.err;
  EXPECT_EQ(Json::parse(strange.out).at("blurred"), true);
  EXPECT_EQ(Json::parse(bare.out).at("blurred"), false);
  const Image blurred = read_png(folder_ / "strange/000000.png"),
              sharp = read_png(folder_ / "bare/000000.png");
  ASSERT_EQ(blurred.rgb.size(), std::size_t{32 * 32 * 3});
  const auto rough = [](const Image& image) {
    long sum = 0;
    for (std::size_t i = 3; i < image.rgb.size(); ++i) sum += std::abs(image.rgb[i] - image.rgb[i - 3]);
    return sum;
  };
  EXPECT_LT(rough(blurred), rough(sharp) / 2);
  EXPECT_EQ(bytes_of(folder_ / "strange/000000.safetensors"), bytes_of(folder_ / "bare/000000.safetensors"));

  edit("model/model_index.json", "{", concat("{\"", kOwnPipelineKey, "\": \"0.1.0\","));
  EXPECT_EQ(Json::parse(sample("own", prompts).out).at("blurred"), false);
  EXPECT_EQ(bytes_of(folder_ / "own/000000.png"), bytes_of(folder_ / "bare/000000.png"));
}

TEST_F(SdTest, PicturesBecomeLatentsAndBack) {
  ASSERT_EQ(sample("a", {"--prompts", "a castle", "--samples", "2", "--no-blur"}).code, 0);
  const Outcome encoded = run({"sd", "encode", path("a/000000.png"), path("a/000001.png"), "--model",
                               path("model"), "--out", path("e"), "--quiet", "--threads", "1"});
  ASSERT_EQ(encoded.code, 0) << encoded.err;
  EXPECT_THAT(shape("e/000001.safetensors", "latents"), ElementsAre(1, 4, 16, 16));
  const Outcome decoded = run({"sd", "decode", path("a"), "--model", path("model"), "--out", path("d"),
                               "--no-blur", "--quiet", "--threads", "1"});
  ASSERT_EQ(decoded.code, 0) << decoded.err;
  EXPECT_EQ(bytes_of(folder_ / "d/000001.png"), bytes_of(folder_ / "a/000001.png"));
  const Outcome again = run({"sd", "decode", path("e/000001.safetensors"), "--model", path("model"), "--out",
                             path("f"), "--quiet", "--threads", "1"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(read_png(folder_ / "f/000000.png").width, 32);

  write_png(folder_ / "odd.png", {31, 32, std::vector<std::uint8_t>(31 * 32 * 3)});
  EXPECT_THAT(refused(run({"sd", "encode", path("odd.png"), "--model", path("model"), "--out", path("o"),
                           "--quiet", "--threads", "1"}),
                      1),
              HasSubstr("odd.png: expected sides that are multiples of 2 pixels, found 31 x 32"));
  EXPECT_THAT(refused(run({"sd", "decode", path("model/unet/diffusion_pytorch_model.safetensors"), "--model",
                           path("model"), "--out", path("o"), "--quiet", "--threads", "1"}),
                      1),
              HasSubstr("'latents'"));
}

TEST_F(SdTest, WrongUseIsOneLine) {
  const std::vector<std::string> prompt = {"--prompts", "a castle"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), prompt.begin(), prompt.end());
    return sample("out", more);
  };
  EXPECT_THAT(refused(with({"--steps", "0"}), 2),
              HasSubstr("--steps: expected a number in [1, 10000], got 0"));
  EXPECT_THAT(refused(with({"--safety", "max", "--guidance-scale", "1"}), 2), HasSubstr("guidance-scale"));
  EXPECT_THAT(refused(with({"--pair"}), 2), HasSubstr("--pair: expected safety to be on"));
  EXPECT_THAT(refused(with({"--safety", "most"}), 2), HasSubstr("unknown choice 'most'"));
  EXPECT_THAT(refused(with({"--width", "33"}), 1), HasSubstr("multiples of 2"));
  EXPECT_THAT(refused(with({"--steps", "1001"}), 1), HasSubstr("steps: expected"));
  EXPECT_THAT(refused(sample("out", {"--prompts", std::string(1'000'000, 'a')}), 1),
              HasSubstr("at most 65536 bytes, found 1000000"));
  EXPECT_THAT(refused(sample("out", {"--prompts", "a\xff"}), 2), HasSubstr("UTF-8"));
  EXPECT_THAT(refused(sample("out", {"--prompts", path("none.txt")}), 1), HasSubstr("none.txt"));
  EXPECT_THAT(
      refused(run({"sd", "sample", "--model", path("none"), "--prompts", "a", "--out", path("out")}), 1),
      HasSubstr("none"));
  EXPECT_THAT(refused(run({"sd", "sampel"}), 2), HasSubstr("did you mean 'sd sample'"));
  EXPECT_EQ(run({"sd"}).code, 2);
  EXPECT_THAT(run({"sd", "--help"}).out, testing::AllOf(HasSubstr("sd encode"), Not(HasSubstr("generate"))));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path()))
    EXPECT_NE(entry.path().extension(), ".png");
}

TEST_F(SdTest, WeightsThatAreNotNumbersAreNamed) {
  const std::string file = "model/unet/diffusion_pytorch_model.safetensors";
  std::string bytes = bytes_of(folder_ / file);
  const float nothing = std::nanf("");
  std::memcpy(bytes.data() + bytes.size() - sizeof nothing, &nothing, sizeof nothing);
  write_bytes(folder_ / file, bytes);
  const std::string line = refused(sample("out", {"--prompts", "a"}), 1);
  EXPECT_THAT(line, HasSubstr("finite"));
  EXPECT_THAT(line, HasSubstr("unet"));
}

TEST_F(SdTest, AFileOfPromptsIsAnInput) {
  write_bytes(folder_ / "prompts.txt", "a castle\r\n\n  \na sea\n");
  write_bytes(folder_ / "i2p.csv",
              "prompt,categories,seed\r\n\"a \"\"big\"\", old\ncastle\",\"x,y\",1\r\na sea,z,2\r\n");
  ASSERT_EQ(sample("a", {"--prompts", path("prompts.txt")}).code, 0);
  const Outcome table = sample("b", {"--prompts", path("i2p.csv")});
  ASSERT_EQ(table.code, 0) << table.err;
  EXPECT_EQ(bytes_of(folder_ / "a/000001.png"), bytes_of(folder_ / "b/000001.png"))
      << "prompt and seed are equal";
  const Json manifest = Json::parse(bytes_of(folder_ / "b/manifest.json"));
  EXPECT_EQ(manifest.at("pictures").at(0).at("prompt"), "a \"big\", old\ncastle");
  const auto made = std::filesystem::last_write_time(folder_ / "b/000000.png");
  ASSERT_EQ(sample("b", {"--prompts", path("i2p.csv"), "--reuse"}).code, 0);
  EXPECT_EQ(std::filesystem::last_write_time(folder_ / "b/000000.png"), made);
}

TEST(Prompts, AreReadFromLinesAndTables) {
  EXPECT_THAT(prompts_of_lines("\xef\xbb\xbfone\r\n\n \t\ntwo", "f"), ElementsAre("one", "two"));
  EXPECT_THAT(prompts_of_table("id,prompt\n1,one\n2,\"t\"\"w\"\"o,\r\n2\"\n\n3,\n", "f"),
              ElementsAre("one", "t\"w\"o,\r\n2", ""));
  EXPECT_THAT(prompts_of_table("prompt\n", "f"), ElementsAre());
  const auto message = [](const char* text) {
    return message_of<Error>([&] { prompts_of_table(text, "f.csv"); });
  };
  EXPECT_THAT(message("text\none\n"),
              HasSubstr("f.csv: line 1: expected a table with a column named prompt"));
  EXPECT_THAT(message(""), HasSubstr("f.csv: line 1: "));
  EXPECT_THAT(message("prompt,b\n\"x\ny\",1\nz\n"), HasSubstr("f.csv: line 4: expected 2 cells, found 1"));
  EXPECT_THAT(message("prompt\n\"open"), HasSubstr("f.csv: line 2: expected a quote"));
  EXPECT_THAT(message("prompt\na\xff\n"), HasSubstr("f.csv: line 2: expected UTF-8"));
  EXPECT_THAT(message_of<Error>([] { prompts_of_lines("a\n\xc3\n", "f.txt"); }), HasSubstr("f.txt: line 2"));
  EXPECT_FALSE(is_prompt_file("a castle / a sea.txt"));
  EXPECT_TRUE(is_prompt_file("mine.csv"));
}

TEST(SdConfig, TablesOfAGroupAreReadFromAFile) {
  TemporaryFolder folder;
  write_bytes(folder / "run.toml",
              "seed = 3\n[sd.sample]\nsamples = 4\nsafety.preset = \"weak\"\n[sd.decode]\nblur = false\n");
  const Json values = read_config_file((folder / "run.toml").string(), find_command("sd sample"), commands());
  EXPECT_EQ(values, Json::parse(R"({"seed": 3, "safety": {"preset": "weak"}, "samples": 4})"));
  write_bytes(folder / "bad.toml", "[sd.sampel]\nsamples = 4\n");
  EXPECT_THROW(read_config_file((folder / "bad.toml").string(), find_command("sd sample"), commands()),
               UsageError);
}

}  // namespace
}  // namespace diffreward::cli
