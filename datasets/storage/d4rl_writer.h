// Writes D4RL's HDF5 layout with contiguous columns whose bytes can be filled in any order.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/file.h"
#include "datasets/dataset.h"
#include "envs/env.h"

namespace diffreward {

/// A file under construction. Equal content gives equal bytes: no time stamps, fixed order, fixed layout.
class D4rlWriter {
 public:
  /// Lays out a file for `rows` rows; `doubles`: infos of double precision. Throws Error when the disk refuses.
  D4rlWriter(const std::filesystem::path& path, std::size_t rows, std::size_t observation_dim,
             std::size_t action_dim, const std::vector<InfoField>& infos,
             const std::vector<InfoField>& doubles, const Provenance& provenance);
  ~D4rlWriter();
  D4rlWriter(const D4rlWriter&) = delete;
  D4rlWriter& operator=(const D4rlWriter&) = delete;

  /// Writes whole rows of a column ("observations", "infos/goal", ...) from `row` on. Safe from several
  /// threads.
  void write(const std::string& column, std::size_t row, std::span<const float> values);
  void write(const std::string& column, std::size_t row, std::span<const double> values);
  void write(const std::string& column, std::size_t row, std::span<const std::uint8_t> values);

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
