// What a sweep promises: each index is what `diffreward run` makes of its setting, whoever makes it, how often and in which
// order; stages that several need are made once; what failed or changed is told.
#include "cli/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "core/attempt.h"
#include "core/csv.h"
#include "core/file.h"
#include "leaderboard/results.h"
#include "tests/cli/run_json.h"
#include "tests/core/killed.h"
#include "tests/core/temporary_folder.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kWalksOfAll = R"(
title = "Walks"
seed = 7
nothing = 1

[place]
goal = [1, 1]
map = ""

[[steps]]
name = "base"
command = "generate"
env = { id = "Maze2D-UMaze-v0", options = { goal_cell = "${place.goal}", map = "${place.map}" } }
steps = 200
count = 2
episode_steps = 50

[[steps]]
name = "walks"
like = "base"
seed = "${seed}"

[[steps]]
name = "all"
command = "join"
data = ["base", "walks"]

[[figures]]
name = "reward per step"
value = "walks.reward_per_step"
unit = "a step"
bar = ">= 0.5"

[[figures]]
name = "rows"
value = "all.transitions"
)";

/// The longest time ago that any file below a folder was changed.
std::map<std::string, fs::file_time_type> times_below(const fs::path& folder) {
  std::map<std::string, fs::file_time_type> times;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) times[entry.path().string()] = entry.last_write_time();
  return times;
}

class SweepTest : public testing::Test {
 protected:
  void SetUp() override { write_file(path("job.toml"), kWalksOfAll); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::vector<std::string> plan_args(const std::vector<std::string>& over,
                                     const std::string& name = "sweep") const {
    std::vector<std::string> args = {"sweep", "plan", path("job.toml"), "--out", path(name)};
    for (const std::string& one : over) args.insert(args.end(), {"--over", one});
    return args;
  }
  Json plan(const std::vector<std::string>& over, const std::string& name = "sweep") const {
    return result(plan_args(over, name));
  }
  Json indices(const std::string& name = "sweep") const {
    return read_json_object(folder_ / (name + "/plan.json")).at("indices");
  }
  std::vector<std::string> settings(const std::string& name = "sweep") const {
    std::vector<std::string> texts;
    const Json all = indices(name);
    for (const Json& index : all) texts.push_back(index.at("setting").dump());
    return texts;
  }
  std::string stage(std::uint64_t index, const std::string& step) const {
    const auto names = indices().at(index).at("stages").get<std::vector<std::string>>();
    for (const std::string& name : names)
      if (name.starts_with(step + "-")) return path("sweep/stages/" + name);
    ADD_FAILURE() << "no stage of " << step;
    return "";
  }
  std::size_t count(const std::string& folder) const {
    std::error_code ignored;
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_ / folder, ignored), fs::directory_iterator()));
  }
  /// Compares an index with what `run` makes.
  void expect_as_run(std::uint64_t index, const std::vector<std::string>& set) const {
    fs::remove_all(folder_ / "one");
    std::vector<std::string> args = {"run", path("job.toml"), "--out", path("one")};
    for (const std::string& one : set) args.insert(args.end(), {"--set", one});
    result(args);
    const std::string own = "sweep/runs/" + std::to_string(index) + "/";
    EXPECT_EQ(bytes_of(folder_ / (own + "results.json")), bytes_of(folder_ / "one/results.json"));
    EXPECT_EQ(bytes_of(folder_ / (own + "job.toml")), bytes_of(folder_ / "one/job.toml"));
    for (const char* step : {"base", "walks", "all"})
      EXPECT_TRUE(bytes_of(folder_ / (own + step + "/data.hdf5")) ==
                  bytes_of(folder_ / (std::string("one/") + step + "/data.hdf5")))
          << step;
  }
  TemporaryFolder folder_;
};

const std::vector<std::string> kGainsAndSeeds = {"walks.waypoints.gain=5,10", "seed=0..2"};

