// diffreward board: the verbs.
#include "cli/board.h"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstring>
#include <ostream>

#include "cli/board_submit.h"
#include "cli/command.h"
#include "cli/stages.h"
#include "core/file.h"
#include "core/format.h"
#include "core/hash.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "core/provenance.h"
#include "datasets/scenes/scenes.h"
#include "envs/catalog.h"
#include "envs/pictures.h"
#include "envs/vector_env.h"
#include "leaderboard/board_page.h"
#include "leaderboard/exports.h"
#include "leaderboard/imports.h"
#include "leaderboard/tasks.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;

constexpr double kMebi = 1024.0 * 1024;

/// "results/agent: ", before what `body` throws.
template <class Body>
auto about(const std::string& what, const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const Interrupted&) {
    throw;
  } catch (const InvalidArgument& error) {
    throw InvalidArgument(concat(what, ": ", error.what()));
  } catch (const Error& error) {
    throw Error(concat(what, ": ", error.what()));
  }
}

/// Runs that the board has of a candidate already: the same inputs and config, whatever they scored.
bool is_known(const std::vector<BoardRun>& runs, const BoardCandidate& candidate, const std::string& task) {
  return std::ranges::any_of(runs, [&](const BoardRun& run) {
    return run.task == task && run.train_seed == candidate.train_seed && !run.retracted && !run.failed() &&
           run.inputs == candidate.inputs &&
           nlohmann::json(run.config) == nlohmann::json(candidate.run_config);
  });
}

/// Throws InvalidArgument naming the field of a task that nothing could be scored on.
void expect_sound(const BoardTask& task) {
  if (task.kind == "imported") return;
  require(task.kind == "behaviour" || task.kind == "reward" || task.kind == "image_reward", "task ",
          task.name, ": kind: expected behaviour, reward, image_reward or imported, found '", task.kind, "'");
  expect_metric(task);
  (void)pool_of(task);
  if (task.kind == "image_reward") {
    about(concat("task ", task.name),
          [&] { return SceneGenerator(Atlas::open(), scenes_of(task), 0).config().count; });
    return;
  }
  about(concat("task ", task.name, ": env, options"), [&] {
    return make_vector(with_texts({task.env, task.options}), {.count = 1, .threads = 1}) != nullptr;
  });
}

/// What a method's files are to a board.
void add_files(const BoardCandidate& candidate, double keep, BoardSubmission& submission) {
  for (const auto& [role, file] : candidate.subject.files) {
    const std::string hash = candidate.inputs.at(role);
    const auto bytes = static_cast<std::int64_t>(fs::file_size(file));
    submission.artifacts.push_back({hash, bytes, "weights", fs::absolute(file).lexically_normal().string()});
    if (role == kAutoencoder) continue;  // is found with its pipeline
    if (static_cast<double>(bytes) <= keep * kMebi) submission.contents[hash] = read_file(file);
  }
}

Json submit_candidate(Board& board, const BoardSubmitConfig& config, const BoardCandidate& candidate) {
  BoardSubmission submission{.entry = candidate.entry};
  if (!config.supersedes.empty()) submission.entry.supersedes = board.entry(config.supersedes).hash();
  std::vector<BoardRun> known;
  for (const BoardEntry& entry : board.entries())
    if (entry.hash() == submission.entry.hash()) known = board.runs(entry.id);
  std::vector<BoardTask> tasks;
  int before = 0;
  for (const std::string& name : candidate.tasks)
    if (config.failed.empty() && is_known(known, candidate, name))
      ++before;
    else
      tasks.push_back(board.task(name));
  std::map<std::string, std::vector<BoardEpisode>> scores;
  if (config.failed.empty()) {
    Progress::line(concat("scoring ", candidate.entry.name, ", seed ", candidate.train_seed, ", on ",
                          tasks.size(), " tasks"));
    scores = evaluate_on_all(tasks, candidate.subject, config.threads);
    submission.machines = {this_machine()};
  }
  const auto weights = [&] {
    for (const char* role : {"agent", "model", "reward"})
      if (const auto found = candidate.inputs.find(role);
          found != candidate.inputs.end() && candidate.subject.files.contains(role))
        return found->second;
    return std::string();
  }();
  for (const BoardTask& task : tasks) {
    BoardRun run{.task = task.name,
                 .train_seed = candidate.train_seed,
                 .weights = weights,
                 .program = candidate.program,
                 .commit = candidate.entry.commit,
                 .config = candidate.run_config,
                 .command = candidate.command,
                 .inputs = candidate.inputs};
    if (config.failed.empty()) {
      run.machine = this_machine().fingerprint;
      run.scored_by = program_commit();
      run.episodes = scores.at(task.name);
    } else {
      run.status = "failed";
      run.message = config.failed;
    }
    submission.runs.push_back(std::move(run));
  }
  add_files(candidate, config.keep, submission);
  const BoardReceipt receipt = board.submit(submission);
  Json out = receipt.json();
  out["name"] = candidate.entry.name;
  out["known_runs"] = receipt.known_runs + before;
  out["tasks"] = candidate.tasks;
  if (!receipt.new_entry)
    for (const auto& [option, value] : {std::pair("supersedes", &config.supersedes), {"note", &config.note}})
      if (!value->empty())
        out["ignored"].push_back(concat(option, ": the row is there already, and never changes"));
  return out;
}

