// What is checked, in this order. The layout first; where it does not allow to read the rows, only its faults
// are told. D4RL#n and the like are the public issues where users met the fault.
//
//   damaged-shard            of a plan's folder: no record, no file, or other bytes than its record tells; the others are checked
//   unreadable-file          not HDF5, truncated, or without a data set in it
//   missing-column           observations, actions, rewards or terminals (Minari: terminations, truncations)
//   wrong-type               a column does not hold numbers
//   wrong-shape              a column is not [rows, columns], or its rows are not those of the observations
//   not-finite               not-a-number or infinity in a column
//   missing-timeouts         nothing marks where episodes were cut, or where the recording ends (D4RL#176)
//   terminal-inside-episode  a row is marked terminal although the next row continues from it (D4RL#85)
//   unmarked-reset           the next row does not continue, although nothing marks an end
//   stale-observation        the first row of a new goal repeats the observation before it (D4RL's generator)
//   unmarked-goal-switch     the goal changes inside an episode and infos/goal_switched does not tell
//   reward-all-zero          no reward at all, though a goal was reached or the file knows no goal
//   reward-shifted           rewards are those of the row before or after (D4RL#194)
//   stale-goal               beside a goal switch a reward is paid for the other goal
//   (Gymnasium-Robotics#258) reward-mismatch          other rewards than those of the recorded goal, or of a robot's
//   recorded positions
//   terminal-mismatch        a robot fell and nothing marks it, or is marked and did not
//   fall-at-limit            a fall with the last step of an episode is marked as its cut
//   level-mismatch           whole episodes return other than the recorded policy did where it was judged (D4RL#76: medium
//   and expert were swapped)
//
// "Continues" means: equal to next_observations of the row before where the file has that column; else, in
// mazes, not further than the ball flies in one step; else within the 99 % quantile of the changes of every
// column. Rewards are compared where the file holds infos/goal and the rows are those of a maze, and where it holds a robot's
// qpos and qvel in double precision: Env::recorded_step() then pays what the simulator paid, to the last digit of a float.
#include "datasets/check.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>

#include "core/format.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "core/statistics.h"
#include "datasets/image_set.h"
#include "datasets/recorded_task.h"
#include "datasets/shards.h"
#include "datasets/storage/hdf5_reader.h"
#include "datasets/storage/storage.h"
#include "envs/catalog.h"
#include "envs/maze2d/maze2d.h"

namespace diffreward {
namespace {

constexpr std::size_t kRowsTold = 20;
constexpr std::size_t kGlance = std::size_t{1} << 16;  // rows between two looks at Ctrl-C
constexpr double kFlight = 0.051;       // cells a ball flies in one step: 5 m/s for 0.01 s, and rounding
constexpr double kJump = 0.15;          // cells; further than a ball gets while one row is missing
constexpr double kLastDigit = 0x1p-23;  // of a float between 1 and 2
constexpr double kNearLimit = 1e-5;     // share of an observation
constexpr double kSameReward = 1e-4;    // positions in files are rounded to float
// Returns beside those of the policy: fewest whole episodes, standard errors of the difference, share of the return; and
// the standard errors that a 95 % interval is wide.
constexpr std::size_t kFewestEpisodes = 10;
constexpr double kErrors = 5, kLevel = 0.02, kInterval = 3.92;

/// Collects faults; rows are added one by one.
class Report {
 public:
  void add(const std::string& name, const std::string& message) { faults_.push_back({name, message, 0, {}}); }

  /// All rows for which `faulty` holds, as one fault.
  void rows(const std::string& name, const std::string& message, std::size_t count,
            const std::function<bool(std::size_t)>& faulty) {
    Fault fault{name, message, 0, {}};
    for (std::size_t i = 0; i < count; ++i) {
      if (i % kGlance == 0) check_interrupt();
      if (!faulty(i)) continue;
      if (fault.count++ < kRowsTold) fault.rows.push_back(i);
    }
    if (fault.count > 0) faults_.push_back(std::move(fault));
  }

  bool empty() const { return faults_.empty(); }
  std::vector<Fault> take() { return std::move(faults_); }

