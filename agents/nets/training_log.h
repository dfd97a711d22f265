// metrics.jsonl: one JSON object a line, {"step": ..., "loss": ..., ...}; and its copy for TensorBoard.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <vector>

#include "core/config.h"

namespace diffreward {

class TrainingLog {
 public:
  /// Appends to `path`, first dropping lines past `last_step` (a resumed run writes those again) and
  /// half-written ones. An empty path writes nothing. Throws Error when the file cannot be written.
  TrainingLog(std::filesystem::path path, std::int64_t last_step);
  /// The lines that were kept from before, in order.
  const std::vector<Json>& lines() const { return lines_; }
  /// Writes one line and flushes it.
  void write(const Json& line);

 private:
  std::filesystem::path path_;
  std::ofstream file_;
  std::vector<Json> lines_;
};

/// The name by which TensorBoard finds it.
inline constexpr const char* kTensorboardFile = "events.out.tfevents.diffreward";

/// Writes the numbers of a metrics.jsonl as scalars into `folder`/kTensorboardFile,
/// TensorBoard's event format (TFRecord framing, file version brain.Event:2), atomically; returns that file.
/// "time" (seconds since 1970) becomes the wall time. Throws Error naming the file and line that is not an
/// object with a "step".
std::filesystem::path write_tensorboard(const std::filesystem::path& jsonl,
                                        const std::filesystem::path& folder);

}  // namespace diffreward
