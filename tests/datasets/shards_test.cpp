// What shards promise: the bytes of one run, whoever makes which of them, how often and in which order, and however they are
// killed; and that nothing else is ever called whole.
#include "datasets/shards.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <functional>
#include <map>
#include <numeric>

#include "agents/scripted/random.h"
#include "agents/scripted/waypoints.h"
#include "core/error.h"
#include "core/file.h"
#include "core/progress.h"
#include "datasets/collect.h"
#include "datasets/scenes/scenes.h"
#include "datasets/windows.h"
#include "envs/catalog.h"
#include "envs/fingerprint.h"
#include "tests/core/killed.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using Outcome = ShardFolder::Outcome;

/// A recording that can be made whole or in shards.
struct Task {
  std::string env = "Maze2D-UMaze-v0";
  int streams = 70, rows_per_stream = 20, max_steps = 15;
  int threads = 1;

  CollectInfo info() const {
    return {.behaviour = "walk", .seed = 5, .env_options = options(), .extra = {{"why", "test"}}};
  }
  Json options() const { return env.starts_with("Maze") ? Json{{"random_goal", true}} : Json::object(); }

  std::unique_ptr<VectorEnv> instances(int count) const {
    return make_vector(env,
                       {.count = count, .threads = threads, .autoreset = "same_step", .max_steps = max_steps},
                       options());
  }
  void record(std::uint64_t first, int count, const fs::path& file, bool shard) const {
    const auto envs = instances(count);
    CollectInfo told = info();
    told.shard = shard;
    told.first_instance = first;
    const Streams noise = streams_of(Recording::kBase, 5, Purpose::kController).skip(first);
    const auto agent = env.starts_with("Maze") ? make_agent(WaypointConfig{.action_noise = 0.1}, *envs, noise)
                                               : make_agent(RandomConfig{}, *envs, noise);
    collect(*envs, *agent, static_cast<std::size_t>(count * rows_per_stream), told, file);
  }
  ShardPlan plan(std::uint64_t shards) const {
    return {.recording = {{"command", "generate"}, {"config", Json::object()}, {"inputs", Json::object()}},
            .commit = "0123456789ab",
            .program = "test",
            .streams = static_cast<std::uint64_t>(streams),
            .rows_per_stream = static_cast<std::uint64_t>(rows_per_stream),
            .shards = shards};
  }
  Task ending_after(int steps) const {
    Task task = *this;
    task.max_steps = steps;
    return task;
  }
};

class Shards : public testing::Test {
 protected:
  void SetUp() override { Progress::silence(); }

  std::string whole(const Task& task = {}) const {
    const fs::path file = folder_ / "whole.h5";
    task.record(0, task.streams, file, false);
    return bytes_of(file);
  }
  static Outcome make(const ShardFolder& shards, std::uint64_t index, const Task& task = {},
                      bool again = false, const std::string& fingerprint = "a") {
    return shards.make(index,
                       {.fingerprint = {{"hash", fingerprint}}, .commit = "0123456789ab", .again = again},
                       [&](const StreamRange& streams, const fs::path& file) {
                         task.record(streams.begin, static_cast<int>(streams.size()), file, true);
                       });
  }
  ShardFolder planned(const std::string& name, std::uint64_t shards, const Task& task = {}) const {
    return ShardFolder::create(folder_ / name, task.plan(shards));
  }
  ShardFolder made(const std::string& name, std::uint64_t shards, const Task& task = {}) const {
    const ShardFolder folder = planned(name, shards, task);
    for (std::uint64_t i = 0; i < shards; ++i) make(folder, i, task);
    return folder;
  }
  std::string merged(const ShardFolder& shards, const Task& task = {}) const {
    const fs::path file = folder_ / "merged.h5";
    const auto envs = task.instances(1);
    merge_recordings(*envs, task.info(), shards, file);
    return bytes_of(file);
  }
  std::string refusal(const ShardFolder& shards) const {
    return message_of<Error>([&] { merged(shards); });
  }
  static void flip(const fs::path& file, std::size_t at) {
    std::string bytes = bytes_of(file);
    bytes.at(at) = static_cast<char>(bytes.at(at) ^ 1);
    write_bytes(file, bytes);
  }
  const TemporaryFolder folder_;
};

