// Pictures of strangers: what every kind of file becomes, and that bad ones are named while the others come.
#include "envs/pictures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <jpeglib.h>
#include <sys/stat.h>

#include <cstdio>  // jpeglib.h needs it first
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include "core/error.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string encoded(const cv::Mat& picture, const char* ending) {
  std::vector<std::uint8_t> bytes;
  EXPECT_TRUE(cv::imencode(ending, picture, bytes));
  return {bytes.begin(), bytes.end()};
}

/// A slope from red to blue.
cv::Mat slope(int width, int height) {
  cv::Mat bgr(height, width, CV_8UC3);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      bgr.at<cv::Vec3b>(y, x) = {cv::saturate_cast<std::uint8_t>(255 * x / width), 40,
                                 cv::saturate_cast<std::uint8_t>(255 - 255 * x / width)};
  return bgr;
}

std::vector<int> pixel(const Image& image, int x, int y) {
  const std::size_t at = (std::size_t(y) * std::size_t(image.width) + std::size_t(x)) * 3;
  return {image.rgb[at], image.rgb[at + 1], image.rgb[at + 2]};
}

/// Four bytes of a PNG's header, and its checksum made good.
std::string with_png_size(std::string bytes, std::uint32_t width, std::uint32_t height) {
  const auto put = [&](std::size_t at, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>(value >> (24 - 8 * i) & 0xffu);
  };
  put(16, width);
  put(20, height);
  std::uint32_t crc = 0xffffffffu;
  for (std::size_t i = 12; i < 29; ++i) {
    crc ^= static_cast<unsigned char>(bytes[i]);
    for (int k = 0; k < 8; ++k) crc = crc & 1u ? crc >> 1u ^ 0xedb88320u : crc >> 1u;
  }
  put(29, ~crc);
  return bytes;
}

/// One colour in CMYK; with Adobe's marker inverted, as all programs write it.
std::string cmyk_jpeg(int width, int height, std::array<std::uint8_t, 4> ink) {
  jpeg_compress_struct writer{};
  jpeg_error_mgr errors{};
  writer.err = jpeg_std_error(&errors);
  jpeg_create_compress(&writer);
  unsigned char* out = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&writer, &out, &size);
  writer.image_width = unsigned(width);
  writer.image_height = unsigned(height);
  writer.input_components = 4;
  writer.in_color_space = JCS_CMYK;
  jpeg_set_defaults(&writer);
  jpeg_start_compress(&writer, TRUE);
  std::vector<std::uint8_t> row;
  for (int x = 0; x < width; ++x)
    for (const std::uint8_t value : ink) row.push_back(std::uint8_t(255 - value));
  for (int y = 0; y < height; ++y) {
    JSAMPROW rows[] = {row.data()};
    jpeg_write_scanlines(&writer, rows, 1);
  }
  jpeg_finish_compress(&writer);
  jpeg_destroy_compress(&writer);
  const std::string bytes(reinterpret_cast<const char*>(out), size);
  std::free(out);  // libjpeg took it from malloc
  return bytes;
}

/// The JPEG with an EXIF entry that it lies turned by 90 degrees (orientation 6).
std::string turned(const std::string& jpeg) {
  const std::string tiff("MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0", 26);
  const std::string body = std::string("Exif\0\0", 6) + tiff;
  const std::size_t length = body.size() + 2;
  std::string marker = "\xff\xe1";
  marker += static_cast<char>(length >> 8u);
  marker += static_cast<char>(length & 0xffu);
  return jpeg.substr(0, 2) + marker + body + jpeg.substr(2);
}

class Pictures : public ::testing::Test {
 protected:
  Image read(const std::string& bytes, const std::string& name = "picture.png") const {
    write_bytes(folder_ / name, bytes);
    return read_picture(folder_ / name);
  }
  std::string refusal(const std::string& bytes, const std::string& name = "picture.png") const {
    return message_of<Error>([&] { read(bytes, name); });
  }
  TemporaryFolder folder_;
};

TEST_F(Pictures, EveryKindBecomesRgb) {
  const cv::Mat bgr = slope(40, 20);
  const Image png = read(encoded(bgr, ".png"));
  EXPECT_EQ(png.width, 40);
  EXPECT_EQ(png.height, 20);
  EXPECT_THAT(pixel(png, 0, 0), ElementsAre(255, 40, 0));
  const Image jpeg = read(encoded(bgr, ".jpg"));  // by its bytes, whatever its name
  EXPECT_EQ(jpeg.width, 40);
  EXPECT_NEAR(pixel(jpeg, 0, 10)[0], 255, 12);
  EXPECT_LT(pixel(jpeg, 0, 10)[2], 30);

  const cv::Mat grey(3, 5, CV_8U, cv::Scalar(77));
  for (const char* ending : {".png", ".jpg"})
    EXPECT_THAT(pixel(read(encoded(grey, ending)), 4, 2), ElementsAre(77, 77, 77)) << ending;
  const cv::Mat deep(3, 5, CV_16UC3, cv::Scalar(10 * 257, 128 * 257, 200 * 257));
  EXPECT_THAT(pixel(read(encoded(deep, ".png")), 1, 1), ElementsAre(200, 128, 10));
  const cv::Mat deep_grey(3, 5, CV_16U, cv::Scalar(128 * 257));
  EXPECT_THAT(pixel(read(encoded(deep_grey, ".png")), 1, 1), ElementsAre(128, 128, 128));
  cv::Mat clear(3, 5, CV_8UC4, cv::Scalar(9, 8, 7, 0));
  clear.at<cv::Vec4b>(0, 0) = {30, 20, 10, 255};
  EXPECT_THAT(pixel(read(encoded(clear, ".png")), 0, 0), ElementsAre(10, 20, 30));
  EXPECT_THAT(pixel(read(encoded(clear, ".png")), 1, 0), ElementsAre(255, 255, 255));  // white below
  const cv::Mat one(1, 1, CV_8UC3, cv::Scalar(3, 2, 1));
  EXPECT_THAT(pixel(read(encoded(one, ".png")), 0, 0), ElementsAre(1, 2, 3));
  EXPECT_EQ(read(encoded(one, ".jpg")).rgb.size(), 3u);
}

