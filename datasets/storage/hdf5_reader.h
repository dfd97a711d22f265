// Reading HDF5 files of strangers; to be used inside run_isolated() only, since it changes the process's
// HDF5.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "datasets/storage/hdf5.h"
#include "datasets/storage/spool.h"

namespace diffreward::hdf5 {

// What a file may claim (docs/data.md).
constexpr std::size_t kWidest = std::size_t{1} << 20;    // numbers in a row
constexpr std::size_t kMostRows = std::size_t{1} << 40;  // rows of a column
constexpr std::size_t kDeflate = 1032;                   // bytes that one compressed byte can stand for
constexpr std::size_t kUnheld = std::size_t{64}
                                << 20;  // bytes, over all columns, that stand for nothing held
constexpr std::size_t kLargestChunk = std::size_t{256} << 20;  // bytes
constexpr std::size_t kLongestText = std::size_t{4} << 20;     // bytes of an attribute

/// A file open for reading. No plugin is loaded, no link to another file is followed.
class File {
 public:
  /// `name` is how messages name it. Throws Error.
  File(const RegularFile& file, std::string name);
  hid_t id() const { return file_.get(); }
  const std::string& name() const { return name_; }
  std::size_t size() const { return size_; }
  unsigned long number() const { return number_; }       ///< HDF5's own, equal for all objects of this file
  hid_t access() const { return column_access_.get(); }  ///< how columns are opened
  /// Counts bytes that a column claims and the file does not hold. Throws Error beyond kUnheld.
  void claim(std::size_t bytes, const std::string& where);

 private:
  std::string name_;
  std::size_t size_, unheld_ = kUnheld;
  Handle file_, column_access_;
  unsigned long number_ = 0;
};

enum class Kind { kNothing, kGroup, kColumn, kOther };

/// What stands under a path below `parent`. Throws Error, naming `where`, for a link that leaves the file.
Kind kind_of(hid_t parent, const std::string& path, const std::string& where);
/// Names in a group, sorted.
std::vector<std::string> child_names(hid_t group);
/// Throws Error where there is none.
Handle open_group(hid_t parent, const std::string& path, const std::string& where);

/// A data set of numbers that lies in this file: its claims are checked, nothing of it is read yet.
class Column {
 public:
  /// Throws Error naming `where`: missing, of another type or rank, elsewhere, or larger than the file.
  Column(File& file, hid_t parent, const std::string& path, std::string where);

  const std::string& where() const { return where_; }
  std::size_t rank() const { return shape_.size(); }
  std::size_t rows() const { return shape_[0]; }
  /// Numbers in a row, 1 for a plain list.
  std::size_t width() const { return width_; }
  /// "[10, 4]"
  std::string shape() const;
  /// Rows that are read at a time: a few MB, whole chunks.
  std::size_t block() const { return block_; }

  /// Where its bytes lie in the file in one aligned piece as native floats (bytes for flags), else
  /// HADDR_UNDEF.
  haddr_t floats_at() const {
    return is_native_float_ && offset_ % alignof(float) == 0 ? offset_ : HADDR_UNDEF;
  }
  /// The same as native doubles.
  haddr_t doubles_at() const {
    return is_native_double_ && offset_ % alignof(double) == 0 ? offset_ : HADDR_UNDEF;
  }
  haddr_t bytes_at() const { return item_ == 1 ? offset_ : HADDR_UNDEF; }

  /// Whether it holds numbers of double precision.
  bool is_double() const { return is_native_double_; }
  /// Rows [row, row + count) of such a column.
  void read_doubles(std::size_t row, std::size_t count, double* out) const {
    read_as(type_.get(), row, count, out);
  }
  /// Rows [row, row + count) as floats, or as 1 where any bit of an integer or a float is set, else 0.
  void read(std::size_t row, std::size_t count, float* out) const;
  void read_flags(std::size_t row, std::size_t count, std::uint8_t* out) const;
  /// Flags as they are, where bytes_at() is a place.
  void read_bytes(std::size_t row, std::size_t count, std::uint8_t* out) const {
    read_as(type_.get(), row, count, out);
  }

 private:
  void check_storage(File& file, std::size_t bytes);
  void read_as(hid_t memory, std::size_t row, std::size_t count, void* out) const;

  std::string where_, missing_filter_;
  Handle set_, type_;
  std::vector<hsize_t> shape_;
  std::size_t width_ = 1, item_ = 0, block_ = 1;
  bool is_float_ = false, is_native_float_ = false, is_native_double_ = false, is_enum_ = false;
  haddr_t offset_ = HADDR_UNDEF;
};

/// A scalar attribute; "" or `fallback` where absent. One of another shape or type adds its name to
/// `ignored`.
std::string read_text(hid_t object, const std::string& name, Json& ignored);
std::uint64_t read_integer(hid_t object, const std::string& name, std::uint64_t fallback, Json& ignored);

}  // namespace diffreward::hdf5