TEST_F(SweepTest, APlanCountsSettingsInTheOrderOfItsKeys) {
  const Json first = plan(kGainsAndSeeds);
  EXPECT_EQ(first.at("indices"), 6);
  EXPECT_EQ(first.at("settings"), 2);
  EXPECT_EQ(first.at("stages"), 1 + 6 + 6) << "what depends on no key is one";
  EXPECT_THAT(
      settings(),
      ElementsAre(R"({"walks.waypoints.gain":5,"seed":0})", R"({"walks.waypoints.gain":5,"seed":1})",
                  R"({"walks.waypoints.gain":5,"seed":2})", R"({"walks.waypoints.gain":10,"seed":0})",
                  R"({"walks.waypoints.gain":10,"seed":1})", R"({"walks.waypoints.gain":10,"seed":2})"));
  EXPECT_EQ(plan(kGainsAndSeeds), first) << "the same again is no news";
  EXPECT_THAT(refusal(plan_args({"seed=0..2", "walks.waypoints.gain=5,10"})),
              HasSubstr("plan.json: expected this plan or none, found another"));
  plan({"seed=3,5..6", "walks.whole_episodes=true,false", "place.goal=[[1,1],[3,1]]"}, "other");
  EXPECT_EQ(settings("other").at(4), R"({"seed":5,"walks.whole_episodes":true,"place.goal":[1,1]})");
}

TEST_F(SweepTest, SettingsComeFromAFileToo) {
  write_file(path("over.toml"),
             "[over]\nseed = \"0..1\"\n[[settings]]\nwalks.waypoints.gain = 5\n"
             "place.goal = [3, 1]\n[[settings]]\n\"walks.waypoints.gain\" = 6\nplace.goal = [1, 1]\n");
  std::vector<std::string> args = plan_args({});
  args.insert(args.end(), {"--over-file", path("over.toml")});
  EXPECT_EQ(result(args).at("indices"), 4);
  EXPECT_EQ(settings().at(1), R"({"place.goal":[3,1],"walks.waypoints.gain":5,"seed":1})");
  write_file(path("over.toml"), "[[settings]]\nseed = 1\n[[settings]]\nplace.goal = [1, 1]\n");
  EXPECT_THAT(refusal(args, 2), HasSubstr("settings: expected the same keys in each"));
  write_file(path("over.toml"), "[ove]\nseed = 1\n");
  EXPECT_THAT(refusal(args, 2), HasSubstr("over.toml: unknown table 'ove'; did you mean 'over'?"));
}

TEST_F(SweepTest, AnIndexIsWhatRunMakesInAnyOrderAndTwice) {
  plan(kGainsAndSeeds);
  EXPECT_EQ(result({"sweep", "run", path("sweep"), "--index", "4"}).at("made"), 1);
  EXPECT_EQ(result({"sweep", "status", path("sweep")}).at("missing_index"), "0-3,5");
  const auto before = times_below(folder_ / "sweep/stages");
  for (const char* task : {"2", "0", "1"}) {
    const Json made = result({"sweep", "run", path("sweep"), "--task", task, "--tasks", "3"});
    EXPECT_EQ(made.at("made"), std::string(task) == "2" ? 1 : 2);
    EXPECT_EQ(made.at("failed"), 0);
  }
  EXPECT_EQ(result({"sweep", "run", path("sweep")}).at("kept"), 6);
  const auto after = times_below(folder_ / "sweep/stages");
  for (const auto& [file, time] : before)
    EXPECT_TRUE(after.at(file) == time || fs::path(file).filename().string().starts_with(".")) << file;
  EXPECT_EQ(count("sweep/stages"), 13u);
  EXPECT_EQ(count("sweep/attempts"), 0u);
  const Json status = result({"sweep", "status", path("sweep")});
  EXPECT_EQ(status.at("complete"), true);
  EXPECT_EQ(status.at("stages_done"), 13);
  expect_as_run(0, {"walks.waypoints.gain=5", "seed=0"});
  expect_as_run(5, {"walks.waypoints.gain=10", "seed=2"});
  const auto report = bytes_of(folder_ / "sweep/runs/5/report.html");
  result({"report", path("sweep/runs/5")});
  EXPECT_EQ(bytes_of(folder_ / "sweep/runs/5/report.html"), report) << "its folder is a job's";
}

