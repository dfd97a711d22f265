// What generate records, as streams that can be recorded apart: the side of it that shards see (cli/shard.cpp).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "cli/stages.h"
#include "datasets/shards.h"

namespace diffreward::cli {

/// How many streams a recording has, how many rows each, and how many bytes a row takes.
struct StreamSize {
  std::uint64_t streams, rows_per_stream;
  std::size_t row_bytes;
};
/// Throws UsageError for a config that generate refuses.
StreamSize stream_size(const GenerateConfig& config);

/// Hashes of arithmetic that such a recording rests on beside machine_fingerprint()'s: of LibTorch where an agent learned,
/// of drawing where scenes are drawn.
std::vector<std::pair<std::string, std::string>> arithmetic_of(const GenerateConfig& config);

/// Records some of the streams into a file whose columns are those of the whole recording.
void record_streams(const GenerateConfig& config, const StreamRange& streams,
                    const std::filesystem::path& file);

/// The work of generate's stage by putting shards together: the same products, the same result.
Json merge_recording(const GenerateConfig& config, const ShardFolder& shards,
                     const std::filesystem::path& folder);

}  // namespace diffreward::cli
