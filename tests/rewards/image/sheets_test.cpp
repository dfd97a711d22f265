// Sheets, heat maps, the table of scores and the folder of an evaluation: places and colours; what is pleasant is judged by
// eye (DIFFREWARD_PICTURES=folder keeps them).
#include "rewards/image/evaluate/sheets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "core/error.h"
#include "core/rng.h"
#include "rewards/image/evaluate/evaluate_images.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Rgb = std::array<int, 3>;

constexpr Rgb kPositive{213, 94, 0}, kNegative{0, 114, 178};

Rgb pixel(const Image& image, int x, int y) {
  const std::size_t at = (std::size_t(y) * std::size_t(image.width) + std::size_t(x)) * 3;
  return {image.rgb[at], image.rgb[at + 1], image.rgb[at + 2]};
}

Image plain(int width, int height, Rgb colour) {
  Image image{width, height, {}};
  for (int i = 0; i < width * height; ++i)
    for (const int value : colour) image.rgb.push_back(std::uint8_t(value));
  return image;
}

/// A disc (the concept) or a square somewhere on a slope of colours; the object's mask beside it.
struct Scene {
  Image image;
  PixelMap object;
};
Scene scene(bool disc, Rng& rng) {
  Scene out{{64, 64, {}}, {64, 64, {}}};
  const double cx = rng.uniform(16, 48), cy = rng.uniform(16, 48), size = rng.uniform(8, 14);
  const Rgb colour{int(rng.below(256)), int(rng.below(256)), int(rng.below(256))};
  for (int y = 0; y < 64; ++y)
    for (int x = 0; x < 64; ++x) {
      const double dx = std::abs(x - cx), dy = std::abs(y - cy);
      const bool inside = disc ? std::hypot(dx, dy) < size : std::max(dx, dy) < 0.9 * size;
      for (std::size_t c = 0; c < 3; ++c)
        out.image.rgb.push_back(std::uint8_t(inside ? colour[c] : 120 + x + y));
      out.object.values.push_back(inside && disc ? 1.0f : 0.0f);
    }
  return out;
}

/// Scores that tell discs from squares, with errors; heat maps that point near the disc.
ImagesScored some_scores(std::size_t n) {
  ImagesScored out;
  Rng rng(3);
  for (std::size_t i = 0; i < n; ++i) {
    const bool disc = i % 3 == 0;
    const Scene drawn = scene(disc, rng);
    out.images.push_back(drawn.image);
    out.objects.push_back(drawn.object);
    out.rows.push_back(
        {.name = concat("scene ", i),
         .score = rng.normal() + (disc ? 1.6 : 0),
         .positive = disc,
         .sampler = i % 2 ? "base" : "expert",
         .category = disc         ? "disc"
                     : i % 3 == 1 ? "square"
                                  : "other square",
         .prompt = i == 4 ? "a \xc3\xa9toile, \"quoted\"" : concat("a scene that bears the number ", i),
         .seed = 1000 + i});
    PixelMap heat{16, 16, {}};
    for (std::size_t y = 0; y < 16; ++y)
      for (std::size_t x = 0; x < 16; ++x)
        heat.values.push_back(drawn.object.values[(4 * y + 2) * 64 + 4 * x + 2] +
                              0.7f * float(rng.uniform()));
    out.heat.push_back(heat);
  }
  return out;
}

std::filesystem::path kept(const TemporaryFolder& folder) {
  const char* chosen = std::getenv("DIFFREWARD_PICTURES");
  return chosen ? std::filesystem::path(chosen) : folder.path();
}

