// The command line from outside: what users type, what they see, and the exit code.
#include "cli/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

#include "cli/stages.h"
#include "cli/toml.h"
#include "core/file.h"
#include "tests/cli/run.h"

namespace diffreward::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

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
  for (const char* name : {"envs", "generate", "data", "train", "extract", "evaluate", "rl", "steer", "plan",
                           "sd sample", "board submit", "board keys", "board serve", "run", "sweep collect",
                           "report", "results", "completion"})
    EXPECT_THAT(help.out, HasSubstr(name));
}

TEST_F(CommandTest, EveryCommandExplainsEveryOption) {
  for (const Command& command : commands()) {
    const Outcome help = run({command.name, "--help"});
    EXPECT_EQ(help.code, 0) << command.name;
    const std::vector<FieldInfo> fields = command.fields();
    for (const FieldInfo& field : fields) {
      EXPECT_THAT(help.out, HasSubstr(option_of(field, fields))) << command.name;
      EXPECT_FALSE(field.help.empty()) << command.name << " " << field.name;
    }
  }
}

TEST_F(CommandTest, NamesOfFieldsAndOptionsAreUnique) {
  for (const Command& command : commands()) {
    const std::vector<FieldInfo> fields = command.fields();
    std::set<std::string> names, options = {"--config", "--json", "--quiet", "--help"};
    for (const FieldInfo& field : fields) {
      EXPECT_TRUE(names.insert(field.name).second) << command.name << " " << field.name;
      EXPECT_TRUE(options.insert(option_of(field, fields)).second) << command.name << " " << field.name;
    }
    for (const std::string& name : names) EXPECT_FALSE(is_group(name, fields)) << command.name << " " << name;
    // A field of a group that is named as the command would hide one at the top, in the command's table.
    for (const std::string& name : names)
      EXPECT_FALSE(names.contains(command.name + "." + name)) << command.name << " " << name;
    for (const std::vector<std::string>& given : {command.required, command.positionals})
      for (const std::string& name : given)
        EXPECT_EQ(fields_named(name, fields).size(), 1u) << command.name << " " << name;
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
  write_file(path("c.toml"), "sead = 4\n");
  EXPECT_THAT(run({"train", "--config", path("c.toml")}).err, HasSubstr("did you mean 'seed'"));
}

TEST_F(CommandTest, BadInputFailsInOneLineAndLeavesNoProduct) {
  const Outcome wall =
      run({"generate", "--env-option", "goal_cell=0,0", "--steps", "10", "--out", path("wall"), "--quiet"});
  EXPECT_EQ(wall.code, 1);
  EXPECT_THAT(wall.err, HasSubstr("goal"));
  EXPECT_FALSE(std::filesystem::exists(path("wall/data.hdf5")));
  write_file(path("torn.safetensors"), "not a model");
  const Outcome torn = run({"steer", "--base", path("torn.safetensors"), "--expert", path("torn.safetensors"),
                            "--reward", path("torn.safetensors"), "--base-data", path("torn.safetensors"),
                            "--expert-data", path("torn.safetensors"), "--out", path("s")});
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
  EXPECT_EQ(seen.size(), 39u) << "every command but envs and run";
  const Outcome train = run({"train", "--out", path("x")});
  EXPECT_EQ(train.err, "diffreward: train: --data is missing\n");
  EXPECT_FALSE(std::filesystem::exists(path("x")));
}

TEST_F(CommandTest, TablesWhereNoTableBelongsAreWrongUse) {
  const auto refused = [&](const std::string& text, const std::string& message) {
    write_file(path("x.toml"), text);
    const Outcome outcome = run({"generate", "--config", path("x.toml"), "--out", path("x")});
    EXPECT_EQ(outcome.code, 2) << text;
    EXPECT_THAT(outcome.err, HasSubstr("x.toml: " + message)) << text;
  };
  refused("reach = {a = 1}\n", "unknown table 'reach'");
  refused("[nothing]\nsteps = 3\n", "unknown table 'nothing'");
  refused("[generat]\nsteps = 3\n", "unknown table 'generat'; did you mean 'generate'?");
  refused("generate = 3\n", "unknown key 'generate'");
  write_file(path("x.toml"), "[generate]\nreach = {a = 1}\n");
  EXPECT_THAT(run({"generate", "--config", path("x.toml"), "--out", path("x")}).err,
              AllOf(HasSubstr("x.toml: "), HasSubstr("reach: expected float")));
  write_file(path("x.toml"), std::string(100'000, '['));
  EXPECT_EQ(run({"generate", "--config", path("x.toml"), "--out", path("x")}).code, 2);
  write_file(path("x.toml"), "#" + std::string(2'000'000, 'x'));
  EXPECT_THAT(run({"generate", "--config", path("x.toml")}).err, HasSubstr("a config of at most"));
}

// A command of nested groups, which share a key's name, and free tables.

struct FakeEnv {
  std::string id;
  Json options = Json::object();

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("id", self.id, "which one");
    field("options", self.options, "of its own");
  }
};

struct FakePpo {
  double lr = 0.1;
  int action_repeat = 1;
  bool clip = false;
  std::vector<int> hidden = {64};
  std::uint64_t seed = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("lr", self.lr, "rate", Bounds{0, 1});
    field("action_repeat", self.action_repeat, "steps", Bounds{1, 100});
    field("clip", self.clip, "or not");
    field("hidden", self.hidden, "units");
    field("seed", self.seed, "of weights");
  }
};

struct FakeReading {
  std::string reading = "plain";
  double beta = 1;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("reading", self.reading, "how", Choices{"plain", "shaped"});
    field("beta", self.beta, "how much");
  }
};

struct FakeSample {
  int steps = 0;
  std::uint64_t seed = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("steps", self.steps, "how many");
    field("seed", self.seed, "of noise");
  }
};

