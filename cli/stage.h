// A stage: one command's work in one folder, reusable. A finished stage's folder holds its products,
// `config.toml` (the resolved config, readable by --config) and the record `stage.json`: what the stage was
// made from (config, SHA-256 of its inputs and of the program's sources), the program's commit, the result,
// and each product's size and SHA-256.
//
// Work in progress lives in the subfolder `unfinished` and moves up when all of it is there, products first,
// record last: whatever is killed when, a record never stands beside other products than its own, and the
// next run finishes a move that was cut short. Nothing that no record lists is ever removed or replaced.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/provenance.h"

namespace diffreward {
class Ranks;
}

namespace diffreward::cli {

/// What a stage reads. `path` is a file, or a finished stage's folder, which stands for the product in it.
struct StageInput {
  std::string option;     // field of the config that names it: "data", "env.options.map"
  std::string path;       // as given; "" for an input that is not used
  std::string product;    // "model.safetensors"; "data" for a data set, see find_data_file()
  std::string name = {};  // of one among several of an option
  bool or_text = false;   // what was given is a text: an input only where it names an earlier step of a job
};

struct StageSpec {
  std::string command;
  Json config;                   // resolved; `out`, `threads` and `reuse` change no result
  std::filesystem::path folder;  // --out
  bool reuse = false;
  std::vector<StageInput> inputs;
  std::vector<std::string> products;  // every file it may write, relative to the folder
  // Fields that a longer run may change, and products that it continues from then (training).
  std::vector<std::string> extends = {}, continues_from = {};
  Link link = Link::kRewards;  // whose sources it depends on
};

/// Runs `work(folder)`, which writes products into that folder and returns the stage's result; a value in it
/// that names a product is shown with the stage's folder. With `reuse` a finished stage of the same command,
/// program (program_sources()), config and inputs, whose products are all there and whole, is not run again;
/// its result is returned. One that only the program sets apart is made again, which standard error says. An
/// unfinished stage of the same making resumes from what it left; of another program it is refused. Throws
/// UsageError where an option is missing, and Error, before any work, where an input is missing, unfinished,
/// or not what its record says; where the folder is or holds an input, holds another command's stage or files
/// in the places of products that no record lists; and where another run is writing there.
/// `ranks`: this process is one of several that run the stage together. They must have one program, config and inputs, and
/// machines of one arithmetic; rank 0 keeps the folder, the others' work(folder) gets none, and null is returned there.
Json run_stage(const StageSpec& stage, const std::function<Json(const std::filesystem::path& folder)>& work,
               Ranks* ranks = nullptr);

/// SHA-256 of what a stage reads, by the options that name it: "policy", "env.options.map". Throws Error, naming the
/// option, where an input is missing, unfinished or not what its record says.
Json input_hashes(const StageSpec& stage);

/// What is known of a stage before it is run.
struct StageStatus {
  enum class State {
    kAbsent,      ///< nothing was made
    kUnfinished,  ///< begun, and to be resumed
    kChanged,     ///< made from another config, input or program
    kDone,        ///< finished, as it would be made now
  } state = State::kAbsent;
  double seconds = 0;  ///< that the last run took; 0 where none finished
};
/// Reads records alone and makes nothing; inputs that are not there yet count as changed.
StageStatus status_of(const StageSpec& stage);

/// The file that a path given as `option` stands for: itself, or `name` in a finished stage's folder. Throws
/// Error for an absent or unfinished one.
std::filesystem::path product(const std::string& path, const std::string& name);

/// What a path stands for: itself, or, where nothing is there, what comes with the project under that name (agents/trained.h).
std::filesystem::path stage_folder(const std::string& path);

/// The record of the finished stage in a folder. Throws Error naming the file.
Json stage_record(const std::string& path);

}  // namespace diffreward::cli
