#include "datasets/collect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmath>
#include <csignal>
#include <functional>

#include "agents/scripted/waypoints.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "datasets/check.h"
#include "envs/catalog.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;

const Json kRandomGoals = {{"random_goal", true}};
const Json kMovingGoals = {{"random_goal", true}, {"at_goal", "new_goal"}};

Streams noise_of(std::uint64_t seed) {
  return streams_of(Recording::kBase, seed, Purpose::kController);
}

/// An agent that is a function.
class Doing final : public Agent {
 public:
  explicit Doing(std::function<void(std::span<double>)> act) : act_(std::move(act)) {}
  void act(const StepView&, std::span<double> actions) override { act_(actions); }

 private:
  std::function<void(std::span<double>)> act_;
};

Dataset record(const std::filesystem::path& path, int count, int threads, std::size_t steps, int max_steps,
               const Json& options = kRandomGoals, std::uint64_t seed = 5) {
  const auto envs = make_vector(
      "Maze2D-UMaze-v0",
      {.count = count, .threads = threads, .autoreset = "same_step", .max_steps = max_steps}, options);
  const auto walker = make_agent(WaypointConfig{.action_noise = 0.1}, *envs, noise_of(seed));
  return collect(*envs, *walker, steps,
                 {.behaviour = "walk", .seed = seed, .env_options = options, .extra = {{"why", "test"}}},
                 path);
}

class Collect : public testing::Test {
 protected:
  void SetUp() override { Progress::silence(); }
  const TemporaryFolder folder_;
};

TEST_F(Collect, RowsAreWhatTheEnvironmentDid) {
  const int n = 3;
  const Dataset data = record(folder_ / "a.hdf5", n, 1, 900, 70);
  ASSERT_EQ(data.size(), 900u);
  const auto envs =
      make_vector("Maze2D-UMaze-v0", {.count = n, .autoreset = "same_step", .max_steps = 70}, kRandomGoals);
  const auto walker = make_agent(WaypointConfig{.action_noise = 0.1}, *envs, noise_of(5));
  std::vector<double> actions(2 * n), info(envs->spec().info_size());
  const StepView* view = &envs->reset(streams_of(Recording::kBase, 5));
  for (std::size_t t = 0; t < 300; ++t) {
    walker->act(*view, actions);
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t row = i * 300 + t;  // one contiguous block an instance
      for (std::size_t k = 0; k < 4; ++k)
        ASSERT_EQ(data.observations()[4 * row + k], float(view->obs[4 * i + k]));
      envs->env(int(i)).info(info);
      for (std::size_t k = 0; k < 2; ++k) ASSERT_EQ(data.info("goal")[2 * row + k], float(info[k]));
    }
    view = &envs->step(actions);
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t row = i * 300 + t;
      for (std::size_t k = 0; k < 2; ++k) ASSERT_EQ(data.actions()[2 * row + k], float(actions[2 * i + k]));
      for (std::size_t k = 0; k < 4; ++k)
        ASSERT_EQ(data.next_observations()[4 * row + k], float(view->final_obs[4 * i + k]));
      ASSERT_EQ(data.rewards()[row], float(view->task_reward[i]));
      ASSERT_EQ(data.timeouts()[row], t % 70 == 69 || t == 299);
      ASSERT_EQ(data.terminals()[row], 0);
    }
  }
  EXPECT_EQ(data.episodes().size(), 3u * 5);
  EXPECT_EQ(data.provenance().env, "Maze2D-UMaze-v0");
  EXPECT_EQ(data.provenance().seed, 5u);
  EXPECT_EQ(data.provenance().env_options, kRandomGoals);
  EXPECT_THAT(data.provenance().generator, HasSubstr("diffreward"));
}

