// The layout of a file of pictures: columns images [n, side, side, 3], masks [n, side, side] and captions [n, 96] of bytes,
// objects [n, 2, 5] of floats, and drawings [k, width] of bytes, each row a JSON object with zeros behind it. Every column
// lies in one piece, so that it can be mapped. Provenance stands in the attributes of the group `metadata`.
#include "datasets/storage/image_set.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/interrupt.h"
#include "datasets/storage/hdf5_reader.h"
#include "datasets/storage/storage.h"

namespace diffreward {
namespace {

constexpr std::size_t kMostDrawings = 65'536, kLongestDrawing = 4096;  // that a file may claim

std::size_t pixels_of(int side) {
  return static_cast<std::size_t>(side) * static_cast<std::size_t>(side);
}

std::string_view text_in(std::span<const std::uint8_t> bytes) {
  const auto end = std::ranges::find(bytes, std::uint8_t{0});
  return {reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(end - bytes.begin())};
}

Json json_of(const Drawing& drawing) {
  return {
      {"name", drawing.name},         {"artist", drawing.artist},        {"word", drawing.word},
      {"hypernym", drawing.hypernym}, {"concept", drawing.concept_name}, {"look_alike", drawing.look_alike}};
}

Drawing drawing_of(const Json& json) {
  return {member<std::string>(json, "name"),    member<std::string>(json, "artist"),
          member<std::string>(json, "word"),    member<std::string>(json, "hypernym"),
          member<std::string>(json, "concept"), member<bool>(json, "look_alike")};
}

/// A column as the child found it: where its bytes are, and how many numbers a row has.
Json describe(hdf5::File& file, const std::string& name, std::size_t rank, bool floats) {
  const hdf5::Column column(file, file.id(), name, file.name() + ": " + name);
  const haddr_t at = floats ? column.floats_at() : column.bytes_at();
  if (column.rank() != rank)
    throw Error(
        concat(column.where(), ": expected an array of rank ", rank, ", found shape ", column.shape()));
  if (at == HADDR_UNDEF)
    throw Error(concat(column.where(), ": expected ", floats ? "floats" : "bytes",
                       " in one piece, found another type or layout"));
  return {{"name", name}, {"rows", column.rows()}, {"width", column.width()}, {"offset", at}};
}

class Assembler {
 public:
  Assembler(const Json& description, std::string name, std::shared_ptr<const void> memory, std::size_t size)
      : name_(std::move(name)), memory_(std::move(memory)), size_(size) {
    for (const Json& column : member<Json>(description, "columns"))
      columns_.push_back({member<std::string>(column, "name"), member<std::size_t>(column, "rows"),
                          member<std::size_t>(column, "width"), member<std::size_t>(column, "offset")});
  }

  std::shared_ptr<ImageSet::Storage> assemble() const {
    auto storage = std::make_shared<ImageSet::Storage>();
    ImageSet::Storage& s = *storage;
    const Found& masks = found("masks");
    s.side = static_cast<int>(std::lround(std::sqrt(static_cast<double>(masks.width))));
    s.size = masks.rows;
    if (s.side < ImageSet::kMinSide || s.side > ImageSet::kMaxSide || pixels_of(s.side) != masks.width ||
        s.size == 0)
      throw Error(concat(name_, ": masks: expected square pictures of ", ImageSet::kMinSide, " to ",
                         ImageSet::kMaxSide, " pixels, found ", s.size, " of ", masks.width, " in all"));
    s.masks = values<std::uint8_t>(masks, s.size, pixels_of(s.side));
    s.images = values<std::uint8_t>(found("images"), s.size, pixels_of(s.side) * 3);
    s.captions = values<std::uint8_t>(found("captions"), s.size, ImageSet::kLongestText);
    s.objects = values<float>(found("objects"), s.size, ImageSet::Storage::kObjectNumbers);
    const Found& drawings = found("drawings");
    if (drawings.rows > kMostDrawings || drawings.width > kLongestDrawing)
      throw Error(concat(name_, ": drawings: expected at most ", kMostDrawings, " of ", kLongestDrawing,
                         " bytes, found ", drawings.rows, " of ", drawings.width));
    const auto texts = values<std::uint8_t>(drawings, drawings.rows, drawings.width);
    for (std::size_t i = 0; i < drawings.rows; ++i) {
      const std::string where = concat(name_, ": drawings[", i, "]");
      const Json json = parse_json(text_in(texts.subspan(i * drawings.width, drawings.width)), where);
      try {
        s.drawings.push_back(drawing_of(json));
      } catch (const InvalidArgument& error) {
        throw Error(concat(where, ": ", error.what()));
      }
    }
    s.mapping = memory_;
    s.path = name_;
    s.check_objects(name_);
    return storage;
  }

