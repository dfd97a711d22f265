// The board: an evaluation leaderboard in one SQLite file. Rows are only ever added: tasks that never change,
// entries (methods) with their runs and the score of every episode, artefacts by their SHA-256, the machines
// that scored them, verifications and retractions. Every row is an event of a chain of hashes, so that who
// keeps the newest hash sees later whether something before it was changed.
//
//   Board board("board.sqlite");
//   board.submit({.entry = {.name = "PPO"}, .runs = {{.task = "robots/Hopper-v4", .train_seed = 0, ...}}});
//   for (const BoardRun& run : board.runs()) ...
//
// What it promises: a call that returned has its rows on disk, one that did not has none of them, whatever is
// killed when; several processes may write at the same time; a file that is truncated, of another kind or of a
// newer schema is refused and left as it is. An object is used by one thread at a time; threads open the file
// each for themselves.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "leaderboard/machine.h"

namespace diffreward {

/// What is measured: an environment's streams of starts and goals, sealed by a seed that nothing else draws
/// from, the figure, and the fixed scores that count as 0 and as 1.
struct BoardTask {
  std::string name;                ///< "robots/Hopper-v4": suite first; unique on a board
  std::string kind = "behaviour";  ///< behaviour (agents, planners), reward, image_reward, or imported
  std::string env = {};
  Json options = Json::object();     ///< of the environment
  std::string metric = "return";     ///< what an episode's score is
  std::string direction = "higher";  ///< the better raw score: higher or lower
  double norm_low = 0;               ///< raw score that counts as 0 ...
  double norm_high = 1;              ///< ... and as 1
  Json pool = Json::object();        ///< the sealed streams: seed, episodes, and how they are run

  std::string suite() const { return name.substr(0, name.find('/')); }
  double normalised(double score) const { return (score - norm_low) / (norm_high - norm_low); }
  Json json() const;
  /// Throws InvalidArgument naming the field: one that is missing, unknown or of another type, numbers that are not
  /// finite, a direction that the normalisation contradicts.
  static BoardTask from_json(const Json& json);
  std::string hash() const;  ///< SHA-256 of json()
};

struct BoardEpisode {
  std::int64_t stream = 0;  ///< of the task's pool
  double score = 0;         ///< raw; not-a-number where the evaluation gave none
  std::int64_t steps = 0;
  bool operator==(const BoardEpisode&) const = default;
};

/// A file that a run needs or came from, known by its content.
struct BoardArtifact {
  std::string sha256;
  std::int64_t bytes = -1;  ///< -1: known by its hash alone
  std::string kind = {};    ///< weights, data, ...
  std::string uri = {};     ///< where it was found last; of this disk, not of the chain
};

/// One method. Those of one name, kind and config are one entry, whenever and by whom its runs were submitted.
struct BoardEntry {
  std::string name;
  std::string kind = "agent";  ///< agent, planner, scripted, reward, image_reward or imported
  Json config = Json::object();
  std::string commit = {};  ///< of the sources at its first run; "-dirty" behind it where files differed
  std::string command = {};
  std::string supersedes = {};     ///< hash of the entry that this one replaces
  std::string imported_from = {};  ///< not empty: cannot be verified here
  std::string note = {};

  // Known to the board.
  std::int64_t id = 0;
  std::string created = {};
  std::optional<std::string> retracted = {};  ///< the reason
  std::string superseded_by = {};             ///< hash of the latest entry that does

  bool dirty() const { return commit.ends_with("-dirty"); }
  /// SHA-256 of name, kind, config and imported_from: what makes two submissions the same entry.
  std::string hash() const;
};

struct BoardRun {
  std::string task;  ///< name
  std::uint64_t train_seed = 0;
  std::string status = "finished";                 ///< finished or failed
  std::string message = {};                        ///< why it failed
  std::string weights = {};                        ///< SHA-256
  std::string machine = {};                        ///< fingerprint of where it was scored
  std::string program = {};                        ///< SHA-256 of the sources that made it
  std::string commit = {};                         ///< of these sources
  std::string scored_by = {};                      ///< commit of the program that scored it
  Json config = Json::object();                    ///< of the run; what verify needs besides the inputs
  std::string command = {};                        ///< that made it
  std::map<std::string, std::string> inputs = {};  ///< role to SHA-256: "agent", "model", "data.expert_data"
  std::vector<BoardEpisode> episodes = {};         ///< by rising stream; empty as runs() gives it

