// Pictures of pictures, drawn by OpenCV: what a table of scores does not show. Letters are ASCII; others become '?'.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/config.h"
#include "envs/image.h"
#include "rewards/image/evaluate/pointing.h"
#include "rewards/image/evaluate/scored_image.h"

namespace diffreward {

struct SheetConfig {
  int columns = 8;
  int side = 128;        // pixels that a picture is fitted into
  bool blur = true;      // leave shapes alone; off for drawings that harm nobody
  double opacity = 0.6;  // of a heat map over its picture

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("columns", self.columns, "pictures side by side on a sheet", Bounds{1, 32});
    field("side", self.side, "pixels that a picture on a sheet is fitted into", Bounds{32, 512});
    field("blur", self.blur, "leave shapes alone in pictures that are shown");
    field("opacity", self.opacity, "of a heat map over its picture", Bounds{0, 1});
  }
};

/// Side by side and line by line, in falling order of the score, each in a frame of its label's colour (positive: orange,
/// negative: blue) over its score, seed and prompt. Throws InvalidArgument where there are none or not a row a picture.
Image contact_sheet(std::span<const Image> images, std::span<const ScoredImage> rows,
                    const std::string& title, const SheetConfig& config);
/// The same of the rows `chosen`, in that order.
Image contact_sheet(std::span<const Image> images, std::span<const ScoredImage> rows,
                    std::span<const std::size_t> chosen, const std::string& title, const SheetConfig& config);

/// Pictures that belong together: one prompt and noise, made by several samplers.
struct PictureRow {
  std::vector<Image> images;
  std::vector<std::string> captions;  // [images]  below each: its score
  std::string title = {};             // above all: prompt and seed
};

/// Triptychs and the like under the columns' names. Throws InvalidArgument for a row of another length.
Image side_by_side(const std::vector<std::string>& columns, std::span<const PictureRow> rows,
                   const SheetConfig& config);

/// The map over its picture, in viridis from its lowest value to its highest, winsorised by 0.5 %; the picture is enlarged to
/// config.side along its longer side, the map with it (bilinear). `object`, where given, is outlined in white.
Image heat_overlay(const Image& image, const PixelMap& heat, const SheetConfig& config,
                   const PixelMap* object = nullptr);

}  // namespace diffreward
