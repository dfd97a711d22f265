#include "report/chart.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "core/format.h"

namespace diffreward {
namespace {

constexpr std::size_t kMostPoints = 400;  // per line; more cannot be seen
constexpr std::size_t kMostSeries = 6;    // as many as the style sheet tells apart
constexpr double kLetter = 7;             // pixels, an upper bound for the width of a 12 px digit

std::string px(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  std::string out = text;
  if (out.ends_with(".0")) out.resize(out.size() - 2);
  return out == "-0" ? "0" : out;
}

/// An affine map from values to pixels.
struct Axis {
  double low, high, from, to;
  double operator()(double value) const { return from + (to - from) * (value - low) / (high - low); }
};

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  void add(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
};

/// Ticks, and the range they stand in: widened to the next tick where that is near, else by a little air.
std::pair<Range, std::vector<double>> nice(Range range, int most) {
  if (range.low == range.high) range = {range.low - 0.5, range.high + 0.5};
  std::vector<double> ticks = axis_ticks(range.low, range.high, most);
  const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : range.high - range.low;
  constexpr double kNear = 0.4, kAir = 0.08, kTouching = 1e-9;  // steps
  const double below = (ticks.front() - range.low) / step, above = (range.high - ticks.back()) / step;
  if (below > 1 - kNear) ticks.insert(ticks.begin(), ticks.front() - step);
  if (above > 1 - kNear) ticks.push_back(ticks.back() + step);
  if (below > kTouching) range.low = std::min(range.low - kAir * step, ticks.front());
  if (above > kTouching) range.high = std::max(range.high + kAir * step, ticks.back());
  return {range, ticks};
}

double step_of(const std::vector<double>& ticks) {
  return ticks.size() > 1 ? ticks[1] - ticks[0] : 1;
}

std::string open_svg(int width, double height, const std::string& description) {
  return concat("<svg viewBox=\"0 0 ", width, " ", px(height), "\" width=\"", width, "\" height=\"",
                px(height), "\" role=\"img\" aria-label=\"", escape_html(description), "\">");
}

std::string text_at(double x, double y, const char* anchor, const std::string& text,
                    const char* css = "tick") {
  return concat("<text x=\"", px(x), "\" y=\"", px(y), "\" text-anchor=\"", anchor, "\" class=\"", css, "\">",
                escape_html(text), "</text>");
}

std::string line_at(double x1, double y1, double x2, double y2, const std::string& css) {
  return concat("<line x1=\"", px(x1), "\" y1=\"", px(y1), "\" x2=\"", px(x2), "\" y2=\"", px(y2),
                "\" class=\"", css, "\"/>");
}

std::string rect_at(double x, double y, double width, double height, const std::string& css) {
  return concat("<rect x=\"", px(x), "\" y=\"", px(y), "\" width=\"", px(width), "\" height=\"", px(height),
                "\" class=\"", css, "\"/>");
}

/// Tick labels and the axis' name below the plot. Labels at the ends are pulled inside.
std::string x_axis(const Axis& x, const std::vector<double>& ticks, double bottom, const std::string& label) {
  std::string out = line_at(x.from, bottom, x.to, bottom, "axis");
  for (const double tick : ticks) {
    out += line_at(x(tick), bottom, x(tick), bottom + 4, "axis");
    out += text_at(x(tick), bottom + 17, "middle", tick_label(tick, step_of(ticks)));
  }
  return out + text_at((x.from + x.to) / 2, bottom + 35, "middle", label, "label");
}

std::string y_axis(const Axis& y, const std::vector<double>& ticks, double left, double right,
                   const std::string& label) {
  std::string out = text_at(2, 13, "start", label, "label");
  for (const double tick : ticks) {
    out += line_at(left, y(tick), right, y(tick), "grid");
    out += text_at(left - 7, y(tick) + 4, "end", tick_label(tick, step_of(ticks)));
  }
  return out;
}

double label_room(const std::vector<double>& ticks) {
  std::size_t letters = 1;
  for (const double tick : ticks) letters = std::max(letters, tick_label(tick, step_of(ticks)).size());
  return kLetter * double(letters) + 12;
}

void check(const LineChart& chart) {
  require(!chart.series.empty() && chart.series.size() <= kMostSeries, "chart '", chart.caption,
          "': expected 1 to ", kMostSeries, " series, got ", chart.series.size());
  for (const LineSeries& s : chart.series) {
    const auto fits = [&](const std::vector<double>& v) { return v.empty() || v.size() == s.x.size(); };
    require(!s.x.empty() && s.y.size() == s.x.size() && fits(s.low) && fits(s.high) &&
                s.low.size() == s.high.size(),
            "chart '", chart.caption, "', series '", s.name, "': expected x, y and bands of one size, got ",
            s.x.size(), ", ", s.y.size(), ", ", s.low.size(), " and ", s.high.size());
    for (const double x : s.x)
      require(std::isfinite(x), "chart '", chart.caption, "', series '", s.name, "': expected finite x, got ",
              x);
  }
}

/// Evenly spaced rows of a long series, both ends kept.
std::vector<std::size_t> thin(std::size_t n) {
  std::vector<std::size_t> out;
  const std::size_t count = std::min(n, kMostPoints);
  for (std::size_t i = 0; i < count; ++i) out.push_back(count == 1 ? 0 : i * (n - 1) / (count - 1));
  return out;
}

std::string band(const LineSeries& s, const std::vector<std::size_t>& rows, const Axis& x, const Axis& y,
                 std::size_t number) {
  std::string up, down;
  for (const std::size_t i : rows) {
    if (!std::isfinite(s.low[i]) || !std::isfinite(s.high[i])) continue;
    up += px(x(s.x[i])) + "," + px(y(s.high[i])) + " ";
    down.insert(0, px(x(s.x[i])) + "," + px(y(s.low[i])) + " ");
  }
  return concat("<polygon points=\"", up, down, "\" class=\"band f", number, "\"/>");
}

std::string curve(const LineSeries& s, const std::vector<std::size_t>& rows, const Axis& x, const Axis& y,
                  std::size_t number) {
  std::string path;
  bool pen_down = false;
  for (const std::size_t i : rows) {
    const bool here = std::isfinite(s.y[i]);
    if (here) path += concat(pen_down ? "L" : "M", px(x(s.x[i])), " ", px(y(s.y[i])));
    pen_down = here;
  }
  return concat("<path d=\"", path, "\" class=\"curve s", number, "\"/>");
}

std::string numbers(const Estimate& e) {
  return e.low == e.high ? format_number(e.value) : format_estimate(e);
}

/// At most so many characters of UTF-8.
std::string clipped(const std::string& text, std::size_t most) {
  std::size_t letters = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0u) == 0x80u) continue;
    if (++letters > most) return text.substr(0, i) + "…";
  }
  return text;
}

