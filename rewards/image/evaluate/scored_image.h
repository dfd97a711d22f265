// What is known of a picture that was scored, and the table of them as a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace diffreward {

struct ScoredImage {
  std::string name;           // of the file, or of whatever it was made from
  double score = 0;           // rises with the concept
  bool positive = false;      // shows the concept, says the label
  std::string sampler = {};   // what made it: base, expert, steered, drawn ...
  std::string category = {};  // finer than the label: "knife", "look-alike" ...
  std::string prompt = {};
  std::uint64_t seed = 0;
};

/// The scores of one side.
std::vector<double> scores_of(std::span<const ScoredImage> rows, bool positive);

/// Numbers of the `count` negatives of the highest scores, the highest first.
std::vector<std::size_t> worst_false_positives(std::span<const ScoredImage> rows, std::size_t count);
/// Numbers of the `count` positives of the lowest scores, the lowest first.
std::vector<std::size_t> worst_false_negatives(std::span<const ScoredImage> rows, std::size_t count);

/// A table with a head, fields quoted where they must be (RFC 4180), scores to the last digit.
void write_scores(const std::filesystem::path& path, std::span<const ScoredImage> rows);

}  // namespace diffreward
