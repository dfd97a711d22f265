#include "datasets/shards.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <memory>
#include <numeric>

#include "core/attempt.h"
#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "core/shared_file.h"
#include "datasets/storage/column_file.h"
#include "datasets/storage/hdf5_reader.h"
#include "datasets/storage/storage.h"
#include "envs/fingerprint.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kInFolder = 1000;  // shards that one folder holds
constexpr const char* kFingerprint = "fingerprint.json";
constexpr std::size_t kListed = 20;  // ranges of indices in a message

/// floor(a b / c) without overflow.
std::uint64_t share(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>(static_cast<Wide>(a) * b / c);
}

std::string_view bytes_of(const std::shared_ptr<const void>& memory, std::size_t size) {
  return {static_cast<const char*>(memory.get()), size};
}

/// A file's SHA-256 by its bytes, not by what is noted beside it.
std::string hash_of_bytes(const RegularFile& file) {
  const auto memory = file.map();
  return sha256(bytes_of(memory, file.size()));
}

/// The columns of a shard's file that hold a row a row of its streams, in the order of their places.
std::vector<ShardRecord::Column> columns_of(const fs::path& path, std::uint64_t rows) {
  const RegularFile file(path);
  const std::string name = path.string();
  const Json found = run_on_file(file, name, nullptr, [&](hdf5::File& opened) {
    Json columns = Json::array();
    const auto add = [&](const std::string& column) {
      const std::string where = name + ": " + column;
      if (hdf5::kind_of(opened.id(), column, where) != hdf5::Kind::kColumn) return;
      const hdf5::Column set(opened, opened.id(), column, where);
      const bool bytes = set.bytes_at() != HADDR_UNDEF, doubles = set.is_double();
      const haddr_t at = bytes ? set.bytes_at() : doubles ? set.doubles_at() : set.floats_at();
      if (at == HADDR_UNDEF) throw Error(concat(where, ": expected a column in one piece, found another"));
      columns.push_back({{"name", column},
                         {"offset", at},
                         {"bytes", set.rows() * set.width() *
                                       (bytes     ? 1
                                        : doubles ? 8
                                                  : 4)},
                         {"rows", set.rows()}});
    };
    for (const std::string& column : hdf5::child_names(opened.id()))
      if (column != "drawings") add(column);  // of pictures: one table for all
    if (hdf5::kind_of(opened.id(), "infos", name + ": infos") == hdf5::Kind::kGroup) {
      const hdf5::Handle group = hdf5::open_group(opened.id(), "infos", name + ": infos");
      for (const std::string& column : hdf5::child_names(group.get())) add("infos/" + column);
    }
    return columns;
  });
  std::vector<ShardRecord::Column> columns;
  const auto memory = file.map();
  for (const Json& column : found) {
    ShardRecord::Column one{member<std::string>(column, "name"), "", member<std::size_t>(column, "offset"),
                            member<std::size_t>(column, "bytes")};
    const auto held = member<std::uint64_t>(column, "rows");
    if (held != rows || one.offset > file.size() || one.bytes > file.size() - one.offset)
      throw Error(concat(name, ": ", one.name, ": expected ", rows, " rows inside the file, found ", held));
    one.sha256 = sha256(bytes_of(memory, file.size()).substr(one.offset, one.bytes));
    columns.push_back(std::move(one));
  }
  std::ranges::sort(columns, {}, &ShardRecord::Column::offset);
  return columns;
}

Json range_json(const StreamRange& range) {
  return Json::array({range.begin, range.end});
}

StreamRange range_of(const Json& json, const char* name) {
  const auto ends = member<std::array<std::uint64_t, 2>>(json, name);
  require(ends[0] <= ends[1], name, ": expected [begin, end], found ", brief(json.at(name)));
  return {ends[0], ends[1]};
}

fs::path data_in(const fs::path& attempt) {
  return attempt / "data.h5";
}

}  // namespace

