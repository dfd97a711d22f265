#include "cli/shared_stages.h"

#include <algorithm>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <thread>

#include "cli/command.h"
#include "cli/stage.h"
#include "core/attempt.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "core/shared_file.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWork = "stage";  // in an attempt's folder
constexpr const char* kBeat = "beat";
constexpr std::chrono::seconds kBetweenBeats(3);
constexpr std::chrono::milliseconds kFirstPause(100),
    kLongestPause(2000);  // between looks: hundreds may wait

/// Counts in a file as long as it lives, so that others see that this process does.
class Heartbeat {
 public:
  explicit Heartbeat(const fs::path& file)
      : thread_([this, file](const std::stop_token& stop) {
          std::unique_lock lock(mutex_);
          for (std::uint64_t count = 0; !stop.stop_requested(); ++count) {
            std::ofstream(file) << count << std::flush;
            bell_.wait_for(lock, stop, kBetweenBeats, [] { return false; });
          }
        }) {}

 private:
  std::mutex mutex_;
  std::condition_variable_any bell_;
  std::jthread thread_;  // ends before what it uses
};

/// Whether later steps read the file: numbers, which are equal for equal arithmetic; logs hold times.
bool is_data(const std::string& name) {
  const std::string end = fs::path(name).extension().string();
  return end == ".safetensors" || end == ".hdf5" || end == ".h5";
}

}  // namespace

bool SharedStages::is_there(const JobStep& step) const {
  std::error_code failed;
  const fs::file_type type = fs::symlink_status(step.folder, failed).type();
  if (type == fs::file_type::none)
    throw Error(concat(step.folder.string(), ": cannot read: ", failed.message()));
  if (type == fs::file_type::not_found) return false;
  if (status_of(find_command(step.command).stage(step.config)).state == StageStatus::State::kDone)
    return true;
  throw Error(
      concat(step.folder.string(),
             ": expected the stage that its record tells, found another; remove this folder, then run "
             "again"));
}

std::vector<fs::path> SharedStages::alive(const std::string& name) {
  std::vector<fs::path> living;
  const auto now = Clock::now();
  for (const fs::path& folder : Attempt::of_others(places_.attempts, name)) {
    std::string text;
    std::ifstream(folder / kBeat) >> text;
    const auto [at, fresh] = signs_.try_emplace(folder, Sign{text, now});
    if (!fresh && at->second.text != text) at->second = {text, now};
    if (std::chrono::duration<double>(now - at->second.since).count() < places_.wait)
      living.push_back(folder);
  }
  return living;
}

void SharedStages::make(const JobStep& step) {
  const std::string name = step.folder.filename().string();
  if (const auto before = failed_.find(step.folder); before != failed_.end()) throw Error(before->second);
  for (auto pause = kFirstPause;; pause = std::min(pause * 3 / 2, kLongestPause)) {
    check_interrupt();
    if (is_there(step)) return Attempt::remove_ended(places_.attempts, name);  // killed behind the rename
    if (!alive(name).empty()) {
      if (pause == kFirstPause) Progress::line(concat(name, ": another process is making it"));
      std::this_thread::sleep_for(pause);
      continue;
    }
    Attempt attempt(places_.attempts, name, kWork);
    const Heartbeat beat(attempt.folder() / kBeat);
    // Of several that begin at once those give way that others are ahead of.
    std::error_code ignored;
    const bool behind = std::ranges::any_of(alive(name), [&](const fs::path& other) {
      return fs::exists(other / kWork, ignored) || other.filename() < attempt.folder().filename();
    });
    if (behind && !attempt.taken()) continue;
    if (is_there(step)) return;
    const fs::path made = attempt.folder() / kWork;
    Json settings = step.config;
    settings["out"] = made.string();
    settings["threads"] = places_.threads;
    try {
      find_command(step.command).run(settings);
    } catch (const Interrupted&) {
      attempt.keep();  // with its checkpoints
      throw;
    } catch (const std::exception& error) {
      attempt.keep();
      failed_[step.folder] = error.what();
      throw;
    }
    fs::create_directories(places_.stages);
    if (!move_new_folder(made, step.folder)) expect_equal(made, step);
    return;
  }
}

void SharedStages::expect_equal(const fs::path& made, const JobStep& step) const {
  const Json own = stage_record(made.string()), first = stage_record(step.folder.string());
  std::string differing;
  for (const auto& [name, product] : first.at("products").items())
    if (is_data(name) && own.at("products").value(name, Json()) != product)
      differing += (differing.empty() ? "" : ", ") + name;
  if (differing.empty()) return;
  fs::create_directories(places_.quarantine);
  const fs::path aside =
      places_.quarantine / concat(step.folder.filename().string(), ".", ProcessName::self().text());
  if (!move_new_folder(made, aside)) fs::remove_all(made);  // this process set one aside before
  throw Error(concat(step.folder.string(),
                     ": expected equal bytes of two attempts at this stage, found others in ", differing,
                     "; the first stays, the second is ", aside.string()));
}

}  // namespace diffreward::cli
