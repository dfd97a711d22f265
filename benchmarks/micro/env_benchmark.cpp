// How fast environments step, and what a batch costs beside the physics alone.
//
// PairedStep alternates short stretches of make_vector("Maze2D-UMaze-v0", 64 instances) and of a bare Box2D
// loop over the same scene with the same controls (64 worlds, the threads never wait for each other), so
// noise of the machine hits both; its counters are medians over the stretches. "bare" has the settings of
// maze2d/box2d_physics.cpp, "stock" Box2D's own defaults (warm starting, continuous collision, 8 velocity and
// 3 position sweeps).
#include <benchmark/benchmark.h>
#include <box2d/box2d.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "core/rng.h"
#include "envs/catalog.h"
#include "envs/maze2d/draw.h"
#include "envs/vector_env.h"

namespace diffreward {
namespace {

constexpr int kInstances = 64;

/// Controls held for 25 steps, [n, 2].
std::vector<std::vector<double>> controls(int n, int steps) {
  Rng rng(1);
  std::vector<std::vector<double>> out(std::size_t(steps), std::vector<double>(std::size_t(2 * n)));
  for (std::size_t t = 0; t < out.size(); ++t)
    for (double& a : out[t])
      a = t % 25 == 0 ? rng.uniform(-1, 1) : out[t - 1][std::size_t(&a - out[t].data())];
  return out;
}

/// One ball in the U maze, written against Box2D alone.
struct BareWorld {
  explicit BareWorld(bool stock)
      : world({0, 0}), velocity_sweeps(stock ? 8 : 1), position_sweeps(stock ? 3 : 8) {
    if (!stock) {
      world.SetWarmStarting(false);
      world.SetContinuousPhysics(false);
      world.SetAllowSleeping(false);
    }
    b2BodyDef still;
    b2ChainShape walls;
    std::array<b2Vec2, 8> points{{{1, 1}, {1, 4}, {4, 4}, {4, 1}, {3, 1}, {3, 3}, {2, 3}, {2, 1}}};
    for (b2Vec2& p : points) p -= b2Vec2(0.7f, 0.7f);
    walls.CreateLoop(points.data(), int(points.size()));
    b2FixtureDef wall;
    wall.shape = &walls;
    wall.friction = 0;
    world.CreateBody(&still)->CreateFixture(&wall);
    b2BodyDef moving;
    moving.type = b2_dynamicBody;
    moving.fixedRotation = true;
    moving.position = {1, 2};
    moving.linearDamping = 1 / 4.18879f;
    ball = world.CreateBody(&moving);
    b2CircleShape disc;
    disc.m_radius = 0.095f;
    b2FixtureDef fixture;
    fixture.shape = &disc;
    fixture.friction = 0;
    fixture.density = 4.18879f / (b2_pi * disc.m_radius * disc.m_radius);
    ball->CreateFixture(&fixture);
  }
  void step(double fx, double fy) {
    b2Vec2 v = ball->GetLinearVelocity();
    ball->SetLinearVelocity({std::clamp(v.x, -5.f, 5.f), std::clamp(v.y, -5.f, 5.f)});
    ball->ApplyForceToCenter({float(100 * fx), float(100 * fy)}, true);
    world.Step(0.01f, velocity_sweeps, position_sweeps);
  }
  b2World world;
  b2Body* ball;
  int velocity_sweeps, position_sweeps;
};

class BareLoop {
 public:
  explicit BareLoop(bool stock) {
    for (int i = 0; i < kInstances; ++i) worlds_.push_back(std::make_unique<BareWorld>(stock));
  }
  /// All worlds through all controls on `threads` threads, each with its own share from start to end.
  void run(const std::vector<std::vector<double>>& actions, int threads) {
    const auto share = [&](std::size_t begin, std::size_t end) {
      for (const std::vector<double>& action : actions)
        for (std::size_t i = begin; i < end; ++i) worlds_[i]->step(action[2 * i], action[2 * i + 1]);
    };
    std::vector<std::thread> others;
    const std::size_t n = worlds_.size(), k = std::size_t(threads);
    for (std::size_t j = 1; j < k; ++j) others.emplace_back(share, n * j / k, n * (j + 1) / k);
    share(0, n / k);
    for (std::thread& other : others) other.join();
  }

