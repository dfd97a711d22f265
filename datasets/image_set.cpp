#include "datasets/image_set.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <sstream>

#include "core/format.h"
#include "core/interrupt.h"

namespace diffreward {
namespace {

constexpr std::size_t kRowsTold = 20;
constexpr std::size_t kGlance = 4096;  // pictures between two looks at Ctrl-C

/// Rows with a fault, counted.
struct Tally {
  std::string name, message;
  std::size_t count = 0;
  std::vector<std::size_t> rows = {};

  void add(std::size_t row) {
    ++count;
    if (rows.size() < kRowsTold) rows.push_back(row);
  }
};

/// The part of a mask that is object k, as a box; of no width where it is hidden.
cv::Rect box_in(std::span<const std::uint8_t> mask, int side, std::size_t k) {
  const cv::Mat all(side, side, CV_8UC1, const_cast<std::uint8_t*>(mask.data()));
  return cv::boundingRect(all == static_cast<double>(k));
}

}  // namespace

std::vector<Fault> check_images(const ImageSet& data) {
  Tally number{"mask-without-object", "expected masks of 0 and the numbers of objects, found another number"};
  Tally box{"box-mismatch", "expected boxes around what masks show of objects, found others"};
  Tally hidden{"hidden-object", "expected something of every object to be seen, found none"};
  Tally caption{"caption-mismatch",
                "expected captions of the words or hypernyms of objects, found another text"};
  Tally flat{"flat-image", "expected a picture, found one colour"};
  for (std::size_t i = 0; i < data.size(); ++i) {
    if (i % kGlance == 0) check_interrupt();
    const std::vector<PlacedObject> objects = data.objects(i);
    const auto mask = data.mask(i);
    if (std::ranges::any_of(mask, [&](std::uint8_t value) { return value > objects.size(); })) number.add(i);
    bool boxes = true, seen = true;
    std::vector<std::string> texts = {""};
    for (std::size_t k = 0; k < objects.size(); ++k) {
      const PlacedObject& object = objects[k];
      const cv::Rect told(object.left, object.top, object.width, object.height),
          found = box_in(mask, data.side(), k + 1);
      seen = seen && !found.empty();
      boxes = boxes && (found == told || (found.empty() && told.empty()));
      const Drawing& drawing = data.drawings()[object.drawing];
      std::vector<std::string> longer = texts;  // a caption may leave an object out
      for (const std::string& text : texts)
        for (const std::string& word : {drawing.word, drawing.hypernym})
          longer.push_back(text.empty() ? word : text + " and " + word);
      texts = std::move(longer);
    }
    if (!boxes) box.add(i);
    if (!seen) hidden.add(i);
    if (!data.caption(i).empty() && std::ranges::count(texts, data.caption(i)) == 0) caption.add(i);
    const auto image = data.image(i);
    if (std::equal(image.begin() + 3, image.end(), image.begin())) flat.add(i);
  }
  std::vector<Fault> faults;
  for (Tally* tally : {&number, &box, &hidden, &caption, &flat})
    if (tally->count > 0) faults.push_back({tally->name, tally->message, tally->count, tally->rows});
  return faults;
}

Json card_of(const ImageSet& data) {
  const Provenance& from = data.provenance();
  std::map<std::string, std::size_t> concepts, artists;
  std::size_t captions = 0, look_alikes = 0, objects = 0, pairs = 0;
  for (std::size_t i = 0; i < data.size(); ++i) {
    if (i % kGlance == 0) check_interrupt();
    captions += !data.caption(i).empty();
    look_alikes += data.holds_look_alike(i);
    const std::vector<PlacedObject> here = data.objects(i);
    objects += here.size();
    pairs += here.size() == 2;
    std::map<std::string, bool> shown;
    for (const PlacedObject& object : here) {
      shown[data.drawings()[object.drawing].concept_name] = true;
      ++artists[data.drawings()[object.drawing].artist];
    }
    for (const auto& [concept_name, yes] : shown) concepts[concept_name] += yes;
  }
  const auto share = [](std::size_t count, std::size_t of) {
    return of == 0 ? 0.0 : static_cast<double>(count) / static_cast<double>(of);
  };
  Json card = {{"env", from.env},
               {"env_options", from.env_options},
               {"engine", from.note("engine")},
               {"behaviour", from.behaviour},
               {"recording", from.note("recording")},
               {"generator", from.generator},
               {"seed", from.seed},
               {"pictures", data.size()},
               {"side", data.side()},
               {"objects", objects},
               {"two_objects", share(pairs, data.size())},
               {"captions", share(captions, data.size())},
               {"look_alikes", share(look_alikes, data.size())},
               {"concepts", Json::object()},
               {"artists", Json::object()},
               {"faults", Json::array()}};
  for (const auto& [concept_name, count] : concepts)
    card["concepts"][concept_name] = share(count, data.size());
  const Json told = from.extra.value("artists", Json::array());
  for (const auto& [artist, count] : artists) {
    Json line = {{"share", share(count, objects)}, {"licence", ""}, {"credit", ""}, {"source", ""}};
    for (const Json& one : told)
      if (one.is_object() && one.contains("artist") && one.at("artist") == artist)
        for (const char* key : {"licence", "credit", "source"}) line[key] = member<std::string>(one, key);
    card["artists"][artist] = line;
  }
  for (const Fault& fault : check_images(data))
    card["faults"].push_back({{"name", fault.name}, {"message", fault.message}, {"count", fault.count}});
  return card;
}

std::string image_card_markdown(const Json& card) {
  std::ostringstream out;
  const auto text = [&](const char* key) { return card.at(key).get<std::string>(); };
  const auto number = [&](const char* key) { return format_number(card.at(key).get<double>()); };
  out << "# Pictures of " << text("env") << ": " << text("behaviour") << "\n\n| | |\n|---|---|\n"
      << "| options | " << card.at("env_options").dump() << " |\n"
      << "| made by | " << text("generator") << " with " << text("engine") << ", seed "
      << card.at("seed").dump() << " |\n| pictures | " << card.at("pictures").dump() << " of "
      << card.at("side").dump() << " x " << card.at("side").dump() << " pixels |\n| objects | "
      << card.at("objects").dump() << "; share of pictures with two: " << number("two_objects")
      << " |\n| share with a caption | " << number("captions") << " |\n| share with a look-alike | "
      << number("look_alikes") << " |\n";
  std::string faults;
  for (const Json& fault : card.at("faults"))
    faults += concat(faults.empty() ? "" : "; ", fault.at("name").get<std::string>(), " (",
                     fault.at("count").dump(), ")");
  out << "| faults found | " << (faults.empty() ? "none" : faults) << " |\n\n## Concepts\n\n"
      << "| concept | share of pictures |\n|---|---|\n";
  for (const auto& [concept_name, share] : card.at("concepts").items())
    out << "| " << concept_name << " | " << format_number(share.get<double>()) << " |\n";
  out << "\n## Artists\n\n| artist | share of objects | licence | drawings | source "
         "|\n|---|---|---|---|---|\n";
  for (const auto& [artist, told] : card.at("artists").items()) {
    out << "| " << artist << " | " << format_number(told.at("share").get<double>());
    for (const char* key : {"licence", "credit", "source"}) out << " | " << told.at(key).get<std::string>();
    out << " |\n";
  }
  return out.str();
}

Image picture_sheet(const ImageSet& data, std::size_t first, std::size_t count, int columns, int scale) {
  require(first < data.size() && count > 0, "sheet: expected pictures of ", data.size(), ", got ", count,
          " from ", first);
  require(columns > 0 && scale > 0, "sheet: expected columns and a scale above 0, got ", columns, " and ",
          scale);
  count = std::min(count, data.size() - first);
  constexpr int kGap = 6, kLine = 11;
  const int side = data.side() * scale, lines = 2 + static_cast<int>(ImageSet::kMostObjects);
  const int wide = std::max(side, 150) + kGap, high = side + lines * kLine + kGap;
  columns = std::min(columns, static_cast<int>(count));
  const int rows = (static_cast<int>(count) + columns - 1) / columns;
  cv::Mat page(rows * high, columns * wide, CV_8UC3, cv::Scalar::all(255));
  for (std::size_t i = 0; i < count; ++i) {
    const int x = static_cast<int>(i) % columns * wide, y = static_cast<int>(i) / columns * high;
    const cv::Mat picture(data.side(), data.side(), CV_8UC3,
                          const_cast<std::uint8_t*>(data.image(first + i).data()));
    cv::Mat target = page(cv::Rect(x, y, side, side));
    cv::resize(picture, target, target.size(), 0, 0, cv::INTER_NEAREST);
    int line = 1;
    const auto write = [&](std::string text, int grey) {
      const auto room = static_cast<std::size_t>(wide / 7);
      if (text.size() > room) text.resize(room);
      cv::putText(page, text, {x, y + side + kLine * line++}, cv::FONT_HERSHEY_PLAIN, 0.7,
                  cv::Scalar::all(grey), 1, cv::LINE_AA);
    };
    const std::string caption = printable(data.caption(first + i));
    const std::size_t cut = std::min(caption.size(), static_cast<std::size_t>(wide / 7));
    const std::size_t space = cut < caption.size() ? std::min(caption.rfind(' ', cut), cut) : cut;
    write(caption.empty() ? "(no caption)" : caption.substr(0, space), 0);
    if (space < caption.size()) write(caption.substr(space + 1), 0);
    for (const PlacedObject& object : data.objects(first + i)) {
      const Drawing& drawing = data.drawings()[object.drawing];
      write(printable(drawing.name + ", " + drawing.artist), 130);
    }
  }
  Image image{page.cols, page.rows, {}};
  image.rgb.assign(page.datastart, page.dataend);
  return image;
}

}  // namespace diffreward
