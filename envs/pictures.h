// Pictures of strangers: folders and lists of PNG and JPEG files, of which a bad one does not keep the others from being
// read. Whatever a file holds comes as 8-bit RGB: grey and palettes in colour, 16 bits a channel as the upper 8, alpha
// over white, CMYK by OpenCV, of an animated PNG the picture that stands for it, a JPEG turned as its EXIF says.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "envs/image.h"

namespace diffreward {

/// Sides and pixels of a picture that is read; what its header claims is compared before anything is allocated.
inline constexpr int kMostReadSide = 16384;
inline constexpr std::int64_t kMostReadPixels = std::int64_t{1} << 26;

/// A PNG or JPEG, told by its first bytes and not by its name. Throws Error naming the file: absent, no file, of another
/// kind, damaged, cut short, or larger than the limits.
Image read_picture(const std::filesystem::path& path);

/// The files of a folder, itself and not below, that end in .png, .jpg or .jpeg in any case, sorted by the bytes of their
/// names; hidden ones are left out. Throws Error where it cannot be read.
std::vector<std::filesystem::path> list_pictures(const std::filesystem::path& folder);

/// The middle square of a picture, of another size: means of areas where it shrinks, bilinear where it grows. Throws
/// InvalidArgument for a picture without pixels.
Image squared(const Image& image, int side);

struct PictureRead {
  std::filesystem::path path;
  std::optional<Image> image = {};  ///< none where it could not be read
  std::string reason = {};          ///< then: one line, which names the file
};

/// All of them, in their order.
std::vector<PictureRead> read_pictures(std::span<const std::filesystem::path> paths);

}  // namespace diffreward
