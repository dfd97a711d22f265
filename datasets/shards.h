// A data set made in shards, by any number of processes on machines that share a file system, with the bytes of one run.
//
// A shard is a fixed contiguous range of streams (instances, or pictures) that a plan chooses; each stream fills a fixed
// number of rows, so that the columns of all shards behind each other are the columns of one run, whoever made which.
// A plan's folder holds
//   plan.json                              what is recorded, by which program, in how many shards
//   fingerprint.json                       the arithmetic that all shards must have, see ShardPlan::fingerprints
//   shards/<I / 1000>/<I>.h5               the rows
//   shards/<I / 1000>/shard-<I>.json       the record, which comes last: what it describes is whole
//   attempts/                              work in progress, a folder each, named by the shard and the process
//   quarantine/                            what came out differently in two attempts
// There is no lock, which shared file systems do not keep: a file is flushed, then given its name by one call that
// fails where the name is taken. Who comes second compares: an equal shard is no news, a different one says that the
// machine, the program or the disk cannot be relied on, so both are set aside and nobody makes that shard until a person
// has looked.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/json.h"

namespace diffreward {

class ColumnFile;

/// A record of another plan than the folder's, which was changed after shards were made.
class StaleShard : public Error {
 public:
  using Error::Error;
};

/// Streams or rows [begin, end).
struct StreamRange {
  std::uint64_t begin = 0, end = 0;
  std::uint64_t size() const { return end - begin; }
  bool operator==(const StreamRange&) const = default;
};

struct ShardPlan {
  Json recording = Json::object();  ///< what is recorded: {"command", "config", "inputs"}, of no concern here
  std::string commit, program;      ///< of who planned: program_commit(), program_sources()
  std::uint64_t streams = 0;        ///< instances, or pictures
  std::uint64_t rows_per_stream = 0;  ///< transitions of each, or 1
  std::uint64_t shards = 0;
  /// Whose arithmetic (envs/fingerprint.h) all shards must have: of the "first" machine that makes one, of the one that
  /// planned ("here"), or of no matter which ("any").
  std::string fingerprints = "first";

  static constexpr std::uint64_t kMostShards = 10'000'000;

  /// Streams of a shard. Their numbers differ by at most one; where a shard has at least as many as fill whole pages of rows,
  /// shards begin at multiples of that many, so that files can be mapped behind each other: numbers differ by at most one
  /// such multiple, beside what is left over for the last.
  StreamRange streams_of(std::uint64_t shard) const;
  StreamRange rows_of(std::uint64_t shard) const;
  std::uint64_t rows() const { return streams * rows_per_stream; }

  /// Throws InvalidArgument for numbers that make no plan.
  void check() const;
  Json json() const;
  /// Throws InvalidArgument naming the field.
  static ShardPlan from_json(const Json& json);
};

/// What a shard's record tells.
struct ShardRecord {
  struct Column {
    std::string name, sha256;
    std::size_t offset = 0, bytes = 0;  ///< in the file, of all rows
  };
  std::string plan;  ///< SHA-256 of plan.json
  std::uint64_t index = 0;
  StreamRange streams, rows;
  std::string sha256;  ///< of the file
  std::uint64_t bytes = 0;
  std::vector<Column> columns;  ///< as they lie in the file
  Json fingerprint = Json::object();
  std::uint64_t attempts = 1;  ///< that were begun until this one succeeded, as far as their traces tell
  double seconds = 0;
  std::string commit;

  Json json() const;
  /// Throws InvalidArgument naming the field.
  static ShardRecord from_json(const Json& json);
};

/// Indices as people and schedulers write them: "0-3,7". At most `most` ranges, then "...".
std::string ranges_text(const std::vector<StreamRange>& ranges, std::size_t most);
/// The opposite. Throws InvalidArgument naming `name`; expects indices below `count`, in any order.
std::vector<StreamRange> parse_ranges(const std::string& name, const std::string& text, std::uint64_t count);

/// A plan's folder.
class ShardFolder {
 public:
  static constexpr const char* kPlan = "plan.json";
  static constexpr const char* kFormat = "diffreward shards 1";

