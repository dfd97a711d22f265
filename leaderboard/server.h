// The board over HTTP: its page and JSON for everybody who reaches it, submissions for those who have a key
// (docs/board-server.md). libmicrohttpd speaks HTTP; what is answered where is one table (server_routes.h), of which
// the OpenAPI document is made too.
//
//   BoardServer server("board.sqlite", {.port = 0});
//   std::cout << server.address() << "\n";  // "http://127.0.0.1:41235"
//   ...
//   server.finish(10);
//
// A connection has a thread of its own, and each request opens the board's file or takes a connection to it that an
// earlier one left: what other processes write is seen at once. What was computed is kept in memory as long as the head
// of the chain is the same.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "core/config.h"
#include "leaderboard/statistics.h"

namespace diffreward {

/// What clients may take of the server.
struct BoardServerLimits {
  double body = 8;       // MiB of a submission
  int connections = 64;  // open at a time
  int connections_per_address = 16;
  double request_seconds = 30;  // from a request's first byte to its last
  double answer_seconds = 60;   // to compute and to take an answer
  double idle_seconds = 15;     // without a request
  int writes_per_minute = 60;   // of an address
  double stop_seconds = 10;     // for open requests, once it is to stop

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("body", self.body, "MiB of a submission's JSON", Bounds{0.001, 1024});
    field("connections", self.connections, "open connections, each with a thread", Bounds{1, 10000});
    field("connections_per_address", self.connections_per_address, "of these, of one address",
          Bounds{1, 10000});
    field("request_seconds", self.request_seconds, "from a request's first byte to its last",
          Bounds{0.01, 3600});
    field("answer_seconds", self.answer_seconds, "until an answer is computed and taken", Bounds{0.01, 3600});
    field("idle_seconds", self.idle_seconds, "that a connection may wait without a request",
          Bounds{0.01, 3600});
    field("writes_per_minute", self.writes_per_minute, "requests to write, of one address", Bounds{1, 1e6});
    field("stop_seconds", self.stop_seconds, "for open requests, once the server is to stop",
          Bounds{0, 3600});
  }
};

struct BoardServerConfig {
  std::string host = "127.0.0.1";  ///< name or address to listen on
  int port = 8080;                 ///< 0: any that is free
  std::string title = "Leaderboard";
  /// Requests come through a proxy on this machine: an address is the last that X-Forwarded-For names.
  bool behind_proxy = false;
  int threads = 0;  ///< that compute, 0 for one per core
  BoardStatisticsConfig statistics = {};
  BoardServerLimits limits = {};
  /// Gets a line for people where the board's file cannot be read; may be called by several threads.
  std::function<void(const std::string&)> log = {};
};

class BoardServer {
 public:
  /// Listens. Throws Error in one line for what Board() refuses, an unknown host, and a port that is taken.
  BoardServer(std::filesystem::path board, BoardServerConfig config);
  /// Cuts off what is still open, and waits for writers that the board has begun to serve.
  ~BoardServer();
  BoardServer(const BoardServer&) = delete;
  BoardServer& operator=(const BoardServer&) = delete;

  int port() const;
  std::string address() const;    ///< "http://127.0.0.1:8080"
  bool loopback() const;          ///< whether only this machine reaches it
  std::int64_t requests() const;  ///< answered so far

  /// Takes no further connection, and waits until open requests are answered, at most limits.stop_seconds; how many were
  /// not. `wait` is called in between; what it throws ends the waiting.
  int finish(const std::function<void()>& wait = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace diffreward