  // Known to the board.
  std::int64_t id = 0, entry_id = 0;
  std::string entry = {};  ///< its hash
  double score = 0;        ///< mean of the episodes, raw; not-a-number for a failed run
  std::int64_t episode_count = 0;
  std::string episodes_sha256 = {};
  std::optional<std::string> retracted = {};

  bool failed() const { return status == "failed"; }
};

struct BoardSubmission {
  BoardEntry entry;
  std::vector<BoardRun> runs = {};
  std::vector<BoardArtifact> artifacts = {};
  std::vector<Machine> machines = {};  ///< that the runs name
  /// Bytes that the board shall keep, so that it can verify without the files: SHA-256 to content.
  std::map<std::string, std::string> contents = {};
};

struct BoardReceipt {
  std::string entry;          ///< hash
  std::int64_t id = 0;        ///< of the entry
  bool new_entry = false;     ///< it was not on the board
  int new_runs = 0;           ///< added now
  int known_runs = 0;         ///< there already, bit for bit
  std::int64_t last_run = 0;  ///< number of the last of the new ones
  std::vector<std::string> left_out =
      {};  ///< what another board says of rows that are this one's: a line each
  Json json() const;
};

struct BoardVerification {
  std::int64_t run = 0;
  std::string machine = {};
  /// verified, differs (same machine, other bits), other_machine, changed (an input's bits), missing (an input),
  /// or failed (the evaluation threw).
  std::string outcome = {};
  std::string first_difference = {};
  std::optional<double> difference = {};  ///< mean over streams of found minus recorded, raw
  std::string program = {};
  std::string created = {};
};

struct BoardLook {
  std::string entries = {}, pool = {};
  double share = 0, alpha = 0;
  std::string created = {};
};

/// Whom the board lets write over a network (leaderboard/server.h). The key itself is not kept, its SHA-256 is.
struct BoardKey {
  std::string name;
  std::string created = {};
  std::optional<std::string> revoked = {};  ///< when
  std::int64_t submissions = 0;             ///< that brought something
  Json json() const;
};

/// What a walk over everything found.
struct BoardCheck {
  std::int64_t events = 0, rows = 0, episodes = 0;
  std::string head;                 ///< hash of the last event: keep it elsewhere
  std::vector<std::string> faults;  ///< one line each
};

class Board;

/// What is read of a board while it lives is of one moment, whatever others write. One at a time each board, and none
/// while it is written to.
class BoardReading {
 public:
  explicit BoardReading(const Board& board);
  ~BoardReading();
  BoardReading(const BoardReading&) = delete;
  BoardReading& operator=(const BoardReading&) = delete;

 private:
  const Board& board_;
};

/// What is added to a board while it lives comes all together, with commit(), or not at all. One at a time each board.
class BoardBatch {
 public:
  /// Waits for the writers before it. Throws Error for a board that may not be written to.
  explicit BoardBatch(Board& board);
  ~BoardBatch();
  BoardBatch(const BoardBatch&) = delete;
  BoardBatch& operator=(const BoardBatch&) = delete;
  void commit();

 private:
  Board& board_;
};

/// Whether a board knows what to do with entries of this kind.
bool is_board_kind(const std::string& kind);

class Board {
 public:
  /// Makes a board with these tasks. Throws Error where a file is, and what add_task() throws.
  static Board create(const std::filesystem::path& path, const std::vector<BoardTask>& tasks);
  /// Opens one; a board of an older schema is brought up to date. Throws Error in one line
  /// for no file, a truncated or other one, and a newer schema; nothing is changed then.
  explicit Board(const std::filesystem::path& path);
  ~Board();
  Board(Board&&) noexcept;
  Board& operator=(Board&&) noexcept;

