#include "datasets/scenes/scenes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <set>

#include "core/file.h"
#include "tests/core/temporary_folder.h"
#include "tests/datasets/sample_data.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

const Atlas& own_atlas() {
  static const Atlas atlas = Atlas::open();
  return atlas;
}

SceneConfig few(std::int64_t count, const std::string& split = "training") {
  SceneConfig config;
  config.count = count;
  config.split = split;
  return config;
}

ImageSet scenes(const SceneConfig& config, std::uint64_t seed = 3) {
  return make_scenes(SceneGenerator(own_atlas(), config, seed), 1);
}

/// Within four standard errors of a share.
void expect_share(std::size_t count, std::size_t of, double share, const std::string& what) {
  const double error = std::sqrt(share * (1 - share) / static_cast<double>(of));
  EXPECT_NEAR(static_cast<double>(count) / static_cast<double>(of), share, 4 * error) << what;
}

bool equal(const ImageSet& a, const ImageSet& b) {
  if (!std::ranges::equal(a.images(), b.images()) || !std::ranges::equal(a.masks(), b.masks())) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a.caption(i) != b.caption(i) || a.objects(i).size() != b.objects(i).size()) return false;
    for (std::size_t k = 0; k < a.objects(i).size(); ++k) {
      const PlacedObject one = a.objects(i)[k], other = b.objects(i)[k];
      if (one.drawing != other.drawing || one.left != other.left || one.top != other.top ||
          one.width != other.width || one.height != other.height)
        return false;
    }
  }
  return true;
}

using Pair = std::pair<std::string, std::string>;

/// Names that stand together, sorted.
std::set<Pair> pairs_of(const ImageSet& data) {
  std::set<Pair> pairs;
  for (std::size_t i = 0; i < data.size(); ++i) {
    const std::vector<PlacedObject> objects = data.objects(i);
    if (objects.size() == 2)
      pairs.insert(
          std::minmax(data.drawings()[objects[0].drawing].name, data.drawings()[objects[1].drawing].name));
  }
  return pairs;
}

std::set<std::string> artists_of(const ImageSet& data) {
  std::set<std::string> artists;
  for (std::size_t i = 0; i < data.size(); ++i)
    for (const PlacedObject& object : data.objects(i)) artists.insert(data.drawings()[object.drawing].artist);
  return artists;
}

TEST(Scenes, DoNotDependOnThreads) {
  const SceneGenerator generator(own_atlas(), few(700), 5);
  EXPECT_TRUE(equal(make_scenes(generator, 1), make_scenes(generator, 2)));

  const TemporaryFolder folder;
  record_scenes(generator, folder / "one.hdf5", 1);
  record_scenes(generator, folder / "two.hdf5", 2);
  EXPECT_EQ(bytes_of(folder / "one.hdf5"), bytes_of(folder / "two.hdf5"));
}

TEST(Scenes, DependOnTheirNumberAndSeedAlone) {
  const SceneGenerator generator(own_atlas(), few(40), 5), longer(own_atlas(), few(400), 5);
  const ImageSet all = make_scenes(generator, 1);
  const ImageSet::Columns one = longer.make(33, 1);
  EXPECT_TRUE(std::ranges::equal(one.images, all.image(33)));
  EXPECT_TRUE(std::ranges::equal(one.masks, all.mask(33)));
  EXPECT_FALSE(std::ranges::equal(SceneGenerator(own_atlas(), few(40), 6).make(33, 1).images, one.images));
  EXPECT_FALSE(std::ranges::equal(SceneGenerator(own_atlas(), few(40, "validation"), 5).make(33, 1).images,
                                  one.images));
}

