#include "envs/async_env.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <deque>
#include <numeric>
#include <thread>

#include "core/rng.h"
#include "tests/envs/count_allocations.h"

namespace diffreward {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Values = std::vector<double>;

/// Sums its actions, from a start that its generator draws; the reward is the sum. Terminates when the sum
/// exceeds 3, and throws at an action above 0.99 if `fragile`. Its steps last unequally long.
class Walk final : public Env {
 public:
  explicit Walk(bool fragile = false) : fragile_(fragile) {
    spec_.id = "Walk-v0";
    spec_.observation = {{-100, 0}, {100, 100}};
    spec_.action = {{-1}, {1}};
    spec_.max_steps = 9;
    spec_.state_size = 1;
    spec_.info = {{"steps", 1}, {"sum", 2}};
  }
  const EnvSpec& spec() const override { return spec_; }
  StepResult step(std::span<const double> action, std::span<double> obs) override {
    if (fragile_ && action[0] > 0.99) throw Error("Walk-v0: fell");
    double x = sum_;
    for (int i = 0; i < int(1000 * std::abs(action[0])); ++i) x = std::sin(x);
    sum_ += action[0] + 1e-9 * x;
    ++steps_;
    write(obs);
    return {sum_, sum_ > 3};
  }
  void state(std::span<double> out) const override { out[0] = sum_; }
  void set_state(std::span<const double> state, std::span<double> obs) override {
    sum_ = state[0];
    write(obs);
  }
  void info(std::span<double> out) const override {
    out[0] = steps_;
    out[1] = sum_;
    out[2] = -sum_;
  }
  Image render(int, int) const override { return {}; }

 protected:
  void begin(std::optional<Seed> seed, const ResetOptions&, std::span<double> obs) override {
    if (seed) rng_ = Rng(*seed);
    sum_ = rng_.uniform();
    steps_ = 0;
    write(obs);
  }

