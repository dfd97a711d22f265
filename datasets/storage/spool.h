// Columns that cannot be mapped from their file, converted into a temporary one that can.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace diffreward {

/// Gives out places in a file that is only written to.
class Spool {
 public:
  explicit Spool(int descriptor) : descriptor_(descriptor) {}
  int descriptor() const { return descriptor_; }
  /// Where `bytes` may be written; aligned for any number.
  std::size_t reserve(std::size_t bytes);

 private:
  int descriptor_;
  std::size_t end_ = 0;
};

/// One column, written from its first row to its last through a small buffer.
class SpoolColumn {
 public:
  SpoolColumn(Spool& spool, std::size_t bytes);
  std::size_t offset() const { return offset_; }
  /// Throws Error where the disk is full.
  void append(std::span<const float> values) { append(values.data(), values.size_bytes()); }
  void append(std::span<const double> values) { append(values.data(), values.size_bytes()); }
  void append(std::span<const std::uint8_t> values) { append(values.data(), values.size_bytes()); }
  /// To be called behind the last row.
  void finish();

 private:
  void append(const void* bytes, std::size_t size);
  void write(const void* bytes, std::size_t size);

  int descriptor_;
  std::size_t offset_, written_ = 0, left_;
  std::vector<char> buffer_;
};

}  // namespace diffreward
