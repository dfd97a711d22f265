// Jobs: what a file means, what is refused, and what is made once.
#include "cli/job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>

#include "cli/report.h"
#include "cli/run.h"
#include "cli/stage.h"
#include "core/file.h"
#include "tests/cli/run.h"
#include "tests/core/temporary_folder.h"

namespace diffreward::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kWalks = R"(
title = "Walks in ${place.env}"
seed = 3

[place]
env = "Maze2D-UMaze-v0"
map = ""
goal_cell = [1, 1]

[[steps]]
name = "base_data"
command = "generate"
env = { id = "${place.env}", options = { map = "${place.map}" } }
steps = 400
count = 2
seed = "${seed}"

[[steps]]
name = "expert_data"
like = "base_data"
env = { options = { goal_cell = "${place.goal_cell}" } }

[[steps]]
name = "fixed"
command = "generate"
steps = 400
count = 2

[[steps]]
name = "model"
command = "train"
data = "expert_data"
model = { horizon = 4, stride = 1, dim = 8, layers = 1 }
steps = 2
batch = 4

[[figures]]
name = "reward per step"
value = "expert_data.reward_per_step"
bar = "<= 1"
)";

class JobTest : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  std::string write(const std::string& name, const std::string& text) const {
    write_file(path(name), text);
    return path(name);
  }
  Job plan(const std::string& text, const std::vector<std::uint64_t>& seeds = {}) const {
    return plan_job(load_job(write("job.toml", text)), path("out"), seeds);
  }
  std::string refusal(const std::string& text, const Json& set = Json::object()) const {
    return message_of<UsageError>(
        [&] { plan_job(set_in_job(load_job(write("bad.toml", text)), set), path("out"), {}); });
  }

  TemporaryFolder folder_;
};

const JobStep& step(const JobRun& run, const std::string& name) {
  return *std::find_if(run.steps.begin(), run.steps.end(), [&](const JobStep& s) { return s.name == name; });
}

std::string inside(const Job& job, std::size_t run, const std::string& name, const std::string& out) {
  return step(job.runs[run], name).folder.lexically_relative(out).string();
}

TEST_F(JobTest, VariablesInputsAndLikenessAreResolved) {
  const Job job = plan(kWalks);
  EXPECT_EQ(job.title, "Walks in Maze2D-UMaze-v0");
  ASSERT_EQ(job.runs.size(), 1u);
  const JobStep& expert = step(job.runs[0], "expert_data");
  EXPECT_EQ(expert.command, "generate");
  EXPECT_EQ(expert.config.at("env"),
            Json::parse(R"({"id": "Maze2D-UMaze-v0", "options": {"goal_cell": [1, 1]}})"))
      << "an empty variable leaves its key out";
  EXPECT_EQ(expert.config.at("steps"), 400);
  EXPECT_EQ(expert.config.at("seed"), 3);
  const JobStep& model = step(job.runs[0], "model");
  EXPECT_EQ(model.config.at("data"), path("out/expert_data"));
  EXPECT_THAT(model.needs, ElementsAre("expert_data"));
  EXPECT_EQ(model.folder, path("out/model"));
}

TEST_F(JobTest, AStepHasAFolderForEachVariableThatItDependsOn) {
  const Job job = plan(std::string(kWalks) + "[sweep]\n\"place.goal_cell\" = [[1, 1], [3, 1]]\n", {0, 1});
  ASSERT_EQ(job.runs.size(), 4u);
  EXPECT_EQ(inside(job, 3, "fixed", path("out")), "fixed");
  EXPECT_EQ(inside(job, 3, "base_data", path("out")), "seed_1/base_data");
  EXPECT_EQ(inside(job, 3, "model", path("out")), "seed_1/goal_cell_3_1/model");
  EXPECT_EQ(step(job.runs[1], "model").config.at("data"), path("out/seed_0/goal_cell_3_1/expert_data"));
  std::set<std::filesystem::path> folders;
  for (const JobRun& run : job.runs)
    for (const JobStep& s : run.steps) folders.insert(s.folder);
  EXPECT_EQ(folders.size(), 1u + 2 + 4 + 4);
  // One seed alone lies where it lies among others.
  EXPECT_EQ(inside(plan(kWalks, {1}), 0, "base_data", path("out")), "seed_1/base_data");
  EXPECT_EQ(inside(plan(kWalks, {1}), 0, "fixed", path("out")), "fixed");
}