TEST_F(Shards, AreTheBytesOfOneRunInAnyNumberAndOrderAndMadeTwice) {
  const std::string expected = whole();
  for (const std::uint64_t count : {1, 2, 3, 7, 64})
    for (const int threads : {1, 2}) {
      Task task;
      task.threads = threads;
      const ShardFolder shards = planned(concat(count, "_", threads), count, task);
      std::vector<std::uint64_t> order(count);
      std::iota(order.begin(), order.end(), std::uint64_t{0});
      std::shuffle(order.begin(), order.end(), Rng(Seed{count}));
      for (const std::uint64_t index : order) EXPECT_EQ(make(shards, index, task), Outcome::kMade);
      for (const std::uint64_t index : order) EXPECT_EQ(make(shards, index, task), Outcome::kKept);
      for (const std::uint64_t index : order) EXPECT_EQ(make(shards, index, task, true), Outcome::kEqual);
      EXPECT_TRUE(merged(shards, task) == expected) << count << " shards, " << threads << " threads";
      EXPECT_TRUE(fs::is_empty(shards.path() / "attempts"));
    }
}

TEST_F(Shards, OfRobotsKeepTheirDoubles) {
  const Task task{.env = "HalfCheetah-v4", .streams = 9, .rows_per_stream = 10};
  const ShardFolder shards = made("plan", 2, task);
  EXPECT_TRUE(merged(shards, task) == whole(task));
}

TEST_F(Shards, OfScenesAreScenesOfOneRun) {
  SceneConfig config;
  config.count = 23;
  config.size = 32;
  const SceneGenerator generator(Atlas::open(""), config, 3);
  record_scenes(generator, folder_ / "whole.h5", 1);
  const ShardFolder shards = ShardFolder::create(
      folder_ / "plan", {.recording = {{"config", 0}}, .streams = 23, .rows_per_stream = 1, .shards = 4});
  for (const std::uint64_t index : {2, 0, 3, 1})
    EXPECT_EQ(shards.make(index, {},
                          [&](const StreamRange& streams, const fs::path& file) {
                            record_scenes(generator, streams.begin, streams.size(), file, 2);
                          }),
              Outcome::kMade);
  merge_scenes(generator, shards, folder_ / "merged.h5");
  EXPECT_TRUE(bytes_of(folder_ / "merged.h5") == bytes_of(folder_ / "whole.h5"));
}

/// Everything that readers see of a data set.
void expect_equal(const Dataset& a, const Dataset& b) {
  const auto same = [](auto x, auto y) { return std::ranges::equal(x, y); };
  EXPECT_TRUE(same(a.observations(), b.observations()));
  EXPECT_TRUE(same(a.next_observations(), b.next_observations()));
  EXPECT_TRUE(same(a.actions(), b.actions()));
  EXPECT_TRUE(same(a.rewards(), b.rewards()));
  EXPECT_TRUE(same(a.terminals(), b.terminals()));
  EXPECT_TRUE(same(a.timeouts(), b.timeouts()));
  ASSERT_EQ(a.info_names(), b.info_names());
  for (const std::string& name : a.info_names()) {
    EXPECT_EQ(a.info_dim(name), b.info_dim(name));
    EXPECT_TRUE(same(a.info(name), b.info(name))) << name;
    EXPECT_TRUE(same(a.info_doubles(name), b.info_doubles(name))) << name;
  }
  EXPECT_EQ(a.episodes().size(), b.episodes().size());
  EXPECT_EQ(a.provenance().extra, b.provenance().extra);
  EXPECT_EQ(a.provenance().seed, b.provenance().seed);
  const Split one = split_episodes(a, 0.3, 7), two = split_episodes(b, 0.3, 7);
  EXPECT_EQ(one.test, two.test);
  const WindowLayout layout{.horizon = 4,
                            .stride = 2,
                            .action_dim = static_cast<int>(a.action_dim()),
                            .observation_dim = static_cast<int>(a.observation_dim())};
  const WindowSampler first(a, layout, true), second(b, layout, true);
  ASSERT_EQ(first.count(), second.count());
  std::vector<float> x(50 * static_cast<std::size_t>(layout.size())), y(x.size());
  Rng p(Seed{1}), q(Seed{1});
  first.sample(p, x);
  second.sample(q, y);
  EXPECT_EQ(x, y);
}