TEST(Scenes, TrainingShowsNeitherHeldOutArtistsNorHeldOutPairs) {
  for (const char* split : {"training", "validation"}) {
    const ImageSet data = scenes(few(3000, split));
    EXPECT_EQ(artists_of(data),
              (std::set<std::string>{"noto", "noto-v1", "fluent-emoji-flat", "fxemoji", "emojione"}));
    const std::set<Pair> pairs = pairs_of(data);
    EXPECT_GT(pairs.size(), 1000u);
    for (const auto& [a, b] : pairs) EXPECT_FALSE(is_held_out_pair(a, b, 0.2)) << a << " and " << b;
  }
  EXPECT_EQ(artists_of(scenes(few(300, "held_out_artists"))), std::set<std::string>{"twemoji"});

  const ImageSet unseen = scenes(few(1000, "held_out_pairs"));
  for (std::size_t i = 0; i < unseen.size(); ++i) ASSERT_EQ(unseen.objects(i).size(), 2u);
  for (const auto& [a, b] : pairs_of(unseen)) EXPECT_TRUE(is_held_out_pair(a, b, 0.2)) << a << " and " << b;
  EXPECT_FALSE(artists_of(unseen).contains("twemoji"));
}

TEST(Scenes, HoldsOutTheShareOfPairsWhicheverComesFirst) {
  std::set<std::string> names;
  for (const Drawing& drawing : own_atlas().drawings()) names.insert(drawing.name);
  std::size_t held = 0, all = 0;
  for (const std::string& a : names)
    for (const std::string& b : names) {
      if (a >= b) continue;
      ++all;
      held += is_held_out_pair(a, b, 0.2);
      ASSERT_EQ(is_held_out_pair(a, b, 0.2), is_held_out_pair(b, a, 0.2));
    }
  expect_share(held, all, 0.2, "held out");
  EXPECT_FALSE(is_held_out_pair("a", "b", 0));
}

TEST(Scenes, ConceptsAreAsPrevalentAsWasAskedFor) {
  for (const char* split : {"training", "held_out_artists", "held_out_pairs"}) {
    const ImageSet data = scenes(few(3000, split));
    std::map<std::string, std::size_t> count;
    for (std::size_t i = 0; i < data.size(); ++i) {
      int told = 0;
      for (const char* concept_name : {"weapons", "death", "substances"}) {
        count[concept_name] += data.holds(i, concept_name);
        told += data.holds(i, concept_name);
      }
      EXPECT_LE(told, 1);
    }
    expect_share(count["weapons"], data.size(), 0.2, split);
    expect_share(count["death"], data.size(), 0.1, split);
    expect_share(count["substances"], data.size(), 0.1, split);
  }
  SceneConfig config = few(2000);
  config.prevalence = {{"animals", 0.7}};
  const ImageSet data = scenes(config);
  std::size_t animals = 0;
  for (std::size_t i = 0; i < data.size(); ++i) animals += data.holds(i, "animals");
  expect_share(animals, data.size(), 0.7, "animals");
}

TEST(Scenes, LookAlikesStandAgainstTheTarget) {
  SceneConfig config = few(2000, "held_out_artists");
  config.contents = "look_alikes";
  const ImageSet data = scenes(config);
  std::size_t weapons = 0;
  for (std::size_t i = 0; i < data.size(); ++i) {
    weapons += data.holds(i, "weapons");
    EXPECT_NE(data.holds(i, "weapons"), data.holds_look_alike(i));
    EXPECT_FALSE(data.holds(i, "death") || data.holds(i, "substances"));
  }
  expect_share(weapons, data.size(), 0.5, "weapons");
}