struct FakeConfig {
  FakeEnv env;
  FakePpo ppo;
  FakeReading reading;
  FakeSample sample;
  Json judges = Json::object();
  std::vector<double> weights;
  std::string note, out;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("env", self.env, "where");
    field("ppo", self.ppo, "how");
    field("reading", self.reading, "how it is read");
    field("sample", self.sample, "what");
    field("judges", self.judges, "by name");
    field("weights", self.weights, "of all");
    field("note", self.note, "any text");
    field("out", self.out, "folder");
  }
};

/// Another command, where the names mean other things.
struct OtherConfig {
  std::string sample;
  FakeSample model, train;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("sample", self.sample, "a file");
    field("model", self.model, "a group");
    field("train", self.train, "a group");
  }
};

Json run_fake(const FakeConfig& config) {
  return to_json(config);
}

Json run_other(const OtherConfig& config) {
  return to_json(config);
}

Command fake_command(const std::string& name = "fake") {
  return make_command<FakeConfig, run_fake>(name, "a fake", "", {"env"}, {"env", "out"}, print_result);
}

/// The config that these arguments of the fake give, or the message and exit code of its refusal.
std::string run_fake_command(const std::vector<std::string>& args) {
  std::ostringstream out, err;
  const int code = run_command(fake_command(), args, out, err);
  return code == 0 ? out.str() : concat(code, " ", err.str());
}

/// With the keys of objects sorted, so that equal ones compare equal.
Json sorted(const Json& value) {
  return Json(nlohmann::json(value));
}

Json json(const char* text) {
  return sorted(Json::parse(text));
}

Json flags(const std::vector<std::string>& args) {
  Common common;
  std::string config_file;
  return sorted(parse_flags(fake_command(), args, common, config_file));
}

std::string refused_flags(const std::vector<std::string>& args) {
  try {
    return "took it: " + flags(args).dump();
  } catch (const UsageError& error) {
    return error.what();
  }
}