  /// Opens a plan's folder, or its plan.json. Throws Error naming the file and the field.
  explicit ShardFolder(const std::filesystem::path& path);
  /// Writes plan.json into a folder; the same again is no news. Throws Error where another plan is there.
  static ShardFolder create(const std::filesystem::path& folder, const ShardPlan& plan);
  /// Whether this is a plan.json.
  static bool is_plan(const std::filesystem::path& file);

  const ShardPlan& plan() const { return plan_; }
  const std::filesystem::path& path() const { return folder_; }
  const std::string& hash() const { return hash_; }  ///< SHA-256 of plan.json
  std::filesystem::path data_file(std::uint64_t index) const;
  std::filesystem::path record_file(std::uint64_t index) const;

  /// The record of a shard; nothing where there is none. Throws Error, naming the file, where it is damaged,
  /// and StaleShard where it is of another plan.
  std::optional<ShardRecord> record(std::uint64_t index) const;

  /// What is wrong with a shard, "" for nothing: no record, no file, another size and, where `hashes`, other bytes, with
  /// the columns that differ.
  std::string fault(std::uint64_t index, bool hashes) const;

  /// What is set aside of a shard, and so keeps it from being made; relative names.
  std::vector<std::string> quarantined(std::uint64_t index) const;

  struct Status {
    std::uint64_t done = 0, attempts = 0;  ///< records; folders of work in progress or of killed processes
    std::vector<StreamRange> missing;      ///< indices without a record
    std::vector<std::string> quarantined;  ///< files
  };
  /// By names alone: no record is read.
  Status status() const;

  /// Makes `fingerprint` the folder's if it has none yet and the plan wants one. Throws Error where the folder's is
  /// another.
  void admit(const Json& fingerprint) const;
  /// Throws Error where shards have several fingerprints and the plan does not allow it.
  void check_fingerprints(const std::vector<ShardRecord>& records) const;

  enum class Outcome : std::uint8_t {
    kKept,      ///< was there and whole; nothing was made
    kMade,      ///< is new
    kRepaired,  ///< was damaged or deleted, and is again what its record says
    kEqual,     ///< was there, was made once more (`again`, or by another process meanwhile) and is equal
  };
  struct Making {
    Json fingerprint = Json::object();
    std::string commit;
    bool again = false;  ///< make it although it is there, and compare
    bool hashes = true;  ///< what is there counts as whole by its hash; else by its size
  };
  /// Makes a shard if need be: `make` writes a file of the shard's streams. Throws Error where two attempts differ, after
  /// both were set aside, and where an earlier pair still is or another process set one aside meanwhile.
  Outcome make(
      std::uint64_t index, const Making& making,
      const std::function<void(const StreamRange& streams, const std::filesystem::path& file)>& write) const;

  /// Fills a file of the plan's rows with the columns of all shards, each checked on its way. Throws Error for missing and
  /// damaged shards, several fingerprints, and columns that are not the file's.
  void concatenate(ColumnFile& file) const;

  /// SHA-256 over the records of all shards: what the whole data set is. Throws Error where one is missing.
  std::string content_hash() const;
  /// All records. Throws Error listing those that are missing.
  std::vector<ShardRecord> records() const;

 private:
  Outcome publish(std::uint64_t index, const Making& making, const std::filesystem::path& attempt,
                  double seconds, std::uint64_t attempts) const;
  Outcome give_names(std::uint64_t index, const ShardRecord& own, const std::filesystem::path& attempt) const;
  [[noreturn]] void set_aside(std::uint64_t index, const std::filesystem::path& attempt,
                              const std::string& hash) const;

  std::filesystem::path folder_;
  std::string hash_;
  ShardPlan plan_;
};

}  // namespace diffreward