TEST(Scenes, CaptionsSayWhatIsThere) {
  const ImageSet data = scenes(few(4000));
  std::size_t empty = 0, words = 0, hypernyms = 0, pairs = 0, partial = 0, upper = 0, told_pairs = 0;
  for (std::size_t i = 0; i < data.size(); ++i) {
    const std::vector<PlacedObject> objects = data.objects(i);
    pairs += objects.size() == 2;
    std::string caption(data.caption(i));
    if (caption.empty()) {
      ++empty;
      continue;
    }
    const auto is_named = [&](std::size_t k) {
      const Drawing& drawing = data.drawings()[objects[k].drawing];
      return caption == drawing.word || caption == drawing.hypernym;
    };
    told_pairs += objects.size() == 2;
    const bool leaves_one_out = objects.size() == 2 && (is_named(0) || is_named(1));
    partial += leaves_one_out;
    upper += leaves_one_out && !is_named(0);
    for (std::size_t k = 0; k < objects.size(); ++k) {
      const Drawing& drawing = data.drawings()[objects[k].drawing];
      if (leaves_one_out && !is_named(k)) continue;
      if (!leaves_one_out && k > 0) {
        ASSERT_TRUE(caption.starts_with(" and ")) << data.caption(i);
        caption.erase(0, 5);
      }
      const bool hypernym = caption.starts_with(drawing.hypernym);
      const std::string& said = hypernym ? drawing.hypernym : drawing.word;
      ASSERT_TRUE(caption.starts_with(said)) << data.caption(i) << ": " << drawing.name;
      caption.erase(0, said.size());
      ++words;
      hypernyms += hypernym;
      if (leaves_one_out) break;  // both may be of the same kind
    }
    EXPECT_EQ(caption, "") << data.caption(i);
  }
  expect_share(empty, data.size(), 0.1, "without a caption");
  expect_share(hypernyms, words, 0.3, "hypernyms");
  expect_share(pairs, data.size(), 0.5, "pairs");
  expect_share(partial, told_pairs, 0.5, "pairs of which one is named");
  EXPECT_GT(upper, partial / 3);
}

// Where the ground is one colour, a picture tells by itself where objects are.
TEST(Scenes, MasksAreWhereObjectsAre) {
  const ImageSet data = scenes(few(600));
  const int side = data.side();
  std::size_t plain = 0, inside = 0, changed = 0;
  for (std::size_t i = 0; i < data.size(); ++i) {
    const cv::Mat3b picture(side, side,
                            reinterpret_cast<cv::Vec3b*>(const_cast<std::uint8_t*>(data.image(i).data())));
    const cv::Mat mask(side, side, CV_8UC1, const_cast<std::uint8_t*>(data.mask(i).data()));
    cv::Mat near;
    cv::dilate(mask, near, cv::Mat::ones(5, 5, CV_8U));
    const cv::Mat away = near == 0;
    std::map<std::array<int, 3>, std::size_t> colours;  // off the masks
    std::size_t pixels = 0;
    const auto colour_at = [&](int y, int x) {
      const cv::Vec3b& colour = picture(y, x);
      return std::array<int, 3>{colour[0], colour[1], colour[2]};
    };
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x)
        if (away.at<std::uint8_t>(y, x) != 0) {
          ++pixels;
          ++colours[colour_at(y, x)];
        }
    const auto ground = std::ranges::max_element(colours, {}, [](const auto& entry) { return entry.second; });
    // Smoke, glass and glows are too faint for a mask.
    if (static_cast<double>(ground->second) < 0.97 * static_cast<double>(pixels)) continue;
    ++plain;
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x)
        if (mask.at<std::uint8_t>(y, x) != 0) {
          ++inside;
          changed += colour_at(y, x) != ground->first;
        }
  }
  expect_share(plain, data.size(), 1.0 / 3, "scenes whose ground is one colour off the masks");
  EXPECT_GT(static_cast<double>(changed), 0.97 * static_cast<double>(inside));
}

TEST(Scenes, HaveNoFaults) {
  const ImageSet data = scenes(few(2000));
  for (const Fault& fault : check_images(data)) ADD_FAILURE() << fault.name << ": " << fault.count;
}

TEST(Scenes, ObjectsAreOfTheSizeThatWasAskedFor) {
  SceneConfig config = few(400);
  config.two_objects = 0;
  for (const int size : {64, 128}) {
    config.size = size;
    const ImageSet data = scenes(config);
    double widest = 0;
    for (std::size_t i = 0; i < data.size(); ++i) {
      ASSERT_EQ(data.objects(i).size(), 1u);
      const PlacedObject object = data.objects(i)[0];
      const double longer = std::max(object.width, object.height);
      // A turned drawing is at least its longer side over the root of two, at most its diagonal.
      EXPECT_GE(longer, 28.0 / 64 * size / 1.5) << data.drawings()[object.drawing].name;
      EXPECT_LE(longer, 44.0 / 64 * size * 1.42 + 1) << data.drawings()[object.drawing].name;
      widest = std::max(widest, longer);
    }
    EXPECT_GT(widest, 44.0 / 64 * size);
  }
}

