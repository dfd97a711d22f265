#include "leaderboard/board.h"

#include <openssl/crypto.h>
#include <sys/random.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <ctime>
#include <limits>
#include <set>

#include "core/config.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/interrupt.h"
#include "core/statistics.h"
#include "leaderboard/database.h"
#include "leaderboard/schema.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFewestDigits = 6;  // of a hash that names an entry
constexpr const char* kNoHash = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where two configs differ first, as a JSON pointer. What one of them lacks is an option that its program did not have, which
/// is no difference: later programs leave earlier runs as they were.
std::optional<std::string> first_unequal(const Json& a, const Json& b, const std::string& at = "") {
  if (!a.is_object() || !b.is_object()) return a == b ? std::nullopt : std::optional(at);
  for (const auto& [name, value] : a.items())
    if (const auto other = b.find(name); other != b.end())
      if (auto found = first_unequal(value, *other, concat(at, "/", name))) return found;
  return std::nullopt;
}

/// Rows as their events tell them: what the row refers to by what it is, not by its number here.
const std::map<std::string, std::string, std::less<>>& records() {
  static const std::map<std::string, std::string, std::less<>> selects = {
      {"task",
       "SELECT sha256, name, kind, env, options, metric, direction, norm_low, norm_high, stream_pool FROM "
       "task "
       "WHERE event = ?"},
      {"artifact", "SELECT sha256, bytes, kind, uri FROM artifact WHERE event = ?"},
      {"machine", "SELECT fingerprint, cpu, isa, libm, packages FROM machine WHERE event = ?"},
      {"entry",
       "SELECT sha256, name, kind, config, commit_id, dirty, command, supersedes, imported_from, "
       "note FROM "
       "entry WHERE event = ?"},
      {"run",
       "SELECT e.sha256 AS entry, t.sha256 AS task, train_seed, attempt, status, message, weights_sha, "
       "machine, "
       "r.program, r.commit_id, scored_by, r.config, r.command, inputs, score, episodes, episodes_sha256 "
       "FROM run r JOIN entry e ON "
       "e.id = "
       "r.entry JOIN task t ON t.id = r.task WHERE r.event = ?"},
      {"verification",
       "SELECT r.event AS run_event, v.machine, outcome, first_difference, difference, v.program FROM "
       "verification v "
       "JOIN run r ON r.id = v.run WHERE v.event = ?"},
      {"retraction",
       "SELECT e.sha256 AS entry, r.event AS run_event, reason FROM retraction x JOIN entry e ON e.id = "
       "x.entry LEFT "
       "JOIN run r ON r.id = x.run WHERE x.event = ?"},
      {"look", "SELECT entries, pool, share, alpha_spent FROM look WHERE event = ?"},
      {"write_key", "SELECT name, sha256 FROM write_key WHERE event = ?"},
      {"revocation",
       "SELECT k.name AS write_key FROM revocation x JOIN write_key k ON k.id = x.write_key WHERE x.event = "
       "?"},
      {"submission",
       "SELECT k.name AS write_key, previous FROM submission s JOIN write_key k ON k.id = s.write_key WHERE "
       "s.event = ?"},
  };
  return selects;
}

/// Keys sorted at every level: equal tables are equal texts.
std::string canonical(const Json& json) {
  try {
    return nlohmann::json(json).dump();
  } catch (const Json::exception&) {
    throw InvalidArgument("board: expected texts in UTF-8, found other bytes");
  }
}

/// Roles come to be parts of files' names: words, joined by dots.
bool is_role(const std::string& role) {
  constexpr const char* kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
  return !role.empty() && role.front() != '.' && role.back() != '.' &&
         role.find_first_not_of(kLetters) == std::string::npos && role.find("..") == std::string::npos;
}

void require_text(const std::string& text, const char* what) {
  try {
    (void)Json(text).dump();
  } catch (const Json::exception&) {
    throw InvalidArgument(concat(what, ": expected a text in UTF-8, found '", text, "'"));
  }
}

std::string now() {
  const auto time = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count() % 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text + size, sizeof text - size, ".%03dZ", static_cast<int>(milliseconds));
  return text;
}

std::string chained(const std::string& previous, const std::string& created, const std::string& body) {
  return sha256(previous + "\n" + created + "\n" + body);
}

/// The mean score, or not-a-number where the run failed.
double score_of(const BoardRun& run) {
  if (run.failed()) return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> scores;
  for (const BoardEpisode& episode : run.episodes) scores.push_back(episode.score);
  return mean(scores);
}

/// A run with a score that is no number has failed.
BoardRun checked(BoardRun run) {
  require(run.status == "finished" || run.failed(), "run: status: expected finished or failed, got '",
          run.status, "'");
  require(run.train_seed <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()),
          "run: train_seed: expected at most 2^63 - 1, got ", run.train_seed);
  require(run.failed() || !run.episodes.empty(), "run: expected episodes of a finished run on ", run.task,
          ", found none");
  require(!run.failed() || !run.message.empty(), "run: message: expected why it failed, found nothing");
  std::sort(run.episodes.begin(), run.episodes.end(),
            [](const BoardEpisode& a, const BoardEpisode& b) { return a.stream < b.stream; });
  for (std::size_t i = 0; i < run.episodes.size(); ++i) {
    BoardEpisode& episode = run.episodes[i];
    require(i == 0 || episode.stream != run.episodes[i - 1].stream,
            "run: expected one episode a stream, found two of ", episode.stream);
    episode.score += 0.0;  // as the file has it: no minus zero
    if (std::isfinite(episode.score) || run.failed()) continue;
    run.status = "failed";
    run.message = concat("the score of stream ", episode.stream, " is ", episode.score);
  }
  return run;
}

}  // namespace

std::string hash_of_episodes(const std::vector<BoardEpisode>& episodes) {
  std::string bytes;
  for (const BoardEpisode& episode : episodes) {
    // One not-a-number only, as in the file.
    const double score =
        std::isnan(episode.score) ? std::numeric_limits<double>::quiet_NaN() : episode.score + 0.0;
    for (const void* part : {static_cast<const void*>(&episode.stream), static_cast<const void*>(&score),
                             static_cast<const void*>(&episode.steps)})
      bytes.append(static_cast<const char*>(part), 8);
  }
  return sha256(bytes);
}

