// The maze on Box2D 2.4: a disc that does not rotate among one-sided chains along the outlines of the walls.
//
// Free flight equals MuJoCo's up to rounding: Box2D's v' = (v + h F / m) / (1 + h c) with c = damping / m is
// MuJoCo's Euler step with implicit joint damping, v' = (m v + h F) / (m + h damping).
//
// Exact resumption. The state is position and velocity alone, although Box2D keeps contacts and their order:
//   - warm starting, sleeping and continuous collision are off, so a step reads no impulse, timer or sweep of
//   the last
//     one. (A step moves at most 0.075, less than the radius, so continuous collision has nothing to
//     prevent.)
//   - Which contacts touch follows from the position; whether others exist in the broad phase does not
//   matter.
//   - Their order does not matter either. Contacts are frictionless (D4RL's are: condim 1) and the disc
//   cannot turn.
//     Outlines are axis-parallel and corners are at least a cell apart, so two contacts that touch at once
//     are either perpendicular walls, which act on different coordinates, or the two edges of one corner,
//     which are equal.
#include <box2d/box2d.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <vector>

#include "core/error.h"
#include "envs/maze2d/maze2d.h"
#include "envs/maze2d/physics.h"

namespace diffreward {
namespace {

// Frictionless contacts that are perpendicular or equal are solved exactly by one velocity sweep. Position
// sweeps stop by themselves once the overlap is small.
constexpr int kVelocitySweeps = 1;
constexpr int kPositionSweeps = 8;

// A chain has a skin and Box2D leaves a little overlap in contacts at rest; with this radius the ball rests
// with its centre exactly kBallRadius from a wall.
constexpr float kDiscRadius = float(Maze2D::kBallRadius) - b2_polygonRadius + b2_linearSlop;

double ball_mass() {
  const double r = Maze2D::kBallRadius;
  return kDensity * 4.0 / 3.0 * std::numbers::pi * r * r * r;  // 4.189 kg: a sphere, as in D4RL's model
}

using Vertex = std::array<int, 2>;  // where cells (r - 1, c - 1) and (r, c) meet

b2Vec2 point_of(Vertex v) {
  return {float(v[0] - 0.7), float(v[1] - 0.7)};
}

/// The outlines of the free cells as closed loops of turning points, walls on the left and free cells on the
/// right of each edge (the side on which Box2D's chains collide). Where two walls meet at a corner only, the
/// loop stays with its free cell, so nothing slips between them.
std::vector<std::vector<Vertex>> outlines(const MazeMap& map) {
  // Unit edges by their first vertex, with the direction of travel. Free cell (r, c) has vertices (r, c) to
  // (r + 1, c + 1); travelling clockwise in (x, y) keeps it on the right.
  std::map<Vertex, std::vector<Vertex>> edges;
  for (const auto [r, c] : map.free_cells()) {
    if (!map.free({r - 1, c})) edges[{r, c}].push_back({0, 1});
    if (!map.free({r, c + 1})) edges[{r, c + 1}].push_back({1, 0});
    if (!map.free({r + 1, c})) edges[{r + 1, c + 1}].push_back({0, -1});
    if (!map.free({r, c - 1})) edges[{r + 1, c}].push_back({-1, 0});
  }
  std::vector<std::vector<Vertex>> loops;
  while (!edges.empty()) {
    std::vector<Vertex> loop;
    Vertex at = edges.begin()->first, heading = edges.begin()->second[0];
    const Vertex first = at, first_heading = heading;
    do {
      std::vector<Vertex>& here = edges.at(at);
      here.erase(std::find(here.begin(), here.end(), heading));
      if (here.empty()) edges.erase(at);
      at = {at[0] + heading[0], at[1] + heading[1]};
      const Vertex right{heading[1], -heading[0]};
      const std::vector<Vertex> none;
      const auto next = edges.find(at);
      const std::vector<Vertex>& ways = next == edges.end() ? none : next->second;
      const bool closed = at == first;
      const auto has = [&](Vertex way) {
        return std::find(ways.begin(), ways.end(), way) != ways.end() || (closed && way == first_heading);
      };
      const Vertex way = has(right) ? right : has(heading) ? heading : Vertex{-right[0], -right[1]};
      if (way != heading) loop.push_back(at);
      heading = way;
    } while (at != first || heading != first_heading);
    loops.push_back(loop);
  }
  return loops;
}

class Box2dPhysics final : public MazePhysics {
 public:
  Box2dPhysics(const MazeMap& map, const MazePhysicsConfig& physics)
      : world_({0, 0}), rows_(map.rows()), columns_(map.columns()) {
    world_.SetWarmStarting(false);
    world_.SetContinuousPhysics(false);
    world_.SetAllowSleeping(false);
    add_walls(map);
    add_ball(physics);
    // Walks through every free cell's corners so that Box2D's pools have grown before the first real step.
    for (const Cell cell : map.free_cells())
      for (const double dx : {-0.6, 0.2})
        for (const double dy : {-0.6, 0.2}) {
          place({cell[0] + dx, cell[1] + dy}, {});
          step({});
        }
  }

