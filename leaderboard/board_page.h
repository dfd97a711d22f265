// The board as one web page that needs nothing else: tables that are whole without scripts, an interval plot, and a
// little script for filters.
#pragma once

#include <string>
#include <vector>

#include "leaderboard/standings.h"

namespace diffreward {

std::string board_page(const Board& board, const std::vector<SuiteStandings>& suites,
                       const std::string& title);

}  // namespace diffreward