TEST_F(CommandTest, FlagsMayNameGroupsOrLeaveThemOut) {
  const Json lr = {{"ppo", {{"lr", 3e-4}}}}, repeat = {{"ppo", {{"action_repeat", 4}}}};
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"--ppo.lr", "3e-4"}, {"--ppo.lr=3e-4"}, {"--lr", "3e-4"}, {"--lr=3e-4"}})
    EXPECT_EQ(flags(args), lr) << args[0];
  for (const char* flag :
       {"--ppo.action-repeat", "--ppo.action_repeat", "--action-repeat", "--action_repeat"})
    EXPECT_EQ(flags({flag, "4"}), repeat) << flag;
  const Json on = {{"ppo", {{"clip", true}}}}, off = {{"ppo", {{"clip", false}}}};
  EXPECT_EQ(flags({"--ppo.clip"}), on);
  EXPECT_EQ(flags({"--clip"}), on);
  for (const char* flag : {"--no-ppo.clip", "--no-clip", "--no_clip", "--clip=false"})
    EXPECT_EQ(flags({flag}), off) << flag;
  EXPECT_EQ(flags({"--hidden", "32,16"}), (Json{{"ppo", {{"hidden", {32, 16}}}}}));
  EXPECT_EQ(flags({"--weights", "1,0.5", "--note", "n", "--ppo.seed", "1", "--sample.seed", "2"}),
            json(R"({"ppo": {"seed": 1}, "sample": {"seed": 2}, "weights": [1, 0.5], "note": "n"})"));
  EXPECT_EQ(flags({}), Json::object());
  EXPECT_EQ(flag_of("ppo.action_repeat"), "--ppo.action-repeat");
}

TEST_F(CommandTest, AGroupsFirstTextGoesByTheGroupsName) {
  const Json env = {{"env", {{"id", "a-b_c"}}}};
  for (const char* flag : {"--env", "--env.id", "--id"}) EXPECT_EQ(flags({flag, "a-b_c"}), env) << flag;
  EXPECT_EQ(flags({"a-b_c"}), env) << "by position";
  EXPECT_EQ(flags({"--reading", "shaped"}), (Json{{"reading", {{"reading", "shaped"}}}}));
  EXPECT_THAT(run_fake_command({"x", "--out", "o", "--reading", "shapd"}),
              HasSubstr("2 diffreward: --reading: unknown choice 'shapd'; did you mean 'shaped'?"));
}

TEST_F(CommandTest, FlagsThatMeanNoFieldOrTwoAreWrongUse) {
  EXPECT_EQ(refused_flags({"--seed", "1"}), "'--seed' is ambiguous: --ppo.seed, --sample.seed");
  EXPECT_EQ(refused_flags({"--lrr", "1"}), "unknown option '--lrr'; did you mean '--lr'?");
  EXPECT_EQ(refused_flags({"--ppo.lrr", "1"}), "unknown option '--ppo.lrr'; did you mean '--ppo.lr'?");
  EXPECT_EQ(refused_flags({"--env_optoin", "a=1"}),
            "unknown option '--env-optoin'; did you mean '--env-option'?");
  EXPECT_EQ(refused_flags({"--ppo.lr", "x"}), "--ppo.lr: expected a number, got 'x'");
  EXPECT_EQ(refused_flags({"--lr", "x"}), "--ppo.lr: expected a number, got 'x'");
  EXPECT_EQ(refused_flags({"--hidden", "1,x"}), "--ppo.hidden: expected an integer, got 'x'");
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"--ppo", "1"}, {"--no-lr"}, {"--no-env"}, {"--", "x"}, {"--.lr", "1"}})
    EXPECT_THAT(refused_flags(args), HasSubstr("unknown option")) << args[0];
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"--lr", "1", "--ppo.lr", "1"}, {"--lr"}, {"--env-option"}, {"x", "y"}})
    EXPECT_THAT(refused_flags(args), Not(HasSubstr("took it"))) << args[0];
}

TEST_F(CommandTest, NumbersThatWouldWrapAreWrongUse) {
  for (const std::vector<std::string>& option : {std::vector<std::string>{"--ppo.hidden", "4294967297,1"},
                                                 {"--ppo.seed", "-1"},
                                                 {"--sample.steps", "4294967298"},
                                                 {"--ppo.seed", "18446744073709551616"},
                                                 {"--ppo.hidden", "1,-2147483649"}})
    EXPECT_THAT(run_fake_command({"x", "--out", "o", option[0], option[1]}),
                HasSubstr("2 diffreward: " + option[0] + ": expected"))
        << option[1];
}