TEST_F(SweepTest, TheTableHasTheIntervalsOfRunsOverSeeds) {
  plan(kGainsAndSeeds);
  result({"sweep", "run", path("sweep")});
  const Json collected = result({"sweep", "collect", path("sweep"), "--results", path("figures.json")});
  EXPECT_EQ(collected.at("rows"), 2);
  result(
      {"run", path("job.toml"), "--out", path("one"), "--seeds", "0-2", "--set", "walks.waypoints.gain=10"});
  const std::vector<Result> expected = load_results(folder_ / "one/results.json");
  const Json row = read_json_object(folder_ / "sweep/table.json").at("rows").at(1);
  const Json& figure = row.at("figures").at("reward per step");
  ASSERT_EQ(expected.at(0).question, "reward per step");
  EXPECT_EQ(figure.at("value"), expected[0].value);
  EXPECT_EQ(figure.at("runs"), Json(expected[0].runs));
  ASSERT_TRUE(expected[0].interval);
  EXPECT_EQ(figure.at("interval"), Json(*expected[0].interval));
  EXPECT_EQ(row.at("seeds"), Json({0, 1, 2}));
  const std::vector<CsvRow> rows = read_csv(read_file(folder_ / "sweep/table.csv"), "table.csv",
                                            {"walks.waypoints.gain", "runs", "reward per step",
                                             "reward per step low", "reward per step high", "rows"});
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].cells[0], "10");
  EXPECT_EQ(rows[1].cells[1], "3");
  EXPECT_EQ(std::stod(rows[1].cells[2]), expected[0].value);
  EXPECT_EQ(std::stod(rows[1].cells[4]), (*expected[0].interval)[1]);
  EXPECT_EQ(std::stod(rows[1].cells[5]), 400);
  EXPECT_THAT(read_file(folder_ / "sweep/table.md"),
              AllOf(HasSubstr("| walks.waypoints.gain | seeds | reward per step, a step | rows |"),
                    HasSubstr("| 10 | 3 | ")));
  const std::vector<Result> kept = load_results(folder_ / "figures.json");
  ASSERT_EQ(kept.size(), 4u);
  EXPECT_EQ(kept[0].maze, "walks.waypoints.gain=10");
  EXPECT_EQ(kept[0].command, expected[0].command.substr(0, kept[0].command.find(" --")) +
                                 " --seeds 0,1,2 --set walks.waypoints.gain=10");
}

TEST_F(SweepTest, GapsAreNamedAndWhatIsThereIsCollectedOnDemand) {
  plan(kGainsAndSeeds);
  EXPECT_THAT(refusal({"sweep", "collect", path("sweep"), "--partial"}),
              HasSubstr("found none of 0-5; run these"));
  result({"sweep", "run", path("sweep"), "--index", "0,2"});
  EXPECT_THAT(refusal({"sweep", "collect", path("sweep")}),
              HasSubstr("expected all 6 indices, found none of 1,3-5; run these, or collect --partial"));
  EXPECT_FALSE(fs::exists(folder_ / "sweep/table.csv"));
  const Json collected = result({"sweep", "collect", path("sweep"), "--partial"});
  EXPECT_EQ(collected.at("missing_index"), "1,3-5");
  const Json rows = read_json_object(folder_ / "sweep/table.json").at("rows");
  EXPECT_EQ(rows.at(0).at("seeds"), Json({0, 2}));
  EXPECT_EQ(rows.at(0).at("missing"), Json({1}));
  EXPECT_TRUE(rows.at(1).at("figures").empty());
  EXPECT_THAT(read_file(folder_ / "sweep/table.md"),
              AllOf(HasSubstr("| 5 | 2 of 3 | "), HasSubstr("Missing of the sweep: 1,3-5")));
}

