// An 8-bit RGB picture, and the only places where one is written to disk or encoded.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace diffreward {

struct Image {
  int width = 0, height = 0;      // pixels
  std::vector<std::uint8_t> rgb;  // [height, width, 3]
};

/// Sides of the pictures that environments draw, pixels.
inline constexpr int kMinPictureSide = 16, kMaxPictureSide = 4096;

/// Throws InvalidArgument naming the side that is out of range.
void check_picture_size(int width, int height);

/// The picture as a PNG file's bytes.
std::vector<std::uint8_t> encode_png(const Image& image);

/// Writes a PNG (to a temporary name, then renamed). Throws Error.
void write_png(const std::filesystem::path& path, const Image& image);

/// Reads a picture. Throws Error naming the file when it is absent or not a picture.
Image read_png(const std::filesystem::path& path);

/// Pictures of equal height side by side, `gap` white pixels between them.
Image beside(const std::vector<Image>& images, int gap = 8);
/// Pictures one below the other, from the left, `gap` white pixels between them and where one is narrower.
Image below(const std::vector<Image>& images, int gap = 8);

}  // namespace diffreward