TEST_F(CommandTest, EntriesOfFreeTablesAreGivenOneByOne) {
  const auto option = [](const std::string& text) {
    return flags({"--env-option", "k=" + text}).at("env").at("options").at("k");
  };
  EXPECT_EQ(option("[1, [2]]"), json("[1, [2]]"));
  EXPECT_EQ(option(R"({"a": {"b": true}})"), json(R"({"a": {"b": true}})"));
  EXPECT_EQ(option("true"), true);
  EXPECT_EQ(option("false"), false);
  EXPECT_TRUE(option("10").is_number_integer());
  EXPECT_EQ(option("10"), 10);
  EXPECT_EQ(option("-3"), -3);
  EXPECT_EQ(option("18446744073709551615"), ~std::uint64_t{0});
  EXPECT_TRUE(option("1.0").is_number_float());
  EXPECT_EQ(option("-2.5e-3"), -2.5e-3);
  EXPECT_EQ(option("1,2"), (Json{1, 2}));
  EXPECT_EQ(option("1,-0.5,3"), (Json{1, -0.5, 3}));
  for (const char* text : {"", "dense", "1,", ",1", "1,,2", "1,x", "[1", "{a: 1}", "inf", "nan", "1 ", "0x1",
                           "True", "null", "a=b=c", "#G#\n# #", "1e999", "-", "\"1\""})
    EXPECT_EQ(option(text), text);

  const Json both = json(R"({"env": {"options": {"map": "a=b", "goal_cell": [1, 2]}}})");
  EXPECT_EQ(flags({"--env-option", "map=a=b", "--env_option=goal_cell=1,2"}), both);
  EXPECT_EQ(flags({"--env.options", "map=a=b", "--options", "goal_cell=1,2"}), both);
  EXPECT_EQ(flags({"--env-option", "a=1", "x"}), json(R"({"env": {"id": "x", "options": {"a": 1}}})"))
      << "each takes one argument";
  EXPECT_EQ(flags({"--judge", R"(dense={"reward": "dense"})", "--judge", "task={}"}),
            json(R"({"judges": {"dense": {"reward": "dense"}, "task": {}}})"));
  EXPECT_EQ(refused_flags({"--env-option", "gain"}), "--env-option: expected KEY=VALUE, got 'gain'");
  EXPECT_EQ(refused_flags({"--env-option", "=3"}), "--env-option: expected KEY=VALUE, got '=3'");
  EXPECT_EQ(refused_flags({"--env-option", "{}"}), "--env-option: expected KEY=VALUE, got '{}'");
  EXPECT_EQ(refused_flags({"--env-option", "a=1", "--env-option", "a=2"}), "--env-option: a is given twice");
}

TEST_F(CommandTest, HelpShowsOneSpellingOfEachOption) {
  const std::string help = run_fake_command({"--help"});
  for (const char* shown :
       {"--env text", "--env-option KEY=VALUE", "--ppo.lr float", "--ppo.hidden int[]", "--no-ppo.clip",
        "--reading text", "--reading.beta float", "--sample.seed int", "--judge KEY=VALUE", "--note text"})
    EXPECT_THAT(help, HasSubstr(shown));
  for (const char* hidden : {"--env.id", "--env.options", "--reading.reading", "--lr", "{}"})
    EXPECT_THAT(help, Not(HasSubstr(hidden)));
  EXPECT_THAT(help, HasSubstr("The last part of a dotted name is enough where"));
}