TEST_F(JobTest, ValuesAreSetInVariablesAndSteps) {
  const Json document = set_in_job(
      load_job(write("job.toml", kWalks)),
      {{"place.goal_cell", {3, 1}}, {"seed", 8}, {"model.dim", 16}, {"expert_data.waypoints.gain", 5}});
  const Job job = plan_job(document, path("out"), {});
  const JobStep& expert = step(job.runs[0], "expert_data");
  EXPECT_EQ(expert.config.at("env").at("options").at("goal_cell"), Json({3, 1}));
  EXPECT_EQ(expert.config.at("waypoints").at("gain"), 5);
  EXPECT_EQ(expert.config.at("seed"), 8);
  EXPECT_EQ(step(job.runs[0], "model").config.at("model").at("dim"), 16);
}

TEST_F(JobTest, AFileExtendsAnother) {
  write("under.toml", kWalks);
  const Job job = plan(R"(
extends = "under.toml"
drop = ["fixed"]
[place]
goal_cell = [3, 1]
[set.base_data]
steps = 800
[[steps]]
name = "longer"
like = "model"
steps = 4
[[figures]]
name = "reward per step"
value = "base_data.reward_per_step"
)");
  std::vector<std::string> names;
  for (const JobStep& s : job.runs[0].steps) names.push_back(s.name);
  EXPECT_THAT(names, ElementsAre("base_data", "expert_data", "model", "longer"));
  EXPECT_EQ(step(job.runs[0], "expert_data").config.at("steps"), 800)
      << "what is like a changed step changes";
  EXPECT_EQ(step(job.runs[0], "expert_data").config.at("env").at("options").at("goal_cell"), Json({3, 1}));
  EXPECT_EQ(step(job.runs[0], "longer").config.at("steps"), 4);
  ASSERT_EQ(job.figures.size(), 1u);
  EXPECT_EQ(job.figures[0].value, "base_data.reward_per_step");
}

TEST_F(JobTest, WrongFilesAreRefusedWithTheNearestName) {
  const std::string head = "seed = 0\n[[steps]]\nname = \"a\"\ncommand = \"generate\"\n";
  EXPECT_THAT(refusal("[[steps]]\nname = \"a\"\ncommand = \"generat\"\n"),
              HasSubstr("step a: unknown command of a step 'generat'; did you mean 'generate'?"));
  EXPECT_THAT(refusal(head + "stepz = 5\n"), HasSubstr("step a: unknown key 'stepz'; did you mean 'steps'?"));
  EXPECT_THAT(refusal(head + "steps = \"many\"\n"), HasSubstr("step a: steps: expected int"));
  EXPECT_THAT(refusal(head + "steps = \"${sed}\"\n"),
              HasSubstr("step a: unknown variable 'sed'; did you mean 'seed'?"));
  EXPECT_THAT(refusal(head + "out = \"x\"\n"), HasSubstr("step a: out: expected no such key"));
  EXPECT_THAT(refusal(head + "[[steps]]\nname = \"m\"\ncommand = \"train\"\ndata = \"aa\"\n"),
              HasSubstr("step m: data: unknown earlier step 'aa'; did you mean 'a'?"));
  EXPECT_THAT(refusal("[[steps]]\nname = \"m\"\ncommand = \"train\"\ndata = \"a\"\n" + head.substr(9)),
              HasSubstr("step m: data: expected an earlier step, got a, which is not"));
  EXPECT_THAT(refusal(head + "[[steps]]\nname = \"b\"\nlike = \"aa\"\n"),
              HasSubstr("step b: like: unknown earlier step 'aa'"));
  EXPECT_THAT(refusal(head + head.substr(9)), HasSubstr("steps: expected one name each"));
  EXPECT_THAT(refusal("[[steps]]\nname = \"../a\"\ncommand = \"generate\"\n"), HasSubstr("letters, digits"));
  EXPECT_THAT(refusal(head + "[[figures]]\nname = \"f\"\nvalue = \"b.x\"\n"),
              HasSubstr("figure f: unknown step 'b'"));
  EXPECT_THAT(refusal(head + "[[figures]]\nname = \"f\"\nvalu = \"a.x\"\n"),
              HasSubstr("figure f: unknown key 'valu'; did you mean 'value'?"));
  EXPECT_THAT(refusal(head + "[set.b]\nsteps = 3\n"), HasSubstr("set: unknown step 'b'"));
  EXPECT_THAT(refusal(head + "[maze]\nrowz = 3\n"),
              HasSubstr("maze: unknown key 'rowz'; did you mean 'rows'?"));
  EXPECT_THAT(refusal(head, {{"maze.map", "x"}}), HasSubstr("--set: unknown variable or step 'maze.map'"));
  EXPECT_THAT(refusal(head + "extends = 3\n"), HasSubstr("step a: unknown key 'extends'"));
  EXPECT_THAT(refusal("extends = \"bad.toml\"\n"), HasSubstr("files that extend each other"));
  EXPECT_THAT(refusal("extends = \"maze2d-umase\"\n"), HasSubstr("did you mean 'maze2d-umaze'?"));
  EXPECT_THAT(refusal("seed = 1\n"), HasSubstr("steps: expected at least one"));
}