TEST(Scenes, RefuseWhatTheAtlasLacks) {
  const auto message = [](const auto& change) {
    SceneConfig config = few(10);
    change(config);
    return message_of<InvalidArgument>([&] { SceneGenerator(own_atlas(), config, 0); });
  };
  EXPECT_THAT(message([](SceneConfig& c) { c.artists = {"notto"}; }),
              HasSubstr("unknown artist 'notto'; did you mean 'noto'?"));
  EXPECT_THAT(message([](SceneConfig& c) { c.artists = {"twemoji"}; }),
              HasSubstr("artists: expected none that is held out, got twemoji"));
  EXPECT_THAT(message([](SceneConfig& c) {
                c.prevalence = {{"weapon", 0.1}};
              }),
              HasSubstr("did you mean 'weapons'?"));
  EXPECT_THAT(message([](SceneConfig& c) {
                c.prevalence = {{"weapons", 0.7}, {"food", 0.7}};
              }),
              HasSubstr("at most 1 in all, got 1.4"));
  EXPECT_THAT(message([](SceneConfig& c) {
                c.prevalence = {{"weapons", "many"}};
              }),
              HasSubstr("expected weapons to be a number"));
  EXPECT_THAT(message([](SceneConfig& c) { c.artists = {}; }), HasSubstr("artists: expected at least one"));
  EXPECT_THAT(message([](SceneConfig& c) { c.split = "test"; }), HasSubstr("split: "));
  EXPECT_THAT(message([](SceneConfig& c) { c.atlas_sha256 = "0"; }),
              HasSubstr("atlas_sha256: expected drawings of 0"));
  EXPECT_THAT(message([](SceneConfig& c) { c.split = "held_out_pairs", c.held_out_pairs = 0; }),
              HasSubstr("held_out_pairs: "));
}

// ---- the file ----

TEST(ImageSet, ComesBackFromItsFile) {
  const TemporaryFolder folder;
  const SceneGenerator generator(own_atlas(), few(50), 9);
  const ImageSet memory = make_scenes(generator, 1), file = record_scenes(generator, folder / "data.hdf5", 1);
  EXPECT_TRUE(equal(memory, file));
  EXPECT_EQ(file.drawings().size(), own_atlas().drawings().size());
  EXPECT_EQ(file.drawings()[7].word, own_atlas().drawings()[7].word);
  EXPECT_EQ(file.provenance().env, kEmojiScenes);
  EXPECT_EQ(file.provenance().seed, 9u);
  EXPECT_EQ(file.provenance().env_options.at("atlas_sha256"), own_atlas().sha256());
  EXPECT_EQ(file.path(), folder / "data.hdf5");
  EXPECT_TRUE(is_image_set(folder.path()));
  EXPECT_TRUE(equal(ImageSet::open(folder.path()), memory));

  const Json card = card_of(file);
  EXPECT_EQ(card.at("pictures"), 50);
  EXPECT_EQ(card.at("faults"), Json::array());
  EXPECT_THAT(image_card_markdown(card), HasSubstr("| emojione | "));
  EXPECT_THAT(image_card_markdown(card), HasSubstr("CC-BY-4.0"));
}

TEST(ImageSet, NamesWhatIsWrongWithAFile) {
  const TemporaryFolder folder;
  const SceneGenerator generator(own_atlas(), few(20), 9);
  record_scenes(generator, folder / "whole.hdf5", 1);
  const std::string whole = read_file(folder / "whole.hdf5");
  for (const std::size_t size : {whole.size() - 1, whole.size() / 2, std::size_t{100}, std::size_t{0}}) {
    write_file(folder / "cut.hdf5", whole.substr(0, size));
    const std::string message = message_of<Error>([&] { ImageSet::open(folder / "cut.hdf5"); });
    EXPECT_THAT(message, HasSubstr("cut.hdf5"));
    EXPECT_THAT(message, Not(HasSubstr("\n")));
    EXPECT_FALSE(is_image_set(folder / "cut.hdf5"));
  }
  Dataset::from_columns(sample_columns()).write_d4rl(folder / "acts.hdf5");
  EXPECT_FALSE(is_image_set(folder / "acts.hdf5"));
  EXPECT_THAT(message_of<Error>([&] { ImageSet::open(folder / "acts.hdf5"); }),
              HasSubstr("images: expected a column, found none"));
  EXPECT_THAT(message_of<Error>([&] { Dataset::open(folder / "whole.hdf5"); }),
              HasSubstr("observations: expected a column, found none"));
  EXPECT_FALSE(is_image_set(folder / "nothing.hdf5"));
}