TEST_F(CommandTest, RequiredOptionsMayBeNested) {
  EXPECT_THAT(run_fake_command({}), HasSubstr("2 diffreward: fake: --env is missing"));
  EXPECT_THAT(run_fake_command({"--env-option", "a=1"}), HasSubstr("fake: --env is missing"));
  EXPECT_THAT(run_fake_command({"--env", "x"}), HasSubstr("fake: --out is missing"));
  write_file(path("x.toml"), "out = \"\"\n[env]\nid = \"x\"\n");
  EXPECT_THAT(run_fake_command({"--config", path("x.toml")}), HasSubstr("fake: --out is missing"));
  EXPECT_EQ(Json::parse(run_fake_command({"x", "--out", "o", "--json"})).at("env").at("id"), "x");
}

class ConfigFileTest : public CommandTest {
 protected:
  /// What a config file of this text gives the fake command.
  Json read(const std::string& text, const std::string& name = "fake") const {
    write_file(path("x.toml"), text);
    const Command command = fake_command(name);
    return sorted(read_config_file(
        path("x.toml"), command,
        {command, make_command<OtherConfig, run_other>("other", "", "", {}, {}, print_result)}));
  }
  std::string refused(const std::string& text) const {
    try {
      return "took it: " + read(text).dump();
    } catch (const UsageError& error) {
      const std::string_view message = error.what();
      EXPECT_TRUE(message.starts_with(path("x.toml: "))) << message;
      return std::string(message.substr(path("x.toml: ").size()));
    }
  }
};

TEST_F(ConfigFileTest, NamesMayBeNestedDottedOrShort) {
  const Json lr = {{"ppo", {{"lr", 0.5}}}};
  for (const char* text : {"lr = 0.5", "ppo.lr = 0.5", "\"ppo.lr\" = 0.5", "ppo = {lr = 0.5}",
                           "[ppo]\nlr = 0.5", "[fake]\nlr = 0.5", "[fake.ppo]\nlr = 0.5",
                           "[fake]\nppo.lr = 0.5", "[fake]\n\"ppo.lr\" = 0.5", "fake.lr = 0.5"})
    EXPECT_EQ(read(text), lr) << text;
  EXPECT_EQ(read("env = \"x\"\nreading = \"shaped\""),
            json(R"({"env": {"id": "x"}, "reading": {"reading": "shaped"}})"));
  EXPECT_EQ(
      read("[env]\nid = \"x\"\n[env.options]\nlr = 1\nseed = [{a = 1}]\n[judges.dense]\nreward = \"dense\""),
      json(R"({"env": {"id": "x", "options": {"lr": 1, "seed": [{"a": 1}]}},
                            "judges": {"dense": {"reward": "dense"}}})"));
  EXPECT_EQ(read(""), Json::object());
}

TEST_F(ConfigFileTest, TheCommandsTableWinsOverTheTopKeyByKey) {
  EXPECT_EQ(read("lr = 0.5\nclip = true\nhidden = [1, 2]\n[env]\nid = \"a\"\noptions = {p = 1, q = {r = 2}}\n"
                 "[fake]\nppo = {lr = 0.25, hidden = [3]}\nenv.options = {q = {s = 4}, t = 5}\n"),
            json(R"({"ppo": {"lr": 0.25, "clip": true, "hidden": [3]},
                            "env": {"id": "a", "options": {"p": 1, "q": {"r": 2, "s": 4}, "t": 5}}})"));
}

TEST_F(ConfigFileTest, OtherCommandsNamesMayStandAtTheTop) {
  EXPECT_EQ(read("lr = 0.5\nmodel.steps = 3\n[train]\nseed = 1\n[other]\nanything = 1\n"),
            (Json{{"ppo", {{"lr", 0.5}}}}));
  // A name of both means to each what it is there: here a group, for the other a file.
  EXPECT_EQ(read("sample = \"file\"\n"), Json::object());
  EXPECT_EQ(read("sample.steps = 3\n"), (Json{{"sample", {{"steps", 3}}}}));
  EXPECT_THAT(refused("sample.stepz = 3\n"), HasSubstr("unknown key 'sample.stepz'"));
}