TEST_F(Pictures, CmykIsConvertedAndExifTurns) {
  const Image cyan = read(cmyk_jpeg(16, 16, {255, 0, 0, 0}));  // cyan ink: no red
  EXPECT_LT(pixel(cyan, 8, 8)[0], 20);
  EXPECT_GT(pixel(cyan, 8, 8)[1], 235);
  EXPECT_GT(pixel(cyan, 8, 8)[2], 235);
  const Image upright = read(turned(encoded(slope(40, 20), ".jpg")));
  EXPECT_EQ(upright.width, 20);
  EXPECT_EQ(upright.height, 40);
  EXPECT_GT(pixel(upright, 10, 0)[0], 200);  // what was left is above
}

TEST_F(Pictures, AnimationsGiveThePictureThatStandsForThem) {
  std::string bytes = encoded(slope(8, 8), ".png");
  // an acTL chunk (2 frames) behind the header; its checksum is that of these 12 bytes
  const std::string chunk(
      "\0\0\0\x08"
      "acTL"
      "\0\0\0\x02\0\0\0\0"
      "\xf3\x8d\x93\x70",
      20);
  const Image image = read(bytes.insert(33, chunk));
  EXPECT_THAT(pixel(image, 0, 0), ElementsAre(255, 40, 0));
}

TEST_F(Pictures, SizesAreComparedBeforeAnythingIsAllocated) {
  const std::string png = encoded(slope(8, 8), ".png");
  const FewerBytes limit(256u << 20u);
  EXPECT_THAT(refusal(with_png_size(png, 30000, 30000)),
              AllOf(HasSubstr("picture.png: expected a PNG picture"), HasSubstr("30000 x 30000")));
  EXPECT_THAT(refusal(with_png_size(png, 16384, 16384)), HasSubstr("16384 x 16384"));
  std::string jpeg = encoded(slope(8, 8), ".jpg");
  const std::size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, jpeg.npos);
  jpeg[frame + 5] = jpeg[frame + 7] = '\x75';  // 30000
  jpeg[frame + 6] = jpeg[frame + 8] = '\x30';
  EXPECT_THAT(refusal(jpeg), AllOf(HasSubstr("expected a JPEG picture"), HasSubstr("30000 x 30000")));
}

TEST_F(Pictures, DamageIsNamedInOneLineAndNothingIsPrinted) {
  const cv::Mat bgr = slope(64, 48);
  testing::internal::CaptureStderr();
  for (const char* ending : {".png", ".jpg"}) {
    const std::string good = encoded(bgr, ending);
    for (std::size_t size = 0; size + 12 < good.size(); size += 1 + good.size() / 40)
      EXPECT_THAT(refusal(good.substr(0, size)), HasSubstr("picture.png: expected a ")) << ending << size;
    for (std::size_t at = 0; at < good.size(); at += 1 + good.size() / 150) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ 0x55);
      try {
        read(bad);
      } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("picture.png: expected a "));
      }
    }
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_THAT(refusal(""), HasSubstr("found an empty file"));
  EXPECT_THAT(refusal("GIF89a........"), HasSubstr("expected a PNG or JPEG picture, found other bytes"));
}

TEST_F(Pictures, ABadOneDoesNotKeepTheOthers) {
  const std::string png = encoded(slope(4, 4), ".png");
  const std::string unicode =
      "\xd0\xba\xd0\xbe\xd1\x82 \xf0\x9f\x90\x88.PNG";  // a cat in Russian, and its emoji
  write_bytes(folder_ / unicode, png);
  write_bytes(folder_ / "b.jpeg", encoded(slope(4, 4), ".jpg"));
  write_bytes(folder_ / "a.png", png.substr(0, 60));
  write_bytes(folder_ / ".hidden.png", png);
  write_bytes(folder_ / "notes.txt", "none");
  fs::create_directory(folder_ / "c.png");
  ASSERT_EQ(::mkfifo((folder_ / "d.jpg").c_str(), 0600), 0);
  const std::vector<fs::path> paths = list_pictures(folder_.path());
  EXPECT_THAT(paths, ElementsAre(folder_ / "a.png", folder_ / "b.jpeg", folder_ / "c.png", folder_ / "d.jpg",
                                 folder_ / unicode));
  const std::vector<PictureRead> read = read_pictures(paths);
  ASSERT_EQ(read.size(), 5u);
  for (const std::size_t good : {1u, 4u}) {
    EXPECT_TRUE(read[good].image && read[good].image->width == 4) << read[good].reason;
    EXPECT_EQ(read[good].reason, "");
  }
  for (const std::size_t bad : {0u, 2u, 3u}) {
    EXPECT_FALSE(read[bad].image);
    EXPECT_THAT(read[bad].reason, HasSubstr(paths[bad].filename().string()));
    EXPECT_EQ(read[bad].reason.find('\n'), std::string::npos);
  }
  EXPECT_THAT(message_of<Error>([&] { list_pictures(folder_ / "absent"); }), HasSubstr("expected a folder"));
}

}  // namespace
}  // namespace diffreward
