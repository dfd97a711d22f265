#include "datasets/scenes/scenes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numbers>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <optional>
#include <tuple>

#include "core/hash.h"
#include "core/progress.h"
#include "core/thread_pool.h"
#include "datasets/shards.h"
#include "datasets/storage/image_set.h"

#ifndef DIFFREWARD_VERSION
#define DIFFREWARD_VERSION "unknown"
#endif

namespace diffreward {
namespace {

constexpr std::uint64_t kFirstGroup = 16;  // of Purpose::kRecording, behind those of Recording
constexpr std::size_t kBlock = 128;        // scenes that a thread makes at a time
constexpr double kSmallest = 28.0 / 64, kLargest = 44.0 / 64;  // longer side of an object, of the scene's
constexpr double kDrawn = 60;             // of a drawing's kSide pixels, by its longer side
constexpr double kHue = 15, kTurn = 180;  // degrees to either side
constexpr double kLeastSaturation = 0.6, kMostSaturation = 1.3, kBrightness = 0.1;
constexpr int kPlaces = 24;      // tried for two objects
constexpr double kHidden = 0.1;  // share of the lower one that the other may hide, where a place allows it
constexpr int kSlow = 4;         // grid of the slow noise
constexpr double kUneven = 0.3;  // its range to either side, of full brightness
constexpr float kSeen = 0.5F;    // opacity from which a pixel is the object's

/// Hue turned, saturation and brightness scaled, in YIQ (NTSC, 1953), where grey has no hue: linear in RGB, so that it may be
/// applied to colours that are multiplied by opacity.
cv::Matx44f colour_change(double degrees, double saturation, double brightness) {
  static const cv::Matx33d to_yiq(0.299, 0.587, 0.114, 0.595716, -0.274453, -0.321263, 0.211456, -0.522591,
                                  0.311135);
  const double angle = degrees * std::numbers::pi / 180, c = saturation * std::cos(angle),
               s = saturation * std::sin(angle);
  const cv::Matx33d change = to_yiq.inv() * cv::Matx33d(1, 0, 0, 0, c, -s, 0, s, c) * to_yiq;
  cv::Matx44f all = cv::Matx44f::eye();
  for (int row = 0; row < 3; ++row)
    for (int column = 0; column < 3; ++column)
      all(row, column) = static_cast<float>(brightness * change(row, column));
  return all;
}

cv::Scalar any_colour(Rng& rng) {
  const double red = rng.uniform(), green = rng.uniform(), blue = rng.uniform();
  return {red, green, blue};
}

/// One colour, a gradient or slow noise.
cv::Mat3f ground(int size, Rng& rng) {
  const std::uint64_t kind = rng.below(3);
  cv::Mat3f out(size, size);
  if (kind == 0) {
    out.setTo(any_colour(rng));
  } else if (kind == 1) {
    const double angle = rng.uniform(0, 2 * std::numbers::pi), dx = std::cos(angle), dy = std::sin(angle);
    const cv::Scalar from = any_colour(rng), to = any_colour(rng);
    const double reach = (std::abs(dx) + std::abs(dy)) * (size - 1);
    for (int y = 0; y < size; ++y)
      for (int x = 0; x < size; ++x) {
        const double share = 0.5 + (dx * (2 * x - size + 1) + dy * (2 * y - size + 1)) / (2 * reach);
        for (int c = 0; c < 3; ++c) out(y, x)[c] = static_cast<float>(from[c] + share * (to[c] - from[c]));
      }
  } else {
    cv::Mat3f grid(kSlow, kSlow);
    const cv::Scalar colour = any_colour(rng);
    for (cv::Vec3f& cell : grid)
      for (int c = 0; c < 3; ++c) cell[c] = static_cast<float>(colour[c] + rng.uniform(-kUneven, kUneven));
    cv::resize(grid, out, out.size(), 0, 0, cv::INTER_CUBIC);
  }
  return out;
}

/// An object as it will be blended: turned and coloured, in a square that holds it.
struct Figure {
  cv::Mat4f patch;  // premultiplied
  cv::Rect seen;    // in the patch
  cv::Point at;     // of the patch in the scene

