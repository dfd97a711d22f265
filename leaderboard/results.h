// The results store: measured figures with what they should reach and how they were made, in one JSON file,
//
//   [{"name": ..., "value": ..., "unit": ..., "bar": ">= 0.85", "command": ..., "commit": ..., "machine":
//   ...,
//     "interval": [low, high], "seeds": [0, 1, 2], "note": ...}, ...]
//
// sorted by name; the last three are optional. Tables for people are made from it, never by hand.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.h"

namespace diffreward {

struct Result {
  std::string name;
  double value = 0;
  std::string unit;     ///< "cells", "steps/s"; empty for a plain number
  std::string bar;      ///< what it should reach: ">= 0.85", "> 0", "<= 0.5", "< 3"; empty for none
  std::string command;  ///< prints this figure again
  std::string commit, machine;
  std::optional<std::array<double, 2>> interval = {};  ///< 95 %
  std::vector<std::uint64_t> seeds = {};
  std::string note = {};

  Json json() const;
  /// Throws InvalidArgument naming the field, what was expected and what was found.
  static Result from_json(const Json& json);
};

/// Whether a value reaches a bar; nothing for an empty bar. A value that is not a number reaches none. Throws
/// InvalidArgument for a bar that is not one of the four comparisons and a number.
std::optional<bool> passes(double value, const std::string& bar);

/// The file's results; none when there is no file. Throws Error naming the file, the entry and the field.
std::vector<Result> load_results(const std::filesystem::path& path);
/// Sorted by name, written to a temporary name and renamed. Throws InvalidArgument for two results of one
/// name or a value that is not finite.
void save_results(const std::filesystem::path& path, std::vector<Result> results);
/// `results` with those of `fresh` added; of equal names the fresh one stays.
std::vector<Result> merge_results(std::vector<Result> results, const std::vector<Result>& fresh);

/// Three significant digits, thousands grouped: "0.913", "276", "1,240,000".
std::string format_number(double value);

/// A Markdown table: what, value with interval and unit, bar, and whether it is reached. Notes of results
/// with an interval, which tell the single runs, stay in the file.
std::string results_table(const std::vector<Result>& results);
/// `text` with everything between the lines <!-- results:begin --> and <!-- results:end --> replaced by the
/// table. Throws InvalidArgument when the markers are missing or in the wrong order.
std::string replace_table(const std::string& text, const std::vector<Result>& results);

/// "<processor model>, <n> cores", from /proc/cpuinfo; no names of hosts.
std::string machine_description();
/// The commit checked out in `folder`, 12 digits, or "unknown".
std::string source_commit(const std::filesystem::path& folder = ".");

}  // namespace diffreward
