#include "leaderboard/server.h"

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "core/error.h"
#include "core/hash.h"
#include "core/provenance.h"
#include "leaderboard/exports.h"
#include "leaderboard/imports.h"
#include "leaderboard/server_routes.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMebi = std::size_t{1} << 20;
constexpr std::size_t kLongestTarget = 4096;           // bytes of a URL
constexpr std::size_t kConnectionMemory = 32 * 1024;   // bytes of headers, and of what is read at a time
constexpr std::size_t kIgnoredBody = 64 * 1024;        // bytes of a request to read, which has no body
constexpr std::size_t kKeptFile = 16 * kMebi;          // the largest
constexpr std::size_t kBodiesInMemory = 128 * kMebi;   // of all connections
constexpr std::size_t kAnswersInMemory = 64 * kMebi;   // that are kept for the next
constexpr std::size_t kMostRuns = 10'000;              // and methods, of a submission
constexpr std::size_t kAddressesInMemory = 10'000;     // that wrote within a minute
constexpr std::size_t kLongestKey = 200;               // characters
constexpr auto kTick = std::chrono::milliseconds(20);  // between looks at connections
constexpr auto kDraining = std::chrono::seconds(1);    // what a refused client still sends is read so long
constexpr auto kMinute = std::chrono::seconds(60);
constexpr std::array kBuckets = {0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0};  // seconds
// Of answers that are data: nothing that a browser would run or show in a frame.
constexpr const char* kDataPolicy = "default-src 'none'; frame-ancestors 'none'";

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct ServerAnswer {
  int status = 200;
  std::string type = "application/json";
  std::shared_ptr<const std::string> body = std::make_shared<const std::string>();
  std::vector<std::pair<const char*, std::string>> headers = {};
};

