#include "datasets/storage/isolated.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "core/error.h"
#include "core/interrupt.h"
#include "datasets/dataset.h"
#include "tests/core/temporary_folder.h"
#include "tests/datasets/sample_data.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

std::string failure(const std::function<Json()>& work, const IsolationLimits& limits = {}) {
  return message_of<Error>([&] { run_isolated("x.hdf5", {}, limits, work); });
}

TEST(Isolated, GivesBackWhatWorkReturnsOrThrows) {
  const Json answer = run_isolated("x", {}, {}, [] { return Json{{"pid", ::getpid()}, {"text", "a\nb"}}; });
  EXPECT_NE(answer.at("pid"), ::getpid());
  EXPECT_EQ(answer.at("text"), "a\nb");
  EXPECT_EQ(failure([]() -> Json { throw Error("x.hdf5: expected this, found that"); }),
            "x.hdf5: expected this, found that");
  const Json large = run_isolated("x", {}, {}, [] { return Json(std::string(3'000'000, 'y')); });
  EXPECT_EQ(large.get_ref<const std::string&>().size(), 3'000'000u);
}

TEST(Isolated, OutlivesItsChild) {
  for (const int number : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL})
    EXPECT_EQ(failure([&]() -> Json {
                ::raise(number);
                return {};
              }),
              "x.hdf5: expected a sound HDF5 file, found one that HDF5 itself crashes on")
        << number;
  EXPECT_THAT(failure([]() -> Json { ::_exit(0); }), HasSubstr("crashes on"));
  EXPECT_THAT(failure([]() -> Json {
                ::raise(SIGKILL);
                return {};
              }),
              HasSubstr("was killed; is there enough memory?"));
}

TEST(Isolated, LimitsTimeMemoryAndTheAnswer) {
  EXPECT_EQ(failure(
                []() -> Json {
                  for (std::atomic<int> i{0};; ++i) {
                  }
                },
                {.cpu_seconds = 1}),
            "x.hdf5: expected contents that are read in 1 s, found ones that take longer");
#if !defined(__SANITIZE_ADDRESS__)
  EXPECT_EQ(failure([]() -> Json { return std::vector<int>(std::size_t{1} << 28, 1).size(); },
                    {.memory = std::size_t{100} << 20}),
            "x.hdf5: expected contents that are read in 100 MB of memory, found larger ones");
#endif
  EXPECT_THAT(failure([] { return Json(std::string(3'000'000, 'y')); }, {.answer = 1 << 20}),
              HasSubstr("expected a description of at most 1 MB"));
}

TEST(Isolated, SharesNoTerminalAndNoOtherFiles) {
  const TemporaryFile kept, other;
  const Json answer = run_isolated("x", {kept.descriptor()}, {}, [&]() -> Json {
    return {{"kept", ::write(kept.descriptor(), "abc", 3)},
            {"other", ::write(other.descriptor(), "abc", 3)},
            {"terminal", ::isatty(1) || ::isatty(2)}};
  });
  EXPECT_EQ(answer.at("kept"), 3);
  EXPECT_EQ(answer.at("other"), -1);
  EXPECT_EQ(answer.at("terminal"), false);
  EXPECT_EQ(kept.size(), 3u);
  EXPECT_EQ(std::string(static_cast<const char*>(kept.map().get()), 3), "abc");
}

TEST(Isolated, EndsItsChildAtCtrlC) {
  const auto stop = [] {
    catch_interrupts();
    std::thread([] {
      std::this_thread::sleep_for(100ms);
      ::kill(::getpid(), SIGINT);
    }).detach();
    const auto start = std::chrono::steady_clock::now();
    try {
      run_isolated("x", {}, {}, [] {
        ::sleep(30);
        return Json();
      });
    } catch (const Interrupted&) {
      ::_exit(std::chrono::steady_clock::now() - start < 1s ? 0 : 2);
    }
    ::_exit(3);
  };
  EXPECT_EXIT(stop(), testing::ExitedWithCode(0), "");
}

/// Forking while other threads write with HDF5, allocate and fork themselves.
TEST(Isolated, WorksBesideOtherThreads) {
  const TemporaryFolder folder;
  const Dataset data = Dataset::from_columns(sample_columns(), sample_provenance());
  data.write_d4rl(folder / "a.hdf5");
  std::vector<std::thread> threads;
  std::atomic<int> equal{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        if (t == 0) data.write_d4rl(folder / "b.hdf5");
        if (t == 1) data.write_minari(folder.path(), "walk-v0");
        const Dataset read = Dataset::open(folder / "a.hdf5");
        equal += std::equal(read.rewards().begin(), read.rewards().end(), data.rewards().begin());
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, 40);
  expect_equal(Dataset::open(folder / "walk-v0"), data);
}

TEST(Isolated, AFullFolderForTemporaryFilesIsSaidSo) {
  const TemporaryFolder folder;
  Dataset::Columns columns = sample_columns();
  const Dataset data = Dataset::from_columns(columns);
  const auto minari = data.write_minari(folder.path(), "walk-v0");
  const FullDisk full(100);
  EXPECT_THAT(message_of<Error>([&] { Dataset::open(minari); }),
              HasSubstr("cannot write a temporary file: File too large; TMPDIR names another folder"));
}

}  // namespace
}  // namespace diffreward
