#include "datasets/recorded_env.h"

#include "core/error.h"
#include "datasets/column_block.h"

namespace diffreward {

RecordedEnv::RecordedEnv(std::unique_ptr<VectorEnv> inner) : inner_(std::move(inner)) {
  require(inner_->autoreset() == Autoreset::kSameStep, inner_->spec().id,
          ": recording needs autoreset same_step");
}
RecordedEnv::~RecordedEnv() = default;

const StepView& RecordedEnv::reset(const Streams& seeds) {
  if (!blocks_.empty() && blocks_.back()->filled() > 0) blocks_.back()->cut();
  return inner_->reset(seeds);
}

const StepView& RecordedEnv::reset(std::span<const std::uint8_t> mask, std::span<const Seed> seeds,
                                   std::span<const ResetOptions> options) {
  require(mask.empty() || steps_ == 0, spec().id, ": while it is recorded all instances reset together");
  if (!blocks_.empty() && blocks_.back()->filled() > 0) blocks_.back()->cut();
  return inner_->reset(mask, seeds, options);
}

const StepView& RecordedEnv::step(std::span<const double> actions) {
  if (blocks_.empty() || blocks_.back()->full())
    blocks_.push_back(std::make_unique<ColumnBlock>(*inner_, false));
  ColumnBlock& block = *blocks_.back();
  block.before(inner_->view());
  const StepView& view = inner_->step(actions);
  block.after(actions, view);
  ++steps_;
  return view;
}

const StepView& RecordedEnv::set_state(std::span<const double>) {
  throw Error(concat(spec().id, ": a recorded environment does not go back to a state"));
}

Dataset RecordedEnv::write(const CollectInfo& info, const std::filesystem::path& path) {
  require(steps_ > 0, "recorded transitions: expected some, found none");
  D4rlWriter writer(path, transitions(), spec().observation.size(), spec().action.size(), spec().info,
                    inner_->env(0).recorded_fields(), provenance_of(spec(), info));
  blocks_.back()->cut();
  std::size_t done = 0;
  for (const auto& block : blocks_) {
    const std::size_t filled = block->filled();
    block->flush(writer, done, steps_);
    done += filled;
  }
  writer.commit();
  blocks_.clear();
  steps_ = 0;
  return Dataset::open(path);
}

}  // namespace diffreward
