#include "leaderboard/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <limits>

#include "core/error.h"
#include "core/interrupt.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;

constexpr int kBusyMilliseconds = 60'000;  // of programs that do not queue

[[noreturn]] void throw_sqlite(const fs::path& path, sqlite3* database, const char* what) {
  const int code = database == nullptr ? SQLITE_NOMEM : sqlite3_extended_errcode(database);
  const std::string message = database == nullptr ? "out of memory" : sqlite3_errmsg(database);
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
      throw Error(concat(path.string(), ": expected a whole board, found a damaged or truncated file (",
                         message, "); nothing was changed"));
    case SQLITE_NOTADB:
      throw Error(concat(path.string(), ": expected a board, found a file of another kind (", message, ")"));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw Error(concat(path.string(), ": another program has held it for a minute"));
    default:
      throw Error(concat(path.string(), ": ", what, ": ", message));
  }
}

std::string uri_of(const fs::path& path) {
  std::string out = "file:";
  for (const char c : fs::absolute(path).string())
    out += c == '%' ? "%25" : c == '?' ? "%3f" : c == '#' ? "%23" : std::string(1, c);
  return out;
}

}  // namespace

SqlStatement::SqlStatement(const fs::path& path, sqlite3* database, const std::string& sql)
    : path_(path), database_(database) {
  if (sqlite3_prepare_v3(database, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                         &statement_, nullptr) != SQLITE_OK)
    fail("cannot prepare a statement");
}

SqlStatement::~SqlStatement() {
  sqlite3_finalize(statement_);
}

void SqlStatement::fail(const char* what) const {
  throw_sqlite(path_, database_, what);
}

SqlStatement& SqlStatement::bind(int parameter, std::int64_t value) {
  if (sqlite3_bind_int64(statement_, parameter + 1, value) != SQLITE_OK) fail("cannot bind a number");
  return *this;
}

SqlStatement& SqlStatement::bind(int parameter, double value) {
  if (sqlite3_bind_double(statement_, parameter + 1, value + 0.0) != SQLITE_OK) fail("cannot bind a number");
  return *this;
}

SqlStatement& SqlStatement::bind(int parameter, std::string_view text) {
  const char* bytes = text.data() == nullptr ? "" : text.data();
  if (sqlite3_bind_text64(statement_, parameter + 1, bytes, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8) !=
      SQLITE_OK)
    fail("cannot bind a text");
  return *this;
}

SqlStatement& SqlStatement::bind_blob(int parameter, std::string_view bytes) {
  const char* data = bytes.data() == nullptr ? "" : bytes.data();
  if (sqlite3_bind_blob64(statement_, parameter + 1, data, bytes.size(), SQLITE_TRANSIENT) != SQLITE_OK)
    fail("cannot bind bytes");
  return *this;
}

SqlStatement& SqlStatement::bind_null(int parameter) {
  if (sqlite3_bind_null(statement_, parameter + 1) != SQLITE_OK) fail("cannot bind");
  return *this;
}

SqlStatement& SqlStatement::bind_optional(int parameter, std::string_view text) {
  return text.empty() ? bind_null(parameter) : bind(parameter, text);
}

bool SqlStatement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  try {
    fail("cannot go on");
  } catch (...) {
    sqlite3_reset(statement_);
    throw;
  }
}

void SqlStatement::run() {
  while (step()) {
  }
  reset();
}

void SqlStatement::reset() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

bool SqlStatement::null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

std::int64_t SqlStatement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

double SqlStatement::real(int column) const {
  return null(column) ? std::numeric_limits<double>::quiet_NaN() : sqlite3_column_double(statement_, column);
}

std::string SqlStatement::text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
  return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), size);
}

Json SqlStatement::row() const {
  Json out = Json::object();
  for (int i = 0; i < sqlite3_column_count(statement_); ++i) {
    Json& value = out[sqlite3_column_name(statement_, i)];
    switch (sqlite3_column_type(statement_, i)) {
      case SQLITE_INTEGER:
        value = integer(i);
        break;
      case SQLITE_FLOAT:
        value = real(i);
        break;
      case SQLITE_NULL:
        break;
      default:
        value = text(i);
    }
  }
  return out;
}