ServerAnswer answer_of(int status, const Json& json) {
  return {.status = status,
          .body = std::make_shared<const std::string>(
              json.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n")};
}

ServerAnswer refusal_of(int status, const std::string& message) {
  ServerAnswer answer = answer_of(status, {{"error", message}});
  if (status == MHD_HTTP_UNAUTHORIZED)
    answer.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"board\"");
  if (status == MHD_HTTP_SERVICE_UNAVAILABLE) answer.headers.emplace_back("Retry-After", "1");
  return answer;
}

/// The list of this name, empty for anything else.
const Json& list_in(const Json& json, const char* name) {
  static const Json none = Json::array();
  return json.is_object() && json.contains(name) && json.at(name).is_array() ? json.at(name) : none;
}

/// Methods and their runs in an export, as far as it is one. A run that was retracted is compared with all attempts before
/// it, and counts as ten.
std::size_t runs_in(const Json& exported) {
  std::size_t count = 0;
  for (const Json& entry : list_in(exported, "entries")) {
    ++count;
    for (const Json& run : list_in(entry, "runs"))
      count += run.is_object() && run.contains("retracted") && !run.at("retracted").is_null() ? 10 : 1;
  }
  return count;
}

/// The policy that a page states itself, for browsers that show it in a frame or before they have read it.
std::string policy_of(const std::string& page) {
  constexpr std::string_view kStart = "http-equiv=\"Content-Security-Policy\" content=\"";
  const std::size_t at = page.find(kStart);
  if (at == std::string::npos) return kDataPolicy;
  const std::size_t begin = at + kStart.size();
  return page.substr(begin, page.find('"', begin) - begin) +
         "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
}

/// Connections to the board's file, each used by one request at a time.
class BoardLeases {
 public:
  explicit BoardLeases(fs::path path) : path_(std::move(path)) {}

  class Lease {
   public:
    Lease(BoardLeases& all, int file, std::unique_ptr<Board> board)
        : all_(all), file_(file), board_(std::move(board)) {}
    ~Lease() {
      if (good_) all_.give_back(file_, std::move(board_));
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Board& operator*() { return *board_; }
    Board* operator->() { return board_.get(); }
    /// To be called at the end: one that something was thrown from may hold on to an old reading.
    void good() { good_ = true; }

   private:
    BoardLeases& all_;
    int file_;
    std::unique_ptr<Board> board_;
    bool good_ = false;
  };

  Lease take() {
    int file = 0;
    {
      const std::lock_guard lock(mutex_);
      // Another file may have come to this name: rows that went to the one before would be lost.
      struct stat now {};
      if (::stat(path_.c_str(), &now) != 0 || now.st_ino != inode_ || now.st_dev != device_) {
        free_.clear();
        ++file_;
      }
      inode_ = now.st_ino;
      device_ = now.st_dev;
      file = file_;
      if (!free_.empty()) {
        std::unique_ptr<Board> board = std::move(free_.back());
        free_.pop_back();
        return {*this, file, std::move(board)};
      }
    }
    return {*this, file, std::make_unique<Board>(path_)};
  }

 private:
  void give_back(int file, std::unique_ptr<Board> board) {
    if (board->read_only()) return;  // may have been opened as one that never changes
    const std::lock_guard lock(mutex_);
    if (file == file_) free_.push_back(std::move(board));
  }

  const fs::path path_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Board>> free_;  // of the present file
  int file_ = 0;                              // how many there were
  ino_t inode_ = 0;
  dev_t device_ = 0;
};

/// Texts that were computed for one head of the chain.
class ComputedAnswers {
 public:
  using Text = std::shared_ptr<const std::string>;

  Text find(const std::string& head, const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto found = head == head_ ? texts_.find(name) : texts_.end();
    return found == texts_.end() ? nullptr : found->second;
  }
  void keep(const std::string& head, const std::string& name, const Text& text) {
    const std::lock_guard lock(mutex_);
    if (head != head_ || bytes_ + text->size() > kAnswersInMemory) {
      texts_.clear();
      bytes_ = 0;
      head_ = head;
    }
    if (text->size() <= kAnswersInMemory && texts_.emplace(name, text).second) bytes_ += text->size();
  }

 private:
  std::mutex mutex_;
  std::string head_;
  std::map<std::string, Text> texts_;
  std::size_t bytes_ = 0;
};

/// Requests to write, by address, within the last minute.
class WriteRate {
 public:
  /// Counts one; the seconds to wait where there were too many.
  std::optional<int> count(const std::string& address, int most) {
    const std::lock_guard lock(mutex_);
    const Clock::time_point now = Clock::now();
    const auto past = [&](Clock::time_point time) { return now - time >= kMinute; };
    if (times_.size() >= kAddressesInMemory)
      std::erase_if(times_,
                    [&](const auto& entry) { return entry.second.empty() || past(entry.second.back()); });
    std::deque<Clock::time_point>& times = times_[address];
    while (!times.empty() && past(times.front())) times.pop_front();
    if (times.size() >= static_cast<std::size_t>(most))
      return static_cast<int>(
          std::ceil(std::chrono::duration<double>(kMinute - (now - times.front())).count()));
    times.push_back(now);
    return std::nullopt;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::deque<Clock::time_point>> times_;
};

/// Counters for Prometheus (text format 0.0.4).
class ServerMetrics {
 public:
  void add(const std::string& route, int status, double seconds, std::size_t received, std::size_t sent) {
    const std::lock_guard lock(mutex_);
    ++requests_[{route, status}];
    Times& times = times_[route];
    times.seconds += seconds;
    ++times.count;
    for (std::size_t i = 0; i < kBuckets.size(); ++i) times.below[i] += seconds <= kBuckets[i];
    received_ += received;
    sent_ += sent;
    ++all_;
  }
  std::int64_t all() const { return all_; }

  std::string text(std::size_t connections) const {
    const std::lock_guard lock(mutex_);
    std::string out = head("requests_total", "counter", "answered requests");
    for (const auto& [of, count] : requests_)
      out += concat(kPrefix, "requests_total{route=\"", of.first, "\",status=\"", of.second, "\"} ", count,
                    "\n");
    out += head("request_seconds", "histogram", "from a request's headers to its answer");
    for (const auto& [route, times] : times_) {
      for (std::size_t i = 0; i < kBuckets.size(); ++i)
        out += concat(kPrefix, "request_seconds_bucket{route=\"", route, "\",le=\"", kBuckets[i], "\"} ",
                      times.below[i], "\n");
      out += concat(kPrefix, "request_seconds_bucket{route=\"", route, "\",le=\"+Inf\"} ", times.count, "\n",
                    kPrefix, "request_seconds_sum{route=\"", route, "\"} ", times.seconds, "\n", kPrefix,
                    "request_seconds_count{route=\"", route, "\"} ", times.count, "\n");
    }
    return out + gauge("received_bytes_total", "counter", "of bodies", received_) +
           gauge("sent_bytes_total", "counter", "of bodies", sent_) +
           gauge("open_connections", "gauge", "now", connections);
  }
  static std::string gauge(const char* name, const char* type, const char* about, std::uint64_t value) {
    return head(name, type, about) + concat(kPrefix, name, " ", value, "\n");
  }

 private:
  static constexpr const char* kPrefix = "diffreward_board_";
  static std::string head(const char* name, const char* type, const char* about) {
    return concat("# HELP ", kPrefix, name, " ", about, "\n# TYPE ", kPrefix, name, " ", type, "\n");
  }

  struct Times {
    std::array<std::int64_t, kBuckets.size()> below = {};
    std::int64_t count = 0;
    double seconds = 0;
  };
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, std::int64_t> requests_;
  std::map<std::string, Times> times_;
  std::uint64_t received_ = 0, sent_ = 0;
  std::atomic<std::int64_t> all_{0};
};

/// Where a connection is: between requests or in the middle of headers, in a request's body, without an answer yet, or
/// with one that goes out.
enum class ConnectionPhase { kWaiting, kReceiving, kComputing, kAnswering };

struct ServerConnection {
  int descriptor = -1;
  std::string address;
  // Looked at by the watch over all connections, under its lock.
  ConnectionPhase phase = ConnectionPhase::kWaiting;
  Clock::time_point since = Clock::now();       // in this phase
  std::optional<Clock::time_point> began = {};  // the request's first byte
  std::uint64_t received_before = 0;            // bytes, until the last answer
  bool cut = false;                             // nothing more is answered here
  // Of the present request.
  std::string target = {};
  ServerRequest request = {};
  const ServerRoute* route = nullptr;
  std::string key = {};    // its name
  std::string known = {};  // If-None-Match
  std::optional<ServerAnswer> refusal = {};
  Clock::time_point started = {};
  std::size_t received = 0, in_memory = 0;
};

/// Bytes that came over a connection since it was made.
std::uint64_t bytes_received(int descriptor) {
  tcp_info info{};
  socklen_t size = sizeof info;
  return ::getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_bytes_received : 0;
}

std::string text_of_address(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address->sa_family == AF_INET6) {
    in6_addr network = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
    std::memset(network.s6_addr + 8, 0, 8);  // one subscriber has all of such a network
    ::inet_ntop(AF_INET6, &network, text, sizeof text);
  } else if (address->sa_family == AF_INET) {
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, text, sizeof text);
  }
  return text;
}

bool is_loopback(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET6)
    return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(&address)->sin6_addr) != 0;
  return address.ss_family == AF_INET &&
         (ntohl(reinterpret_cast<const sockaddr_in*>(&address)->sin_addr.s_addr) >> 24u) == 127;
}