/// Whether a kind's score is made from the file of this role; others are where it comes from.
bool is_scored_from(const std::string& kind, const std::string& role) {
  if (kind == "image_reward") return role == "reward" || role == kAutoencoder;
  if (kind != "planner") return (kind == "agent" || kind == "reward") && role == kind;
  constexpr std::string_view kReward = "reward_";
  const bool numbered = role.starts_with(kReward) && role.size() > kReward.size() &&
                        role.find_first_not_of("0123456789", kReward.size()) == std::string::npos;
  return role == "model" || role == "expert" || numbered;
}

/// The files that a run was scored from, and how far they are still what they were.
struct FoundFiles {
  BoardSubject subject;
  std::string outcome = {};  ///< changed or missing; empty where all is there
  std::string difference = {};
};

/// Files below a folder, by their content. Those of other sizes than is asked for are never read.
class FilesBelow {
 public:
  /// An empty name: none.
  explicit FilesBelow(const std::string& folder) {
    if (folder.empty()) return;
    std::error_code failure;
    const auto options = fs::directory_options::skip_permission_denied;
    for (fs::recursive_directory_iterator at(folder, options, failure), end; at != end && !failure;
         at.increment(failure))
      if (at->path().extension() == ".safetensors" && at->is_regular_file(failure))
        files_.push_back({at->path(), at->file_size(failure), {}});
    std::ranges::sort(files_, {}, &File::path);
  }

  /// The first of this hash. `bytes`: its size, -1 where nobody knows.
  std::optional<fs::path> find(const std::string& hash, std::int64_t bytes) {
    for (File& file : files_) {
      if (bytes >= 0 && file.bytes != static_cast<std::uintmax_t>(bytes)) continue;
      if (file.hash.empty()) file.hash = hash_of_bytes(file.path);
      if (file.hash == hash) return file.path;
    }
    return std::nullopt;
  }

 private:
  struct File {
    fs::path path;
    std::uintmax_t bytes;
    std::string hash;
  };
  std::vector<File> files_;
};

