#include "cli/stage.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>

#include "cli/command.h"
#include "core/file.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;

/// Holds a folder for one process; the lock goes with the process, however it ends.
class FolderLock {
 public:
  explicit FolderLock(const fs::path& folder) {
    file_ = ::open((folder / ".lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    if (file_ < 0) throw Error(concat(folder.string(), ": cannot write in this folder"));
    if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
      ::close(file_);
      throw Error(concat(folder.string(), ": another run is writing in this folder"));
    }
  }
  ~FolderLock() { ::close(file_); }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int file_;
};

/// FNV-1a, enough to notice that an input changed.
std::string digest(std::string_view text) {
  std::uint64_t hash = 14695981039346656037ull;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  char out[17];
  std::snprintf(out, sizeof out, "%016llx", static_cast<unsigned long long>(hash));
  return out;
}

/// What identifies an input: a stage by its configs and inputs, all the way up; another file by size and
/// time.
std::string fingerprint(const fs::path& input) {
  const fs::path folder = fs::is_directory(input) ? input : input.parent_path();
  if (fs::exists(folder / "stage.json")) {
    const Json stage = Json::parse(read_file(folder / "stage.json"));
    return digest(stage.at("key").dump());
  }
  std::error_code failure;
  const auto size = fs::file_size(input, failure);
  if (failure) throw Error(concat(input.string(), ": cannot read: ", failure.message()));
  return digest(concat(size, " ", fs::last_write_time(input).time_since_epoch().count()));
}

/// Removes what an earlier stage left, but not the lock that this process holds.
void clear(const fs::path& folder) {
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.path().filename() != ".lock") fs::remove_all(entry.path());
}

}  // namespace

Json run_stage(const std::string& command, const fs::path& folder, const Json& config,
               const std::vector<fs::path>& inputs, bool reuse, const std::function<Json()>& work) {
  if (folder.empty()) throw UsageError(concat(command, ": --out is missing"));
  Json fingerprints = Json::array();
  for (const fs::path& input : inputs) fingerprints.push_back(fingerprint(input));
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure) throw Error(concat(folder.string(), ": cannot create: ", failure.message()));
  const FolderLock lock(folder);
  Json key = {
      {"command", command}, {"version", DIFFREWARD_VERSION}, {"config", config}, {"inputs", fingerprints}};
  for (const char* place : {"out", "threads", "reuse"}) key["config"].erase(place);  // these change no result

  const fs::path record = folder / "stage.json";
  if (reuse && fs::exists(record)) {
    const Json stage = Json::parse(read_file(record), nullptr, false);
    if (stage.is_object() && stage.value("key", Json()) == key) {
      if (stage.contains("result")) return stage.at("result");
    } else {
      clear(folder);  // a stage made otherwise starts over; an unfinished one of the same making resumes
    }
  }
  write_file(folder / "config.toml", "# diffreward " + command + " --config config.toml\n" + to_toml(config));
  write_file(record, Json{{"key", key}}.dump(2));
  const auto start = std::chrono::steady_clock::now();
  const Json result = work();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  write_file(record, Json{{"key", key}, {"seconds", seconds}, {"result", result}}.dump(2));
  return result;
}

fs::path product(const fs::path& path, const std::string& name) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return path;
  if (fs::exists(path / name, ignored)) return path / name;
  if (name == "data.hdf5") return path;  // Minari's data sets are folders
  throw Error(concat(path.string(), ": expected ", name, " in this folder, found none"));
}

}  // namespace diffreward::cli
