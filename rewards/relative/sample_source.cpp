#include "rewards/relative/sample_source.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "agents/diffusion/window_model.h"
#include "core/error.h"
#include "datasets/recorded_task.h"

namespace diffreward {
namespace {

/// Throws InvalidArgument naming the data set and the columns that do not fit.
const Dataset& fitting(const char* name, const Dataset& data, const WindowLayout& layout) {
  require(static_cast<int>(data.observation_dim()) == layout.observation_dim, name, ": expected ",
          layout.observation_dim, " observation columns as in the models, found ", data.observation_dim());
  require(layout.action_dim == 0 || static_cast<int>(data.action_dim()) == layout.action_dim, name,
          ": expected ", layout.action_dim, " action columns as in the models, found ", data.action_dim());
  return data;
}

/// See WindowSource::fallen.
std::optional<double> fallen_share(const Dataset& data) {
  const std::size_t limit = recorded_task(data.provenance()).limit;
  if (limit == 0) return std::nullopt;
  double fallen = 0.5, all = 1;
  for (const Episode& episode : data.episodes()) {
    const std::size_t after = episode.terminated && episode.size() < limit ? limit - episode.size() : 0;
    fallen += static_cast<double>(after);
    all += static_cast<double>(episode.size() + after);
  }
  return fallen / all;
}

class RecordedWindows final : public WindowSource {
 public:
  RecordedWindows(const Dataset& expert_data, const Dataset& base_data, const WindowLayout& layout,
                  const Normalizer& normalizer, double held_out, std::uint64_t seed)
      : WindowSource(layout),
        normalizer_(normalizer),
        expert_data_(expert_data),
        base_data_(base_data),
        base_split_(split_episodes(base_data, held_out, seed)),
        expert_("expert_data", expert_data, layout, split_episodes(expert_data, held_out, seed)),
        base_("base_data", base_data, layout, base_split_),
        fallen_expert_(fallen_share(expert_data)),
        fallen_base_(fallen_share(base_data)) {}

  void draw(Side side, Part part, Rng& rng, std::span<float> out) const override {
    const Episodes& from = side == Side::kExpert ? expert_ : base_;
    from.windows.copy(from.part(part).draw(rng), out);
    normalizer_.normalize(out, out);
  }

  double draw_paid(Side side, Part part, Rng& rng, double discount, std::span<float> out) const override {
    const Episodes& from = side == Side::kExpert ? expert_ : base_;
    const Dataset& data = side == Side::kExpert ? expert_data_ : base_data_;
    const std::size_t index = from.part(part).draw(rng);
    from.windows.copy(index, out);
    normalizer_.normalize(out, out);
    const std::size_t end = data.episodes()[from.windows.episode(index)].end;
    double sum = 0, factor = 1;
    for (std::size_t row = from.windows.row(index); row < end; ++row, factor *= discount)
      sum += factor * double{data.rewards()[row]};
    return sum;
  }

  std::optional<double> fallen(Side side) const override {
    return side == Side::kExpert ? fallen_expert_ : fallen_base_;
  }

  std::vector<float> base_windows(int n, int rows, Part part, Rng& rng) const override {
    WindowLayout layout = layout_;
    layout.horizon = rows;
    const WindowSampler windows(base_data_, layout, false);
    const EpisodeWindows from(windows, part == Part::kTrain ? base_split_.train : base_split_.test);
    const auto size = static_cast<std::size_t>(layout.size());
    std::vector<float> out(static_cast<std::size_t>(n) * size);
    for (std::size_t at = 0; at < out.size(); at += size)
      windows.copy(from.draw(rng), std::span(out).subspan(at, size));
    return out;
  }

 private:
  struct Episodes {
    WindowSampler windows;
    EpisodeWindows train, held_out;
    Episodes(const char* name, const Dataset& data, const WindowLayout& layout, const Split& split)
        : windows(fitting(name, data, layout), layout, false),
          train(windows, split.train),
          held_out(windows, split.test) {
      require(train.count() > 0 && held_out.count() > 0, name,
              ": expected windows in training and in held-out episodes, found ", train.count(), " and ",
              held_out.count(), " in ", data.episodes().size(), " episodes");
    }
    const EpisodeWindows& part(Part part) const { return part == Part::kTrain ? train : held_out; }
  };

  const Normalizer normalizer_;
  Dataset expert_data_, base_data_;
  Split base_split_;
  Episodes expert_, base_;
  std::optional<double> fallen_expert_, fallen_base_;
};

class WindowsInMemory final : public WindowSource {
 public:
  WindowsInMemory(std::vector<float> expert, std::vector<float> base, const WindowLayout& layout,
                  const Normalizer& normalizer, double held_out)
      : WindowSource(layout), normalizer_(normalizer) {
    require(held_out > 0 && held_out < 1, "held_out: expected a share between 0 and 1, got ", held_out);
    expert_ = checked("expert windows", std::move(expert), held_out);
    base_ = checked("base windows", std::move(base), held_out);
  }

  void draw(Side side, Part part, Rng& rng, std::span<float> out) const override {
    std::ranges::copy(window(side == Side::kExpert ? expert_ : base_, part, rng), out.begin());
    normalizer_.normalize(out, out);
  }