/// A listening socket. Throws Error in one line.
int listen_on(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failed != 0)
    throw Error(concat("host: expected a name or an address of this machine, found '", host, "' (",
                       ::gai_strerror(failed), ")"));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> held(found, ::freeaddrinfo);
  const int descriptor = ::socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, found->ai_protocol);
  const int yes = 1;
  if (descriptor >= 0) ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (descriptor < 0 || ::bind(descriptor, found->ai_addr, found->ai_addrlen) != 0 ||
      ::listen(descriptor, SOMAXCONN) != 0) {
    const int reason = errno;
    if (descriptor >= 0) ::close(descriptor);
    throw Error(concat("cannot listen on ", host, ", port ", port, ": ", std::strerror(reason)));
  }
  return descriptor;
}

std::string header_of(MHD_Connection* connection, const char* name) {
  const char* value = nullptr;
  std::size_t size = 0;
  return MHD_lookup_connection_value_n(connection, MHD_HEADER_KIND, name, std::strlen(name), &value, &size) ==
                     MHD_YES &&
                 value != nullptr
             ? std::string(value, size)
             : std::string();
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

}  // namespace

struct BoardServer::Impl {
  Impl(fs::path path, BoardServerConfig given)
      : config(std::move(given)), leases(std::move(path)), pool(config.threads) {}

  BoardServerConfig config;
  /// What a text depends on besides the board and the request.
  const std::string made_by = concat(program_commit(), "-",
                                     sha256(Json{config.title, to_json(config.statistics)}.dump(
                                                -1, ' ', true, Json::error_handler_t::replace))
                                         .substr(0, 8));
  BoardLeases leases;
  ComputedAnswers computed;
  WriteRate rate;
  ServerMetrics metrics;
  std::mutex computing;  // and the threads that do
  ThreadPool pool;
  std::string last_standings_name;
  std::shared_ptr<const std::vector<SuiteStandings>> last_standings;
  std::timed_mutex
      writing;  // one submission in memory as JSON at a time; the board's own queue comes after it
  std::atomic<std::size_t> bodies{0};  // bytes
  std::atomic<bool> stopping{false};

  std::mutex mutex;  // of the connections
  std::map<ServerConnection*, std::unique_ptr<ServerConnection>> connections;
  std::condition_variable wake;
  bool ended = false;
  std::thread watch;

  MHD_Daemon* daemon = nullptr;
  sockaddr_storage bound = {};
  int port = 0;

  void log(const std::string& line) const {
    if (config.log) config.log(line);
  }

  // ---- answers

  /// A text of the present head: known to the client, kept from earlier, or computed.
  ServerAnswer render(const ServerConnection& connection) {
    const ServerRoute& route = *connection.route;
    BoardLeases::Lease board = leases.take();
    ServerAnswer answer{.type = route.type};
    {
      const BoardReading reading(*board);
      const std::string head = board->head();
      const std::string tag = "\"" + head + "-" + made_by + "\"";
      answer.headers.emplace_back("ETag", tag);
      // A name in hexadecimal digits within quotes is in no other one.
      if (connection.known.find(tag) != std::string::npos || trimmed(connection.known) == "*")
        answer.status = MHD_HTTP_NOT_MODIFIED;
      else
        answer.body = text_of(
            route.computes,
            route.path + Json({connection.request.value, connection.request.query})
                             .dump(-1, ' ', true, Json::error_handler_t::replace),
            head, [&] {
              return route.render(*board, connection.request,
                                  {config.title, config.statistics, &pool, [&](const StandingsConfig& asked) {
                                     return standings_at(*board, head, asked);
                                   }});
            });
    }
    board.good();
    if (route.type == std::string_view("text/csv; charset=utf-8"))
      answer.headers.emplace_back("Content-Disposition", "attachment; filename=\"board.csv\"");
    return answer;
  }