 private:
  std::vector<Fault> faults_;
};

/// What a Dataset no longer tells, because opening repairs it.
struct Repaired {
  bool readable = true;            // nothing keeps the rows from being looked at
  bool timeouts = false;           // there was no column
  bool next_observations = false;  // there was no column
  std::vector<std::size_t> ends;   // last rows of Minari episodes that no flag marked
};

// The layout is looked at in the child process that HDF5 works in; what follows makes its answer:
// {"faults": [[name, message]], "timeouts", "next_observations": whether there is such a column, "ends":
// rows}.

/// Shape, type and presence of the columns of one HDF5 group.
class Layout {
 public:
  Layout(hdf5::File& file, std::string group, Json& faults)
      : file_(file), group_(std::move(group)), faults_(faults) {}

  /// Notes the faults of a column that should have `rows` rows (0: any). Returns its rows, 0 where it is
  /// unusable.
  std::size_t column(const std::string& name, std::size_t rows, bool flat, bool required = true) {
    const std::string path = group_ + name;
    try {
      if (hdf5::kind_of(file_.id(), path, path) == hdf5::Kind::kNothing) {
        if (required) add("missing-column", concat(path, ": expected a column, found none"));
        return 0;
      }
      const hdf5::Column found(file_, file_.id(), path, path);
      if (found.rank() > 2 || (flat && found.width() != 1) || (rows != 0 && found.rows() != rows))
        add("wrong-shape", concat(path, ": expected ", rows ? concat(rows) : "any number of", " rows ",
                                  flat ? "of one number" : "of numbers", ", found shape ", found.shape()));
      return found.rows();
    } catch (const Error& error) {
      add("wrong-type", error.what());
    }
    return 0;
  }

  /// Whether the last of `rows` flags is set.
  bool ends_with(const std::string& name, std::size_t rows) {
    const hdf5::Column flags(file_, file_.id(), group_ + name, group_ + name);
    std::uint8_t last = 0;
    flags.read_flags(rows - 1, 1, &last);
    return last != 0;
  }

 private:
  void add(const char* name, const std::string& message) { faults_.push_back({name, message}); }