TEST_F(Shards, AreOneDataSetWithoutBeingMerged) {
  for (const char* env : {"Maze2D-UMaze-v0", "HalfCheetah-v4"}) {
    const Task task{.env = env, .streams = 11, .rows_per_stream = 30};
    const ShardFolder shards = made(env, 3, task);
    merged(shards, task);
    const Dataset joined = Dataset::open(shards.path());
    expect_equal(joined, Dataset::open(folder_ / "merged.h5"));
    EXPECT_EQ(joined.path(), shards.path() / "plan.json");
  }
}

TEST_F(Shards, OfWholePagesAreMappedWhereTheyLie) {
  const Task task{.streams = 41, .rows_per_stream = 512};
  const ShardFolder shards = made("plan", 4, task);
  for (std::uint64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(shards.plan().streams_of(i).begin % 8, 0u)
        << "8 streams of 512 rows are whole pages of any column";
    const ShardRecord record = shards.record(i).value();
    for (const ShardRecord::Column& column : record.columns)
      EXPECT_EQ(column.offset % 4096, 0u) << column.name;
  }
  merged(shards, task);
  // A temporary folder that does not exist is used where columns are copied, else never missed.
  const Dataset joined = Dataset::open(shards.path());
  expect_equal(joined, Dataset::open(folder_ / "merged.h5"));
  const auto is_mapped_from_shards = [&] {
    std::ifstream maps("/proc/self/maps");
    const std::string name = fs::canonical(shards.data_file(2)).string();
    for (std::string line; std::getline(maps, line);)
      if (line.ends_with(name)) return true;
    return false;
  };
  EXPECT_TRUE(is_mapped_from_shards());
  joined.release_pages();
  expect_equal(joined, Dataset::open(folder_ / "merged.h5"));
}

TEST_F(Shards, RangesCoverAllStreamsOnce) {
  for (const std::uint64_t streams : {1, 5, 64, 1000, 4097})
    for (const std::uint64_t rows : {1, 7, 200, 1024, 4096})
      for (const std::uint64_t shards : {1, 2, 3, 7, 64, 1000}) {
        if (shards > streams) continue;
        const ShardPlan plan{.streams = streams, .rows_per_stream = rows, .shards = shards};
        std::uint64_t at = 0;
        for (std::uint64_t i = 0; i < shards; ++i) {
          const StreamRange range = plan.streams_of(i);
          ASSERT_EQ(range.begin, at);
          ASSERT_LT(range.begin, range.end) << streams << " " << rows << " " << shards << " " << i;
          at = range.end;
        }
        ASSERT_EQ(at, streams);
        // Numbers differ by at most one, or one multiple of what fills whole pages beside what the last has over.
        const std::uint64_t whole = 4096 / std::gcd(std::uint64_t{4096}, rows),
                            step = streams / shards >= whole ? whole : 1;
        std::uint64_t least = streams, most = 0;
        for (std::uint64_t i = 0; i < shards; ++i) {
          const std::uint64_t units = plan.streams_of(i).size() / step;
          ASSERT_TRUE(i + 1 == shards || plan.streams_of(i).size() % step == 0);
          least = std::min(least, units);
          most = std::max(most, units);
        }
        ASSERT_LE(most - least, 1u) << streams << " " << rows << " " << shards;
      }
}

