#include "report/page.h"

#include <algorithm>
#include <cctype>

#include "core/file.h"
#include "core/hash.h"
#include "report/page_style.h"

namespace diffreward {
namespace {

constexpr int kWide = 720, kNarrow = 350;  // pixels a chart is drawn for

/// Inside a paragraph: `code` and **strong**; a mark without its partner stays as it is.
std::string inline_markup(const std::string& text) {
  std::string out;
  std::size_t at = 0;
  while (at < text.size()) {
    const bool code = text[at] == '`', strong = text.compare(at, 2, "**") == 0;
    const std::size_t mark = strong ? 2 : 1;
    const std::size_t end = code || strong ? text.find(text.substr(at, mark), at + mark) : std::string::npos;
    if (end == std::string::npos) {
      out += escape_html(text.substr(at++, 1));
      continue;
    }
    const std::string inside = escape_html(text.substr(at + mark, end - at - mark));
    out += code ? "<code>" + inside + "</code>" : "<strong>" + inside + "</strong>";
    at = end + mark;
  }
  return out;
}

std::string paragraphs(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find("\n\n", at), text.size());
    const std::string paragraph = text.substr(at, end - at);
    if (paragraph.find_first_not_of(" \n") != std::string::npos)
      out += "<p>" + inline_markup(paragraph) + "</p>\n";
    at = end + 2;
  }
  return out;
}

/// "PPO on the reward" -> "ppo-on-the-reward".
std::string slug(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)))
      out += char(std::tolower(static_cast<unsigned char>(c)));
    else if (!out.empty() && out.back() != '-')
      out += '-';
  }
  while (!out.empty() && out.back() == '-') out.pop_back();
  return out.empty() ? "section" : out;
}

/// Whether a cell is set as a number: it starts like one ("0.91 [0.88, 0.93]", "-3", "12 %"), or is empty or
/// a dash.
bool numeric(const std::string& cell) {
  if (cell.empty() || cell == "-" || cell == "n/a") return true;
  const std::size_t digit = cell.find_first_not_of("+-. ");
  return digit != std::string::npos && std::isdigit(static_cast<unsigned char>(cell[digit]));
}

std::vector<bool> numeric_columns(const Table& table) {
  std::vector<bool> out(table.header.size(), !table.rows.empty());
  for (const std::vector<std::string>& row : table.rows)
    for (std::size_t c = 0; c < row.size(); ++c) out[c] = out[c] && numeric(row[c]);
  out[0] = false;
  return out;
}

std::string image_tag(const Image& image, const std::string& caption, const std::string& alt) {
  require(!caption.empty(), "figure: expected a caption");
  return concat("<img width=\"", image.width, "\" height=\"", image.height, "\" alt=\"",
                escape_html(alt.empty() ? caption : alt), "\" src=\"data:image/png;base64,",
                base64(encode_png(image)), "\">");
}

/// The opening <svg ...> with a class.
std::string with_class(std::string svg, const std::string& css) {
  return svg.insert(4, " class=\"" + css + "\"");
}

/// SHA-256 in base64, as a content security policy has it.
std::string digest(const std::string& text) {
  const std::string hex = sha256(text);
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2)
    bytes.push_back(static_cast<std::uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return base64(bytes);
}

std::string summary_html(const std::vector<Headline>& headlines) {
  if (headlines.empty()) return "";
  std::string out = "<dl class=\"summary\">\n";
  for (const Headline& h : headlines) {
    out +=
        "<div><dt>" + inline_markup(h.label) + "</dt><dd class=\"value\">" + inline_markup(h.value) + "</dd>";
    std::string note = inline_markup(h.note);
    if (h.reached)
      note += *h.reached ? "<div class=\"good\">✓ reached</div>" : "<div class=\"bad\">✗ missed</div>";
    if (!note.empty()) out += "<dd class=\"note\">" + note + "</dd>";
    out += "</div>\n";
  }
  return out + "</dl>\n";
}

}  // namespace

std::string figure_html(const Image& image, const std::string& caption, const std::string& alt) {
  return "<figure>" + image_tag(image, caption, alt) + "<figcaption>" + inline_markup(caption) +
         "</figcaption></figure>\n";
}

std::string base64(const std::vector<std::uint8_t>& bytes) {
  constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t k) { return i + k < bytes.size() ? std::uint32_t(bytes[i + k]) : 0u; };
    const std::uint32_t three = byte(0) << 16u | byte(1) << 8u | byte(2);
    out += kLetters[three >> 18u];
    out += kLetters[three >> 12u & 63u];
    out += i + 1 < bytes.size() ? kLetters[three >> 6u & 63u] : '=';
    out += i + 2 < bytes.size() ? kLetters[three & 63u] : '=';
  }
  return out;
}

Page::Page(std::string title, std::string lead) : title_(std::move(title)), lead_(std::move(lead)) {
  require(!title_.empty(), "page: expected a title");
}

Page& Page::summary(std::vector<Headline> headlines) {
  summary_ = std::move(headlines);
  return *this;
}

Page& Page::section(const std::string& heading) {
  std::string id = slug(heading);
  const auto taken = [&](const std::string& name) {
    return std::any_of(headings_.begin(), headings_.end(), [&](const Heading& h) { return h.id == name; });
  };
  for (int number = 2; taken(id); ++number) id = slug(heading) + "-" + std::to_string(number);
  headings_.push_back({id, heading});
  body_ += "<h2 id=\"" + id + "\">" + inline_markup(heading) + "</h2>\n";
  return *this;
}