  hdf5::File& file_;
  std::string group_;
  Json& faults_;
};

Json d4rl_layout(hdf5::File& file) {
  Json faults = Json::array();
  Layout layout(file, "", faults);
  const std::size_t rows = layout.column("observations", 0, false);
  layout.column("actions", rows, false);
  layout.column("rewards", rows, true);
  layout.column("terminals", rows, true);
  layout.column("timeouts", rows, true, false);
  layout.column("next_observations", rows, false, false);
  const auto has = [&](const char* name) {
    return hdf5::kind_of(file.id(), name, name) == hdf5::Kind::kColumn;
  };
  // Those of other kinds are left out by Dataset::open, which tells them, and are no faults.
  Json infos = Json::array();
  if (hdf5::kind_of(file.id(), "infos", "infos") == hdf5::Kind::kGroup && rows > 0) {
    const hdf5::Handle group = hdf5::open_group(file.id(), "infos", "infos");
    for (const std::string& name : hdf5::child_names(group.get())) {
      Json own = Json::array();
      Layout(file, "infos/", own).column(name, rows, false);
      for (const Json& fault : own)
        if (fault.at(0) == "wrong-shape") infos.push_back(fault);
    }
  }
  return {{"timeouts", has("timeouts")},
          {"next_observations", has("next_observations")},
          {"ends", Json::array()},
          {"faults", faults},
          {"infos", infos}};
}

Json minari_layout(hdf5::File& file) {
  Json faults = Json::array(), ends = Json::array();
  std::size_t row = 0;
  const std::size_t episodes = count_episodes(file);
  for (std::size_t i = 0; i < episodes; ++i) {
    const std::string name = concat("episode_", i);
    if (hdf5::kind_of(file.id(), name, name) != hdf5::Kind::kGroup) {
      faults.push_back({"missing-column", concat(name, ": expected a group, found none")});
      break;
    }
    Layout layout(file, name + "/", faults);
    const std::size_t rows = layout.column("rewards", 0, true);
    const std::string states = name + "/observations";
    if (hdf5::kind_of(file.id(), states, states) != hdf5::Kind::kGroup) {
      layout.column("observations", rows ? rows + 1 : 0, false);
    } else {
      for (const std::string& part : hdf5::child_names(hdf5::open_group(file.id(), states, states).get()))
        layout.column("observations/" + part, rows ? rows + 1 : 0, false);
    }
    layout.column("actions", rows, false);
    bool marked = rows == 0;
    for (const char* flags : {"terminations", "truncations"})
      if (layout.column(flags, rows, true) == rows && rows > 0) marked |= layout.ends_with(flags, rows);
    row += rows;
    if (!marked) ends.push_back(row - 1);
  }
  return {{"timeouts", true},
          {"next_observations", true},
          {"ends", ends},
          {"faults", faults},
          {"infos", Json::array()}};
}

/// Opens the file in a child process and notes what is wrong with its layout.
Repaired check_layout(const std::filesystem::path& path, Report& report) {
  const RegularFile file(path);
  const Json found = run_on_file(file, path.string(), nullptr, [](hdf5::File& opened) {
    return is_minari(opened) ? minari_layout(opened) : d4rl_layout(opened);
  });
  const auto add = [&](const char* list) {
    for (const Json& fault : member<Json>(found, list))
      report.add(fault.at(0).get<std::string>(), fault.at(1).get<std::string>());
  };
  add("faults");
  const bool readable = report.empty();
  add("infos");
  return {.readable = readable,
          .timeouts = !member<bool>(found, "timeouts"),
          .next_observations = !member<bool>(found, "next_observations"),
          .ends = member<std::vector<std::size_t>>(found, "ends")};
}

/// The checks that need the rows.
class RowChecks {
 public:
  RowChecks(Dataset data, Repaired repaired, Report& report)
      : data_(std::move(data)),
        repaired_(std::move(repaired)),
        report_(report),
        task_(recorded_task(data_.provenance())),
        n_(data_.size()),
        width_(data_.observation_dim()) {
    const std::string& env = data_.provenance().env;
    const auto has = [&](const char* info) { return data_.has_info(info) && data_.info_dim(info) == 2; };
    maze_ =
        width_ == 4 && data_.action_dim() == 2 && (env.starts_with("Maze2D") || has("goal") || has("qpos"));
    if (maze_ && has("goal")) goal_ = data_.info("goal");
    if (!goal_.empty() && data_.has_info("goal_switched")) told_ = data_.info("goal_switched");
  }

  void run() {
    if (!finite()) return;  // the other checks compare numbers
    ends();
    if (!goal_.empty()) goal_switches();
    limit();
    level();
    find_robot();
    if (robot_ != nullptr) return robot();
    rewards();
  }

 private:
  bool finite() {
    bool good = true;
    const auto column = [&](const std::string& name, std::span<const float> values, std::size_t width) {
      const auto bad = [&](std::size_t row) {
        const auto numbers = values.subspan(row * width, width);
        return std::any_of(numbers.begin(), numbers.end(), [](float x) { return !std::isfinite(x); });
      };
      Report found;
      found.rows("not-finite", "", n_, bad);
      for (const Fault& fault : found.take()) {
        const std::size_t row = fault.rows[0];
        std::size_t c = 0;
        while (std::isfinite(values[row * width + c])) ++c;
        report_.rows("not-finite",
                     concat(name, ": expected numbers, found ", values[row * width + c], " in row ", row,
                            ", column ", c),
                     n_, bad);
        good = false;
      }
    };
    column("observations", data_.observations(), width_);
    if (!repaired_.next_observations) column("next_observations", data_.next_observations(), width_);
    column("actions", data_.actions(), data_.action_dim());
    column("rewards", data_.rewards(), 1);
    for (const std::string& name : data_.info_names())
      column("infos/" + name, data_.info(name), data_.info_dim(name));
    return good;
  }

