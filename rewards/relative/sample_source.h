// Where extraction draws clean samples x_0: of the expert's data and of the base's, to train on and held out.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/rng.h"
#include "datasets/normalizer.h"
#include "datasets/windows.h"

namespace diffreward {

class WindowModel;

enum class Side { kExpert, kBase };
enum class Part { kTrain, kHeldOut };

/// Streams of random numbers of an extraction, for different uses (Purpose::kExtraction).
enum class Draw : std::uint64_t {
  kTraining = 0,
  kScales = 1,
  kReport = 2,
  kStatistics = 3,
  kBaseRows = 4,
  kCalibration = 5,
  kShuffling = 6,
  kModelWindows = 7
};

class SampleSource {
 public:
  virtual ~SampleSource() = default;
  /// Of one sample.
  virtual std::vector<std::int64_t> shape() const = 0;
  /// Writes one sample, drawn uniformly, in model units.  out: numbers of one shape()
  virtual void draw(Side side, Part part, Rng& rng, std::span<float> out) const = 0;
  /// The same, and what it earns: the sum of discount^k r_k of the task's own rewards from its first step to the end of its
  /// episode. Throws Error where nothing tells.
  virtual double draw_paid(Side side, Part part, Rng& rng, double discount, std::span<float> out) const;
  /// The numbers [first, last) of a sample that a model may be given clean (ExtractConfig::condition_probability); none.
  virtual std::pair<std::int64_t, std::int64_t> given() const { return {0, 0}; }
};

/// Samples that are windows of behaviour.
class WindowSource : public SampleSource {
 public:
  explicit WindowSource(const WindowLayout& layout) : layout_(layout) {}
  std::vector<std::int64_t> shape() const override { return {layout_.horizon, layout_.width()}; }
  /// The first observation.
  std::pair<std::int64_t, std::int64_t> given() const override {
    return {layout_.action_dim, layout_.width()};
  }
  /// n windows of base data of another number of rows, in data units, [n, rows, width].
  virtual std::vector<float> base_windows(int n, int rows, Part part, Rng& rng) const = 0;
  /// The time that a side spends fallen, were every episode to last until its limit: the steps after an end by the task over
  /// all (absorbing states, Kostrikov et al. 2019). Nothing where no limit is known.
  virtual std::optional<double> fallen(Side /*side*/) const { return std::nullopt; }

 protected:
  const WindowLayout layout_;
};

/// Windows of two data sets, of which a share of the episodes is held out. Throws InvalidArgument naming the data
/// set whose columns do not fit the layout, or that has no window in one of the parts.
std::unique_ptr<WindowSource> windows_of(const Dataset& expert_data, const Dataset& base_data,
                                         const WindowLayout& layout, const Normalizer& normalizer,
                                         double held_out, std::uint64_t seed);

/// The same windows of the base; of the expert `n` in each part that its model samples from first observations of the base's:
/// where a base that is led by the reward comes to, and recordings of an expert may never have been. `from` and `expert` must
/// live as long, the latter until this returns.
std::unique_ptr<WindowSource> model_windows(const WindowModel& expert, const WindowSource& from, int n,
                                            std::uint64_t seed);

/// Windows that lie in memory, [n, horizon, width] each, in data units, of which the last share is held out.
/// Throws InvalidArgument naming the side that has none in one of the parts, or another size.
std::unique_ptr<WindowSource> windows_of(std::vector<float> expert, std::vector<float> base,
                                         const WindowLayout& layout, const Normalizer& normalizer,
                                         double held_out);

}  // namespace diffreward
