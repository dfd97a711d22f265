// What stands behind an ImageSet, and how its file is written.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "datasets/image_set.h"
#include "datasets/storage/column_file.h"

namespace diffreward {

struct ImageSet::Storage {
  std::size_t size = 0;
  int side = 0;
  std::span<const std::uint8_t> images, masks, captions;
  std::span<const float> objects;
  std::vector<Drawing> drawings;
  Provenance provenance;
  std::filesystem::path path;

  std::shared_ptr<const void> mapping;  // of the file, or
  Columns columns;                      // in memory

  static constexpr std::size_t kObjectNumbers = kMostObjects * 5;
  /// Throws Error, naming `name`, where objects are none of the drawings or stand outside the picture.
  void check_objects(const std::string& name) const;
};

/// A file of pictures under construction; rows may come in any order, from several threads.
class ImageSetWriter {
 public:
  /// Throws Error when the disk refuses.
  ImageSetWriter(const std::filesystem::path& path, std::size_t size, int side,
                 const std::vector<Drawing>& drawings, const Provenance& provenance,
                 std::size_t alignment = kColumnAlignment);
  /// Rows of `columns` (without drawings) from `row` on.
  void write(std::size_t row, const ImageSet::Columns& columns);
  void commit() { file_.commit(); }
  ColumnFile& file() { return file_; }

 private:
  ColumnFile file_;
};

}  // namespace diffreward
