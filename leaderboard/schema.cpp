#include "leaderboard/schema.h"

#include <initializer_list>

namespace diffreward {
namespace {

// Every table but episode names the event that added its row. Texts are JSON where a column holds a table.
constexpr const char* kTables = R"sql(
CREATE TABLE event(
  id INTEGER PRIMARY KEY, created TEXT NOT NULL, body TEXT NOT NULL, prev_hash TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE task(
  id INTEGER PRIMARY KEY, event INTEGER NOT NULL UNIQUE REFERENCES event(id) DEFERRABLE INITIALLY DEFERRED, sha256 TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, env TEXT NOT NULL, options TEXT NOT NULL, metric TEXT NOT NULL,
  direction TEXT NOT NULL, norm_low REAL NOT NULL, norm_high REAL NOT NULL, stream_pool TEXT NOT NULL) STRICT;
CREATE TABLE artifact(
  sha256 TEXT PRIMARY KEY, event INTEGER NOT NULL UNIQUE REFERENCES event(id) DEFERRABLE INITIALLY DEFERRED, bytes INTEGER, kind TEXT NOT NULL,
  uri TEXT) STRICT;
CREATE TABLE machine(
  fingerprint TEXT PRIMARY KEY, event INTEGER NOT NULL UNIQUE REFERENCES event(id) DEFERRABLE INITIALLY DEFERRED, cpu TEXT NOT NULL,
  isa TEXT NOT NULL, libm TEXT NOT NULL, packages TEXT NOT NULL) STRICT;
CREATE TABLE entry(
  id INTEGER PRIMARY KEY, event INTEGER NOT NULL UNIQUE REFERENCES event(id) DEFERRABLE INITIALLY DEFERRED, sha256 TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL, kind TEXT NOT NULL, config TEXT NOT NULL, commit_id TEXT, dirty INTEGER NOT NULL,
  command TEXT, supersedes TEXT REFERENCES entry(sha256), imported_from TEXT, note TEXT) STRICT;
CREATE TABLE run(
  id INTEGER PRIMARY KEY, event INTEGER NOT NULL UNIQUE REFERENCES event(id) DEFERRABLE INITIALLY DEFERRED,
  entry INTEGER NOT NULL REFERENCES entry(id), task INTEGER NOT NULL REFERENCES task(id), train_seed INTEGER NOT NULL,
  attempt INTEGER NOT NULL, status TEXT NOT NULL CHECK (status IN ('finished', 'failed')), message TEXT,
  weights_sha TEXT REFERENCES artifact(sha256), machine TEXT REFERENCES machine(fingerprint), program TEXT, commit_id TEXT, scored_by TEXT,
  config TEXT NOT NULL, command TEXT, inputs TEXT NOT NULL, score REAL, episodes INTEGER NOT NULL,
  episodes_sha256 TEXT NOT NULL, UNIQUE(entry, task, train_seed, attempt)) STRICT;
CREATE TABLE episode(
  run INTEGER NOT NULL REFERENCES run(id), stream INTEGER NOT NULL, score REAL, steps INTEGER NOT NULL,
  PRIMARY KEY(run, stream)) STRICT, WITHOUT ROWID;
CREATE TABLE verification(
  id INTEGER PRIMARY KEY, event INTEGER NOT NULL UNIQUE REFERENCES event(id) DEFERRABLE INITIALLY DEFERRED, run INTEGER NOT NULL REFERENCES run(id),
  machine TEXT NOT NULL REFERENCES machine(fingerprint), outcome TEXT NOT NULL, first_difference TEXT,
  difference REAL, program TEXT NOT NULL) STRICT;
CREATE INDEX verification_of_run ON verification(run);
CREATE TABLE retraction(
  id INTEGER PRIMARY KEY, event INTEGER NOT NULL UNIQUE REFERENCES event(id) DEFERRABLE INITIALLY DEFERRED,
  entry INTEGER NOT NULL REFERENCES entry(id), run INTEGER REFERENCES run(id), reason TEXT NOT NULL) STRICT;
CREATE INDEX retraction_of_entry ON retraction(entry);
CREATE TABLE look(
  id INTEGER PRIMARY KEY, event INTEGER NOT NULL UNIQUE REFERENCES event(id) DEFERRABLE INITIALLY DEFERRED, entries TEXT NOT NULL,
  pool TEXT NOT NULL, share REAL NOT NULL, alpha_spent REAL NOT NULL) STRICT;
)sql";

std::string append_only(std::initializer_list<const char*> tables) {
  std::string out;
  for (const std::string table : tables)
    for (const std::string change : {"UPDATE", "DELETE"}) {
      std::string trigger = "CREATE TRIGGER ";
      trigger += table + "_keeps_" + change + " BEFORE " + change + " ON " + table;
      trigger += " BEGIN SELECT RAISE(ABORT, 'rows of a board are never changed or removed'); END;\n";
      out += trigger;
    }
  return out;
}

// Bytes of artefacts, which may go again, and computed values.
constexpr const char* kContents = R"sql(
CREATE TABLE content(sha256 TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
CREATE TRIGGER content_keeps_UPDATE BEFORE UPDATE ON content
  BEGIN SELECT RAISE(ABORT, 'contents are known by their hash'); END;
CREATE TABLE cache(name TEXT PRIMARY KEY, head TEXT NOT NULL, value TEXT NOT NULL) STRICT;
)sql";

// Where files were found last, which is this disk's affair and may go again; computed values are trusted no more: who
// sends a board could have written them.
constexpr const char* kPlaces = R"sql(
DROP TABLE cache;
CREATE TABLE place(sha256 TEXT PRIMARY KEY, uri TEXT NOT NULL) STRICT;
)sql";

// Keys to write with over a network, known by their hash, and which rows came with which: those of the events between
// the one of hash `previous` and this one.
constexpr const char* kKeys = R"sql(
CREATE TABLE write_key(
  id INTEGER PRIMARY KEY, event INTEGER NOT NULL UNIQUE REFERENCES event(id) DEFERRABLE INITIALLY DEFERRED,
  name TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE revocation(
  id INTEGER PRIMARY KEY, event INTEGER NOT NULL UNIQUE REFERENCES event(id) DEFERRABLE INITIALLY DEFERRED,
  write_key INTEGER NOT NULL UNIQUE REFERENCES write_key(id)) STRICT;
CREATE TABLE submission(
  id INTEGER PRIMARY KEY, event INTEGER NOT NULL UNIQUE REFERENCES event(id) DEFERRABLE INITIALLY DEFERRED,
  write_key INTEGER NOT NULL REFERENCES write_key(id), previous TEXT NOT NULL) STRICT;
CREATE INDEX submission_of_key ON submission(write_key);
CREATE INDEX retraction_of_run ON retraction(run);
)sql";

}  // namespace

const std::vector<std::string>& board_migrations() {
  static const std::vector<std::string> scripts = {
      kTables + append_only({"event", "task", "artifact", "machine", "entry", "run", "episode",
                             "verification", "retraction", "look"}),
      kContents, kPlaces, kKeys + append_only({"write_key", "revocation", "submission"})};
  return scripts;
}

}  // namespace diffreward