  bool covers(int x, int y) const {  // of the scene
    const int column = x - at.x, row = y - at.y;
    return row >= 0 && row < patch.rows && column >= 0 && column < patch.cols &&
           patch(row, column)[3] >= kSeen;
  }
};

Figure make_figure(std::span<const std::uint8_t> pixels, int size, Rng& rng) {
  const double longest = size * rng.uniform(kSmallest, kLargest);
  const int side = static_cast<int>(std::lround(longest * Atlas::kSide / kDrawn));
  const double turn = rng.uniform(-kTurn, kTurn);
  const bool mirrored = rng.below(2) == 1;
  const double hue = rng.uniform(-kHue, kHue), saturation = rng.uniform(kLeastSaturation, kMostSaturation);
  const double brightness = rng.uniform(1 - kBrightness, 1 + kBrightness);

  const cv::Mat drawing(Atlas::kSide, Atlas::kSide, CV_8UC4, const_cast<std::uint8_t*>(pixels.data()));
  cv::Mat small, coloured;
  cv::resize(drawing, small, {side, side}, 0, 0, side < Atlas::kSide ? cv::INTER_AREA : cv::INTER_LINEAR);
  if (mirrored) cv::flip(small, small, 1);
  small.convertTo(small, CV_32F, 1.0 / 255);
  cv::transform(small, coloured, colour_change(hue, saturation, brightness));

  Figure figure;
  const int room = static_cast<int>(std::ceil(side * std::numbers::sqrt2)) + 2;
  cv::Mat turned = cv::getRotationMatrix2D(
      {(static_cast<float>(side) - 1) / 2, (static_cast<float>(side) - 1) / 2}, turn, 1);
  for (int axis = 0; axis < 2; ++axis) turned.at<double>(axis, 2) += (room - side) / 2.0;
  cv::warpAffine(coloured, figure.patch, turned, {room, room}, cv::INTER_LINEAR, cv::BORDER_CONSTANT,
                 cv::Scalar::all(0));
  int left = room, top = room, right = -1, bottom = -1;
  for (int y = 0; y < room; ++y)
    for (int x = 0; x < room; ++x)
      if (figure.patch(y, x)[3] >= kSeen) {
        left = std::min(left, x), right = std::max(right, x);
        top = std::min(top, y), bottom = std::max(bottom, y);
      }
  figure.seen = {left, top, std::max(0, right - left + 1), std::max(0, bottom - top + 1)};
  return figure;
}

/// Somewhere inside the scene, as far as it fits.
void place(Figure& figure, int size, Rng& rng) {
  const auto within = [&](int extent) {
    return static_cast<int>(rng.below(static_cast<std::uint64_t>(std::max(0, size - extent)) + 1));
  };
  const int x = within(figure.seen.width), y = within(figure.seen.height);
  figure.at = {x - figure.seen.x, y - figure.seen.y};
}

/// The share of the first one's pixels that the second hides.
double hidden(const Figure& below, const Figure& above) {
  const cv::Rect a = below.seen + below.at, b = above.seen + above.at;
  const cv::Rect both = a & b;
  int area = 0, covered = 0;
  for (int y = a.y; y < a.y + a.height; ++y)
    for (int x = a.x; x < a.x + a.width; ++x) {
      if (!below.covers(x, y)) continue;
      ++area;
      covered += both.contains({x, y}) && above.covers(x, y);
    }
  return area == 0 ? 1 : static_cast<double>(covered) / area;
}

void blend(const Figure& figure, std::uint8_t number, cv::Mat3f& scene, std::span<std::uint8_t> mask) {
  const cv::Rect inside = cv::Rect(figure.at, figure.patch.size()) & cv::Rect({0, 0}, scene.size());
  for (int y = inside.y; y < inside.y + inside.height; ++y)
    for (int x = inside.x; x < inside.x + inside.width; ++x) {
      const cv::Vec4f& over = figure.patch(y - figure.at.y, x - figure.at.x);
      const float alpha = over[3];
      if (alpha <= 0) continue;
      cv::Vec3f& under = scene(y, x);
      for (int c = 0; c < 3; ++c) under[c] = (1 - alpha) * under[c] + std::clamp(over[c], 0.0F, alpha);
      if (alpha >= kSeen) mask[static_cast<std::size_t>(y * scene.cols + x)] = number;
    }
}

/// Drawings of one object that have the same labels.
struct Kind {
  std::string name, concept_name;
  bool look_alike;
  std::vector<std::size_t> drawings, companions;
};

using Numbers = std::vector<std::size_t>;  // of kinds

/// Adds the number of the split and of the contents to the group of the random numbers.
std::uint64_t group_of(const SceneConfig& config) {
  constexpr std::array kSplits = {"training", "validation", "held_out_pairs", "held_out_artists"};
  const auto split = std::ranges::find(kSplits, config.split) - kSplits.begin();
  return kFirstGroup + 2 * static_cast<std::uint64_t>(split) + (config.contents == "look_alikes" ? 1 : 0);
}

}  // namespace

bool is_held_out_pair(const std::string& a, const std::string& b, double share) {
  const auto& [first, second] = std::minmax(a, b);
  const std::string digits = sha256(first + "+" + second).substr(0, 13);
  return static_cast<double>(std::stoull(digits, nullptr, 16)) * 0x1p-52 < share;
}

struct SceneGenerator::Parts {
  Atlas atlas;
  SceneConfig config;
  std::uint64_t seed;
  Streams streams;
  std::vector<Kind> kinds;
  std::vector<std::pair<double, Numbers>> first;  // choices of the first object, with cumulative shares
  Numbers rest;                                   // what it is else

