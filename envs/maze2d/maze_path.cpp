// Shortest curves for a ball among the walls of a maze.
//
// The ball's centre must keep `radius` from every wall, so a shortest curve is a taut string: straight pieces
// that are tangent to discs of that radius around the walls' reflex corners, joined by arcs on those discs.
// The graph has one node per tangent point; it also knows the sense (+1 counter-clockwise, -1 clockwise) in
// which the disc is rounded, because a string keeps its sense while it touches a disc. Dijkstra from the
// target then answers any start. A disc around a corner of walls is only met on the quarter that faces the
// free cells, so a point on it is named by its progress in [0, pi/2] along the sense of travel, and arcs only
// lead to greater progress.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <queue>

#include "core/error.h"
#include "envs/maze2d/maze_map.h"

namespace diffreward {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kTouch = 1e-9;  // cells; a curve may come this much nearer than the radius
constexpr double kPointRadius =
    1e-6;  // a point is a ball this small, else it would slip between two wall cells

struct Corner {
  Point at;            // where two walls meet
  int open_x, open_y;  // signs of the quadrant that faces the free cells
};

/// A disc rounded in one sense; sense 0 is a bare point (start or target).
struct Disc {
  Point centre;
  int sense;
};

struct Tangent {
  Point from, to;  // touching points
  Point normal;    // unit vector to the right of travel
  double length;
};

struct Node {
  double progress;  // radians along the disc
  double distance;  // to the target, cells
  struct Edge {
    std::size_t to;
    double length;
  };
  std::vector<Edge> edges;
};

/// A line leaving disc `a` and reaching disc `b` in their senses; length < 0 when the discs overlap too much.
Tangent tangent(const Disc& a, const Disc& b, double radius) {
  const double ra = a.sense * radius, rb = b.sense * radius;
  const double dx = b.centre[0] - a.centre[0], dy = b.centre[1] - a.centre[1];
  const double d = std::hypot(dx, dy);
  if (d <= std::abs(ra - rb)) return {{}, {}, {}, -1};
  const double along = (ra - rb) / d, across = std::sqrt(1 - along * along);
  const Point normal{(along * dx + across * dy) / d, (along * dy - across * dx) / d};
  return {{a.centre[0] + ra * normal[0], a.centre[1] + ra * normal[1]},
          {b.centre[0] + rb * normal[0], b.centre[1] + rb * normal[1]},
          normal,
          d * across};
}

/// Progress of the point with this normal on the corner's disc, or -1 when it lies off the open quarter.
double progress_on(const Corner& corner, int sense, const Point& normal) {
  const double x = sense * normal[0] * corner.open_x, y = sense * normal[1] * corner.open_y;
  if (x < -kTouch || y < -kTouch) return -1;
  const double angle = std::atan2(std::max(y, 0.0), std::max(x, 0.0));
  return sense * corner.open_x * corner.open_y > 0 ? angle : std::numbers::pi / 2 - angle;
}

double point_to_segment(const Point& p, const Point& a, const Point& b) {
  const double dx = b[0] - a[0], dy = b[1] - a[1], square = dx * dx + dy * dy;
  const double t = square > 0 ? std::clamp(((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / square, 0.0, 1.0) : 0;
  return std::hypot(p[0] - a[0] - t * dx, p[1] - a[1] - t * dy);
}

/// The part [t0, t1] of the segment a + t (b - a) whose coordinate `axis` lies in [low, high]; empty if t0 >
/// t1.
void clip(const Point& a, const Point& b, std::size_t axis, double low, double high, double& t0, double& t1) {
  const double d = b[axis] - a[axis];
  if (d == 0) {
    if (a[axis] < low || a[axis] > high) t1 = -1;
    return;
  }
  const double u = (low - a[axis]) / d, v = (high - a[axis]) / d;
  t0 = std::max(t0, std::min(u, v));
  t1 = std::min(t1, std::max(u, v));
}

/// Whether a ball of `radius` moves straight from a to b without overlapping the wall cell (r, c).
bool passes(const Point& a, const Point& b, int r, int c, double radius) {
  const Point low{r - 0.7, c - 0.7}, high{r + 0.3, c + 0.3};
  double t0 = 0, t1 = 1;
  clip(a, b, 0, low[0], high[0], t0, t1);
  clip(a, b, 1, low[1], high[1], t0, t1);
  if (t0 <= t1) return false;
  const double limit = radius - kTouch;
  for (const Point& end : {a, b}) {
    const double dx = std::max({low[0] - end[0], end[0] - high[0], 0.0});
    const double dy = std::max({low[1] - end[1], end[1] - high[1], 0.0});
    if (std::hypot(dx, dy) < limit) return false;
  }
  for (const Point& corner : {low, high, Point{low[0], high[1]}, Point{high[0], low[1]}})
    if (point_to_segment(corner, a, b) < limit) return false;
  return true;
}

class PathGraph {
 public:
  PathGraph(const MazeMap& map, Point target, double radius)
      : map_(map), radius_(std::max(radius, kPointRadius)), target_(target) {
    if (!map.clear(target, radius_ - kTouch)) return;
    find_corners();
    nodes_.resize(2 * corners_.size());
    for (std::size_t from = 0; from < nodes_.size(); ++from)
      for (std::size_t to = 0; to < nodes_.size(); ++to)
        if (from / 2 != to / 2) connect(from, to);
    for (std::size_t to = 0; to < nodes_.size(); ++to) start_at(to);
    solve();
  }

  double distance(Point from) const {
    if (!map_.clear(from, radius_ - kTouch) || !map_.clear(target_, radius_ - kTouch)) return kInfinity;
    if (sees(from, target_)) return std::hypot(from[0] - target_[0], from[1] - target_[1]);
    double best = kInfinity;
    for (std::size_t disc = 0; disc < nodes_.size(); ++disc) {
      // The last node before the point where the string to `from` leaves the disc.
      if (nodes_[disc].empty()) continue;
      const Tangent line = tangent(this->disc(disc), {from, 0}, radius_);
      if (line.length < 0) continue;
      const double progress = progress_on(corners_[disc / 2], sense(disc), line.normal);
      if (progress < 0) continue;
      const Node* last = nullptr;
      for (const Node& node : nodes_[disc])
        if (node.progress <= progress + kTouch) last = &node;
      if (!last) continue;
      const double total = last->distance + radius_ * std::max(progress - last->progress, 0.0) + line.length;
      if (total < best && sees(line.from, line.to)) best = total;
    }
    return best;
  }

 private:
  struct Link {  // between discs, before nodes are numbered
    std::size_t from, to;
    double leave, arrive, length;  // progress on either disc; cells
  };

  static int sense(std::size_t disc) { return disc % 2 ? -1 : 1; }
  Disc disc(std::size_t i) const { return {corners_[i / 2].at, sense(i)}; }

  void find_corners() {
    for (int r = 1; r < map_.rows(); ++r)
      for (int c = 1; c < map_.columns(); ++c) {
        int walls = 0, row = 0, column = 0;
        for (const int dr : {-1, 0})
          for (const int dc : {-1, 0})
            if (!map_.free({r + dr, c + dc})) {
              ++walls;
              row = dr;
              column = dc;
            }
        if (walls == 1) corners_.push_back({{r - 0.7, c - 0.7}, row ? 1 : -1, column ? 1 : -1});
      }
  }

  void connect(std::size_t from, std::size_t to) {
    const Tangent line = tangent(disc(from), disc(to), radius_);
    if (line.length < 0) return;
    const double leave = progress_on(corners_[from / 2], sense(from), line.normal);
    const double arrive = progress_on(corners_[to / 2], sense(to), line.normal);
    if (leave >= 0 && arrive >= 0 && sees(line.from, line.to))
      links_.push_back({from, to, leave, arrive, line.length});
  }

  void start_at(std::size_t to) {
    const Tangent line = tangent({target_, 0}, disc(to), radius_);
    if (line.length < 0) return;
    const double arrive = progress_on(corners_[to / 2], sense(to), line.normal);
    if (arrive >= 0 && sees(line.from, line.to)) nodes_[to].push_back({arrive, line.length, {}});
  }

  // Nodes are numbered disc by disc in order of progress, so an arc leads from a node to the next one.
  void solve() {
    for (const Link& link : links_) {
      nodes_[link.from].push_back({link.leave, kInfinity, {}});
      nodes_[link.to].push_back({link.arrive, kInfinity, {}});
    }
    std::vector<std::size_t> first{0};
    std::vector<Node*> all;
    for (std::vector<Node>& on_disc : nodes_) {
      std::sort(on_disc.begin(), on_disc.end(), [](const Node& a, const Node& b) {
        return a.progress != b.progress ? a.progress < b.progress : a.distance < b.distance;
      });
      const auto twin = [](const Node& a, const Node& b) { return a.progress == b.progress; };
      on_disc.erase(std::unique(on_disc.begin(), on_disc.end(), twin), on_disc.end());
      for (std::size_t i = 0; i + 1 < on_disc.size(); ++i)
        on_disc[i].edges.push_back(
            {first.back() + i + 1, radius_ * (on_disc[i + 1].progress - on_disc[i].progress)});
      for (Node& node : on_disc) all.push_back(&node);
      first.push_back(all.size());
    }
    const auto find = [&](std::size_t on, double progress) {
      const auto& list = nodes_[on];
      const auto at = std::lower_bound(list.begin(), list.end(), progress,
                                       [](const Node& node, double value) { return node.progress < value; });
      return first[on] + std::size_t(at - list.begin());
    };
    for (const Link& link : links_)
      all[find(link.from, link.leave)]->edges.push_back({find(link.to, link.arrive), link.length});
    links_.clear();
    dijkstra(all);
  }

  static void dijkstra(const std::vector<Node*>& nodes) {
    using Entry = std::pair<double, std::size_t>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
    for (std::size_t i = 0; i < nodes.size(); ++i)
      if (nodes[i]->distance < kInfinity) queue.emplace(nodes[i]->distance, i);
    while (!queue.empty()) {
      const auto [distance, i] = queue.top();
      queue.pop();
      if (distance > nodes[i]->distance) continue;
      for (const Node::Edge& edge : nodes[i]->edges) {
        if (distance + edge.length >= nodes[edge.to]->distance) continue;
        nodes[edge.to]->distance = distance + edge.length;
        queue.emplace(nodes[edge.to]->distance, edge.to);
      }
    }
  }

  bool sees(const Point& a, const Point& b) const {
    const auto index = [](double x) { return int(std::floor(x + 0.7)); };
    const int last = index(std::max(a[0], b[0]) + radius_);
    for (int r = index(std::min(a[0], b[0]) - radius_); r <= last; ++r) {
      double t0 = 0, t1 = 1;
      clip(a, b, 0, r - 0.7 - radius_, r + 0.3 + radius_, t0, t1);
      if (t0 > t1) continue;
      const double y0 = a[1] + t0 * (b[1] - a[1]), y1 = a[1] + t1 * (b[1] - a[1]);
      const int end = index(std::max(y0, y1) + radius_);
      for (int c = index(std::min(y0, y1) - radius_); c <= end; ++c)
        if (!map_.free({r, c}) && !passes(a, b, r, c, radius_)) return false;
    }
    return true;
  }

  const MazeMap& map_;
  double radius_;
  Point target_;
  std::vector<Corner> corners_;
  std::vector<std::vector<Node>> nodes_;  // [2 * corners]: counter-clockwise, then clockwise, of each corner
  std::vector<Link> links_;
};

}  // namespace

std::vector<double> MazeMap::path_lengths(std::span<const Point> from, Point to, double radius) const {
  require(radius >= 0 && radius < 0.5, "path_lengths: expected a radius in [0, 0.5) cells, got ", radius);
  const PathGraph graph(*this, to, radius);
  std::vector<double> lengths;
  lengths.reserve(from.size());
  for (const Point& point : from) lengths.push_back(graph.distance(point));
  return lengths;
}

double MazeMap::path_length(Point from, Point to, double radius) const {
  return path_lengths({&from, 1}, to, radius)[0];
}

}  // namespace diffreward
