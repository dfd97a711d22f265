// The report of a maze job: one self-contained page from the recorded stages of a results folder.
#pragma once

#include <string>

#include "core/config.h"

namespace diffreward::cli {

struct ReportConfig {
  std::string results;  // folder of demo
  std::string out;      // HTML file; empty: report.html in that folder

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("results", self.results, "folder that demo wrote");
    field("out", self.out, "HTML file to write; empty for report.html in that folder");
  }
};
/// Writes the page; returns its path and the figures it shows. Throws Error naming a stage that is missing.
Json run_report(const ReportConfig& config);

}  // namespace diffreward::cli
