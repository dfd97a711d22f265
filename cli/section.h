// What a command tells of its finished stages in a job's report: one section of the page, whatever their
// number and names.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "core/json.h"
#include "report/page.h"

namespace diffreward::cli {

/// A finished stage.
struct StepRecord {
  std::string name;
  std::filesystem::path folder;
  Json config, result;
  double seconds = 0;

  bool has_picture(const std::string& file) const;
  Image picture(const std::string& file) const;
};

using Section = void (*)(Page& page, std::span<const StepRecord> steps);

/// Three significant digits; "-" for what is no number.
std::string number(const Json& value);
std::string number(double value);
/// An estimate with its interval.
std::string with_interval(const Json& estimate);
/// "rl_true" as people read it: "rl true".
std::string readable(std::string name);

void generate_section(Page& page, std::span<const StepRecord> steps);
void train_section(Page& page, std::span<const StepRecord> steps);
void extract_section(Page& page, std::span<const StepRecord> steps);
void evaluate_section(Page& page, std::span<const StepRecord> steps);
void rl_section(Page& page, std::span<const StepRecord> steps);
void steer_section(Page& page, std::span<const StepRecord> steps);
void plan_section(Page& page, std::span<const StepRecord> steps);
void film_section(Page& page, std::span<const StepRecord> steps);

}  // namespace diffreward::cli