  void ends() {
    if (repaired_.timeouts) {
      report_.add("missing-timeouts",
                  "timeouts: expected a column that marks where episodes were cut, found none");
    } else {
      report_.rows("missing-timeouts", "timeouts: expected a mark on the last row, found none", n_,
                   [&](std::size_t i) { return i + 1 == n_ && !marked(i); });
      std::size_t next = 0;
      report_.rows(
          "missing-timeouts", "truncations: expected a mark on an episode's last row, found none", n_,
          [&](std::size_t i) { return next < repaired_.ends.size() && repaired_.ends[next] == i && ++next; });
    }
    if (repaired_.next_observations && !maze_) find_typical_changes();
    report_.rows("terminal-inside-episode",
                 "terminals: expected marks where the task ended, found the simulation running on after them",
                 n_ - 1, [&](std::size_t i) { return data_.terminals()[i] && continues(i); });
    report_.rows("unmarked-reset", "expected the next row to continue, found another state and no end marked",
                 n_ - 1, [&](std::size_t i) { return !marked(i) && restarts(i); });
  }

  void goal_switches() {
    report_.rows(
        "stale-observation",
        "observations: expected the state reached on the first row of a new goal, found the one before",
        n_ - 1, [&](std::size_t i) { return stale(i); });
    const auto unmarked = [&](std::size_t i) {
      return goal_changes(i) && !marked(i) && !switch_told(i) && !restarts(i);
    };
    report_.rows("unmarked-goal-switch",
                 "infos/goal_switched: expected 1 on the first row of a new goal inside an episode", n_ - 1,
                 unmarked);
  }

  void rewards() {
    const auto paid = data_.rewards();
    const bool none = std::all_of(paid.begin(), paid.end(), [](float r) { return r == 0; });
    if (goal_.empty()) {
      if (none) report_.add("reward-all-zero", "rewards: expected some reward, found zeros only");
      return;
    }
    sparse_ = std::all_of(paid.begin(), paid.end(), [](float r) { return r == 0 || r == 1; });
    std::size_t wrong = 0, before = 0, after = 0, at_switch = 0;
    for (std::size_t i = 0; i < n_; ++i) {
      if (i % kGlance == 0) check_interrupt();
      if (!known(i) || pays(i, i)) continue;
      ++wrong;
      at_switch += beside_switch(i);
    }
    if (wrong == 0) return;
    const std::string found = "rewards: expected the reward of the reached state and the row's goal, found ";
    const auto mismatch = [&](std::size_t i) { return known(i) && !pays(i, i); };
    if (none) return report_.rows("reward-all-zero", found + "zeros only", n_, mismatch);
    for (std::size_t i = 0; i + 1 < n_; ++i) {
      if (i % kGlance == 0) check_interrupt();
      before += i > 0 && !marked(i - 1) && known(i - 1) && !pays(i, i - 1);
      after += !marked(i) && known(i + 1) && !pays(i, i + 1);
    }
    if (at_switch == wrong)
      return report_.rows("stale-goal", found + "another goal's beside a goal switch", n_, mismatch);
    if (std::min(before, after) * 10 <= wrong)
      return report_.rows("reward-shifted",
                          concat(found, "that of the row ", before <= after ? "before" : "after"), n_,
                          mismatch);
    report_.rows("reward-mismatch", found + "another", n_, mismatch);
  }

  /// Whether an episode is longer than the environment lets it be: an end that nothing marks.
  void limit() {
    const std::size_t most = task_.limit;
    if (repaired_.timeouts || most == 0) return;
    std::size_t length = 0;
    report_.rows("missing-timeouts",
                 concat("timeouts: expected episodes of at most ", most, " steps of ", data_.provenance().env,
                        ", found longer ones"),
                 n_, [&](std::size_t i) {
                   length = i > 0 && marked(i - 1) ? 1 : length + 1;
                   return length == most + 1;
                 });
  }

  /// Whether the episodes return what the recorded policy is known to.
  void level() {
    const Json agent = data_.provenance().extra.value("agent", Json::object());
    if (!agent.is_object() || !agent.contains("stochastic")) return;
    const char* mode = member<bool>(agent, "stochastic") ? "return_stochastic" : "return_deterministic";
    if (!agent.contains(mode)) return;
    const auto told = [&](const char* key) { return member<double>(agent.at(mode), key); };
    const std::vector<double> returns = whole_returns(data_, task_);
    if (returns.size() < kFewestEpisodes) return;
    const double expected = told("value"), found = mean(returns),
                 error = std::hypot(standard_deviation(returns) / std::sqrt(double(returns.size())),
                                    (told("high") - told("low")) / kInterval);
    if (std::abs(found - expected) > kErrors * error + kLevel * std::abs(expected))
      report_.add("level-mismatch",
                  concat("rewards: expected episodes that return ", format_number(expected),
                         ", as the recorded policy did where it was judged, found ", format_number(found)));
  }

