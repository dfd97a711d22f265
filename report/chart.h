// Charts as inline SVG: no scripts, no fonts, no colours of their own (the page's style sheet has them, for
// light and dark). Series differ in dash or hatch as well as in colour. Text keeps its size: a chart is drawn
// for a width in pixels.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/statistics.h"

namespace diffreward {

struct LineSeries {
  std::string name;
  std::vector<double> x, y;                 // [n]  y that are not finite leave gaps
  std::vector<double> low = {}, high = {};  // [n] or empty: a band around the line
};

/// A horizontal or vertical line to compare with.
struct ReferenceLine {
  double value = 0;
  std::string label;
};

/// Learning curves and the like.
struct LineChart {
  std::string caption, x_label, y_label;
  std::vector<LineSeries> series;  // at most 6
  std::optional<ReferenceLine> reference = {};
};

/// Two distributions over one range, one filled, one outlined.
struct HistogramChart {
  std::string caption, x_label;
  std::string first_name, second_name;
  Histogram first, second;
};

struct ChartBar {
  std::string name;
  Estimate value;
};
/// Horizontal bars from 0, each with its interval and its numbers.
struct BarChart {
  std::string caption, x_label;
  std::vector<ChartBar> bars;
  std::optional<ReferenceLine> reference = {};
};

struct ChartInterval {
  std::string name;
  Estimate value;          // unbounded: no interval
  std::string group = {};  // a heading where it differs from the row before
};
/// Values as dots with their intervals, a row each: which overlap.
struct IntervalChart {
  std::string caption, x_label;
  std::vector<ChartInterval> rows;
  std::optional<ReferenceLine> reference = {};
};

/// The drawing alone, for `width` pixels. Throws InvalidArgument naming the chart and what is wrong with its
/// numbers.
std::string chart_svg(const LineChart& chart, int width);
std::string chart_svg(const HistogramChart& chart, int width);
std::string chart_svg(const BarChart& chart, int width);
std::string chart_svg(const IntervalChart& chart, int width);

/// What the chart says, for those who cannot see it.
std::string describe(const LineChart& chart);
std::string describe(const HistogramChart& chart);
std::string describe(const BarChart& chart);
std::string describe(const IntervalChart& chart);

/// Names of series in order, and whether they are drawn as lines or areas; the page turns them into a legend.
struct LegendEntry {
  std::string name, svg;  ///< svg: a 28 x 12 sample
};
std::vector<LegendEntry> legend(const LineChart& chart);
std::vector<LegendEntry> legend(const HistogramChart& chart);
std::vector<LegendEntry> legend(const BarChart& chart);
std::vector<LegendEntry> legend(const IntervalChart& chart);

/// Text made safe for HTML and SVG, attributes included.
std::string escape_html(const std::string& text);

/// Round numbers that divide [low, high] into at most `most` parts: multiples of 1, 2 or 5 times a power of
/// ten.
std::vector<double> axis_ticks(double low, double high, int most);
/// "0.25", "40", "200k", "1.5M".
std::string tick_label(double value, double step);

}  // namespace diffreward
