#include "agents/nets/training_run.h"

#include <cmath>
#include <sstream>

#include "core/error.h"

namespace diffreward {
namespace {

constexpr double kDivergence = 1e3;       // times the early loss
constexpr std::int64_t kEarlySteps = 20;  // steps that define it
constexpr double kSmallLoss = 0.01;       // early levels below this count as this: single losses scatter

}  // namespace

void advance_training(Progress& progress, double loss, const std::function<void()>& save) {
  try {
    std::ostringstream note;  // four digits are enough to watch
    note.precision(4);
    note << "loss " << loss;
    progress.advance(1, note.str());
  } catch (const Interrupted&) {
    save();
    throw;
  }
}

void LossWatch::check(std::int64_t step, double loss, double norm, const std::filesystem::path& checkpoint,
                      std::int64_t saved_step) {
  const double limit = kDivergence * std::max(early_loss_, kSmallLoss);
  const bool finite = std::isfinite(loss) && std::isfinite(norm);
  if (finite && (step == 0 || loss <= limit)) {
    if (step < kEarlySteps) early_loss_ += (loss - early_loss_) / static_cast<double>(step + 1);
    return;
  }
  throw Error(concat("training: step ", step + 1, ": expected ",
                     finite ? concat("a loss below ", limit, " (", kDivergence, " times its early level)")
                            : std::string("a finite loss and gradient"),
                     ", found loss ", loss, " and gradient norm ", norm, "; ",
                     saved_step < 0
                         ? std::string("there is no checkpoint")
                         : concat("last good checkpoint: ", checkpoint.string(), " of step ", saved_step)));
}

}  // namespace diffreward