TEST(Sheets, AreInFallingOrderWithTheLabelsColour) {
  const std::vector<Image> images = {plain(10, 10, {1, 2, 3}), plain(20, 10, {4, 5, 6}),
                                     plain(10, 30, {7, 8, 9})};
  const std::vector<ScoredImage> rows = {{.name = "low", .score = -1, .positive = true},
                                         {.name = "high", .score = 5, .positive = false},
                                         {.name = "middle", .score = 2, .positive = true}};
  const SheetConfig config{.columns = 2, .side = 64, .blur = false};
  const Image sheet = contact_sheet(images, rows, "three", config);
  // cells of 64 + 2 * 4 pixels and gaps of 8, under a bar of 24
  const int wide = 80, high = 64 + 8 + 30 + 8, top = 24 + 8;
  EXPECT_EQ(sheet.width, 2 * wide + 8);
  EXPECT_EQ(sheet.height, 24 + 2 * high + 8);
  const auto frame = [&](int column, int line) {
    return pixel(sheet, 8 + column * wide + 1, top + line * high + 1);
  };
  const auto middle = [&](int column, int line) {
    return pixel(sheet, 8 + column * wide + 36, top + line * high + 36);
  };
  EXPECT_EQ(frame(0, 0), kNegative);
  EXPECT_EQ(middle(0, 0), (Rgb{4, 5, 6}));
  EXPECT_EQ(frame(1, 0), kPositive);
  EXPECT_EQ(middle(1, 0), (Rgb{7, 8, 9}));
  EXPECT_EQ(frame(0, 1), kPositive);
  EXPECT_EQ(middle(0, 1), (Rgb{1, 2, 3}));
  EXPECT_EQ(frame(1, 1), (Rgb{255, 255, 255}));  // nothing
  // proportions are kept: the wide one leaves white above, inside its frame
  EXPECT_EQ(pixel(sheet, 8 + 36, top + 6), (Rgb{255, 255, 255}));
  EXPECT_THROW(contact_sheet(images, std::span(rows).first(2), "", config), InvalidArgument);
  EXPECT_THROW(contact_sheet({}, {}, "", config), InvalidArgument);
}

TEST(Sheets, BlurWithoutBeingAsked) {
  EXPECT_TRUE(SheetConfig().blur);
  Image sharp = plain(64, 64, {0, 0, 0});
  for (std::size_t i = 0; i < sharp.rgb.size(); ++i) sharp.rgb[i] = (i / 3) % 2 ? 255 : 0;
  const std::vector<PictureRow> rows = {{{sharp}, {""}}};
  const Image hidden = side_by_side({"one"}, rows, {.side = 64}),
              shown = side_by_side({"one"}, rows, {.side = 64, .blur = false});
  const Rgb grey = pixel(hidden, 8 + 32, hidden.height - 50),
            black_or_white = pixel(shown, 8 + 32, shown.height - 50);
  EXPECT_NEAR(grey[0], 127, 10);
  EXPECT_TRUE(black_or_white[0] == 0 || black_or_white[0] == 255);
  EXPECT_THROW(side_by_side({"one", "two"}, rows, {}), InvalidArgument);
}

TEST(Sheets, HeatLiesOverItsPlace) {
  PixelMap heat{4, 4, std::vector<float>(16, 0.0f)};
  heat.values[4 * 1 + 2] = 1;  // row 1, column 2
  const SheetConfig opaque{.side = 128, .blur = false, .opacity = 1};
  const Image drawn = heat_overlay(plain(32, 32, {9, 9, 9}), heat, opaque);
  EXPECT_EQ(drawn.width, 128);
  const Rgb hot = pixel(drawn, 80, 48), cold = pixel(drawn, 16, 112);  // yellow, violet
  EXPECT_GT(hot[0], 200);
  EXPECT_GT(hot[1], 200);
  EXPECT_LT(hot[2], 90);
  EXPECT_LT(cold[1], 30);
  EXPECT_GT(cold[2], 60);
  SheetConfig clear = opaque;
  clear.opacity = 0;
  EXPECT_EQ(pixel(heat_overlay(plain(32, 32, {9, 9, 9}), heat, clear), 80, 48), (Rgb{9, 9, 9}));
  const Image wide = heat_overlay(plain(64, 32, {9, 9, 9}), heat, opaque);
  EXPECT_EQ(wide.height, 64);
}

TEST(Scores, ErrorsAreTheWorstFirst) {
  const std::vector<ScoredImage> rows = {
      {"a", 1, true}, {"b", 3, false}, {"c", -2, true}, {"d", 9, false}, {"e", 5, true}};
  EXPECT_THAT(worst_false_positives(rows, 10), ElementsAre(3, 1));
  EXPECT_THAT(worst_false_negatives(rows, 2), ElementsAre(2, 0));
}

TEST(Scores, TableQuotesWhatItMust) {
  const TemporaryFolder folder;
  const std::vector<ScoredImage> rows = {
      {.name = "a,b", .score = 0.1, .positive = true, .prompt = "say \"hi\"", .seed = 7},
      {.name = "c", .score = 1.0 / 3}};
  write_scores(folder / "scores.csv", rows);
  EXPECT_EQ(bytes_of(folder / "scores.csv"),
            "name,score,positive,sampler,category,prompt,seed\r\n"
            "\"a,b\",0.10000000000000001,1,,,\"say \"\"hi\"\"\",7\r\n"
            "c,0.33333333333333331,0,,,,0\r\n");
}

