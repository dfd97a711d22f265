// The server as strangers see it: over sockets, with requests that are right, wrong, slow, too large and at the same time.
#include "leaderboard/server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sqlite3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <future>
#include <map>
#include <set>
#include <thread>

#include "core/hash.h"
#include "leaderboard/board_page.h"
#include "leaderboard/exports.h"
#include "leaderboard/server_routes.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

struct Reply {
  int status = 0;  ///< 0: the connection was closed without one
  std::multimap<std::string, std::string> headers = {};
  std::string body = {};
  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
  Json json() const { return parse_json(body, "answer"); }
};

/// One connection, of bytes.
class Wire {
 public:
  explicit Wire(int port) : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval patience{20, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Wire() { ::close(descriptor_); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  bool connected() const { return connected_; }
  bool send(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t sent = ::send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  /// Reads one answer; of HEAD it has no body.
  Reply read(bool head = false) {
    Reply reply;
    std::size_t end = 0;
    while ((end = bytes_.find("\r\n\r\n")) == std::string::npos)
      if (!more()) return reply;
    std::istringstream lines(bytes_.substr(0, end));
    bytes_.erase(0, end + 4);
    std::string line, version;
    std::getline(lines, line);
    std::istringstream(line) >> version >> reply.status;
    while (std::getline(lines, line)) {
      const std::size_t colon = line.find(':');
      std::string name = line.substr(0, colon), value = line.substr(colon + 2);
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      if (value.ends_with('\r')) value.pop_back();
      reply.headers.emplace(name, value);
    }
    if (reply.status == 100) return read(head);
    const std::string length = reply.header("content-length");
    const std::size_t size = head || length.empty() ? 0 : std::stoul(length);
    while (bytes_.size() < size)
      if (!more()) break;
    reply.body = bytes_.substr(0, size);
    bytes_.erase(0, size);
    return reply;
  }

 private:
  bool more() {
    char buffer[65536];
    const ssize_t got = ::recv(descriptor_, buffer, sizeof buffer, 0);
    if (got <= 0) return false;
    bytes_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }

  int descriptor_;
  bool connected_ = false;
  std::string bytes_;
};

std::string chunk(const std::string& text) {
  std::ostringstream out;
  out << std::hex << text.size() << "\r\n" << text << "\r\n";
  return out.str();
}

std::string encoded(const std::string& text) {
  constexpr const char* kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += {'%', kDigits[byte >> 4u], kDigits[byte & 15u]};
  }
  return out;
}

class ServerTest : public testing::Test {
 protected:
  ServerTest() : board_(Board::create(path_, {{.name = "s/a"}, {.name = "s/b"}})) {
    key_ = board_.add_key("anna");
  }

  static BoardServerConfig any_port() { return {.port = 0, .threads = 1, .statistics = {.resamples = 200}}; }
  BoardServer& serve(BoardServerConfig config = any_port()) {
    config.port = 0;
    server_ = std::make_unique<BoardServer>(path_, std::move(config));
    return *server_;
  }

  static BoardSubmission submission_of(const std::string& name,
                                       std::vector<double> scores = {0.2, 0.4, 0.6}) {
    BoardSubmission given{.entry = {.name = name, .command = name, .note = name}};
    for (std::size_t i = 0; i < scores.size(); ++i)
      for (const char* task : {"s/a", "s/b"})
        given.runs.push_back({.task = task,
                              .train_seed = i,
                              .weights = sha256("weights"),
                              .episodes = {{3, scores[i], 7}, {4, scores[i], 7}}});
    return given;
  }
  /// What another board with this method exports.
  std::string exported(const std::string& name, std::vector<double> scores = {0.2, 0.4, 0.6}) {
    const TemporaryFolder folder;
    Board other = Board::create(folder / "other.sqlite", board_.tasks());
    other.submit(submission_of(name, std::move(scores)));
    return board_json(other).dump();
  }

  static std::string request(const std::string& method, const std::string& target,
                             const std::vector<std::string>& headers = {}, const std::string& body = {}) {
    std::string out = method + " " + target + " HTTP/1.1\r\nHost: board\r\n";
    for (const std::string& header : headers) out += header + "\r\n";
    if (!body.empty()) out += concat("Content-Length: ", body.size(), "\r\n");
    return out + "\r\n" + body;
  }
  Reply ask(const std::string& method, const std::string& target,
            const std::vector<std::string>& headers = {}, const std::string& body = {}) const {
    Wire wire(server_->port());
    wire.send(request(method, target, headers, body));
    return wire.read(method == "HEAD");
  }
  Reply get(const std::string& target) const { return ask("GET", target); }
  std::vector<std::string> by_key(const std::string& key,
                                  const std::string& type = "application/json") const {
    return {"Authorization: Bearer " + key, "Content-Type: " + type};
  }
  Reply post(const std::string& body, const std::string& key) const {
    return ask("POST", "/api/v1/submissions", by_key(key), body);
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "board.sqlite";
  Board board_;
  std::string key_;
  std::unique_ptr<BoardServer> server_;
};

TEST_F(ServerTest, AnswersAreWhatTheCommandsPrint) {
  board_.submit(submission_of("PPO"));
  board_.submit(submission_of("SAC", {0.3, 0.5, 0.8}));
  const BoardServerConfig config = any_port();
  serve(config);
  StandingsConfig standing;
  standing.statistics = config.statistics;
  const std::vector<SuiteStandings> suites = standings(board_, standing);
  const auto printed = [](const Json& json) { return json.dump(2) + "\n"; };
  EXPECT_EQ(get("/api/v1/rows").body, printed(standings_json(board_, suites)));
  EXPECT_EQ(get("/").body, board_page(board_, suites, "Leaderboard"));
  EXPECT_EQ(get("/api/v1/tasks").body, printed(tasks_json(board_)));
  EXPECT_EQ(get("/api/v1/rows/PPO").body, printed(row_json(board_, board_.entry("PPO"))));
  EXPECT_EQ(get("/api/v1/rows/1").body, get("/api/v1/rows/PPO").body);
  EXPECT_EQ(get("/api/v1/runs").json().at("runs").size(), 12u);
  EXPECT_EQ(get("/api/v1/runs?tasks=s/b").json().at("runs").size(), 6u);
  EXPECT_EQ(get("/api/v1/episodes?run=2").json().at("stream"), Json({3, 4}));
  EXPECT_EQ(get("/api/v1/export.csv").body, board_csv(board_));
  EXPECT_EQ(get("/api/v1/export.json").body, printed(board_json(board_)));
  EXPECT_THAT(get("/api/v1/compare?a=PPO&b=SAC").json().at("sentence").get<std::string>(), HasSubstr("PPO"));
  EXPECT_EQ(get("/healthz").json(), Json({{"status", "ok"}}));
  standing.tasks = "s/a";
  EXPECT_EQ(get("/api/v1/rows?tasks=s%2Fa").body,
            printed(standings_json(board_, standings(board_, standing))));
  EXPECT_EQ(get("/api/v1/rows?tasks=t").status, 400);
  EXPECT_EQ(get("/api/v1/rows?task=s").status, 400);
  EXPECT_EQ(get("/api/v1/rows?tasks=s&tasks=t").status, 400);
  EXPECT_EQ(get("/api/v1/episodes?run=99").status, 400);
  EXPECT_EQ(get("/api/v1/episodes").status, 400);
  const Reply nobody = get("/api/v1/rows/PPQ");
  EXPECT_EQ(nobody.status, 404);
  EXPECT_THAT(nobody.json().at("error").get<std::string>(), HasSubstr("PPO"));
}

TEST_F(ServerTest, WhatOthersWriteIsSeenAtOnceAndWhatDidNotChangeIsNotSentAgain) {
  board_.submit(submission_of("PPO"));
  serve();
  for (const char* target : {"/", "/api/v1/rows", "/api/v1/export.csv"}) {
    const Reply first = get(target);
    ASSERT_EQ(first.status, 200);
    const std::string tag = first.header("etag");
    EXPECT_THAT(tag, HasSubstr(board_.head()));
    EXPECT_EQ(ask("GET", target, {"If-None-Match: " + tag}).status, 304);
    EXPECT_EQ(ask("GET", target, {"If-None-Match: \"other\", W/" + tag}).status, 304);
    EXPECT_EQ(ask("GET", target, {"If-None-Match: \"other\""}).status, 200);
    const Reply head = ask("HEAD", target);
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.header("content-length"), std::to_string(first.body.size()));
    EXPECT_EQ(first.header("x-content-type-options"), "nosniff");
    board_.submit(submission_of(std::string("after ") + target));
    const Reply after = ask("GET", target, {"If-None-Match: " + tag});
    EXPECT_EQ(after.status, 200);
    EXPECT_THAT(after.body, HasSubstr("after "));
  }
  const std::string policy = get("/").header("content-security-policy");
  EXPECT_THAT(policy, AllOf(HasSubstr("default-src 'none'"), HasSubstr("script-src 'sha256-"),
                            HasSubstr("frame-ancestors 'none'")));
  EXPECT_THAT(get("/api/v1/rows").header("content-security-policy"), Not(HasSubstr("script-src")));
}

TEST_F(ServerTest, OnlyKeysThatHoldWrite) {
  const std::string revoked = board_.add_key("bob");
  board_.revoke_key("bob");
  serve();
  const std::string body = exported("PPO"), before = board_.head();
  const Reply none = ask("POST", "/api/v1/submissions", {"Content-Type: application/json"}, body);
  EXPECT_EQ(none.status, 401);
  EXPECT_EQ(none.header("www-authenticate"), "Bearer realm=\"board\"");
  std::string other = key_;
  other.back() = other.back() == '0' ? '1' : '0';
  for (const std::string& wrong :
       {other, key_.substr(1), sha256(key_), std::string("x"), std::string(300, 'a')})
    EXPECT_EQ(post(body, wrong).status, 401);
  EXPECT_EQ(post(body, revoked).status, 403);
  EXPECT_EQ(board_.head(), before);

  const Reply first = post(body, key_);
  ASSERT_EQ(first.status, 201) << first.body;
  EXPECT_EQ(first.json().at("submitted")[0].at("new_runs"), 6);
  EXPECT_EQ(first.json().at("key"), "anna");
  EXPECT_EQ(first.json().at("head"), board_.head());
  const Reply again = post(body, key_);
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.json().at("submitted")[0].at("known_runs"), 6);
  EXPECT_EQ(again.json().at("head"), first.json().at("head"));
  EXPECT_EQ(board_.keys()[0].submissions, 1);
  EXPECT_EQ(board_.keys()[1].submissions, 0);
  EXPECT_THAT(board_.check().faults, testing::IsEmpty());
  for (const char* target : {"/", "/api/v1/export.json", "/metrics"})
    EXPECT_THAT(get(target).body, AllOf(Not(HasSubstr(key_)), Not(HasSubstr(sha256(key_)))));
}

TEST_F(ServerTest, LargeBodiesAreRefusedDeclaredOrNot) {
  BoardServerConfig config = any_port();
  config.limits.body = 0.25;
  serve(config);
  const std::string headers = "POST /api/v1/submissions HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer " +
                              key_ + "\r\nContent-Type: application/json\r\n";
  for (const char* more : {"", "Expect: 100-continue\r\n"}) {
    Wire wire(server_->port());
    wire.send(headers + more + "Content-Length: 9999999999\r\n\r\n");
    EXPECT_EQ(wire.read().status, 413) << more;
  }
  Wire pushed(server_->port());
  pushed.send(headers + "Content-Length: 600000\r\n\r\n" + std::string(600'000, ' '));
  EXPECT_EQ(pushed.read().status, 413);
  Wire wire(server_->port());
  wire.send(headers + "Transfer-Encoding: chunked\r\n\r\n");
  int sent = 0;
  while (sent < 1000 && wire.send(chunk(std::string(10'000, ' ')))) ++sent;
  const Reply reply = wire.read();
  EXPECT_EQ(reply.status, 413);
  EXPECT_THAT(reply.json().at("error").get<std::string>(), HasSubstr("at most 262144 bytes"));
  Wire small(server_->port());
  const std::string body = exported("PPO");
  small.send(headers + "Transfer-Encoding: chunked\r\n\r\n" + chunk(body.substr(0, 100)) +
             chunk(body.substr(100)) + "0\r\n\r\n");
  EXPECT_EQ(small.read().status, 201);
  EXPECT_EQ(ask("GET", "/api/v1/rows", {}, std::string(100'000, 'x')).status, 413) << "no body is read there";
}

TEST_F(ServerTest, SlowClientsAreCutOffAndHoldUpNobody) {
  BoardServerConfig config = any_port();
  config.limits.request_seconds = 0.5;
  config.limits.idle_seconds = 0.2;
  serve(config);
  const auto start = std::chrono::steady_clock::now();
  Wire headers(server_->port()), body(server_->port()), idle(server_->port());
  headers.send("GET / HTTP/1.1\r\nHost: b\r\n");
  body.send("POST /api/v1/submissions HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer " + key_ +
            "\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{");
  // A byte now and then keeps a timeout of silence away, not a deadline.
  for (int i = 0; i < 4; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    headers.send("X-A: b\r\n");
    body.send(" ");
    EXPECT_EQ(get("/healthz").status, 200);
  }
  EXPECT_EQ(headers.read().status, 408);
  EXPECT_EQ(body.read().status, 408);
  EXPECT_EQ(idle.read().status, 0) << "nothing was asked, nothing is told";
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  Wire kept(server_->port());
  for (int i = 0; i < 8; ++i) {  // longer than one request may take
    kept.send(request("GET", "/healthz"));
    EXPECT_EQ(kept.read().status, 200) << i;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

TEST_F(ServerTest, AnAnswerThatTakesLongIsThereForWhoAsksAgain) {
  board_.submit(submission_of("PPO"));
  board_.submit(submission_of("SAC", {0.3, 0.5, 0.8}));
  BoardServerConfig config = any_port();
  config.statistics.resamples = 1'000'000;
  config.limits.answer_seconds = 0.05;
  serve(config);
  Reply reply = get("/api/v1/rows");
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.header("retry-after"), "1");
  EXPECT_THAT(reply.body, HasSubstr("ask again"));
  EXPECT_EQ(get("/api/v1/tasks").status, 200) << "meanwhile";
  for (int i = 0; i < 200 && reply.status != 200; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    reply = get("/api/v1/rows");
  }
  EXPECT_EQ(reply.status, 200);
}

TEST_F(ServerTest, OtherTextThanHttpIsRefused) {
  serve();
  const std::string key = "Authorization: Bearer " + key_ + "\r\nContent-Type: application/json\r\n";
  for (const std::string& text :
       {std::string("what?\r\n\r\n"), std::string("GET\r\n\r\n"), std::string("GET / HTTP/1.1\r\n\r\n"),
        std::string("GET / HTTP/9.9\r\nHost: b\r\n\r\n"),
        std::string("\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 11),
        std::string("GET /a\0b HTTP/1.1\r\nHost: b\r\n\r\n", 32),
        "POST /api/v1/submissions HTTP/1.1\r\nHost: b\r\n" + key + "Content-Length: -1\r\n\r\n",
        "POST /api/v1/submissions HTTP/1.1\r\nHost: b\r\n" + key + "Content-Length: 1x\r\n\r\n{}",
        "POST /api/v1/submissions HTTP/1.1\r\nHost: b\r\n" + key + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        std::string("GET http://other/ HTTP/1.1\r\nHost: b\r\n\r\n"),
        std::string("CONNECT other:80 HTTP/1.1\r\nHost: b\r\n\r\n")}) {
    Wire wire(server_->port());
    wire.send(text);
    const int status = wire.read().status;
    EXPECT_TRUE(status == 0 || (status >= 400 && status < 600)) << printable(text) << ": " << status;
  }
  EXPECT_EQ(get("/api/v1/rows/%zz").status, 400);
  EXPECT_EQ(get("/api/v1/rows/%4").status, 400);
  EXPECT_EQ(get("/healthz%00").status, 404);
  EXPECT_EQ(get("/api/v1/../v1/rows").status, 404);
  EXPECT_EQ(get("/%2e%2e/%2e%2e/etc/passwd").status, 404);
  EXPECT_EQ(get("/" + std::string(5000, 'a')).status, 414);
  EXPECT_EQ(get("/" + std::string(40'000, 'a')).status, 414);
  EXPECT_EQ(ask("GET", "/", {"X-A: " + std::string(40'000, 'a')}).status, 431);
  EXPECT_EQ(get("/healthz").status, 200);
}

TEST_F(ServerTest, HostileNamesAreData) {
  serve();
  const std::vector<std::string> names = {"</script><script>alert(1)</script>",
                                          "a\xE2\x80\xA8"
                                          "b",
                                          "\xE2\x80\xAE"
                                          "evil",
                                          std::string("nul\0nul", 7),
                                          "x\r\nSet-Cookie: a=b\r\n\r\n<p>",
                                          "a/b?c=d&e#f%41+g",
                                          "\"}],{\"",
                                          "..",
                                          std::string(1'000, 'x')};
  for (const std::string& name : names) {
    const Reply reply = post(exported(name), key_);
    ASSERT_EQ(reply.status, 201) << reply.body;
    const Reply row = get("/api/v1/rows/" + encoded(name));
    ASSERT_EQ(row.status, 200) << printable(name);
    EXPECT_EQ(row.json().at("name"), name);
    EXPECT_EQ(row.headers.count("set-cookie"), 0u);
    EXPECT_EQ(get("/api/v1/compare?a=" + encoded(name) + "&b=1").status, name == names[0] ? 400 : 200);
    EXPECT_EQ(get("/api/v1/rows/" + encoded(name + "?")).headers.count("set-cookie"), 0u);
  }
  std::set<std::string> found;
  const Json standings = get("/api/v1/rows").json();
  for (const Json& row : standings.at("suites")[0].at("rows")) found.insert(row.at("name"));
  EXPECT_EQ(found, std::set<std::string>(names.begin(), names.end()));
  EXPECT_THAT(get("/").body, AllOf(Not(HasSubstr("<script>alert")), HasSubstr("&lt;script&gt;alert")));
  EXPECT_EQ(get("/api/v1/rows/%FF").status, 404);
  EXPECT_EQ(ask("GET", "/api/v1/rows/a", {"If-None-Match: \"\r\n\tb\""}).headers.count("b"), 0u);
}

TEST_F(ServerTest, OtherPathsAndMethodsAreToldWhatThereIs) {
  serve();
  EXPECT_EQ(get("/api/v1/nothing").status, 404);
  EXPECT_EQ(get("/api/v1/rows/").status, 404);
  EXPECT_EQ(get("/api/v1/rows/1/2").status, 404);
  for (const char* method : {"POST", "DELETE", "OPTIONS", "TRACE", "BREW"}) {
    const Reply reply = ask(method, "/api/v1/rows");
    EXPECT_EQ(reply.status, 405) << method;
    EXPECT_EQ(reply.header("allow"), "GET, HEAD");
  }
  EXPECT_EQ(get("/api/v1/submissions").header("allow"), "POST");
  EXPECT_EQ(ask("POST", "/api/v1/artifacts/" + sha256("x")).header("allow"), "PUT");
}

TEST_F(ServerTest, BodiesThatAreNoBoardChangeNothing) {
  board_.submit(submission_of("PPO"));
  serve();
  const std::string before = board_.head(), body = exported("SAC");
  const auto status_of = [&](const std::string& text) {
    const Reply reply = post(text, key_);
    EXPECT_THAT(reply.json().at("error").get<std::string>(), Not(HasSubstr(folder_.path().string())));
    return reply.status;
  };
  EXPECT_EQ(status_of(body.substr(0, body.size() / 2)), 400);
  EXPECT_EQ(status_of(std::string(100'000, '[')), 400);
  EXPECT_EQ(status_of(std::string("{\"a\":") + std::string(100'000, '[') + std::string(100'000, ']') + "}"),
            400);
  EXPECT_EQ(status_of("\x1f\x8b\x08" + std::string(100, 'x')), 400) << "compressed, and does not say so";
  EXPECT_EQ(status_of("[]"), 422);
  EXPECT_EQ(status_of("{}"), 422);
  std::string many = "{";
  for (int i = 0; i < 100'000; ++i) many += concat("\"", i, "\":1,");
  EXPECT_EQ(status_of(many + "\"a\":1}"), 400) << "would be read in quadratic time";
  Json newer = parse_json(body, "body");
  newer["format"] = "diffreward-board-2";
  EXPECT_EQ(status_of(newer.dump()), 422);
  Json long_list = parse_json(body, "body");
  for (int i = 0; i < 10'000; ++i) long_list["entries"].push_back(Json::object());
  EXPECT_EQ(status_of(long_list.dump()), 413);
  Json retracted = parse_json(body, "body");
  for (int i = 0; i < 1'000; ++i) retracted["entries"][0]["runs"].push_back({{"retracted", "why"}});
  EXPECT_EQ(status_of(retracted.dump()), 413);
  // A good entry before one that is not: nothing of either.
  Json half = parse_json(body, "body");
  half["entries"].push_back(half["entries"][0]);
  half["entries"][1]["name"] = "A2C";
  half["entries"][1]["runs"][0]["status"] = "lost";
  EXPECT_EQ(status_of(half.dump()), 422);
  EXPECT_EQ(status_of(exported("PPO", {0.9, 0.9, 0.9})), 422) << "other scores of runs that are there";
  for (const char* encoding : {"gzip", "deflate", "br"})
    EXPECT_EQ(ask("POST", "/api/v1/submissions",
                  {"Authorization: Bearer " + key_, "Content-Type: application/json",
                   std::string("Content-Encoding: ") + encoding},
                  body)
                  .status,
              415);
  for (const char* type :
       {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""})
    EXPECT_EQ(ask("POST", "/api/v1/submissions", by_key(key_, type), body).status, 415) << type;
  EXPECT_EQ(board_.head(), before);
  EXPECT_EQ(ask("POST", "/api/v1/submissions", by_key(key_, "Application/JSON; charset=utf-8"), body).status,
            201);
  EXPECT_THAT(board_.check().faults, testing::IsEmpty());
}

TEST_F(ServerTest, RetractedRowsComeAsAnImportBringsThem) {
  const TemporaryFolder folder;
  Board other = Board::create(folder / "other.sqlite", board_.tasks());
  other.submit(submission_of("PPO"));
  other.submit(submission_of("SAC"));
  other.retract(other.entry("PPO").id, std::nullopt, "wrong streams");
  serve();
  board_.submit(submission_of("SAC"));
  other.retract(other.entry("SAC").id, std::nullopt, "theirs");
  const Reply reply = post(board_json(other).dump(), key_);
  ASSERT_EQ(reply.status, 201) << reply.body;
  EXPECT_EQ(get("/api/v1/rows/PPO").json().at("retracted"), "wrong streams");
  EXPECT_TRUE(get("/api/v1/rows/SAC").json().at("retracted").is_null()) << "was here before";
  EXPECT_THAT(reply.json().at("submitted")[1].at("left_out").dump(), HasSubstr("theirs"));
  const Json rows = get("/api/v1/rows").json().at("suites")[0].at("rows");
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].at("name"), "SAC");
}

TEST_F(ServerTest, FilesAreKeptThatARunWasMadeFrom) {
  board_.submit(submission_of("PPO"));
  serve();
  const auto put = [&](const std::string& hash, const std::string& bytes, const std::string& key,
                       const std::string& type = "application/octet-stream") {
    return ask("PUT", "/api/v1/artifacts/" + hash, by_key(key, type), bytes).status;
  };
  const std::string hash = sha256("weights");
  EXPECT_EQ(put(hash, "weights", "drk_0"), 401);
  EXPECT_EQ(put(hash, "others", key_), 422);
  EXPECT_EQ(put(hash, "weights", key_, "application/json"), 415);
  EXPECT_EQ(put(sha256("more"), "more", key_), 409);
  EXPECT_EQ(put("%", "x", key_), 400);
  EXPECT_FALSE(board_.content(hash));
  EXPECT_EQ(put(hash, "weights", key_), 201);
  EXPECT_EQ(put(hash, "weights", key_), 200);
  EXPECT_EQ(board_.content(hash), "weights");
  Wire large(server_->port());
  large.send("PUT /api/v1/artifacts/" + hash + " HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer " + key_ +
             "\r\nContent-Type: application/octet-stream\r\nContent-Length: 16777217\r\n\r\n");
  EXPECT_EQ(large.read().status, 413);
}

TEST_F(ServerTest, WritesOfAnAddressAreCounted) {
  BoardServerConfig config = any_port();
  config.limits.writes_per_minute = 2;
  config.behind_proxy = true;
  serve(config);
  const std::string body = exported("PPO");
  const auto from = [&](const std::string& forwarded) {
    std::vector<std::string> headers = by_key(key_);
    headers.push_back("X-Forwarded-For: " + forwarded);
    return ask("POST", "/api/v1/submissions", headers, body);
  };
  EXPECT_EQ(from("10.0.0.1").status, 201);
  EXPECT_EQ(from("1.2.3.4, 10.0.0.1").status, 200) << "what the client says of itself does not count";
  const Reply third = from("5.6.7.8, 10.0.0.1");
  EXPECT_EQ(third.status, 429);
  EXPECT_THAT(std::stoi(third.header("retry-after")), AllOf(testing::Ge(1), testing::Le(60)));
  EXPECT_EQ(from("10.0.0.2").status, 200);
  EXPECT_EQ(get("/api/v1/tasks").status, 200);
}

TEST_F(ServerTest, ManyWriteAndReadAtTheSameTime) {
  BoardServerConfig config = any_port();
  config.limits.writes_per_minute = 1000;
  config.limits.connections_per_address = 64;
  serve(config);
  constexpr int kWriters = 8, kEach = 4;
  std::atomic<int> failed{0};
  std::atomic<bool> ended{false};
  std::vector<std::string> bodies;
  for (int i = 0; i < kWriters * kEach; ++i)
    bodies.push_back(exported(concat("method ", i), {0.1 * i, 1, 2}));
  std::vector<std::thread> writers, readers;
  for (int writer = 0; writer < kWriters; ++writer)
    writers.emplace_back([&, writer] {
      for (int i = 0; i < kEach; ++i) {
        const std::string& body = bodies[static_cast<std::size_t>(writer * kEach + i)];
        failed += post(body, key_).status != 201;
        failed += post(body, key_).status != 200;
      }
    });
  for (int reader = 0; reader < 4; ++reader)
    readers.emplace_back([&] {
      for (std::size_t before = 0; !ended;) {
        const Json runs = get("/api/v1/runs").json().at("runs");
        failed += runs.size() < before || runs.size() % 6 != 0;  // whole submissions, and none is lost
        before = runs.size();
        failed += get("/api/v1/rows").status != 200;
      }
    });
  for (std::thread& writer : writers) writer.join();
  ended = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(board_.entries().size(), std::size_t{kWriters * kEach});
  EXPECT_EQ(board_.runs().size(), std::size_t{6 * kWriters * kEach});
  EXPECT_EQ(board_.keys()[0].submissions, kWriters * kEach);
  EXPECT_THAT(board_.check().faults, testing::IsEmpty());
}

TEST_F(ServerTest, AnOpenRequestIsFinishedWholeOrNotAtAll) {
  BoardServerConfig config = any_port();
  config.limits.stop_seconds = 5;
  const std::string body = exported("PPO");
  const std::string text = request("POST", "/api/v1/submissions", by_key(key_), body);
  {
    serve(config);
    Wire wire(server_->port()), idle(server_->port());
    wire.send(text.substr(0, text.size() - 100));
    while (server_->requests() == 0) (void)get("/healthz");
    std::future<int> left = std::async(std::launch::async, [&] { return server_->finish(); });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_FALSE(Wire(server_->port()).connected()) << "nobody new is let in";
    wire.send(text.substr(text.size() - 100));
    const Reply reply = wire.read();
    EXPECT_EQ(reply.status, 201);
    EXPECT_EQ(left.get(), 0);
    server_.reset();
    EXPECT_EQ(board_.entries().size(), 1u);
  }
  config.limits.stop_seconds = 0.2;
  serve(config);
  Wire wire(server_->port());
  const std::string other = request("POST", "/api/v1/submissions", by_key(key_), exported("SAC"));
  wire.send(other.substr(0, other.size() - 1));
  while (server_->requests() == 0) (void)get("/healthz");
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(server_->finish(), 1);
  server_.reset();
  EXPECT_EQ(wire.read().status, 0);
  EXPECT_EQ(board_.entries().size(), 1u);
  EXPECT_THAT(board_.check().faults, testing::IsEmpty());
}

TEST_F(ServerTest, APortThatIsTakenAndAFileThatIsNoBoardAreToldInOneLine) {
  BoardServerConfig config = any_port();
  serve(config);
  config.port = server_->port();
  EXPECT_THAT(message_of<Error>([&] { BoardServer second(path_, config); }),
              HasSubstr(concat("cannot listen on 127.0.0.1, port ", config.port)));
  config.port = 0;
  EXPECT_THAT(message_of<Error>([&] { BoardServer none(folder_ / "none.sqlite", config); }),
              HasSubstr("found no file"));
  config.host = "no such host";
  EXPECT_THAT(message_of<Error>([&] { BoardServer none(path_, config); }), HasSubstr("host: expected"));
  EXPECT_TRUE(server_->loopback());
}

TEST_F(ServerTest, ConnectionsOfAnAddressAreLimited) {
  BoardServerConfig config = any_port();
  config.limits.connections_per_address = 2;
  serve(config);
  {
    Wire first(server_->port()), second(server_->port());
    for (Wire* wire : {&first, &second}) {
      wire->send(request("GET", "/healthz"));
      EXPECT_EQ(wire->read().status, 200);
    }
    EXPECT_EQ(get("/healthz").status, 0);
  }
  int status = 0;
  for (int i = 0; i < 100 && status != 200; ++i) {
    status = get("/healthz").status;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(status, 200);
}

TEST_F(ServerTest, ABoardThatIsGoneIsNotServedAndOneThatComesIs) {
  BoardServerConfig config = any_port();
  std::vector<std::string> lines;
  config.log = [&](const std::string& line) { lines.push_back(line); };
  serve(config);
  EXPECT_EQ(get("/api/v1/tasks").status, 200);
  for (const char* more : {"", "-wal", "-shm"}) std::filesystem::remove(path_.string() + more);
  for (const char* target : {"/", "/healthz", "/api/v1/rows", "/api/v1/rows/1"}) {
    const Reply reply = get(target);
    EXPECT_EQ(reply.status, 503) << target;
    EXPECT_THAT(reply.body, Not(HasSubstr(folder_.path().filename().string())));
  }
  EXPECT_EQ(post(exported("PPO"), key_).status, 503);
  EXPECT_EQ(get("/metrics").status, 200);
  ASSERT_FALSE(lines.empty());
  EXPECT_THAT(lines[0], HasSubstr("found no file"));
  { Board other = Board::create(path_, {{.name = "t/c"}}); }
  EXPECT_EQ(get("/api/v1/tasks").json().at("tasks")[0].at("name"), "t/c");
}

TEST_F(ServerTest, TheDocumentDescribesEveryRoute) {
  serve();
  const Json document = get("/api/v1/openapi.json").json();
  EXPECT_EQ(document, board_openapi());
  std::size_t operations = 0;
  for (const auto& [path, methods] : document.at("paths").items()) operations += methods.size();
  EXPECT_EQ(operations, server_routes().size());
  for (const ServerRoute& route : server_routes()) {
    std::string method = route.method;
    for (char& c : method) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const Json& operation = document.at("paths").at(route.path).at(method);
    EXPECT_EQ(operation.contains("security"), route.writes()) << route.path;
    std::string target = route.path;
    if (const std::size_t open = target.find('{'); open != std::string::npos)
      target.replace(open, std::string::npos, "x");
    const int status = ask(route.method, target).status;
    EXPECT_TRUE(operation.at("responses").contains(std::to_string(status))) << target << ": " << status;
  }
  const std::string text = document.dump(), marker = "#/components/schemas/";
  for (std::size_t at = text.find(marker); at != std::string::npos; at = text.find(marker, at + 1)) {
    const std::size_t begin = at + marker.size();
    const std::string name = text.substr(begin, text.find('"', begin) - begin);
    EXPECT_TRUE(document.at("components").at("schemas").contains(name)) << name;
  }
}

TEST_F(ServerTest, CountsForPrometheus) {
  board_.submit(submission_of("PPO"));
  serve();
  (void)get("/healthz");
  (void)get("/healthz");
  (void)get("/nowhere\"}");
  (void)get("/api/v1/rows/nobody");
  const Reply reply = get("/metrics");
  EXPECT_THAT(reply.header("content-type"), HasSubstr("text/plain; version=0.0.4"));
  for (const char* line :
       {"diffreward_board_requests_total{route=\"/healthz\",status=\"200\"} 2\n",
        "diffreward_board_requests_total{route=\"other\",status=\"404\"} 1\n",
        "diffreward_board_requests_total{route=\"/api/v1/rows/{id}\",status=\"404\"} 1\n",
        "diffreward_board_request_seconds_bucket{route=\"/healthz\",le=\"+Inf\"} 2\n",
        "diffreward_board_request_seconds_count{route=\"/healthz\"} 2\n", "diffreward_board_rows 1\n",
        "diffreward_board_runs 6\n", "# TYPE diffreward_board_open_connections gauge\n"})
    EXPECT_THAT(reply.body, HasSubstr(line));
}

}  // namespace
}  // namespace diffreward
