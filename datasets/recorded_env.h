// A VectorEnv that remembers every transition: the data of training, whoever learns.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "datasets/collect.h"
#include "envs/vector_env.h"

namespace diffreward {

class ColumnBlock;

/// Forwards everything to the wrapped VectorEnv, which must reset in the same step, and keeps the transitions in memory
/// until they are written. Every instance is a block of rows, in time order; a reset cuts what was running.
class RecordedEnv final : public VectorEnv {
 public:
  explicit RecordedEnv(std::unique_ptr<VectorEnv> inner);
  ~RecordedEnv() override;

  const EnvSpec& spec() const override { return inner_->spec(); }
  int size() const override { return inner_->size(); }
  Autoreset autoreset() const override { return inner_->autoreset(); }
  const StepView& reset(const Streams& seeds) override;
  const StepView& reset(std::span<const std::uint8_t> mask, std::span<const Seed> seeds,
                        std::span<const ResetOptions> options) override;
  const StepView& step(std::span<const double> actions) override;
  const StepView& view() const override { return inner_->view(); }
  Env& env(int i) override { return inner_->env(i); }
  std::vector<double> state() const override { return inner_->state(); }
  /// Throws Error: what is remembered would no longer be one history.
  const StepView& set_state(std::span<const double> state) override;

  std::size_t transitions() const { return steps_ * static_cast<std::size_t>(size()); }
  /// Writes all of them as a D4RL HDF5 file, and forgets them. Throws InvalidArgument where there are none.
  Dataset write(const CollectInfo& info, const std::filesystem::path& path);

 private:
  std::unique_ptr<VectorEnv> inner_;
  std::vector<std::unique_ptr<ColumnBlock>> blocks_;
  std::size_t steps_ = 0;
};

}  // namespace diffreward
