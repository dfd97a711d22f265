// ROC, its band, DET, precision and thresholds against their definitions; the pointing game; trivial cues.
#include "rewards/image/evaluate/detection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/rng.h"
#include "rewards/image/evaluate/cues.h"
#include "rewards/image/evaluate/pointing.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Normal scores of a mean, rounded so that many are equal.
std::vector<double> scores(std::size_t n, double mean, std::uint64_t seed, double grid = 0) {
  Rng rng(seed);
  std::vector<double> out;
  for (std::size_t i = 0; i < n; ++i) {
    const double score = mean + rng.normal();
    out.push_back(grid > 0 ? std::round(score / grid) * grid : score);
  }
  return out;
}

double area(const std::vector<OperatingPoint>& curve) {
  double sum = 0;
  for (std::size_t i = 1; i < curve.size(); ++i)
    sum += (curve[i].false_positive_rate - curve[i - 1].false_positive_rate) *
           (curve[i].true_positive_rate + curve[i - 1].true_positive_rate) / 2;
  return sum;
}

TEST(Roc, HasACornerPerScoreAndOneStepForEqualOnes) {
  const std::vector<double> positive = {3, 2, 2, 0}, negative = {2, 1};
  const std::vector<OperatingPoint> curve = roc_curve(positive, negative);
  std::vector<std::array<double, 3>> found;
  for (const OperatingPoint& p : curve)
    found.push_back({p.threshold, p.false_positive_rate, p.true_positive_rate});
  using Corner = std::array<double, 3>;
  EXPECT_THAT(found, ElementsAre(Corner{std::numeric_limits<double>::infinity(), 0, 0}, Corner{3, 0, 0.25},
                                 Corner{2, 0.5, 0.75}, Corner{1, 1, 0.75}, Corner{0, 1, 1}));
}

TEST(Roc, ItsAreaIsTheRankStatistic) {
  for (const double grid : {0.0, 0.5}) {
    const auto positive = scores(150, 1, 1, grid), negative = scores(90, 0, 2, grid);
    EXPECT_NEAR(area(roc_curve(positive, negative)), auroc(positive, negative), 1e-12) << grid;
  }
}

TEST(Roc, BandHoldsTheCurveAndTheIntervalOfItsArea) {
  const auto positive = scores(80, 1, 3, 0.25), negative = scores(120, 0, 4, 0.25);
  const BootstrapConfig config{.resamples = 400, .seed = 5};
  const RocBand band = roc_band(positive, negative, config, 21);
  const Estimate same = bootstrap_auroc({positive, {}}, {negative, {}}, config);
  EXPECT_NEAR(band.auroc.value, same.value, 1e-12);
  EXPECT_NEAR(band.auroc.low, same.low, 1e-12);
  EXPECT_NEAR(band.auroc.high, same.high, 1e-12);
  const std::vector<OperatingPoint> curve = roc_curve(positive, negative);
  ASSERT_EQ(band.low.size(), 21u);
  for (std::size_t i = 0; i < 21; ++i) {
    EXPECT_DOUBLE_EQ(band.false_positive_rate[i], double(i) / 20);
    EXPECT_LE(band.low[i], band.true_positive_rate[i] + 1e-12);
    EXPECT_GE(band.high[i], band.true_positive_rate[i] - 1e-12);
    // between the corners on either side
    EXPECT_GE(band.true_positive_rate[i], threshold_at(curve, double(i) / 20).true_positive_rate - 1e-12);
  }
  EXPECT_EQ(band.true_positive_rate.back(), 1);
  // Where nothing is told apart, the middle of the band is not narrow, and is about the diagonal.
  const RocBand chance = roc_band(scores(200, 0, 6), scores(200, 0, 7), config, 3);
  EXPECT_NEAR(chance.true_positive_rate[1], 0.5, 0.12);
  EXPECT_GT(chance.high[1] - chance.low[1], 0.08);
}

TEST(Roc, BandCoversTheTruthAsOftenAsItSays) {
  // N(1, 1) against N(0, 1): the rate of true positives at a rate f of false ones is Phi(1 + Phi^-1(f)).
  int covered = 0;
  const double truth = 0.5 * std::erfc(-(1 + student_t_quantile(0.2, INFINITY)) / std::numbers::sqrt2);
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const RocBand band = roc_band(scores(100, 1, 100 + 2 * seed), scores(100, 0, 101 + 2 * seed),
                                  {.resamples = 200, .confidence = 0.9, .seed = seed}, 6);
    covered += band.low[1] <= truth && truth <= band.high[1];
  }
  EXPECT_GE(covered, 80);
  EXPECT_LE(covered, 99);
}

