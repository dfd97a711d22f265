#include "datasets/scenes/atlas.h"

#include <png.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "core/csv.h"
#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/installed.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPictureBytes = std::size_t{Atlas::kSide} * Atlas::kSide * 4;

const std::vector<std::string> kArtistColumns = {"artist", "licence", "credit", "source"};
const std::vector<std::string> kLabelColumns = {"name",     "artist",  "word",
                                                "hypernym", "concept", "look_alike"};

/// Rows of a table. Throws Error where it has none, or a cell other than those of `optional` is empty.
std::vector<CsvRow> filled_rows(const std::string& text, const fs::path& file,
                                const std::vector<std::string>& columns, const std::string& optional) {
  std::vector<CsvRow> rows = read_csv(text, file.string(), columns);
  if (rows.empty()) throw Error(concat(file.string(), ": expected a header and lines, found none"));
  for (const CsvRow& row : rows)
    for (std::size_t i = 0; i < columns.size(); ++i)
      if (columns[i] != optional && row.cells[i].empty())
        throw Error(concat(row.where, ": expected a ", columns[i], " of ", row.cells[0], ", found none"));
  return rows;
}

/// A drawing's picture, colours multiplied by opacity.
void read_drawing(const fs::path& file, const std::string& bytes, std::span<std::uint8_t> out) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  const std::unique_ptr<png_image, void (*)(png_image*)> guard(&png, png_image_free);
  const auto fail = [&](const std::string& found) {
    return Error(concat(file.string(), ": expected an RGBA picture of ", Atlas::kSide, " x ", Atlas::kSide,
                        " pixels, found ", found));
  };
  if (!png_image_begin_read_from_memory(&png, bytes.data(), bytes.size())) throw fail(png.message);
  if (png.width != png_uint_32{Atlas::kSide} || png.height != png_uint_32{Atlas::kSide})
    throw fail(concat("one of ", png.width, " x ", png.height));
  if ((png.format & PNG_FORMAT_FLAG_ALPHA) == 0 || (png.format & PNG_FORMAT_FLAG_COLOR) == 0)
    throw fail("one without colour and opacity");
  png.format = PNG_FORMAT_RGBA;
  if (!png_image_finish_read(&png, /*background=*/nullptr, out.data(), /*row_stride=*/0, nullptr))
    throw fail(png.message);
  bool seen = false;
  for (std::size_t at = 0; at < out.size(); at += 4) {
    const unsigned alpha = out[at + 3];
    seen = seen || alpha >= 128;
    for (std::size_t c = 0; c < 3; ++c)
      out[at + c] = static_cast<std::uint8_t>((out[at + c] * alpha + 127) / 255);
  }
  if (!seen) throw fail("an empty one");
}

}  // namespace

Atlas Atlas::open(const fs::path& given) {
  Atlas atlas;
  atlas.folder_ = given.empty() ? installed_folder("atlas", DIFFREWARD_ATLAS_SOURCE) : given;
  const fs::path& folder = atlas.folder_;
  if (std::error_code ignored; folder.empty() || !fs::is_directory(folder, ignored))
    throw Error(concat(folder.empty() ? "atlas" : folder.string(),
                       ": expected a folder with labels.csv and artists.csv, found none"));
  const fs::path artists_file = folder / "artists.csv", labels_file = folder / "labels.csv";
  const std::string artists_text = read_file(artists_file), labels_text = read_file(labels_file);
  std::string hashes = diffreward::sha256(artists_text) + diffreward::sha256(labels_text);

  std::set<std::string> names;
  for (const CsvRow& row : filled_rows(artists_text, artists_file, kArtistColumns, "")) {
    if (!names.insert(row.cells[0]).second)
      throw Error(concat(row.where, ": expected each artist once, found ", row.cells[0], " again"));
    if (!fs::is_directory(folder / row.cells[0]))
      throw Error(concat((folder / row.cells[0]).string(),
                         ": expected the folder of an artist's pictures, found none"));
    atlas.artists_.push_back({row.cells[0], row.cells[1], row.cells[2], row.cells[3]});
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.is_directory() && !names.contains(entry.path().filename().string()))
      throw Error(concat(artists_file.string(), ": expected the licence of ",
                         entry.path().filename().string(), ", found no line of it"));

  std::map<std::string, std::map<std::string, Drawing>> labelled;  // by name and artist, "" for all
  for (const CsvRow& row : filled_rows(labels_text, labels_file, kLabelColumns, "artist")) {
    const std::vector<std::string>& cells = row.cells;
    if (!cells[1].empty() && !names.contains(cells[1]))
      throw Error(concat(row.where, ": expected an artist of artists.csv, found ", cells[1]));
    if (cells[5] != "0" && cells[5] != "1")
      throw Error(concat(row.where, ": expected look_alike to be 0 or 1, found ", cells[5]));
    const Drawing drawing{cells[0], cells[1], cells[2], cells[3], cells[4], cells[5] == "1"};
    if (!labelled[cells[0]].emplace(cells[1], drawing).second)
      throw Error(concat(row.where, ": expected one line of ", cells[0], " by ",
                         cells[1].empty() ? "all artists" : cells[1], ", found another"));
  }
  for (const Artist& artist : atlas.artists_)
    for (const fs::directory_entry& entry : fs::directory_iterator(folder / artist.name))
      if (entry.path().extension() == ".png" && !labelled.contains(entry.path().stem().string()))
        throw Error(concat(labels_file.string(), ": expected a line of ", entry.path().stem().string(),
                           ", which ", artist.name, " has drawn, found none"));

  for (const auto& [name, lines] : labelled) {
    const std::size_t before = atlas.drawings_.size();
    for (const Artist& artist : atlas.artists_) {
      const auto own = lines.find(artist.name), line = own == lines.end() ? lines.find("") : own;
      const fs::path file = folder / artist.name / (name + ".png");
      const bool drawn = fs::exists(file);
      if (own != lines.end() && !drawn)
        throw Error(concat(file.string(), ": expected a picture, found none"));
      if (!drawn) continue;
      if (line == lines.end())
        throw Error(
            concat(labels_file.string(), ": expected a line of ", name, " by ", artist.name, ", found none"));
      atlas.drawings_.push_back(line->second);
      atlas.drawings_.back().artist = artist.name;
      const std::string bytes = read_file(file);
      hashes += diffreward::sha256(bytes);
      atlas.pixels_.resize(atlas.pixels_.size() + kPictureBytes);
      read_drawing(file, bytes, std::span(atlas.pixels_).last(kPictureBytes));
    }
    if (atlas.drawings_.size() == before)
      throw Error(
          concat(labels_file.string(), ": expected a picture of ", name, " by some artist, found none"));
  }
  atlas.sha256_ = diffreward::sha256(hashes);
  return atlas;
}

std::vector<std::string> Atlas::concepts() const {
  std::set<std::string> found;
  for (const Drawing& drawing : drawings_) found.insert(drawing.concept_name);
  return {found.begin(), found.end()};
}

std::span<const std::uint8_t> Atlas::pixels(std::size_t drawing) const {
  return std::span(pixels_).subspan(drawing * kPictureBytes, kPictureBytes);
}

}  // namespace diffreward