TEST_F(JobTest, EveryBuiltInJobIsSound) {
  for (const std::string& name : builtin_jobs()) {
    const Job job = plan_job(load_job(name), path("out"), {0, 1});
    EXPECT_FALSE(job.title.empty()) << name;
    EXPECT_FALSE(job.figures.empty()) << name;
  }
}

TEST_F(JobTest, PromptsAreAStepsWhereTheyNameOne) {
  const Job job = plan_job(load_job("images"), path("out"), {});
  for (const auto& [name, prompts] : {std::pair{"reward", "prompts"}, {"samples_base", "test_prompts"}}) {
    const JobStep& reader = step(job.runs[0], name);
    EXPECT_THAT(reader.needs, testing::Contains(prompts)) << name;
    EXPECT_EQ(reader.config.at("prompts"), step(job.runs[0], prompts).folder.string()) << name;
  }
  write_file(
      path("text.toml"),
      "[[steps]]\nname = \"pictures\"\ncommand = \"sd sample\"\nmodel = \".\"\nprompts = \"castle\"\n");
  const Job text = plan_job(load_job(path("text.toml")), path("out"), {});
  EXPECT_EQ(step(text.runs[0], "pictures").config.at("prompts"), "castle") << "a text stays one";
}

TEST_F(JobTest, TheRecipeGivesTheSettingsOfTheFourMazes) {
  const auto model = [&](const char* maze, const char* name) {
    const Job job = plan_job(load_job(concat("maze2d-", maze)), path("out"), {});
    const Json& config = step(job.runs[0], name).config;
    return std::pair<int, int>(config.at("model").at("horizon"), config.at("model").at("stride"));
  };
  EXPECT_EQ(model("umaze", "base_model"), std::pair(1, 1));
  EXPECT_EQ(model("medium", "base_model"), std::pair(8, 16));
  EXPECT_EQ(model("large", "base_model"), std::pair(24, 16));
  EXPECT_EQ(model("umaze", "base_path_model"), std::pair(24, 8));
  EXPECT_EQ(model("medium", "base_path_model"), std::pair(20, 16));
  EXPECT_EQ(model("large", "base_path_model"), std::pair(24, 16));
  const auto steps = [&](const char* maze, const char* name, const char* field) {
    const Job job = plan_job(load_job(concat("maze2d-", maze)), path("out"), {});
    return step(job.runs[0], name).config.at(field).get<int>();
  };
  EXPECT_EQ(steps("umaze", "base_data", "episode_steps"), 200);
  EXPECT_EQ(steps("medium", "base_data", "episode_steps"), 350);
  EXPECT_EQ(steps("large", "base_data", "episode_steps"), 550);
  EXPECT_EQ(steps("large", "base_data", "steps"), 512 * 1200);
  EXPECT_EQ(steps("umaze", "rl_true", "env_steps"), 40 * 32768);
  EXPECT_EQ(steps("medium", "rl_true", "env_steps"), 60 * 32768);
  EXPECT_EQ(steps("large", "rl_true", "env_steps"), 100 * 32768);
}

TEST_F(JobTest, AMapOfOnesOwnIsAJobLikeAnyOther) {
  write_file(path("ring.txt"), "#######\n#OOOOO#\n#O###O#\n#O#O#O#\n#OOOOO#\n#######\n");
  const Json document =
      set_in_job(load_job("maze2d"), {{"maze.map", path("ring.txt")}, {"maze.goal_cell", {1, 5}}});
  const Job job = plan_job(document, path("out"), {});
  EXPECT_EQ(job.column, "ring");
  const Json& expert = step(job.runs[0], "expert_data").config;
  EXPECT_EQ(expert.at("env").at("options").at("map"), path("ring.txt"));
  EXPECT_EQ(expert.at("env").at("options").at("goal_cell"), Json({1, 5}));
  EXPECT_GT(step(job.runs[0], "rl_true").config.at("episode_steps"), expert.at("episode_steps"));
}