TEST(Roc, ThresholdsKeepTheirRate) {
  const auto positive = scores(100, 1, 8, 0.5), negative = scores(100, 0, 9, 0.5);
  const std::vector<OperatingPoint> curve = roc_curve(positive, negative);
  for (const double rate : {0.0, 0.05, 0.3, 1.0}) {
    const OperatingPoint point = threshold_at(curve, rate);
    const auto share = [&](const std::vector<double>& side) {
      return double(std::ranges::count_if(side, [&](double s) { return s >= point.threshold; })) / 100;
    };
    EXPECT_DOUBLE_EQ(share(negative), point.false_positive_rate);
    EXPECT_DOUBLE_EQ(share(positive), point.true_positive_rate);
    EXPECT_LE(point.false_positive_rate, rate);
  }
  EXPECT_EQ(threshold_at(curve, 1).true_positive_rate, 1);
  EXPECT_EQ(threshold_at(roc_curve(std::vector{0.0}, std::vector{1.0}), 0.5).true_positive_rate, 0);
}

TEST(Det, NormalScoresMakeAStraightLine) {
  const std::vector<DetPoint> points = det_points(roc_curve(scores(20000, 1.5, 10), scores(20000, 0, 11)));
  ASSERT_GT(points.size(), 1000u);
  int checked = 0;
  for (const DetPoint& point : points) {
    if (std::min(point.false_positive_rate, point.miss_rate) < 0.02) continue;
    ++checked;
    EXPECT_NEAR(point.false_positive_deviate + point.miss_deviate, -1.5, 0.08);
    EXPECT_NEAR(0.5 * std::erfc(-point.miss_deviate / std::numbers::sqrt2), point.miss_rate, 1e-9);
  }
  EXPECT_GT(checked, 1000);
  EXPECT_TRUE(det_points(roc_curve(std::vector{1.0}, std::vector{0.0})).empty());
}

TEST(Precision, CountsTheHighestAndSharesTies) {
  const std::vector<double> positive = {9, 5, 5, 1}, negative = {8, 5};
  EXPECT_EQ(precision_at(positive, negative, 1), 1);
  EXPECT_EQ(precision_at(positive, negative, 2), 0.5);
  EXPECT_DOUBLE_EQ(precision_at(positive, negative, 3), (1 + 2.0 / 3) / 3);
  EXPECT_DOUBLE_EQ(precision_at(positive, negative, 5), 3.0 / 5);
  EXPECT_DOUBLE_EQ(precision_at(positive, negative, 6), 4.0 / 6);
  EXPECT_THAT(message_of<InvalidArgument>([&] { precision_at(positive, negative, 0); }),
              HasSubstr("precision_at: expected k in [1, 6], got 0"));
}

TEST(Detection, RefusesEmptySidesAndWhatIsNotFinite) {
  const std::vector<double> some = {1, 2}, none, bad = {1, NAN};
  EXPECT_THROW(roc_curve(some, none), InvalidArgument);
  EXPECT_THROW(roc_curve(none, some), InvalidArgument);
  EXPECT_THROW(roc_band(some, bad, {}), InvalidArgument);
  EXPECT_THROW(precision_at(bad, some, 1), InvalidArgument);
  EXPECT_THROW(threshold_at(roc_curve(some, some), 1.5), InvalidArgument);
}

TEST(Detection, HistogramsOfGroupsShareTheirRange) {
  const auto found = group_histograms({{"base", {0, 1, 2}}, {"expert", {3, 3}}}, 4);
  EXPECT_EQ(found.at("base").low, found.at("expert").low);
  EXPECT_EQ(found.at("base").high, found.at("expert").high);
  EXPECT_DOUBLE_EQ(found.at("expert").share.back(), 1);
  EXPECT_EQ(found.at("base").share.back(), 0);
}

PixelMap map_of(int width, int height, float value = 0) {
  return {width, height, std::vector<float>(std::size_t(width) * std::size_t(height), value)};
}
void set(PixelMap& map, int x, int y, float value) {
  map.values[std::size_t(y) * std::size_t(map.width) + std::size_t(x)] = value;
}

TEST(PointingGame, HitsTheObjectOrItsNeighbour) {
  PixelMap object = map_of(64, 64);  // over 16 x 16 latents: 4 pixels each
  set(object, 33, 22, 1);            // in latent (8, 5)
  for (int y = 0; y < 16; ++y)
    for (int x = 0; x < 16; ++x) {
      PixelMap heat = map_of(16, 16, -3);
      set(heat, x, y, -1);
      EXPECT_EQ(pointed(heat, object).hit, std::abs(x - 8) <= 1 && std::abs(y - 5) <= 1) << x << " " << y;
    }
  PixelMap two = map_of(16, 16);
  set(two, 8, 5, 7);
  set(two, 0, 0, 7);
  EXPECT_EQ(pointed(two, object).hit, 0.5);
  EXPECT_DOUBLE_EQ(pointed(two, object).chance, 9.0 / 256);
  const Pointed nowhere = pointed(map_of(16, 16, 2), object);  // a constant map points nowhere
  EXPECT_DOUBLE_EQ(nowhere.hit, nowhere.chance);
  EXPECT_THROW(pointed(two, map_of(64, 64)), InvalidArgument);
  EXPECT_THROW(pointed(two, map_of(8, 8, 1)), InvalidArgument);
  EXPECT_THROW(pointed({16, 16, {}}, object), InvalidArgument);
}