 private:
  void write(std::span<double> obs) const {
    obs[0] = sum_;
    obs[1] = steps_;
  }
  EnvSpec spec_;
  Rng rng_;
  double sum_ = 0, steps_ = 0;
  bool fragile_;
};

std::vector<std::unique_ptr<Env>> walks(int n, bool fragile = false) {
  std::vector<std::unique_ptr<Env>> out;
  for (int i = 0; i < n; ++i) out.push_back(std::make_unique<Walk>(fragile));
  return out;
}

/// What a step of one instance gave, as numbers.
template <class View>
Values outcome(const View& view, std::size_t k, const EnvSpec& spec) {
  Values out;
  const auto append = [&](std::span<const double> rows, std::size_t dim) {
    const auto row = rows.subspan(k * dim, dim);
    out.insert(out.end(), row.begin(), row.end());
  };
  for (const auto rows : {view.obs, view.final_obs}) append(rows, spec.observation.size());
  for (const auto rows : {view.info, view.final_info}) append(rows, spec.info_size());
  out.insert(out.end(),
             {view.reward[k], double(view.terminated[k]), double(view.truncated[k]), double(view.reset[k])});
  return out;
}

bool equal_bits(const Values& a, const Values& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

/// Drives `async` in random portions through the outcomes that `envs` gives in lockstep, [step][instance].
void compare(VectorEnv& envs, AsyncEnv& async, int steps, std::uint64_t seed) {
  const auto n = std::size_t(envs.size()), act = envs.spec().action.size();
  Rng rng(seed);
  std::vector<Values> actions;
  std::vector<std::vector<Values>> expected;
  const auto keep = [&](const StepView& view) {
    expected.emplace_back();
    for (std::size_t i = 0; i < n; ++i) expected.back().push_back(outcome(view, i, envs.spec()));
  };
  keep(envs.reset(seed));
  for (int t = 0; t < steps; ++t) {
    actions.emplace_back(n * act);
    for (double& a : actions.back()) a = rng.uniform(-1, 1);
    if (envs.autoreset() == Autoreset::kDisabled) {
      std::vector<std::uint8_t> ended(n);
      for (std::size_t i = 0; i < n; ++i) ended[i] = envs.view().terminated[i] || envs.view().truncated[i];
      if (std::ranges::count(ended, 1)) envs.reset(ended, {}, {});
    }
    keep(envs.step(actions.back()));
  }

  std::vector<std::size_t> at(n, 0);  // outcomes of each instance so far
  std::vector<std::uint8_t> ended(n, 0);
  std::deque<int> idle;
  async.reset(seed);
  std::size_t left = n * expected.size();
  while (left > 0) {
    if (async.in_flight() > 0) {
      const AsyncBatch& batch = async.recv(int(rng.below(std::size_t(async.in_flight()) + 1)));
      for (std::size_t k = 0; k < batch.ids.size(); ++k) {
        const auto i = std::size_t(batch.ids[k]);
        if (ended[i] && envs.autoreset() == Autoreset::kDisabled) {
          ASSERT_EQ(batch.reset[k], 1);  // the reset between two outcomes
          ended[i] = 0;
        } else {
          ASSERT_LT(at[i], expected.size());
          ASSERT_TRUE(equal_bits(outcome(batch, k, envs.spec()), expected[at[i]][i]))
              << "instance " << i << ", step " << at[i];
          ++at[i];
          --left;
          ended[i] = batch.terminated[k] || batch.truncated[k];
        }
        if (at[i] < expected.size()) idle.push_back(int(i));
      }
    }
    // Some of those that wait go on, in an order of their own.
    std::vector<int> ids, resets;
    Values sent;
    const bool all = async.in_flight() == 0;
    for (std::size_t k = idle.size(); k > 0; --k) {
      const int i = idle.front();
      idle.pop_front();
      if (!all && rng.uniform() < 0.4) {
        idle.push_back(i);
      } else if (ended[std::size_t(i)] && envs.autoreset() == Autoreset::kDisabled) {
        resets.push_back(i);
      } else {
        ids.push_back(i);
        const Values& row = actions[at[std::size_t(i)] - 1];
        sent.insert(sent.end(), row.begin() + i * std::ptrdiff_t(act),
                    row.begin() + (i + 1) * std::ptrdiff_t(act));
      }
    }
    async.send_reset(resets);
    async.send(ids, sent);
  }
  EXPECT_EQ(async.in_flight(), 0);
}

TEST(AsyncEnv, EqualsTheVectorEnvInAnyInterleaving) {
  for (const char* mode : {"next_step", "same_step", "disabled"})
    for (const int threads : {1, 2, 3, 8}) {
      const VectorConfig config{.threads = threads, .autoreset = mode};
      const auto envs = make_vector(walks(11), config);
      AsyncEnv async(walks(11), config);
      EXPECT_EQ(async.size(), 11);
      EXPECT_EQ(async.autoreset(), envs->autoreset());
      for (const std::uint64_t seed : {1, 2}) {
        compare(*envs, async, 80, seed);
        ASSERT_FALSE(testing::Test::HasFatalFailure()) << mode << ", " << threads << " threads";
      }
    }
}

TEST(AsyncEnv, EqualsTheVectorEnvOnPhysics) {
  for (const char* id : {"Hopper-v5", "Maze2D-UMaze-v0", "Maze2DMuJoCo-UMaze-v0"}) {
    const VectorConfig config{.count = 6, .threads = 3, .autoreset = "same_step", .max_steps = 20};
    const auto envs = make_vector(id, config);
    AsyncEnv async(id, config);
    EXPECT_EQ(async.spec().json(), envs->spec().json());
    compare(*envs, async, 60, 5);
  }
}

TEST(AsyncEnv, BadCallsNameTheInstanceAndSendNothing) {
  AsyncEnv async(walks(3), {.threads = 2, .autoreset = "disabled"});
  const auto message = [](const auto& call) {
    try {
      call();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const std::vector<int> one{1}, both{0, 1}, twice{2, 2}, far{0, 3};
  const Values a1{0.5}, a2{0.5, 0.5};
  EXPECT_THAT(message([&] { async.send(one, a1); }), HasSubstr("instance 1 has no episode"));
  EXPECT_EQ(async.in_flight(), 0);
  async.reset(1);
  EXPECT_EQ(async.in_flight(), 3);
  EXPECT_THAT(message([&] { async.send(one, a1); }), HasSubstr("instance 1 is in flight"));
  EXPECT_THAT(message([&] { async.send_reset(one); }), HasSubstr("instance 1 is in flight"));
  EXPECT_THAT(message([&] { async.env(2); }), HasSubstr("instance 2 is in flight"));
  EXPECT_THROW(async.recv(4), InvalidArgument);
  EXPECT_THROW(async.recv(-1), InvalidArgument);
  EXPECT_EQ(async.recv(3).ids.size(), 3u);
  EXPECT_THROW(async.recv(1), InvalidArgument);
  EXPECT_TRUE(async.recv(0).ids.empty());
  EXPECT_THAT(message([&] { async.send(twice, a2); }), HasSubstr("instance 2"));
  EXPECT_THAT(message([&] { async.send(far, a2); }), HasSubstr("got 3"));
  EXPECT_THAT(message([&] { async.send(both, a1); }), HasSubstr("expected 2 x 1 actions"));
  EXPECT_THAT(message([&] { async.send(both, Values{0, std::nan("")}); }), HasSubstr("of instance 1"));
  EXPECT_THROW(async.send_reset(both, std::vector<Seed>(3)), InvalidArgument);
  EXPECT_THROW(async.send_reset(both, {}, std::vector<ResetOptions>(3)), InvalidArgument);
  EXPECT_THROW(async.env(-1), InvalidArgument);
  EXPECT_EQ(async.in_flight(), 0);
  for (;;) {  // until the episode has ended
    async.send(one, a1);
    const AsyncBatch& batch = async.recv();
    EXPECT_THAT(batch.ids, ElementsAre(1));
    if (batch.terminated[0] || batch.truncated[0]) break;
  }
  EXPECT_THAT(message([&] { async.send(one, a1); }), HasSubstr("instance 1 has ended"));
}

TEST(AsyncEnv, AFailureIsToldWithItsInstanceAndLosesNoOther) {
  for (const int threads : {1, 2, 3, 8}) {
    constexpr int kCount = 7;
    AsyncEnv async(walks(kCount, true), {.threads = threads});
    std::vector<int> all(kCount);
    std::iota(all.begin(), all.end(), 0);
    async.reset(1);
    async.recv(kCount);
    for (int round = 0; round < 30; ++round) {
      Values actions(kCount, 0.1);
      actions[2] = actions[5] = 1;
      async.send(all, actions);
      std::vector<int> failed, done;
      while (async.in_flight() > 0) {
        try {
          const AsyncBatch& batch = async.recv(async.in_flight());
          done.insert(done.end(), batch.ids.begin(), batch.ids.end());
        } catch (const InstanceError& error) {
          failed.push_back(error.instance());
          EXPECT_EQ(std::string(error.what()), concat("Walk-v0: instance ", error.instance(), ": fell"));
        }
      }
      EXPECT_THAT(failed, testing::UnorderedElementsAre(2, 5));
      EXPECT_THAT(done, testing::UnorderedElementsAre(0, 1, 3, 4, 6));
      EXPECT_THROW(async.send(failed, Values{0, 0}), Error);
      async.send(done, Values(5, 0.1));  // the others go on
      async.send_reset(failed);
      EXPECT_EQ(async.recv(kCount).ids.size(), std::size_t(kCount));
      async.send(failed, Values{0, 0});
      EXPECT_EQ(async.recv(2).ids.size(), 2u);
    }
    ResetOptions bad;
    bad.fixed["goal"] = {1, 1};
    async.send_reset(std::vector<int>{4}, {}, {&bad, 1});
    EXPECT_THROW(async.recv(), InstanceError);
  }
}

TEST(AsyncEnv, CanBeDestroyedWithWorkInFlight) {
  for (const int threads : {1, 2, 3, 8})
    for (int round = 0; round < 20; ++round) {
      AsyncEnv async(walks(12, true), {.threads = threads});
      async.reset(std::uint64_t(round));
      if (round % 3 == 0) continue;
      const AsyncBatch& batch = async.recv(1 + round % 5);
      async.send(batch.ids, Values(batch.ids.size(), round % 2 ? 1.0 : 0.9));  // 1: they throw
    }
}

TEST(AsyncEnv, ASlowInstanceHoldsUpNoOther) {
  struct Slow final : Env {
    EnvSpec facts{.id = "Walk-v0",
                  .observation = {{0, 0}, {1, 1}},
                  .action = {{-1}, {1}},
                  .max_steps = 9,
                  .state_size = 1,
                  .info = {{"steps", 1}, {"sum", 2}},
                  .parts = {}};
    const EnvSpec& spec() const override { return facts; }
    void begin(std::optional<Seed>, const ResetOptions&, std::span<double>) override {}
    StepResult step(std::span<const double>, std::span<double>) override {
      while (!released) std::this_thread::yield();
      return {};
    }
    void state(std::span<double>) const override {}
    void set_state(std::span<const double>, std::span<double>) override {}
    void info(std::span<double>) const override {}
    Image render(int, int) const override { return {}; }
    std::atomic<bool> released{false};
  };
  std::vector<std::unique_ptr<Env>> list = walks(3);
  auto made = std::make_unique<Slow>();
  Slow& slow = *made;
  list.push_back(std::move(made));
  AsyncEnv async(std::move(list), {.threads = 2});
  async.reset(0);
  async.recv(4);
  async.send(std::vector<int>{3, 0, 1, 2}, Values(4, 0.1));
  for (int round = 0; round < 50; ++round) {
    const AsyncBatch& batch = async.recv(3);
    EXPECT_THAT(batch.ids, testing::UnorderedElementsAre(0, 1, 2));
    async.send(batch.ids, Values(3, 0.1));
  }
  slow.released = true;
  EXPECT_EQ(async.recv(4).ids.size(), 4u);
}

TEST(AsyncEnv, NoAllocationPerStep) {
  if (!counts_allocations()) GTEST_SKIP() << "this build has a malloc of its own";
  AsyncEnv async("HalfCheetah-v5", {.count = 8, .threads = 2, .autoreset = "same_step", .max_steps = 50});
  Values actions(8 * async.spec().action.size(), 0.3);
  async.reset(1);
  const auto go = [&](int results) {
    while (results > 0) {
      const AsyncBatch& batch = async.recv(std::min(3, async.in_flight()));
      results -= int(batch.ids.size());
      async.send(batch.ids, std::span(actions).first(batch.ids.size() * async.spec().action.size()));
    }
  };
  go(600);
  const std::size_t before = allocation_count();
  go(1500);
  EXPECT_EQ(allocation_count() - before, 0u);
}

}  // namespace
}  // namespace diffreward