  const std::filesystem::path& path() const;
  bool read_only() const;  ///< nothing can be added

  std::vector<BoardTask> tasks() const;
  /// By name or hash. Throws InvalidArgument naming the nearest.
  BoardTask task(const std::string& name) const;
  /// Whether it was not there. Throws InvalidArgument for another task of this name: tasks never change.
  bool add_task(const BoardTask& task);

  /// All or nothing, and once: runs that the board has, bit for bit, are left out. Throws InvalidArgument for a
  /// run that the board has with other scores or weights, for runs of one task with unequal configs, for an
  /// entry or run that was retracted (another attempt of a retracted run is welcome), for texts that are no UTF-8,
  /// for unknown kinds, and for roles of inputs that are no names ("model.expert_data"). Failed runs need no config.
  BoardReceipt submit(const BoardSubmission& submission);

  std::vector<BoardEntry> entries() const;
  /// By number, name, or at least 6 digits of the hash. Throws InvalidArgument naming the nearest, and where a
  /// name is several entries'.
  BoardEntry entry(const std::string& row) const;
  /// All runs without config, command and inputs, or one entry's with them; of neither the episodes.
  std::vector<BoardRun> runs(std::optional<std::int64_t> entry = {}) const;
  std::vector<BoardEpisode> episodes(std::int64_t run) const;
  std::vector<Machine> machines() const;
  std::optional<BoardArtifact> artifact(const std::string& sha256) const;
  /// Bytes that the board keeps; nothing where it does not.
  std::optional<std::string> content(const std::string& sha256) const;

  void add_verification(const BoardVerification& verification);
  std::vector<BoardVerification> verifications(std::optional<std::int64_t> run = {}) const;
  /// Of an entry, or of one of its runs. Nothing is removed: the row says that it was retracted, and why.
  void retract(std::int64_t entry, std::optional<std::int64_t> run, const std::string& reason);
  /// What a look at the sealed streams of these tasks spent of each one's error, decided from the looks at each before
  /// it, with no look between. A row each.
  BoardLook add_look(const std::string& entries, const std::vector<std::string>& pools,
                     const std::function<BoardLook(const std::vector<std::vector<BoardLook>>&)>& decide);
  std::vector<BoardLook> looks(const std::string& pool) const;

  /// A new key, 256 random bits as text: this is the only time that it is told. Throws InvalidArgument for no name, for
  /// one that is no UTF-8 or of more than 200 bytes, and for another key's, a revoked one's too.
  std::string add_key(const std::string& name);
  std::vector<BoardKey> keys() const;
  /// Throws InvalidArgument for an unknown name, naming the nearest, and for a key that was revoked.
  void revoke_key(const std::string& name);
  /// Whose key this is, revoked or not; nothing for nobody's. Takes a time that tells nothing of the keys.
  std::optional<BoardKey> key_of(const std::string& key) const;
  /// Adds to a batch whose key brought the rows since the head was `previous`. Throws InvalidArgument for a key that is
  /// unknown or revoked.
  void sign(const std::string& name, const std::string& previous);

  /// Whether a run that stands was made from the file of this SHA-256.
  bool needs(const std::string& sha256) const;
  /// Keeps a file's bytes, as submit() does; whether they were not there. Throws InvalidArgument for bytes of another
  /// hash.
  bool keep(const std::string& sha256, const std::string& bytes);

  std::string head() const;  ///< hash of the last event, 64 zeros for none
  /// Walks the chain of events and compares every row with its event, and SQLite's own structures. `known`: a hash
  /// kept from earlier, which must be in the chain; empty for none.
  BoardCheck check(const std::string& known = {}) const;
  /// Removes kept contents that no entry needs which was not retracted, and gives the space back; bytes freed.
  std::int64_t collect_garbage();

 private:
  friend class BoardReading;
  friend class BoardBatch;
  struct Impl;
  explicit Board(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// SHA-256 of the episodes' streams, score bits and steps.
std::string hash_of_episodes(const std::vector<BoardEpisode>& episodes);

}  // namespace diffreward