StreamRange ShardPlan::streams_of(std::uint64_t shard) const {
  // So many streams are whole pages of rows, whatever a row's bytes.
  const std::uint64_t whole = kPageAlignment / std::gcd(std::uint64_t{kPageAlignment}, rows_per_stream);
  const auto bound = [&](std::uint64_t i) {
    if (i == shards) return streams;
    const std::uint64_t even = share(i, streams, shards);
    return streams / shards >= whole ? even / whole * whole : even;
  };
  return {bound(shard), bound(shard + 1)};
}

StreamRange ShardPlan::rows_of(std::uint64_t shard) const {
  const StreamRange range = streams_of(shard);
  return {range.begin * rows_per_stream, range.end * rows_per_stream};
}

void ShardPlan::check() const {
  require(rows_per_stream > 0, "rows_per_stream: expected at least 1, got 0");
  require(streams > 0, "streams: expected at least 1, got 0");
  std::uint64_t all = 0;
  require(!__builtin_mul_overflow(streams, rows_per_stream, &all) && all <= hdf5::kMostRows,
          "rows: expected at most 2^40, got ", streams, " streams of ", rows_per_stream);
  require(shards > 0 && shards <= streams && shards <= kMostShards, "shards: expected 1 to ",
          std::min(streams, kMostShards), ", no more than streams, got ", shards);
  require(fingerprints == "first" || fingerprints == "here" || fingerprints == "any",
          "fingerprints: expected first, here or any, got '", fingerprints, "'");
}

Json ShardPlan::json() const {
  return {{"format", ShardFolder::kFormat},
          {"recording", recording},
          {"commit", commit},
          {"program", program},
          {"streams", streams},
          {"rows_per_stream", rows_per_stream},
          {"rows", rows()},
          {"shards", shards},
          {"fingerprints", fingerprints}};
}

ShardPlan ShardPlan::from_json(const Json& json) {
  const auto format = member<std::string>(json, "format");
  require(format == ShardFolder::kFormat, "format: expected '", ShardFolder::kFormat, "', found '", format,
          "'");
  ShardPlan plan;
  plan.recording = member<Json>(json, "recording");
  plan.commit = member<std::string>(json, "commit");
  plan.program = member<std::string>(json, "program");
  plan.streams = member<std::uint64_t>(json, "streams");
  plan.rows_per_stream = member<std::uint64_t>(json, "rows_per_stream");
  plan.shards = member<std::uint64_t>(json, "shards");
  plan.fingerprints = member<std::string>(json, "fingerprints");
  require(plan.recording.is_object(), "recording: expected a table, found ", brief(plan.recording));
  plan.check();
  return plan;
}

Json ShardRecord::json() const {
  Json listed = Json::array();
  for (const Column& column : columns)
    listed.push_back({{"name", column.name},
                      {"offset", column.offset},
                      {"bytes", column.bytes},
                      {"sha256", column.sha256}});
  return {{"plan", plan},
          {"index", index},
          {"streams", range_json(streams)},
          {"rows", range_json(rows)},
          {"sha256", sha256},
          {"bytes", bytes},
          {"columns", listed},
          {"fingerprint", fingerprint},
          {"attempts", attempts},
          {"seconds", seconds},
          {"commit", commit}};
}

ShardRecord ShardRecord::from_json(const Json& json) {
  ShardRecord record;
  record.plan = member<std::string>(json, "plan");
  record.index = member<std::uint64_t>(json, "index");
  record.streams = range_of(json, "streams");
  record.rows = range_of(json, "rows");
  record.sha256 = member<std::string>(json, "sha256");
  record.bytes = member<std::uint64_t>(json, "bytes");
  for (const Json& column : member<std::vector<Json>>(json, "columns")) {
    record.columns.push_back({member<std::string>(column, "name"), member<std::string>(column, "sha256"),
                              member<std::size_t>(column, "offset"), member<std::size_t>(column, "bytes")});
    const ShardRecord::Column& last = record.columns.back();
    require(last.offset <= record.bytes && last.bytes <= record.bytes - last.offset, "columns: ", last.name,
            ": expected a place inside the file's ", record.bytes, " bytes, found ", last.bytes, " from ",
            last.offset, " on");
  }
  record.fingerprint = member<Json>(json, "fingerprint");
  require(record.fingerprint.is_object(), "fingerprint: expected a table, found ", brief(record.fingerprint));
  record.attempts = member<std::uint64_t>(json, "attempts");
  record.seconds = member<double>(json, "seconds");
  record.commit = member<std::string>(json, "commit");
  return record;
}

