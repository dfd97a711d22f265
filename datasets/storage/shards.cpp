// Shards of a plan as one data set: their columns mapped behind each other, without a copy.
#include "datasets/shards.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "core/interrupt.h"
#include "datasets/storage/column_file.h"
#include "datasets/storage/isolated.h"
#include "datasets/storage/storage.h"

namespace diffreward {
namespace {

using Mapping = Dataset::Storage::Mapping;

/// A piece of a column: where it lies in one shard's file.
struct Piece {
  std::size_t offset, bytes;
};

/// Puts columns together from pieces of files. Pieces that begin and end with pages are mapped where they are; a column
/// with others is copied into a temporary file.
class JoinedColumns {
 public:
  JoinedColumns(const ShardFolder& shards, const std::vector<ShardRecord>& records)
      : shards_(shards), records_(records) {}

  /// Memory of a whole column whose rows have so many bytes.
  const Mapping& column(const std::string& name, std::size_t row_bytes) {
    std::vector<Piece> pieces;
    std::size_t total = 0;
    bool pages = true;
    for (const ShardRecord& record : records_) {
      const auto found = std::ranges::find(record.columns, name, &ShardRecord::Column::name);
      const std::size_t expected =
          record.rows.size() * row_bytes;  // below 2^40 rows of 2^20 numbers of 8 bytes
      if (found == record.columns.end() || found->bytes != expected)
        throw Error(concat(shards_.record_file(record.index).string(), ": ", name, ": expected ", expected,
                           " bytes, found ", found == record.columns.end() ? 0 : found->bytes));
      pages = pages && found->offset % kPageAlignment == 0 && total % kPageAlignment == 0;
      pieces.push_back({found->offset, found->bytes});
      total += found->bytes;
    }
    mapped_.push_back(pages ? map(name, pieces, total) : copy(pieces, total));
    return mapped_.back();
  }

  std::vector<Mapping> take() { return std::move(mapped_); }

 private:
  void expect_size(const RegularFile& file, const ShardRecord& record) const {
    if (file.size() != record.bytes)
      throw Error(concat(shards_.data_file(record.index).string(), ": expected ", record.bytes,
                         " bytes, found ", file.size(), "; run shard ", record.index, " again"));
  }

  Mapping map(const std::string& name, const std::vector<Piece>& pieces, std::size_t total) const {
    const std::size_t size = (total + kPageAlignment - 1) / kPageAlignment * kPageAlignment;
    void* begin = ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (begin == MAP_FAILED)
      throw Error(concat(shards_.path().string(), ": ", name, ": cannot map: ", std::strerror(errno)));
    const std::shared_ptr<const void> memory(
        begin, [size](const void* address) { ::munmap(const_cast<void*>(address), size); });
    std::size_t at = 0;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      check_interrupt();
      const RegularFile file(shards_.data_file(i));
      expect_size(file, records_[i]);
      if (::mmap(static_cast<char*>(begin) + at, pieces[i].bytes, PROT_READ, MAP_PRIVATE | MAP_FIXED,
                 file.descriptor(), static_cast<off_t>(pieces[i].offset)) == MAP_FAILED)
        throw Error(concat(shards_.data_file(i).string(), ": ", name, ": cannot map: ", std::strerror(errno),
                           errno == ENOMEM ? " (more pieces than this system maps: merge the shards)" : ""));
      at += pieces[i].bytes;
    }
    return {memory, total};
  }

  Mapping copy(const std::vector<Piece>& pieces, std::size_t total) const {
    const TemporaryFile file;
    Spool spool(file.descriptor());
    SpoolColumn to(spool, total);
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      check_interrupt();
      const RegularFile from(shards_.data_file(i));
      expect_size(from, records_[i]);
      const auto memory = from.map();
      to.append(
          std::span(static_cast<const std::uint8_t*>(memory.get()) + pieces[i].offset, pieces[i].bytes));
    }
    to.finish();
    return {file.map(), total};
  }

  const ShardFolder& shards_;
  const std::vector<ShardRecord>& records_;
  std::vector<Mapping> mapped_;
};

/// Doubles as floats in a temporary file, as a single file's are.
std::span<const float> as_floats(std::span<const double> doubles, std::vector<Mapping>& mappings) {
  constexpr std::size_t kBlock = std::size_t{1} << 16;
  const TemporaryFile file;
  Spool spool(file.descriptor());
  SpoolColumn to(spool, doubles.size() * sizeof(float));
  std::vector<float> block;
  for (std::size_t at = 0; at < doubles.size(); at += kBlock) {
    check_interrupt();
    const auto part = doubles.subspan(at, std::min(kBlock, doubles.size() - at));
    block.resize(part.size());
    std::ranges::transform(part, block.begin(), [](double value) { return static_cast<float>(value); });
    to.append(std::span<const float>(block));
  }
  to.finish();
  mappings.push_back({file.map(), file.size()});
  return {static_cast<const float*>(mappings.back().memory.get()), doubles.size()};
}

template <class T>
std::span<const T> numbers(const Mapping& mapping) {
  return {static_cast<const T*>(mapping.memory.get()), mapping.size / sizeof(T)};
}

}  // namespace

std::shared_ptr<const Dataset::Storage> open_shards(const std::filesystem::path& file) {
  const ShardFolder shards(file);
  const std::vector<ShardRecord> records = shards.records();
  shards.check_fingerprints(records);
  // The first tells columns and provenance, which are those of all.
  const auto first = open_storage(shards.data_file(0));
  if (first->rows != records.front().rows.size())
    throw Error(concat(shards.data_file(0).string(), ": expected ", records.front().rows.size(),
                       " rows, found ", first->rows));
  JoinedColumns columns(shards, records);
  const auto floats = [&](const std::string& name, std::size_t width) {
    return numbers<float>(columns.column(name, width * sizeof(float)));
  };
  const auto flags = [&](const std::string& name) {
    const auto values = numbers<std::uint8_t>(columns.column(name, 1));
    const auto bad = std::ranges::find_if(values, [](std::uint8_t flag) { return flag > 1; });
    if (bad != values.end())
      throw Error(concat(file.string(), ": ", name, ": expected 0 or 1 in row ", bad - values.begin(),
                         ", found ", int{*bad}));
    return values;
  };
  auto storage = std::make_shared<Dataset::Storage>();
  Dataset::Storage& s = *storage;
  s.path = file;
  s.rows = shards.plan().rows();
  s.observation_dim = first->observation_dim;
  s.action_dim = first->action_dim;
  s.observations = floats("observations", s.observation_dim);
  s.next_observations = floats("next_observations", s.observation_dim);
  s.actions = floats("actions", s.action_dim);
  s.rewards = floats("rewards", 1);
  s.terminals = flags("terminals");
  s.timeouts = flags("timeouts");
  for (const auto& info : first->infos) {
    const std::string name = "infos/" + info.name;
    if (info.doubles.empty()) {
      s.infos.push_back({info.name, info.size, floats(name, info.size)});
      continue;
    }
    // As floats too, converted as those of a single file are.
    const auto doubles = numbers<double>(columns.column(name, info.size * sizeof(double)));
    s.infos.push_back({info.name, info.size, as_floats(doubles, s.mappings), doubles});
  }
  s.ignored = first->ignored;
  s.provenance = first->provenance;
  for (Mapping& mapping : columns.take()) s.mappings.push_back(std::move(mapping));
  s.find_episodes();
  return storage;
}

}  // namespace diffreward
