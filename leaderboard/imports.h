// Results made elsewhere, brought onto a board: curves, score matrices, model cards, and other boards' exports. What
// another board exported is what it was there; all else is marked by where it came from and cannot be verified here.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "leaderboard/board.h"

namespace diffreward {

struct ImportConfig {
  std::string format = "auto";         // auto, board, scores, csv, tensorboard or model-index
  std::string suite = {};              // empty: the file's name
  std::string name = {};               // of the method where the file has none
  std::string tag = "episode_return";  // tensorboard: the curve
  std::vector<std::string> tasks =
      {};  // scores: names of columns; curves: the task where the file names none
  std::vector<std::string> columns = {};  // csv: method, task, seed, step, value
  std::vector<std::string> data = {};     // Minari's data sets that the methods learned from
  double norm_low = 0, norm_high = 1;
  int last = 1;  // curves: mean of so many last points
  std::uint64_t train_seed = 0;
};

/// A receipt each method; all of the file comes, or nothing. What another board retracted comes retracted, but takes
/// back no row that this board has: the receipt says so. Of TensorBoard's event files those of one folder are one curve,
/// and files without the tag are left out as long as one has it. Throws Error naming the file, and its line where it has lines, for anything else than what
/// the format says.
std::vector<BoardReceipt> import_results(Board& board, const std::filesystem::path& from,
                                         const ImportConfig& config);

/// JSON of a stranger. Throws InvalidArgument for other text, JSON that is too deep, and objects of more than 1,000
/// members.
Json parse_board(std::string_view exported);
/// Merges what board_json() wrote as import_results() does, in the caller's batch, without which a part of it may stay. Throws InvalidArgument
/// naming what does not fit.
std::vector<BoardReceipt> merge_board(Board& board, const Json& exported);

/// A point of a curve.
struct CurvePoint {
  std::int64_t step = 0;
  double value = 0;
};
/// The scalars of one tag in a TensorBoard event file (TFRecord frames of protocol buffers), in the file's order;
/// a cut last frame ends them. Throws Error naming the file for another one, and for a tag that it lacks, naming the
/// nearest.
std::vector<CurvePoint> read_tensorboard(const std::filesystem::path& file, const std::string& tag);

}  // namespace diffreward