std::string ranges_text(const std::vector<StreamRange>& ranges, std::size_t most) {
  std::string text;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (i == most) return text + ",...";
    text += concat(i ? "," : "", ranges[i].begin);
    if (ranges[i].size() > 1) text += concat("-", ranges[i].end - 1);
  }
  return text;
}

std::vector<StreamRange> parse_ranges(const std::string& name, const std::string& text, std::uint64_t count) {
  std::vector<StreamRange> ranges;
  const auto number = [&](std::string_view part) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    require(!part.empty() && error == std::errc{} && end == part.data() + part.size(), name,
            ": expected indices such as 3 or 0-9,12, got '", text, "'");
    require(value < count, name, ": expected indices below ", count, ", got ", value);
    return value;
  };
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view part = std::string_view(text).substr(begin, end - begin);
    const std::size_t dash = part.find('-');
    const std::uint64_t first = number(part.substr(0, dash)),
                        last = dash == part.npos ? first : number(part.substr(dash + 1));
    require(first <= last, name, ": expected ranges that grow, got '", part, "'");
    ranges.push_back({first, last + 1});
    begin = end + 1;
  }
  return ranges;
}

ShardFolder::ShardFolder(const fs::path& path) {
  std::error_code ignored;
  const fs::path file = fs::is_directory(path, ignored) ? path / kPlan : path;
  folder_ = file.has_parent_path() ? file.parent_path() : fs::path(".");
  const std::string text = read_file(file);
  hash_ = sha256(text);
  try {
    plan_ = ShardPlan::from_json(parse_json(text, file.string()));
  } catch (const InvalidArgument& error) {
    throw Error(concat(file.string(), ": expected a plan of shards: ", error.what()));
  }
}

ShardFolder ShardFolder::create(const fs::path& folder, const ShardPlan& plan) {
  plan.check();
  const std::string text = plan.json().dump(2) + "\n";
  const fs::path file = folder / kPlan;
  if (agreed_text(file, text) != text)
    throw Error(concat(file.string(), ": expected this plan or none, found another; choose another --out"));
  return ShardFolder(folder);
}

bool ShardFolder::is_plan(const fs::path& file) {
  return file.filename() == kPlan;
}

fs::path ShardFolder::data_file(std::uint64_t index) const {
  return folder_ / "shards" / concat(index / kInFolder) / concat(index, ".h5");
}

fs::path ShardFolder::record_file(std::uint64_t index) const {
  return folder_ / "shards" / concat(index / kInFolder) / concat("shard-", index, ".json");
}

std::optional<ShardRecord> ShardFolder::record(std::uint64_t index) const {
  const fs::path file = record_file(index);
  std::error_code failed;
  const fs::file_type type = fs::symlink_status(file, failed).type();
  if (type == fs::file_type::none) throw Error(concat(file.string(), ": cannot read: ", failed.message()));
  if (type == fs::file_type::not_found) return std::nullopt;
  try {
    ShardRecord record = ShardRecord::from_json(read_json_object(file));
    if (record.plan != hash_)
      throw StaleShard(concat(file.string(), ": plan: expected the SHA-256 of ", kPlan, ", ",
                              hash_.substr(0, 12), "..., found ", record.plan.substr(0, 12),
                              "...: the plan was changed after this shard was made"));
    require(record.index == index && record.streams == plan_.streams_of(index) &&
                record.rows == plan_.rows_of(index),
            "index: expected shard ", index, " of the plan, found ", record.index, " with the streams ",
            record.streams.begin, " to ", record.streams.end);
    return record;
  } catch (const InvalidArgument& error) {
    throw Error(concat(file.string(), ": expected the record of a shard: ", error.what()));
  }
}

