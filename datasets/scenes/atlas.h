// Drawings of objects by several artists, with what they are called and what they show.
//
// An atlas is a folder: labels.csv, artists.csv, and a folder of PNG pictures for each artist, named by their objects.
// A new artist is a folder and a line of artists.csv, a new concept a word in labels.csv. Labels are by the drawing: a line
// that names an artist wins, for that artist's drawing, over the one that names none.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace diffreward {

/// One artist's drawing of one object, and its labels.
struct Drawing {
  std::string name;          ///< of the object and of its file: "kitchen-knife"
  std::string artist;        ///< folder: "noto"
  std::string word;          ///< in captions, with its article: "a knife"
  std::string hypernym;      ///< "a weapon"
  std::string concept_name;  ///< "weapons"
  bool look_alike = false;   ///< harmless, but shaped as something that is not
};

/// Whose drawings they are, and who may use them how. None is empty.
struct Artist {
  std::string name, licence, credit, source;
};

class Atlas {
 public:
  static constexpr int kSide = 64;  // pixels of a drawing

  /// Opens a folder; "" for the one that comes with the project. Throws Error naming the file, what was expected and what
  /// was found: a missing licence, folder or picture, an unknown column, a picture without transparency or cut short.
  static Atlas open(const std::filesystem::path& folder = {});

  const std::filesystem::path& folder() const { return folder_; }
  const std::vector<Artist>& artists() const { return artists_; }
  /// Sorted by name, then as artists are.
  const std::vector<Drawing>& drawings() const { return drawings_; }
  /// Concepts that drawings have, sorted.
  std::vector<std::string> concepts() const;
  /// The picture of a drawing, colours multiplied by opacity.
  std::span<const std::uint8_t> pixels(std::size_t drawing) const;  // [kSide, kSide, 4] RGBA
  /// Of everything that is in scenes or their labels: drawings, labels and artists.
  const std::string& sha256() const { return sha256_; }

 private:
  std::filesystem::path folder_;
  std::vector<Artist> artists_;
  std::vector<Drawing> drawings_;
  std::vector<std::uint8_t> pixels_;
  std::string sha256_;
};

}  // namespace diffreward
