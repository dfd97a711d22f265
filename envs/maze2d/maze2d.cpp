#include "envs/maze2d/maze2d.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "envs/maze2d/draw.h"
#include "envs/maze2d/fixed_task.h"
#include "envs/maze2d/physics.h"
#include "envs/rng_state.h"

namespace diffreward {
namespace {

constexpr std::size_t kTaskState = 3 + kRngNumbers;  // goal, whether it just moved, random generator
constexpr double kGoalReached = 0.1;                 // cells; where a goal that moves does so

void check_size(const std::string& id, const char* what, std::size_t expected, std::size_t found) {
  require(expected == found, id, ": ", what, ": expected ", expected, " numbers, got ", found);
}

/// Uniform within `jitter` of the cell's point, cut to where the ball touches no wall of the cell. Draws
/// twice.
Point scatter(Rng& rng, Point middle, double jitter) {
  const auto draw = [&](double x) {
    const double cell = std::floor(x + 0.7);
    const double low = cell - 0.7 + Maze2D::kBallRadius, high = cell + 0.3 - Maze2D::kBallRadius;
    const double u = rng.uniform();
    if (jitter == 0) return x;
    const double from = std::max(x - jitter, low), to = std::min(x + jitter, high);
    return from + (to - from) * u;
  };
  const double row = draw(middle[0]);
  return {row, draw(middle[1])};
}

}  // namespace

MazeMap maze_of(const std::string& map) {
  if (map.find_first_of("\n\\") != std::string::npos) return MazeMap::parse(map);
  for (const char* name : {"open", "umaze", "medium", "large"})
    if (map == name) return MazeMap::named(map);
  std::error_code ignored;
  if (std::filesystem::exists(map, ignored)) return MazeMap::load(map);
  throw InvalidArgument(concat("map: ", unknown_name("maze", map, {"open", "umaze", "medium", "large"}),
                               " (and no file has this name)"));
}

Maze2D::Maze2D(std::string id, const MazeConfig& config, int max_steps, double random_return,
               double expert_return)
    : config_(config), map_(maze_of(config.map)) {
  validate(config_);
  dense_ = config_.reward == "dense";
  moves_goal_ = config_.at_goal == "new_goal";
  require(config_.goal_cell.empty() || config_.goal_cell.size() == 2, id,
          ": goal_cell: expected row and column, got ", config_.goal_cell.size(), " numbers");
  physics_ = config_.engine == "mujoco" ? make_mujoco_physics(map_, config_.physics)
                                        : make_box2d_physics(map_, config_.physics);
  if (!config_.goal_cell.empty()) {
    fixed_goal_ =
        MazeMap::point_of(checked_cell(map_, id, "goal_cell", {config_.goal_cell[0], config_.goal_cell[1]}));
  } else if (map_.goal()) {
    fixed_goal_ = MazeMap::point_of(*map_.goal());
  }
  if (config_.random_goal) fixed_goal_.reset();
  goal_ = fixed_goal_.value_or(MazeMap::point_of(map_.free_cells()[0]));
  physics_->place(MazeMap::point_of(map_.start().value_or(map_.free_cells()[0])), {});

  constexpr double kUnbounded = std::numeric_limits<double>::infinity();
  spec_.id = std::move(id);
  spec_.observation = {{-0.7, -0.7, -kUnbounded, -kUnbounded},
                       {map_.rows() - 0.7, map_.columns() - 0.7, kUnbounded, kUnbounded}};
  spec_.action = {{-1, -1}, {1, 1}};
  spec_.max_steps = max_steps;
  spec_.seconds_per_step = kSecondsPerStep;
  spec_.random_return = random_return;
  spec_.expert_return = expert_return;
  spec_.state_size = physics_->state_size() + kTaskState;
  spec_.info = {{"goal", 2}, {"qpos", 2}, {"qvel", 2}, {"goal_distance", 1}, {"success", 1}};
  if (moves_goal_) spec_.info.push_back({"goal_switched", 1});
  spec_.reset_options = fixed_task_options();
}

Maze2D::~Maze2D() = default;

void Maze2D::begin(std::optional<Seed> seed, const ResetOptions& options, std::span<double> obs) {
  check_size(spec_.id, "observation", spec_.observation.size(), obs.size());
  if (!options.state.empty()) {
    restore(options.state);
    if (seed) rng_ = Rng(*seed);
    write_obs(obs);
    return;
  }
  const FixedTask fixed =
      fixed_task(map_, spec_.id, options, [&](Point point) { return map_.cell_at(point); });

  if (seed) rng_ = Rng(*seed);
  const auto draw_cell = [&] { return map_.free_cells()[rng_.below(map_.free_cells().size())]; };
  const Cell random_start = draw_cell();
  const Cell start_cell = fixed.start_cell.value_or(map_.start().value_or(random_start));
  const Point start = scatter(rng_, MazeMap::point_of(start_cell), config_.start_jitter);
  const double vx = rng_.normal(), vy = rng_.normal();
  const Point random_goal = MazeMap::point_of(draw_cell());
  const Point base =
      fixed.goal_cell ? MazeMap::point_of(*fixed.goal_cell) : fixed_goal_.value_or(random_goal);
  const Point goal = scatter(rng_, base, config_.goal_jitter);

  goal_ = fixed.goal.value_or(goal);
  goal_switched_ = false;
  physics_->place(fixed.start.value_or(start), {config_.velocity_noise * vx, config_.velocity_noise * vy});
  write_obs(obs);
}

StepResult Maze2D::step(std::span<const double> action, std::span<double> obs) {
  check_size(spec_.id, "action", 2, action.size());
  check_size(spec_.id, "observation", spec_.observation.size(), obs.size());
  require(std::isfinite(action[0]) && std::isfinite(action[1]), spec_.id,
          ": action: expected finite numbers, got (", action[0], ", ", action[1], ")");
  physics_->step({std::clamp(action[0], -1.0, 1.0), std::clamp(action[1], -1.0, 1.0)});
  write_obs(obs);
  const Point reached{obs[0], obs[1]};
  const double reward = reward_at(reached);
  goal_switched_ = moves_goal_ && goal_distance(reached) < kGoalReached;
  if (goal_switched_) goal_ = MazeMap::point_of(map_.free_cells()[rng_.below(map_.free_cells().size())]);
  return {reward, false};
}

void Maze2D::state(std::span<double> out) const {
  check_size(spec_.id, "state", spec_.state_size, out.size());
  physics_->state(out.first(physics_->state_size()));
  const std::span<double> task = out.last(kTaskState);
  task[0] = goal_[0];
  task[1] = goal_[1];
  task[2] = goal_switched_;
  write_rng(rng_, task.last<kRngNumbers>());
}

void Maze2D::set_state(std::span<const double> state, std::span<double> obs) {
  check_size(spec_.id, "observation", spec_.observation.size(), obs.size());
  restore(state);
  write_obs(obs);
}

void Maze2D::info(std::span<double> out) const {
  check_size(spec_.id, "info", spec_.info_size(), out.size());
  const Point p = physics_->position(), v = physics_->velocity();
  std::copy_n(goal_.begin(), 2, out.begin());
  std::copy_n(p.begin(), 2, out.begin() + 2);
  std::copy_n(v.begin(), 2, out.begin() + 4);
  out[6] = goal_distance(p);
  out[7] = out[6] <= kGoalRadius;
  if (moves_goal_) out[8] = goal_switched_;
}

Image Maze2D::render(int width, int height) const {
  return draw_maze(map_, position(), goal_, width, height);
}

Point Maze2D::position() const {
  return physics_->position();
}
Point Maze2D::velocity() const {
  return physics_->velocity();
}

void Maze2D::set_goal(Point goal) {
  goal_ = checked_point(map_, spec_.id, "goal", goal, map_.cell_at(goal));
}

double Maze2D::reward_at(Point position) const {
  const double to_goal = goal_distance(position);
  return dense_ ? std::exp(-to_goal) : to_goal <= kGoalRadius;
}

double Maze2D::goal_distance(Point position) const {
  return std::hypot(position[0] - goal_[0], position[1] - goal_[1]);
}

void Maze2D::write_obs(std::span<double> obs) const {
  const Point p = physics_->position(), v = physics_->velocity();
  obs[0] = p[0];
  obs[1] = p[1];
  obs[2] = v[0];
  obs[3] = v[1];
}

void Maze2D::restore(std::span<const double> state) {
  check_size(spec_.id, "state", spec_.state_size, state.size());
  const std::span<const double> task = state.last(kTaskState);
  const Point goal{task[0], task[1]};
  checked_point(map_, spec_.id, "state: goal", goal, map_.cell_at(goal));
  require(task[2] == 0 || task[2] == 1, spec_.id, ": state: whether the goal moved: expected 0 or 1, got ",
          task[2]);
  const auto words = read_rng(spec_.id, task.last<kRngNumbers>());
  physics_->set_state(state.first(physics_->state_size()));
  goal_ = goal;
  goal_switched_ = task[2] != 0;
  rng_.set_state(words);
}

}  // namespace diffreward