TEST_F(ConfigFileTest, UnknownAndAmbiguousNamesAreRefused) {
  EXPECT_EQ(refused("seed = 1\n"), "'seed' is ambiguous: ppo.seed, sample.seed");
  EXPECT_EQ(refused("[fake]\nseed = 1\n"), "[fake] 'seed' is ambiguous: ppo.seed, sample.seed");
  EXPECT_EQ(refused("lrr = 1\n"), "unknown key 'lrr'; did you mean 'lr'?");
  EXPECT_EQ(refused("[ppo]\nlrr = 1\n"), "unknown key 'ppo.lrr'; did you mean 'ppo.lr'?");
  EXPECT_EQ(refused("[fake]\nlrr = 1\n"), "[fake] unknown key 'lrr'; did you mean 'lr'?");
  EXPECT_EQ(refused("[fake.ppo]\nlrr = 1\n"), "[fake] unknown key 'ppo.lrr'; did you mean 'ppo.lr'?");
  EXPECT_EQ(refused("[model]\nstepz = 1\n"), "unknown key 'model.stepz'; did you mean 'model.steps'?");
  EXPECT_EQ(refused("[poo]\nlr = 1\n"), "unknown table 'poo'; did you mean 'ppo'?");
  EXPECT_EQ(refused("[fale]\nlr = 1\n"), "unknown table 'fale'; did you mean 'fake'?");
  EXPECT_EQ(refused("[lr]\na = 1\n"),
            "unknown table 'lr'; known: fake other env.options judges env options ppo "
            "reading sample model train");
  EXPECT_EQ(refused("ppo = 3\n"), "ppo: expected a table of keys, got 3");
  EXPECT_EQ(refused("[fake]\nppo = 3\n"), "[fake] ppo: expected a table of keys, got 3");
  EXPECT_EQ(refused("lr = 1\nppo.lr = 1\n"), "ppo.lr: given twice");
}

TEST_F(ConfigFileTest, AGroupMayBeNamedAsTheCommandOrAnother) {
  const std::string text = "[ppo]\nlr = 0.5\nseed = 3\nnote = \"n\"\nsample.seed = 4\n";
  EXPECT_EQ(read(text, "ppo"),
            json(R"({"ppo": {"lr": 0.5, "seed": 3}, "note": "n", "sample": {"seed": 4}})"));
  write_file(path("y.toml"), "[ppo]\nlr = 0.5\n");
  EXPECT_EQ(read_config_file(path("y.toml"), fake_command(), {fake_command(), fake_command("ppo")}),
            (Json{{"ppo", {{"lr", 0.5}}}}));
}

TEST_F(ConfigFileTest, FlagsWinOverFilesKeyByKey) {
  write_file(path("run.toml"),
             "out = \"o\"\n[env]\nid = \"a\"\noptions = {p = 1, q = 2}\n[ppo]\nlr = 0.5\nseed = 3\n");
  const Json config = Json::parse(run_fake_command(
      {"--config", path("run.toml"), "--lr", "0.25", "--env", "b", "--env-option", "q=3", "--json"}));
  EXPECT_EQ(config.at("ppo").at("lr"), 0.25);
  EXPECT_EQ(config.at("ppo").at("seed"), 3);
  EXPECT_EQ(config.at("env"), json(R"({"id": "b", "options": {"p": 1, "q": 3}})"));
  write_file(path("run.toml"), "out = \"o\"\nenv = \"a\"\nlr = 2\n");
  EXPECT_THAT(run_fake_command({"--config", path("run.toml")}),
              HasSubstr("run.toml: ppo.lr: expected a number in [0, 1], got 2"));
  write_file(path("run.toml"), "out = \"o\"\nenv.options = 3\n");
  EXPECT_THAT(run_fake_command({"--config", path("run.toml")}),
              HasSubstr("run.toml: env.options: expected a table, got 3"));
}

