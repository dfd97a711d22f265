#include "envs/pictures.h"

#include <jpeglib.h>

#include <algorithm>
#include <cctype>
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it first
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <system_error>

#include "core/error.h"
#include "core/file.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPng = "\x89PNG\r\n\x1a\n", kJpeg = "\xff\xd8\xff";

/// libjpeg's way to fail: its handlers may not return, and may not throw through C.
struct JpegFailure {
  jpeg_error_mgr manager;  // first: libjpeg hands out a pointer to it
  std::jmp_buf back;
  char message[JMSG_LENGTH_MAX];
};

struct JpegFacts {
  unsigned width = 0, height = 0;
  bool small_enough = false;
};

/// Reads the file through, row by row into one that is thrown away: false and a message where libjpeg finds fault with
/// it. Nothing here has a destructor, which the jump would pass by.
bool read_through(const std::string& bytes, JpegFacts& facts, JpegFailure& failure) {
  jpeg_decompress_struct reader{};
  reader.err = jpeg_std_error(&failure.manager);
  failure.manager.error_exit = [](j_common_ptr state) {
    auto* of_state = reinterpret_cast<JpegFailure*>(state->err);
    state->err->format_message(state, of_state->message);
    std::longjmp(of_state->back, 1);
  };
  failure.manager.emit_message = [](j_common_ptr state, int level) {
    if (level < 0) state->err->error_exit(state);  // a warning: the data are damaged
  };
  if (setjmp(failure.back)) {
    jpeg_destroy_decompress(&reader);
    return false;
  }
  jpeg_create_decompress(&reader);
  jpeg_mem_src(&reader, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&reader, TRUE);
  facts.width = reader.image_width;
  facts.height = reader.image_height;
  facts.small_enough = facts.width <= unsigned(kMostReadSide) && facts.height <= unsigned(kMostReadSide) &&
                       std::int64_t(facts.width) * facts.height <= kMostReadPixels;
  if (facts.small_enough) {
    jpeg_start_decompress(&reader);
    JSAMPARRAY row = reader.mem->alloc_sarray(reinterpret_cast<j_common_ptr>(&reader), JPOOL_IMAGE,
                                              reader.output_width * unsigned(reader.output_components), 1);
    while (reader.output_scanline < reader.output_height) jpeg_read_scanlines(&reader, row, 1);
    jpeg_finish_decompress(&reader);
  }
  jpeg_destroy_decompress(&reader);
  return true;
}

Image read_jpeg(const std::string& bytes, const fs::path& path) {
  // libjpeg itself first: OpenCV allocates what a header claims, fills in what a cut file lacks, and lets libjpeg print
  // on the terminal what it thinks of it.
  const auto fail = [&](const std::string& found) {
    return Error(concat(path.string(), ": expected a JPEG picture, found ", found));
  };
  JpegFacts facts;
  JpegFailure failure{};
  if (!read_through(bytes, facts, failure)) throw fail(failure.message);
  if (!facts.small_enough)
    throw fail(concat("one of ", facts.width, " x ", facts.height, " pixels, more than ", kMostReadSide,
                      " a side or ", kMostReadPixels, " in all"));
  cv::Mat bgr;
  try {
    bgr =
        cv::imdecode(cv::Mat(1, int(bytes.size()), CV_8U, const_cast<char*>(bytes.data())), cv::IMREAD_COLOR);
  } catch (const cv::Exception& error) {
    throw fail(error.err);
  }
  if (bgr.empty()) throw fail("one that OpenCV does not read");
  Image out{bgr.cols, bgr.rows, std::vector<std::uint8_t>(bgr.total() * 3)};
  cv::Mat rgb(out.height, out.width, CV_8UC3, out.rgb.data());
  cv::cvtColor(bgr, rgb, cv::COLOR_BGR2RGB);
  return out;
}

/// Of a PNG, whose header stands at a fixed place: width and height, 0 where it is too short.
std::uint32_t big_endian(const std::string& bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = at; i < at + 4 && i < bytes.size(); ++i)
    value = value << 8u | static_cast<unsigned char>(bytes[i]);
  return value;
}

bool is_picture_name(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return (ending == ".png" || ending == ".jpg" || ending == ".jpeg") &&
         !path.filename().string().starts_with(".");
}

}  // namespace

Image read_picture(const fs::path& path) {
  const std::string bytes = read_file(path);
  if (bytes.starts_with(kJpeg)) return read_jpeg(bytes, path);
  if (!bytes.starts_with(kPng))
    throw Error(concat(path.string(), ": expected a PNG or JPEG picture, found ",
                       bytes.empty() ? "an empty file" : "other bytes"));
  const std::int64_t width = big_endian(bytes, 16), height = big_endian(bytes, 20);
  if (width <= kMostReadSide && height <= kMostReadSide && width * height > kMostReadPixels)
    throw Error(concat(path.string(), ": expected a PNG picture, found one of ", width, " x ", height,
                       " pixels, more than ", kMostReadPixels, " in all"));
  return read_png(path);
}

std::vector<fs::path> list_pictures(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code failed;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed))
    if (is_picture_name(entry->path())) out.push_back(entry->path());
  if (failed) throw Error(concat(folder.string(), ": expected a folder, found: ", failed.message()));
  std::sort(out.begin(), out.end(),
            [](const fs::path& a, const fs::path& b) { return a.native() < b.native(); });
  return out;
}

std::vector<PictureRead> read_pictures(std::span<const fs::path> paths) {
  std::vector<PictureRead> out;
  for (const fs::path& path : paths) {
    out.push_back({path});
    try {
      out.back().image = read_picture(path);
    } catch (const Error& error) {
      out.back().reason = error.what();
    }
  }
  return out;
}

Image squared(const Image& image, int side) {
  const int least = std::min(image.width, image.height);
  require(least > 0 && side > 0, "picture: expected sides of at least 1 pixel, got ", image.width, " x ",
          image.height);
  const cv::Mat whole(image.height, image.width, CV_8UC3, const_cast<std::uint8_t*>(image.rgb.data()));
  const cv::Mat middle = whole(cv::Rect((image.width - least) / 2, (image.height - least) / 2, least, least));
  cv::Mat out;
  cv::resize(middle, out, cv::Size(side, side), 0, 0, side < least ? cv::INTER_AREA : cv::INTER_LINEAR);
  return {side, side, {out.data, out.data + out.total() * 3}};
}

}  // namespace diffreward