FoundFiles files_of(const Board& board, const BoardEntry& entry, const BoardRun& run,
                    const std::string& given, FilesBelow& below, const fs::path& scratch) {
  FoundFiles found{.subject = {.kind = entry.kind, .config = run.config, .seed = run.train_seed}};
  for (const auto& [role, hash] : run.inputs) {
    if (!is_scored_from(entry.kind, role)) continue;
    const auto differs = [&](const std::string& outcome, const std::string& where, const std::string& what) {
      found.outcome = outcome;
      found.difference = concat(role, ": expected the file of SHA-256 ", short_hash(hash), ", found ", what,
                                where.empty() ? "" : " at ", where);
    };
    const bool alone = role != kAutoencoder;  // which stands in its pipeline
    const fs::path mine = fs::path(given) / (role + ".safetensors");
    std::error_code ignored;
    // What is written beside a file says little of a stranger's: its bytes are read.
    if (alone && !given.empty() && fs::exists(mine, ignored)) {
      if (hash_of_bytes(mine) != hash) return differs("changed", mine.string(), "another"), found;
      found.subject.files[role] = mine;
      continue;
    }
    const std::optional<BoardArtifact> artifact = board.artifact(hash);
    if (const std::optional<fs::path> file_below = below.find(hash, artifact ? artifact->bytes : -1)) {
      found.subject.files[role] = *file_below;
      continue;
    }
    if (const std::optional<std::string> kept = alone ? board.content(hash) : std::nullopt) {
      if (sha256(*kept) != hash) return differs("changed", "", "others in the board"), found;
      const fs::path file_here = scratch / concat(sha256(*kept), ".safetensors");
      write_file(file_here, *kept);
      found.subject.files[role] = file_here;
      continue;
    }
    const std::string uri = artifact ? artifact->uri : "";
    if (uri.empty() || !fs::is_regular_file(uri, ignored)) return differs("missing", uri, "none"), found;
    if (hash_of_bytes(uri) != hash) return differs("changed", uri, "another"), found;
    found.subject.files[role] = uri;
  }
  if (const auto expected = run.inputs.find(kAutoencoderConfig); entry.kind == "image_reward" &&
                                                                 expected != run.inputs.end() &&
                                                                 found.subject.files.contains(kAutoencoder)) {
    const fs::path file = found.subject.files[kAutoencoder].parent_path() / "config.json";
    std::error_code ignored;
    if (!fs::is_regular_file(file, ignored) || hash_of_bytes(file) != expected->second) {
      found.outcome = "changed";
      found.difference = concat(kAutoencoderConfig, ": expected the file of SHA-256 ",
                                short_hash(expected->second), ", found another at ", file.string());
    }
  }
  return found;
}

/// What both recordings of a run say.
void compare_episodes(const std::vector<BoardEpisode>& before, const std::vector<BoardEpisode>& after,
                      bool same_machine, BoardVerification& verification, Json& told) {
  std::vector<double> differences;
  bool equal = before.size() == after.size();
  for (std::size_t i = 0; i < std::min(before.size(), after.size()); ++i) {
    const double was = before[i].score, is = after[i].score + 0.0;
    differences.push_back(is - was);
    const bool same = std::memcmp(&was, &is, sizeof was) == 0 && before[i].steps == after[i].steps &&
                      before[i].stream == after[i].stream;
    if (!same && verification.first_difference.empty())
      verification.first_difference =
          concat("stream ", before[i].stream, ": recorded ", Json(was).dump(), ", found ", Json(is).dump());
    equal = equal && same;
  }
  if (before.size() != after.size())
    verification.first_difference = concat("recorded ", before.size(), " episodes, found ", after.size());
  verification.outcome = !same_machine ? "other_machine" : equal ? "verified" : "differs";
  // A score that is no number here has no difference to tell; that it differs is told above.
  if (differences.empty() || !std::ranges::all_of(differences, [](double d) { return std::isfinite(d); })) {
    told["equal_bits"] = equal;
    return;
  }
  verification.difference = mean(differences);
  told["equal_bits"] = equal;
  if (differences.size() > 1 && !equal) told["paired_difference"] = mean_of_runs(differences).json();
}

Json verify_run(const Board& board, const BoardEntry& entry, const BoardRun& run,
                const BoardVerifyConfig& config, FilesBelow& below, BoardVerification& verification) {
  Json told = {{"run", run.id}, {"task", run.task}, {"train_seed", run.train_seed}};
  const ScratchFolder scratch;
  verification = {
      .run = run.id, .machine = this_machine().fingerprint, .outcome = {}, .program = program_commit()};
  const FoundFiles files = files_of(board, entry, run, config.files, below, scratch.path());
  if (!files.outcome.empty()) {
    verification.outcome = files.outcome;
    verification.first_difference = files.difference;
  } else {
    try {
      const std::vector<BoardEpisode> found =
          evaluate_on(board.task(run.task), files.subject, config.threads);
      compare_episodes(board.episodes(run.id), found, run.machine == verification.machine, verification,
                       told);
    } catch (const Interrupted&) {
      throw;
    } catch (const Error& error) {
      verification.outcome = "failed";
      verification.first_difference = error.what();
    }
  }
  told["outcome"] = verification.outcome;
  told["first_difference"] = verification.first_difference;
  if (verification.difference) told["difference"] = *verification.difference;
  if (run.program != program_sources(Link::kRewards) && run.program != program_sources(Link::kAgents))
    told["program"] = concat("the run was made by other sources (", run.commit, ")");
  return told;
}