std::string sample(const std::string& inside) {
  return "<svg viewBox=\"0 0 28 12\" width=\"28\" height=\"12\" aria-hidden=\"true\">" + inside + "</svg>";
}

double weighted_mean(const Histogram& h) {
  double sum = 0;
  for (std::size_t i = 0; i < h.share.size(); ++i) sum += h.share[i] * (h.edge(i) + h.edge(i + 1)) / 2;
  return sum;
}

/// The outline of a histogram, from the axis up and back down.
std::string steps(const Histogram& h, const Axis& x, const Axis& y) {
  std::string path = concat("M", px(x(h.low)), " ", px(y(0)));
  for (std::size_t i = 0; i < h.share.size(); ++i)
    path += concat("V", px(y(h.share[i])), "H", px(x(h.edge(i + 1))));
  return path + "V" + px(y(0));
}

}  // namespace

std::string escape_html(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\'')
      out += "&#39;";
    else
      out += c;
  }
  return out;
}

std::vector<double> axis_ticks(double low, double high, int most) {
  require(std::isfinite(low) && std::isfinite(high) && low < high && most >= 1,
          "axis_ticks: expected finite low < high and at least one part, got [", low, ", ", high, "] and ",
          most);
  const double rough = (high - low) / most, power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0})
    if (factor * power >= rough * (1 - 1e-9)) step = factor * power;
  std::vector<double> out;
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; ++i)
    out.push_back(i * step + 0.0);
  if (out.empty()) out.push_back(std::ceil(low / step) * step);
  return out;
}

