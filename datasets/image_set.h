// Pictures with captions, masks and labels: what Dataset is for behaviour.
//
// Immutable, with its provenance; columns are memory-mapped from one HDF5 file (datasets/storage/image_set.cpp has the
// layout). Copying an ImageSet copies a pointer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/check.h"
#include "datasets/dataset.h"
#include "datasets/scenes/atlas.h"
#include "envs/image.h"

namespace diffreward {

/// One object in a picture.
struct PlacedObject {
  std::size_t drawing;           ///< of ImageSet::drawings()
  int left, top, width, height;  ///< of what is seen of it, pixels
};

class ImageSet {
 public:
  static constexpr std::size_t kMostObjects = 2;   // in a picture
  static constexpr std::size_t kLongestText = 96;  // bytes of a caption
  static constexpr int kMinSide = 16, kMaxSide = 512;

  /// Opens a file, or the one that a stage's folder holds. HDF5 reads its header in a child process. Throws Error naming
  /// the file and what is wrong: missing, truncated, foreign, of another layout, labels that are none.
  static ImageSet open(const std::filesystem::path& path);

  /// The columns of a file.
  struct Columns {
    int side = 0;
    std::vector<std::uint8_t> images;    // [n, side, side, 3] RGB
    std::vector<std::uint8_t> masks;     // [n, side, side] 0: ground, k: the k-th object
    std::vector<std::uint8_t> captions;  // [n, kLongestText] UTF-8, zeros behind it
    std::vector<float> objects;          // [n, kMostObjects, 5] drawing (-1: none), left, top, width, height
    std::vector<Drawing> drawings;
  };
  /// Pictures held in memory. Throws Error for columns that do not belong together.
  static ImageSet from_columns(Columns columns, Provenance provenance = {});

  std::size_t size() const;                      ///< pictures
  int side() const;                              ///< of each, pixels
  std::span<const std::uint8_t> images() const;  // [size, side, side, 3] RGB
  std::span<const std::uint8_t> masks() const;   // [size, side, side] 0: ground, k: the k-th object
  std::span<const std::uint8_t> image(std::size_t i) const;  // [side, side, 3]
  std::span<const std::uint8_t> mask(std::size_t i) const;   // [side, side]
  std::string_view caption(std::size_t i) const;             ///< "" for none
  /// At most kMostObjects, the first one at the bottom.
  std::vector<PlacedObject> objects(std::size_t i) const;
  /// Everything that objects may be.
  const std::vector<Drawing>& drawings() const;

  /// Whether an object of the concept is in picture i.
  bool holds(std::size_t i, std::string_view concept_name) const;
  /// Whether a look-alike is.
  bool holds_look_alike(std::size_t i) const;

  const Provenance& provenance() const;
  /// The file, or "" for columns in memory.
  const std::filesystem::path& path() const;

  struct Storage;  // private to datasets/storage

 private:
  explicit ImageSet(std::shared_ptr<const Storage> storage) : storage_(std::move(storage)) {}
  std::shared_ptr<const Storage> storage_;
};

/// Whether a path stands for an HDF5 file of pictures; false for anything else, also for nothing.
bool is_image_set(const std::filesystem::path& path);

/// Faults of the rows, which opening does not look at: "mask-without-object", "box-mismatch", "hidden-object",
/// "caption-mismatch" (names nothing that is there), "flat-image".
std::vector<Fault> check_images(const ImageSet& data);

/// The card's content: `env`, `env_options`, `generator`, `seed`, `pictures`, `side`, `captions` (share), `concepts` (share
/// of pictures that hold them), `look_alikes`, `artists` (share of objects, licence, credit), `faults`.
Json card_of(const ImageSet& data);
/// The same as Markdown.
std::string image_card_markdown(const Json& card);

/// Pictures [first, first + count), enlarged, with their captions below and their objects' names and artists in grey.
Image picture_sheet(const ImageSet& data, std::size_t first, std::size_t count, int columns = 8,
                    int scale = 2);

}  // namespace diffreward
