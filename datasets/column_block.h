// Steps of n instances on their way into a file: what collect() and RecordedEnv have in common.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "datasets/storage/d4rl_writer.h"
#include "envs/vector_env.h"

namespace diffreward {

/// The column of log pi(action | observation), nats, under D4RL's name.
inline constexpr const char* kLogProbabilities = "action_log_probs";

/// All columns of up to kSteps steps, instance by instance, so that each write is one contiguous piece of the file in
/// which every instance fills a block of rows.
class ColumnBlock {
 public:
  static constexpr std::size_t kSteps = 256;

  /// `log_probabilities`: with a column of them.
  ColumnBlock(VectorEnv& envs, bool log_probabilities)
      : envs_(envs),
        n_(static_cast<std::size_t>(envs.size())),
        info_dim_(envs.spec().info_size()),
        fields_(envs.spec().info) {
    const EnvSpec& spec = envs.spec();
    floats_.emplace_back("observations", n_, spec.observation.size());
    floats_.emplace_back("next_observations", n_, spec.observation.size());
    floats_.emplace_back("actions", n_, spec.action.size());
    floats_.emplace_back("rewards", n_, std::size_t{1});
    for (const InfoField& field : fields_) floats_.emplace_back("infos/" + field.name, n_, field.size);
    if (log_probabilities)
      floats_.emplace_back(std::string("infos/") + kLogProbabilities, n_, std::size_t{1});
    for (const InfoField& field : envs.env(0).recorded_fields()) {
      doubles_.emplace_back("infos/" + field.name, n_, field.size);
      recorded_.resize(recorded_.size() + field.size);
    }
    flags_.emplace_back("terminals", n_, std::size_t{1});
    flags_.emplace_back("timeouts", n_, std::size_t{1});
  }
  /// The infos of a file with such columns, but those of double precision.
  static std::vector<InfoField> infos(const EnvSpec& spec, bool log_probabilities) {
    std::vector<InfoField> fields = spec.info;
    if (log_probabilities) fields.push_back({kLogProbabilities, 1});
    return fields;
  }

  /// What the next actions answer to.
  void before(const StepView& view) {
    put(floats_[kObservations], view.obs);
    std::size_t at = 0;
    for (std::size_t f = 0; f < fields_.size(); at += fields_[f++].size)
      for (std::size_t i = 0; i < n_; ++i)
        floats_[kInfos + f].put(i, filled_, view.info.data() + i * info_dim_ + at);
    for (std::size_t i = 0; i < n_ && !doubles_.empty(); ++i) {
      envs_.env(static_cast<int>(i)).recorded(recorded_);
      const double* from = recorded_.data();
      for (auto& column : doubles_) {
        column.put(i, filled_, from);
        from += column.width();
      }
    }
  }
  /// The actions, and what followed. Completes the step.
  void after(std::span<const double> actions, const StepView& view,
             std::span<const double> log_probabilities = {}) {
    put(floats_[kActions], actions);
    put(floats_[kNextObservations], view.final_obs);
    put(floats_[kRewards], view.task_reward);
    if (!log_probabilities.empty()) put(floats_.back(), log_probabilities);
    for (std::size_t i = 0; i < n_; ++i) {
      *flags_[kTerminals].row(i, filled_) = view.terminated[i];
      *flags_[kTimeouts].row(i, filled_) = view.truncated[i] && !view.terminated[i];
    }
    ++filled_;
  }
  /// The recording stops here: what the task did not end is cut.
  void cut() {
    for (std::size_t i = 0; i < n_; ++i)
      *flags_[kTimeouts].row(i, filled_ - 1) = *flags_[kTerminals].row(i, filled_ - 1) == 0;
  }

  std::size_t filled() const { return filled_; }
  bool full() const { return filled_ == kSteps; }

  /// Writes the steps behind row `done` of every instance's block of `length` rows, and is empty again.
  void flush(D4rlWriter& writer, std::size_t done, std::size_t length) {
    for (auto& column : floats_) column.flush(writer, n_, filled_, done, length);
    for (auto& column : doubles_) column.flush(writer, n_, filled_, done, length);
    for (auto& column : flags_) column.flush(writer, n_, filled_, done, length);
    filled_ = 0;
  }

 private:
  template <class T>
  class Column {
   public:
    Column(std::string name, std::size_t instances, std::size_t width)
        : name_(std::move(name)), width_(width), values_(instances * kSteps * width) {}
    std::size_t width() const { return width_; }
    T* row(std::size_t instance, std::size_t step) {
      return values_.data() + (instance * kSteps + step) * width_;
    }
    void put(std::size_t instance, std::size_t step, const double* from) {
      std::transform(from, from + width_, row(instance, step),
                     [](double value) { return static_cast<T>(value); });
    }
    void flush(D4rlWriter& writer, std::size_t instances, std::size_t steps, std::size_t done,
               std::size_t length) {
      for (std::size_t i = 0; i < instances; ++i)
        writer.write(name_, i * length + done, std::span<const T>(row(i, 0), steps * width_));
    }

   private:
    std::string name_;
    std::size_t width_;
    std::vector<T> values_;  // [instances, kSteps, width]
  };
  enum Floats : std::size_t { kObservations, kNextObservations, kActions, kRewards, kInfos };
  enum Flags : std::size_t { kTerminals, kTimeouts };

  void put(Column<float>& column, std::span<const double> rows) {
    for (std::size_t i = 0; i < n_; ++i) column.put(i, filled_, rows.data() + i * column.width());
  }

  VectorEnv& envs_;
  std::size_t n_, info_dim_, filled_ = 0;
  std::vector<InfoField> fields_;
  std::vector<Column<float>> floats_;
  std::vector<Column<double>> doubles_;  // what Env::recorded() tells
  std::vector<double> recorded_;         // of one instance
  std::vector<Column<std::uint8_t>> flags_;
};

}  // namespace diffreward