TEST(PointingGame, SidesNeedNotDivide) {
  PixelMap object = map_of(50, 50), heat = map_of(7, 7);
  set(object, 49, 49, 1);
  set(heat, 6, 6, 1);
  EXPECT_EQ(pointed(heat, object).hit, 1);
  set(heat, 4, 4, 2);
  EXPECT_EQ(pointed(heat, object).hit, 0);
}

TEST(PointingGame, LeavesOutPicturesWithoutAnObject) {
  PixelMap object = map_of(8, 8), hit = map_of(8, 8), miss = map_of(8, 8);
  set(object, 1, 1, 1);
  set(hit, 2, 2, 1);
  set(miss, 6, 6, 1);
  const PointingGame game =
      pointing_game(std::vector{hit, miss, hit, miss}, std::vector{object, object, object, map_of(8, 8)}, {});
  EXPECT_EQ(game.played, 3u);
  EXPECT_EQ(game.left, 1u);
  EXPECT_DOUBLE_EQ(game.hits.value, 2.0 / 3);
  EXPECT_DOUBLE_EQ(game.chance, 9.0 / 64);
}

template <class Colour>
Image drawn(int side, const Colour& colour) {
  Image image{side, side, {}};
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x)
      for (const int value : colour(x, y)) image.rgb.push_back(std::uint8_t(value));
  return image;
}
using Rgb = std::array<int, 3>;
Rgb grey(int value) {
  return {value, value, value};
}

TEST(Cues, DiagonalityTellsSlantedFromUpright) {
  const Image upright = drawn(64, [](int x, int) { return grey(x / 8 % 2 ? 255 : 0); });
  const Image level = drawn(64, [](int, int y) { return grey(y / 8 % 2 ? 255 : 0); });
  const Image slanted = drawn(64, [](int x, int y) { return grey((x + y) / 8 % 2 ? 255 : 0); });
  const Image other = drawn(64, [](int x, int y) { return grey((x - y + 64) / 8 % 2 ? 255 : 0); });
  EXPECT_LT(trivial_cues(upright).diagonality, 0.01);
  EXPECT_LT(trivial_cues(level).diagonality, 0.01);
  EXPECT_GT(trivial_cues(slanted).diagonality, 0.9);
  EXPECT_GT(trivial_cues(other).diagonality, 0.9);
}

TEST(Cues, InkSaturationBrightnessAndEdgesAreWhatTheySay) {
  const Image disc = drawn(64, [](int x, int y) -> Rgb {
    return std::hypot(x - 31.5, y - 31.5) < 16 ? Rgb{200, 0, 0} : Rgb{250, 250, 240};
  });
  const TrivialCues cues = trivial_cues(disc);
  const double area = std::numbers::pi * 16 * 16 / (64 * 64);
  EXPECT_NEAR(cues.ink, area, 0.01);
  EXPECT_NEAR(cues.saturation, area + (1 - area) * 10 / 250, 0.01);
  EXPECT_NEAR(cues.brightness, (area * 0.299 * 200 + (1 - area) * 249) / 255, 0.01);
  EXPECT_NEAR(cues.edges, 2 * std::numbers::pi * 16 / (64 * 64), 0.01);
  const TrivialCues plain = trivial_cues(drawn(16, [](int, int) { return grey(128); }));
  EXPECT_EQ(plain.diagonality, 0);
  EXPECT_EQ(plain.ink, 0);
  EXPECT_EQ(plain.saturation, 0);
  EXPECT_EQ(plain.edges, 0);
  EXPECT_NEAR(plain.brightness, 128 / 255.0, 1e-9);
  EXPECT_EQ(trivial_cues(drawn(1, [](int, int) { return grey(9); })).ink, 0);
  EXPECT_THROW(trivial_cues({}), InvalidArgument);
}

TEST(Cues, AreScoredInTheirBetterDirection) {
  std::vector<TrivialCues> positive, negative;
  Rng rng(1);
  for (int i = 0; i < 60; ++i) {
    positive.push_back({.ink = rng.uniform(), .brightness = rng.uniform() - 0.4});
    negative.push_back({.ink = rng.uniform() - 0.4, .brightness = rng.uniform()});
  }
  const std::vector<CueScore> found = cue_scores(positive, negative, {.resamples = 200});
  ASSERT_EQ(found.size(), 5u);
  EXPECT_EQ(found[0].cue, "diagonality");
  EXPECT_EQ(found[0].auroc.value, 0.5);
  EXPECT_EQ(found[1].cue, "ink");
  EXPECT_TRUE(found[1].rises);
  EXPECT_EQ(found[3].cue, "brightness");
  EXPECT_FALSE(found[3].rises);
  for (const std::size_t k : {1u, 3u}) {
    EXPECT_GT(found[k].auroc.value, 0.7);
    EXPECT_LT(found[k].auroc.low, found[k].auroc.value);
    EXPECT_GT(found[k].auroc.high, found[k].auroc.value);
  }
}

}  // namespace
}  // namespace diffreward