TEST_F(SweepTest, AnIndexThatFailsIsToldAndTriedAgain) {
  plan({"place.goal=[[1,1],[9,9],[3,1]]"});
  const Json made = result({"sweep", "run", path("sweep")}, 1);
  EXPECT_EQ(made.at("made"), 2) << "the others are made";
  EXPECT_EQ(made.at("failed_index"), "1");
  EXPECT_THAT(made.at("failures").at(0).at("message").get<std::string>(), HasSubstr("step base: "));
  const Json status = result({"sweep", "status", path("sweep")});
  EXPECT_EQ(status.at("failed_index"), "1");
  EXPECT_EQ(status.at("missing_index"), "1");
  EXPECT_EQ(status.at("failures").at(0).at("setting"), "place.goal=[9,9]");
  EXPECT_THAT(refusal({"sweep", "collect", path("sweep")}), HasSubstr("found none of 1 (1 failed)"));
  EXPECT_EQ(result({"sweep", "run", path("sweep"), "--index", "1"}, 1).at("failed"), 1) << "and fails again";

  plan({"place.goal=[[9,9]]", "seed=0..2"}, "shared");
  EXPECT_EQ(result({"sweep", "run", path("shared")}, 1).at("failed_index"), "0-2");
  ASSERT_EQ(count("shared/attempts"), 1u);
  EXPECT_THAT(fs::directory_iterator(folder_ / "shared/attempts")->path().filename().string(),
              testing::ContainsRegex("^base-[0-9a-f]+\\.1\\."))
      << "a stage that failed is not tried by each index of a run";

  plan({"seed=0,1"}, "mended");
  const std::string walks = indices("mended").at(1).at("stages").at(1);
  fs::create_directories(folder_ / "mended/stages");
  write_file(folder_ / "mended/stages" / walks, "in the way");
  EXPECT_EQ(result({"sweep", "run", path("mended")}, 1).at("failed_index"), "1");
  EXPECT_THAT(
      result({"sweep", "status", path("mended")}).at("failures").at(0).at("message").get<std::string>(),
      HasSubstr(walks + ": expected the stage that its record tells"));
  fs::remove(folder_ / "mended/stages" / walks);
  EXPECT_EQ(result({"sweep", "run", path("mended")}).at("made"), 1);
  EXPECT_EQ(result({"sweep", "status", path("mended")}).at("failed"), 0);
}

TEST_F(SweepTest, WrongUseIsSaid) {
  const auto refused = [&](const std::vector<std::string>& over) { return refusal(plan_args(over), 2); };
  EXPECT_THAT(refused({"sed=0..4"}),
              HasSubstr("--over: unknown variable or step 'sed'; did you mean 'seed'?"));
  EXPECT_THAT(refused({"walks.stps=1,2"}), AllOf(HasSubstr("step walks"), HasSubstr("'stps'")));
  EXPECT_THAT(refused({"seed=0,1", "nothing=1,2"}),
              HasSubstr("--over: nothing: expected a key that a step reads, found none that does"));
  EXPECT_THAT(refused({"seed=4..0"}), HasSubstr("expected a range that grows"));
  EXPECT_THAT(refused({"seed=0,0..1"}), HasSubstr("seed: expected each value once, got two of 0"));
  EXPECT_THAT(refused({"seed=-1..1"}), HasSubstr("seed: expected whole numbers from 0 on, got -1"));
  EXPECT_THAT(refused({"seed=a,,b"}), HasSubstr("expected values such as 0..4 or 1,8, got 'a,,b'"));
  EXPECT_THAT(refused({"walks.steps=many"}), HasSubstr("steps: expected"));
  EXPECT_THAT(refused({"seed=0..99999", "walks.waypoints.gain=5,10"}), HasSubstr("at most 100000 indices"));
  EXPECT_THAT(refused({}), HasSubstr("expected --over KEY=VALUES or --over-file, got neither"));
  std::vector<std::string> both = plan_args({"seed=0..1"});
  both.insert(both.end(), {"--set", "seed=4"});
  EXPECT_THAT(refusal(both, 2), HasSubstr("--set: seed is swept by --over"));
  EXPECT_FALSE(fs::exists(folder_ / "sweep")) << "nothing half-written";
  plan({"seed=0..1"});
  EXPECT_THAT(refusal({"sweep", "run", path("sweep"), "--index", "2"}),
              HasSubstr("index: expected indices below 2"));
  EXPECT_THAT(refusal({"sweep", "run", path("absent")}), HasSubstr("absent"));
  write_file(path("sweep/plan.json"), "{\"format\": \"diffreward shards 1\"}");
  EXPECT_THAT(refusal({"sweep", "status", path("sweep")}),
              HasSubstr("plan.json: expected the plan of a sweep: format: expected 'diffreward sweep 1'"));
}