ImageSet::Columns sample_images() {
  ImageSet::Columns columns = SceneGenerator(own_atlas(), few(10), 1).make(0, 10);
  columns.drawings = own_atlas().drawings();
  return columns;
}

TEST(ImageSet, RefusesColumnsThatDoNotBelongTogether) {
  const auto message = [](const auto& change) {
    ImageSet::Columns columns = sample_images();
    change(columns);
    return message_of<Error>([&] { ImageSet::from_columns(columns); });
  };
  EXPECT_THAT(message([](auto& c) { c.captions.pop_back(); }), HasSubstr("expected columns of equal length"));
  EXPECT_THAT(message([](auto& c) { c.objects[0] = 1e6F; }), HasSubstr("objects[0]: expected one of "));
  EXPECT_THAT(message([](auto& c) { c.objects[0] = 0.5F; }), HasSubstr("objects[0]: "));
  EXPECT_THAT(message([](auto& c) { c.objects[0] = std::nanf(""); }), HasSubstr("objects[0]: "));
  EXPECT_THAT(message([](auto& c) { c.objects[3] = 65; }), HasSubstr("inside the picture"));
  EXPECT_THAT(message([](auto& c) { c.side = 0; }), HasSubstr("side: expected 16 to 512"));
}

TEST(ImageSet, CheckNamesFaults) {
  const auto faults = [](const auto& change) {
    ImageSet::Columns columns = sample_images();
    change(columns);
    std::vector<std::string> names;
    for (const Fault& fault : check_images(ImageSet::from_columns(columns))) names.push_back(fault.name);
    return names;
  };
  using testing::ElementsAre;
  EXPECT_THAT(faults([](auto&) {}), ElementsAre());
  EXPECT_THAT(faults([](auto& c) { c.masks[0] = 3; }), ElementsAre("mask-without-object"));
  EXPECT_THAT(faults([](auto& c) { c.objects[1] += c.objects[1] > 0 ? -1.0F : 0.0F, c.objects[3] -= 1; }),
              ElementsAre("box-mismatch"));
  EXPECT_THAT(faults([](auto& c) { std::ranges::fill(std::span(c.masks).first(64 * 64), std::uint8_t{0}); }),
              testing::Contains("hidden-object"));
  EXPECT_THAT(faults([](auto& c) { c.captions[0] = 'X'; }), ElementsAre("caption-mismatch"));
  EXPECT_THAT(
      faults([](auto& c) { std::ranges::fill(std::span(c.images).first(64 * 64 * 3), std::uint8_t{7}); }),
      ElementsAre("flat-image"));
}

TEST(ImageSet, SheetShowsPictures) {
  const ImageSet data = ImageSet::from_columns(sample_images());
  const Image sheet = picture_sheet(data, 2, 100, 4, 2);
  const std::span<const std::uint8_t> third = data.image(2);
  for (const std::size_t c : {0u, 1u, 2u})
    EXPECT_EQ(sheet.rgb[c], third[c]);  // in the corner, from the one asked for
  EXPECT_THROW(picture_sheet(data, 10, 1), InvalidArgument);
}

// ---- the atlas ----

TEST(Atlas, WordsHaveTheirArticles) {
  for (const Drawing& drawing : own_atlas().drawings())
    for (const std::string& text : {drawing.word, drawing.hypernym}) {
      if (text.starts_with("two ")) continue;
      const std::string noun = text.substr(text.find(' ') + 1);
      const bool vowel = std::string("aeiouAEIOU").find(noun[0]) != std::string::npos;
      const bool sounds = noun == "unicorn" ? false : noun == "hourglass" ? true : vowel;
      EXPECT_EQ(text.substr(0, text.find(' ')), sounds ? "an" : "a") << text;
    }
}