  Parts(Atlas of, const SceneConfig& wanted, std::uint64_t from)
      : atlas(std::move(of)),
        config(wanted),
        seed(from),
        streams(Purpose::kRecording, from, group_of(wanted)) {
    validate(config);
    require(config.atlas_sha256.empty() || config.atlas_sha256 == atlas.sha256(),
            "atlas_sha256: expected drawings of ", config.atlas_sha256, ", found ", atlas.folder().string(),
            " of ", atlas.sha256());
    config.atlas_sha256 = atlas.sha256();
    find_kinds();
    choose_first();
    find_companions();
  }

  /// Sorted by concept: numbers must not depend on the order in which someone wrote them.
  std::map<std::string, double> shares() const {
    std::map<std::string, double> sorted;
    for (const auto& [concept_name, share] : config.prevalence.items()) {
      require(share.is_number() && share.get<double>() >= 0 && share.get<double>() <= 1,
              "prevalence: expected ", concept_name, " to be a number in [0, 1], got ", brief(share));
      sorted[concept_name] = share.get<double>();
    }
    return sorted;
  }

  bool shows_pairs() const { return config.split == "held_out_pairs"; }

  void find_kinds() {
    std::vector<std::string> known;
    for (const Artist& artist : atlas.artists()) known.push_back(artist.name);
    for (const auto* names : {&config.artists, &config.held_out_artists})
      for (const std::string& name : *names)
        require(std::ranges::count(known, name) == 1, unknown_name("artist", name, known));
    for (const std::string& name : config.artists)
      require(std::ranges::count(config.held_out_artists, name) == 0,
              "artists: expected none that is held out, got ", name);
    const bool held_out = config.split == "held_out_artists";
    const std::vector<std::string>& artists = held_out ? config.held_out_artists : config.artists;
    require(!artists.empty(), held_out ? "held_out_artists" : "artists", ": expected at least one, got none");
    std::map<std::tuple<std::string, std::string, bool>, std::size_t> numbers;
    for (std::size_t i = 0; i < atlas.drawings().size(); ++i) {
      const Drawing& drawing = atlas.drawings()[i];
      for (const std::string* text : {&drawing.word, &drawing.hypernym})
        require(2 * text->size() + 5 <= ImageSet::kLongestText, drawing.name, ": expected words of at most ",
                (ImageSet::kLongestText - 5) / 2, " bytes, got '", *text, "'");
      if (std::ranges::count(artists, drawing.artist) == 0) continue;
      const auto [at, is_new] =
          numbers.emplace(std::tuple(drawing.name, drawing.concept_name, drawing.look_alike), kinds.size());
      if (is_new) kinds.push_back({drawing.name, drawing.concept_name, drawing.look_alike, {}, {}});
      kinds[at->second].drawings.push_back(i);
    }
  }

