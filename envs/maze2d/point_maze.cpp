#include "envs/maze2d/point_maze.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string_view>

#include "core/error.h"
#include "core/file.h"
#include "envs/maze2d/draw.h"
#include "envs/maze2d/fixed_task.h"
#include "envs/maze2d/physics.h"
#include "envs/rng_state.h"

namespace diffreward {
namespace {

constexpr std::size_t kTaskState = 3 + kRngNumbers;  // goal, success, random generator

// Gymnasium-Robotics' maps whose start and goals are marked. In the _diverse_gr maps all marks are C.
struct MarkedMap {
  const char *name, *text;
};
constexpr MarkedMap kMarkedMaps[] = {
    {"open",
     "#######\n"
     "#RGGGG#\n"
     "#GGGGG#\n"
     "#GGGGG#\n"
     "#######\n"},
    {"medium",
     "########\n"
     "#RO##OO#\n"
     "#OO#OOG#\n"
     "##OOO###\n"
     "#OO#OOO#\n"
     "#G#OO#O#\n"
     "#OOO#GO#\n"
     "########\n"},
    {"large",
     "############\n"
     "#ROOO#GOOOO#\n"
     "#O##O#O#O#O#\n"
     "#OOOOGO#OOG#\n"
     "#O####O###O#\n"
     "#OG#O#OOOOO#\n"
     "##O#O#O#O###\n"
     "#OO#GOG#OGO#\n"
     "############\n"},
};

constexpr std::string_view kMarks = "RSGC";

/// The text with each mark in place of `mark`.
std::string with_marks(std::string text, char mark) {
  for (char& letter : text)
    if (kMarks.find(letter) != std::string_view::npos) letter = mark;
  return text;
}

/// The text of the map that PointMazeConfig::maze_map means.
std::string map_text(const std::string& map) {
  if (map.find_first_of("\n\\") != std::string::npos) return map;
  std::vector<std::string> names;
  for (const char* name : {"open", "umaze", "medium", "large"}) {
    if (map == name) return with_marks(MazeMap::named(map).text(), 'O');
    names.emplace_back(name);
  }
  for (const auto& [name, text] : kMarkedMaps) {
    if (map == concat(name, "_diverse_g")) return text;
    if (map == concat(name, "_diverse_gr")) return with_marks(text, 'C');
    names.push_back(concat(name, "_diverse_g"));
    names.push_back(concat(name, "_diverse_gr"));
  }
  std::error_code ignored;
  if (std::filesystem::exists(map, ignored)) return read_file(map);
  throw InvalidArgument(
      concat("maze_map: ", unknown_name("maze", map, names), " (and no file has this name)"));
}

void check_size(const std::string& id, const char* what, std::size_t expected, std::size_t found) {
  require(expected == found, id, ": ", what, ": expected ", expected, " numbers, got ", found);
}

double distance(Point a, Point b) {
  const double x = a[0] - b[0], y = a[1] - b[1];
  return std::sqrt(x * x + y * y);  // as NumPy does; std::hypot rounds otherwise
}

}  // namespace

PointMaze::PointMaze(std::string id, const PointMazeConfig& config, int max_steps) : config_(config) {
  validate(config_);
  const std::string text = map_text(config_.maze_map);
  map_ = MazeMap::parse(with_marks(text, 'O'));
  read_marks(text);
  dense_ = config_.reward_type == "dense";
  physics_ = make_point_maze_physics(map_, config_.physics);
  goal_ = point_of(goal_cells_[0]);
  physics_->place(point_of(start_cells_[0]), {});
  success_ = reached();

  constexpr double kUnbounded = std::numeric_limits<double>::infinity();
  spec_.id = std::move(id);
  spec_.observation.low.assign(8, -kUnbounded);
  spec_.observation.high.assign(8, kUnbounded);
  spec_.action = {{-1, -1}, {1, 1}};
  spec_.max_steps = max_steps;
  spec_.seconds_per_step = kSecondsPerStep;
  spec_.state_size = physics_->state_size() + kTaskState;
  spec_.info = {{"success", 1}, {"goal", 2}, {"qpos", 2}, {"qvel", 2}, {"goal_distance", 1}};
  spec_.parts = {{"achieved_goal", 2}, {"desired_goal", 2}, {"observation", 4}};
  spec_.reset_options = fixed_task_options();
}

PointMaze::~PointMaze() = default;

void PointMaze::begin(std::optional<Seed> seed, const ResetOptions& options, std::span<double> obs) {
  check_size(spec_.id, "observation", spec_.observation.size(), obs.size());
  if (!options.state.empty()) {
    restore(options.state);
    if (seed) rng_ = Rng(*seed);
    write_obs(obs);
    return;
  }
  const FixedTask fixed = fixed_task(map_, spec_.id, options, [&](Point point) { return cell_at(point); });

  if (seed) rng_ = Rng(*seed);
  const Point random_goal = draw_goal();
  const Point goal = scatter(fixed.goal_cell ? point_of(*fixed.goal_cell) : random_goal);
  goal_ = fixed.goal.value_or(goal);
  const Point random_start = draw_start(goal_);
  const Point start = scatter(fixed.start_cell ? point_of(*fixed.start_cell) : random_start);
  physics_->place(fixed.start.value_or(start), {});
  success_ = reached();
  write_obs(obs);
}

StepResult PointMaze::step(std::span<const double> action, std::span<double> obs) {
  check_size(spec_.id, "action", 2, action.size());
  check_size(spec_.id, "observation", spec_.observation.size(), obs.size());
  require(std::isfinite(action[0]) && std::isfinite(action[1]), spec_.id,
          ": action: expected finite numbers, got (", action[0], ", ", action[1], ")");
  physics_->step({std::clamp(action[0], -1.0, 1.0), std::clamp(action[1], -1.0, 1.0)});
  success_ = reached();
  const StepResult result{reward(physics_->position(), goal_), success_ && !config_.continuing_task};
  if (success_ && config_.continuing_task && config_.reset_target && goal_cells_.size() > 1) do
      goal_ = scatter(draw_goal());
    while (reached());
  write_obs(obs);
  return result;
}

void PointMaze::state(std::span<double> out) const {
  check_size(spec_.id, "state", spec_.state_size, out.size());
  physics_->state(out.first(physics_->state_size()));
  const std::span<double> task = out.last(kTaskState);
  task[0] = goal_[0];
  task[1] = goal_[1];
  task[2] = success_;
  write_rng(rng_, task.last<kRngNumbers>());
}

void PointMaze::set_state(std::span<const double> state, std::span<double> obs) {
  check_size(spec_.id, "observation", spec_.observation.size(), obs.size());
  restore(state);
  write_obs(obs);
}

void PointMaze::info(std::span<double> out) const {
  check_size(spec_.id, "info", spec_.info_size(), out.size());
  const Point p = physics_->position(), v = physics_->velocity();
  out[0] = success_;
  std::copy_n(goal_.begin(), 2, out.begin() + 1);
  std::copy_n(p.begin(), 2, out.begin() + 3);
  std::copy_n(v.begin(), 2, out.begin() + 5);
  out[7] = distance(p, goal_);
}

Image PointMaze::render(int width, int height) const {
  return draw_maze(map_, in_map(physics_->position()), in_map(goal_), width, height);
}

Point PointMaze::point_of(Cell cell) const {
  return {cell[1] + 0.5 - map_.columns() / 2.0, map_.rows() / 2.0 - (cell[0] + 0.5)};
}

Cell PointMaze::cell_at(Point position) const {
  return map_.cell_at(in_map(position));
}

double PointMaze::reward(Point achieved, Point desired) const {
  const double d = distance(achieved, desired);
  return dense_ ? std::exp(-d) : d <= kGoalRadius;
}

/// Which cells are for starts and which for goals. The text was parsed, so that its letters are those of the
/// cells, in order.
void PointMaze::read_marks(std::string_view text) {
  std::string letters(text);
  std::erase_if(letters, [](char c) { return c == '#' || c == '\n' || c == '\r' || c == '\\'; });
  const bool starts = letters.find_first_of("RS") != std::string::npos;
  const bool goals = letters.find('G') != std::string::npos;
  const bool both = letters.find('C') != std::string::npos;
  for (std::size_t i = 0; i < letters.size(); ++i) {
    const char letter = letters[i];
    const Cell cell = map_.free_cells()[i];
    const bool unmarked = kMarks.find(letter) == std::string_view::npos;
    if (letter == 'R' || letter == 'S' || letter == 'C' || (unmarked && !starts && !both))
      start_cells_.push_back(cell);
    if (letter == 'G' || letter == 'C' || (unmarked && !goals && !both)) goal_cells_.push_back(cell);
  }
  require(!start_cells_.empty(), "maze_map: expected a cell to start in, found goals only");
  require(!goal_cells_.empty(), "maze_map: expected a cell to reach, found starts only");
}

Point PointMaze::scatter(Point middle) {
  const double range = config_.position_noise_range;
  const double x = middle[0] + rng_.uniform(-range, range);
  return {x, middle[1] + rng_.uniform(-range, range)};
}

Point PointMaze::draw_goal() {
  return point_of(goal_cells_[rng_.below(goal_cells_.size())]);
}

Point PointMaze::draw_start(Point goal) {
  const auto far = [&](Cell cell) { return distance(point_of(cell), goal) > kStartDistance; };
  const auto count = std::size_t(std::ranges::count_if(start_cells_, far));
  if (!count) return point_of(start_cells_[rng_.below(start_cells_.size())]);
  std::uint64_t skip = rng_.below(count);
  return point_of(*std::ranges::find_if(start_cells_, [&](Cell cell) { return far(cell) && skip-- == 0; }));
}

bool PointMaze::reached() const {
  return distance(physics_->position(), goal_) <= kGoalRadius;
}

/// The position as in maze_map.h.
Point PointMaze::in_map(Point position) const {
  return {map_.rows() / 2.0 - position[1] - 0.7, position[0] + map_.columns() / 2.0 - 0.7};
}

void PointMaze::write_obs(std::span<double> obs) const {
  const Point p = physics_->position(), v = physics_->velocity();
  const double values[] = {p[0], p[1], goal_[0], goal_[1], p[0], p[1], v[0], v[1]};
  std::ranges::copy(values, obs.begin());
}

void PointMaze::restore(std::span<const double> state) {
  check_size(spec_.id, "state", spec_.state_size, state.size());
  const std::span<const double> task = state.last(kTaskState);
  const Point goal{task[0], task[1]};
  checked_point(map_, spec_.id, "state: goal", goal, cell_at(goal));
  require(task[2] == 0 || task[2] == 1, spec_.id, ": state: success: expected 0 or 1, got ", task[2]);
  const auto words = read_rng(spec_.id, task.last<kRngNumbers>());
  physics_->set_state(state.first(physics_->state_size()));
  goal_ = goal;
  success_ = task[2] == 1;
  rng_.set_state(words);
}

}  // namespace diffreward