std::string ShardFolder::fault(std::uint64_t index, bool hashes) const {
  std::optional<ShardRecord> found;
  try {
    found = record(index);
  } catch (const Interrupted&) {
    throw;
  } catch (const Error& error) {
    return error.what();
  }
  if (!found) return concat(record_file(index).string(), ": expected a record, found none");
  const fs::path path = data_file(index);
  std::error_code failed;
  if (!fs::is_regular_file(fs::symlink_status(path, failed)))
    return concat(path.string(), ": expected the shard's file, found none");
  const RegularFile file(path);
  if (file.size() != found->bytes)
    return concat(path.string(), ": expected ", found->bytes, " bytes, found ", file.size());
  if (!hashes || hash_of_bytes(file) == found->sha256) return {};
  const auto memory = file.map();
  std::string differing;
  for (const ShardRecord::Column& column : found->columns)
    if (sha256(bytes_of(memory, file.size()).substr(column.offset, column.bytes)) != column.sha256)
      differing += (differing.empty() ? "" : ", ") + column.name;
  return concat(path.string(), ": expected the bytes that its record tells, found others in ",
                differing.empty() ? "the file's header" : differing);
}

std::vector<std::string> ShardFolder::quarantined(std::uint64_t index) const {
  std::vector<std::string> names;
  const std::string mine = concat(index, ".");
  for_each_name(folder_ / "quarantine", [&](std::string_view name) {
    if (name.starts_with(mine)) names.push_back(concat("quarantine/", name));
  });
  std::ranges::sort(names);
  return names;
}

ShardFolder::Status ShardFolder::status() const {
  Status status;
  std::vector<bool> present(plan_.shards);
  for (std::uint64_t block = 0; block * kInFolder < plan_.shards; ++block) {
    check_interrupt();
    for_each_name(folder_ / "shards" / concat(block), [&](std::string_view file) {
      constexpr std::string_view kBegin = "shard-", kEnd = ".json";
      if (!file.starts_with(kBegin) || !file.ends_with(kEnd)) return;
      std::uint64_t index = 0;
      const char *from = file.data() + kBegin.size(), *to = file.data() + file.size() - kEnd.size();
      const auto [end_of, error] = std::from_chars(from, to, index);
      if (error != std::errc{} || end_of != to || index / kInFolder != block || index >= plan_.shards) return;
      status.done += !present[index];
      present[index] = true;
    });
  }
  for (std::uint64_t i = 0; i < plan_.shards; ++i) {
    if (present[i]) continue;
    if (!status.missing.empty() && status.missing.back().end == i)
      ++status.missing.back().end;
    else
      status.missing.push_back({i, i + 1});
  }
  for_each_name(folder_ / "attempts", [&](std::string_view) { ++status.attempts; });
  for_each_name(folder_ / "quarantine",
                [&](std::string_view name) { status.quarantined.push_back(concat("quarantine/", name)); });
  std::ranges::sort(status.quarantined);
  return status;
}

void ShardFolder::admit(const Json& fingerprint) const {
  if (plan_.fingerprints == "any") return;
  const fs::path file = folder_ / kFingerprint;
  agreed_text(file, fingerprint.dump(2) + "\n");
  const Json agreed = read_json_object(file);
  if (agreed.value("hash", Json()) == fingerprint.value("hash", Json())) return;
  const auto machine = [](const Json& of) { return of.value("machine", Json::object()).dump(); };
  throw Error(concat(file.string(), ": expected a machine of this arithmetic, found another (",
                     fingerprint_difference(agreed, fingerprint), "): ", machine(fingerprint), " beside ",
                     machine(agreed), "; shards of both may not have the bytes of one run"));
}

void ShardFolder::check_fingerprints(const std::vector<ShardRecord>& records) const {
  if (plan_.fingerprints == "any") return;
  for (const ShardRecord& record : records)
    if (record.fingerprint.value("hash", Json()) != records.front().fingerprint.value("hash", Json()))
      throw Error(concat(folder_.string(),
                         ": expected shards of one machine's arithmetic, found that of shard ", record.index,
                         " to be another than that of shard ", records.front().index, " (",
                         fingerprint_difference(records.front().fingerprint, record.fingerprint), ")"));
}