 private:
  std::vector<std::unique_ptr<BareWorld>> worlds_;
};

template <class Body>
double seconds(const Body& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + std::ptrdiff_t(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// Argument: threads.
void PairedStep(benchmark::State& state) {
  const int threads = int(state.range(0));
  const auto envs = make_vector("Maze2D-UMaze-v0", {.count = kInstances, .threads = threads});
  BareLoop bare(false), stock(true);
  const auto actions = controls(kInstances, 500);
  envs->reset(0);
  std::vector<double> ours, bare_ratio, stock_ratio;
  const auto step_all = [&] {
    for (const std::vector<double>& action : actions) envs->step(action);
  };
  step_all();
  bare.run(actions, threads);
  stock.run(actions, threads);
  const double steps = kInstances * double(actions.size());
  for (auto _ : state) {
    const double a = seconds([&] { bare.run(actions, threads); }), b = seconds(step_all),
                 c = seconds([&] { stock.run(actions, threads); });
    state.SetIterationTime(b);
    ours.push_back(steps / b);
    bare_ratio.push_back(a / b);
    stock_ratio.push_back(c / b);
  }
  state.counters["steps_per_s"] = median(ours);
  state.counters["of_bare"] = median(bare_ratio);
  state.counters["of_stock"] = median(stock_ratio);
}
BENCHMARK(PairedStep)->Arg(1)->Arg(2)->UseManualTime()->Iterations(40);

/// Steps a second of a batch. Arguments: catalog entry, instances, threads.
void VectorStep(benchmark::State& state) {
  const EnvEntry& entry = env_catalog()[std::size_t(state.range(0))];
  const auto envs = make_vector(entry.id, {.count = int(state.range(1)), .threads = int(state.range(2))});
  const auto actions = controls(envs->size(), 500);
  envs->reset(0);
  std::size_t t = 0;
  for (auto _ : state) envs->step(actions[t++ % actions.size()]);
  state.SetItemsProcessed(state.iterations() * envs->size());
  state.SetLabel(entry.id);
}
BENCHMARK(VectorStep)
    ->ArgsProduct({{1, 3, 5, 7}, {1, 64}, {1}})
    ->Args({1, 64, 2})
    ->Args({5, 64, 2})
    ->UseRealTime();

/// What the batch adds to an environment: no physics at all. Argument: threads.
void EmptyStep(benchmark::State& state) {
  struct Empty final : Env {
    EnvSpec facts{.id = "Empty-v0",
                  .observation = {{0, 0, 0, 0}, {1, 1, 1, 1}},
                  .action = {{-1, -1}, {1, 1}},
                  .info = {}};
    const EnvSpec& spec() const override { return facts; }
    void begin(std::optional<Seed>, const ResetOptions&, std::span<double> obs) override { obs[0] = 0; }
    StepResult step(std::span<const double> action, std::span<double> obs) override {
      return {obs[0] = action[0], false};
    }
    void state(std::span<double>) const override {}
    void set_state(std::span<const double>, std::span<double>) override {}
    void info(std::span<double>) const override {}
    Image render(int, int) const override { return {}; }
  };
  std::vector<std::unique_ptr<Env>> list;
  for (int i = 0; i < kInstances; ++i) list.push_back(std::make_unique<Empty>());
  const auto envs = make_vector(std::move(list), {.threads = int(state.range(0))});
  const std::vector<double> actions(std::size_t(2 * kInstances), 0.5);
  envs->reset(0);
  for (auto _ : state) envs->step(actions);
}
BENCHMARK(EmptyStep)->Arg(1)->Arg(2)->UseRealTime();

void Reset(benchmark::State& state) {
  const EnvEntry& entry = env_catalog()[std::size_t(state.range(0))];
  const auto env = make_env(entry.id);
  std::vector<double> obs(env->spec().observation.size());
  for (auto _ : state) env->reset(std::nullopt, {}, obs);
  state.SetLabel(entry.id);
}
BENCHMARK(Reset)->Arg(3)->Arg(7);

void PathLengths(benchmark::State& state) {
  const MazeMap map = MazeMap::named("large");
  const MazeGrid grid = maze_grid(map, 8);
  for (auto _ : state)
    benchmark::DoNotOptimize(map.path_lengths(grid.points, MazeMap::point_of(*map.goal()), 0.1));
  state.SetItemsProcessed(state.iterations() * std::int64_t(grid.points.size()));
}
BENCHMARK(PathLengths)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace diffreward

BENCHMARK_MAIN();