TEST_F(SweepTest, APlanThatChangedAfterRunsIsRefused) {
  write_file(path("m.txt"), "#####\n#OOO#\n###O#\n#OOO#\n#####\n");
  std::vector<std::string> args = plan_args({"seed=0..1"});
  args.insert(args.end(), {"--only", "walks", "--set", "place.map=" + path("m.txt")});
  result(args);
  write_file(path("m.txt"), "#####\n#OOO#\n#O#O#\n#OOO#\n#####\n");
  EXPECT_THAT(refusal({"sweep", "run", path("sweep")}),
              AllOf(HasSubstr("plan.json: inputs: env.options.map " + path("m.txt")),
                    HasSubstr("expected the file that was planned with, found a changed one")));
  EXPECT_EQ(count("sweep"), 1u) << "nothing but the plan";
  write_file(path("m.txt"), "#####\n#OOO#\n###O#\n#OOO#\n#####\n");
  result({"sweep", "run", path("sweep"), "--index", "0"});

  Json changed = read_json_object(folder_ / "sweep/plan.json");
  changed["indices"][1]["setting"]["seed"] = 5;
  write_file(path("sweep/plan.json"), changed.dump(1) + "\n");
  for (const char* verb : {"run", "status", "collect"})
    EXPECT_THAT(
        refusal({"sweep", verb, path("sweep")}),
        AnyOf(HasSubstr("the plan was changed after this index was run"), HasSubstr("found none of 1")))
        << verb;
  changed["program"] = "of other sources";
  fs::create_directory(folder_ / "other");
  write_file(path("other/plan.json"), changed.dump());
  EXPECT_THAT(refusal({"sweep", "run", path("other")}),
              HasSubstr("program: expected a plan of this program"));
}

TEST_F(SweepTest, KilledAnywhereTheNextRunComesThrough) {
  std::vector<std::string> args = plan_args({"seed=0"});
  args.insert(args.end(), {"--only", "walks", "--set", "walks.steps=20", "--set", "walks.episode_steps=10"});
  result(args);
  result({"sweep", "run", path("sweep")});
  const std::string expected = bytes_of(folder_ / "sweep/runs/0/index.json");
  const fs::path walks = stage(0, "walks");
  const std::string data = bytes_of(walks / "data.hdf5");
  const auto clean = [&] {
    for (const char* part : {"runs", "stages", "attempts", "failed"})
      fs::remove_all(folder_ / "sweep" / part);
  };
  clean();
  const int kills = killed_everywhere(
      [&](int) {
        if (run({"sweep", "run", path("sweep"), "--quiet", "--threads", "1"}).code != 0)
          throw Error("failed");
      },
      [&](int call) {
        SCOPED_TRACE(call);
        EXPECT_TRUE(!fs::exists(walks) || fs::exists(walks / "stage.json")) << "what has its place is whole";
        EXPECT_EQ(result({"sweep", "run", path("sweep"), "--threads", "1"}).at("failed"), 0);
        EXPECT_EQ(bytes_of(folder_ / "sweep/runs/0/index.json"), expected);
        EXPECT_TRUE(bytes_of(walks / "data.hdf5") == data);
        EXPECT_EQ(count("sweep/attempts"), 0u) << "what a killed process left is removed";
        EXPECT_EQ(count("sweep/failed"), 0u);
        clean();
      });
  EXPECT_GT(kills, 20);
}

/// Names an attempt of a process that has ended.
std::string of_an_ended_process(const std::string& key) {
  ProcessName process = ProcessName::self();
  const pid_t gone = start_process([] { return 0; });
  end_of(gone);
  process.number = concat(gone);
  return concat(key, ".3.", process.text());
}