 private:
  struct Found {
    std::string name;
    std::size_t rows, width, offset;
  };

  const Found& found(const char* name) const {
    const auto at = std::ranges::find(columns_, name, &Found::name);
    if (at == columns_.end()) throw Error(concat(name_, ": ", name, ": expected a column, found none"));
    return *at;
  }

  template <class T>
  std::span<const T> values(const Found& column, std::size_t rows, std::size_t width) const {
    if (column.rows != rows || column.width != width)
      throw Error(concat(name_, ": ", column.name, ": expected ", rows, " rows of ", width, ", found ",
                         column.rows, " of ", column.width));
    std::size_t bytes = 0;
    if (__builtin_mul_overflow(rows, width * sizeof(T), &bytes) || column.offset > size_ ||
        bytes > size_ - column.offset || column.offset % alignof(T) != 0)
      throw Error(concat(name_, ": ", column.name, ": expected ", rows, " rows of ", width,
                         " inside the file, found its end before them"));
    return {reinterpret_cast<const T*>(static_cast<const char*>(memory_.get()) + column.offset),
            rows * width};
  }

  std::string name_;
  std::shared_ptr<const void> memory_;
  std::size_t size_;
  std::vector<Found> columns_;
};

}  // namespace

void ImageSet::Storage::check_objects(const std::string& name) const {
  for (std::size_t i = 0; i < objects.size() / 5; ++i) {
    if (i % (std::size_t{1} << 16) == 0) check_interrupt();
    const std::span<const float> object = objects.subspan(i * 5, 5);
    const auto is_whole = [&](float value) {
      return value >= -1 && value < 0x1p24f && std::trunc(value) == value;
    };
    bool good = std::ranges::all_of(object, is_whole);
    if (good && object[0] >= 0)
      good = object[0] < static_cast<float>(drawings.size()) &&
             std::ranges::all_of(object, [](float v) { return v >= 0; }) &&
             object[1] + object[3] <= static_cast<float>(side) &&
             object[2] + object[4] <= static_cast<float>(side);
    if (!good)
      throw Error(concat(name, ": objects[", i / kMostObjects, "]: expected one of ", drawings.size(),
                         " drawings inside the picture, found ", object[0], " at ", object[1], ", ",
                         object[2]));
  }
}

ImageSet ImageSet::open(const std::filesystem::path& path) {
  const std::filesystem::path found = find_data_file(path);
  const std::string name = found.string();
  const RegularFile file(found);
  const Json description = run_on_file(file, name, nullptr, [](hdf5::File& opened) {
    Json columns = Json::array(), ignored = Json::array();
    for (const auto& [column, rank] :
         {std::pair{"images", 4}, {"masks", 3}, {"captions", 2}, {"objects", 3}, {"drawings", 2}})
      columns.push_back(
          describe(opened, column, static_cast<std::size_t>(rank), std::string_view(column) == "objects"));
    Json attributes = read_attributes(opened, ignored);
    return Json{{"columns", columns}, {"attributes", attributes}};
  });
  const auto storage = Assembler(description, name, file.map(), file.size()).assemble();
  std::vector<std::string> ignored;
  storage->provenance = provenance_of(member<Json>(description, "attributes"), ignored);
  return ImageSet(storage);
}

ImageSet ImageSet::from_columns(Columns columns, Provenance provenance) {
  auto storage = std::make_shared<Storage>();
  Storage& s = *storage;
  s.columns = std::move(columns);
  s.side = s.columns.side;
  require(s.side >= kMinSide && s.side <= kMaxSide, "side: expected ", kMinSide, " to ", kMaxSide, ", got ",
          s.side);
  s.size = s.columns.masks.size() / pixels_of(s.side);
  require(s.size > 0 && s.columns.masks.size() == s.size * pixels_of(s.side) &&
              s.columns.images.size() == 3 * s.columns.masks.size() &&
              s.columns.captions.size() == s.size * kLongestText &&
              s.columns.objects.size() == s.size * Storage::kObjectNumbers,
          "pictures: expected columns of equal length, got ", s.columns.images.size(), " bytes of images, ",
          s.columns.masks.size(), " of masks, ", s.columns.captions.size(), " of captions and ",
          s.columns.objects.size(), " numbers of objects");
  s.images = s.columns.images;
  s.masks = s.columns.masks;
  s.captions = s.columns.captions;
  s.objects = s.columns.objects;
  s.drawings = s.columns.drawings;
  s.provenance = std::move(provenance);
  s.check_objects("pictures");
  return ImageSet(storage);
}

std::size_t ImageSet::size() const {
  return storage_->size;
}
int ImageSet::side() const {
  return storage_->side;
}
std::span<const std::uint8_t> ImageSet::images() const {
  return storage_->images;
}
std::span<const std::uint8_t> ImageSet::masks() const {
  return storage_->masks;
}
std::span<const std::uint8_t> ImageSet::image(std::size_t i) const {
  const std::size_t bytes = pixels_of(side()) * 3;
  return images().subspan(i * bytes, bytes);
}
std::span<const std::uint8_t> ImageSet::mask(std::size_t i) const {
  const std::size_t bytes = pixels_of(side());
  return masks().subspan(i * bytes, bytes);
}
std::string_view ImageSet::caption(std::size_t i) const {
  return text_in(storage_->captions.subspan(i * kLongestText, kLongestText));
}
const std::vector<Drawing>& ImageSet::drawings() const {
  return storage_->drawings;
}
const Provenance& ImageSet::provenance() const {
  return storage_->provenance;
}
const std::filesystem::path& ImageSet::path() const {
  return storage_->path;
}

std::vector<PlacedObject> ImageSet::objects(std::size_t i) const {
  std::vector<PlacedObject> found;
  for (std::size_t k = 0; k < kMostObjects; ++k) {
    const std::span<const float> object = storage_->objects.subspan((i * kMostObjects + k) * 5, 5);
    if (object[0] < 0) break;
    found.push_back({static_cast<std::size_t>(object[0]), static_cast<int>(object[1]),
                     static_cast<int>(object[2]), static_cast<int>(object[3]), static_cast<int>(object[4])});
  }
  return found;
}

bool ImageSet::holds(std::size_t i, std::string_view concept_name) const {
  return std::ranges::any_of(objects(i), [&](const PlacedObject& object) {
    return drawings()[object.drawing].concept_name == concept_name;
  });
}

bool ImageSet::holds_look_alike(std::size_t i) const {
  return std::ranges::any_of(
      objects(i), [&](const PlacedObject& object) { return drawings()[object.drawing].look_alike; });
}

bool is_image_set(const std::filesystem::path& path) {
  try {
    const std::filesystem::path found = find_data_file(path);
    const RegularFile file(found);
    const Json answer = run_on_file(file, found.string(), nullptr, [](hdf5::File& opened) {
      const auto has = [&](const char* name) {
        return hdf5::kind_of(opened.id(), name, opened.name() + ": " + name) == hdf5::Kind::kColumn;
      };
      return Json{{"images", has("images") && !has("observations")}};
    });
    return member<bool>(answer, "images");
  } catch (const Interrupted&) {
    throw;
  } catch (const Error&) {
    return false;
  }
}

namespace {

/// Each drawing as JSON, all of one length.
std::vector<std::uint8_t> texts_of(const std::vector<Drawing>& drawings, std::size_t& width) {
  std::vector<std::string> texts;
  for (const Drawing& drawing : drawings) texts.push_back(json_of(drawing).dump());
  width = 1;
  for (const std::string& text : texts) width = std::max(width, text.size());
  std::vector<std::uint8_t> bytes(texts.size() * width);
  for (std::size_t i = 0; i < texts.size(); ++i)
    std::ranges::copy(texts[i], bytes.begin() + std::ptrdiff_t(i * width));
  return bytes;
}

std::vector<ColumnLayout> layout_of(std::size_t size, int side, std::size_t drawings, std::size_t width) {
  using Item = ColumnLayout::Item;
  const auto pixels = static_cast<std::size_t>(side);
  return {{"images", Item::kByte, {size, pixels, pixels, 3}},
          {"masks", Item::kByte, {size, pixels, pixels}},
          {"captions", Item::kByte, {size, ImageSet::kLongestText}},
          {"objects", Item::kFloat, {size, ImageSet::kMostObjects, 5}},
          {"drawings", Item::kByte, {drawings, width}}};
}

std::size_t width_of(const std::vector<Drawing>& drawings) {
  std::size_t width = 0;
  texts_of(drawings, width);
  return width;
}

}  // namespace

ImageSetWriter::ImageSetWriter(const std::filesystem::path& path, std::size_t size, int side,
                               const std::vector<Drawing>& drawings, const Provenance& provenance,
                               std::size_t alignment)
    : file_(path, layout_of(size, side, drawings.size(), width_of(drawings)), {}, provenance, alignment) {
  std::size_t width = 0;
  file_.write("drawings", 0, std::span<const std::uint8_t>(texts_of(drawings, width)));
}

void ImageSetWriter::write(std::size_t row, const ImageSet::Columns& columns) {
  file_.write("images", row, std::span<const std::uint8_t>(columns.images));
  file_.write("masks", row, std::span<const std::uint8_t>(columns.masks));
  file_.write("captions", row, std::span<const std::uint8_t>(columns.captions));
  file_.write("objects", row, std::span<const float>(columns.objects));
}

}  // namespace diffreward
