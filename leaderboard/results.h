// The results store: measured figures with what they should reach and how they were made, in one JSON file,
//
//   [{"name": "AUROC, umaze", "question": "AUROC", "maze": "umaze", "group": "", "value": 0.9, "unit": "",
//     "bar": ">= 0.85", "command": ..., "commit": ..., "machine": ..., "interval": [low, high],
//     "runs": [0.89, 0.92, ...], "seeds": [0, 1, ...], "versions": {"torch": "2.13.0"}, "note": ...}, ...]
//
// sorted by name, which is unique. Question, maze and group make the name and stand apart where there is a
// maze or a group; interval, runs, seeds, versions and note are optional. Tables for people are made from it,
// never by hand.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.h"
#include "core/statistics.h"

namespace diffreward {

struct Result {
  std::string question;    ///< what was measured: the row of a table
  std::string maze = {};   ///< where: its column; empty for all mazes or none
  std::string group = {};  ///< of results that a table shows together; empty for the main one
  double value = 0;
  std::string unit = {};     ///< "cells", "steps/s"; empty for a plain number
  std::string bar = {};      ///< what it should reach: ">= 0.85", "> 0", "<= 0.5", "< 3"; empty for none
  std::string command = {};  ///< prints this figure again
  std::string commit = {};   ///< of the program that made it
  std::string machine = {};
  std::optional<std::array<double, 2>> interval = {};  ///< 95 %
  std::vector<double> runs = {};                       ///< [seeds]  the value of each seed
  std::vector<std::uint64_t> seeds = {};
  std::map<std::string, std::string> versions = {};  ///< of the packages that took part
  std::string note = {};

  /// Question, maze and group: no two results of a file have one name.
  std::string name() const;
  /// With unbounded ends where there is no interval.
  Estimate estimate() const;

  Json json() const;
  /// Throws InvalidArgument naming the field, what was expected and what was found.
  static Result from_json(const Json& json);
};

/// Whether a value reaches a bar; nothing for an empty bar. A value that is not a number reaches none. Throws
/// InvalidArgument for a bar that is not one of the four comparisons and a number.
std::optional<bool> passes(double value, const std::string& bar);
/// Whether the interval holds values on both sides of the bar.
bool undecided(const Result& result);

/// The file's results; none when there is no file. Throws Error naming the file, the entry and the field.
std::vector<Result> load_results(const std::filesystem::path& path);
/// Sorted by name, written to a temporary name and renamed. Throws InvalidArgument for two results of one
/// name or a number that is not finite.
void save_results(const std::filesystem::path& path, std::vector<Result> results);
/// `results` with those of `fresh` added; of equal names the fresh one stays.
std::vector<Result> merge_results(std::vector<Result> results, const std::vector<Result>& fresh);

/// Results of one group, as questions by mazes.
struct TableLayout {
  std::vector<std::string> questions;  ///< the rows in this order; those without a result are left out
  std::vector<std::string> mazes;      ///< the columns; results without a maze stand in the first
  std::string group = {};              ///< whose results are shown; heads the first column
};
/// A Markdown table: bold where the value misses its bar, a ~ behind it where the bar lies in the interval,
/// the bars in the last column. Empty without results.
std::string compact_table(const std::vector<Result>& results, const TableLayout& layout);
/// A value with its interval, as tables show it: bold where it misses its bar, a ~ behind it where the bar lies in the
/// interval.
std::string marked_estimate(const Result& result);
/// Rows of cells as a Markdown table; the first one is its head.
std::string markdown_table(const std::vector<std::vector<std::string>>& rows);
/// Markdown tables of everything, one for each command, commit, machine and list of seeds.
std::string results_table(const std::vector<Result>& results);
/// `text` with everything between the lines <!-- MARKER:begin --> and <!-- MARKER:end --> replaced by the
/// table. Throws InvalidArgument when they are missing or in the wrong order.
std::string replace_table(const std::string& text, const std::string& table,
                          const std::string& marker = "results");

/// "<processor model>, <n> cores", from /proc/cpuinfo; no names of hosts.
std::string machine_description();

}  // namespace diffreward