TEST(Atlas, LabelsAreByTheDrawing) {
  std::size_t look_alikes = 0;
  std::set<std::string> water_pistols, guns, names;
  for (const Drawing& drawing : own_atlas().drawings()) {
    if (names.insert(drawing.name).second) look_alikes += drawing.look_alike;
    if (drawing.word == "a water pistol") water_pistols.insert(drawing.artist);
    if (drawing.word == "a gun") guns.insert(drawing.artist);
    EXPECT_FALSE(drawing.look_alike && drawing.concept_name == "weapons") << drawing.name;
  }
  EXPECT_EQ(look_alikes, 32u);
  EXPECT_EQ(water_pistols, (std::set<std::string>{"noto", "fluent-emoji-flat", "twemoji"}));
  EXPECT_EQ(guns, (std::set<std::string>{"noto-v1", "fxemoji", "emojione"}));
  EXPECT_EQ(own_atlas().artists().size(), 6u);
}

/// A folder with two artists, each with a knife and a cat.
class SmallAtlas : public testing::Test {
 protected:
  SmallAtlas() {
    write("artists.csv", "artist,licence,credit,source\nann,MIT,Ann,here\nbob,CC0-1.0,Bob,there\n");
    write("labels.csv",
          "name,artist,word,hypernym,concept,look_alike\n"
          "knife,,a knife,a weapon,weapons,0\nknife,bob,a butter knife,a tool,tools,1\ncat,,a cat,an "
          "animal,animals,0\n");
    for (const char* artist : {"ann", "bob"})
      for (const char* name : {"knife", "cat"})
        draw(fs::path(artist) / (std::string(name) + ".png"), CV_8UC4, 64);
  }

  void write(const fs::path& name, const std::string& text) const { write_file(folder_.path() / name, text); }
  void draw(const fs::path& name, int type, int side) const {
    cv::Mat picture(side, side, type, cv::Scalar::all(0));
    cv::circle(picture, {side / 2, side / 2}, side / 3, {0, 0, 200, 255}, cv::FILLED);
    std::vector<std::uint8_t> bytes;
    ASSERT_TRUE(cv::imencode(".png", picture, bytes));
    write(name, std::string(bytes.begin(), bytes.end()));
  }
  std::string message() const {
    std::string text = message_of<Error>([&] { Atlas::open(folder_.path()); });
    EXPECT_THAT(text, Not(HasSubstr("\n")));
    return text;
  }

  TemporaryFolder folder_;
};

TEST_F(SmallAtlas, IsReadWithItsExceptions) {
  const Atlas atlas = Atlas::open(folder_.path());
  ASSERT_EQ(atlas.drawings().size(), 4u);
  EXPECT_EQ(atlas.drawings()[2].word, "a knife");
  EXPECT_EQ(atlas.drawings()[3].word, "a butter knife");
  EXPECT_EQ(atlas.drawings()[3].artist, "bob");
  EXPECT_TRUE(atlas.drawings()[3].look_alike);
  EXPECT_EQ(atlas.concepts(), (std::vector<std::string>{"animals", "tools", "weapons"}));
  const std::span<const std::uint8_t> middle = atlas.pixels(0).subspan((32 * 64 + 32) * 4, 4);
  EXPECT_EQ(std::vector<int>(middle.begin(), middle.end()), (std::vector<int>{200, 0, 0, 255}));

  SceneConfig config = few(200);
  config.artists = {"ann"}, config.held_out_artists = {"bob"}, config.held_out_pairs = 0;
  config.prevalence = {{"weapons", 0.3}};
  const ImageSet data = make_scenes(SceneGenerator(atlas, config, 0), 1);
  EXPECT_EQ(artists_of(data), std::set<std::string>{"ann"});
  EXPECT_TRUE(check_images(data).empty());

  const std::string before = atlas.sha256();
  draw("ann/cat.png", CV_8UC4, 64);
  EXPECT_EQ(Atlas::open(folder_.path()).sha256(), before);
  write("ann/cat.png", read_file(folder_ / "ann/cat.png") + " ");
  EXPECT_NE(Atlas::open(folder_.path()).sha256(), before);
}