TEST_F(Shards, AGapIsNamedAndRefused) {
  const ShardFolder shards = planned("plan", 7);
  for (const std::uint64_t index : {0, 2, 5}) make(shards, index);
  EXPECT_THAT(refusal(shards), HasSubstr("expected all 7 shards, found none of 1,3-4,6"));
  EXPECT_THAT(message_of<Error>([&] { Dataset::open(shards.path()); }), HasSubstr("found none of 1,3-4,6"));
  const ShardFolder::Status status = shards.status();
  EXPECT_EQ(status.done, 3u);
  EXPECT_EQ(ranges_text(status.missing, 9), "1,3-4,6");
  EXPECT_EQ(ranges_text(status.missing, 1), "1,...");
}

TEST_F(Shards, DamagedAndDeletedOnesAreNamedAndMadeAgain) {
  const std::string expected = whole();
  const ShardFolder shards = made("plan", 3);
  const ShardRecord record = shards.record(1).value();
  const auto column = std::ranges::find(record.columns, "actions", &ShardRecord::Column::name);
  ASSERT_NE(column, record.columns.end());
  const fs::path file = shards.data_file(1);

  flip(file, column->offset + 5);
  EXPECT_THAT(shards.fault(1, true), HasSubstr("found others in actions"));
  EXPECT_EQ(shards.fault(1, false), "") << "its size is right";
  EXPECT_THAT(refusal(shards), AllOf(HasSubstr("1.h5: actions"), HasSubstr("run shard 1 again")));
  EXPECT_EQ(make(shards, 1), Outcome::kRepaired);
  EXPECT_TRUE(merged(shards) == expected);

  fs::resize_file(file, fs::file_size(file) - 1);
  EXPECT_THAT(shards.fault(1, false), HasSubstr("bytes, found"));
  EXPECT_THAT(message_of<Error>([&] { Dataset::open(shards.path()); }), HasSubstr("bytes, found"));
  EXPECT_EQ(make(shards, 1), Outcome::kRepaired);

  fs::remove(file);
  EXPECT_THAT(shards.fault(1, true), HasSubstr("expected the shard's file, found none"));
  EXPECT_EQ(make(shards, 1), Outcome::kRepaired);

  write_bytes(shards.record_file(1), "{");
  EXPECT_THAT(shards.fault(1, true), HasSubstr("shard-1.json"));
  EXPECT_EQ(make(shards, 1), Outcome::kMade) << "the file is there, its record is new";

  fs::remove_all(shards.path() / "shards");
  for (const std::uint64_t index : {1, 2, 0}) EXPECT_EQ(make(shards, index), Outcome::kMade);
  EXPECT_TRUE(merged(shards) == expected);
}

TEST_F(Shards, OfAChangedPlanAreRefused) {
  const ShardFolder shards = made("plan", 3);
  std::string text = bytes_of(shards.path() / "plan.json");
  text.replace(text.find("0123456789ab"), 12, "ba9876543210");
  write_bytes(shards.path() / "plan.json", text);
  const ShardFolder changed(shards.path());
  const std::string bytes = bytes_of(shards.data_file(0));
  EXPECT_THROW(make(changed, 0), StaleShard);
  EXPECT_THAT(refusal(changed), HasSubstr("the plan was changed after this shard was made"));
  EXPECT_THAT(changed.fault(2, true), HasSubstr("the plan was changed"));
  EXPECT_TRUE(bytes_of(shards.data_file(0)) == bytes) << "nothing is lost";
  EXPECT_THAT(message_of<Error>([&] { ShardFolder::create(shards.path(), Task().plan(3)); }),
              HasSubstr("expected this plan or none, found another"));
}

TEST_F(Shards, ThatDifferAreSetAsideAndNotMadeUntilSomebodyLooked) {
  const std::string expected = whole();
  const ShardFolder shards = made("plan", 3);
  Task other;
  other.max_steps = 9;
  EXPECT_THAT(message_of<Error>([&] { make(shards, 2, other, true); }),
              HasSubstr("expected equal bytes of two attempts at shard 2, found others"));
  EXPECT_FALSE(fs::exists(shards.record_file(2)));
  EXPECT_FALSE(fs::exists(shards.data_file(2)));
  EXPECT_EQ(shards.quarantined(2).size(), 3u) << "the record and both files";
  EXPECT_THAT(message_of<Error>([&] { make(shards, 2); }),
              HasSubstr("expected nothing set aside of shard 2"));
  EXPECT_THAT(refusal(shards), HasSubstr("found none of 2"));
  EXPECT_EQ(make(shards, 1), Outcome::kKept) << "others go on";
  fs::remove_all(shards.path() / "quarantine");
  EXPECT_EQ(make(shards, 2), Outcome::kMade);
  EXPECT_TRUE(merged(shards) == expected);
}

