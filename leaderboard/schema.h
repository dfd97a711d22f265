// The board's tables, by versions: a board of version k becomes one of version k + 1 by the k-th script. Scripts
// that were released never change.
#pragma once

#include <string>
#include <vector>

namespace diffreward {

/// "dRbd", so that `file` and readers know it.
constexpr int kBoardApplication = 0x64526264;

const std::vector<std::string>& board_migrations();

}  // namespace diffreward
