#include "report/chart.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <regex>

namespace diffreward {
namespace {

LineChart curves() {
  LineSeries truth{.name = "true reward", .x = {0, 500000, 1000000}, .y = {10, 200, 240}};
  LineSeries learned{.name = "<extracted>", .x = {0, 500000, 1000000}, .y = {10, 150, 220}};
  learned.low = {5, 120, 200};
  learned.high = {15, 180, 236};
  return {.caption = "Returns.",
          .x_label = "environment steps",
          .y_label = "return",
          .series = {truth, learned},
          .reference = ReferenceLine{238, "controller"}};
}

/// All coordinates of an SVG lie in its view box.
void expect_inside(const std::string& svg, int width) {
  std::smatch box;
  ASSERT_TRUE(std::regex_search(svg, box, std::regex("viewBox=\"0 0 (\\d+) ([0-9.]+)\"")));
  EXPECT_EQ(std::stoi(box[1]), width);
  const double height = std::stod(box[2]);
  const std::regex attribute(" (x|y|x1|x2|y1|y2|width|height)=\"([-0-9.]+)\"");
  for (std::sregex_iterator it(svg.begin(), svg.end(), attribute), end; it != end; ++it) {
    const bool horizontal = (*it)[1].str()[0] == 'x' || (*it)[1] == "width";
    const double value = std::stod((*it)[2]);
    EXPECT_GE(value, 0) << it->str();
    EXPECT_LE(value, horizontal ? width : height) << it->str();
  }
  const std::regex path(" (?:d|points)=\"([^\"]+)\"");
  for (std::sregex_iterator it(svg.begin(), svg.end(), path), end; it != end; ++it) {
    const std::string inside = (*it)[1];
    const std::regex number("-?[0-9]+(\\.[0-9]+)?");
    for (std::sregex_iterator n(inside.begin(), inside.end(), number); n != end; ++n) {
      EXPECT_GE(std::stod(n->str()), 0);
      EXPECT_LE(std::stod(n->str()), std::max(double(width), height));
    }
  }
}

TEST(Ticks, AreRoundNumbers) {
  EXPECT_EQ(axis_ticks(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(axis_ticks(-0.3, 0.31, 4), (std::vector<double>{-0.2, 0, 0.2}));
  EXPECT_EQ(axis_ticks(3, 990, 4), (std::vector<double>{500}));
  for (const double scale : {1e-6, 0.3, 7.0, 1e9}) {
    const std::vector<double> ticks = axis_ticks(0, scale, 5);
    EXPECT_GE(ticks.size(), 3u);
    EXPECT_LE(ticks.size(), 6u);
  }
  EXPECT_THROW(axis_ticks(1, 1, 3), InvalidArgument);
  EXPECT_EQ(tick_label(0.25, 0.05), "0.25");
  EXPECT_EQ(tick_label(-0.4, 0.2), "-0.4");
  EXPECT_EQ(tick_label(200000, 50000), "200k");
  EXPECT_EQ(tick_label(1500000, 500000), "1.5M");
  EXPECT_EQ(tick_label(0, 500000), "0");
}

TEST(LineCharts, PutValuesWhereTheyBelong) {
  const LineChart chart{.caption = "c", .x_label = "x", .y_label = "y", .series = {{"s", {0, 10}, {0, 4}}}};
  const std::string svg = chart_svg(chart, 500);
  // Height 0.52 * 500 = 260, plot from y = 26 to 216; ticks 0 ... 4 need one letter: left edge 7 + 12, right
  // 500 - 18.
  EXPECT_NE(svg.find("d=\"M19 216L482 26\""), std::string::npos) << svg;
  EXPECT_NE(svg.find(">2</text>"), std::string::npos);
}

TEST(LineCharts, StayInsideAndEscape) {
  for (const int width : {340, 720}) expect_inside(chart_svg(curves(), width), width);
  const std::string svg = chart_svg(curves(), 720);
  EXPECT_NE(svg.find("class=\"band f2\""), std::string::npos);
  EXPECT_EQ(svg.find("class=\"band f1\""), std::string::npos);  // the first series has no band
  EXPECT_NE(svg.find("&lt;extracted&gt; ends at 220."), std::string::npos);
  EXPECT_EQ(svg.find("<extracted>"), std::string::npos);
  ASSERT_EQ(legend(curves()).size(), 3u);
  EXPECT_EQ(legend(curves())[2].name, "controller");
}

TEST(LineCharts, LeaveGapsAndThinLongSeries) {
  LineChart chart{.caption = "c", .x_label = "x", .y_label = "y", .series = {{"s", {}, {}}}};
  for (int i = 0; i < 10001; ++i) {
    chart.series[0].x.push_back(i);
    chart.series[0].y.push_back(i == 5000 ? std::nan("") : i);
  }
  const std::string svg = chart_svg(chart, 720);
  EXPECT_LE(std::count(svg.begin(), svg.end(), 'L'), 400);
  EXPECT_NE(svg.find("L702 26\""), std::string::npos);  // the last point is kept
  chart.series[0] = {"s", {0, 1, 2, 3}, {0, 1, std::nan(""), 3}};
  const std::string gap = chart_svg(chart, 720);
  const std::size_t path = gap.find(" d=\"M");
  EXPECT_EQ(std::count(gap.begin() + std::ptrdiff_t(path), gap.end(), 'M'), 2);
}

TEST(LineCharts, RefuseUnequalSizes) {
  LineChart chart = curves();
  chart.series[0].y.pop_back();
  EXPECT_THROW(chart_svg(chart, 720), InvalidArgument);
  chart = curves();
  chart.series[1].low.clear();
  EXPECT_THROW(chart_svg(chart, 720), InvalidArgument);
  chart.series.clear();
  EXPECT_THROW(chart_svg(chart, 720), InvalidArgument);
  chart.series = {{"s", {0}, {std::nan("")}}};
  EXPECT_THROW(chart_svg(chart, 720), InvalidArgument);
}

TEST(HistogramCharts, ShowSharesInPercent) {
  const HistogramChart chart{.caption = "c",
                             .x_label = "speed",
                             .first_name = "expert",
                             .second_name = "base",
                             .first = {0, 2, {0.25, 0.75}},
                             .second = {0, 2, {0.6, 0.4}}};
  const std::string svg = chart_svg(chart, 700);
  expect_inside(svg, 700);
  // Height 290, plot from 26 to 246 for 0 to 80 %; 75 % lies at 246 - 220 * 75 / 80.
  EXPECT_NE(svg.find("V39.8"), std::string::npos) << svg;
  EXPECT_NE(describe(chart).find("mean 1.25 for expert, 0.9 for base"), std::string::npos) << describe(chart);
  HistogramChart other = chart;
  other.second.high = 3;
  EXPECT_THROW(chart_svg(other, 700), InvalidArgument);
}

TEST(BarCharts, StartAtZeroOnBothSides) {
  const BarChart chart{.caption = "c",
                       .x_label = "difference",
                       .bars = {{"speed", {0.5, 0.25, 0.75}}, {"wall contact", {-1, -1, -1}}},
                       .reference = ReferenceLine{0.8, "bar"}};
  const std::string svg = chart_svg(chart, 434);  // from -1 to 0.8, widened to 1: x = 16 ... 416, zero at 216
  expect_inside(svg, 434);
  EXPECT_NE(svg.find("<rect x=\"216\" y=\"25\" width=\"100\""), std::string::npos) << svg;
  EXPECT_NE(svg.find("<rect x=\"16\" y=\"69\" width=\"200\""), std::string::npos) << svg;
  EXPECT_NE(svg.find("0.50 [0.25, 0.75]"), std::string::npos);
  EXPECT_EQ(std::count(svg.begin(), svg.end(), '['),
            2);  // the interval, once drawn and once told; none for the point
}

TEST(IntervalCharts, PutDotsAndIntervalsWhereTheyBelong) {
  constexpr double kUnbounded = std::numeric_limits<double>::infinity();
  const IntervalChart chart{.caption = "c",
                            .x_label = "score",
                            .rows = {{"first & best", {0.75, 0.5, 1}, "tier 1"},
                                     {std::string(400, 'x'), {0.25, -kUnbounded, kUnbounded}, "tier 2"}}};
  for (const int width : {340, 720}) expect_inside(chart_svg(chart, width), width);
  const std::string svg = chart_svg(chart, 434);  // ticks 0.2 ... 1; x = 16 ... 416
  EXPECT_NE(svg.find("tier 1"), std::string::npos);
  EXPECT_NE(svg.find("first &amp; best"), std::string::npos);
  EXPECT_EQ(std::count(svg.begin(), svg.end(), '['), 2)
      << "the interval, once drawn and once told; none for the other";
  EXPECT_EQ(svg.find(">" + std::string(100, 'x')), std::string::npos) << "names keep clear of numbers";
  std::smatch dot;
  ASSERT_TRUE(std::regex_search(svg, dot, std::regex("<circle cx=\"([0-9.]+)\"")));
  std::smatch whisker;
  ASSERT_TRUE(std::regex_search(
      svg, whisker,
      std::regex("x1=\"([0-9.]+)\" y1=\"[0-9.]+\" x2=\"([0-9.]+)\" y2=\"[0-9.]+\" class=\"whisker\"")));
  EXPECT_NEAR(std::stod(dot[1]), (std::stod(whisker[1]) + std::stod(whisker[2])) / 2, 0.11);
  EXPECT_THROW(chart_svg(IntervalChart{.caption = "c", .x_label = "x", .rows = {}}, 400), InvalidArgument);
}

}  // namespace
}  // namespace diffreward