  /// Those that were computed last, where they are the same. By who computes.
  std::shared_ptr<const std::vector<SuiteStandings>> standings_at(const Board& board, const std::string& head,
                                                                  const StandingsConfig& asked) {
    const std::string name = head + to_json(asked).dump(-1, ' ', true, Json::error_handler_t::replace);
    if (!last_standings || name != last_standings_name) {
      last_standings.reset();
      last_standings = std::make_shared<const std::vector<SuiteStandings>>(standings(board, asked, &pool));
      last_standings_name = name;
    }
    return last_standings;
  }

  template <class Make>
  ComputedAnswers::Text text_of(bool computes, const std::string& name, const std::string& head,
                                const Make& make) {
    if (ComputedAnswers::Text kept = computed.find(head, name)) return kept;
    std::unique_lock lock(computing, std::defer_lock);
    if (computes) lock.lock();
    if (ComputedAnswers::Text kept = computed.find(head, name)) return kept;  // who waited before computed it
    const auto text = std::make_shared<const std::string>(make());
    computed.keep(head, name, text);
    return text;
  }

  ServerAnswer health() {
    BoardLeases::Lease board = leases.take();
    (void)board->head();
    board.good();
    return answer_of(MHD_HTTP_OK, {{"status", "ok"}});
  }

  ServerAnswer metrics_text() {
    std::size_t open = 0;
    {
      const std::lock_guard lock(mutex);
      open = connections.size();
    }
    std::string text = metrics.text(open);
    try {
      BoardLeases::Lease board = leases.take();
      const ComputedAnswers::Text counts = [&] {
        const BoardReading reading(*board);
        return text_of(false, "/metrics", board->head(), [&] {
          return ServerMetrics::gauge("rows", "gauge", "methods on the board", board->entries().size()) +
                 ServerMetrics::gauge("runs", "gauge", "runs of these", board->runs().size());
        });
      }();
      board.good();
      text += *counts;
    } catch (const Error&) {  // what was counted is worth more then than ever
    }
    return {.type = connection_type(ServerAction::kMetrics),
            .body = std::make_shared<const std::string>(std::move(text))};
  }

  static const char* connection_type(ServerAction action) {
    for (const ServerRoute& route : server_routes())
      if (route.action == action) return route.type;
    return "application/json";
  }

  ServerAnswer submit(ServerConnection& connection) {
    std::unique_lock lock(writing, std::defer_lock);
    if (!lock.try_lock_for(std::chrono::duration<double>(config.limits.answer_seconds)))
      return refusal_of(MHD_HTTP_SERVICE_UNAVAILABLE, "expected a turn to write, found too many writers");
    Json exported;
    try {
      exported = parse_board(std::exchange(connection.request.body, {}));
    } catch (const InvalidArgument& error) {
      return refusal_of(MHD_HTTP_BAD_REQUEST, error.what());
    }
    // Others wait meanwhile, and each run is compared with what is there.
    if (runs_in(exported) > kMostRuns)
      return refusal_of(MHD_HTTP_CONTENT_TOO_LARGE,
                        concat("expected at most ", kMostRuns, " methods and runs, found more"));
    BoardLeases::Lease board = leases.take();
    Json result = {{"submitted", Json::array()}, {"key", connection.key}};
    BoardBatch batch(*board);
    const std::string before = board->head();
    try {
      for (const BoardReceipt& receipt : merge_board(*board, exported))
        result["submitted"].push_back(receipt.json());
    } catch (const InvalidArgument& error) {
      return refusal_of(MHD_HTTP_UNPROCESSABLE_CONTENT, error.what());
    }
    const bool added = board->head() != before;
    try {
      if (added) board->sign(connection.key, before);
    } catch (const InvalidArgument& error) {  // revoked since it was looked at
      return refusal_of(MHD_HTTP_FORBIDDEN, error.what());
    }
    result["head"] = board->head();
    batch.commit();
    board.good();
    return answer_of(added ? MHD_HTTP_CREATED : MHD_HTTP_OK, result);
  }

  ServerAnswer keep(ServerConnection& connection) {
    const std::string& hash = connection.request.value;
    BoardLeases::Lease board = leases.take();
    try {
      const bool added = board->keep(hash, connection.request.body);
      board.good();
      return answer_of(added ? MHD_HTTP_CREATED : MHD_HTTP_OK,
                       {{"sha256", hash}, {"bytes", connection.request.body.size()}, {"new", added}});
    } catch (const InvalidArgument& error) {
      return refusal_of(MHD_HTTP_UNPROCESSABLE_CONTENT, error.what());
    }
  }

