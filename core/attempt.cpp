#include "core/attempt.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>
#include <tuple>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/shared_file.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;

std::string host_name() {
  char name[256] = "";
  ::gethostname(name, sizeof name - 1);
  std::string text = name;
  std::erase_if(text, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)) && c != '-'; });
  return text.empty() ? "host" : text;
}

/// State and start time, in ticks since the machine was started, of a process: fields 3 and 22 of its /proc/PID/stat, see
/// proc(5); empty where they cannot be read.
std::pair<std::string, std::string> state_and_start(const std::string& process) {
  std::ifstream file("/proc/" + process + "/stat");
  std::string text, state, start;
  std::getline(file, text, '\0');
  const std::size_t name_end = text.rfind(')');  // a program's name may hold anything
  if (name_end == text.npos) return {};
  std::istringstream fields(text.substr(name_end + 1));
  fields >> state;
  for (int field = 4; field <= 22; ++field) fields >> start;
  return fields ? std::pair(state, start) : std::pair<std::string, std::string>();
}

/// The number of a namespace of this process, see namespaces(7); "0" where there is none to see.
std::string namespace_of(const char* kind) {
  std::error_code failed;
  std::string text = fs::read_symlink(fs::path("/proc/self/ns") / kind, failed).string();
  std::erase_if(text, [](char c) { return !std::isdigit(static_cast<unsigned char>(c)); });
  return text.empty() ? "0" : text;
}

/// The name of an attempt's folder, read.
struct AttemptName {
  std::uint64_t ordinal = 0;
  ProcessName process;
  std::string text;
  auto order() const { return std::tie(ordinal, text); }
};

/// All attempts at `key`, in order; `largest` gets the largest ordinal of any.
std::vector<AttemptName> attempts_at(const fs::path& attempts, const std::string& key,
                                     std::uint64_t* largest = nullptr) {
  const std::string mine = key + ".";
  std::vector<AttemptName> found;
  for_each_name(attempts, [&](std::string_view name) {
    if (!name.starts_with(mine)) return;
    const std::size_t begin = mine.size(), after = name.find('.', begin);
    if (after == name.npos) return;
    AttemptName one{.process = {}, .text = std::string(name)};
    std::from_chars(name.data() + begin, name.data() + after, one.ordinal);
    if (largest) *largest = std::max(*largest, one.ordinal);
    const auto process = ProcessName::parse(std::string(name.substr(after + 1)));
    if (!process) return;
    one.process = *process;
    found.push_back(std::move(one));
  });
  std::ranges::sort(found, {}, &AttemptName::order);
  return found;
}

}  // namespace

std::string ProcessName::text() const {
  return concat(host, ".", boot, ".", space, ".", start, ".", number);
}

std::optional<ProcessName> ProcessName::parse(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, '.');) parts.push_back(part);
  if (parts.size() != 5) return std::nullopt;
  return ProcessName{parts[0], parts[1], parts[2], parts[3], parts[4]};
}

ProcessName ProcessName::self() {
  std::string boot = "0";
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  const std::string start = state_and_start("self").second;
  return {host_name(), boot, namespace_of("pid"), start.empty() ? "0" : start, concat(::getpid())};
}

bool ProcessName::has_ended() const {
  const ProcessName here = self();
  if (*this == here) return false;
  if (boot == here.boot && space == here.space) {
    pid_t process = 0;
    std::from_chars(number.data(), number.data() + number.size(), process);
    if (process <= 0) return false;
    if (::kill(process, 0) != 0 && errno == ESRCH) return true;
    const auto [state, since] = state_and_start(number);
    return !since.empty() &&
           (since != start || state == "Z");  // another by the same number, or nobody waits for it
  }
  // Its number means nothing here. It is this process's predecessor where a container was started again: the same
  // number under the same name, which is the container's own where it is not the machine's.
  constexpr const char* kMachine = "4026531838";  // the first UTS namespace, PROC_UTS_INIT_INO of Linux
  const std::string names = namespace_of("uts");
  return host == here.host && number == here.number && names != "0" && names != kMachine;
}

Attempt::Attempt(const fs::path& attempts, const std::string& key, const std::string& work) {
  std::error_code failed;
  fs::create_directories(attempts, failed);
  if (failed) throw Error(concat(attempts.string(), ": cannot create: ", failed.message()));
  const std::string self = ProcessName::self().text();
  const auto own = [&] { return attempts / concat(key, ".", ordinal_, ".", self); };
  std::uint64_t largest = 0;
  const std::vector<AttemptName> known = attempts_at(attempts, key, &largest);
  ordinal_ = largest + 1;
  for (auto one = known.rbegin(); one != known.rend() && !work.empty() && !taken_; ++one) {
    // This process's own are of an attempt that failed and was kept.
    if (!one->process.has_ended() && one->process.text() != self) continue;
    if (!fs::exists(attempts / one->text / work, failed)) continue;
    folder_ = own();
    fs::rename(attempts / one->text, folder_, failed);  // of several processes one succeeds
    taken_ = !failed;
  }
  remove_ended(attempts, key);
  for (; !taken_; ++ordinal_) {
    folder_ = own();
    if (::mkdir(folder_.c_str(), 0777) == 0) return;
    if (errno != EEXIST) throw Error(concat(folder_.string(), ": cannot create: ", std::strerror(errno)));
  }
}

Attempt::~Attempt() {
  if (kept_) return;
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void Attempt::remove_ended(const fs::path& attempts, const std::string& key) {
  std::error_code ignored;
  for (const AttemptName& one : attempts_at(attempts, key))
    if (one.process.has_ended()) fs::remove_all(attempts / one.text, ignored);
}

std::vector<fs::path> Attempt::of_others(const fs::path& attempts, const std::string& key) {
  const std::string self = ProcessName::self().text();
  std::vector<fs::path> folders;
  for (const AttemptName& one : attempts_at(attempts, key))
    if (one.process.text() != self && !one.process.has_ended()) folders.push_back(attempts / one.text);
  return folders;
}

std::string agreed_text(const fs::path& file, std::string_view text) {
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(file, ignored))) {
    const fs::path written =
        file.parent_path() / concat(file.filename().string(), ".", ProcessName::self().text());
    write_file(written, text);
    if (!move_new_file(written, file)) fs::remove(written, ignored);
  }
  return read_file(file);
}

}  // namespace diffreward
