#include "cli/captioned_pictures.h"

#include <algorithm>
#include <filesystem>

#include "core/csv.h"
#include "core/error.h"
#include "core/file.h"
#include "datasets/image_set.h"
#include "envs/pictures.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTable = "metadata.csv";

struct Row {
  fs::path picture;
  std::string text;
};

bool is_folder_of_pictures(const std::string& images) {
  std::error_code ignored;
  return fs::exists(fs::path(images) / kTable, ignored);
}

std::vector<Row> rows_of(const fs::path& folder) {
  std::vector<Row> rows;
  const fs::path table = folder / kTable;
  for (CsvRow& row : read_csv(read_file(table), table.string(), {"file_name", "text"})) {
    const fs::path name = row.cells[0];
    if (name.is_absolute() || std::ranges::find(name, fs::path("..")) != name.end())
      throw Error(concat(row.where, ": expected a file of this folder, found ", name.string()));
    rows.push_back({folder / name, std::move(row.cells[1])});
  }
  if (rows.empty()) throw Error(concat(table.string(), ": expected pictures, found none"));
  return rows;
}

}  // namespace

std::vector<StageInput> captioned_inputs(const std::string& images) {
  if (!is_folder_of_pictures(images)) return {{"images", images, "data"}};
  std::vector<StageInput> inputs = {{"images", (fs::path(images) / kTable).string(), "", kTable}};
  for (const Row& row : rows_of(images))
    inputs.push_back({"images", row.picture.string(), "", row.picture.lexically_relative(images).string()});
  return inputs;
}

std::size_t count_captioned(const std::string& images) {
  return is_folder_of_pictures(images) ? rows_of(images).size()
                                       : ImageSet::open(product(images, "data")).size();
}

CaptionedPictures read_captioned(const std::string& images, int side) {
  CaptionedPictures out;
  if (!is_folder_of_pictures(images)) {
    const ImageSet set = ImageSet::open(product(images, "data"));
    out.side = set.side();
    out.pixels.assign(set.images().begin(), set.images().end());
    for (std::size_t i = 0; i < set.size(); ++i) out.captions.emplace_back(set.caption(i));
    return out;
  }
  out.side = side;
  for (const Row& row : rows_of(images)) {
    const Image image = squared(read_picture(row.picture), side);
    out.pixels.insert(out.pixels.end(), image.rgb.begin(), image.rgb.end());
    out.captions.push_back(row.text);
  }
  return out;
}

}  // namespace diffreward::cli