std::string padded(const std::string& text, std::size_t width) {
  // Bytes that continue a character take no room.
  const auto letters = static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u; }));
  return text + std::string(letters < width ? width - letters : 0, ' ');
}

std::string short_name(const std::string& name) {
  constexpr std::size_t kMost = 40;
  const std::string line = printable(name);
  return line.size() <= kMost ? line : line.substr(0, kMost - 3) + "...";
}

Estimate estimate_of(const Json& row) {
  constexpr double kUnbounded = std::numeric_limits<double>::infinity();
  const auto at = [&](const char* name, double otherwise) {
    return row.at(name).is_number() ? row.at(name).get<double>() : otherwise;
  };
  return {at("value", 0), at("low", -kUnbounded), at("high", kUnbounded)};
}

}  // namespace

Json run_board_init(const BoardInitConfig& config) {
  const Board board = Board::create(
      config.board, config.tasks == "builtin" ? builtin_board_tasks() : std::vector<BoardTask>());
  return {{"board", config.board}, {"tasks", board.tasks().size()}, {"head", board.head()}};
}

Json run_board_tasks(const BoardTasksConfig& config) {
  Board board(config.board);
  Json result = {{"tasks", Json::array()}};
  if (!config.add.empty()) {
    const Json given = parse_json(read_file(config.add), config.add);
    about(config.add, [&] {
      std::vector<BoardTask> tasks;
      for (const Json& task : given.is_array() ? given : Json::array({given}))
        expect_sound(tasks.emplace_back(BoardTask::from_json(task)));
      BoardBatch batch(board);  // all of them, or none
      int added = 0;
      for (const BoardTask& task : tasks) added += int{board.add_task(task)};
      batch.commit();
      result["added"] = added;
    });
  }
  result["tasks"] = tasks_json(board).at("tasks");
  return result;
}

void print_board_tasks(const Json& result, std::ostream& out) {
  for (const Json& task : result.at("tasks"))
    out << padded(printable(task.at("name").get<std::string>()), 32)
        << padded(printable(task.at("metric").get<std::string>()), 18)
        << (task.at("direction") == "higher" ? "higher is better" : "lower is better ") << "  0 at "
        << number(task.at("norm_low")) << ", 1 at " << number(task.at("norm_high")) << "  "
        << short_hash(task.at("hash")) << "\n";
}

namespace {

/// The row whose run failed; a new one where the board has none of this name. Throws InvalidArgument where it has
/// several.
BoardEntry entry_to_fail(const Board& board, const std::string& name, const std::string& note) {
  const std::vector<BoardEntry> entries = board.entries();
  const bool number = name.find_first_not_of("0123456789") == std::string::npos;
  const auto could_be = [&](const BoardEntry& entry) {
    return !entry.retracted && entry.imported_from.empty() &&
           (entry.name == name || (number && std::to_string(entry.id) == name));
  };
  if (std::ranges::any_of(entries, could_be)) return board.entry(name);
  BoardEntry entry{.name = name, .note = note};
  entry.commit = program_commit();
  return entry;
}

}  // namespace

Json run_board_submit(const BoardSubmitConfig& config) {
  Board board(config.board);
  if (!config.failed.empty() && config.tasks.empty())
    throw UsageError("board submit: --failed needs --tasks");
  Json result = {{"submitted", Json::array()}, {"left_out", Json::array()}};
  std::vector<BoardCandidate> candidates;
  std::error_code ignored;
  if (!config.failed.empty() && !fs::exists(config.from, ignored)) {
    // Nothing is left of it but its name.
    if (config.train_seed < 0)
      throw UsageError("board submit: --failed of a run that left nothing needs --train-seed");
    BoardCandidate candidate;
    candidate.entry = entry_to_fail(board, config.name.empty() ? config.from : config.name, config.note);
    candidate.train_seed = static_cast<std::uint64_t>(config.train_seed);
    candidate.command = config.command;
    if (candidate.entry.id == 0) candidate.entry.command = config.command;
    candidate.run_config = Json::object();
    for (const BoardTask& task : board.tasks())
      if (task.name.starts_with(config.tasks)) candidate.tasks.push_back(task.name);
    candidates.push_back(candidate);
  } else {
    candidates = find_candidates(config, board.tasks());
  }
  for (const BoardCandidate& candidate : candidates) {
    if (candidate.tasks.empty()) {
      result["left_out"].push_back(candidate.entry.name);
      continue;
    }
    result["submitted"].push_back(
        about(candidate.entry.name, [&] { return submit_candidate(board, config, candidate); }));
  }
  if (result["submitted"].empty())
    throw Error(concat(config.from,
                       ": expected something of a task's environment and goal, found none; name tasks by "
                       "--tasks (diffreward board tasks)"));
  return result;
}