TEST_F(Shards, ADisputedOneIsNotGivenANameByAThirdWriterWhoWasAtWork) {
  for (const int steps : {15, 9, 6}) {  // of the third: as the first's, as the second's, as nobody's
    const ShardFolder shards = planned(concat("third", steps), 1);
    const Task third = Task().ending_after(steps);
    const std::string message = message_of<Error>([&] {
      shards.make(0, {.fingerprint = {{"hash", "a"}}}, [&](const StreamRange& streams, const fs::path& file) {
        third.record(streams.begin, static_cast<int>(streams.size()), file, true);
        make(shards, 0);
        EXPECT_THROW(make(shards, 0, Task().ending_after(9), true), Error);
      });
    });
    EXPECT_THAT(message, HasSubstr("found others")) << steps;
    EXPECT_FALSE(fs::exists(shards.record_file(0)));
    EXPECT_FALSE(fs::exists(shards.data_file(0)));
    EXPECT_EQ(shards.quarantined(0).size(), 4u) << "a record and three files";
    EXPECT_THAT(refusal(shards), HasSubstr("found none of 0"));
  }
}

TEST_F(Shards, ADisputedOneLosesTheNamesThatItGetsMeanwhile) {
  for (const char* place : {"0.h5", "shard-0.json"}) {
    const ShardFolder shards = planned(place, 1);
    const auto dispute = [&] {
      if (place == std::string("0.h5")) make(shards, 0);
      EXPECT_THROW(make(shards, 0, Task().ending_after(9), true), Error);
    };
    before_link = [&](const char* to) {
      if (fs::path(to).filename() != place) return;
      before_link = nullptr;
      dispute();
    };
    EXPECT_THROW(make(shards, 0), Error) << place;
    EXPECT_EQ(before_link, nullptr) << "the others came before this name";
    before_link = nullptr;
    EXPECT_FALSE(fs::exists(shards.record_file(0))) << place;
    EXPECT_FALSE(fs::exists(shards.data_file(0))) << place;
    EXPECT_GE(shards.quarantined(0).size(), 3u) << place;
  }
}

TEST_F(Shards, ARecordThatIsTakenAwayMeanwhileIsAnError) {
  const ShardFolder shards = planned("plan", 1);
  before_link = [&](const char* to) {
    if (fs::path(to).filename() != "shard-0.json") return;
    before_link = nullptr;
    make(shards, 0);  // its record takes the name ...
    after_link = [&](const char* taken) {
      after_link = nullptr;
      fs::remove(taken);  // ... and is gone when it is looked at
    };
  };
  EXPECT_THAT(message_of<Error>([&] { make(shards, 0); }), HasSubstr("found it removed; run shard 0 again"));
  before_link = after_link = nullptr;
}

TEST_F(Shards, WhatCannotBeListedIsNotMissing) {
  const ShardFolder shards = made("plan", 1);
  fs::create_symlink("quarantine", shards.path() / "quarantine");  // a loop
  EXPECT_THAT(message_of<Error>([&] { shards.status(); }), HasSubstr("quarantine: cannot list"));
  EXPECT_THAT(message_of<Error>([&] { make(shards, 0); }), HasSubstr("quarantine: cannot list"));
  fs::remove(shards.path() / "quarantine");
  EXPECT_EQ(shards.status().done, 1u);
  fs::rename(shards.path() / "shards" / "0", folder_ / "kept");
  fs::create_symlink("0", shards.path() / "shards" / "0");
  EXPECT_THAT(message_of<Error>([&] { shards.status(); }), HasSubstr("0: cannot list"));
  EXPECT_THAT(message_of<Error>([&] { shards.record(0); }), HasSubstr("shard-0.json: cannot read"));
  fs::remove(shards.path() / "shards" / "0");
  EXPECT_EQ(shards.status().done, 0u);
}