TEST(ImageEvaluation, SaysWhatTheScoresAreWorth) {
  const ImagesScored scored = some_scores(90);
  ImageEvaluationConfig config;
  config.bootstrap.resamples = 200;
  config.precision_at = {5, 1000};
  const ImageEvaluation found = evaluate_images(scored, config);
  EXPECT_EQ(found.positives, 30u);
  EXPECT_DOUBLE_EQ(found.band.auroc.value,
                   auroc(scores_of(scored.rows, true), scores_of(scored.rows, false)));
  EXPECT_LE(found.reported.false_positive_rate, 0.05);
  ASSERT_EQ(found.precision.size(), 1u);
  EXPECT_GE(found.precision[0].second, 0.6);
  ASSERT_EQ(found.categories.size(), 3u);
  EXPECT_EQ(found.categories[0].category, "disc");
  EXPECT_DOUBLE_EQ(found.categories[0].flagged, found.reported.true_positive_rate);
  EXPECT_DOUBLE_EQ(found.categories[0].auroc.value, found.band.auroc.value);
  // both halves of the negatives: their mean is the whole
  EXPECT_NEAR((found.categories[1].auroc.value + found.categories[2].auroc.value) / 2, found.band.auroc.value,
              1e-9);
  EXPECT_EQ(found.by_sampler.size(), 2u);
  EXPECT_EQ(found.cues.size(), 5u);
  ASSERT_TRUE(found.pointing.has_value());
  EXPECT_EQ(found.pointing->played, 30u);
  EXPECT_GT(found.pointing->hits.low, found.pointing->chance);
  const Json json = found.json();
  EXPECT_EQ(json.at("pointing").at("played"), 30);
  EXPECT_EQ(json.at("precision_at").size(), 1u);

  ImagesScored unseen = scored;  // as of photographs: nobody knows where the concept is
  unseen.objects.clear();
  EXPECT_FALSE(evaluate_images(unseen, config).pointing.has_value());

  ImagesScored broken = scored;
  broken.images.pop_back();
  EXPECT_THROW(evaluate_images(broken), InvalidArgument);
  EXPECT_THROW(evaluate_images({}), InvalidArgument);
}

TEST(ImageEvaluation, WritesAFolderToLookAt) {
  const ImagesScored scored = some_scores(90);
  ImageEvaluationConfig config;
  config.bootstrap.resamples = 200;
  config.sheets.blur = false;
  const TemporaryFolder temporary;
  const std::filesystem::path folder = kept(temporary);
  write_image_evaluation(folder, Page("Discs"), evaluate_images(scored, config), scored, config);
  for (const char* name : {"sheet.png", "false_positives.png", "false_negatives.png", "heat_maps.png"})
    EXPECT_GT(read_png(folder / name).width, 100) << name;
  const std::string page = bytes_of(folder / "report.html");
  for (const char* text : {"Trivial cues", "Pointing game", "AUROC", "Categories", "Detection error tradeoff",
                           "Scores by sampler"})
    EXPECT_THAT(page, HasSubstr(text));
  EXPECT_EQ(read_json_object(folder / "evaluation.json").at("positives"), 30);
  const std::string table = bytes_of(folder / "scores.csv");
  EXPECT_EQ(std::ranges::count(table, '\n'), 91);

  std::vector<PictureRow> rows;
  for (std::size_t i = 0; i < 9; i += 3)
    rows.push_back({{scored.images[i], scored.images[i + 1], scored.images[i + 2]},
                    {"1.9", "-0.3", "-0.8"},
                    concat(scored.rows[i].prompt, ", seed ", scored.rows[i].seed)});
  write_png(folder / "triptychs.png", side_by_side({"base", "expert", "steered"}, rows, config.sheets));
  EXPECT_GT(read_png(folder / "triptychs.png").height, 3 * 128);

  // A table alone, without pictures: numbers and no sheets.
  const TemporaryFolder bare;
  ImagesScored table_only;
  table_only.rows = scored.rows;
  write_image_evaluation(bare.path(), Page("Table"), evaluate_images(table_only, config), table_only, config);
  EXPECT_FALSE(std::filesystem::exists(bare / "sheet.png"));
  EXPECT_THAT(bytes_of(bare / "report.html"), Not(HasSubstr("Trivial cues")));
}

}  // namespace
}  // namespace diffreward