  template <class Wanted>
  Numbers kinds_where(const Wanted& wanted) const {
    Numbers found;
    for (std::size_t i = 0; i < kinds.size(); ++i)
      if (wanted(kinds[i])) found.push_back(i);
    return found;
  }

  void choose_first() {
    const bool against = config.contents == "look_alikes";
    double total = 0;
    const auto choose = [&](const std::string& option, const std::string& concept_name, double share) {
      const std::vector<std::string> known = atlas.concepts();
      require(std::ranges::count(known, concept_name) == 1, option, ": ",
              unknown_name("concept", concept_name, known));
      total += share;
      first.emplace_back(total,
                         kinds_where([&](const Kind& kind) { return kind.concept_name == concept_name; }));
      require(share == 0 || !first.back().second.empty(), option, ": expected ", concept_name,
              " among what the artists of ", config.split, " have drawn, found none");
    };
    const std::map<std::string, double> told = shares();
    const auto is_told = [&](const Kind& kind) {
      return told.contains(kind.concept_name) || (against && kind.concept_name == config.target);
    };
    if (against) {
      choose("target", config.target, 0.5);
      first.emplace_back(1, kinds_where([](const Kind& kind) { return kind.look_alike; }));
      require(!first.back().second.empty(), "contents: expected look-alikes among what the artists of ",
              config.split, " have drawn, found none");
      rest = kinds_where([&](const Kind& kind) { return !is_told(kind) && !kind.look_alike; });
    } else {
      for (const auto& [concept_name, share] : told) choose("prevalence", concept_name, share);
      require(total <= 1 + 1e-9, "prevalence: expected shares of at most 1 in all, got ", total);
      rest = kinds_where([&](const Kind& kind) { return !is_told(kind); });
    }
    require(!rest.empty(), "prevalence: expected it to leave objects of other concepts, found none");
  }

  void find_companions() {
    if (config.split != "training" && config.split != "validation" && !shows_pairs()) {
      for (Kind& kind : kinds)
        for (const std::size_t other : rest)
          if (kinds[other].name != kind.name) kind.companions.push_back(other);
      return;
    }
    for (Kind& kind : kinds)
      for (const std::size_t other : rest)
        if (kinds[other].name != kind.name &&
            is_held_out_pair(kind.name, kinds[other].name, config.held_out_pairs) == shows_pairs())
          kind.companions.push_back(other);
    if (!shows_pairs()) return;
    // Whoever has no companion cannot be in such a scene.
    const auto is_alone = [&](std::size_t kind) { return kinds[kind].companions.empty(); };
    std::erase_if(rest, is_alone);
    for (auto& [share, numbers] : first) std::erase_if(numbers, is_alone);
    require(!rest.empty() &&
                std::ranges::none_of(first, [](const auto& choice) { return choice.second.empty(); }),
            "held_out_pairs: expected a share that leaves pairs of every concept, got ",
            config.held_out_pairs);
  }

  /// Drawings of one scene, the lower one first.
  std::vector<std::size_t> choose(Rng& rng) const {
    const double share = rng.uniform();
    const Numbers* from = &rest;
    for (const auto& [upto, numbers] : first)
      if (share < upto) {
        from = &numbers;
        break;
      }
    std::vector<std::size_t> chosen = {(*from)[rng.below(from->size())]};
    const bool two = rng.uniform() < config.two_objects || shows_pairs();
    if (const Numbers& others = kinds[chosen[0]].companions; two && !others.empty())
      chosen.push_back(others[rng.below(others.size())]);
    if (rng.below(2) == 1) std::ranges::reverse(chosen);
    for (std::size_t& kind : chosen) kind = kinds[kind].drawings[rng.below(kinds[kind].drawings.size())];
    return chosen;
  }

  /// If captions always named all there is, "a knife" would also say that the knife stands alone.
  std::string caption_of(const std::vector<std::size_t>& drawings, Rng& rng) const {
    std::string caption;
    const bool partial = drawings.size() > 1 && rng.uniform() < config.partial_captions;
    const std::size_t named = partial ? rng.below(drawings.size()) : 0;
    for (std::size_t k = 0; k < drawings.size(); ++k) {
      const Drawing& drawing = atlas.drawings()[drawings[k]];
      if (partial && k != named) continue;
      caption += (caption.empty() ? "" : " and ") +
                 (rng.uniform() < config.hypernyms ? drawing.hypernym : drawing.word);
    }
    return rng.uniform() < config.no_caption ? "" : caption;
  }

