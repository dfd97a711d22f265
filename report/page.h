// One self-contained HTML file that shows results: no requests, no scripts but its own, pictures inside. Reads well on a
// phone, in the dark, on paper and aloud.
//
//   Page page("UMaze", "A reward, extracted from two diffusion models.");
//   page.summary({{"Peak to goal", "0.12 cells", "bar: at most 0.5", true}});
//   page.section("Heatmap").text("Where the reward is high.").figure(picture, "The reward at t = 5.");
//   page.save("report.html");
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "envs/image.h"
#include "report/chart.h"

namespace diffreward {

/// A number on top of the page.
struct Headline {
  std::string label, value;
  std::string note = {};             ///< small print: what it should reach
  std::optional<bool> reached = {};  ///< adds "reached" or "missed"
};

/// Columns whose cells are all numbers are set right. The first column names the rows.
struct Table {
  std::string caption;
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;  ///< as many cells as the header
};

struct Picture {
  Image image;
  std::string caption;
  std::string alt = {};  ///< what is to be seen, for those who cannot; empty: the caption
};

/// Texts are plain, with `code`, **strong** and paragraphs separated by empty lines; everything else is
/// escaped. All calls return the page, and throw InvalidArgument for content that cannot be shown.
class Page {
 public:
  explicit Page(std::string title, std::string lead = {});

  /// Stands on top, whenever it is called.
  Page& summary(std::vector<Headline> headlines);
  /// A heading, which the contents list names.
  Page& section(const std::string& heading);
  Page& text(const std::string& text);
  /// Commands or program output, as they are.
  Page& code(const std::string& text);
  Page& table(const Table& table);
  Page& figure(const Image& image, const std::string& caption, const std::string& alt = {});
  /// Side by side where there is room.
  Page& figures(const std::vector<Picture>& pictures);
  Page& chart(const LineChart& chart);
  Page& chart(const HistogramChart& chart);
  Page& chart(const BarChart& chart);
  Page& chart(const IntervalChart& chart);
  /// Markup made elsewhere, all texts in it through escape_html().
  Page& markup(const std::string& html);
  /// Rules behind the page's own.
  Page& style(const std::string& css);
  /// Runs at the end of the page, and nothing else does: the policy knows it by its hash. The page must be whole
  /// without it. Throws InvalidArgument for a text that would end it early.
  Page& script(const std::string& code);
  /// Small print at the end: how the page was made.
  Page& footer(const std::string& text);

  std::string html() const;
  /// Writes the file to a temporary name and renames it.
  void save(const std::filesystem::path& path) const;

 private:
  template <class Chart>
  Page& add_chart(const Chart& chart);

  struct Heading {
    std::string id, text;
  };
  std::string title_, lead_, body_, footer_, style_, script_;
  std::vector<Headline> summary_;
  std::vector<Heading> headings_;
  int tables_ = 0;
};

/// A picture with its caption, in which `code` may be marked, as markup. `alt`: what who cannot see it is told; empty for the
/// caption. Throws InvalidArgument for an empty caption.
std::string figure_html(const Image& image, const std::string& caption, const std::string& alt = "");

/// Base64 (RFC 4648) with padding.
std::string base64(const std::vector<std::uint8_t>& bytes);

}  // namespace diffreward
