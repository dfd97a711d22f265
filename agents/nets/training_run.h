// What every training that resumes looks after: that a run goes on with its own settings, and that its loss is one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/progress.h"

namespace diffreward {

/// Throws InvalidArgument naming the first key in which `found` differs from `config`.
template <class Config>
void require_same(const Config& config, const Json& found, const std::vector<std::string>& ignored,
                  const std::string& what) {
  for (const FieldInfo& field : fields(config)) {
    if (std::ranges::find(ignored, field.name) != ignored.end()) continue;
    const Json* const value = value_at(found, field.name);
    require(value != nullptr && *value == field.value, what, ": ", field.name, ": expected ",
            brief(field.value), ", found ", brief(value != nullptr ? *value : Json()));
  }
}

/// Shows a step that was taken, with its loss. A signal ends the run where nothing is lost: `save` is called first.
void advance_training(Progress& progress, double loss, const std::function<void()>& save);

/// Ends a training that has gone astray.
class LossWatch {
 public:
  /// `step`: of those before this one. Throws Error, which names the last checkpoint, of `saved_step` or none (-1),
  /// where loss or gradient is not finite or the loss a thousand times its early level.
  void check(std::int64_t step, double loss, double norm, const std::filesystem::path& checkpoint,
             std::int64_t saved_step);

  double early_loss() const { return early_loss_; }  ///< mean of the first steps, for checkpoints
  void restore(double early_loss) { early_loss_ = early_loss; }

 private:
  double early_loss_ = 0;
};

}  // namespace diffreward