  /// Scene `index`, as row `row` of the columns.
  void make(std::uint64_t index, std::size_t row, ImageSet::Columns& out) const {
    Rng rng(streams[index]);
    const int size = config.size;
    const auto pixels = static_cast<std::size_t>(size) * static_cast<std::size_t>(size);
    const std::vector<std::size_t> drawings = choose(rng);
    const std::string caption = caption_of(drawings, rng);
    std::ranges::copy(caption,
                      out.captions.begin() + static_cast<std::ptrdiff_t>(row * ImageSet::kLongestText));

    cv::Mat3f scene = ground(size, rng);
    std::vector<Figure> figures;
    for (const std::size_t drawing : drawings)
      figures.push_back(make_figure(atlas.pixels(drawing), size, rng));
    arrange(figures, rng);
    const std::span<std::uint8_t> mask = std::span(out.masks).subspan(row * pixels, pixels);
    for (std::size_t k = 0; k < figures.size(); ++k)
      blend(figures[k], static_cast<std::uint8_t>(k + 1), scene, mask);
    cv::Mat(size, size, CV_8UC3, out.images.data() + row * pixels * 3).setTo(0);
    scene.convertTo(cv::Mat(size, size, CV_8UC3, out.images.data() + row * pixels * 3), CV_8U, 255);

    for (std::size_t k = 0; k < ImageSet::kMostObjects; ++k) {
      const std::span<float> object =
          std::span(out.objects).subspan((row * ImageSet::kMostObjects + k) * 5, 5);
      std::ranges::fill(object, -1.0F);
      if (k >= drawings.size()) continue;
      int left = size, top = size, right = -1, bottom = -1;
      for (int y = 0; y < size; ++y)
        for (int x = 0; x < size; ++x)
          if (mask[static_cast<std::size_t>(y * size + x)] == k + 1) {
            left = std::min(left, x), right = std::max(right, x);
            top = std::min(top, y), bottom = std::max(bottom, y);
          }
      if (right < 0) left = top = 0, right = bottom = -1;
      const std::array<float, 5> numbers = {static_cast<float>(drawings[k]), static_cast<float>(left),
                                            static_cast<float>(top), static_cast<float>(right - left + 1),
                                            static_cast<float>(bottom - top + 1)};
      std::ranges::copy(numbers, object.begin());
    }
  }

