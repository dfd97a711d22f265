// What the board's server answers: one table of routes, which the server follows and the OpenAPI document describes, and
// the texts that the routes for reading give. Knows nothing of connections.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/thread_pool.h"
#include "leaderboard/board.h"
#include "leaderboard/standings.h"

namespace diffreward {

/// What a request asks for.
struct ServerRequest {
  std::string method;
  std::vector<std::string> path = {};             ///< decoded segments
  std::map<std::string, std::string> query = {};  ///< decoded
  std::string value = {};                         ///< of the route's segment in braces
  std::string body = {};
};

/// What a text is made with.
struct ServerRendering {
  std::string title;
  BoardStatisticsConfig statistics;
  ThreadPool* pool = nullptr;
  /// Of the board as it is read: page and rows are made from the same ones.
  std::function<std::shared_ptr<const std::vector<SuiteStandings>>(const StandingsConfig&)> standings = {};
};

struct ServerParameter {
  const char* name;
  const char* type;  ///< string, integer or boolean
  const char* about;
  bool required = false;
};

/// What answers a route: a text that depends on the board and the request alone, or the server itself.
enum class ServerAction { kRender, kOpenApi, kHealth, kMetrics, kSubmit, kKeep };

struct ServerRoute {
  const char* method;
  const char* path;  ///< "/api/v1/rows/{id}"
  const char* name;  ///< operationId
  const char* about;
  ServerAction action = ServerAction::kRender;
  /// Throws InvalidArgument where the request names something that is not there.
  std::string (*render)(Board&, const ServerRequest&, const ServerRendering&) = nullptr;
  bool computes = false;  ///< with threads, of which there is one pool
  std::vector<ServerParameter> query = {};
  const char* value_about = "";           ///< what stands in the braces
  const char* type = "application/json";  ///< of a good answer
  const char* schema = "";                ///< of it, by name; empty for a text
  const char* body_type = "";             ///< not empty: a request to write, by key
  const char* body_schema = "";
  std::vector<int> refusals = {};  ///< further statuses

  bool writes() const { return *body_type != '\0'; }
};

const std::vector<ServerRoute>& server_routes();

/// Path and query of a request line's target, which is not decoded yet. Throws InvalidArgument for one that is none: without
/// a slash, with a '%' that no two hexadecimal digits follow, or with a parameter twice.
ServerRequest parse_target(std::string_view method, std::string_view target);

/// The route of a request, whose value is set; null where there is none, with the methods of its path (empty: no such
/// path). HEAD is GET.
const ServerRoute* find_route(ServerRequest& request, std::vector<std::string>& methods);

/// Throws InvalidArgument for a parameter that the route does not have, and for one that is missing.
void expect_query(const ServerRoute& route, const ServerRequest& request);

/// What an HTTP status means here.
const char* meaning_of(int status);

/// The document (OpenAPI 3.1) of all routes.
Json board_openapi();

}  // namespace diffreward
