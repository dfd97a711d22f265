#include "rewards/evaluate/robot_preference.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "envs/catalog.h"

namespace diffreward {
namespace {

constexpr int kGap = 4;  // pixels between frames

enum Behaviour : std::size_t {
  kForwardSpeed,
  kHeight,
  kPitch,
  kContact,
  kEffort,
  kUnsteadiness,
  kBehaviours
};
const BehaviourKind kKinds[kBehaviours] = {{"forward_speed", "m/s"},   {"height", "m"},
                                           {"pitch", "rad"},           {"contact", "share", true},
                                           {"effort", "half-boxes^2"}, {"unsteadiness", "half-boxes^2"}};

using Values = std::vector<double>[kBehaviours];  // [windows] each

/// What each window shows of every kind.
void observe(const ScoredWindows& scored, const Dataset& data, Values& out) {
  RecordedRobot robot(data);
  const Box& box = robot.spec().action;
  const std::size_t act_dim = data.action_dim();
  /// Of action `row` the mean square, or of its change since the row before.
  const auto square = [&](std::size_t row, bool change) {
    double sum = 0;
    for (std::size_t j = 0; j < act_dim; ++j) {
      const double half = (box.high[j] - box.low[j]) / 2;
      double u = double{data.actions()[row * act_dim + j]};
      if (change) u -= double{data.actions()[(row - 1) * act_dim + j]};
      sum += u / half * (u / half);
    }
    return sum / static_cast<double>(act_dim);
  };
  for (std::size_t i = 0; i < scored.size(); ++i) {
    const std::size_t begin = data.episodes()[scored.episode[i]].begin;
    const auto [first, last] = scored.recorded(i, data);
    double sums[kBehaviours] = {};
    for (std::size_t row = first; row <= last; ++row) {
      robot.place(row);
      const Posture posture = robot.posture();
      sums[kForwardSpeed] += robot.forward_speed();
      sums[kHeight] += posture.height;
      sums[kPitch] += posture.pitch;
      sums[kContact] += posture.contact ? 1 : 0;
      sums[kEffort] += square(row, false);
      if (row > begin) sums[kUnsteadiness] += square(row, true);
    }
    const auto steps = static_cast<double>(last - first + 1);
    for (std::size_t b = 0; b < kBehaviours; ++b)
      out[b].push_back(sums[b] / (b == kUnsteadiness && first == begin ? std::max(steps - 1, 1.0) : steps));
  }
}

/// Windows in the order of their pay, the first of each episode alone.
std::vector<std::size_t> one_an_episode(const ScoredWindows& scored, int count, bool most) {
  std::vector<std::size_t> order(scored.size()), out;
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    return most ? scored.reward[a] > scored.reward[b] : scored.reward[a] < scored.reward[b];
  });
  std::set<std::size_t> seen;
  for (const std::size_t i : order)
    if (out.size() < static_cast<std::size_t>(count) && seen.insert(scored.episode[i]).second)
      out.push_back(i);
  return out;
}

}  // namespace

RecordedRobot::RecordedRobot(const Dataset& data) : data_(data) {
  if (!recorded(data))
    throw Error(concat(data.path().string(),
                       ": expected a recording of a robot with infos/qpos and infos/qvel, found ",
                       data.provenance().env.empty() ? "none" : data.provenance().env));
  env_ = make_env(data.provenance().env, data.provenance().env_options);
  robot_ = dynamic_cast<MujocoEnv*>(env_.get());
  obs_.resize(env_->spec().observation.size());
}

bool RecordedRobot::recorded(const Dataset& data) {
  const Provenance& from = data.provenance();
  if (from.env.empty() || !data.has_info("qpos") || !data.has_info("qvel")) return false;
  const auto env = make_env(from.env, from.env_options);
  const auto* robot = dynamic_cast<const MujocoEnv*>(env.get());
  return robot != nullptr && robot->qpos().size() == data.info_dim("qpos") &&
         robot->qvel().size() == data.info_dim("qvel");
}

void RecordedRobot::place(std::size_t row) {
  const auto state = [&](const char* name) {
    const std::size_t width = data_.info_dim(name);
    if (const auto exact = data_.info_doubles(name); !exact.empty()) {
      const auto values = exact.subspan(row * width, width);
      return std::vector<double>(values.begin(), values.end());
    }
    const auto values = data_.info(name).subspan(row * width, width);
    return std::vector<double>(values.begin(), values.end());
  };
  robot_->place(state("qpos"), state("qvel"), obs_);
}

RobotPreferenceReport robot_preference(const ScoredWindows& expert, const Dataset& expert_data,
                                       const ScoredWindows& base, const Dataset& base_data,
                                       const BootstrapConfig& config) {
  require(expert.layout == base.layout, "robot_preference: expected expert and base windows in one layout");
  Values e, b;
  observe(expert, expert_data, e);
  observe(base, base_data, b);
  RobotPreferenceReport report;
  for (std::size_t k = 0; k < kBehaviours; ++k)
    report.behaviours.push_back(
        compare_behaviour(kKinds[k], {expert, e[k]}, {base, b[k]}, b[kForwardSpeed], config));
  return report;
}

Json RobotPreferenceReport::json() const {
  Json out = {{"behaviours", Json::array()}};
  for (const BehaviourPreference& b : behaviours) out["behaviours"].push_back(b.json());
  return out;
}

Image draw_moments(const ScoredWindows& scored, const Dataset& data, int count, int side) {
  RecordedRobot robot(data);
  std::vector<Image> rows;
  for (const bool most : {false, true}) {
    std::vector<Image> frames;
    for (const std::size_t i : one_an_episode(scored, count, most)) {
      robot.place(scored.recorded(i, data).second);
      frames.push_back(robot.render(side, side));
    }
    rows.push_back(beside(frames, kGap));
  }
  return below(rows, kGap);
}

Image draw_filmstrip(const Dataset& data, const Episode& episode, int frames, int side) {
  require(frames >= 2, "draw_filmstrip: expected at least 2 frames, got ", frames);
  RecordedRobot robot(data);
  std::vector<Image> strip;
  for (int k = 0; k < frames; ++k) {
    robot.place(episode.begin +
                (episode.size() - 1) * static_cast<std::size_t>(k) / static_cast<std::size_t>(frames - 1));
    strip.push_back(robot.render(side, side));
  }
  return beside(strip, kGap);
}

}  // namespace diffreward