Json BoardTask::json() const {
  return {{"name", name},         {"kind", kind},           {"env", env},
          {"options", options},   {"metric", metric},       {"direction", direction},
          {"norm_low", norm_low}, {"norm_high", norm_high}, {"stream_pool", pool}};
}

BoardTask BoardTask::from_json(const Json& json) {
  require(json.is_object(), "task: expected an object, found ", brief(json));
  BoardTask task{.name = member<std::string>(json, "name")};
  std::vector<std::string> known;
  const Json whole = task.json();
  for (const auto& [key, unused] : whole.items()) known.push_back(key);
  for (const auto& [key, unused] : json.items())
    require(std::find(known.begin(), known.end(), key) != known.end(),
            "task: ", unknown_name("key", key, known));
  if (json.contains("kind")) task.kind = member<std::string>(json, "kind");
  if (json.contains("env")) task.env = member<std::string>(json, "env");
  if (json.contains("options")) task.options = member<Json>(json, "options");
  if (json.contains("metric")) task.metric = member<std::string>(json, "metric");
  if (json.contains("direction")) task.direction = member<std::string>(json, "direction");
  task.norm_low = member<double>(json, "norm_low");
  task.norm_high = member<double>(json, "norm_high");
  if (json.contains("stream_pool")) task.pool = member<Json>(json, "stream_pool");
  require(!task.name.empty(), "name: expected a name, found nothing");
  require_text(task.name, "name");
  require(task.options.is_object(), "options: expected a table, found ", brief(task.options));
  require(task.pool.is_object(), "stream_pool: expected a table, found ", brief(task.pool));
  require(std::isfinite(task.norm_low) && std::isfinite(task.norm_high) && task.norm_low != task.norm_high,
          "norm_low, norm_high: expected two finite numbers, found ", task.norm_low, " and ", task.norm_high);
  require(task.direction == (task.norm_high > task.norm_low ? "higher" : "lower"), "direction: expected ",
          task.norm_high > task.norm_low ? "higher" : "lower", ", as norm_low and norm_high have it, found '",
          task.direction, "'");
  return task;
}

std::string BoardTask::hash() const {
  return sha256(canonical(json()));
}

std::string BoardEntry::hash() const {
  return sha256(
      canonical({{"name", name}, {"kind", kind}, {"config", config}, {"imported_from", imported_from}}));
}

Json BoardReceipt::json() const {
  Json out = {{"entry", entry},
              {"row", id},
              {"new_entry", new_entry},
              {"new_runs", new_runs},
              {"known_runs", known_runs}};
  if (!left_out.empty()) out["left_out"] = left_out;
  return out;
}

struct Board::Impl {
  Impl(const fs::path& path, Database::Access access) : database(path, access) {}

  SqlStatement& sql(const std::string& text) { return database.statement(text); }

  [[noreturn]] void fail(const std::string& message) const {
    throw Error(concat(database.path().string(), ": ", message));
  }

  int version() { return static_cast<int>(database.number("PRAGMA user_version")); }
  static int newest() { return static_cast<int>(board_migrations().size()); }

  void expect_wal() {
    SqlStatement& mode = sql("PRAGMA journal_mode = WAL");
    const std::string found = mode.step() ? mode.text(0) : "";
    mode.reset();
    if (found != "wal")
      fail(concat("expected a local disk, where a log can stand beside the board, found journal mode ",
                  found));
  }

  void expect_board() {
    const std::int64_t application = database.number("PRAGMA application_id");
    if (application == 0 && database.number("SELECT count(*) FROM sqlite_schema") == 0)
      fail("expected a board, found one whose making was cut short; make it again (diffreward board init)");
    if (application != kBoardApplication) fail("expected a board, found a database of another kind");
    if (version() > newest())
      fail(concat("expected a board of schema ", newest(), " or less, found ", version(),
                  ", of a newer diffreward; nothing was changed"));
  }

  /// In a transaction.
  void migrate() {
    for (int from = version(); from < newest(); ++from)
      database.execute(board_migrations()[static_cast<std::size_t>(from)]);
    database.execute(concat("PRAGMA user_version = ", newest()));
  }

  std::string head() {
    SqlStatement& last = sql("SELECT hash FROM event ORDER BY id DESC LIMIT 1");
    const std::string hash = last.step() ? last.text(0) : kNoHash;
    last.reset();
    return hash;
  }

  std::int64_t next_event() { return database.number("SELECT coalesce(max(id), 0) + 1 FROM event"); }

  /// The row that an event added, as its body has it; nothing where there is none.
  std::optional<std::string> body_of(const std::string& table, std::int64_t event) {
    SqlStatement& row = sql(records().find(table)->second);
    row.bind(0, event);
    if (!row.step()) {
      row.reset();
      return std::nullopt;
    }
    Json record = {{"row", table}};
    record.update(row.row());
    row.reset();
    return record.dump();
  }

  /// Makes an event of the row that was inserted with this number for it.
  void record(const std::string& table, std::int64_t event) {
    std::string body;
    try {
      body = body_of(table, event).value();
    } catch (const Json::exception&) {
      throw InvalidArgument(concat(table, ": expected texts in UTF-8, found other bytes"));
    }
    const std::string previous = head(), created = now();
    sql("INSERT INTO event VALUES(?, ?, ?, ?, ?)")
        .bind(0, event)
        .bind(1, created)
        .bind(2, body)
        .bind(3, previous)
        .bind(4, chained(previous, created, body))
        .run();
  }

  std::optional<std::int64_t> id_of(const std::string& query, const std::string& value) {
    SqlStatement& found = sql(query);
    found.bind(0, value);
    const std::optional<std::int64_t> id = found.step() ? std::optional(found.integer(0)) : std::nullopt;
    found.reset();
    return id;
  }