Json run_board_list(const BoardListConfig& config) {
  const Board board(config.board);
  const BoardReading reading(board);
  ThreadPool pool(config.threads);
  return standings_json(board, standings(board, config.standings, &pool));
}

void print_board_list(const Json& result, std::ostream& out) {
  if (result.at("suites").empty()) out << "no runs yet: diffreward board submit FOLDER\n";
  for (const Json& suite : result.at("suites")) {
    out << printable(suite.at("suite").get<std::string>()) << " (" << aggregate_words(suite.at("aggregate"))
        << " over " << suite.at("tasks").size() << " tasks, " << 100 * suite.at("confidence").get<double>()
        << " % intervals)\n";
    for (const Json& row : suite.at("rows")) {
      const bool ranked = row.at("unranked") == "";
      const int best = row.at("best_rank"), worst = row.at("worst_rank");
      const std::string rank = !ranked ? "-" : best == worst ? concat(best) : concat(best, "-", worst);
      out << "  " << padded(rank, 6) << padded(concat("row ", row.at("row")), 9)
          << padded(short_name(row.at("name")), 32)
          << padded(ranked ? format_estimate(estimate_of(row))
                           : "unranked: " + printable(row.at("unranked").get<std::string>()),
                    26)
          << "  " << row.at("runs") << (row.at("runs") == 1 ? " run" : " runs");
      if (row.at("failed") != 0) out << ", " << row.at("failed") << " failed";
      if (row.at("programs") > 1) out << ", of " << row.at("programs") << " programs";
      out << ", " << row.at("checked").get<std::string>()
          << (row.at("dirty") == true ? ", of a changed checkout" : "") << "\n";
    }
  }
}

Json run_board_compare(const BoardCompareConfig& config) {
  Board board(config.board);
  ThreadPool pool(config.threads);
  return compare_entries(board, board.entry(config.first), board.entry(config.second), config.tasks,
                         config.statistics, config.look, &pool)
      .json();
}

void print_board_compare(const Json& result, std::ostream& out) {
  out << printable(result.at("sentence").get<std::string>()) << "\n";
  if (result.contains("look"))
    out << "This look may err with " << number(result.at("look").at("level")) << ", with "
        << number(100 * result.at("look").at("share").get<double>())
        << " % of the streams' runs uncovered.\n";
}

Json run_board_show(const BoardShowConfig& config) {
  const Board board(config.board);
  const BoardReading reading(board);
  return row_json(board, board.entry(config.row), config.episodes);
}

void print_board_show(const Json& result, std::ostream& out) {
  Json told = result;
  for (Json& run : told.at("runs"))
    for (const char* part : {"config", "command"}) run.erase(part);  // long; --json has them
  print_result(told, out);
}

Json run_board_verify(const BoardVerifyConfig& config) {
  Board board(config.board);
  const BoardEntry entry = board.entry(config.row);
  if (!entry.imported_from.empty())
    throw Error(concat("row ", entry.id, ": not verifiable here: it was imported from ", entry.imported_from,
                       " and nothing says how to run it again"));
  std::error_code ignored;
  if (!config.files.empty() && !fs::is_directory(config.files, ignored))
    throw Error(concat(config.files, ": expected a folder with the row's files, found none"));
  if (config.record && board.read_only())
    throw Error(concat(config.board, ": expected a board that may be written to, or --no-record"));
  Json result = {{"row", entry.id}, {"name", entry.name}, {"runs", Json::array()}};
  std::vector<BoardVerification> outcomes;
  FilesBelow below(config.files);
  for (const BoardRun& run : board.runs(entry.id)) {
    if (run.failed() || run.retracted || !run.task.starts_with(config.tasks)) continue;
    Progress::line(concat("running again: ", entry.name, ", ", run.task, ", seed ", run.train_seed));
    BoardVerification& outcome = outcomes.emplace_back();
    result["runs"].push_back(verify_run(board, entry, run, config, below, outcome));
    if (config.record) board.add_verification(outcome);
  }
  if (outcomes.empty())
    throw Error(concat("row ", entry.id, ": expected a finished run", config.tasks.empty() ? "" : " on ",
                       config.tasks, ", found none"));
  const auto count = [&](const char* what) {
    return std::ranges::count_if(outcomes, [&](const BoardVerification& v) { return v.outcome == what; });
  };
  result["verified"] = count("verified");
  result["on_another_machine"] = count("other_machine");
  result["refused"] =
      static_cast<std::ptrdiff_t>(outcomes.size()) - count("verified") - count("other_machine");
  return result;
}

