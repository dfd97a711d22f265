// Writes an HDF5 file of contiguous columns whose bytes can be filled in any order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/file.h"
#include "datasets/dataset.h"

namespace diffreward {

struct ColumnLayout {
  enum class Item : std::uint8_t { kByte, kFloat, kDouble };
  std::string name;                ///< "observations", "infos/goal"
  Item item;                       ///< little-endian
  std::vector<std::size_t> shape;  ///< rows first
};

/// Bytes that columns of 1 KB and more start at multiples of: a cache line, so that readers can map them.
inline constexpr std::size_t kColumnAlignment = 64;
/// The same of files that are mapped behind each other: a page of memory.
inline constexpr std::size_t kPageAlignment = 4096;

/// A file under construction. Equal content gives equal bytes: no time stamps, fixed order, fixed layout.
class ColumnFile {
 public:
  /// Lays out a file; `groups` hold the columns whose names have a slash, `metadata` tells the provenance. Throws Error
  /// when the disk refuses.
  ColumnFile(const std::filesystem::path& path, const std::vector<ColumnLayout>& columns,
             const std::vector<std::string>& groups, const Provenance& provenance,
             std::size_t alignment = kColumnAlignment);
  ~ColumnFile();
  ColumnFile(const ColumnFile&) = delete;
  ColumnFile& operator=(const ColumnFile&) = delete;

  /// Writes whole rows of a column from `row` on. Safe from several threads.
  void write(const std::string& column, std::size_t row, std::span<const float> values);
  void write(const std::string& column, std::size_t row, std::span<const double> values);
  void write(const std::string& column, std::size_t row, std::span<const std::uint8_t> values);
  /// The same of rows as they lie in another file of this layout.
  void write(const std::string& column, std::size_t row, std::span<const std::byte> values);

  /// Bytes of a row of each column.
  std::map<std::string, std::size_t> row_bytes() const;

  /// Gives the file its final name.
  void commit();

 private:
  struct Column {
    std::size_t offset, row_bytes;
  };
  void write_bytes(const std::string& column, std::size_t row, const void* bytes, std::size_t size);

  std::filesystem::path path_;
  AtomicFile file_;
  std::map<std::string, Column> columns_;
  int descriptor_ = -1;
};

}  // namespace diffreward