Database::Database(fs::path path, Access access) : path_(std::move(path)) {
  std::error_code failed;
  const fs::file_status there = fs::status(path_, failed);
  if (access == Access::kOpen && !fs::exists(there))
    throw Error(concat(path_.string(), ": expected a board, found no file (diffreward board init)"));
  if (fs::exists(there) && !fs::is_regular_file(there))
    throw Error(concat(path_.string(), ": expected a file, found something else"));
  if (access == Access::kCreate && path_.has_parent_path()) {
    fs::create_directories(path_.parent_path(), failed);
    if (failed) throw Error(concat(path_.string(), ": cannot create its folder: ", failed.message()));
  }
  // One that a killed `init` left is empty, and may be made.
  if (fs::exists(there) && access == Access::kOpen) expect_whole();
  const fs::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
  read_only_ =
      (fs::exists(there) && ::access(path_.c_str(), W_OK) != 0) || ::access(folder.c_str(), W_OK) != 0;
  // SQLite's shared memory cannot be made where nothing can be written; without a log nobody is at work, and none is
  // needed.
  std::string name = path_.string();
  if (read_only_ && !fs::exists(path_.string() + "-wal")) name = uri_of(path_) + "?immutable=1";
  const int flags = read_only_ ? SQLITE_OPEN_READONLY | SQLITE_OPEN_URI
                               : SQLITE_OPEN_READWRITE | (access == Access::kCreate ? SQLITE_OPEN_CREATE : 0);
  try {
    if (sqlite3_open_v2(name.c_str(), &database_, flags | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK)
      throw_sqlite(path_, database_, "cannot open");
    sqlite3_busy_timeout(database_, kBusyMilliseconds);
    // FULL: what was committed survives a loss of power. A stranger's file must not call functions.
    execute("PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL");
    (void)number("SELECT count(*) FROM sqlite_schema");  // reads the first page
  } catch (...) {
    sqlite3_close_v2(database_);
    throw;
  }
}

Database::~Database() {
  statements_.clear();
  sqlite3_close_v2(database_);
}

void Database::expect_whole() const {
  // Never opened here: closing a file drops all locks that this process has on it, another connection's too.
  std::error_code failed;
  if (fs::file_size(path_, failed) == 0 && !failed)
    throw Error(concat(path_.string(), ": expected a board, found an empty file"));
}

void Database::execute(const std::string& sql) {
  if (sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    throw_sqlite(path_, database_, "cannot execute");
}

SqlStatement& Database::statement(const std::string& sql) {
  auto found = statements_.find(sql);
  if (found == statements_.end())
    found = statements_.emplace(sql, std::make_unique<SqlStatement>(path_, database_, sql)).first;
  found->second->reset();
  return *found->second;
}

std::int64_t Database::last_row() const {
  return sqlite3_last_insert_rowid(database_);
}

std::int64_t Database::number(const std::string& sql) {
  SqlStatement one(path_, database_, sql);
  return one.step() ? one.integer(0) : 0;
}

namespace {

/// Takes or gives back one byte of a file for this open description of it, and waits for it. Goes with the process,
/// however it ends.
void lock_byte(int file, off_t byte, short type, const fs::path& path) {
  struct flock range {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = byte;
  range.l_len = 1;
  while (::fcntl(file, F_OFD_SETLKW, &range) != 0) {
    if (errno != EINTR) throw Error(concat(path.string(), ": cannot wait for other writers"));
    check_interrupt();
  }
}

}  // namespace

WriteTransaction::WriteTransaction(Database& database) : database_(database) {
  if (database.read_only())
    throw Error(concat(database.path().string(), ": expected a board that may be written to"));
  const fs::path lock = database.path().parent_path() / ("." + database.path().filename().string() + ".lock");
  queue_ = ::open(lock.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (queue_ < 0) throw Error(concat(lock.string(), ": cannot open the queue of writers"));
  try {
    // A writer that comes back waits at the gate, behind the one that stands there: it cannot overtake who is next.
    constexpr off_t kGate = 0, kTurn = 1;
    lock_byte(queue_, kGate, F_WRLCK, lock);
    lock_byte(queue_, kTurn, F_WRLCK, lock);
    lock_byte(queue_, kGate, F_UNLCK, lock);
    database_.execute("BEGIN IMMEDIATE");
    open_ = true;
  } catch (...) {
    ::close(queue_);
    throw;
  }
}

WriteTransaction::~WriteTransaction() {
  if (open_) {
    try {
      database_.execute("ROLLBACK");
    } catch (const Error&) {  // SQLite had undone it itself
    }
  }
  ::close(queue_);
}

void WriteTransaction::commit() {
  database_.execute("COMMIT");
  open_ = false;
}

}  // namespace diffreward