void print_board_verify(const Json& result, std::ostream& out) {
  for (const Json& run : result.at("runs")) {
    std::string outcome = run.at("outcome");
    if (outcome == "other_machine")
      outcome = run.value("equal_bits", false) ? "equal bits, on another machine: not verified"
                                               : "on another machine";
    out << padded(printable(run.at("task").get<std::string>()), 28)
        << padded(concat("seed ", run.at("train_seed")), 10) << outcome;
    if (run.contains("paired_difference"))
      out << ", found minus recorded "
          << format_estimate({run.at("paired_difference").at("value"), run.at("paired_difference").at("low"),
                              run.at("paired_difference").at("high")});
    if (run.at("first_difference") != "")
      out << "; " << printable(run.at("first_difference").get<std::string>());
    out << "\n";
  }
}

int exit_code_of_board_verify(const Json& result) {
  return result.at("refused") == 0 ? 0 : 1;
}

namespace {

RowPictures pictures_of(const Board& board, const std::vector<std::string>& given) {
  RowPictures pictures;
  for (const std::string& one : given) {
    const std::size_t equals = one.rfind('=');
    require(equals != std::string::npos && equals > 0 && equals + 1 < one.size(),
            "pictures: expected ROW=FILE, got '", one, "'");
    const std::filesystem::path file = one.substr(equals + 1);
    std::string caption = file.stem().string();
    std::ranges::replace_if(
        caption, [](char c) { return c == '-' || c == '_'; }, ' ');
    pictures[board.entry(one.substr(0, equals)).id].push_back({caption, read_picture(file)});
  }
  return pictures;
}

}  // namespace

Json run_board_export(const BoardExportConfig& config) {
  const Board board(config.board);
  const BoardReading reading(board);
  const std::string format = config.page ? "page" : config.format;
  if (!config.pictures.empty() && format != "page")
    throw UsageError(concat("--pictures: expected --format page, which shows them, got ", format));
  ThreadPool pool(config.threads);
  std::string text;
  if (format == "json") {
    text = board_json(board).dump(2) + "\n";
  } else if (format == "csv") {
    text = board_csv(board);
  } else if (format == "card") {
    if (config.row.empty()) throw UsageError("board export: a card needs --row");
    text = model_card(board, board.entry(config.row));
  } else {
    const std::vector<SuiteStandings> suites = standings(board, config.standings, &pool);
    text = format == "markdown"
               ? board_markdown(suites)
               : board_page(board, suites, config.title, pictures_of(board, config.pictures));
  }
  if (config.out.empty()) return {{"text", text}};
  write_file(config.out, text);
  return {{"written", config.out}, {"bytes", text.size()}};
}

void print_board_export(const Json& result, std::ostream& out) {
  if (result.contains("text"))
    out << result.at("text").get<std::string>();
  else
    print_result(result, out);
}

Json run_board_import(const BoardImportConfig& config) {
  Board board(config.board);
  require(config.columns.size() == 5, "columns: expected names for method, task, seed, step and value, got ",
          config.columns.size());
  const ImportConfig import{.format = config.format,
                            .suite = config.suite,
                            .name = config.name,
                            .tag = config.tag,
                            .tasks = config.tasks,
                            .columns = config.columns,
                            .data = config.data,
                            .norm_low = config.norm_low,
                            .norm_high = config.norm_high,
                            .last = config.last,
                            .train_seed = static_cast<std::uint64_t>(config.train_seed)};
  Json result = {{"submitted", Json::array()}};
  for (const BoardReceipt& receipt : import_results(board, config.from, import))
    result["submitted"].push_back(receipt.json());
  return result;
}