TEST_F(Shards, ADamagedOneThatComesOutDifferentlyIsSetAside) {
  const ShardFolder shards = made("plan", 3);
  flip(shards.data_file(0), 9000);
  Task other;
  other.max_steps = 9;
  EXPECT_THROW(make(shards, 0, other), Error);
  EXPECT_FALSE(fs::exists(shards.record_file(0)));
}

TEST_F(Shards, OfWritersAtOnceAreEqualOrSetAside) {
  const std::string expected = whole();
  for (int round = 0; round < 6; ++round) {
    const ShardFolder shards = planned(concat("equal", round), 1);
    int gate[2];
    ASSERT_EQ(::pipe(gate), 0);
    std::vector<pid_t> writers;
    for (int k = 0; k < 3; ++k)
      writers.push_back(start_process([&] {
        char byte = 0;
        ::close(gate[1]);
        if (::read(gate[0], &byte, 1) != 0) return 8;  // until the last writer is there
        make(shards, 0);
        return 0;
      }));
    ::close(gate[0]);
    ::close(gate[1]);
    for (const pid_t writer : writers) EXPECT_EQ(end_of(writer), 0);
    EXPECT_TRUE(merged(shards) == expected);
    EXPECT_TRUE(fs::is_empty(shards.path() / "attempts"));
  }
  for (int round = 0; round < 6; ++round) {
    const ShardFolder shards = planned(concat("unequal", round), 1);
    int gate[2];
    ASSERT_EQ(::pipe(gate), 0);
    std::vector<pid_t> writers;
    for (int k = 0; k < 3; ++k)
      writers.push_back(start_process([&] {
        char byte = 0;
        ::close(gate[1]);
        if (::read(gate[0], &byte, 1) != 0) return 8;
        Task task;
        task.max_steps = 9 + k;
        make(shards, 0, task, true);
        return 0;
      }));
    ::close(gate[0]);
    ::close(gate[1]);
    int failed = 0;
    for (const pid_t writer : writers) failed += end_of(writer) == 1;
    EXPECT_GE(failed, 2) << "all but the one who comes first";
    EXPECT_FALSE(shards.quarantined(0).empty());
    EXPECT_FALSE(fs::exists(shards.record_file(0)));
    EXPECT_NE(refusal(shards), "");
  }
}

TEST_F(Shards, AKilledWriterIsMendedWhereverItWasKilled) {
  const std::string expected = whole();
  const int kills = killed_everywhere(
      [&](int call) {
        const ShardFolder shards = planned(concat("kill", call), 2);
        make(shards, 0);
        make(shards, 1);
      },
      [&](int call) {
        const ShardFolder shards = planned(concat("kill", call), 2);
        // What is called whole is whole, also before anybody mends it.
        for (const std::uint64_t index : {0, 1})
          EXPECT_TRUE(!fs::exists(shards.record_file(index)) || shards.fault(index, true).empty()) << call;
        for (const std::uint64_t index : {1, 0}) make(shards, index);
        EXPECT_TRUE(merged(shards) == expected) << "killed before call " << call;
        EXPECT_TRUE(fs::is_empty(shards.path() / "attempts")) << "what a killed process left is removed";
        fs::remove_all(shards.path());
      });
  EXPECT_GT(kills, 8);
}

/// The name of an attempt's folder, "<index>.<ordinal>.<host>.<boot>.<space>.<start>.<number>", with parts replaced.
std::string attempt_name(std::vector<std::string> parts, const std::map<std::size_t, std::string>& changed) {
  std::string text;
  for (const auto& [place, part] : changed) parts.at(place) = part;
  for (const std::string& part : parts) text += (text.empty() ? "" : ".") + part;
  return text;
}

