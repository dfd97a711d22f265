#include "report/page.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <set>

#include "core/file.h"

namespace diffreward {
namespace {

Image picture() {
  return {2, 1, {255, 0, 0, 0, 0, 255}};
}

Page sample_page() {
  Page page("A <reward> & its meaning", "From two models.");
  page.summary({{"Peak to goal", "0.12 cells", "bar: at most 0.5", true},
                {"Success", "70 %", "", false},
                {"Time", "9 min"}});
  page.section("Heat & light")
      .text("One `code <x>`.\n\nTwo **strong** words, one ` alone.")
      .code("make demo && <b>");
  page.table({"Numbers.", {"what", "value", "text"}, {{"a|b", "0.5 [0.4, 0.6]", "x"}, {"c", "-3", "9"}}});
  page.figure(picture(), "A picture \"quoted\".", "red then blue")
      .figures({{picture(), "One."}, {picture(), "Two."}});
  page.section("Heat & light").chart(BarChart{"Bars.", "size", {{"one", {1, 0.5, 1.5}}}});
  page.chart(LineChart{"Lines.", "x", "y", {{"s", {0, 1}, {0, 1}}}});
  page.chart(HistogramChart{"Shares.", "x", "e", "b", {0, 1, {1.0}}, {0, 1, {1.0}}});
  page.footer("Made by a test.");
  return page;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(Base64, AgreesWithTheRfc) {  // RFC 4648, section 10
  const auto of = [](const std::string& text) { return base64({text.begin(), text.end()}); };
  EXPECT_EQ(of(""), "");
  EXPECT_EQ(of("f"), "Zg==");
  EXPECT_EQ(of("fo"), "Zm8=");
  EXPECT_EQ(of("foo"), "Zm9v");
  EXPECT_EQ(of("foob"), "Zm9vYg==");
  EXPECT_EQ(of("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64({0xff, 0xfe, 0xfd}), "//79");
}

TEST(Pages, AreWellFormed) {
  const std::string html = sample_page().html();
  // Every opened element is closed in order; void elements are not.
  const std::regex tag("<(/?)([a-zA-Z0-9]+)((?:\"[^\"]*\"|[^\">])*)>");
  const std::set<std::string> empty = {"meta", "img"};
  std::vector<std::string> open;
  const std::size_t style = html.find("<style>"), style_end = html.find("</style>");
  const std::string body = html.substr(0, style) + html.substr(style_end + 8);
  for (std::sregex_iterator it(body.begin(), body.end(), tag), end; it != end; ++it) {
    const std::string name = (*it)[2], rest = (*it)[3];
    if (empty.contains(name) || rest.ends_with("/")) continue;
    if ((*it)[1] == "") {
      open.push_back(name);
      continue;
    }
    ASSERT_FALSE(open.empty()) << it->str();
    EXPECT_EQ(open.back(), name);
    open.pop_back();
  }
  EXPECT_TRUE(open.empty());
  std::set<std::string> ids;
  const std::regex id(" id=\"([^\"]+)\"");
  for (std::sregex_iterator it(html.begin(), html.end(), id), end; it != end; ++it)
    EXPECT_TRUE(ids.insert((*it)[1]).second) << it->str();
  EXPECT_EQ(ids, (std::set<std::string>{"heat-light", "heat-light-2", "table-1"}));
}

TEST(Pages, AskNobodyForAnything) {
  const std::string html = sample_page().html();
  for (const char* outside : {"http:", "https:", "//", "url(", "@import", "<script", "<link"})
    for (std::size_t at = html.find(outside); at != std::string::npos; at = html.find(outside, at + 1)) {
      const std::size_t data = html.rfind("base64,", at), quote = html.rfind('"', at);
      EXPECT_TRUE(data != std::string::npos && data > quote)
          << outside;  // "//" may occur inside a picture's bytes
    }
  EXPECT_NE(html.find("default-src 'none'; img-src data:; style-src 'unsafe-inline'"), std::string::npos);
}

TEST(Pages, EscapeWhatTheyAreGiven) {
  const std::string html = sample_page().html();
  EXPECT_NE(html.find("<h1>A &lt;reward&gt; &amp; its meaning</h1>"), std::string::npos);
  EXPECT_NE(html.find("<p>One <code>code &lt;x&gt;</code>.</p>"), std::string::npos);
  EXPECT_NE(html.find("<p>Two <strong>strong</strong> words, one ` alone.</p>"), std::string::npos);
  EXPECT_NE(html.find("make demo &amp;&amp; &lt;b&gt;"), std::string::npos);
  EXPECT_NE(html.find("A picture &quot;quoted&quot;."), std::string::npos);
}

TEST(Pages, CanBeReadAloud) {
  const std::string html = sample_page().html();
  EXPECT_NE(html.find("alt=\"red then blue\""), std::string::npos);
  EXPECT_NE(html.find("alt=\"One.\""), std::string::npos);
  EXPECT_EQ(count(html, "<img "), count(html, " alt=\""));
  EXPECT_EQ(count(html, "role=\"img\""), count(html, "role=\"img\" aria-label=\""));
  EXPECT_EQ(count(html, "role=\"img\""), 6u);  // three charts for two widths
  EXPECT_EQ(count(html, "<figure"), count(html, "<figcaption"));
  EXPECT_EQ(count(html, "scope=\"col\""), 3u);
  EXPECT_EQ(count(html, "scope=\"row\""), 2u);
  EXPECT_NE(html.find("✓ reached"), std::string::npos);  // never by colour alone
  EXPECT_NE(html.find("✗ missed"), std::string::npos);
}

TEST(Pages, SetNumbersRight) {
  const std::string html = sample_page().html();
  EXPECT_NE(html.find("<th scope=\"col\" class=\"n\">value</th>"), std::string::npos);
  EXPECT_NE(html.find("<td class=\"n\">0.5 [0.4, 0.6]</td>"), std::string::npos);
  EXPECT_NE(html.find("<td>x</td>"), std::string::npos);
  EXPECT_NE(html.find("<td>9</td>"), std::string::npos);  // a column is numbers only as a whole
}

TEST(Pages, SaveWholeFiles) {
  const std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) / "diffreward_page_test" / "page.html";
  sample_page().save(path);
  EXPECT_EQ(read_file(path), sample_page().html());
  std::filesystem::remove_all(path.parent_path());
}

TEST(Pages, RefuseWhatCannotBeShown) {
  Page page("p");
  EXPECT_THROW(Page(""), InvalidArgument);
  EXPECT_THROW(page.figure(picture(), ""), InvalidArgument);
  EXPECT_THROW(page.figure({3, 1, {0}}, "c"), InvalidArgument);
  EXPECT_THROW(page.table({"c", {"a", "b"}, {{"1"}}}), InvalidArgument);
  EXPECT_THROW(page.table({"", {"a"}, {}}), InvalidArgument);
}

TEST(Pages, RunTheirOwnScriptAlone) {
  Page page("Title");
  EXPECT_EQ(page.html().find("script-src"), std::string::npos);
  page.script("document.title = 'x';");
  // printf "document.title = 'x';" | openssl dgst -sha256 -binary | base64
  EXPECT_NE(page.html().find("script-src 'sha256-50Gb08pbYvh/czsoacHlOU9i8miF5rMrUy6xPcLN6qo='"),
            std::string::npos)
      << page.html();
  EXPECT_THROW(page.script("const s = '</script>';"), InvalidArgument);
}

}  // namespace
}  // namespace diffreward
