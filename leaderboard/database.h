// SQLite behind values: a file, statements that are prepared once, transactions of one writer at a time. For
// leaderboard/board.cpp alone; nothing here knows what the tables mean.
//
// Writers of all processes queue at a lock file beside the database before they begin: SQLite's own waiting is
// a sleep and a look, by which one of many writers may starve for seconds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/json.h"

struct sqlite3;
struct sqlite3_stmt;

namespace diffreward {

/// A prepared statement. Parameters and columns count from 0. Throws Error naming the file.
class SqlStatement {
 public:
  SqlStatement(const std::filesystem::path& path, sqlite3* database, const std::string& sql);
  ~SqlStatement();
  SqlStatement(const SqlStatement&) = delete;
  SqlStatement& operator=(const SqlStatement&) = delete;

  SqlStatement& bind(int parameter, std::int64_t value);
  /// Not-a-number is stored as NULL, as SQLite does, and minus zero as zero.
  SqlStatement& bind(int parameter, double value);
  SqlStatement& bind(int parameter, std::string_view text);  ///< with all its bytes, NUL too
  SqlStatement& bind_blob(int parameter, std::string_view bytes);
  SqlStatement& bind_null(int parameter);
  /// An empty text as NULL.
  SqlStatement& bind_optional(int parameter, std::string_view text);

  bool step();  ///< to the next row; false behind the last
  void run();   ///< all steps of a statement without rows; ready to be bound again
  void reset();

  bool null(int column) const;
  std::int64_t integer(int column) const;
  double real(int column) const;       ///< not-a-number for NULL
  std::string text(int column) const;  ///< empty for NULL; of a blob its bytes
  /// The present row by the names of its columns; a text is one, whatever it holds.
  Json row() const;

 private:
  [[noreturn]] void fail(const char* what) const;

  const std::filesystem::path& path_;
  sqlite3* database_;
  sqlite3_stmt* statement_ = nullptr;
};

class Database {
 public:
  enum class Access { kCreate, kOpen };
  /// Opens an existing file, or creates one where nothing is; a file in a folder that cannot be written to is
  /// opened for reading. Throws Error naming the path for anything that is no whole database; nothing is
  /// changed then.
  Database(std::filesystem::path path, Access access);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  const std::filesystem::path& path() const { return path_; }
  bool read_only() const { return read_only_; }

  void execute(const std::string& sql);  ///< any number of statements, without parameters
  /// The statement of this text, prepared once and reset.
  SqlStatement& statement(const std::string& sql);
  std::int64_t last_row() const;
  std::int64_t number(const std::string& sql);  ///< the first column of the only row

 private:
  void expect_whole() const;

  std::filesystem::path path_;
  sqlite3* database_ = nullptr;
  bool read_only_ = false;
  std::map<std::string, std::unique_ptr<SqlStatement>, std::less<>> statements_;
};

/// All or nothing: what was not committed is undone, also by a process that is killed. Waits for the writers
/// before it.
class WriteTransaction {
 public:
  /// Throws Error for a database that was opened for reading.
  explicit WriteTransaction(Database& database);
  ~WriteTransaction();
  WriteTransaction(const WriteTransaction&) = delete;
  WriteTransaction& operator=(const WriteTransaction&) = delete;

  void commit();  ///< on disk when it returns

 private:
  Database& database_;
  int queue_ = -1;
  bool open_ = false;
};

}  // namespace diffreward