TEST_F(ConfigFileTest, AConfigComesBackFromItsToml) {
  using Limits = std::numeric_limits<double>;
  FakeConfig config;
  config.note =
      std::string("two\nlines\r\n\ttabs, 'single' and \"double\" \"\"\" quotes, \\n, \x01\x7f, \xc3\xa4 ") +
      "\xf0\x9f\x98\x80 #" + std::string(1, '\0') + "x";
  config.out = "true";
  config.env.id = "3";
  config.ppo.lr = 1.0 / 3;
  config.ppo.seed = ~std::uint64_t{0};
  config.ppo.hidden = {};
  config.sample.seed = std::uint64_t{1} << 63;
  config.sample.steps = -7;
  config.weights = {0.1,    1e-5,          1,     -0.0,          123456.7, 1e6,  1e22, 0.1 + 0.2,
                    1e-300, Limits::max(), 1e300, Limits::min(), 1e100,    3e-4, -2.5, Limits::denorm_min()};
  config.judges = Json::parse(
      R"({"dense": {"reward": "dense", "none": {}, "empty": []}, "a b": 1, "x.y": [1, 2.0, "3", true, [{"p": [], "q q": {}}]],
          "": "", "\u00e4": 1.5, "\"q\"": {"[z]": {"k": -1}}, "tables": [{"a": 1}, {"b": {"c": 0.1}}], "lr": 1})");
  config.env.options = {{"long", std::vector<double>(100, 0.001)}, {"one", 1}, {"float", 1.0}};
  const Json json = to_json(config);
  const std::string text = to_toml(json);
  FakeConfig other;
  update(other, read(text));
  EXPECT_EQ(to_json(other), json) << text;
  EXPECT_TRUE(std::signbit(other.weights[3]));
  EXPECT_TRUE(other.env.options.at("one").is_number_integer());
  EXPECT_TRUE(other.env.options.at("float").is_number_float());

  // As a command's defaults, and where a group is named as the command.
  const Json defaults = to_json(FakeConfig{});
  for (const char* name : {"fake", "ppo"}) {
    FakeConfig again;
    again.ppo.seed = 1;
    again.sample.steps = 1;
    update(again, read(to_toml(defaults), name));
    EXPECT_EQ(to_json(again), defaults) << name;
  }
}

TEST_F(ConfigFileTest, TomlIsInTheConfigsOrderWithShortNumbers) {
  FakeConfig config;
  config.ppo.lr = 3e-4;
  config.env.options = {{"gain", 10}, {"map", "#G#\n# #"}};
  config.weights = {1, 0.25};
  EXPECT_EQ(
      to_toml(to_json(config)),
      "weights = [ 1.0, 0.25 ]\nnote = \"\"\nout = \"\"\n\n[env]\nid = \"\"\n\n[env.options]\ngain = 10\n"
      "map = \"#G#\\n# #\"\n\n[ppo]\nlr = 0.0003\naction_repeat = 1\nclip = false\nhidden = [ 64 ]\n"
      "seed = 0\n\n[reading]\nreading = \"plain\"\nbeta = 1.0\n\n[sample]\nsteps = 0\nseed = 0\n\n"
      "[judges]\n");
  EXPECT_EQ(
      to_toml(
          Json::parse(R"({"steps": [{"name": "b", "in": {"y": 1}}, {"name": "a", "of": [{}]}], "x": []})")),
      "x = []\n\n[[steps]]\nname = \"b\"\n\n[steps.in]\ny = 1\n\n[[steps]]\nname = \"a\"\n\n[[steps.of]]\n");
  EXPECT_THROW(to_toml({{"a", {{"b", nullptr}}}}), InvalidArgument);
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
             next = starts("next", {"--seed", "1"}),
             expert = starts("expert", {"--env-option", "goal_cell=1,1"});
  EXPECT_EQ(train.size(), 32u);
  EXPECT_EQ(starts("again", {}), train);
  for (const auto* other : {&held_out, &next, &expert})
    for (const auto& start : *other) EXPECT_FALSE(train.contains(start));
}

TEST_F(CommandTest, AnExpertsRecordingKeepsTheEnvironmentsOwnGoal) {
  const Outcome made = run({"generate", "--role", "expert", "--env", "Maze2D-Large-v0", "--steps", "400",
                            "--count", "2", "--out", path("e"), "--quiet"});
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_FALSE(Dataset::open(path("e/data.hdf5")).provenance().env_options.contains("random_goal"));
}