ShardFolder::Outcome ShardFolder::make(
    std::uint64_t index, const Making& making,
    const std::function<void(const StreamRange&, const fs::path&)>& write) const {
  require(index < plan_.shards, "index: expected a shard below ", plan_.shards, ", got ", index);
  if (const auto aside = quarantined(index); !aside.empty())
    throw Error(concat((folder_ / aside.front()).string(), ": expected nothing set aside of shard ", index,
                       ", found ", aside.size(),
                       " files of attempts that differ; find out why, remove them, then run it again"));
  bool there = false;
  try {
    there = record(index).has_value();
  } catch (const StaleShard&) {
    throw;
  } catch (const Interrupted&) {
    throw;
  } catch (const Error&) {  // damaged
    there = false;
  }
  if (there && !making.again && fault(index, making.hashes).empty()) {
    Attempt::remove_ended(folder_ / "attempts", concat(index));  // of a process killed behind the record
    return Outcome::kKept;
  }
  const Attempt attempt(folder_ / "attempts", concat(index));
  const auto start = std::chrono::steady_clock::now();
  write(plan_.streams_of(index), data_in(attempt.folder()));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return publish(index, making, attempt.folder(), seconds, attempt.ordinal());
}

ShardFolder::Outcome ShardFolder::publish(std::uint64_t index, const Making& making, const fs::path& attempt,
                                          double seconds, std::uint64_t attempts) const {
  const fs::path made = data_in(attempt), data = data_file(index);
  std::error_code failed;
  fs::create_directories(data.parent_path(), failed);
  if (failed) throw Error(concat(data.parent_path().string(), ": cannot create: ", failed.message()));
  ShardRecord own;
  {
    const RegularFile file(made);
    own = {.plan = hash_,
           .index = index,
           .streams = plan_.streams_of(index),
           .rows = plan_.rows_of(index),
           .sha256 = hash_of_bytes(file),
           .bytes = file.size(),
           .columns = columns_of(made, plan_.rows_of(index).size()),
           .fingerprint = making.fingerprint,
           .attempts = attempts,
           .seconds = seconds,
           .commit = making.commit};
  }
  const auto disputed = [&] { return !quarantined(index).empty(); };
  // Others may have differed while this one was made, and while it got its names: who sets aside moves what it finds and
  // then is seen here, or has been seen.
  if (disputed()) set_aside(index, made, own.sha256);
  const Outcome outcome = give_names(index, own, attempt);
  if (disputed()) set_aside(index, made, own.sha256);
  return outcome;
}

ShardFolder::Outcome ShardFolder::give_names(std::uint64_t index, const ShardRecord& own,
                                             const fs::path& attempt) const {
  const fs::path made = data_in(attempt), data = data_file(index), listed = record_file(index);
  std::error_code failed;
  // Against what its record says, which another process may have written meanwhile.
  const auto compare = [&](const ShardRecord& record) {
    if (record.sha256 != own.sha256) set_aside(index, made, own.sha256);
    if (fault(index, true).empty()) return Outcome::kEqual;
    if (fs::exists(made, failed)) move_file(made, data);
    return Outcome::kRepaired;
  };
  std::optional<ShardRecord> before;
  try {
    before = record(index);
  } catch (const StaleShard&) {
    throw;
  } catch (const Interrupted&) {
    throw;
  } catch (const Error&) {  // damaged: it tells nothing
    fs::remove(listed, failed);
  }
  if (before) return compare(*before);
  // A file without a record is of an attempt that was killed between the two, or is about to write it.
  if (!move_new_file(made, data)) {
    const RegularFile other(data);
    if (hash_of_bytes(other) != own.sha256) set_aside(index, made, own.sha256);
  }
  const fs::path text = attempt / "shard.json";
  write_file(text, own.json().dump(2) + "\n");
  if (move_new_file(text, listed)) return Outcome::kMade;
  const std::optional<ShardRecord> meanwhile = record(index);
  if (!meanwhile)
    throw Error(concat(listed.string(),
                       ": expected the record that another process wrote, found it removed; run shard ",
                       index, " again"));
  return compare(*meanwhile);
}