TEST_F(JobTest, RunsListsAndReuses) {
  const std::string job = write("job.toml", kWalks);
  const auto states = [&](const std::vector<std::string>& more) {
    std::vector<std::string> args = {"run", job, "--out", path("out"), "--list", "--json"};
    args.insert(args.end(), more.begin(), more.end());
    const Outcome outcome = run(args);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    std::map<std::string, std::string> of;
    const Json listed = Json::parse(outcome.out);
    for (const Json& entry : listed.at("steps")) of[entry.at("step")] = entry.at("state");
    return of;
  };
  EXPECT_EQ(states({}).at("model"), "to do");
  const Outcome part = run({"run", job, "--out", path("out"), "--only", "expert_data", "--results",
                            path("kept.json"), "--quiet", "--json"});
  ASSERT_EQ(part.code, 0) << part.err;
  EXPECT_TRUE(Json::parse(part.out).at("figures").contains("reward per step"));
  ASSERT_EQ(load_results(path("kept.json")).size(), 1u);
  EXPECT_EQ(load_results(path("kept.json"))[0].command, "diffreward run " + job + " --only expert_data");
  EXPECT_EQ(states({}).at("expert_data"), "done");
  EXPECT_EQ(states({}).at("model"), "to do");
  EXPECT_FALSE(std::filesystem::exists(path("out/results.json"))) << "not all steps are made";

  const Outcome whole = run({"run", job, "--out", path("out"), "--quiet", "--json"});
  ASSERT_EQ(whole.code, 0) << whole.err;
  EXPECT_EQ(states({}).at("model"), "done");
  EXPECT_TRUE(std::filesystem::exists(path("out/report.html")));
  const std::vector<Result> results = load_results(path("out/results.json"));
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].question, "reward per step");
  EXPECT_EQ(results[0].value, stage_record(path("out/expert_data")).at("result").at("reward_per_step"));
  EXPECT_EQ(results[0].command, "diffreward run " + job);

  // What reads a step that is to be made again is to be made again.
  const auto changed = states({"--set", "expert_data.waypoints.gain=5"});
  EXPECT_EQ(changed.at("base_data"), "done");
  EXPECT_EQ(changed.at("expert_data"), "to do again");
  EXPECT_EQ(changed.at("model"), "to do again");

  const auto made = std::filesystem::last_write_time(path("out/model/model.safetensors"));
  const Outcome again = run({"run", job, "--out", path("out"), "--quiet", "--json"});
  EXPECT_EQ(again.out, whole.out);
  EXPECT_EQ(std::filesystem::last_write_time(path("out/model/model.safetensors")), made);
  const Outcome report = run({"report", path("out"), "--out", path("page.html"), "--json"});
  ASSERT_EQ(report.code, 0) << report.err;
  EXPECT_EQ(Json::parse(report.out).at("figures"), Json::parse(whole.out).at("figures"));
}