TEST_F(CommandTest, AJudgesFilesAreInputs) {
  write_file(path("m.txt"), "#####\n#OOO#\n###O#\n#OOO#\n#####\n");
  RlConfig config;
  config.run.out = path("agent");
  config.judges = {{"other", {{"map", path("m.txt")}, {"goal_cell", {1, 1}}}}};
  const StageSpec stage = stage_of(config);
  ASSERT_EQ(stage.inputs.size(), 2u);
  EXPECT_EQ(stage.inputs[0].option, "judges.other.map");
}

TEST_F(CommandTest, PipesDevicesAndOtherTextsAreRefused) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"data", "info", path("pipe")},
        {"data", "info", "/dev/zero"},
        {"generate", "--config", path("pipe"), "--out", path("x")},
        {"train", "--data", path("pipe"), "--out", path("x")},
        {"envs", "Maze2D-UMaze-v0", "--env-option", "map=" + path("pipe")},
        {"generate", "--env-option", "map=" + path("pipe"), "--out", path("x")},
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
  fails.insert(fails.end(), {"--env-option", "goal_cell=0,0"});
  EXPECT_EQ(run(fails).code, 1);
  EXPECT_EQ(read_file(path("q/stage.json")), record);
  EXPECT_EQ(read_file(path("q/config.toml")), config);
  // A stage onto its own input, and onto another command's stage.
  const Outcome onto = run({"train", "--data", path("q"), "--out", path("q"), "--quiet"});
  EXPECT_EQ(onto.code, 1);
  EXPECT_THAT(onto.err, HasSubstr("--out: expected a folder without inputs"));
  // An unfinished stage is no input.
  EXPECT_EQ(run({"generate", "--env-option", "goal_cell=0,0", "--out", path("u"), "--quiet"}).code, 1);
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

TEST_F(CommandTest, BashCompletesCommandsOptionsAndValues) {
  const Outcome script = run({"completion", "bash"});
  ASSERT_EQ(script.code, 0);
  write_file(path("completion.sh"), script.out);
  const auto offered = [&](const std::string& words, int current) {
    write_file(path("probe.sh"),
               concat("source ", path("completion.sh"), "\nCOMP_WORDS=(diffreward ", words,
                      ")\nCOMP_CWORD=", current, "\n_diffreward\necho \"${COMPREPLY[@]}\"\n"));
    FILE* shell = ::popen(("bash " + path("probe.sh")).c_str(), "r");
    std::string out;
    for (int c; (c = std::fgetc(shell)) != EOF;) out += static_cast<char>(c);
    EXPECT_EQ(::pclose(shell), 0);
    return out;
  };
  EXPECT_EQ(offered("tr", 1), "train\n");
  EXPECT_EQ(offered("train --da", 2), "--data\n");
  EXPECT_EQ(offered("train --model.net ''", 3), "mlp unet\n");
  EXPECT_EQ(offered("rl --env Maze2D-U", 3), "Maze2D-UMaze-v0\n");
  EXPECT_EQ(offered("rl --ppo.l", 2), "--ppo.lr --ppo.lr-schedule --ppo.lambda\n");
  EXPECT_EQ(offered("run maze2d-um", 2), "maze2d-umaze\n");
  EXPECT_EQ(offered("data ch", 2), "check\n");
  EXPECT_EQ(offered("s", 1), "shard steer sd sweep\n");
  EXPECT_EQ(offered("sd de", 2), "decode\n");
  EXPECT_EQ(offered("sd sample --safety m", 4), "medium max\n");
  EXPECT_EQ(offered("sd encode --ima", 3), "--images\n");
  for (const char* shell : {"zsh", "fish"})
    EXPECT_THAT(run({"completion", shell}).out, HasSubstr("diffreward")) << shell;
}

TEST_F(CommandTest, TheTinyDemoRunsThroughAndASecondRunReusesEverything) {
  const std::vector<std::string> demo = {"run", "maze2d-tiny", "--out", path("demo"), "--quiet", "--json"};
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