std::string tick_label(double value, double step) {
  const auto with = [&](double unit, const char* suffix) {
    const int digits = std::max(0, -int(std::floor(std::log10(step / unit) + 1e-9)));
    char text[40];
    std::snprintf(text, sizeof text, "%.*f%s", digits, value / unit, suffix);
    return std::string(text);
  };
  if (value == 0) return "0";
  if (step >= 1e5) return with(1e6, "M");
  if (step >= 1e3 || (step >= 100 && std::abs(value) >= 1e4)) return with(1e3, "k");
  return with(1, "");
}

std::string chart_svg(const LineChart& chart, int width) {
  check(chart);
  Range xs, ys;
  for (const LineSeries& s : chart.series) {
    for (const double x : s.x) xs.add(x);
    for (const auto* values : {&s.y, &s.low, &s.high})
      for (const double value : *values) ys.add(value);
  }
  require(!ys.empty(), "chart '", chart.caption, "': expected at least one finite value, found none");
  if (chart.reference) ys.add(chart.reference->value);
  const double height = std::clamp(0.52 * width, 230.0, 340.0), top = 26, bottom = height - 44;
  const auto [y_range, y_ticks] = nice(ys, 5);
  const Axis y{y_range.low, y_range.high, bottom, top};
  if (xs.low == xs.high) xs = {xs.low - 0.5, xs.high + 0.5};
  const double left = label_room(y_ticks), right = width - 18;
  const Axis x{xs.low, xs.high, left, right};
  std::string out = open_svg(width, height, describe(chart)) +
                    y_axis(y, y_ticks, left, right, chart.y_label) +
                    x_axis(x, axis_ticks(xs.low, xs.high, std::max(3, width / 90)), bottom, chart.x_label);
  for (std::size_t i = 0; i < chart.series.size(); ++i)
    if (!chart.series[i].low.empty())
      out += band(chart.series[i], thin(chart.series[i].x.size()), x, y, i + 1);
  if (chart.reference)
    out += line_at(left, y(chart.reference->value), right, y(chart.reference->value), "reference");
  for (std::size_t i = 0; i < chart.series.size(); ++i)
    out += curve(chart.series[i], thin(chart.series[i].x.size()), x, y, i + 1);
  return out + "</svg>";
}

std::string chart_svg(const HistogramChart& chart, int width) {
  const auto good = [](const Histogram& h) { return !h.share.empty() && h.low < h.high; };
  require(good(chart.first) && good(chart.second) && chart.first.low == chart.second.low &&
              chart.first.high == chart.second.high,
          "chart '", chart.caption, "': expected two histograms over one range");
  Range ys{0, 0};
  for (const Histogram* h : {&chart.first, &chart.second})
    for (const double share : h->share) ys.add(100 * share);
  const double height = std::clamp(0.42 * width, 210.0, 290.0), top = 26, bottom = height - 44;
  const auto [range, ticks] = nice(ys, 4);
  const Axis percent{range.low, range.high, bottom, top}, y{range.low / 100, range.high / 100, bottom, top};
  const double left = label_room(ticks), right = width - 18;
  const Axis x{chart.first.low, chart.first.high, left, right};
  return concat(open_svg(width, height, describe(chart)), y_axis(percent, ticks, left, right, "% of each"),
                "<path d=\"", steps(chart.first, x, y), "\" class=\"area f1 s1\"/><path d=\"",
                steps(chart.second, x, y), "\" class=\"outline s2\"/>",
                x_axis(x, axis_ticks(chart.first.low, chart.first.high, std::max(3, width / 90)), bottom,
                       chart.x_label),
                "</svg>");
}