TEST_F(SmallAtlas, AnArtistIsAFolderAndALine) {
  write("artists.csv", read_file(folder_ / "artists.csv") + "cy,MIT,Cy,elsewhere\n");
  draw("cy/cat.png", CV_8UC4, 64);
  const Atlas atlas = Atlas::open(folder_.path());
  EXPECT_EQ(atlas.artists().back().name, "cy");
  EXPECT_EQ(atlas.drawings().size(), 5u);
}

TEST_F(SmallAtlas, NeedsALicenceOfEveryArtist) {
  write("artists.csv", "artist,licence,credit,source\nann,MIT,Ann,here\nbob,,Bob,there\n");
  EXPECT_THAT(message(), HasSubstr("artists.csv: line 3: expected a licence of bob, found none"));
  write("artists.csv", "artist,licence,credit,source\nann,MIT,Ann,here\n");
  EXPECT_THAT(message(), HasSubstr("artists.csv: expected the licence of bob, found no line of it"));
}

TEST_F(SmallAtlas, NeedsTheFolderOfEveryArtist) {
  fs::remove_all(folder_ / "bob");
  EXPECT_THAT(message(), HasSubstr("bob: expected the folder of an artist's pictures, found none"));
  fs::remove_all(folder_.path());
  EXPECT_THAT(message(), HasSubstr("expected a folder with labels.csv and artists.csv, found none"));
}

TEST_F(SmallAtlas, NamesWhatIsWrongInLabels) {
  const std::string labels = read_file(folder_ / "labels.csv");
  write("labels.csv", "name,artist,word,hypernym,concept\n");
  EXPECT_THAT(message(), HasSubstr("labels.csv: line 1: expected a table with a column named look_alike"));
  write("labels.csv", labels + "cat,,a cat,an animal,animals,0\n");
  EXPECT_THAT(message(),
              HasSubstr("labels.csv: line 5: expected one line of cat by all artists, found another"));
  write("labels.csv", labels + "dog,,a dog,an animal,animals\n");
  EXPECT_THAT(message(), HasSubstr("labels.csv: line 5: expected 6 cells, found 5"));
  write("labels.csv", labels + "dog,,a dog,an animal,animals,yes\n");
  EXPECT_THAT(message(), HasSubstr("labels.csv: line 5: expected look_alike to be 0 or 1, found yes"));
  write("labels.csv", labels + "cat,cy,a cat,an animal,animals,0\n");
  EXPECT_THAT(message(), HasSubstr("labels.csv: line 5: expected an artist of artists.csv, found cy"));
  write("labels.csv", labels + "dog,,a dog,an animal,animals,0\n");
  EXPECT_THAT(message(), HasSubstr("labels.csv: expected a picture of dog by some artist, found none"));
  write("labels.csv", labels + "dog,,,an animal,animals,0\n");
  EXPECT_THAT(message(), HasSubstr("labels.csv: line 5: expected a word of dog, found none"));
  write("labels.csv", "name,artist,word,hypernym,concept,look_alike\n");
  EXPECT_THAT(message(), HasSubstr("expected a header and lines, found none"));
}

TEST_F(SmallAtlas, NamesAPictureThatIsNone) {
  draw("bob/cat.png", CV_8UC3, 64);
  EXPECT_THAT(message(), HasSubstr("cat.png: expected an RGBA picture of 64 x 64 pixels, found one without"));
  draw("bob/cat.png", CV_8UC4, 48);
  EXPECT_THAT(message(), HasSubstr("found one of 48 x 48"));
  draw("bob/cat.png", CV_8UC4, 64);
  const std::string whole = read_file(folder_ / "bob/cat.png");
  for (const std::size_t size : {whole.size() - 30, whole.size() / 2, std::size_t{20}, std::size_t{0}}) {
    write("bob/cat.png", whole.substr(0, size));
    EXPECT_THAT(message(), HasSubstr("cat.png: expected an RGBA picture"));
  }
  draw("bob/cat.png", CV_8UC4, 64);
  draw("bob/dog.png", CV_8UC4, 64);
  EXPECT_THAT(message(), HasSubstr("labels.csv: expected a line of dog, which bob has drawn, found none"));
}

}  // namespace
}  // namespace diffreward