  /// Puts objects where the upper one hides little of the lower one.
  void arrange(std::vector<Figure>& figures, Rng& rng) const {
    double least = 2;
    std::vector<cv::Point> best;
    for (int attempt = 0; attempt < kPlaces && least > kHidden; ++attempt) {
      for (Figure& figure : figures) place(figure, config.size, rng);
      const double share = figures.size() < 2 ? 0 : hidden(figures[0], figures[1]);
      if (share >= least) continue;
      least = share;
      best.clear();
      for (const Figure& figure : figures) best.push_back(figure.at);
    }
    for (std::size_t k = 0; k < figures.size(); ++k) figures[k].at = best[k];
  }
};

SceneGenerator::SceneGenerator(Atlas atlas, const SceneConfig& config, std::uint64_t seed)
    : parts_(std::make_unique<const Parts>(std::move(atlas), config, seed)) {}
SceneGenerator::~SceneGenerator() = default;
SceneGenerator::SceneGenerator(SceneGenerator&&) noexcept = default;

const SceneConfig& SceneGenerator::config() const {
  return parts_->config;
}

const Atlas& SceneGenerator::atlas() const {
  return parts_->atlas;
}

namespace {

/// Columns of `count` scenes to be filled in.
ImageSet::Columns empty_columns(int side, std::size_t count) {
  ImageSet::Columns columns;
  columns.side = side;
  const auto pixels = static_cast<std::size_t>(side) * static_cast<std::size_t>(side);
  columns.images.resize(count * pixels * 3);
  columns.masks.resize(count * pixels);
  columns.captions.resize(count * ImageSet::kLongestText);
  columns.objects.resize(count * ImageSet::Storage::kObjectNumbers);
  return columns;
}

/// Calls done(first, columns) for blocks that make up all scenes, in any order, from several threads.
template <class Done>
void in_blocks(const SceneGenerator& generator, std::size_t first, std::size_t count, int threads,
               const Done& done) {
  ThreadPool pool(threads);
  const std::size_t turn = kBlock * static_cast<std::size_t>(pool.threads());
  Progress progress("draw scenes", static_cast<std::int64_t>(count), "scenes");
  for (std::size_t begin = 0; begin < count; begin += turn) {
    const std::size_t wanted = std::min(turn, count - begin);
    pool.parallel_for(wanted, [&](std::size_t from, std::size_t upto) {
      done(begin + from, generator.make(first + begin + from, upto - from));
    });
    progress.advance(static_cast<std::int64_t>(wanted));
  }
}

}  // namespace

ImageSet::Columns SceneGenerator::make(std::size_t first, std::size_t count) const {
  ImageSet::Columns columns = empty_columns(parts_->config.size, count);
  for (std::size_t i = 0; i < count; ++i) parts_->make(first + i, i, columns);
  return columns;
}

Provenance SceneGenerator::provenance() const {
  Json options = to_json(parts_->config);
  options["atlas"] = "";  // its content is told, not where it stands
  Json artists = Json::array();
  for (const Artist& artist : parts_->atlas.artists())
    artists.push_back({{"artist", artist.name},
                       {"licence", artist.licence},
                       {"credit", artist.credit},
                       {"source", artist.source}});
  return {
      kEmojiScenes,
      concat("emoji drawings on plain grounds, ", parts_->config.split),
      "diffreward " DIFFREWARD_VERSION,
      parts_->seed,
      options,
      {{"recording", parts_->config.split}, {"engine", concat("OpenCV ", CV_VERSION)}, {"artists", artists}}};
}

ImageSet make_scenes(const SceneGenerator& generator, int threads) {
  ImageSet::Columns all =
      empty_columns(generator.config().size, static_cast<std::size_t>(generator.config().count));
  const auto pixels = static_cast<std::size_t>(all.side) * static_cast<std::size_t>(all.side);
  const auto count = static_cast<std::size_t>(generator.config().count);
  in_blocks(generator, 0, count, threads, [&](std::size_t first, const ImageSet::Columns& block) {
    const auto at = [&](std::size_t width) { return static_cast<std::ptrdiff_t>(first * width); };
    std::ranges::copy(block.images, all.images.begin() + at(pixels * 3));
    std::ranges::copy(block.masks, all.masks.begin() + at(pixels));
    std::ranges::copy(block.captions, all.captions.begin() + at(ImageSet::kLongestText));
    std::ranges::copy(block.objects, all.objects.begin() + at(ImageSet::Storage::kObjectNumbers));
  });
  all.drawings = generator.atlas().drawings();
  return ImageSet::from_columns(std::move(all), generator.provenance());
}

namespace {

void record(const SceneGenerator& generator, std::size_t first, std::size_t count,
            const std::filesystem::path& path, int threads, std::size_t alignment) {
  ImageSetWriter writer(path, count, generator.config().size, generator.atlas().drawings(),
                        generator.provenance(), alignment);
  in_blocks(generator, first, count, threads,
            [&](std::size_t row, const ImageSet::Columns& block) { writer.write(row, block); });
  writer.commit();
}

}  // namespace

ImageSet record_scenes(const SceneGenerator& generator, const std::filesystem::path& path, int threads) {
  record(generator, 0, static_cast<std::size_t>(generator.config().count), path, threads, kColumnAlignment);
  return ImageSet::open(path);
}

void record_scenes(const SceneGenerator& generator, std::size_t first, std::size_t count,
                   const std::filesystem::path& path, int threads) {
  record(generator, first, count, path, threads, kPageAlignment);
}

void merge_scenes(const SceneGenerator& generator, const ShardFolder& shards,
                  const std::filesystem::path& path) {
  ImageSetWriter writer(path, static_cast<std::size_t>(generator.config().count), generator.config().size,
                        generator.atlas().drawings(), generator.provenance());
  shards.concatenate(writer.file());
  writer.commit();
}

}  // namespace diffreward