TEST_F(SweepTest, WorkOfAProcessThatEndedIsContinued) {
  plan({"seed=0"});
  result({"sweep", "run", path("sweep")});
  const fs::path walks = stage(0, "walks");
  const fs::path left = folder_ / "sweep/attempts" / of_an_ended_process(walks.filename().string());
  fs::create_directory(left);
  fs::rename(walks, left / "stage");
  fs::remove_all(folder_ / "sweep/runs");
  const auto made = fs::last_write_time(left / "stage/data.hdf5");
  EXPECT_EQ(result({"sweep", "run", path("sweep")}).at("made"), 1);
  EXPECT_EQ(fs::last_write_time(walks / "data.hdf5"), made) << "not made again";
  EXPECT_EQ(count("sweep/attempts"), 0u);
}

TEST_F(SweepTest, WhatAnotherMachineMakesIsWaitedForAsLongAsItLives) {
  plan({"seed=0"});
  result({"sweep", "run", path("sweep")});
  const fs::path walks = stage(0, "walks"), kept = folder_ / "kept";
  const fs::path other =
      folder_ / "sweep/attempts" / (walks.filename().string() + ".1.other.boot.space.1.77");
  fs::remove_all(folder_ / "sweep/runs");
  fs::rename(walks, kept);
  fs::create_directory(other);
  const auto made = fs::last_write_time(kept / "data.hdf5");
  std::thread living([&] {
    for (int beat = 0; beat < 30; ++beat) {
      std::ofstream(other / "beat") << beat;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    fs::rename(kept, walks);
    fs::remove_all(other);
  });
  EXPECT_EQ(result({"sweep", "run", path("sweep"), "--wait", "1"}).at("made"), 1);
  living.join();
  EXPECT_EQ(fs::last_write_time(walks / "data.hdf5"), made) << "the other's";

  fs::remove_all(folder_ / "sweep/runs");
  fs::remove_all(walks);
  fs::create_directory(other);
  write_file(other / "beat", "4");
  EXPECT_EQ(result({"sweep", "run", path("sweep"), "--wait", "0.5"}).at("made"), 1) << "it was lost";
  EXPECT_TRUE(fs::exists(walks / "stage.json"));
  EXPECT_TRUE(fs::exists(other)) << "it may live yet: a person removes it";
}

TEST_F(SweepTest, OfTwoThatMadeAStageTheSecondCompares) {
  plan({"seed=0"});
  const fs::path walks = stage(0, "walks");
  bool came = false;  // another process, just before
  const auto meanwhile = [&](bool equal) {
    came = false;
    fs::remove_all(folder_ / "sweep/runs");
    fs::remove_all(folder_ / "sweep/stages");
    before_rename = [&, equal](const char* to) {
      if (came || fs::path(to) != walks) return;
      came = true;
      for (const auto& entry : fs::directory_iterator(folder_ / "sweep/attempts"))
        if (fs::exists(entry.path() / "stage/stage.json")) fs::copy(entry.path() / "stage", walks);
      if (equal) return;
      Json record = read_json_object(walks / "stage.json");
      record["products"]["data.hdf5"]["sha256"] = std::string(64, '0');
      write_file(walks / "stage.json", record.dump());
    };
  };
  meanwhile(true);
  EXPECT_EQ(result({"sweep", "run", path("sweep")}).at("made"), 1);
  EXPECT_TRUE(came);
  EXPECT_EQ(count("sweep/quarantine"), 0u);
  meanwhile(false);
  const Json failed = result({"sweep", "run", path("sweep")}, 1);
  before_rename = nullptr;
  EXPECT_THAT(failed.at("failures").at(0).at("message").get<std::string>(),
              HasSubstr("expected equal bytes of two attempts at this stage, found others in data.hdf5"));
  EXPECT_EQ(result({"sweep", "status", path("sweep")}).at("quarantined").size(), 1u);
}

TEST_F(SweepTest, ProcessesAtOnceMakeASharedStageOnce) {
  plan({"seed=0..2"});
  std::vector<pid_t> processes;
  for (const char* index : {"0", "1", "2"})
    processes.push_back(start_process([&] {
      return run({"sweep", "run", path("sweep"), "--index", index, "--quiet", "--threads", "1"}).code;
    }));
  for (const pid_t process : processes) EXPECT_EQ(end_of(process), 0);
  EXPECT_EQ(count("sweep/runs"), 3u);
  EXPECT_EQ(count("sweep/stages"), 1u + 3 + 3);
  EXPECT_EQ(count("sweep/attempts"), 0u);
  expect_as_run(2, {"seed=2"});
}

TEST_F(SweepTest, SomeStepsAloneAndAJobWithASweepOfItsOwn) {
  write_file(path("job.toml"), std::string(kWalksOfAll) + "[sweep]\n\"place.goal\" = [[1, 1], [3, 1]]\n");
  std::vector<std::string> args = plan_args({"seed=0..1"});
  args.insert(args.end(), {"--only", "walks"});
  EXPECT_EQ(result(args).at("stages"), 4)
      << "two goals of two seeds, and nothing of the steps that are not wanted";
  EXPECT_EQ(result({"sweep", "run", path("sweep")}).at("made"), 2);
  EXPECT_TRUE(fs::exists(folder_ / "sweep/runs/1/goal_3_1/walks/data.hdf5"));
  result({"sweep", "collect", path("sweep")});
  result({"run", path("job.toml"), "--out", path("one"), "--seeds", "0-1", "--only", "walks", "--results",
          path("one.json")});
  const Json figure = read_json_object(folder_ / "sweep/table.json").at("rows").at(0).at("figures");
  EXPECT_EQ(figure.at("reward per step").at("runs"), Json(load_results(folder_ / "one.json").at(0).runs));
}

TEST_F(SweepTest, ABoardGetsEachAgentOnceUnderItsSetting) {
  write_file(path("job.toml"), R"(
seed = 0
[[steps]]
name = "agent"
command = "rl"
env = { id = "Maze2D-UMaze-v0", options = { goal_cell = [1, 1] } }
count = 8
env_steps = 2048
episodes = 4
episode_steps = 20
seed = "${seed}"
ppo = { epochs = 1 }
[[figures]]
name = "return"
value = "agent.judges.task.return"
)");
  const Json task = {
      {{"name", "maze/one"},
       {"env", "Maze2D-UMaze-v0"},
       {"options", {{"goal_cell", {1, 1}}}},
       {"norm_low", 0},
       {"norm_high", 10},
       {"stream_pool", {{"seed", 11}, {"episodes", 4}, {"instances", 2}, {"episode_steps", 20}}}}};
  write_file(path("tasks.json"), task.dump());
  result({"board", "init", path("b.sqlite"), "--tasks", "none"});
  result({"board", "tasks", path("b.sqlite"), "--add", path("tasks.json")});
  plan({"agent.ppo.lr=1e-3,2e-3", "seed=0..1"});
  result({"sweep", "run", path("sweep"), "--threads", "1"});
  const std::vector<std::string> collect = {
      "sweep", "collect", path("sweep"), "--board", path("b.sqlite"), "--threads", "1"};
  const Json first = result(collect).at("board").at("submitted");
  ASSERT_EQ(first.size(), 4u);
  for (const Json& one : first) EXPECT_EQ(one.at("new_runs"), 1) << one;
  const Json second = result(collect).at("board").at("submitted");
  for (const Json& one : second) {
    EXPECT_EQ(one.at("new_runs"), 0) << one;
    EXPECT_EQ(one.at("known_runs"), 1);
  }
  const Json rows =
      result({"board", "list", path("b.sqlite"), "--threads", "1"}).at("suites").at(0).at("rows");
  ASSERT_EQ(rows.size(), 2u);
  std::set<std::string> names;
  for (const Json& row : rows) {
    names.insert(row.at("name").get<std::string>());
    EXPECT_EQ(row.at("runs"), 2) << "the seeds of a setting";
  }
  EXPECT_THAT(names, ElementsAre("agent, agent.ppo.lr=0.001", "agent, agent.ppo.lr=0.002"));
}

}  // namespace
}  // namespace diffreward::cli