TEST_F(JobTest, FiguresAreOverSeedsOfWhichEachIsAveragedFirst) {
  const std::string job = write("job.toml", std::string(kWalks) + R"(
[[figures]]
name = "expert over base"
value = "expert_data.reward_per_step"
over = "base_data.reward_per_step"
[[figures]]
name = "expert less base"
value = "expert_data.reward_per_step"
minus = "base_data.reward_per_step"
[[figures]]
name = "expert from base to fixed"
value = "expert_data.reward_per_step"
from = "base_data.reward_per_step"
to = "fixed.reward_per_step"
[[figures]]
name = "share below 2"
value = "expert_data.reward_per_step"
within = 2
[sweep]
"place.goal_cell" = [[1, 1], [3, 1]]
)");
  const Outcome outcome = run({"run", job, "--out", path("out"), "--seeds", "0-2", "--only",
                               "base_data,expert_data,fixed,model", "--quiet", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  std::vector<double> expert, base;
  for (const char* seed : {"seed_0", "seed_1", "seed_2"}) {
    const auto paid = [&](const std::string& folder) {
      return stage_record(path(concat("out/", seed, "/", folder)))
          .at("result")
          .at("reward_per_step")
          .get<double>();
    };
    expert.push_back((paid("goal_cell_1_1/expert_data") + paid("goal_cell_3_1/expert_data")) / 2);
    base.push_back(paid("base_data"));
  }
  std::map<std::string, Result> results;
  for (const Result& result : load_results(path("out/results.json"))) results[result.question] = result;
  const Result& plain = results.at("reward per step");
  EXPECT_THAT(plain.runs, testing::Pointwise(testing::DoubleEq(), expert));
  EXPECT_THAT(plain.seeds, ElementsAre(0, 1, 2));
  const Estimate t = mean_of_runs(expert);
  ASSERT_TRUE(plain.interval);
  EXPECT_DOUBLE_EQ(plain.interval->at(0), t.low);
  EXPECT_DOUBLE_EQ(results.at("expert over base").value, mean(expert) / mean(base));
  EXPECT_NEAR(results.at("expert less base").value, mean(expert) - mean(base), 1e-12);
  const double fixed = stage_record(path("out/fixed")).at("result").at("reward_per_step");
  EXPECT_NEAR(results.at("expert from base to fixed").value,
              (mean(expert) - mean(base)) / (fixed - mean(base)), 1e-9);
  EXPECT_EQ(results.at("share below 2").value, 1);
  EXPECT_TRUE(std::filesystem::exists(path("out/seed_1/goal_cell_3_1/report.html")));
}

TEST_F(JobTest, AReportIsWrittenAgainFromAnywhereWithItsSeeds) {
  write_file(path("my.txt"), "#####\n#OOO#\n###O#\n#OOO#\n#####\n");
  const std::string job = write("job.toml", kWalks);
  const Outcome made = run({"run", job, "--out", path("out"), "--seeds", "0,18446744073709551615", "--set",
                            "place.map=" + path("my.txt"), "--quiet", "--json"});
  ASSERT_EQ(made.code, 0) << made.err;
  const Outcome again = run({"report", path("out"), "--json"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(Json::parse(again.out).at("figures"), Json::parse(made.out).at("figures"));
  EXPECT_EQ(run({"report", path("out"), "--out", path("page.html")}).code, 2) << "each run has a page";
}

TEST_F(JobTest, AValueThatIsSetTakesThePlaceOfASweep) {
  const Json document = set_in_job(
      load_job(write("job.toml", std::string(kWalks) + "[sweep]\n\"place.goal_cell\" = [[1, 1], [3, 1]]\n")),
      {{"place.goal_cell", {2, 3}}});
  const Job job = plan_job(document, path("out"), {});
  ASSERT_EQ(job.runs.size(), 1u);
  EXPECT_EQ(step(job.runs[0], "expert_data").config.at("env").at("options").at("goal_cell"), Json({2, 3}));
  EXPECT_THAT(refusal(std::string(kWalks) + "[sweep]\nseed = [0, 1]\n"),
              HasSubstr("expected seeds by --seeds"));
  EXPECT_THAT(refusal(std::string(kWalks) + "[sweep]\nsede = [0, 1]\n"),
              HasSubstr("sweep: unknown variable 'sede'; did you mean 'seed'?"));
  EXPECT_THAT(refusal("[[steps]]\nname = \"a\"\ncommand = 3\n"),
              HasSubstr("steps: a: command: expected a name"));
}

TEST_F(JobTest, WrongUseOfRunIsNamed) {
  const std::string job = write("job.toml", kWalks);
  const auto error = [&](const std::vector<std::string>& more) {
    std::vector<std::string> args = {"run", job, "--out", path("out")};
    args.insert(args.end(), more.begin(), more.end());
    const Outcome outcome = run(args);
    EXPECT_EQ(outcome.code, 2);
    return outcome.err;
  };
  EXPECT_THAT(error({"--seeds", "3-1"}), HasSubstr("--seeds: expected at most"));
  EXPECT_THAT(error({"--seeds", "a"}), HasSubstr("--seeds: expected a list"));
  EXPECT_THAT(error({"--seeds", "1,1"}), HasSubstr("--seeds: expected each seed once"));
  EXPECT_THAT(error({"--only", "modell"}), HasSubstr("--only: unknown step 'modell'; did you mean 'model'?"));
  EXPECT_THAT(error({"--set", "model.dimm=3"}), HasSubstr("step model: unknown key"));
  EXPECT_THAT(error({"--seeds", "0-1", "--set", "seed=3"}), HasSubstr("--seeds or --set seed"));
  EXPECT_EQ(run({"run", path("absent.toml"), "--out", path("out")}).code, 2);
  EXPECT_EQ(run({"run", path("maze2d-umaze.toml"), "--out", path("out")}).code, 2)
      << "built-in jobs have no path";
  EXPECT_EQ(run({"run"}).code, 0) << "lists the jobs that are built in";
}

}  // namespace
}  // namespace diffreward::cli
