// Requests a second and their times of a served board of 1,000 rows, asked over 8 connections by another process on the
// same machine. Adds its figures to those of board_store.
//
//   board_server OUT.json [rows [connections [seconds]]]
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <thread>

#include "benchmarks/board_benchmark.h"
#include "core/rng.h"
#include "core/statistics.h"
#include "leaderboard/board.h"
#include "leaderboard/server.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;
/// Of another process so far: other than the clock's, they do not grow on a busy machine.
double processor_seconds(pid_t process) {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(process, &clock) != 0 || ::clock_gettime(clock, &time) != 0)
    throw Error("cannot ask for the server's processor time");
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

constexpr int kTasks = 3, kRuns = 3;

void fill(const fs::path& path, int rows) {
  std::vector<BoardTask> tasks;
  for (int i = 0; i < kTasks; ++i) tasks.push_back({.name = concat("suite/", i)});
  Board board = Board::create(path, tasks);
  Rng rng(Seed{1});
  BoardBatch batch(board);
  for (int row = 0; row < rows; ++row) {
    BoardSubmission submission{.entry = {.name = concat("method ", row)}};
    for (int task = 0; task < kTasks; ++task)
      for (std::uint64_t seed = 0; seed < kRuns; ++seed) {
        BoardRun run{.task = tasks[static_cast<std::size_t>(task)].name, .train_seed = seed};
        for (int i = 0; i < 10; ++i) run.episodes.push_back({i, 0.001 * row + rng.uniform(), 1000});
        submission.runs.push_back(std::move(run));
      }
    board.submit(submission);
  }
  batch.commit();
}

/// A connection that stays open.
class Client {
 public:
  explicit Client(int port) : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int yes = 1;
    ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (::connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      throw Error("cannot connect");
  }
  ~Client() { ::close(descriptor_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Bytes of the answer's body. Throws Error for another status.
  std::size_t get(const std::string& target, int expected, const std::string& header = {}) {
    const std::string text = concat("GET ", target, " HTTP/1.1\r\nHost: b\r\n", header, "\r\n");
    if (::send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size()))
      throw Error("cannot send");
    std::size_t end = 0;
    bytes_.clear();
    while ((end = bytes_.find("\r\n\r\n")) == std::string::npos) more();
    if (!bytes_.starts_with(concat("HTTP/1.1 ", expected)))
      throw Error("another status: " + bytes_.substr(0, 40));
    tag = field("ETag: ", end);
    const std::string length = field("Content-Length: ", end);
    const std::size_t size = expected == 304 || length.empty() ? 0 : std::stoul(length);
    while (bytes_.size() < end + 4 + size) more();
    return size;
  }

  std::string tag;

 private:
  std::string field(const std::string& name, std::size_t end) const {
    const std::size_t at = bytes_.find(name);
    return at > end ? "" : bytes_.substr(at + name.size(), bytes_.find("\r\n", at) - at - name.size());
  }
  void more() {
    char buffer[262144];
    const ssize_t got = ::recv(descriptor_, buffer, sizeof buffer, 0);
    if (got <= 0) throw Error("the connection was closed");
    bytes_.append(buffer, static_cast<std::size_t>(got));
  }

  int descriptor_;
  std::string bytes_;
};

Json measure(pid_t server, int port, const std::string& target, int connections, double seconds,
             bool unchanged) {
  Client first(port);
  const double before = processor_seconds(server);
  const std::size_t bytes = first.get(target, 200);
  const double computed = processor_seconds(server) - before;
  const std::string header = unchanged ? "If-None-Match: " + first.tag + "\r\n" : "";
  std::vector<std::vector<double>> times(static_cast<std::size_t>(connections));
  std::vector<std::thread> threads;
  const auto start = Clock::now();
  for (std::vector<double>& own : times)
    threads.emplace_back([&, seconds] {
      Client client(port);
      while (seconds_since(start) < seconds) {
        const auto asked = Clock::now();
        client.get(target, unchanged ? 304 : 200, header);
        own.push_back(1e3 * seconds_since(asked));
      }
    });
  for (std::thread& thread : threads) thread.join();
  const double took = seconds_since(start);
  std::vector<double> all;
  for (const std::vector<double>& own : times) all.insert(all.end(), own.begin(), own.end());
  Json out = {{"requests_per_second", static_cast<double>(all.size()) / took},
              {"ms", {{"p50", quantile(all, 0.5)}, {"p99", quantile(all, 0.99)}}}};
  if (!unchanged) {
    out["bytes"] = bytes;
    out["first_processor_seconds"] = computed;
  }
  return out;
}

int run(const std::vector<std::string>& args) {
  const auto number = [&](std::size_t i, int otherwise) {
    return i < args.size() ? std::stoi(args[i]) : otherwise;
  };
  const int rows = number(1, 1000), connections = number(2, 8), seconds = number(3, 5);
  std::string name = (fs::temp_directory_path() / "diffreward_board_server_XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw Error(concat(name, ": cannot create this folder"));
  const fs::path folder = name;
  fill(folder / "board.sqlite", rows);
  int pipe[2];
  if (::pipe(pipe) != 0) throw Error("pipe: failed");
  const pid_t server = ::fork();
  if (server == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // does not outlive who asks
    BoardServer serving(folder / "board.sqlite", {.port = 0, .limits = {.answer_seconds = 3600}});
    const int port = serving.port();
    if (::write(pipe[1], &port, sizeof port) == sizeof port) ::pause();
    ::_exit(0);
  }
  int port = 0;
  if (::read(pipe[0], &port, sizeof port) != sizeof port) throw Error("the server did not start");
  Json out = {{"rows", rows}, {"runs", rows * kTasks * kRuns}, {"connections", connections}};
  out["rows_json"] = measure(server, port, "/api/v1/rows", connections, seconds, false);
  out["rows_json_unchanged"] = measure(server, port, "/api/v1/rows", connections, seconds, true);
  out["page"] = measure(server, port, "/", connections, seconds, false);
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  fs::remove_all(folder);
  put_figures(args[0], {{"served_board", out}});
  return 0;
}

}  // namespace
}  // namespace diffreward

int main(int argc, char** argv) {
  return diffreward::run_benchmark(argc, argv, "OUT.json [rows [connections [seconds]]]", diffreward::run);
}