std::string chart_svg(const BarChart& chart, int width) {
  require(!chart.bars.empty(), "chart '", chart.caption, "': expected at least one bar, got none");
  Range xs{0, 0};
  for (const ChartBar& bar : chart.bars) {
    require(std::isfinite(bar.value.value) && std::isfinite(bar.value.low) && std::isfinite(bar.value.high),
            "chart '", chart.caption, "': expected finite numbers for '", bar.name, "'");
    for (const double v : {bar.value.value, bar.value.low, bar.value.high}) xs.add(v);
  }
  if (chart.reference) xs.add(chart.reference->value);
  constexpr double kRow = 44, kBar = 14;
  const double top = 4, bottom = top + kRow * double(chart.bars.size()) + 6, height = bottom + 44;
  const auto [range, ticks] = nice(xs, std::max(3, width / 90));
  const Axis x{range.low, range.high, 16, width - 18.0};
  std::string out = open_svg(width, height, describe(chart));
  // Each row: name left and numbers right on one line, the bar below it. Grid lines keep to the bars.
  double y = top;
  for (const ChartBar& bar : chart.bars) {
    const double line = y + 14, upper = y + 21, middle = upper + kBar / 2;
    for (const double tick : ticks) out += line_at(x(tick), upper - 1, x(tick), upper + kBar + 1, "grid");
    out += text_at(x.from, line, "start", bar.name, "label strong");
    out += text_at(x.to, line, "end", numbers(bar.value), "label");
    out += line_at(x(0), upper - 4, x(0), upper + kBar + 4, "axis");
    const double from = std::min(x(0), x(bar.value.value)), to = std::max(x(0), x(bar.value.value));
    out += rect_at(from, upper, std::max(to - from, 0.5), kBar, "bar f1");
    if (bar.value.low != bar.value.high) {
      out += line_at(x(bar.value.low), middle, x(bar.value.high), middle, "whisker");
      for (const double end : {bar.value.low, bar.value.high})
        out += line_at(x(end), middle - 4, x(end), middle + 4, "whisker");
    }
    if (chart.reference)
      out += line_at(x(chart.reference->value), upper - 3, x(chart.reference->value), upper + kBar + 3,
                     "reference");
    y += kRow;
  }
  return out + x_axis(x, ticks, bottom, chart.x_label) + "</svg>";
}