Page& Page::text(const std::string& text) {
  body_ += paragraphs(text);
  return *this;
}

Page& Page::code(const std::string& text) {
  body_ += "<pre tabindex=\"0\"><code>" + escape_html(text) + "</code></pre>\n";
  return *this;
}

Page& Page::table(const Table& table) {
  require(!table.header.empty() && !table.caption.empty(), "table: expected a caption and a header");
  const std::vector<bool> right = numeric_columns(table);
  const auto css = [&](std::size_t column) { return std::string(right[column] ? " class=\"n\"" : ""); };
  // The caption stands outside the part that scrolls on a phone.
  const std::string id = "table-" + std::to_string(++tables_);
  std::string out = "<figure><figcaption id=\"" + id + "\">" + inline_markup(table.caption) +
                    "</figcaption><div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-labelledby=\"" +
                    id + "\"><table aria-labelledby=\"" + id + "\"><thead><tr>";
  for (std::size_t c = 0; c < table.header.size(); ++c)
    out += "<th scope=\"col\"" + css(c) + ">" + inline_markup(table.header[c]) + "</th>";
  out += "</tr></thead><tbody>\n";
  for (const std::vector<std::string>& row : table.rows) {
    require(row.size() == table.header.size(), "table '", table.caption, "': expected rows of ",
            table.header.size(), " cells, got ", row.size());
    out += "<tr><th scope=\"row\">" + inline_markup(row[0]) + "</th>";
    for (std::size_t c = 1; c < row.size(); ++c)
      out += "<td" + css(c) + ">" + inline_markup(row[c]) + "</td>";
    out += "</tr>\n";
  }
  body_ += out + "</tbody></table></div></figure>\n";
  return *this;
}

Page& Page::figure(const Image& image, const std::string& caption, const std::string& alt) {
  body_ += figure_html(image, caption, alt);
  return *this;
}

Page& Page::figures(const std::vector<Picture>& pictures) {
  std::string row;
  for (const Picture& picture : pictures) row += figure_html(picture.image, picture.caption, picture.alt);
  body_ += "<div class=\"row\">" + row + "</div>\n";
  return *this;
}

template <class Chart>
Page& Page::add_chart(const Chart& chart) {
  std::string names;
  for (const LegendEntry& entry : legend(chart))
    names += "<li>" + entry.svg + escape_html(entry.name) + "</li>";
  if (!names.empty()) names = "<ul class=\"legend\">" + names + "</ul>";
  // One drawing for desks and one for phones; the style sheet shows the one that fits, so letters keep their
  // size.
  body_ += "<figure class=\"chart\">" + names + with_class(chart_svg(chart, kWide), "wide") +
           with_class(chart_svg(chart, kNarrow), "narrow") + "<figcaption>" + inline_markup(chart.caption) +
           "</figcaption></figure>\n";
  return *this;
}

Page& Page::chart(const LineChart& chart) {
  return add_chart(chart);
}
Page& Page::chart(const HistogramChart& chart) {
  return add_chart(chart);
}
Page& Page::chart(const BarChart& chart) {
  return add_chart(chart);
}

Page& Page::chart(const IntervalChart& chart) {
  return add_chart(chart);
}

Page& Page::markup(const std::string& html) {
  body_ += html;
  return *this;
}

Page& Page::style(const std::string& css) {
  style_ += css;
  return *this;
}

Page& Page::script(const std::string& code) {
  require(code.find("</") == std::string::npos && code.find("<!--") == std::string::npos,
          "page: expected a script without '</' and '<!--', which would end it");
  script_ += code;
  return *this;
}

Page& Page::footer(const std::string& text) {
  footer_ = text;
  return *this;
}

std::string Page::html() const {
  // The policy makes "self-contained" a promise that the browser keeps.
  std::string out =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
      "'unsafe-inline'" +
      (script_.empty() ? "" : "; script-src 'sha256-" + digest(script_) + "'") + "\">\n<title>" +
      escape_html(title_) + "</title>\n<style>" + std::string(kPageStyle) + style_ +
      "</style>\n</head>\n<body>\n<div class=\"page\">\n<header>\n<h1>" + inline_markup(title_) + "</h1>\n";
  if (!lead_.empty()) out += "<p class=\"lead\">" + inline_markup(lead_) + "</p>\n";
  out += summary_html(summary_);
  if (headings_.size() > 1) {
    out += "<nav aria-label=\"Contents\"><ul>";
    for (const Heading& h : headings_)
      out += "<li><a href=\"#" + h.id + "\">" + inline_markup(h.text) + "</a></li>";
    out += "</ul></nav>\n";
  }
  out += "</header>\n<main>\n" + body_ + "</main>\n";
  if (!footer_.empty()) out += "<footer>" + paragraphs(footer_) + "</footer>\n";
  out += "</div>\n";
  if (!script_.empty()) out += "<script>" + script_ + "</script>\n";
  return out + "</body>\n</html>\n";
}

void Page::save(const std::filesystem::path& path) const {
  write_file(path, html());
}

}  // namespace diffreward
