// The command line from outside: what users type, what they see, and the exit code.
#include "cli/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "cli/stages.h"
#include "core/file.h"
#include "tests/cli/run.h"

namespace diffreward::cli {
namespace {

using testing::HasSubstr;

class CommandTest : public testing::Test {
 protected:
  CommandTest() : folder_(std::filesystem::temp_directory_path() / concat("diffreward_cli_", getpid())) {
    std::filesystem::create_directories(folder_);
  }
  ~CommandTest() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  std::filesystem::path folder_;
};

TEST_F(CommandTest, NoCommandIsWrongUseAndHelpIsNot) {
  EXPECT_EQ(run({}).code, 2);
  const Outcome help = run({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* name :
       {"envs", "generate", "data", "train", "extract", "evaluate", "rl", "steer", "plan", "report", "demo"})
    EXPECT_THAT(help.out, HasSubstr(name));
}

TEST_F(CommandTest, EveryCommandExplainsEveryOption) {
  for (const Command& command : commands()) {
    const Outcome help = run({command.name, "--help"});
    EXPECT_EQ(help.code, 0) << command.name;
    for (FieldInfo field : command.fields()) {
      std::replace(field.name.begin(), field.name.end(), '_', '-');
      EXPECT_THAT(help.out, HasSubstr("--" + field.name)) << command.name;
      EXPECT_FALSE(field.help.empty()) << command.name << " " << field.name;
    }
  }
}

TEST_F(CommandTest, NoTwoFieldsOfACommandShareAName) {
  for (const Command& command : commands()) {
    std::set<std::string> seen;
    for (const FieldInfo& field : command.fields())
      EXPECT_TRUE(seen.insert(field.name).second) << command.name << " " << field.name;
  }
}

TEST_F(CommandTest, UnknownNamesAreRefusedWithTheNearest) {
  const Outcome command = run({"generat"});
  EXPECT_EQ(command.code, 2);
  EXPECT_THAT(command.err, HasSubstr("did you mean 'generate'"));
  const Outcome option = run({"train", "--horizn", "4"});
  EXPECT_EQ(option.code, 2);
  EXPECT_THAT(option.err, HasSubstr("did you mean '--horizon'"));
  const Outcome choice = run({"train", "--net", "unett", "--data", "x", "--out", path("x")});
  EXPECT_EQ(choice.code, 2);
  EXPECT_THAT(choice.err, HasSubstr("did you mean 'unet'"));
}

TEST_F(CommandTest, ValuesOfAnotherTypeOrOutOfRangeAreWrongUse) {
  EXPECT_EQ(run({"train", "--horizon", "four"}).code, 2);
  EXPECT_EQ(run({"train", "--horizon", "0"}).code, 2);
  EXPECT_THAT(run({"train", "--lr", "-1"}).err, HasSubstr("lr: expected a number in [0, 1], got -1"));
  EXPECT_EQ(run({"generate", "--goal-cell", "1,x"}).code, 2);
}

TEST_F(CommandTest, MissingFilesFailWithTheirName) {
  const Outcome outcome = run({"data", "info", path("absent.hdf5")});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("absent.hdf5"));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1);
}

TEST_F(CommandTest, FlagsWinOverTheFileAndTheFileOverDefaults) {
  write_file(path("run.toml"),
             "seed = 5\nthreads = 1\n[generate]\nsteps = 64\ncount = 4\nepisode_steps = 8\n");
  const Outcome outcome = run(
      {"generate", "--config", path("run.toml"), "--count", "8", "--out", path("data"), "--quiet", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(Json::parse(outcome.out).at("transitions"), 64);
  const std::string resolved = read_file(path("data/config.toml"));
  EXPECT_THAT(resolved, HasSubstr("steps = 64\n"));
  EXPECT_THAT(resolved, HasSubstr("count = 8\n"));
  EXPECT_THAT(resolved, HasSubstr("seed = 5\n"));
  EXPECT_THAT(resolved, HasSubstr("action_noise = 0.1\n"));

  // The resolved config is itself a config file, and gives the same bytes.
  const Outcome again =
      run({"generate", "--config", path("data/config.toml"), "--out", path("again"), "--quiet"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(read_file(path("data/data.hdf5")), read_file(path("again/data.hdf5")));
}

TEST_F(CommandTest, ConfigFilesWithUnknownKeysOrBadSyntaxAreWrongUse) {
  write_file(path("a.toml"), "[train]\nhorizn = 4\n");
  const Outcome key = run({"train", "--config", path("a.toml")});
  EXPECT_EQ(key.code, 2);
  EXPECT_THAT(key.err, HasSubstr("a.toml: [train] unknown key 'horizn'; did you mean 'horizon'?"));
  write_file(path("b.toml"), "\nhorizon = = 4\n");
  const Outcome syntax = run({"train", "--config", path("b.toml")});
  EXPECT_EQ(syntax.code, 2);
  EXPECT_THAT(syntax.err, HasSubstr("b.toml:2:"));
  write_file(path("c.toml"), "sede = 4\n");
  EXPECT_THAT(run({"train", "--config", path("c.toml")}).err, HasSubstr("did you mean 'seed'"));
}

TEST_F(CommandTest, BadInputFailsInOneLineAndLeavesNoProduct) {
  const Outcome wall =
      run({"generate", "--goal-cell", "0,0", "--steps", "10", "--out", path("wall"), "--quiet"});
  EXPECT_EQ(wall.code, 1);
  EXPECT_THAT(wall.err, HasSubstr("goal"));
  EXPECT_FALSE(std::filesystem::exists(path("wall/data.hdf5")));
  write_file(path("torn.safetensors"), "not a model");
  const Outcome torn =
      run({"steer", "--base", path("torn.safetensors"), "--expert", path("torn.safetensors"), "--reward",
           path("torn.safetensors"), "--base-data", path("torn.safetensors"), "--out", path("s")});
  EXPECT_EQ(torn.code, 1);
  EXPECT_THAT(torn.err, HasSubstr("torn.safetensors"));
}

TEST_F(CommandTest, CudaWithoutADeviceIsSaidPlainly) {
  ASSERT_EQ(run({"generate", "--steps", "400", "--count", "2", "--out", path("d"), "--quiet"}).code, 0);
  const Outcome outcome = run({"train", "--data", path("d"), "--device", "cuda", "--steps", "1", "--horizon",
                               "4", "--stride", "1", "--out", path("m"), "--quiet"});
  if (outcome.code == 0) GTEST_SKIP() << "this machine has a CUDA device";
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("CUDA"));
}

TEST_F(CommandTest, MissingOptionsAreWrongUseAndNamed) {
  std::set<std::string> seen;
  for (const Command& command : commands()) {
    if (command.required.empty()) continue;
    seen.insert(command.name);
    const Outcome outcome = run({command.name});
    EXPECT_EQ(outcome.code, 2) << command.name;
    EXPECT_EQ(outcome.err,
              concat("diffreward: ", command.name, ": ", flag_of(command.required.front()), " is missing\n"));
  }
  EXPECT_EQ(seen.size(), 10u) << "every command but envs";
  const Outcome train = run({"train", "--out", path("x")});
  EXPECT_EQ(train.err, "diffreward: train: --data is missing\n");
  EXPECT_FALSE(std::filesystem::exists(path("x")));
}

TEST_F(CommandTest, NumbersThatWouldWrapAreWrongUse) {
  for (const std::vector<std::string>& option : {std::vector<std::string>{"--goal-cell", "4294967297,1"},
                                                 {"--seed", "-1"},
                                                 {"--count", "4294967298"},
                                                 {"--seed", "18446744073709551616"},
                                                 {"--goal-cell", "1,-2147483649"}}) {
    std::vector<std::string> args = {"generate", "--out", path("x")};
    args.insert(args.end(), option.begin(), option.end());
    const Outcome outcome = run(args);
    EXPECT_EQ(outcome.code, 2) << option[0] << " " << option[1];
    EXPECT_THAT(outcome.err, HasSubstr("diffreward: " + option[0] + ": expected"));
  }
}

TEST_F(CommandTest, TablesWhereNoTableBelongsAreWrongUse) {
  const auto refused = [&](const std::string& text, const std::string& message) {
    write_file(path("x.toml"), text);
    const Outcome outcome = run({"generate", "--config", path("x.toml"), "--out", path("x")});
    EXPECT_EQ(outcome.code, 2) << text;
    EXPECT_THAT(outcome.err, HasSubstr("x.toml: " + message)) << text;
  };
  refused("gain = {a = 1}\n", "unknown table 'gain'");
  refused("[nothing]\nsteps = 3\n", "unknown table 'nothing'");
  refused("[generat]\nsteps = 3\n", "unknown table 'generat'; did you mean 'generate'?");
  refused("generate = 3\n", "unknown key 'generate'");
  write_file(path("x.toml"), "[generate]\ngain = {a = 1}\n");
  EXPECT_THAT(run({"generate", "--config", path("x.toml"), "--out", path("x")}).err,
              HasSubstr("x.toml: gain: expected float"));
  write_file(path("x.toml"), std::string(100'000, '['));
  EXPECT_EQ(run({"generate", "--config", path("x.toml"), "--out", path("x")}).code, 2);
  write_file(path("x.toml"), "#" + std::string(2'000'000, 'x'));
  EXPECT_THAT(run({"generate", "--config", path("x.toml")}).err, HasSubstr("a config of at most"));
}

TEST_F(CommandTest, AResultThatCannotBePrintedIsAFailure) {
  std::ofstream full("/dev/full");
  std::ostringstream err;
  const std::vector<std::string> args = {"envs", "--json"};
  EXPECT_EQ(run_cli(args, full, err), 1);
  EXPECT_THAT(err.str(), HasSubstr("cannot write the result: No space left on device"));
}

TEST_F(CommandTest, ResultsForPeopleAreRoundedAndShort) {
  Json result = {{"seconds", 1.23456789},
                 {"count", 1234567},
                 {"success", {{"value", 0.97432}, {"low", 0.95127}, {"high", 0.99214}}},
                 {"deep", {{"er", {{"value_of", 0.123456789}}}}}};
  result["episodes"]["return"] = std::vector<double>(256, 0.1);
  std::ostringstream out;
  print_result(result, out);
  const std::string text = out.str();
  EXPECT_THAT(text, HasSubstr("seconds                     1.235\n"));
  EXPECT_THAT(text, HasSubstr("count                       1234567\n"));
  EXPECT_THAT(text, HasSubstr("success                     0.974 [0.951, 0.992]\n"));
  EXPECT_THAT(text, HasSubstr("deep\n  er\n    value_of                0.1235\n"));
  EXPECT_THAT(text, HasSubstr("episodes\n  return                    256 entries, see --json\n"));
}

TEST_F(CommandTest, AHeldOutRecordingSharesNoStartWithTheOneToTrainOn) {
  const auto starts = [&](const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> args = {"generate", "--steps", "640",   "--episode-steps",        "20",
                                     "--count",  "32",      "--out", (folder_ / name).string()};
    args.insert(args.end(), more.begin(), more.end());
    EXPECT_EQ(run(args).code, 0);
    const Dataset data = Dataset::open(folder_ / name / "data.hdf5");
    std::set<std::pair<float, float>> out;
    for (std::size_t row = 0; row < data.size(); row += 20)
      out.insert({data.observations()[4 * row], data.observations()[4 * row + 1]});
    return out;
  };
  const auto train = starts("train", {}), held_out = starts("held_out", {"--held-out"}),
             next = starts("next", {"--seed", "1"}), expert = starts("expert", {"--goal-cell", "1,1"});
  EXPECT_EQ(train.size(), 32u);
  EXPECT_EQ(starts("again", {}), train);
  for (const auto* other : {&held_out, &next, &expert})
    for (const auto& start : *other) EXPECT_FALSE(train.contains(start));
}

TEST_F(CommandTest, PipesDevicesAndOtherTextsAreRefused) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  for (const std::vector<std::string>& args : {std::vector<std::string>{"data", "info", path("pipe")},
                                               {"data", "info", "/dev/zero"},
                                               {"generate", "--config", path("pipe"), "--out", path("x")},
                                               {"train", "--data", path("pipe"), "--out", path("x")},
                                               {"envs", "Maze2D-UMaze-v0", "--map", path("pipe")},
                                               {"generate", "--map", path("pipe"), "--out", path("x")},
                                               {"envs", "Maze2D-UMaze-v0", "--render", path("pipe")}}) {
    const Outcome outcome = run(args);
    EXPECT_EQ(outcome.code, 1) << args[0];
    EXPECT_THAT(outcome.err, HasSubstr("expected a file"));
  }
  EXPECT_THAT(run({"generate", "--out", "a\xff"}).err, HasSubstr("expected options in UTF-8"));
}

TEST_F(CommandTest, AModelIsTrainedOnAnyFolderThatHoldsOneDataSet) {
  ASSERT_EQ(
      run({"generate", "--steps", "400", "--count", "2", "--format", "minari", "--out", path("g"), "--quiet"})
          .code,
      0);
  const std::string set = path("g/diffreward/Maze2D-UMaze-v0/base-v0");
  std::filesystem::create_directory(path("lone"));
  std::filesystem::copy_file(path("g/data.hdf5"), path("lone/walks.hdf5"));
  int count = 0;
  std::set<std::string> losses;
  for (const std::string& data :
       {path("g"), set, set + "/data", path("g/diffreward"), path("lone"), path("lone/walks.hdf5")}) {
    const Outcome outcome = run({"train", "--data", data, "--horizon", "4", "--stride", "1", "--dim", "8",
                                 "--layers", "1", "--batch", "4", "--steps", "2", "--out",
                                 path("m" + std::to_string(count++)), "--quiet", "--json"});
    ASSERT_EQ(outcome.code, 0) << data << ": " << outcome.err;
    losses.insert(Json::parse(outcome.out).at("training").at("last").at("loss").dump());
  }
  EXPECT_EQ(losses.size(), 1u) << "all are the same rows";
  std::filesystem::copy_file(path("g/data.hdf5"), path("lone/more.hdf5"));
  EXPECT_THAT(run({"train", "--data", path("lone"), "--out", path("none"), "--quiet"}).err,
              HasSubstr("expected one data set, found 2: more.hdf5, walks.hdf5"));
}

TEST_F(CommandTest, AFailedRunLeavesTheOldProductUnderItsOwnRecord) {
  const std::vector<std::string> make = {"generate", "--steps", "400",     "--count",
                                         "2",        "--out",   path("q"), "--quiet"};
  ASSERT_EQ(run(make).code, 0);
  const std::string record = read_file(path("q/stage.json")), config = read_file(path("q/config.toml"));
  std::vector<std::string> fails = make;
  fails.insert(fails.end(), {"--goal-cell", "0,0"});
  EXPECT_EQ(run(fails).code, 1);
  EXPECT_EQ(read_file(path("q/stage.json")), record);
  EXPECT_EQ(read_file(path("q/config.toml")), config);
  // A stage onto its own input, and onto another command's stage.
  const Outcome onto = run({"train", "--data", path("q"), "--out", path("q"), "--quiet"});
  EXPECT_EQ(onto.code, 1);
  EXPECT_THAT(onto.err, HasSubstr("--out: expected a folder without inputs"));
  // An unfinished stage is no input.
  EXPECT_EQ(run({"generate", "--goal-cell", "0,0", "--out", path("u"), "--quiet"}).code, 1);
  EXPECT_THAT(run({"train", "--data", path("u"), "--out", path("m"), "--quiet"}).err,
              HasSubstr("--data: " + path("u") + ": expected a finished stage"));
}

TEST_F(CommandTest, RecordingsAreWholeEpisodesAndSaySoWhereThatIsMore) {
  const Outcome less = run({"generate", "--steps", "2000", "--out", path("a"), "--quiet", "--json"});
  ASSERT_EQ(less.code, 0) << less.err;
  EXPECT_EQ(Json::parse(less.out).at("transitions"), 2000);
  EXPECT_EQ(Json::parse(less.out).at("episodes"), 10);
  EXPECT_FALSE(Json::parse(less.out).contains("rounded"));
  const Outcome more =
      run({"generate", "--steps", "2001", "--count", "4", "--out", path("b"), "--quiet", "--json"});
  EXPECT_EQ(Json::parse(more.out).at("transitions"), 2400);
  EXPECT_EQ(Json::parse(more.out).at("episodes"), 12);
  EXPECT_EQ(Json::parse(more.out).at("rounded"), "2001 steps were asked for, 2400 are whole episodes");
  const Outcome exact = run({"generate", "--steps", "64", "--count", "4", "--no-whole-episodes", "--out",
                             path("c"), "--quiet", "--json"});
  EXPECT_EQ(Json::parse(exact.out).at("transitions"), 64);
  const Outcome shorter =
      run({"train", "--data", path("c"), "--horizon", "32", "--stride", "8", "--out", path("m"), "--quiet"});
  EXPECT_EQ(shorter.code, 1);
  EXPECT_THAT(shorter.err, HasSubstr("a lower horizon or stride, or pad, makes windows fit"));
}

TEST_F(CommandTest, TheTinyDemoRunsThroughAndASecondRunReusesEverything) {
  const std::vector<std::string> demo = {"demo", "--tiny", "--out", path("demo"), "--quiet", "--json"};
  const Outcome first = run(demo);
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_TRUE(std::filesystem::exists(path("demo/report.html")));
  const auto trained = std::filesystem::last_write_time(path("demo/base_model/model.safetensors"));
  const Outcome second = run(demo);
  ASSERT_EQ(second.code, 0) << second.err;
  EXPECT_EQ(std::filesystem::last_write_time(path("demo/base_model/model.safetensors")), trained);
  EXPECT_EQ(first.out, second.out);
}

}  // namespace
}  // namespace diffreward::cli