  /// The environment that pays a robot's recorded steps, if the file tells enough of it.
  void find_robot() {
    if (task_.env == nullptr || !data_.has_info("qpos") || !data_.has_info("qvel") ||
        data_.info_doubles("qpos").empty() || data_.info_doubles("qvel").empty())
      return;
    robot_ = std::move(task_.env);
    const std::vector<InfoField> fields = robot_->recorded_fields();
    const bool fits = fields == std::vector<InfoField>{{"qpos", data_.info_dim("qpos")},
                                                       {"qvel", data_.info_dim("qvel")}} &&
                      robot_->spec().action.size() == data_.action_dim();
    if (!fits || !recorded_step(0, 0)) robot_.reset();
  }

  /// What the step from row i to the state of row `next` paid.
  std::optional<StepResult> recorded_step(std::size_t i, std::size_t next) {
    const auto state = [&](std::size_t row, std::vector<double>& out) {
      out.clear();
      for (const char* name : {"qpos", "qvel"}) {
        const std::size_t width = data_.info_dim(name);
        const auto values = data_.info_doubles(name).subspan(row * width, width);
        out.insert(out.end(), values.begin(), values.end());
      }
    };
    state(i, before_);
    state(next, after_);
    const auto actions = data_.actions().subspan(i * data_.action_dim(), data_.action_dim());
    action_.assign(actions.begin(), actions.end());
    return robot_->recorded_step(before_, action_, after_);
  }

  /// Rewards and falls of a robot. The state that an episode's last row reached is told by its observation alone.
  void robot() {
    const auto paid = data_.rewards();
    const auto differs = [&](std::size_t i, std::size_t row) {
      const double expected = recorded_step(row, row + 1)->reward, found = double{paid[i]};
      return std::abs(found - expected) > kLastDigit * std::max(1.0, std::abs(expected));
    };
    const auto told = [&](std::size_t row) { return row + 1 < n_ && !marked(row) && continues(row); };
    const auto mismatch = [&](std::size_t i) { return told(i) && differs(i, i); };
    std::size_t wrong = 0, judged = 0, before = 0, after = 0;
    for (std::size_t i = 0; i < n_; ++i) {
      if (i % kGlance == 0) check_interrupt();
      judged += told(i);
      if (!mismatch(i)) continue;
      ++wrong;
      before += i > 0 && told(i - 1) && !differs(i, i - 1);
      after += told(i + 1) && !differs(i, i + 1);
    }
    const std::string found = "rewards: expected those of the recorded qpos, qvel and actions, found ";
    if (wrong > 0 && std::ranges::all_of(paid, [](float r) { return r == 0; }))
      report_.rows("reward-all-zero", found + "zeros only", n_, mismatch);
    else if (wrong > 0 && std::max(before, after) * 10 >= wrong * 9)
      report_.rows("reward-shifted", concat(found, "that of the row ", before >= after ? "before" : "after"),
                   n_, mismatch);
    else if (wrong > 0)
      report_.rows("reward-mismatch", found + "others", n_, mismatch);
    report_.rows("terminal-mismatch",
                 "terminals: expected a mark where the recorded state is a fall, found the episode going on",
                 n_, [&](std::size_t i) { return told(i) && recorded_step(i, i + 1)->terminated; });
    falls();
  }