  /// Whatever is thrown becomes an answer that names no file.
  template <class Make>
  ServerAnswer guarded(const ServerConnection& connection, const Make& make) {
    try {
      return make();
    } catch (const InvalidArgument& error) {
      const bool named = connection.route != nullptr && !connection.request.value.empty();
      return refusal_of(named ? MHD_HTTP_NOT_FOUND : MHD_HTTP_BAD_REQUEST, error.what());
    } catch (const Interrupted&) {
      return refusal_of(MHD_HTTP_SERVICE_UNAVAILABLE, "the server is stopping");
    } catch (const std::bad_alloc&) {
      return refusal_of(MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
    } catch (const std::exception& error) {
      log(error.what());
      return refusal_of(MHD_HTTP_SERVICE_UNAVAILABLE, "the board cannot be read or written to now");
    }
  }

  ServerAnswer answer(ServerConnection& connection) {
    if (connection.refusal) return *connection.refusal;
    return guarded(connection, [&]() -> ServerAnswer {
      switch (connection.route->action) {
        case ServerAction::kRender:
          return render(connection);
        case ServerAction::kOpenApi:
          return answer_of(MHD_HTTP_OK, board_openapi());
        case ServerAction::kHealth:
          return health();
        case ServerAction::kMetrics:
          return metrics_text();
        case ServerAction::kSubmit:
          return submit(connection);
        case ServerAction::kKeep:
          return keep(connection);
      }
      return refusal_of(MHD_HTTP_INTERNAL_SERVER_ERROR, "no answer");
    });
  }

  // ---- what is asked for, once the headers are there

  std::size_t body_limit(const ServerConnection& connection) const {
    if (connection.route == nullptr || !connection.route->writes()) return kIgnoredBody;
    return connection.route->action == ServerAction::kKeep
               ? kKeptFile
               : static_cast<std::size_t>(config.limits.body * static_cast<double>(kMebi));
  }

  std::string address_of(const ServerConnection& connection, MHD_Connection* http) const {
    if (!config.behind_proxy) return connection.address;
    const std::string forwarded = header_of(http, "X-Forwarded-For");
    const std::string last = trimmed(forwarded.substr(forwarded.rfind(',') + 1));
    sockaddr_storage address{};
    if (::inet_pton(AF_INET, last.c_str(), &reinterpret_cast<sockaddr_in*>(&address)->sin_addr) == 1)
      address.ss_family = AF_INET;
    else if (::inet_pton(AF_INET6, last.c_str(), &reinterpret_cast<sockaddr_in6*>(&address)->sin6_addr) == 1)
      address.ss_family = AF_INET6;
    else
      return connection.address;
    return text_of_address(reinterpret_cast<const sockaddr*>(&address));
  }

  /// Whose key comes with the request; a refusal otherwise.
  std::optional<ServerAnswer> expect_key(ServerConnection& connection, MHD_Connection* http) {
    const std::string given = header_of(http, "Authorization");
    constexpr std::string_view kScheme = "bearer ";
    if (lower(given.substr(0, kScheme.size())) != kScheme)
      return refusal_of(MHD_HTTP_UNAUTHORIZED,
                        "expected a key in the header Authorization: Bearer KEY, found none");
    const std::string key = trimmed(given.substr(kScheme.size()));
    BoardLeases::Lease board = leases.take();
    const std::optional<BoardKey> found = key.size() <= kLongestKey ? board->key_of(key) : std::nullopt;
    const bool read_only = board->read_only();
    const bool needed = connection.route->action != ServerAction::kKeep || !found || found->revoked ||
                        board->needs(connection.request.value);
    board.good();
    if (!found) return refusal_of(MHD_HTTP_UNAUTHORIZED, "expected a key of this board, found another text");
    if (found->revoked)
      return refusal_of(MHD_HTTP_FORBIDDEN, "expected a key that holds, found one that was revoked");
    if (read_only)
      return refusal_of(MHD_HTTP_FORBIDDEN,
                        "expected a board that may be written to, found one that is only read");
    if (!needed)
      return refusal_of(MHD_HTTP_CONFLICT,
                        "expected a file that a run was made from, found one that none names");
    connection.key = found->name;
    return std::nullopt;
  }

  std::optional<ServerAnswer> refuse(ServerConnection& connection, MHD_Connection* http, const char* method) {
    if (connection.target.size() > kLongestTarget)
      return refusal_of(MHD_HTTP_URI_TOO_LONG,
                        concat("URL: expected at most ", kLongestTarget, " bytes, found more"));
    connection.request = parse_target(method, connection.target);
    std::vector<std::string> methods;
    connection.route = find_route(connection.request, methods);
    if (connection.route == nullptr && methods.empty())
      return refusal_of(MHD_HTTP_NOT_FOUND,
                        "expected a path of the board, found another (api/v1/openapi.json)");
    if (connection.route == nullptr) {
      std::string allowed;
      for (const std::string& name : methods) allowed += (allowed.empty() ? "" : ", ") + name;
      ServerAnswer answer = refusal_of(MHD_HTTP_METHOD_NOT_ALLOWED, "expected " + allowed);
      answer.headers.emplace_back("Allow", allowed);
      return answer;
    }
    try {
      expect_query(*connection.route, connection.request);
    } catch (const InvalidArgument& error) {
      return refusal_of(MHD_HTTP_BAD_REQUEST, error.what());
    }
    if (!connection.route->writes()) return std::nullopt;
    if (const std::optional<int> wait =
            rate.count(address_of(connection, http), config.limits.writes_per_minute)) {
      ServerAnswer answer = refusal_of(
          MHD_HTTP_TOO_MANY_REQUESTS,
          concat("expected at most ", config.limits.writes_per_minute, " requests to write a minute"));
      answer.headers.emplace_back("Retry-After", std::to_string(std::max(1, *wait)));
      return answer;
    }
    if (std::optional<ServerAnswer> refused = expect_key(connection, http)) return refused;
    const std::string type = header_of(http, "Content-Type"), encoding = header_of(http, "Content-Encoding");
    if (lower(trimmed(type.substr(0, type.find(';')))) != connection.route->body_type ||
        (!encoding.empty() && lower(encoding) != "identity"))
      return refusal_of(
          MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
          concat("expected a body of Content-Type ", connection.route->body_type, ", not encoded"));
    return std::nullopt;
  }

  ServerAnswer too_large(const ServerConnection& connection) const {
    return refusal_of(MHD_HTTP_CONTENT_TOO_LARGE,
                      concat("expected a body of at most ", body_limit(connection), " bytes, found more"));
  }

  // ---- over the wire

  std::vector<std::pair<const char*, std::string>> headers_of(const ServerAnswer& answer, bool by_key) const {
    std::vector<std::pair<const char*, std::string>> headers = answer.headers;
    headers.emplace_back("Content-Type", answer.type);
    headers.emplace_back("X-Content-Type-Options", "nosniff");
    headers.emplace_back("Referrer-Policy", "no-referrer");
    headers.emplace_back("Content-Security-Policy",
                         answer.type.starts_with("text/html") && answer.status == MHD_HTTP_OK
                             ? policy_of(*answer.body)
                             : std::string(kDataPolicy));
    // Kept by nobody without asking again, which a 304 answers.
    headers.emplace_back("Cache-Control", by_key ? "no-store" : "no-cache");
    return headers;
  }

  void count(const ServerConnection& connection, const ServerAnswer& answer) {
    metrics.add(connection.route == nullptr ? "other" : connection.route->path, answer.status,
                seconds_since(connection.started), connection.received,
                connection.request.method == "HEAD" ? 0 : answer.body->size());
  }

  MHD_Result send(const ServerConnection& connection, MHD_Connection* http, const ServerAnswer& answer) {
    auto held = std::make_unique<std::shared_ptr<const std::string>>(answer.body);
    // Never written to: the library's interface has no const.
    MHD_Response* response = MHD_create_response_from_buffer_with_free_callback_cls(
        answer.body->size(), const_cast<char*>(answer.body->data()),
        [](void* text) { delete static_cast<std::shared_ptr<const std::string>*>(text); }, held.get());
    if (response == nullptr) return MHD_NO;
    held.release();  // the response's now
    for (const auto& [name, value] : headers_of(answer, !connection.key.empty()))
      MHD_add_response_header(response, name, value.c_str());
    if (stopping) MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    const MHD_Result sent = MHD_queue_response(http, static_cast<unsigned>(answer.status), response);
    MHD_destroy_response(response);
    count(connection, answer);
    return sent;
  }

  /// An answer in the middle of a request, which the library gives none in: written past it, after which the connection is
  /// of no use.
  void send_past(int descriptor, const ServerAnswer& answer) const {
    const auto status = static_cast<unsigned>(answer.status);
    std::string text = concat("HTTP/1.1 ", status, " ", MHD_get_reason_phrase_for(status), "\r\n");
    for (const auto& [name, value] : headers_of(answer, false)) text += concat(name, ": ", value, "\r\n");
    text += concat("Content-Length: ", answer.body->size(), "\r\nConnection: close\r\n\r\n", *answer.body);
    // As much as goes at once, which is all of so short a text; there is nobody to tell of a failure.
    (void)!::send(descriptor, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  /// The same by the connection's own thread. What the client still sends is read for a moment: the answer would be lost
  /// to a client that is told, while it writes, that nobody reads.
  MHD_Result refuse_past(ServerConnection& connection, const ServerAnswer& answer) {
    {
      const std::lock_guard lock(mutex);
      if (connection.cut) return MHD_NO;
      connection.cut = true;
    }
    send_past(connection.descriptor, answer);
    count(connection, answer);
    ::shutdown(connection.descriptor, SHUT_WR);
    std::vector<char> bytes(kConnectionMemory);
    const Clock::time_point end = Clock::now() + kDraining;
    while (Clock::now() < end) {
      pollfd ready{connection.descriptor, POLLIN, 0};
      if (::poll(&ready, 1, 100) > 0 &&
          ::recv(connection.descriptor, bytes.data(), bytes.size(), MSG_DONTWAIT) <= 0)
        break;
    }
    return MHD_NO;
  }

  bool enter(ServerConnection& connection, ConnectionPhase phase) {
    const std::lock_guard lock(mutex);
    connection.phase = phase;
    connection.since = Clock::now();
    if (!connection.began) connection.began = connection.since;
    return !connection.cut;
  }

  MHD_Result begin(ServerConnection& connection, MHD_Connection* http, const char* method) {
    if (!enter(connection, ConnectionPhase::kReceiving)) return MHD_NO;
    connection.started = Clock::now();
    connection.known = header_of(http, "If-None-Match");
    try {
      connection.refusal = refuse(connection, http, method);
    } catch (const InvalidArgument& error) {
      connection.refusal = refusal_of(MHD_HTTP_BAD_REQUEST, error.what());
    } catch (const std::exception&) {
      connection.refusal = guarded(connection, []() -> ServerAnswer { throw; });
    }
    const std::string length = header_of(http, "Content-Length");
    std::uint64_t declared = 0;
    std::from_chars(length.data(), length.data() + length.size(), declared);
    if (!connection.refusal && declared > body_limit(connection)) connection.refusal = too_large(connection);
    if (!connection.refusal) return MHD_YES;
    // A client that asks first is told before it sends; of others the body is read and forgotten.
    if (!header_of(http, "Expect").empty()) return send_last(connection, http, *connection.refusal);
    if (declared > body_limit(connection)) return refuse_past(connection, *connection.refusal);
    return MHD_YES;
  }

  MHD_Result send_last(ServerConnection& connection, MHD_Connection* http, const ServerAnswer& answer) {
    return enter(connection, ConnectionPhase::kAnswering) ? send(connection, http, answer) : MHD_NO;
  }

  MHD_Result receive(ServerConnection& connection, const char* bytes, std::size_t size) {
    connection.received += size;
    if (connection.received > body_limit(connection))
      return refuse_past(connection, connection.refusal ? *connection.refusal : too_large(connection));
    if (connection.refusal || !connection.route->writes()) return MHD_YES;
    connection.in_memory += size;
    if ((bodies += size) > std::max(kBodiesInMemory, 2 * body_limit(connection))) {
      connection.refusal = refusal_of(MHD_HTTP_SERVICE_UNAVAILABLE, "expected room for the body, found none");
      connection.request.body = {};
      return MHD_YES;
    }
    connection.request.body.append(bytes, size);
    return MHD_YES;
  }

  void forget_request(ServerConnection& connection) {
    bodies -= connection.in_memory;
    connection.in_memory = connection.received = 0;
    connection.request = {};
    connection.route = nullptr;
    connection.refusal.reset();
    connection.target.clear();
    connection.key.clear();
    connection.known.clear();
  }

  static Impl& of(void* self) { return *static_cast<Impl*>(self); }

  static void on_connection(void* self, MHD_Connection* http, void** context,
                            MHD_ConnectionNotificationCode code) {
    Impl& server = of(self);
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
      auto connection = std::make_unique<ServerConnection>();
      connection->descriptor = MHD_get_connection_info(http, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
      connection->address =
          text_of_address(MHD_get_connection_info(http, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
      *context = connection.get();
      const std::lock_guard lock(server.mutex);
      server.connections.emplace(connection.get(), std::move(connection));
    } else {
      const std::lock_guard lock(server.mutex);
      server.connections.erase(static_cast<ServerConnection*>(*context));
    }
  }

  static void* on_target(void*, const char* target, MHD_Connection* http) {
    auto* connection = static_cast<ServerConnection*>(
        MHD_get_connection_info(http, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context);
    connection->target = target;
    return connection;
  }

  static MHD_Result on_request(void* self, MHD_Connection* http, const char*, const char* method, const char*,
                               const char* bytes, std::size_t* size, void** context) {
    Impl& server = of(self);
    ServerConnection& connection = *static_cast<ServerConnection*>(*context);
    try {
      if (connection.phase == ConnectionPhase::kWaiting) return server.begin(connection, http, method);
      if (*size > 0) return server.receive(connection, bytes, std::exchange(*size, 0));
      if (!server.enter(connection, ConnectionPhase::kComputing)) return MHD_NO;
      return server.send_last(connection, http, server.answer(connection));
    } catch (const std::exception& error) {  // out of memory
      server.log(error.what());
      return MHD_NO;
    }
  }

  static void on_answered(void* self, MHD_Connection*, void** context, MHD_RequestTerminationCode) {
    auto* connection = static_cast<ServerConnection*>(*context);
    if (connection == nullptr) return;
    Impl& server = of(self);
    server.forget_request(*connection);
    const std::lock_guard lock(server.mutex);
    connection->phase = ConnectionPhase::kWaiting;
    connection->since = Clock::now();
    connection->began.reset();
    connection->received_before = bytes_received(connection->descriptor);
  }

  /// Ends what takes too long: a request that does not come to its end, an answer that nobody takes, a connection that
  /// waits.
  void look(ServerConnection& connection) {
    if (connection.cut) return;
    const BoardServerLimits& limits = config.limits;
    const auto end = [&](int status, const std::string& reason) {
      connection.cut = true;
      if (status != 0) {
        const ServerAnswer last = refusal_of(status, reason);
        send_past(connection.descriptor, last);
        // What was asked for is its own thread's affair, which may be at it.
        metrics.add("other", status, seconds_since(*connection.began), 0, last.body->size());
      }
      ::shutdown(connection.descriptor, SHUT_RDWR);
    };
    const bool late = seconds_since(connection.since) > limits.answer_seconds;
    if (connection.phase == ConnectionPhase::kAnswering) {
      if (late) end(0, "");
      return;
    }
    // What is computed is kept for who asks again.
    if (connection.phase == ConnectionPhase::kComputing) {
      if (late)
        end(MHD_HTTP_SERVICE_UNAVAILABLE, concat("expected an answer within ", limits.answer_seconds,
                                                 " s, found that it takes longer; ask again"));
      return;
    }
    if (!connection.began && bytes_received(connection.descriptor) > connection.received_before)
      connection.began = Clock::now();
    if (connection.began) {
      if (seconds_since(*connection.began) > limits.request_seconds)
        end(MHD_HTTP_REQUEST_TIMEOUT,
            concat("expected a whole request within ", limits.request_seconds, " s, found a part of one"));
    } else if (seconds_since(connection.since) > limits.idle_seconds || stopping) {
      end(0, "");
    }
  }

  void watch_connections() {
    std::unique_lock lock(mutex);
    while (!wake.wait_for(lock, kTick, [&] { return ended; }))
      for (auto& [connection, unused] : connections) look(*connection);
  }

  /// Requests that have begun.
  int open_requests() {
    const std::lock_guard lock(mutex);
    return static_cast<int>(std::ranges::count_if(connections, [](const auto& entry) {
      const ServerConnection& connection = *entry.first;
      return !connection.cut && (connection.phase != ConnectionPhase::kWaiting || connection.began ||
                                 bytes_received(connection.descriptor) > connection.received_before);
    }));
  }
};

BoardServer::BoardServer(fs::path board, BoardServerConfig config)
    : impl_(std::make_unique<Impl>(std::move(board), std::move(config))) {
  Impl& server = *impl_;
  {
    BoardLeases::Lease first = server.leases.take();  // it is one
    (void)first->head();
    first.good();
  }
  const BoardServerLimits& limits = server.config.limits;
  const int listening = listen_on(server.config.host, server.config.port);
  socklen_t size = sizeof server.bound;
  ::getsockname(listening, reinterpret_cast<sockaddr*>(&server.bound), &size);
  server.port = ntohs(server.bound.ss_family == AF_INET6
                          ? reinterpret_cast<const sockaddr_in6*>(&server.bound)->sin6_port
                          : reinterpret_cast<const sockaddr_in*>(&server.bound)->sin_port);
  server.watch = std::thread([&server] { server.watch_connections(); });
  // A proxy's connections are all of one address.
  const int each = server.config.behind_proxy ? limits.connections : limits.connections_per_address;
  server.daemon = MHD_start_daemon(
      MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL | MHD_USE_ITC, 0,
      nullptr, nullptr, &Impl::on_request, &server, MHD_OPTION_LISTEN_SOCKET, listening,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, kConnectionMemory, MHD_OPTION_CONNECTION_LIMIT,
      static_cast<unsigned>(limits.connections), MHD_OPTION_PER_IP_CONNECTION_LIMIT,
      static_cast<unsigned>(each), MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_CONNECTION,
      &Impl::on_connection, &server, MHD_OPTION_URI_LOG_CALLBACK, &Impl::on_target, &server,
      MHD_OPTION_NOTIFY_COMPLETED, &Impl::on_answered, &server, MHD_OPTION_END);
  if (server.daemon == nullptr) {
    ::close(listening);
    {
      const std::lock_guard lock(server.mutex);
      server.ended = true;
    }
    server.wake.notify_all();
    server.watch.join();
    throw Error("server: libmicrohttpd cannot start");
  }
}

BoardServer::~BoardServer() {
  MHD_stop_daemon(impl_->daemon);
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->ended = true;
  }
  impl_->wake.notify_all();
  impl_->watch.join();
}

int BoardServer::port() const {
  return impl_->port;
}

std::string BoardServer::address() const {
  const std::string& host = impl_->config.host;
  return concat("http://", host.find(':') == std::string::npos ? host : "[" + host + "]", ":", impl_->port);
}

bool BoardServer::loopback() const {
  return is_loopback(impl_->bound);
}

std::int64_t BoardServer::requests() const {
  return impl_->metrics.all();
}

int BoardServer::finish(const std::function<void()>& wait) {
  if (!impl_->stopping.exchange(true))
    if (const MHD_socket listening = MHD_quiesce_daemon(impl_->daemon); listening != MHD_INVALID_SOCKET)
      ::close(listening);
  const Clock::time_point start = Clock::now();
  int open = impl_->open_requests();
  while (open > 0 && seconds_since(start) < impl_->config.limits.stop_seconds) {
    std::this_thread::sleep_for(kTick);
    if (wait) wait();
    open = impl_->open_requests();
  }
  return open;
}

}  // namespace diffreward