TEST_F(Collect, GivesEqualBytesForAnyNumberOfThreads) {
  record(folder_ / "1.hdf5", 16, 1, 20'000, 150, kMovingGoals);
  for (const int threads : {2, 3, 8}) {
    record(folder_ / "n.hdf5", 16, threads, 20'000, 150, kMovingGoals);
    ASSERT_TRUE(bytes_of(folder_ / "1.hdf5") == bytes_of(folder_ / "n.hdf5")) << threads << " threads";
  }
  record(folder_ / "n.hdf5", 16, 1, 20'000, 150, kMovingGoals, 6);
  EXPECT_FALSE(bytes_of(folder_ / "1.hdf5") == bytes_of(folder_ / "n.hdf5")) << "the seed does nothing";
}

TEST_F(Collect, HasNoFaults) {
  for (const Json& options : {kRandomGoals, kMovingGoals}) {
    record(folder_ / "a.hdf5", 20, 2, 30'000, 200, options);
    for (const Fault& fault : check_data(folder_ / "a.hdf5"))
      ADD_FAILURE() << fault.name << ": " << fault.message;
  }
}

TEST_F(Collect, RoundsUpToWholeBlocks) {
  EXPECT_EQ(record(folder_ / "a.hdf5", 7, 1, 20, 0).size(), 21u);
  EXPECT_EQ(record(folder_ / "a.hdf5", 7, 1, 1, 0).size(), 7u);
  EXPECT_EQ(record(folder_ / "a.hdf5", 2, 1, 2 * 256, 0).size(), 512u);  // one whole buffer
  EXPECT_EQ(record(folder_ / "a.hdf5", 2, 1, 2 * 257, 0).size(), 514u);
}

TEST_F(Collect, RefusesWrongUse) {
  const auto envs = make_vector("Maze2D-UMaze-v0", {.count = 2});
  Doing nothing([](std::span<double> actions) { std::ranges::fill(actions, 0.0); });
  EXPECT_THAT(message_of<InvalidArgument>([&] { collect(*envs, nothing, 10, {}, folder_ / "a.hdf5"); }),
              HasSubstr("same_step"));
  EXPECT_THROW(record(folder_ / "a.hdf5", 2, 1, 0, 0), InvalidArgument);
  EXPECT_TRUE(folder_.empty());
}

TEST_F(Collect, LeavesNothingOnAFullDiskOrAnError) {
  {
    const FullDisk full(100'000);
    EXPECT_THAT(message_of<Error>([&] { record(folder_ / "a.hdf5", 4, 1, 100'000, 0); }),
                HasSubstr("a.hdf5"));
    EXPECT_TRUE(folder_.empty());
  }
  const auto envs = make_vector("Maze2D-UMaze-v0", {.count = 2, .autoreset = "same_step"});
  int calls = 0;
  Doing breaks([&](std::span<double> actions) { std::ranges::fill(actions, ++calls == 500 ? NAN : 0.0); });
  EXPECT_THROW(collect(*envs, breaks, 10'000, {}, folder_ / "a.hdf5"), InvalidArgument);
  EXPECT_TRUE(folder_.empty());
}

/// In a child process, because the signal marks the whole process as interrupted.
TEST_F(Collect, AnInterruptLeavesNothing) {
  const pid_t child = ::fork();
  if (child == 0) {
    catch_interrupts();
    const auto envs = make_vector("Maze2D-UMaze-v0", {.count = 2, .autoreset = "same_step"});
    int calls = 0;
    Doing pushes([&](std::span<double> actions) {
      std::ranges::fill(actions, 0.5);
      if (++calls == 300) ::raise(SIGINT);
    });
    try {
      collect(*envs, pushes, 1'000'000, {}, folder_ / "a.hdf5");
    } catch (const Interrupted&) {
      ::_exit(calls == 300 ? 42 : 1);
    }
    ::_exit(2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 42);
  EXPECT_TRUE(folder_.empty());
}

double resident_mib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return double(usage.ru_maxrss) / 1024;
}

/// The largest memory of the process does not grow with the number of rows. DIFFREWARD_BIG_RUN=1 records the
/// 10 M transitions that must fit into 1 GB.
TEST_F(Collect, MemoryDoesNotGrowWithRows) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer keeps what was freed";
#endif
  const bool big = std::getenv("DIFFREWARD_BIG_RUN") != nullptr;
  record(folder_ / "warm.hdf5", 64, 2, 100'000, 300);
  const double before = resident_mib();
  const Dataset data = record(folder_ / "a.hdf5", 64, 2, big ? 10'000'000 : 1'000'000, 300);
  const double grown = resident_mib() - before,
               file = double(std::filesystem::file_size(folder_ / "a.hdf5")) / (1 << 20);
  RecordProperty("resident_mib", std::to_string(resident_mib()));
  EXPECT_LT(grown, 0.1 * file) << "resident memory grew by " << grown << " MiB for a file of " << file
                               << " MiB";
  EXPECT_LT(resident_mib(), 1000);
}

}  // namespace
}  // namespace diffreward
