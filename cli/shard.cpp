#include "cli/shard.h"

#include <algorithm>
#include <chrono>

#include "cli/command.h"
#include "cli/recording.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "core/provenance.h"
#include "core/thread_pool.h"
#include "datasets/shards.h"
#include "envs/fingerprint.h"

namespace diffreward::cli {
namespace {

constexpr std::size_t kShardBytes = std::size_t{512} << 20;
constexpr std::size_t kShownRanges = 1000;  // of missing shards
constexpr std::size_t kNamedFaults = 1000;

/// What a plan records.
GenerateConfig recording_in(const ShardFolder& shards) {
  GenerateConfig config;
  try {
    update(config, member<Json>(shards.plan().recording, "config"));
  } catch (const InvalidArgument& error) {
    throw Error(concat((shards.path() / ShardFolder::kPlan).string(), ": recording: ", error.what()));
  }
  return config;
}

/// Config and inputs of a recording as a plan holds them: without what changes no result.
Json recording_json(const GenerateConfig& config) {
  const StageSpec stage = stage_of(config);
  Json kept = stage.config;
  for (const char* place : {"out", "threads", "reuse"}) kept.erase(place);
  return {{"command", stage.command}, {"config", kept}, {"inputs", input_hashes(stage)}};
}

/// Throws Error where this program or an input is not what the plan was made for.
void expect_fresh(const ShardFolder& shards, const GenerateConfig& config) {
  const std::string file = (shards.path() / ShardFolder::kPlan).string();
  const ShardPlan& plan = shards.plan();
  if (plan.program != program_sources(Link::kAgents))
    throw Error(concat(file, ": program: expected a plan of this program (", program_commit(),
                       "), found one of another (", plan.commit,
                       "): its shards may have other bytes; plan again, or use that program"));
  const Json now = input_hashes(stage_of(config)), then = plan.recording.value("inputs", Json::object());
  for (const auto& [name, hash] : now.items())
    if (!then.contains(name) || then.at(name) != hash)
      throw Error(concat(file, ": inputs: ", name,
                         ": expected the file that was planned with, found a changed one; plan "
                         "again"));
}

}  // namespace

std::vector<std::uint64_t> indices_of(const IndexChoice& choice, std::uint64_t count) {
  require(choice.tasks == 0 || choice.index.empty(),
          "index: expected either --index or --task of --tasks, got both");
  require(choice.tasks > 0 || choice.task == 0, "task: expected --tasks beside it, got none");
  require(choice.tasks == 0 || choice.task < choice.tasks, "task: expected one below --tasks ", choice.tasks,
          ", got ", choice.task);
  std::vector<StreamRange> ranges = {{0, count}};
  if (choice.tasks > 0) {
    const auto share = [&](std::int64_t task) {
      return static_cast<std::uint64_t>(task) * count / static_cast<std::uint64_t>(choice.tasks);
    };
    ranges = {{share(choice.task), share(choice.task + 1)}};
  } else if (!choice.index.empty()) {
    ranges = parse_ranges("index", choice.index, count);
  }
  std::vector<std::uint64_t> indices;
  for (const StreamRange& range : ranges)
    for (std::uint64_t i = range.begin; i < range.end; ++i) indices.push_back(i);
  std::ranges::sort(indices);
  const auto twice = std::ranges::unique(indices);
  indices.erase(twice.begin(), twice.end());
  return indices;
}

Json run_shard_plan(const ShardPlanConfig& config) {
  const GenerateConfig& generate = config.generate;
  const StreamSize size = stream_size(generate);
  ShardPlan plan{.recording = recording_json(generate),
                 .commit = program_commit(),
                 .program = program_sources(Link::kAgents),
                 .streams = size.streams,
                 .rows_per_stream = size.rows_per_stream,
                 .shards = static_cast<std::uint64_t>(config.shards),
                 .fingerprints = config.fingerprints};
  if (plan.shards == 0) {
    const std::uint64_t bytes = plan.rows() * size.row_bytes;
    plan.shards = std::clamp<std::uint64_t>((bytes + kShardBytes / 2) / kShardBytes, 1, plan.streams);
  }
  require(plan.shards <= plan.streams, "shards: expected at most one for each of the ", plan.streams,
          " streams (--count), got ", plan.shards);
  const ShardFolder shards = ShardFolder::create(generate.run.out, plan);
  if (plan.fingerprints == "here") shards.admit(machine_fingerprint(arithmetic_of(generate)));
  return {{"plan", shards.path().string()},
          {"shards", plan.shards},
          {"streams", plan.streams},
          {"rows_per_stream", plan.rows_per_stream},
          {"rows", plan.rows()},
          {"bytes", plan.rows() * size.row_bytes},
          {"bytes_per_shard", plan.rows() * size.row_bytes / plan.shards},
          {"sha256", shards.hash()}};
}

Json run_shard_run(const ShardRunConfig& config) {
  const ShardFolder shards(config.plan);
  const std::vector<std::uint64_t> indices = indices_of(config.choice, shards.plan().shards);
  GenerateConfig generate = recording_in(shards);
  generate.run.threads = config.threads;
  expect_fresh(shards, generate);
  const ShardFolder::Making making{.fingerprint = machine_fingerprint(arithmetic_of(generate)),
                                   .commit = program_commit(),
                                   .again = config.again,
                                   .hashes = config.check == "hash"};
  shards.admit(making.fingerprint);
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t kept = 0, made = 0, repaired = 0, equal = 0, rows = 0;
  for (const std::uint64_t index : indices) {
    check_interrupt();
    const auto outcome =
        shards.make(index, making, [&](const StreamRange& streams, const std::filesystem::path& file) {
          record_streams(generate, streams, file);
          rows += shards.plan().rows_of(index).size();
        });
    using enum ShardFolder::Outcome;
    ++(outcome == kKept ? kept : outcome == kMade ? made : outcome == kRepaired ? repaired : equal);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return {{"plan", shards.path().string()},
          {"shards", indices.size()},
          {"made", made},
          {"kept", kept},
          {"repaired", repaired},
          {"equal", equal},
          {"rows", rows},
          {"seconds", seconds},
          {"rows_per_second", static_cast<double>(rows) / std::max(seconds, 1e-9)},
          {"fingerprint", making.fingerprint.at("hash")}};
}

Json run_shard_status(const ShardStatusConfig& config) {
  const ShardFolder shards(config.plan);
  const ShardFolder::Status status = shards.status();
  return {{"plan", shards.path().string()},
          {"shards", shards.plan().shards},
          {"done", status.done},
          {"missing", shards.plan().shards - status.done},
          {"missing_index", ranges_text(status.missing, kShownRanges)},
          {"attempts", status.attempts},
          {"quarantined", status.quarantined},
          {"rows", shards.plan().rows()},
          {"complete", status.done == shards.plan().shards && status.quarantined.empty()}};
}

Json run_shard_verify(const ShardVerifyConfig& config) {
  const ShardFolder shards(config.plan);
  const std::uint64_t count = shards.plan().shards;
  const std::vector<std::uint64_t> indices = indices_of({.index = config.index}, count);
  std::vector<std::string> faults(indices.size()), fingerprints(indices.size());
  ThreadPool pool(config.threads);
  const auto turn = static_cast<std::size_t>(pool.threads()) * 4;
  Progress progress("verify shards", static_cast<std::int64_t>(indices.size()), "shards");
  for (std::size_t begin = 0; begin < indices.size(); begin += turn) {
    const std::size_t wanted = std::min(turn, indices.size() - begin);
    pool.parallel_for(wanted, [&](std::size_t from, std::size_t upto) {
      for (std::size_t k = begin + from; k < begin + upto; ++k) {
        faults[k] = shards.fault(indices[k], true);
        if (!faults[k].empty()) continue;
        if (const std::optional<ShardRecord> record = shards.record(indices[k]))
          fingerprints[k] = record->fingerprint.value("hash", "");
        else
          faults[k] = concat(shards.record_file(indices[k]).string(),
                             ": expected the record that was there, found it removed meanwhile");
      }
    });
    progress.advance(static_cast<std::int64_t>(wanted));
  }
  Json named = Json::array();
  std::vector<StreamRange> faulty;
  std::vector<std::string> kinds;
  for (std::size_t k = 0; k < indices.size(); ++k) {
    if (faults[k].empty()) {
      if (std::ranges::find(kinds, fingerprints[k]) == kinds.end()) kinds.push_back(fingerprints[k]);
      continue;
    }
    if (!faulty.empty() && faulty.back().end == indices[k])
      ++faulty.back().end;
    else
      faulty.push_back({indices[k], indices[k] + 1});
    if (named.size() < kNamedFaults) named.push_back({{"index", indices[k]}, {"fault", faults[k]}});
  }
  std::uint64_t bad = 0;
  for (const StreamRange& range : faulty) bad += range.size();
  const bool mixed = kinds.size() > 1 && shards.plan().fingerprints != "any";
  const std::vector<std::string> aside = shards.status().quarantined;
  return {{"plan", shards.path().string()},
          {"shards", indices.size()},
          {"whole", indices.size() - bad},
          {"faulty_index", ranges_text(faulty, kShownRanges)},
          {"faults", named},
          {"fingerprints", kinds.size()},
          {"quarantined", aside},
          {"failed", bad > 0 || mixed || !aside.empty()}};
}

int exit_code_of_shard_verify(const Json& result) {
  return result.at("failed").get<bool>() ? 1 : 0;
}

Json run_shard_merge(const ShardMergeConfig& config) {
  const ShardFolder shards(config.plan);
  GenerateConfig generate = recording_in(shards);
  generate.run = config.run;
  expect_fresh(shards, generate);
  return run_stage(stage_of(generate), [&](const std::filesystem::path& folder) {
    return merge_recording(generate, shards, folder);
  });
}

}  // namespace diffreward::cli
