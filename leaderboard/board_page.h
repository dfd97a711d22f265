// The board as one web page that needs nothing else: tables that are whole without scripts, an interval plot, and a
// little script for filters.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "envs/image.h"
#include "leaderboard/standings.h"

namespace diffreward {

/// A heatmap, a strip of frames, a sheet: shown behind a row.
struct RowPicture {
  std::string caption;  // not empty
  Image image;
};
/// By a row's number.
using RowPictures = std::map<std::int64_t, std::vector<RowPicture>>;

std::string board_page(const Board& board, const std::vector<SuiteStandings>& suites,
                       const std::string& title, const RowPictures& pictures = {});

}  // namespace diffreward