void ShardFolder::set_aside(std::uint64_t index, const fs::path& attempt, const std::string& hash) const {
  const fs::path folder = folder_ / "quarantine";
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw Error(concat(folder.string(), ": cannot create: ", failed.message()));
  // Under a name that is free: of several that differ, all are kept.
  const auto move = [&](const fs::path& from, const std::string& stem) {
    std::error_code ignored;
    const auto there = [&] { return fs::exists(fs::symlink_status(from, ignored)); };
    const std::string end = from.extension().string();
    try {
      for (int count = 1; there(); ++count)
        if (move_new_file(from, folder / concat(stem, count > 1 ? concat(".", count) : "", end))) return;
    } catch (const Interrupted&) {
      throw;
    } catch (const Error&) {
      if (there()) throw;  // else another process moved it
    }
  };
  // The record goes first, as without it the shard counts as missing; once more, as one may have come meanwhile.
  move(record_file(index), concat(index, ".first"));
  move(data_file(index), concat(index, ".first"));
  move(attempt, concat(index, ".", hash.substr(0, 12)));
  move(record_file(index), concat(index, ".first"));
  throw Error(concat(data_file(index).string(), ": expected equal bytes of two attempts at shard ", index,
                     ", found others; all are in ", folder.string()));
}

std::vector<ShardRecord> ShardFolder::records() const {
  std::vector<ShardRecord> all;
  std::vector<StreamRange> missing;
  for (std::uint64_t i = 0; i < plan_.shards; ++i) {
    check_interrupt();
    if (std::optional<ShardRecord> found = record(i)) {
      all.push_back(std::move(*found));
    } else if (!missing.empty() && missing.back().end == i) {
      ++missing.back().end;
    } else {
      missing.push_back({i, i + 1});
    }
  }
  if (!missing.empty())
    throw Error(concat(folder_.string(), ": expected all ", plan_.shards, " shards, found none of ",
                       ranges_text(missing, kListed), "; run these"));
  return all;
}

std::string ShardFolder::content_hash() const {
  std::string hashes = hash_;
  for (const ShardRecord& record : records()) hashes += record.sha256;
  return sha256(hashes);
}

void ShardFolder::concatenate(ColumnFile& file) const {
  const std::vector<ShardRecord> all = records();
  check_fingerprints(all);
  const std::map<std::string, std::size_t> widths = file.row_bytes();
  Progress progress("merge shards", static_cast<std::int64_t>(plan_.rows()), "rows");
  for (const ShardRecord& record : all) {
    const fs::path path = data_file(record.index);
    const RegularFile from(path);
    if (from.size() != record.bytes)
      throw Error(concat(path.string(), ": expected ", record.bytes, " bytes, found ", from.size(),
                         "; run shard ", record.index, " again"));
    const auto memory = from.map();
    for (const auto& [name, row_bytes] : widths) {
      if (name == "drawings") continue;
      const auto column = std::ranges::find(record.columns, name, &ShardRecord::Column::name);
      if (column == record.columns.end() || column->bytes != row_bytes * record.rows.size())
        throw Error(concat(path.string(), ": ", name, ": expected ", record.rows.size(), " rows of ",
                           row_bytes, " bytes, found ", column == record.columns.end() ? 0 : column->bytes,
                           " bytes"));
      const std::string_view bytes = bytes_of(memory, from.size()).substr(column->offset, column->bytes);
      if (sha256(bytes) != column->sha256)
        throw Error(concat(path.string(), ": ", name,
                           ": expected the bytes that its record tells, found others; run "
                           "shard ",
                           record.index, " again"));
      file.write(name, record.rows.begin, std::as_bytes(std::span(bytes.data(), bytes.size())));
    }
    progress.advance(static_cast<std::int64_t>(record.rows.size()));
  }
}

}  // namespace diffreward