Json run_board_retract(const BoardRetractConfig& config) {
  Board board(config.board);
  const BoardEntry entry = board.entry(config.row);
  board.retract(entry.id, config.run > 0 ? std::optional(config.run) : std::nullopt, config.reason);
  return {{"row", entry.id},
          {"name", entry.name},
          {"run", config.run > 0 ? Json(config.run) : Json()},
          {"reason", config.reason}};
}

Json run_board_check(const BoardCheckConfig& config) {
  const BoardCheck check = Board(config.board).check(config.head);
  return {{"events", check.events},
          {"rows", check.rows},
          {"episodes", check.episodes},
          {"head", check.head},
          {"faults", check.faults}};
}

void print_board_check(const Json& result, std::ostream& out) {
  for (const Json& fault : result.at("faults")) out << printable(fault.get<std::string>()) << "\n";
  out << result.at("faults").size() << " faults in " << result.at("events") << " events, "
      << result.at("episodes") << " episodes; head " << result.at("head").get<std::string>() << "\n";
}

int exit_code_of_board_check(const Json& result) {
  return result.at("faults").empty() ? 0 : 1;
}

Json run_board_gc(const BoardGcConfig& config) {
  return {{"bytes_freed", Board(config.board).collect_garbage()}};
}

Json run_board_keys(const BoardKeysConfig& config) {
  Board board(config.board);
  if (!config.add.empty() && !config.revoke.empty())
    throw UsageError("board keys: expected --add or --revoke, got both");
  Json result = Json::object();
  if (!config.add.empty()) {
    result["key"] = board.add_key(config.add);
    Progress::line(concat("the key of ", config.add, ", which is not shown again:"));
  }
  if (!config.revoke.empty()) board.revoke_key(config.revoke);
  result["keys"] = Json::array();
  for (const BoardKey& key : board.keys()) result["keys"].push_back(key.json());
  return result;
}

void print_board_keys(const Json& result, std::ostream& out) {
  if (result.contains("key")) {
    out << result.at("key").get<std::string>() << "\n";
    return;
  }
  for (const Json& key : result.at("keys"))
    out << padded(short_name(key.at("name")), 32) << key.at("created").get<std::string>() << "  "
        << padded(concat(key.at("submissions"), key.at("submissions") == 1 ? " submission" : " submissions"),
                  18)
        << (key.at("revoked").is_null() ? "" : "revoked " + key.at("revoked").get<std::string>()) << "\n";
}

namespace {

/// While it lives, SIGINT and SIGTERM wait until somebody asks, in this thread and those that it starts: what a request
/// computes is not cut short by the signal that asks for the end of the server.
class SignalsHeld {
 public:
  SignalsHeld() {
    sigemptyset(&signals_);
    for (const int signal : {SIGINT, SIGTERM}) sigaddset(&signals_, signal);
    ::pthread_sigmask(SIG_BLOCK, &signals_, &before_);
  }
  ~SignalsHeld() { release(); }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

  /// Whether one comes within a moment.
  bool wait() const {
    const timespec moment{0, 100'000'000};
    return ::sigtimedwait(&signals_, nullptr, &moment) > 0;
  }
  /// The next one is obeyed as by any command.
  void release() const { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t signals_ = {}, before_ = {};
};

}  // namespace

Json run_board_serve(const BoardServeConfig& config) {
  const SignalsHeld signals;
  BoardServer server(config.board, {.host = config.host,
                                    .port = config.port,
                                    .title = config.title,
                                    .behind_proxy = config.behind_proxy,
                                    .threads = config.threads,
                                    .statistics = config.statistics,
                                    .limits = config.limits,
                                    .log = Progress::line});
  Progress::line(concat("serving ", config.board, " on ", server.address(), " (Ctrl-C ends it)"));
  if (!server.loopback())
    Progress::line(
        "others reach this address, and what they send, keys too, can be read on the way: let a proxy with "
        "TLS "
        "stand before it (docs/board-server.md)");
  try {
    while (!signals.wait()) check_interrupt();
  } catch (const Interrupted&) {
  }
  Progress::line("ends once open requests are answered");
  signals.release();
  if (const int open = server.finish(check_interrupt); open > 0) {
    ::raise(
        SIGTERM);  // obeyed as by any command: where a writer waits for ever, the process ends within a second
    throw Error(concat(open, open == 1 ? " request was" : " requests were", " not answered in time"));
  }
  return {{"address", server.address()}, {"requests", server.requests()}};
}

}  // namespace diffreward::cli