  void place(Point position, Point velocity) override {
    ball_->SetTransform({float(position[0]), float(position[1])}, 0);
    ball_->SetLinearVelocity({float(velocity[0]), float(velocity[1])});
  }

  void step(Point force) override {
    constexpr auto kLimit = float(kMaxSpeed);
    const b2Vec2 v = ball_->GetLinearVelocity();
    ball_->SetLinearVelocity({std::clamp(v.x, -kLimit, kLimit), std::clamp(v.y, -kLimit, kLimit)});
    ball_->ApplyForceToCenter({float(kMaxForce * force[0]), float(kMaxForce * force[1])}, true);
    world_.Step(float(kSecondsPerStep), kVelocitySweeps, kPositionSweeps);
  }

  Point position() const override { return {ball_->GetPosition().x, ball_->GetPosition().y}; }
  Point velocity() const override { return {ball_->GetLinearVelocity().x, ball_->GetLinearVelocity().y}; }

  std::size_t state_size() const override { return 4; }
  void state(std::span<double> out) const override {
    const Point p = position(), v = velocity();
    out[0] = p[0];
    out[1] = p[1];
    out[2] = v[0];
    out[3] = v[1];
  }
  void set_state(std::span<const double> state) override {
    require(state[0] >= -0.7 && state[0] <= rows_ - 0.7 && state[1] >= -0.7 && state[1] <= columns_ - 0.7,
            "Maze2D state: expected a position inside the maze, got (", state[0], ", ", state[1], ")");
    require(std::abs(state[2]) <= 1e6 && std::abs(state[3]) <= 1e6,
            "Maze2D state: expected a velocity within 1e6 m/s, got (", state[2], ", ", state[3], ")");
    place({state[0], state[1]}, {state[2], state[3]});
  }

 private:
  void add_walls(const MazeMap& map) {
    b2BodyDef definition;
    b2Body* walls = world_.CreateBody(&definition);
    std::vector<b2Vec2> points;
    for (const std::vector<Vertex>& loop : outlines(map)) {
      points.clear();
      for (const Vertex& vertex : loop) points.push_back(point_of(vertex));
      b2ChainShape chain;
      chain.CreateLoop(points.data(), int(points.size()));
      b2FixtureDef fixture;
      fixture.shape = &chain;
      fixture.friction = 0;
      walls->CreateFixture(&fixture);
    }
  }

  void add_ball(const MazePhysicsConfig& physics) {
    const double kilograms = ball_mass() * physics.mass_scale;
    b2BodyDef definition;
    definition.type = b2_dynamicBody;
    definition.fixedRotation = true;
    definition.linearDamping = float(kDamping * physics.damping_scale / kilograms);
    ball_ = world_.CreateBody(&definition);
    b2CircleShape disc;
    disc.m_radius = kDiscRadius;
    b2FixtureDef fixture;
    fixture.shape = &disc;
    fixture.density = 1;
    fixture.friction = 0;
    ball_->CreateFixture(&fixture);
    b2MassData mass;
    mass.mass = float(kilograms);
    mass.center.SetZero();
    mass.I = 0;
    ball_->SetMassData(&mass);
  }

  b2World world_;
  b2Body* ball_ = nullptr;
  int rows_, columns_;
};

}  // namespace

std::unique_ptr<MazePhysics> make_box2d_physics(const MazeMap& map, const MazePhysicsConfig& physics) {
  return std::make_unique<Box2dPhysics>(map, physics);
}

}  // namespace diffreward