TEST_F(Shards, OnlyAttemptsOfProcessesThatHaveEndedAreRemoved) {
  enum : std::size_t { kOrdinal = 1, kHost, kBoot, kSpace, kStart, kNumber };
  const ShardFolder shards = planned("plan", 2);
  std::vector<std::string> own;
  shards.make(1, {}, [&](const StreamRange& streams, const fs::path& file) {
    std::istringstream name(file.parent_path().filename().string());
    for (std::string part; std::getline(name, part, '.');) own.push_back(part);
    Task().record(streams.begin, static_cast<int>(streams.size()), file, true);
  });
  ASSERT_EQ(own.size(), 7u);
  ASSERT_EQ(own[kNumber], concat(::getpid()));
  own[0] = "0";
  own[kOrdinal] = "5";
  const pid_t gone = start_process([] { return 0; });
  const pid_t unreaped = start_process([] { return 0; });
  end_of(gone);
  siginfo_t info;
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(unreaped), &info, WEXITED | WNOWAIT), 0);
  const std::string parent = concat(::getppid()), other_boot = "4ebcb753-0000-4b9c-ad42-47daca482f93";
  const auto survives = [&](const std::map<std::size_t, std::string>& changed) {
    const fs::path folder = shards.path() / "attempts" / attempt_name(own, changed);
    fs::create_directories(folder);
    write_bytes(folder / "data.h5", "half");
    make(shards, 0);
    const bool there = fs::exists(folder);
    fs::remove_all(folder);
    return there;
  };
  EXPECT_TRUE(survives({})) << "this process has another one at work";
  EXPECT_FALSE(survives({{kStart, "1"}})) << "by this number, not by this process";
  EXPECT_FALSE(survives({{kNumber, concat(gone)}}));
  EXPECT_FALSE(survives({{kHost, "renamed"}, {kNumber, concat(gone)}})) << "the machine is told by its start";
  EXPECT_FALSE(survives({{kNumber, concat(unreaped)}})) << "nobody waits for it";
  EXPECT_FALSE(survives({{kNumber, parent}, {kStart, "1"}})) << "its number was given again";
  std::string stat = bytes_of("/proc/" + parent + "/stat"), parent_start;
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));
  for (int field = 3; field <= 22; ++field) fields >> parent_start;
  EXPECT_TRUE(survives({{kNumber, parent}, {kStart, parent_start}})) << "it is alive";
  // A container that shares the machine's name counts processes by itself, as does another machine of the same name.
  EXPECT_TRUE(survives({{kSpace, "1"}, {kNumber, concat(gone)}}));
  EXPECT_TRUE(survives({{kBoot, other_boot}, {kNumber, concat(gone)}}));
  EXPECT_TRUE(survives({{kHost, "other"}, {kBoot, other_boot}, {kStart, "1"}}));
  // The same container, started again: only where its name is its own.
  const bool machine = fs::read_symlink("/proc/self/ns/uts") == "uts:[4026531838]";
  EXPECT_EQ(survives({{kSpace, "1"}, {kStart, "1"}}), machine);
  EXPECT_EQ(survives({{kBoot, other_boot}, {kSpace, "1"}, {kStart, "1"}}), machine);
  end_of(unreaped);
}