  /// Whether episodes that end are marked as the state that they reached says.
  void falls() {
    if (robot_->spec().observation.size() != width_) return;
    const std::size_t nq = data_.info_dim("qpos"), nv = data_.info_dim("qvel"), hidden = nq + nv - width_;
    if (nq + nv < width_ || hidden > 2) return;  // observations that are no positions and velocities
    // Observations are floats: what lies so near the limit is not judged.
    const auto ended = [&](std::size_t i, double nudge) {
      after_.assign(hidden, 0.0);
      for (std::size_t c = 0; c < width_; ++c) {
        const double x = double{data_.next_observations()[i * width_ + c]};
        after_.push_back(x + nudge * std::max(1.0, std::abs(x)));
      }
      before_.assign(nq + nv, 0.0);
      action_.assign(data_.action_dim(), 0.0);
      return robot_->recorded_step(before_, action_, after_)->terminated;
    };
    const auto fell = [&](std::size_t i, bool expected) {
      if (repaired_.next_observations || !marked(i)) return false;
      return ended(i, 0) == expected && ended(i, kNearLimit) == expected && ended(i, -kNearLimit) == expected;
    };
    report_.rows(
        "fall-at-limit",
        "terminals: expected a mark on an episode's last row, which is a fall, found a timeout alone", n_,
        [&](std::size_t i) { return !data_.terminals()[i] && fell(i, true); });
    report_.rows("terminal-mismatch", "terminals: expected marks on falls, found one on a state that is none",
                 n_, [&](std::size_t i) { return data_.terminals()[i] && fell(i, false); });
  }

  bool marked(std::size_t i) const {
    return data_.terminals()[i] || (!repaired_.timeouts && data_.timeouts()[i]);
  }
  float observation(std::size_t i, std::size_t c) const { return data_.observations()[i * width_ + c]; }

  double change(std::size_t i, std::size_t c) const {
    return std::abs(double(observation(i + 1, c)) - double(observation(i, c)));
  }
  bool follows(std::size_t i) const {
    const auto next = data_.next_observations().subspan(i * width_, width_);
    return std::equal(next.begin(), next.end(),
                      data_.observations().begin() + std::ptrdiff_t((i + 1) * width_));
  }
  bool continues(std::size_t i) const {
    if (!repaired_.next_observations) return follows(i);
    if (maze_) return change(i, 0) <= kFlight && change(i, 1) <= kFlight;
    for (std::size_t c = 0; c < width_; ++c)
      if (change(i, c) > typical_[c]) return false;
    return true;
  }
  bool jumps(std::size_t i) const {
    if (!repaired_.next_observations) return !follows(i);
    return change(i, 0) > kJump || change(i, 1) > kJump;
  }

  void find_typical_changes() {
    const std::size_t stride = n_ / 100'000 + 1;
    for (std::size_t c = 0; c < width_; ++c) {
      std::vector<double> changes;
      for (std::size_t i = 0; i + 1 < n_; i += stride)
        if (!marked(i)) changes.push_back(change(i, c));
      const auto at = changes.begin() + std::ptrdiff_t(changes.size() * 99 / 100);
      if (at != changes.end()) std::nth_element(changes.begin(), at, changes.end());
      typical_.push_back(at == changes.end() ? 0.0 : *at);
    }
  }

  bool goal_changes(std::size_t i) const {
    return goal_[2 * i] != goal_[2 * i + 2] || goal_[2 * i + 1] != goal_[2 * i + 3];
  }
  bool switch_told(std::size_t i) const { return !told_.empty() && told_[i + 1] != 0; }
  /// Whether the next row is a fresh start that nothing marks: another fault, told as unmarked-reset.
  bool restarts(std::size_t i) const { return (!repaired_.next_observations || maze_) && jumps(i); }
  bool beside_switch(std::size_t i) const {
    return (i + 1 < n_ && !marked(i) && goal_changes(i)) || (i > 0 && !marked(i - 1) && goal_changes(i - 1));
  }
  bool stale(std::size_t i) const {
    if (!(goal_changes(i) || switch_told(i)) || (!repaired_.next_observations && follows(i))) return false;
    for (std::size_t c = 0; c < width_; ++c)
      if (change(i, c) != 0) return false;
    return true;
  }

  /// Whether the state reached by row i stands in the file.
  bool known(std::size_t i) const { return !repaired_.next_observations || (i + 1 < n_ && !marked(i)); }