  std::vector<float> base_windows(int n, int rows, Part part, Rng& rng) const override {
    require(rows >= 1 && rows <= layout_.horizon, "base_windows: expected at most ", layout_.horizon,
            " rows, got ", rows);
    const auto width = static_cast<std::size_t>(layout_.width());
    std::vector<float> out;
    for (int i = 0; i < n; ++i) {
      const std::span<const float> from = window(base_, part, rng);
      const auto first = rng.below(static_cast<std::uint64_t>(layout_.horizon - rows + 1)) * width;
      const auto stretch = from.subspan(first, static_cast<std::size_t>(rows) * width);
      out.insert(out.end(), stretch.begin(), stretch.end());
    }
    return out;
  }

 private:
  struct Windows {
    std::vector<float> values;  // [n, horizon, width]
    std::size_t train = 0, held_out = 0;
  };

  Windows checked(const char* name, std::vector<float> values, double held_out) const {
    const auto size = static_cast<std::size_t>(layout_.size());
    require(values.size() % size == 0, name, ": expected windows of ", size, " numbers, got ", values.size(),
            " numbers");
    for (const float value : values)
      require(std::isfinite(value), name, ": expected finite numbers, got ", value);
    const std::size_t n = values.size() / size;
    const auto kept = static_cast<std::size_t>(std::lround(held_out * static_cast<double>(n)));
    require(kept >= 1 && kept < n, name, ": expected windows to train on and held out, found ", n, " in all");
    return {std::move(values), n - kept, kept};
  }

  std::span<const float> window(const Windows& of, Part part, Rng& rng) const {
    const auto size = static_cast<std::size_t>(layout_.size());
    const std::size_t index = part == Part::kTrain ? rng.below(of.train) : of.train + rng.below(of.held_out);
    return std::span(of.values).subspan(index * size, size);
  }

  const Normalizer normalizer_;
  Windows expert_, base_;
};

class ModelWindows final : public WindowSource {
 public:
  ModelWindows(const WindowModel& expert, const WindowSource& from, int n, std::uint64_t seed)
      : WindowSource(expert.layout()), from_(from) {
    for (const Part part : {Part::kTrain, Part::kHeldOut}) {
      Rng rng(Streams(Purpose::kExtraction, seed,
                      static_cast<std::uint64_t>(Draw::kModelWindows))[static_cast<std::uint64_t>(part)]);
      const std::vector<float> base = from.base_windows(n, layout_.horizon, part, rng);
      const auto size = static_cast<std::size_t>(layout_.size()),
                 columns = static_cast<std::size_t>(layout_.observation_dim);
      Condition first{0, {}};
      for (std::size_t at = 0; at < base.size(); at += size) {
        const auto observation = base.begin() + static_cast<std::ptrdiff_t>(at) + layout_.action_dim;
        first.observations.insert(first.observations.end(), observation,
                                  observation + static_cast<std::ptrdiff_t>(columns));
      }
      std::vector<float>& windows = part == Part::kTrain ? train_ : held_out_;
      windows = expert.sample(n, {first}, {.seed = rng.bits64()});
      expert.normalizer().normalize(windows, windows);
    }
  }

  void draw(Side side, Part part, Rng& rng, std::span<float> out) const override {
    if (side == Side::kBase) return from_.draw(side, part, rng, out);
    const std::vector<float>& windows = part == Part::kTrain ? train_ : held_out_;
    const std::size_t n = windows.size() / out.size();
    std::copy_n(windows.begin() + static_cast<std::ptrdiff_t>(rng.below(n) * out.size()), out.size(),
                out.begin());
  }
  std::vector<float> base_windows(int n, int rows, Part part, Rng& rng) const override {
    return from_.base_windows(n, rows, part, rng);
  }
  std::optional<double> fallen(Side side) const override { return from_.fallen(side); }

 private:
  const WindowSource& from_;
  std::vector<float> train_, held_out_;  // [n, horizon, width]  model units
};

}  // namespace

std::unique_ptr<WindowSource> model_windows(const WindowModel& expert, const WindowSource& from, int n,
                                            std::uint64_t seed) {
  return std::make_unique<ModelWindows>(expert, from, n, seed);
}

double SampleSource::draw_paid(Side, Part, Rng&, double, std::span<float>) const {
  throw Error("expected recordings with the task's rewards, found windows without");
}

std::unique_ptr<WindowSource> windows_of(const Dataset& expert_data, const Dataset& base_data,
                                         const WindowLayout& layout, const Normalizer& normalizer,
                                         double held_out, std::uint64_t seed) {
  return std::make_unique<RecordedWindows>(expert_data, base_data, layout, normalizer, held_out, seed);
}

std::unique_ptr<WindowSource> windows_of(std::vector<float> expert, std::vector<float> base,
                                         const WindowLayout& layout, const Normalizer& normalizer,
                                         double held_out) {
  return std::make_unique<WindowsInMemory>(std::move(expert), std::move(base), layout, normalizer, held_out);
}

}  // namespace diffreward