  void insert(const BoardTask& task) {
    const std::int64_t event = next_event();
    sql("INSERT INTO task VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(0, event)
        .bind(1, task.hash())
        .bind(2, task.name)
        .bind(3, task.kind)
        .bind(4, task.env)
        .bind(5, canonical(task.options))
        .bind(6, task.metric)
        .bind(7, task.direction)
        .bind(8, task.norm_low)
        .bind(9, task.norm_high)
        .bind(10, canonical(task.pool))
        .run();
    record("task", event);
  }

  bool add(const BoardTask& given) {
    const BoardTask task = BoardTask::from_json(given.json());
    if (id_of("SELECT id FROM task WHERE sha256 = ?", task.hash())) return false;
    require(
        !id_of("SELECT id FROM task WHERE name = ?", task.name), "task ", task.name,
        ": expected the task that the board has under this name, found another: tasks never change, give it "
        "another name");
    insert(task);
    return true;
  }

  void insert(const BoardArtifact& artifact) {
    if (id_of("SELECT event FROM artifact WHERE sha256 = ?", artifact.sha256)) return;
    require(artifact.sha256.size() == 64 &&
                artifact.sha256.find_first_not_of("0123456789abcdef") == std::string::npos,
            "artifact: expected 64 hexadecimal digits of SHA-256, found '", artifact.sha256, "'");
    const std::int64_t event = next_event();
    SqlStatement& add = sql("INSERT INTO artifact VALUES(?, ?, ?, ?, ?)");
    // Its place is of this disk: an event would keep it for everybody.
    add.bind(0, artifact.sha256).bind(1, event).bind(3, artifact.kind).bind_null(4);
    artifact.bytes < 0 ? add.bind_null(2) : add.bind(2, artifact.bytes);
    add.run();
    record("artifact", event);
  }

  void insert(const Machine& machine) {
    if (id_of("SELECT event FROM machine WHERE fingerprint = ?", machine.fingerprint)) return;
    const std::int64_t event = next_event();
    sql("INSERT INTO machine VALUES(?, ?, ?, ?, ?, ?)")
        .bind(0, machine.fingerprint)
        .bind(1, event)
        .bind(2, machine.cpu)
        .bind(3, machine.isa)
        .bind(4, machine.libm)
        .bind(5, machine.packages)
        .run();
    record("machine", event);
  }

  std::int64_t insert(const BoardEntry& entry) {
    const std::int64_t event = next_event();
    if (!entry.supersedes.empty())
      require(id_of("SELECT id FROM entry WHERE sha256 = ?", entry.supersedes).has_value(),
              "supersedes: expected an entry of the board, found ", entry.supersedes);
    sql("INSERT INTO entry VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(0, event)
        .bind(1, entry.hash())
        .bind(2, entry.name)
        .bind(3, entry.kind)
        .bind(4, canonical(entry.config))
        .bind_optional(5, entry.commit)
        .bind(6, std::int64_t{entry.dirty()})
        .bind_optional(7, entry.command)
        .bind_optional(8, entry.supersedes)
        .bind_optional(9, entry.imported_from)
        .bind_optional(10, entry.note)
        .run();
    const std::int64_t id = database.last_row();
    record("entry", event);
    return id;
  }

  /// What the board has of a run's task and seed.
  struct Known {
    std::int64_t attempts = 0;
    std::optional<BoardRun> standing = {};  // weights, status and hash of the episodes
  };

  Known known(std::int64_t entry, std::int64_t task, const BoardRun& run) {
    Known found;
    SqlStatement& rows =
        sql("SELECT attempt, status, weights_sha, episodes_sha256, EXISTS(SELECT 1 FROM retraction x WHERE "
            "x.run = r.id) "
            "FROM run r WHERE entry = ? AND task = ? AND train_seed = ? ORDER BY attempt");
    rows.bind(0, entry).bind(1, task).bind(2, static_cast<std::int64_t>(run.train_seed));
    while (rows.step()) {
      found.attempts = rows.integer(0);
      found.standing.reset();
      if (rows.integer(4) != 0) continue;
      BoardRun& standing = found.standing.emplace();
      standing.status = rows.text(1);
      standing.weights = rows.text(2);
      standing.episodes_sha256 = rows.text(3);
    }
    rows.reset();
    return found;
  }

  void expect_config(std::int64_t entry, std::int64_t task, const BoardRun& run, const std::string& config) {
    SqlStatement& other =
        sql("SELECT config FROM run r WHERE entry = ? AND task = ? AND status = 'finished' AND NOT "
            "EXISTS(SELECT 1 FROM retraction x "
            "WHERE x.run = "
            "r.id) LIMIT 1");
    other.bind(0, entry).bind(1, task);
    const std::optional<std::string> found = other.step() ? std::optional(other.text(0)) : std::nullopt;
    other.reset();
    if (!found || *found == config) return;
    if (const auto where = first_unequal(parse_json(*found, "config"), parse_json(config, "config")))
      throw InvalidArgument(
          concat("run of ", run.task, ", seed ", run.train_seed,
                 ": expected the config of this entry's other runs on the task, found another at ",
                 where->empty() ? "its beginning" : *where, "; give the method another name"));
  }

  bool insert(std::int64_t entry, const BoardRun& run) {
    const std::optional<std::int64_t> task = id_of("SELECT id FROM task WHERE name = ?", run.task);
    require(task.has_value(), "run: expected a task of the board, found '", run.task, "'");
    const std::string hash = hash_of_episodes(run.episodes), config = canonical(run.config);
    const Known before = known(entry, *task, run);
    if (before.standing) {
      const bool same = before.standing->status == run.status && before.standing->weights == run.weights &&
                        before.standing->episodes_sha256 == hash;
      require(same, "run of ", run.task, ", seed ", run.train_seed, ": the board has it with other ",
              before.standing->weights != run.weights ? "weights"
              : before.standing->status != run.status ? "status"
                                                      : "scores",
              "; nothing was changed (board verify compares scores, board retract takes a run back)");
      return false;
    }
    if (!run.failed()) expect_config(entry, *task, run, config);
    const std::int64_t event = next_event();
    SqlStatement& add =
        sql("INSERT INTO run VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    add.bind(0, event)
        .bind(1, entry)
        .bind(2, *task)
        .bind(3, static_cast<std::int64_t>(run.train_seed))
        .bind(4, before.attempts + 1)
        .bind(5, run.status)
        .bind_optional(6, run.message)
        .bind_optional(7, run.weights)
        .bind_optional(8, run.machine)
        .bind_optional(9, run.program)
        .bind_optional(10, run.commit)
        .bind_optional(11, run.scored_by)
        .bind(12, config)
        .bind_optional(13, run.command)
        .bind(14, canonical(Json(run.inputs)))
        .bind(15, score_of(run))
        .bind(16, static_cast<std::int64_t>(run.episodes.size()))
        .bind(17, hash)
        .run();
    const std::int64_t id = database.last_row();
    SqlStatement& episodes = sql("INSERT INTO episode VALUES(?, ?, ?, ?)");
    for (const BoardEpisode& episode : run.episodes)
      episodes.bind(0, id).bind(1, episode.stream).bind(2, episode.score).bind(3, episode.steps).run();
    record("run", event);
    return true;
  }

  Database database;
  std::unique_ptr<WriteTransaction> batch = {};  ///< that whatever is added goes into

  /// A transaction, or a part of the batch.
  class Writing {
   public:
    explicit Writing(Impl& impl) {
      if (!impl.batch) own_.emplace(impl.database);
    }
    void commit() {
      if (own_) own_->commit();
    }

   private:
    std::optional<WriteTransaction> own_;
  };
};

BoardReading::BoardReading(const Board& board) : board_(board) {
  board_.impl_->database.execute("BEGIN");
}

BoardReading::~BoardReading() {
  try {
    board_.impl_->database.execute("COMMIT");
  } catch (const Error&) {  // of a damaged file
  }
}

BoardBatch::BoardBatch(Board& board) : board_(board) {
  board_.impl_->batch = std::make_unique<WriteTransaction>(board_.impl_->database);
}

BoardBatch::~BoardBatch() {
  board_.impl_->batch.reset();
}

void BoardBatch::commit() {
  board_.impl_->batch->commit();
}

bool is_board_kind(const std::string& kind) {
  constexpr const char* kKinds[] = {"agent", "planner", "scripted", "reward", "image_reward", "imported"};
  return std::find(std::begin(kKinds), std::end(kKinds), kind) != std::end(kKinds);
}

Board::Board(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Board::~Board() = default;
Board::Board(Board&&) noexcept = default;
Board& Board::operator=(Board&&) noexcept = default;

Board Board::create(const fs::path& path, const std::vector<BoardTask>& tasks) {
  std::error_code ignored;
  auto impl = [&] {
    const bool there = fs::exists(path, ignored) && fs::file_size(path, ignored) > 0;
    auto opened = std::make_unique<Impl>(path, Database::Access::kCreate);
    if (there && (opened->database.number("PRAGMA application_id") != 0 ||
                  opened->database.number("SELECT count(*) FROM sqlite_schema") != 0))
      opened->fail("expected no file, found one; nothing was changed");
    return opened;
  }();
  impl->expect_wal();
  WriteTransaction writing(impl->database);
  if (impl->database.number("PRAGMA application_id") != 0)
    impl->fail("expected no file, found one; nothing was changed");
  impl->database.execute(concat("PRAGMA application_id = ", kBoardApplication));
  impl->migrate();
  for (const BoardTask& task : tasks) impl->add(task);
  writing.commit();
  return Board(std::move(impl));
}

Board::Board(const fs::path& path) : impl_(std::make_unique<Impl>(path, Database::Access::kOpen)) {
  impl_->expect_board();
  if (impl_->version() < Impl::newest()) {
    if (impl_->database.read_only())
      impl_->fail(
          concat("expected a board of schema ", Impl::newest(), ", found ", impl_->version(),
                 " where it cannot be brought up to date; copy it to a place that can be written to"));
    WriteTransaction writing(impl_->database);
    impl_->migrate();
    writing.commit();
  }
}

const fs::path& Board::path() const {
  return impl_->database.path();
}

bool Board::read_only() const {
  return impl_->database.read_only();
}

std::vector<BoardTask> Board::tasks() const {
  std::vector<BoardTask> out;
  SqlStatement& rows = impl_->sql(
      "SELECT name, kind, env, options, metric, direction, norm_low, norm_high, stream_pool FROM task ORDER "
      "BY id");
  while (rows.step())
    out.push_back({rows.text(0), rows.text(1), rows.text(2), parse_json(rows.text(3), "options"),
                   rows.text(4), rows.text(5), rows.real(6), rows.real(7),
                   parse_json(rows.text(8), "stream_pool")});
  rows.reset();
  return out;
}

BoardTask Board::task(const std::string& name) const {
  std::vector<std::string> names;
  for (const BoardTask& task : tasks()) {
    if (task.name == name || task.hash() == name) return task;
    names.push_back(task.name);
  }
  throw InvalidArgument(unknown_name("task", name, names));
}

bool Board::add_task(const BoardTask& task) {
  Impl::Writing writing(*impl_);
  const bool added = impl_->add(task);
  writing.commit();
  return added;
}

BoardReceipt Board::submit(const BoardSubmission& submission) {
  const BoardEntry& entry = submission.entry;
  require(!entry.name.empty(), "name: expected a name, found nothing");
  for (const auto& [text, what] : {std::pair(&entry.name, "name"),
                                   {&entry.note, "note"},
                                   {&entry.command, "command"},
                                   {&entry.kind, "kind"}})
    require_text(*text, what);
  require(is_board_kind(entry.kind),
          "kind: expected agent, planner, scripted, reward, image_reward or imported, found '", entry.kind,
          "'");
  std::vector<BoardRun> runs;
  for (const BoardRun& run : submission.runs) {
    for (const auto& [role, unused] : run.inputs)
      require(is_role(role), "inputs: expected roles of letters, digits, '_', '-' and dots between, found '",
              role, "'");
    runs.push_back(checked(run));
  }
  for (const auto& [hash, bytes] : submission.contents)
    require(sha256(bytes) == hash, "contents: expected bytes of ", hash, ", found others");
  Impl::Writing writing(*impl_);
  BoardReceipt receipt{.entry = entry.hash()};
  for (const Machine& machine : submission.machines) impl_->insert(machine);
  for (const BoardArtifact& artifact : submission.artifacts) {
    impl_->insert(artifact);
    if (!artifact.uri.empty())
      impl_->sql("INSERT OR REPLACE INTO place VALUES(?, ?)")
          .bind(0, artifact.sha256)
          .bind(1, artifact.uri)
          .run();
  }
  if (const auto known = impl_->id_of("SELECT id FROM entry WHERE sha256 = ?", receipt.entry)) {
    receipt.id = *known;
    SqlStatement& gone = impl_->sql("SELECT reason FROM retraction WHERE entry = ? AND run IS NULL");
    gone.bind(0, receipt.id);
    const std::optional<std::string> reason = gone.step() ? std::optional(gone.text(0)) : std::nullopt;
    gone.reset();
    require(!reason, "entry ", entry.name, ": it was retracted (", reason.value_or(""),
            "); give the method another name");
  } else {
    receipt.id = impl_->insert(entry);
    receipt.new_entry = true;
  }
  for (const BoardRun& run : runs) {
    if (!run.machine.empty() && !impl_->id_of("SELECT event FROM machine WHERE fingerprint = ?", run.machine))
      impl_->insert(Machine{run.machine, "unknown", "unknown", "unknown", "unknown"});
    if (!run.weights.empty()) impl_->insert(BoardArtifact{.sha256 = run.weights, .kind = "weights"});
    for (const auto& [role, hash] : run.inputs) impl_->insert(BoardArtifact{.sha256 = hash, .kind = role});
    impl_->insert(receipt.id, run) ? ++receipt.new_runs : ++receipt.known_runs;
  }
  if (receipt.new_runs > 0) receipt.last_run = impl_->database.number("SELECT max(id) FROM run");
  for (const auto& [hash, bytes] : submission.contents)
    impl_->sql("INSERT OR IGNORE INTO content VALUES(?, ?)").bind(0, hash).bind_blob(1, bytes).run();
  writing.commit();
  return receipt;
}

std::vector<BoardEntry> Board::entries() const {
  std::vector<BoardEntry> out;
  std::map<std::string, std::string> successors;
  SqlStatement& rows = impl_->sql(
      "SELECT e.id, name, kind, config, commit_id, command, supersedes, imported_from, note, "
      "v.created, "
      "(SELECT reason FROM retraction x WHERE x.entry = e.id AND x.run IS NULL) FROM entry e JOIN event v ON "
      "v.id = "
      "e.event ORDER BY e.id");
  while (rows.step()) {
    BoardEntry& entry = out.emplace_back();
    entry.id = rows.integer(0);
    entry.name = rows.text(1);
    entry.kind = rows.text(2);
    entry.config = parse_json(rows.text(3), "config");
    entry.commit = rows.text(4);
    entry.command = rows.text(5);
    entry.supersedes = rows.text(6);
    entry.imported_from = rows.text(7);
    entry.note = rows.text(8);
    entry.created = rows.text(9);
    if (!rows.null(10)) entry.retracted = rows.text(10);
    if (!entry.supersedes.empty() && !entry.retracted) successors[entry.supersedes] = entry.hash();
  }
  rows.reset();
  for (BoardEntry& entry : out)
    if (const auto next = successors.find(entry.hash()); next != successors.end())
      entry.superseded_by = next->second;
  return out;
}

BoardEntry Board::entry(const std::string& row) const {
  const std::vector<BoardEntry> all = entries();
  const bool number = !row.empty() && row.find_first_not_of("0123456789") == std::string::npos;
  std::vector<const BoardEntry*> found;
  const auto look = [&](const auto& is) {
    if (!found.empty()) return;
    for (const BoardEntry& entry : all)
      if (is(entry)) found.push_back(&entry);
  };
  if (number) look([&](const BoardEntry& entry) { return std::to_string(entry.id) == row; });
  look([&](const BoardEntry& entry) { return entry.name == row && !entry.retracted; });
  look([&](const BoardEntry& entry) { return entry.name == row; });
  if (row.size() >= kFewestDigits)
    look([&](const BoardEntry& entry) { return entry.hash().starts_with(row); });
  if (found.size() == 1) return *found.front();
  std::vector<std::string> names;
  if (found.empty()) {
    for (const BoardEntry& entry : all) names.push_back(entry.name);
    throw InvalidArgument(unknown_name("entry", row, names));
  }
  std::string rows;
  for (const BoardEntry* entry : found) rows += concat(rows.empty() ? "" : ", ", entry->id);
  throw InvalidArgument(
      concat("entry '", row, "': expected one, found rows ", rows, "; give a row's number"));
}

std::vector<BoardRun> Board::runs(std::optional<std::int64_t> entry) const {
  std::vector<BoardRun> out;
  const std::string details = entry ? "r.config, r.command, r.inputs" : "NULL, NULL, NULL";
  SqlStatement& rows = impl_->sql(
      "SELECT r.id, r.entry, e.sha256, t.name, train_seed, status, message, weights_sha, machine, scored_by, "
      "score, r.program, r.commit_id, "
      "episodes, episodes_sha256, (SELECT reason FROM retraction x WHERE x.entry = r.entry AND (x.run IS "
      "NULL OR x.run "
      "= r.id) LIMIT 1), " +
      details + " FROM run r JOIN entry e ON e.id = r.entry JOIN task t ON t.id = r.task" +
      (entry ? " WHERE r.entry = ?" : "") + " ORDER BY r.id");
  if (entry) rows.bind(0, *entry);
  while (rows.step()) {
    BoardRun& run = out.emplace_back();
    run.id = rows.integer(0);
    run.entry_id = rows.integer(1);
    run.entry = rows.text(2);
    run.task = rows.text(3);
    run.train_seed = static_cast<std::uint64_t>(rows.integer(4));
    run.status = rows.text(5);
    run.message = rows.text(6);
    run.weights = rows.text(7);
    run.machine = rows.text(8);
    run.scored_by = rows.text(9);
    run.score = rows.real(10);
    run.program = rows.text(11);
    run.commit = rows.text(12);
    run.episode_count = rows.integer(13);
    run.episodes_sha256 = rows.text(14);
    if (!rows.null(15)) run.retracted = rows.text(15);
    if (!entry) continue;
    run.config = parse_json(rows.text(16), "config");
    run.command = rows.text(17);
    const Json inputs = parse_json(rows.text(18), "inputs");
    for (const auto& [role, hash] : inputs.items()) run.inputs[role] = hash.get<std::string>();
  }
  rows.reset();
  return out;
}

std::vector<BoardEpisode> Board::episodes(std::int64_t run) const {
  std::vector<BoardEpisode> out;
  SqlStatement& rows = impl_->sql("SELECT stream, score, steps FROM episode WHERE run = ? ORDER BY stream");
  rows.bind(0, run);
  while (rows.step()) out.push_back({rows.integer(0), rows.real(1), rows.integer(2)});
  rows.reset();
  return out;
}

std::vector<Machine> Board::machines() const {
  std::vector<Machine> out;
  SqlStatement& rows = impl_->sql("SELECT fingerprint, cpu, isa, libm, packages FROM machine ORDER BY event");
  while (rows.step()) out.push_back({rows.text(0), rows.text(1), rows.text(2), rows.text(3), rows.text(4)});
  rows.reset();
  return out;
}

std::optional<BoardArtifact> Board::artifact(const std::string& sha256) const {
  SqlStatement& row = impl_->sql(
      "SELECT bytes, kind, coalesce((SELECT uri FROM place p WHERE p.sha256 = a.sha256), uri) FROM artifact "
      "a WHERE "
      "sha256 = ?");
  row.bind(0, sha256);
  std::optional<BoardArtifact> found;
  if (row.step())
    found = BoardArtifact{sha256, row.null(0) ? std::int64_t{-1} : row.integer(0), row.text(1), row.text(2)};
  row.reset();
  return found;
}

std::optional<std::string> Board::content(const std::string& sha256) const {
  SqlStatement& row = impl_->sql("SELECT bytes FROM content WHERE sha256 = ?");
  row.bind(0, sha256);
  std::optional<std::string> found;
  if (row.step()) found = row.text(0);
  row.reset();
  return found;
}

void Board::add_verification(const BoardVerification& verification) {
  Impl::Writing writing(*impl_);
  if (!impl_->id_of("SELECT event FROM machine WHERE fingerprint = ?", verification.machine))
    impl_->insert(verification.machine == this_machine().fingerprint
                      ? this_machine()
                      : Machine{verification.machine, "unknown", "unknown", "unknown", "unknown"});
  const std::int64_t event = impl_->next_event();
  SqlStatement& add = impl_->sql("INSERT INTO verification VALUES(NULL, ?, ?, ?, ?, ?, ?, ?)");
  add.bind(0, event)
      .bind(1, verification.run)
      .bind(2, verification.machine)
      .bind(3, verification.outcome)
      .bind_optional(4, verification.first_difference)
      .bind(6, verification.program);
  verification.difference ? add.bind(5, *verification.difference) : add.bind_null(5);
  add.run();
  impl_->record("verification", event);
  writing.commit();
}

std::vector<BoardVerification> Board::verifications(std::optional<std::int64_t> run) const {
  std::vector<BoardVerification> out;
  SqlStatement& rows =
      impl_->sql(concat("SELECT run, machine, outcome, first_difference, difference, program, e.created FROM "
                        "verification v JOIN "
                        "event e ON e.id = v.event",
                        run ? " WHERE run = ?" : "", " ORDER BY v.id"));
  if (run) rows.bind(0, *run);
  while (rows.step()) {
    BoardVerification& found = out.emplace_back();
    found.run = rows.integer(0);
    found.machine = rows.text(1);
    found.outcome = rows.text(2);
    found.first_difference = rows.text(3);
    if (!rows.null(4)) found.difference = rows.real(4);
    found.program = rows.text(5);
    found.created = rows.text(6);
  }
  rows.reset();
  return out;
}

void Board::retract(std::int64_t entry, std::optional<std::int64_t> run, const std::string& reason) {
  require(!reason.empty(), "reason: expected why it is taken back, found nothing");
  require_text(reason, "reason");
  Impl::Writing writing(*impl_);
  SqlStatement& before = impl_->sql("SELECT 1 FROM retraction WHERE entry = ? AND (run IS NULL OR run = ?)");
  before.bind(0, entry);
  run ? before.bind(1, *run) : before.bind_null(1);
  const bool known = before.step();
  before.reset();
  require(!known, "retract: expected a row that stands, found one that was retracted");
  if (run) {
    SqlStatement& owner = impl_->sql("SELECT entry FROM run WHERE id = ?");
    owner.bind(0, *run);
    const bool its_own = owner.step() && owner.integer(0) == entry;
    owner.reset();
    require(its_own, "retract: expected a run of row ", entry, ", got ", *run);
  }
  const std::int64_t event = impl_->next_event();
  SqlStatement& add = impl_->sql("INSERT INTO retraction VALUES(NULL, ?, ?, ?, ?)");
  add.bind(0, event).bind(1, entry).bind(3, reason);
  run ? add.bind(2, *run) : add.bind_null(2);
  add.run();
  impl_->record("retraction", event);
  writing.commit();
}

std::vector<BoardLook> Board::looks(const std::string& pool) const {
  std::vector<BoardLook> out;
  SqlStatement& rows = impl_->sql(
      "SELECT entries, pool, share, alpha_spent, e.created FROM look l JOIN event e ON e.id = l.event WHERE "
      "pool = ? "
      "ORDER BY l.id");
  rows.bind(0, pool);
  while (rows.step()) out.push_back({rows.text(0), rows.text(1), rows.real(2), rows.real(3), rows.text(4)});
  rows.reset();
  return out;
}

BoardLook Board::add_look(
    const std::string& entries, const std::vector<std::string>& pools,
    const std::function<BoardLook(const std::vector<std::vector<BoardLook>>&)>& decide) {
  Impl::Writing writing(*impl_);
  std::vector<std::vector<BoardLook>> before;
  for (const std::string& pool : pools) before.push_back(looks(pool));
  BoardLook look = decide(before);
  look.entries = entries;
  look.pool.clear();
  for (const std::string& pool : pools) {
    look.pool += (look.pool.empty() ? "" : ", ") + pool;
    const std::int64_t event = impl_->next_event();
    impl_->sql("INSERT INTO look VALUES(NULL, ?, ?, ?, ?, ?)")
        .bind(0, event)
        .bind(1, entries)
        .bind(2, pool)
        .bind(3, look.share)
        .bind(4, look.alpha)
        .run();
    impl_->record("look", event);
  }
  writing.commit();
  return look;
}

Json BoardKey::json() const {
  return {{"name", name},
          {"created", created},
          {"revoked", revoked ? Json(*revoked) : Json()},
          {"submissions", submissions}};
}

namespace {

constexpr std::size_t kKeyBytes = 32;         // of random bits
constexpr std::size_t kLongestKeyName = 200;  // bytes

/// "drk_" and hexadecimal digits, so that searches for leaked secrets find it.
std::string new_key() {
  unsigned char bytes[kKeyBytes];
  if (::getrandom(bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes))
    throw Error("key: expected random bits of the system, found none");
  constexpr const char* kDigits = "0123456789abcdef";
  std::string out = "drk_";
  for (const unsigned char byte : bytes) out += {kDigits[byte >> 4u], kDigits[byte & 15u]};
  return out;
}

}  // namespace

std::string Board::add_key(const std::string& name) {
  require(!name.empty(), "key: expected a name, found nothing");
  require(name.size() <= kLongestKeyName, "key: expected a name of at most ", kLongestKeyName,
          " bytes, found ", name.size());
  require_text(name, "key");
  Impl::Writing writing(*impl_);
  require(!impl_->id_of("SELECT id FROM write_key WHERE name = ?", name), "key '", name,
          "': expected a name that no key had, found one that the board has, or had and revoked");
  const std::string key = new_key();
  const std::int64_t event = impl_->next_event();
  impl_->sql("INSERT INTO write_key VALUES(NULL, ?, ?, ?)")
      .bind(0, event)
      .bind(1, name)
      .bind(2, sha256(key))
      .run();
  impl_->record("write_key", event);
  writing.commit();
  return key;
}

std::vector<BoardKey> Board::keys() const {
  std::vector<BoardKey> out;
  SqlStatement& rows = impl_->sql(
      "SELECT name, e.created, (SELECT v.created FROM revocation x JOIN event v ON v.id = x.event WHERE "
      "x.write_key = k.id), (SELECT count(*) FROM submission s WHERE s.write_key = k.id) FROM write_key k "
      "JOIN event e ON e.id = k.event ORDER BY k.id");
  while (rows.step()) {
    BoardKey& key = out.emplace_back(BoardKey{.name = rows.text(0), .created = rows.text(1)});
    if (!rows.null(2)) key.revoked = rows.text(2);
    key.submissions = rows.integer(3);
  }
  rows.reset();
  return out;
}

void Board::revoke_key(const std::string& name) {
  Impl::Writing writing(*impl_);
  std::vector<std::string> names;
  std::optional<BoardKey> found;
  for (BoardKey& key : keys()) {
    names.push_back(key.name);
    if (key.name == name) found = std::move(key);
  }
  if (!found) throw InvalidArgument(unknown_name("key", name, names));
  require(!found->revoked, "key '", name, "': expected one that holds, found one that was revoked");
  const std::int64_t event = impl_->next_event(),
                     id = impl_->id_of("SELECT id FROM write_key WHERE name = ?", name).value();
  impl_->sql("INSERT INTO revocation VALUES(NULL, ?, ?)").bind(0, event).bind(1, id).run();
  impl_->record("revocation", event);
  writing.commit();
}

std::optional<BoardKey> Board::key_of(const std::string& key) const {
  const std::string hash = sha256(key);
  std::string name;
  bool known = false;
  SqlStatement& rows = impl_->sql("SELECT name, sha256 FROM write_key");
  while (rows.step()) {
    const std::string other = rows.text(1);
    if (other.size() == hash.size() && CRYPTO_memcmp(other.data(), hash.data(), hash.size()) == 0) {
      name = rows.text(0);
      known = true;
    }
  }
  rows.reset();
  if (!known) return std::nullopt;
  for (BoardKey& found : keys())
    if (found.name == name) return std::move(found);
  return std::nullopt;
}

void Board::sign(const std::string& name, const std::string& previous) {
  Impl::Writing writing(*impl_);
  const std::optional<std::int64_t> id = impl_->id_of("SELECT id FROM write_key WHERE name = ?", name);
  SqlStatement& revoked = impl_->sql("SELECT 1 FROM revocation WHERE write_key = ?");
  revoked.bind(0, id.value_or(0));
  const bool gone = revoked.step();
  revoked.reset();
  require(id && !gone, "key '", name, "': expected one that holds, found ",
          id ? "one that was revoked" : "none");
  const std::int64_t event = impl_->next_event();
  impl_->sql("INSERT INTO submission VALUES(NULL, ?, ?, ?)")
      .bind(0, event)
      .bind(1, *id)
      .bind(2, previous)
      .run();
  impl_->record("submission", event);
  writing.commit();
}

bool Board::needs(const std::string& sha256) const {
  SqlStatement& row = impl_->sql(
      "SELECT 1 FROM run r WHERE (weights_sha = ?1 OR instr(inputs, ':\"' || ?1 || '\"') > 0) AND NOT "
      "EXISTS(SELECT 1 FROM retraction x WHERE x.entry = r.entry AND (x.run IS NULL OR x.run = r.id)) LIMIT "
      "1");
  row.bind(0, sha256);
  const bool found = row.step();
  row.reset();
  return found;
}

bool Board::keep(const std::string& hash, const std::string& bytes) {
  require(sha256(bytes) == hash, "file: expected bytes of ", hash, ", found others");
  Impl::Writing writing(*impl_);
  const bool known = impl_->id_of("SELECT rowid FROM content WHERE sha256 = ?", hash).has_value();
  if (!known) impl_->sql("INSERT INTO content VALUES(?, ?)").bind(0, hash).bind_blob(1, bytes).run();
  writing.commit();
  return !known;
}

std::string Board::head() const {
  return impl_->head();
}

namespace {

/// The table that an event's body says it is of; empty for none of ours.
std::string table_of(const std::string& body) {
  try {
    return member<std::string>(parse_json(body, "event"), "row");
  } catch (const Error&) {
    return "";
  }
}

}  // namespace

BoardCheck Board::check(const std::string& known) const {
  BoardCheck check;
  const auto fault = [&](const auto&... parts) { check.faults.push_back(printable(concat(parts...))); };
  try {
    const BoardReading reading(*this);
    SqlStatement& pages = impl_->sql("PRAGMA integrity_check");
    while (pages.step())
      if (const std::string line = pages.text(0); line != "ok") fault("file: ", line);
    pages.reset();
    if (!check.faults.empty()) return check;
    SqlStatement& references = impl_->sql("PRAGMA foreign_key_check");
    while (references.step())
      fault(references.text(0), ", row ", references.integer(1), ": refers to a row of ", references.text(2),
            " that is not there");
    references.reset();

    std::map<std::string, std::int64_t> told;
    std::string previous = kNoHash;
    bool met = known.empty() || known == kNoHash;
    SqlStatement& events = impl_->sql("SELECT id, created, body, prev_hash, hash FROM event ORDER BY id");
    while (events.step()) {
      check_interrupt();
      const std::int64_t id = events.integer(0);
      const std::string body = events.text(2), hash = events.text(4), table = table_of(body);
      ++check.events;
      if (id != check.events) fault("event ", check.events, ": expected it, found ", id);
      if (events.text(3) != previous)
        fault("event ", id, ": expected the hash of the event before, found another");
      if (chained(events.text(3), events.text(1), body) != hash)
        fault("event ", id, ": expected its hash, found another");
      previous = hash;
      met = met || hash == known;
      if (!records().contains(table)) {
        fault("event ", id, ": expected a row of the board, found '", table, "'");
        continue;
      }
      ++told[table];
      const std::optional<std::string> found = impl_->body_of(table, id);
      if (!found)
        fault("event ", id, ": expected its row in ", table, ", found none");
      else if (*found != body)
        fault("event ", id, ": expected the row of ", table, " that it added, found another");
    }
    events.reset();
    if (!met)
      fault("chain: expected the hash ", known, " in it, found none: what it vouched for was removed");
    check.head = previous;
    for (const auto& [table, unused] : records()) {
      const std::int64_t rows = impl_->database.number("SELECT count(*) FROM " + table);
      check.rows += rows;
      if (rows != told[table])
        fault(table, ": expected ", told[table], " rows, as events tell, found ", rows);
    }
    for (const BoardRun& run : runs()) {
      check_interrupt();
      BoardRun whole = run;
      whole.episodes = episodes(run.id);
      check.episodes += static_cast<std::int64_t>(whole.episodes.size());
      if (hash_of_episodes(whole.episodes) != run.episodes_sha256 ||
          static_cast<std::int64_t>(whole.episodes.size()) != run.episode_count)
        fault("run ", run.id, ": expected the episodes that were submitted, found others");
      else if (!run.failed() && score_of(whole) != run.score)
        fault("run ", run.id, ": expected the mean of its episodes, found ", run.score);
    }
    if (const std::int64_t all = impl_->database.number("SELECT count(*) FROM episode");
        all != check.episodes)
      fault("episode: expected ", check.episodes, " rows of runs, found ", all);
    for (const BoardEntry& entry : entries())
      if (!impl_->id_of("SELECT id FROM entry WHERE sha256 = ?", entry.hash()))
        fault("entry ", entry.id, ": expected its hash, found another");
    SqlStatement& contents = impl_->sql("SELECT sha256, bytes FROM content");
    while (contents.step())
      if (sha256(contents.text(1)) != contents.text(0))
        fault("content ", contents.text(0), ": expected its bytes, found others");
    contents.reset();
  } catch (const Interrupted&) {
    throw;
  } catch (const Error& error) {
    fault(error.what());
  }
  return check;
}

std::int64_t Board::collect_garbage() {
  std::set<std::string> needed;
  Impl::Writing writing(*impl_);
  SqlStatement& rows = impl_->sql(
      "SELECT weights_sha, inputs FROM run r WHERE NOT EXISTS(SELECT 1 FROM retraction x WHERE x.entry = "
      "r.entry AND "
      "(x.run IS NULL OR x.run = r.id))");
  while (rows.step()) {
    needed.insert(rows.text(0));
    for (const Json& hash : parse_json(rows.text(1), "inputs")) needed.insert(hash.get<std::string>());
  }
  rows.reset();
  std::vector<std::string> gone;
  std::int64_t freed = 0;
  SqlStatement& contents = impl_->sql("SELECT sha256, length(bytes) FROM content");
  while (contents.step())
    if (!needed.contains(contents.text(0))) {
      gone.push_back(contents.text(0));
      freed += contents.integer(1);
    }
  contents.reset();
  for (const std::string& hash : gone) impl_->sql("DELETE FROM content WHERE sha256 = ?").bind(0, hash).run();
  std::vector<std::string> places;
  SqlStatement& known = impl_->sql("SELECT sha256 FROM place");
  while (known.step())
    if (!needed.contains(known.text(0))) places.push_back(known.text(0));
  known.reset();
  for (const std::string& hash : places) impl_->sql("DELETE FROM place WHERE sha256 = ?").bind(0, hash).run();
  writing.commit();
  impl_->database.execute("VACUUM");
  impl_->database.execute("PRAGMA wal_checkpoint(TRUNCATE)");
  return freed;
}

}  // namespace diffreward
