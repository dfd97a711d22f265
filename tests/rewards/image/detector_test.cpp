// Answers of the network that tests/oracle/detector_reference.py makes: mean red and mean blue of four cells.
#include "rewards/image/judge/detector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "core/error.h"
#include "core/file.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const fs::path kGolden = fs::path(DIFFREWARD_SOURCE_DIR) / "tests/golden/detector";

Detector golden(double threshold = 0.25, double overlap = 0.45) {
  return Detector::load(kGolden / "cells.onnx", kGolden / "kinds.txt",
                        {.side = 32, .threshold = threshold, .overlap = overlap});
}

/// Cells of a square in reading order, each of one colour.
Image cells(int side, const std::vector<std::array<std::uint8_t, 3>>& colours) {
  Image image{side, side, {}};
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x)
      for (int c = 0; c < 3; ++c)
        image.rgb.push_back(colours[std::size_t(2 * (2 * y / side) + 2 * x / side)][std::size_t(c)]);
  return image;
}

TEST(DetectorTest, TellsKindScoreAndBoxOfTheBestPlaces) {
  Detector detector = golden();
  EXPECT_THAT(detector.kinds(), ElementsAre("red", "blue"));
  const std::vector<Detection> found =
      detector.detect(cells(32, {{102, 0, 0}, {204, 0, 51}, {0, 255, 60}, {0, 0, 255}}));
  ASSERT_EQ(found.size(),
            2u);  // the first cell's red is the second's, a little to the left; the third's blue is too weak
  EXPECT_EQ(found[0].kind, 1u);
  EXPECT_NEAR(found[0].score, 1, 1e-5);
  EXPECT_NEAR(found[0].left, 18, 1e-4);
  EXPECT_NEAR(found[0].top, 18, 1e-4);
  EXPECT_NEAR(found[0].width, 12, 1e-4);
  EXPECT_EQ(found[1].kind, 0u);
  EXPECT_NEAR(found[1].score, 0.8, 1e-5);
  EXPECT_NEAR(found[1].left, 4, 1e-4);
}

TEST(DetectorTest, OverlappingBoxesStayWhereTheyMay) {
  const Image image = cells(32, {{102, 0, 0}, {204, 0, 0}, {0, 0, 0}, {0, 0, 0}});
  EXPECT_EQ(golden(0.25, 0.8).detect(image).size(), 2u);  // intersection over union: 120 / 168
  EXPECT_EQ(golden(0.25, 0.7).detect(image).size(), 1u);
  EXPECT_EQ(golden(0.5, 0.8).detect(image).size(), 1u);
  const Image others = cells(32, {{102, 0, 0}, {0, 0, 204}, {0, 0, 0}, {0, 0, 0}});
  EXPECT_EQ(golden(0.25, 0.7).detect(others).size(), 2u);  // of two kinds
}

TEST(DetectorTest, BoxesAreThoseOfThePictureWhateverItsSize) {
  Image wide{64, 32, std::vector<std::uint8_t>(std::size_t(64 * 32 * 3), 0)};
  for (std::size_t y = 0; y < 32; ++y)
    for (std::size_t x = 32; x < 64; ++x)
      wide.rgb[3 * (64 * y + x)] = 255;  // fills the second cell, of 32 pixels
  const std::vector<Detection> found = golden().detect(wide);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NEAR(found[0].score, 1, 1e-5);
  EXPECT_NEAR(found[0].left, 8, 1e-4);  // (10 - 6) 2
  EXPECT_NEAR(found[0].top, 4, 1e-4);
  EXPECT_NEAR(found[0].width, 24, 1e-4);
  EXPECT_NEAR(found[0].height, 24, 1e-4);
  Image low{64, 20, {wide.rgb.begin(), wide.rgb.begin() + 64 * 20 * 3}};
  const std::vector<Detection> cut = golden().detect(low);
  ASSERT_EQ(cut.size(), 1u);
  EXPECT_NEAR(cut[0].top + cut[0].height, 20, 1e-4);  // inside the picture
}

TEST(DetectorTest, RefusesWhatIsNoSuchNetwork) {
  const TemporaryFolder folder;
  write_file(folder / "text.onnx", "no network");
  write_file(folder / "three.txt", "a\nb\nc\n");
  write_file(folder / "none.txt", "\n");
  const fs::path net = kGolden / "cells.onnx", kinds = kGolden / "kinds.txt";
  const DetectorConfig small{.side = 32};
  const auto message = [](auto&&... given) { return message_of<Error>([&] { Detector::load(given...); }); };
  EXPECT_THAT(message(folder / "text.onnx", kinds, small),
              HasSubstr("text.onnx: expected a network that OpenCV reads"));
  EXPECT_THAT(message(folder / "absent.onnx", kinds, small), HasSubstr("absent.onnx"));
  EXPECT_THAT(message(net, folder / "none.txt", small),
              HasSubstr("none.txt: expected a name a line, found none"));
  EXPECT_THAT(
      message(net, folder / "three.txt", small),
      HasSubstr("cells.onnx: expected an output of 1 x 7 x places, 4 numbers and 3 kinds, found 1 x 6 x 4"));
  EXPECT_THAT(message(net, kinds, DetectorConfig{.side = 64}),
              AllOf(HasSubstr("cells.onnx: "), ::testing::Not(HasSubstr("\n"))));
}

}  // namespace
}  // namespace diffreward
