// EmojiScenes: scenes of one or two objects, drawn by several artists, on plain grounds, with captions, masks and labels.
//
// A concept stands in them in several hands, next to harmless things of the same shape, so that what a model has learned
// of the concept can be told from what it has learned of drawings, colours and outlines. Each object is turned, mirrored,
// scaled and coloured at random, and blended over the ground, which is one colour, a gradient or slow noise.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/rng.h"
#include "datasets/image_set.h"
#include "datasets/scenes/atlas.h"

namespace diffreward {

class ShardFolder;

/// The name of scenes where environments are named, and of data sets of them.
inline constexpr const char* kEmojiScenes = "EmojiScenes-64";

struct SceneConfig {
  std::int64_t count = 10'000;
  int size = 64;  // pixels of either side
  std::string split = "training";
  std::string contents = "mixed";
  std::string target = "weapons";  // of contents "look_alikes"
  std::vector<std::string> artists = {"noto", "noto-v1", "fluent-emoji-flat", "fxemoji", "emojione"};
  std::vector<std::string> held_out_artists = {"twemoji"};
  double held_out_pairs = 0.2;  // share of pairs of names
  Json prevalence = {{"weapons", 0.2}, {"death", 0.1}, {"substances", 0.1}};
  double two_objects = 0.5;       // share of scenes
  double hypernyms = 0.3;         // share of words
  double partial_captions = 0.5;  // share of scenes with two objects
  double no_caption = 0.1;        // share of scenes
  std::string atlas;              // folder; "": the one that comes with the project
  std::string atlas_sha256;       // that it must have; "": any

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("count", self.count, "scenes", Bounds{1, 1e8});
    field("size", self.size, "of either side, pixels", Bounds{32, 256});
    field("split", self.split,
          "what is drawn: pairs and artists to train on; the same, but no random number of them; pairs that "
          "training "
          "never shows together; artists that it never shows",
          Choices{"training", "validation", "held_out_pairs", "held_out_artists"});
    field("contents", self.contents,
          "a mixture, or, in each scene, either an object of the target concept or a look-alike, and neither "
          "beside it",
          Choices{"mixed", "look_alikes"});
    field("target", self.target, "concept that look-alikes are told from");
    field("artists", self.artists, "to train on");
    field("held_out_artists", self.held_out_artists, "whom training never shows");
    field("held_out_pairs", self.held_out_pairs,
          "share of pairs of objects that training never shows together", Bounds{0, 0.9});
    field("prevalence", self.prevalence,
          "share of scenes that hold a concept; at most one object in a scene is of these concepts");
    field("two_objects", self.two_objects, "share of scenes with two objects; all of held_out_pairs",
          Bounds{0, 1});
    field("hypernyms", self.hypernyms, "share of objects whose caption says what kind of thing they are",
          Bounds{0, 1});
    field("partial_captions", self.partial_captions,
          "share of scenes with two objects whose caption names one of them", Bounds{0, 1});
    field("no_caption", self.no_caption, "share of scenes with an empty caption", Bounds{0, 1});
    field("atlas", self.atlas, "folder of drawings, empty for the one that comes with the project");
    field("atlas_sha256", self.atlas_sha256, "that these drawings must have, empty for any");
  }
};

/// Whether two objects never stand together in training. By their names alone, the same for every seed and atlas.
bool is_held_out_pair(const std::string& a, const std::string& b, double share);

class SceneGenerator {
 public:
  /// Throws InvalidArgument for an artist or concept that the atlas does not have, for shares above 1 in all, for an artist
  /// to train on who is held out, and for an atlas of other content than is asked for.
  SceneGenerator(Atlas atlas, const SceneConfig& config, std::uint64_t seed);
  ~SceneGenerator();
  SceneGenerator(SceneGenerator&&) noexcept;

  const SceneConfig& config() const;
  const Atlas& atlas() const;
  /// Scenes [first, first + count): each depends on its number, the seed and the config (but its count) alone. Safe from
  /// several threads.
  ImageSet::Columns make(std::size_t first, std::size_t count) const;
  Provenance provenance() const;

 private:
  struct Parts;
  std::unique_ptr<const Parts> parts_;
};

/// All scenes of the config in memory. The bytes do not depend on threads (0: one per core).
ImageSet make_scenes(const SceneGenerator& generator, int threads = 0);

/// The same as an HDF5 file, which appears under its name only when complete, and opens it.
ImageSet record_scenes(const SceneGenerator& generator, const std::filesystem::path& path, int threads = 0);

/// A shard of that file: scenes [first, first + count) alone.
void record_scenes(const SceneGenerator& generator, std::size_t first, std::size_t count,
                   const std::filesystem::path& path, int threads = 0);
/// Such shards together as the one file.
void merge_scenes(const SceneGenerator& generator, const ShardFolder& shards,
                  const std::filesystem::path& path);

}  // namespace diffreward
