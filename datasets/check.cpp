// What is checked, in this order. The layout first; where it does not allow to read the rows, only its faults
// are told. D4RL#n and the like are the public issues where users met the fault.
//
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
//   (Gymnasium-Robotics#258) reward-mismatch          other rewards than those of the recorded goal
//
// "Continues" means: equal to next_observations of the row before where the file has that column; else, in
// mazes, not further than the ball flies in one step; else within the 99 % quantile of the changes of every
// column. Rewards are compared where the file holds infos/goal and the rows are those of a maze.
#include "datasets/check.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "datasets/storage/hdf5.h"
#include "datasets/storage/storage.h"
#include "envs/maze2d/maze2d.h"

namespace diffreward {
namespace {

constexpr std::size_t kRowsTold = 20;
constexpr double kFlight = 0.051;     // cells a ball flies in one step: 5 m/s for 0.01 s, and rounding
constexpr double kJump = 0.15;        // cells; further than a ball gets while one row is missing
constexpr double kSameReward = 1e-4;  // positions in files are rounded to float

/// Collects faults; rows are added one by one.
class Report {
 public:
  void add(const std::string& name, const std::string& message) { faults_.push_back({name, message, 0, {}}); }

  /// All rows for which `faulty` holds, as one fault.
  void rows(const std::string& name, const std::string& message, std::size_t count,
            const std::function<bool(std::size_t)>& faulty) {
    Fault fault{name, message, 0, {}};
    for (std::size_t i = 0; i < count; ++i) {
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
  bool timeouts = false;           // there was no column
  bool next_observations = false;  // there was no column
  std::vector<std::size_t> ends;   // last rows of Minari episodes that no flag marked
};

/// Shape, type and presence of the columns of one HDF5 group.
class Layout {
 public:
  Layout(hid_t group, std::string prefix, Report& report)
      : group_(group), prefix_(std::move(prefix)), report_(report) {}

  /// Notes the faults of a column that should have `rows` rows (0: any). Returns its rows, 0 where it is
  /// unusable.
  std::size_t column(const std::string& name, std::size_t rows, bool flat, bool required = true) {
    const std::string where = prefix_ + name;
    if (!hdf5::has_dataset(group_, name)) {
      if (required) report_.add("missing-column", concat(where, ": expected a column, found none"));
      return 0;
    }
    hdf5::ColumnInfo info;
    try {
      info = hdf5::column_info(hdf5::open_dataset(group_, name, where).get(), where);
    } catch (const Error& error) {
      report_.add("wrong-type", error.what());
      return 0;
    }
    const std::size_t rank = info.shape.size(), found = info.shape[0];
    if (rank > 2 || (flat && rank == 2 && info.shape[1] != 1) || (rows != 0 && found != rows))
      report_.add("wrong-shape", concat(where, ": expected ", rows ? concat(rows) : "any number of", " rows ",
                                        flat ? "of one number" : "of numbers", ", found shape ", text(info)));
    return found;
  }

 private:
  static std::string text(const hdf5::ColumnInfo& info) {
    std::string shape = "[";
    for (const hsize_t extent : info.shape) shape += (shape.size() > 1 ? ", " : "") + concat(extent);
    return shape + "]";
  }

  hid_t group_;
  std::string prefix_;
  Report& report_;
};

void check_d4rl_layout(hid_t file, Report& report, Repaired& repaired) {
  Layout layout(file, "", report);
  const std::size_t rows = layout.column("observations", 0, false);
  layout.column("actions", rows, false);
  layout.column("rewards", rows, true);
  layout.column("terminals", rows, true);
  layout.column("timeouts", rows, true, false);
  layout.column("next_observations", rows, false, false);
  repaired.timeouts = !hdf5::has_dataset(file, "timeouts");
  repaired.next_observations = !hdf5::has_dataset(file, "next_observations");
  const hdf5::Quiet quiet;
  if (H5Lexists(file, "infos", H5P_DEFAULT) <= 0) return;
  const hdf5::Handle infos(H5Gopen2(file, "infos", H5P_DEFAULT), H5Gclose);
  for (const std::string& name : hdf5::child_names(infos.get()))
    if (hdf5::has_dataset(infos.get(), name)) Layout(infos.get(), "infos/", report).column(name, rows, false);
}

void check_minari_layout(hid_t file, Report& report, Repaired& repaired) {
  std::size_t episodes = 0, row = 0;
  for (const std::string& name : hdf5::child_names(file)) episodes += name.starts_with("episode_");
  for (std::size_t i = 0; i < episodes; ++i) {
    const std::string name = concat("episode_", i);
    const hdf5::Quiet quiet;
    const hdf5::Handle group(H5Gopen2(file, name.c_str(), H5P_DEFAULT), H5Gclose);
    if (!group.valid()) return report.add("missing-column", concat(name, ": expected a group, found none"));
    Layout layout(group.get(), name + "/", report);
    const std::size_t rows = layout.column("rewards", 0, true);
    layout.column("observations", rows ? rows + 1 : 0, false);
    layout.column("actions", rows, false);
    bool marked = rows == 0;
    for (const char* flags : {"terminations", "truncations"}) {
      if (layout.column(flags, rows, true) != rows || rows == 0) continue;
      const hdf5::Handle set = hdf5::open_dataset(group.get(), flags, name);
      marked |= hdf5::read_flags(set.get(), hdf5::column_info(set.get(), name), name).back() != 0;
    }
    row += rows;
    if (!marked) repaired.ends.push_back(row - 1);
  }
}

/// The checks that need the rows.
class RowChecks {
 public:
  RowChecks(Dataset data, Repaired repaired, Report& report)
      : data_(std::move(data)),
        repaired_(std::move(repaired)),
        report_(report),
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
      if (!known(i) || pays(i, i)) continue;
      ++wrong;
      at_switch += beside_switch(i);
    }
    if (wrong == 0) return;
    const std::string found = "rewards: expected the reward of the reached state and the row's goal, found ";
    const auto mismatch = [&](std::size_t i) { return known(i) && !pays(i, i); };
    if (none) return report_.rows("reward-all-zero", found + "zeros only", n_, mismatch);
    for (std::size_t i = 0; i + 1 < n_; ++i) {
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
  std::size_t n_, width_;
  bool maze_ = false, sparse_ = false;
  std::span<const float> goal_, told_;
  std::vector<double> typical_;  // [width] 99 % quantile of changes between rows
};

}  // namespace

std::vector<Fault> check_data(const std::filesystem::path& path) {
  Report report;
  Repaired repaired;
  try {
    const std::filesystem::path data_file = find_data_file(path);
    const hdf5::Handle file = hdf5::open_file(data_file);
    if (is_minari(data_file))
      check_minari_layout(file.get(), report, repaired);
    else
      check_d4rl_layout(file.get(), report, repaired);
    if (report.empty()) RowChecks(Dataset::open(path), std::move(repaired), report).run();
  } catch (const Error& error) {
    if (!std::filesystem::exists(path)) throw;
    report.add("unreadable-file", error.what());
  }
  return report.take();
}

}  // namespace diffreward