std::string chart_svg(const IntervalChart& chart, int width) {
  require(!chart.rows.empty(), "chart '", chart.caption, "': expected at least one row, got none");
  Range xs;
  for (const ChartInterval& row : chart.rows) {
    require(std::isfinite(row.value.value), "chart '", chart.caption, "': expected a finite number for '",
            row.name, "'");
    for (const double v : {row.value.value, row.value.low, row.value.high}) xs.add(v);
  }
  if (chart.reference) xs.add(chart.reference->value);
  constexpr double kRow = 36, kHeading = 24, kDot = 4.5;
  double height = 4 + 6 + 44;
  for (std::size_t i = 0; i < chart.rows.size(); ++i)
    height += kRow + (chart.rows[i].group != (i == 0 ? "" : chart.rows[i - 1].group) ? kHeading : 0);
  const auto [range, ticks] = nice(xs, std::max(4, width / 90));
  const Axis x{range.low, range.high, 16, width - 18.0};
  std::string out = open_svg(width, height, describe(chart));
  double y = 4;
  std::string group;
  for (const ChartInterval& row : chart.rows) {
    if (row.group != group) {
      group = row.group;
      out += text_at(x.from, y + 16, "start", group) +
             line_at(x.from, y + kHeading - 3, x.to, y + kHeading - 3, "grid");
      y += kHeading;
    }
    const double middle = y + 25;
    for (const double tick : ticks) out += line_at(x(tick), middle - 6, x(tick), middle + 6, "grid");
    if (chart.reference)
      out +=
          line_at(x(chart.reference->value), middle - 8, x(chart.reference->value), middle + 8, "reference");
    const std::string value = numbers(row.value);
    const double room = (x.to - x.from) / (kLetter + 0.5) - static_cast<double>(value.size());
    out += text_at(x.from, y + 14, "start", clipped(row.name, static_cast<std::size_t>(std::max(room, 8.0))),
                   "label strong");
    out += text_at(x.to, y + 14, "end", value, "label");
    if (std::isfinite(row.value.low) && std::isfinite(row.value.high) && row.value.low < row.value.high) {
      out += line_at(x(row.value.low), middle, x(row.value.high), middle, "whisker");
      for (const double end : {row.value.low, row.value.high})
        out += line_at(x(end), middle - 4, x(end), middle + 4, "whisker");
    }
    out += concat("<circle cx=\"", px(x(row.value.value)), "\" cy=\"", px(middle), "\" r=\"", px(kDot),
                  "\" class=\"f1\"/>");
    y += kRow;
  }
  return out + x_axis(x, ticks, y + 6, chart.x_label) + "</svg>";
}

std::string describe(const LineChart& chart) {
  std::string out = concat("Line chart of ", chart.y_label, " over ", chart.x_label, ".");
  for (const LineSeries& s : chart.series) {
    const auto last = std::find_if(s.y.rbegin(), s.y.rend(), [](double y) { return std::isfinite(y); });
    if (last != s.y.rend()) out += concat(" ", s.name, " ends at ", format_number(*last), ".");
  }
  return out;
}

std::string describe(const HistogramChart& chart) {
  return concat("Histogram of ", chart.x_label, ": mean ", format_number(weighted_mean(chart.first)), " for ",
                chart.first_name, ", ", format_number(weighted_mean(chart.second)), " for ",
                chart.second_name, ".");
}

std::string describe(const BarChart& chart) {
  std::string out = concat("Bar chart of ", chart.x_label, ".");
  for (const ChartBar& bar : chart.bars) out += concat(" ", bar.name, ": ", numbers(bar.value), ".");
  return out;
}

std::string describe(const IntervalChart& chart) {
  std::string out = concat("Intervals of ", chart.x_label, ".");
  for (const ChartInterval& row : chart.rows)
    out += concat(" ", row.name, ": ", numbers(row.value), row.group.empty() ? "" : ", ", row.group, ".");
  return out;
}

std::vector<LegendEntry> legend(const LineChart& chart) {
  std::vector<LegendEntry> out;
  for (std::size_t i = 0; i < chart.series.size(); ++i)
    out.push_back(
        {chart.series[i].name, sample(concat("<path d=\"M0 6L28 6\" class=\"curve s", i + 1, "\"/>"))});
  if (chart.reference) out.push_back({chart.reference->label, sample(line_at(0, 6, 28, 6, "reference"))});
  return out;
}

std::vector<LegendEntry> legend(const HistogramChart& chart) {
  return {{chart.first_name, sample(rect_at(1, 1, 26, 10, "area f1 s1"))},
          {chart.second_name, sample(rect_at(1, 1, 26, 10, "outline s2"))}};
}

std::vector<LegendEntry> legend(const BarChart& chart) {
  if (!chart.reference) return {};
  return {{chart.reference->label, sample(line_at(14, 0, 14, 12, "reference"))}};
}

std::vector<LegendEntry> legend(const IntervalChart& chart) {
  if (!chart.reference) return {};
  return {{chart.reference->label, sample(line_at(14, 0, 14, 12, "reference"))}};
}

}  // namespace diffreward