TEST_F(Shards, AFullDiskLeavesNothingThatLooksWhole) {
  const ShardFolder shards = planned("plan", 3);
  make(shards, 0);
  for (const rlim_t bytes : {rlim_t{100}, rlim_t{4096}, rlim_t{20'000}, rlim_t{40'000}}) {
    const FullDisk full(bytes);
    EXPECT_THROW(make(shards, 1), Error) << bytes;
    EXPECT_FALSE(fs::exists(shards.record_file(1)));
    EXPECT_TRUE(fs::is_empty(shards.path() / "attempts"));
  }
  EXPECT_EQ(make(shards, 1), Outcome::kMade);
  EXPECT_EQ(make(shards, 0), Outcome::kKept);
  make(shards, 2);
  {
    const FullDisk full(50'000);
    EXPECT_THROW(merged(shards), Error);
  }
  EXPECT_TRUE(merged(shards) == whole());
}

TEST_F(Shards, OfMachinesOfOtherArithmeticAreRefused) {
  const ShardFolder shards = planned("plan", 2);
  const Json here = machine_fingerprint();
  EXPECT_EQ(here, machine_fingerprint()) << "the same in one process";
  EXPECT_NE(here.at("hash"), machine_fingerprint({{"libtorch", "x"}}).at("hash"));
  shards.admit(here);
  shards.admit(here);
  Json other = here;
  other["arithmetic"]["libm"] = "other";
  other["hash"] = "other";
  EXPECT_THAT(message_of<Error>([&] { shards.admit(other); }),
              AllOf(HasSubstr("expected a machine of this arithmetic, found another (libm)")));
  // Who came past that, by a removed file, is found when they are put together.
  make(shards, 0, {}, false, "a");
  make(shards, 1, {}, false, "b");
  EXPECT_THAT(refusal(shards), HasSubstr("expected shards of one machine's arithmetic"));
  EXPECT_THROW(Dataset::open(shards.path()), Error);

  ShardPlan any = Task().plan(2);
  any.fingerprints = "any";
  const ShardFolder mixed = ShardFolder::create(folder_ / "mixed", any);
  mixed.admit(here);
  mixed.admit(other);
  make(mixed, 0, {}, false, "a");
  make(mixed, 1, {}, false, "b");
  EXPECT_TRUE(merged(mixed) == whole());
}

TEST_F(Shards, RecordsAndPlansOfStrangersAreChecked) {
  const ShardFolder shards = made("plan", 2);
  const Json good = read_json_object(shards.record_file(0));
  const auto refused = [&](const std::function<void(Json&)>& change) {
    Json json = good;
    change(json);
    write_file(shards.record_file(0), json.dump());
    return message_of<Error>([&] { Dataset::open(shards.path()); });
  };
  EXPECT_THAT(refused([](Json& json) { json["columns"][0]["offset"] = 1'000'000'000; }),
              HasSubstr("expected a place inside the file's"));
  EXPECT_THAT(refused([](Json& json) { json["columns"][0]["bytes"] = 8; }), HasSubstr("expected"));
  EXPECT_THAT(refused([](Json& json) { json["bytes"] = 8; }), HasSubstr("expected"));
  EXPECT_THAT(refused([](Json& json) {
                json["rows"] = {0, 1'000'000};
              }),
              HasSubstr("expected shard 0 of the plan"));
  EXPECT_THAT(refused([](Json& json) { json.erase("columns"); }), HasSubstr("columns: expected"));
  write_file(shards.record_file(0), good.dump());
  EXPECT_EQ(Dataset::open(shards.path()).size(), 1400u);

  Json plan = read_json_object(shards.path() / "plan.json");
  for (const auto& [field, value] : {std::pair<const char*, Json>{"shards", 0},
                                     {"shards", 1'000'000'000},
                                     {"streams", -1},
                                     {"rows_per_stream", 1'000'000'000'000'000'000},
                                     {"fingerprints", "some"},
                                     {"format", "other"}}) {
    Json json = plan;
    json[field] = value;
    write_file(folder_ / "plan.json", json.dump());
    EXPECT_THAT(message_of<Error>([&] { ShardFolder(folder_.path()); }),
                AllOf(HasSubstr("plan.json"), HasSubstr("expected")))
        << field;
  }
}

TEST_F(Shards, IndicesAreReadAsTheyAreWritten) {
  EXPECT_THAT(parse_ranges("index", "3", 5), ElementsAre(StreamRange{3, 4}));
  EXPECT_THAT(parse_ranges("index", "0-2,4", 5), ElementsAre(StreamRange{0, 3}, StreamRange{4, 5}));
  for (const char* text : {"", "a", "1-", "-1", "2-1", "1,,2", "5", "0-5", "1 2", "0x1"})
    EXPECT_THROW(parse_ranges("index", text, 5), InvalidArgument) << text;
}

}  // namespace
}  // namespace diffreward