  /// Whether reward `i` is the one for the state that row `row` reached and for that row's goal.
  bool pays(std::size_t i, std::size_t row) const {
    const auto reached = data_.next_observations().subspan(row * width_, 2);
    const double distance = std::hypot(double(reached[0]) - double(goal_[2 * row]),
                                       double(reached[1]) - double(goal_[2 * row + 1]));
    const double paid = data_.rewards()[i];
    if (!sparse_) return std::abs(paid - std::exp(-distance)) <= kSameReward;
    return std::abs(distance - Maze2D::kGoalRadius) <= kSameReward ||
           (paid == 1) == (distance <= Maze2D::kGoalRadius);
  }

  Dataset data_;
  Repaired repaired_;
  Report& report_;
  RecordedTask task_;
  std::size_t n_, width_;
  bool maze_ = false, sparse_ = false;
  std::span<const float> goal_, told_;
  std::vector<double> typical_;  // [width] 99 % quantile of changes between rows
  std::unique_ptr<Env> robot_;   // whose steps the file tells
  std::vector<double> before_, after_, action_;
};

/// What is wrong with one file.
std::vector<Fault> check_file(const std::filesystem::path& file) {
  Report report;
  try {
    if (is_image_set(file)) return check_images(ImageSet::open(file));
    Repaired repaired = check_layout(file, report);
    if (repaired.readable) RowChecks(Dataset::open(file), std::move(repaired), report).run();
  } catch (const Interrupted&) {
    throw;
  } catch (const Error& error) {
    if (!std::filesystem::exists(file)) throw;
    report.add("unreadable-file", error.what());
  }
  return report.take();
}

/// Faults of a plan's shards, those of one name together, by rows of the whole.
class ShardFaults {
 public:
  void add(const Fault& fault, std::uint64_t shard, const StreamRange& rows) {
    auto at = std::ranges::find(all_, fault.name, [](const Entry& entry) { return entry.fault.name; });
    if (at == all_.end()) {
      const std::string where = concat("shard ", shard, ", rows ", rows.begin, " to ", rows.end - 1, ": ");
      all_.push_back({{fault.name, where + fault.message, 0, {}}, {}});
      at = all_.end() - 1;
    }
    Fault& told = at->fault;
    told.count += fault.count;
    for (const std::size_t row : fault.rows)
      if (told.rows.size() < kRowsTold) told.rows.push_back(rows.begin + row);
    std::vector<StreamRange>& shards = at->shards;
    if (shards.empty() || shards.back().end < shard)
      shards.push_back({shard, shard + 1});
    else
      shards.back().end = shard + 1;
  }

  std::vector<Fault> take() {
    constexpr std::size_t kRanges = 20;
    std::vector<Fault> faults;
    for (Entry& entry : all_) {
      if (entry.shards.size() > 1 || entry.shards.front().size() > 1)
        entry.fault.message += concat(" (the first of shards ", ranges_text(entry.shards, kRanges), ")");
      faults.push_back(std::move(entry.fault));
    }
    return faults;
  }

 private:
  struct Entry {
    Fault fault;
    std::vector<StreamRange> shards;
  };
  std::vector<Entry> all_;
};

/// Every shard by itself: streams, and so episodes, end with it.
std::vector<Fault> check_shards(const ShardFolder& shards) {
  ShardFaults faults;
  Progress progress("check shards", static_cast<std::int64_t>(shards.plan().shards), "shards");
  for (std::uint64_t i = 0; i < shards.plan().shards; ++i) {
    const StreamRange rows = shards.plan().rows_of(i);
    if (const std::string damage = shards.fault(i, true); !damage.empty())
      faults.add({"damaged-shard", damage, 0, {}}, i, rows);
    else
      for (const Fault& fault : check_file(shards.data_file(i))) faults.add(fault, i, rows);
    progress.advance();
  }
  return faults.take();
}

}  // namespace

std::vector<Fault> check_data(const std::filesystem::path& path) {
  try {
    const std::filesystem::path file = find_data_file(path);
    return ShardFolder::is_plan(file) ? check_shards(ShardFolder(file)) : check_file(file);
  } catch (const Interrupted&) {
    throw;
  } catch (const Error& error) {
    if (!std::filesystem::exists(path)) throw;
    return {{"unreadable-file", error.what(), 0, {}}};
  }
}

}  // namespace diffreward
