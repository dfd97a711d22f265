#include "leaderboard/server_routes.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "core/config.h"
#include "leaderboard/board_page.h"
#include "leaderboard/exports.h"

namespace diffreward {
namespace {

/// As the command line prints a result.
std::string text_of(const Json& json) {
  return json.dump(2) + "\n";
}

std::string query_of(const ServerRequest& request, const std::string& name) {
  const auto found = request.query.find(name);
  return found == request.query.end() ? "" : found->second;
}

StandingsConfig standings_config(const ServerRequest& request, const ServerRendering& with) {
  StandingsConfig config;
  config.statistics = with.statistics;
  config.tasks = query_of(request, "tasks");
  if (request.query.contains("gaps")) config.gaps = query_of(request, "gaps");
  require(config.gaps == "unranked" || config.gaps == "norm_low",
          "gaps: expected unranked or norm_low, found '", config.gaps, "'");
  const std::string superseded = query_of(request, "superseded");
  require(superseded.empty() || superseded == "true" || superseded == "false",
          "superseded: expected true or false, found '", superseded, "'");
  config.superseded = superseded == "true";
  return config;
}

std::string page_text(Board& board, const ServerRequest& request, const ServerRendering& with) {
  return board_page(board, *with.standings(standings_config(request, with)), with.title);
}

std::string tasks_text(Board& board, const ServerRequest&, const ServerRendering&) {
  return text_of(tasks_json(board));
}

std::string rows_text(Board& board, const ServerRequest& request, const ServerRendering& with) {
  return text_of(standings_json(board, *with.standings(standings_config(request, with))));
}

std::string row_text(Board& board, const ServerRequest& request, const ServerRendering&) {
  return text_of(row_json(board, board.entry(request.value)));
}

std::string runs_text(Board& board, const ServerRequest& request, const ServerRendering&) {
  return text_of(runs_json(board, query_of(request, "tasks")));
}

std::string episodes_text(Board& board, const ServerRequest& request, const ServerRendering&) {
  const std::string text = query_of(request, "run");
  std::int64_t run = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), run);
  require(error == std::errc() && end == text.data() + text.size(), "run: expected a number, found '", text,
          "'");
  const std::vector<BoardRun> runs = board.runs();
  require(std::ranges::any_of(runs, [&](const BoardRun& one) { return one.id == run; }),
          "run: expected the number of a run (api/v1/runs), found ", run);
  Json out = {{"run", run}};
  out.update(episodes_json(board.episodes(run)));
  return text_of(out);
}

std::string compare_text(Board& board, const ServerRequest& request, const ServerRendering& with) {
  return text_of(compare_entries(board, board.entry(query_of(request, "a")),
                                 board.entry(query_of(request, "b")), query_of(request, "tasks"),
                                 with.statistics, {}, with.pool)
                     .json());
}

std::string csv_file(Board& board, const ServerRequest&, const ServerRendering&) {
  return board_csv(board);
}

std::string json_file(Board& board, const ServerRequest&, const ServerRendering&) {
  return text_of(board_json(board));
}

int digit_of(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

/// Percent-encoding undone; in a query a plus is a space.
std::string decoded(std::string_view text, bool query) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      const int high = i + 2 < text.size() ? digit_of(text[i + 1]) : -1,
                low = i + 2 < text.size() ? digit_of(text[i + 2]) : -1;
      require(high >= 0 && low >= 0, "URL: expected two hexadecimal digits after '%'");
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += query && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

/// The pieces between the separators.
std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

bool matches(const ServerRoute& route, const std::vector<std::string>& path, std::string& value) {
  const std::vector<std::string_view> pieces = split(std::string_view(route.path).substr(1), '/');
  if (pieces.size() != path.size()) return false;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const bool any = pieces[i].starts_with('{');
    if (any ? path[i].empty() : path[i] != pieces[i]) return false;
    if (any) value = path[i];
  }
  return true;
}

// Names of parts that commands print. Further members may come.
constexpr const char* kSchemas = R"json({
"Error": {"type": "object", "required": ["error"], "properties": {
  "error": {"type": "string", "description": "one line: what was expected and what was found"}}},
"Health": {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}},
"TaskName": {"type": "object", "required": ["name", "metric", "direction"], "properties": {
  "name": {"type": "string"}, "metric": {"type": "string"}, "direction": {"enum": ["higher", "lower"]}}},
"Task": {"type": "object",
  "required": ["name", "kind", "env", "options", "metric", "direction", "norm_low", "norm_high", "stream_pool"],
  "properties": {"name": {"type": "string"}, "kind": {"type": "string"}, "env": {"type": "string"}, "options": {"type": "object"},
    "metric": {"type": "string"}, "direction": {"enum": ["higher", "lower"]},
    "norm_low": {"type": "number", "description": "raw score that counts as 0"},
    "norm_high": {"type": "number", "description": "raw score that counts as 1"},
    "stream_pool": {"type": "object", "description": "the sealed streams"}, "hash": {"$ref": "#/components/schemas/Sha256"}}},
"Tasks": {"type": "object", "required": ["tasks"], "properties": {
  "tasks": {"type": "array", "items": {"$ref": "#/components/schemas/Task"}}}},
"Sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
"Checked": {"enum": ["not verifiable here", "claimed", "partly verified", "verified", "refuted"]},
"Standing": {"type": "object",
  "required": ["row", "name", "kind", "value", "low", "high", "tier", "best_rank", "worst_rank", "unranked", "runs", "failed",
    "programs", "checked", "means", "commit", "dirty", "command", "imported_from", "superseded_by", "note", "created", "hash"],
  "properties": {"row": {"type": "integer"}, "name": {"type": "string"}, "kind": {"type": "string"},
    "value": {"type": ["number", "null"], "description": "aggregate of normalised scores; null where it is unranked"},
    "low": {"type": ["number", "null"], "description": "of its interval; null where there is none"},
    "high": {"type": ["number", "null"]}, "tier": {"type": "integer"},
    "best_rank": {"type": "integer"}, "worst_rank": {"type": "integer"},
    "unranked": {"type": "string", "description": "why it has no rank; empty where it has one"},
    "runs": {"type": "integer"}, "failed": {"type": "integer"}, "programs": {"type": "integer"},
    "checked": {"$ref": "#/components/schemas/Checked"},
    "means": {"type": "object", "additionalProperties": {"type": ["number", "null"]}, "description": "raw, by task"},
    "commit": {"type": "string"}, "dirty": {"type": "boolean"}, "command": {"type": "string"},
    "imported_from": {"type": "string"}, "superseded_by": {"type": "string"}, "note": {"type": "string"},
    "created": {"type": "string"}, "hash": {"$ref": "#/components/schemas/Sha256"}}},
"Suite": {"type": "object", "required": ["suite", "aggregate", "confidence", "tasks", "rows"], "properties": {
  "suite": {"type": "string"}, "aggregate": {"type": "string"}, "confidence": {"type": "number"},
  "tasks": {"type": "array", "items": {"$ref": "#/components/schemas/TaskName"}},
  "rows": {"type": "array", "items": {"$ref": "#/components/schemas/Standing"}, "description": "best first"}}},
"Standings": {"type": "object", "required": ["head", "suites"], "properties": {
  "head": {"$ref": "#/components/schemas/Sha256"},
  "suites": {"type": "array", "items": {"$ref": "#/components/schemas/Suite"}}}},
"Verification": {"type": "object", "required": ["machine", "outcome", "first_difference", "difference", "program", "created"],
  "properties": {"machine": {"type": "string"}, "outcome": {"type": "string"}, "first_difference": {"type": "string"},
    "difference": {"type": ["number", "null"]}, "program": {"type": "string"}, "created": {"type": "string"}}},
"EpisodeLists": {"type": "object", "required": ["stream", "score", "steps"], "properties": {
  "stream": {"type": "array", "items": {"type": "integer"}},
  "score": {"type": "array", "items": {"type": ["number", "null"]}},
  "steps": {"type": "array", "items": {"type": "integer"}}}},
"Episodes": {"allOf": [{"$ref": "#/components/schemas/EpisodeLists"},
  {"type": "object", "required": ["run"], "properties": {"run": {"type": "integer"}}}]},
"Run": {"type": "object",
  "required": ["task", "train_seed", "status", "message", "score", "weights", "machine", "program", "commit", "scored_by",
    "command", "config", "inputs", "retracted", "verifications"],
  "properties": {"run": {"type": "integer"}, "task": {"type": "string"}, "train_seed": {"type": "integer"},
    "status": {"enum": ["finished", "failed"]}, "message": {"type": "string"}, "score": {"type": ["number", "null"]},
    "episode_count": {"type": "integer"}, "weights": {"type": "string"}, "machine": {"type": "string"},
    "program": {"type": "string"}, "commit": {"type": "string"}, "scored_by": {"type": "string"}, "command": {"type": "string"},
    "config": {"type": "object"}, "inputs": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Sha256"}},
    "retracted": {"type": ["string", "null"], "description": "the reason"},
    "episodes": {"$ref": "#/components/schemas/EpisodeLists"},
    "verifications": {"type": "array", "items": {"$ref": "#/components/schemas/Verification"}}}},
"Entry": {"type": "object",
  "required": ["hash", "name", "kind", "config", "commit", "command", "supersedes", "superseded_by", "imported_from", "note",
    "created", "retracted", "runs"],
  "properties": {"hash": {"$ref": "#/components/schemas/Sha256"}, "name": {"type": "string"},
    "kind": {"enum": ["agent", "planner", "scripted", "reward", "imported"]}, "config": {"type": "object"},
    "commit": {"type": "string"}, "command": {"type": "string"}, "supersedes": {"type": "string"},
    "superseded_by": {"type": "string"}, "imported_from": {"type": "string"}, "note": {"type": "string"},
    "created": {"type": "string"}, "retracted": {"type": ["string", "null"]},
    "runs": {"type": "array", "items": {"$ref": "#/components/schemas/Run"}}}},
"Row": {"allOf": [{"$ref": "#/components/schemas/Entry"}, {"type": "object", "required": ["row", "checked"], "properties": {
  "row": {"type": "integer"}, "checked": {"$ref": "#/components/schemas/Checked"}}}]},
"RunRecord": {"type": "object",
  "required": ["row", "name", "kind", "entry", "run", "task", "train_seed", "status", "message", "score", "weights", "machine",
    "retracted", "episodes"],
  "properties": {"row": {"type": "integer"}, "name": {"type": "string"}, "kind": {"type": "string"},
    "entry": {"$ref": "#/components/schemas/Sha256"}, "run": {"type": "integer"}, "task": {"type": "string"},
    "train_seed": {"type": "integer"}, "status": {"enum": ["finished", "failed"]}, "message": {"type": "string"},
    "score": {"type": ["number", "null"]}, "weights": {"type": "string"}, "machine": {"type": "string"},
    "retracted": {"type": ["string", "null"]}, "episodes": {"type": "integer"}}},
"Runs": {"type": "object", "required": ["runs"], "properties": {
  "runs": {"type": "array", "items": {"$ref": "#/components/schemas/RunRecord"}}}},
"Estimate": {"type": "object", "required": ["value", "low", "high"], "properties": {"value": {"type": ["number", "null"]},
  "low": {"type": ["number", "null"]}, "high": {"type": ["number", "null"]}}},
"Comparison": {"type": "object",
  "required": ["first", "second", "aggregate", "tasks", "left_out", "paired", "difference", "improvement", "p", "level",
    "confidence", "verdict", "more_runs", "note", "sentence"],
  "properties": {"first": {"type": "string"}, "second": {"type": "string"}, "aggregate": {"type": "string"},
    "tasks": {"type": "array", "items": {"type": "string"}}, "left_out": {"type": "array", "items": {"type": "string"}},
    "paired": {"type": "array", "items": {"type": "string"}, "description": "tasks"}, "difference": {"$ref": "#/components/schemas/Estimate"},
    "improvement": {"$ref": "#/components/schemas/Estimate"}, "p": {"type": ["number", "null"]}, "level": {"type": "number"},
    "confidence": {"type": "number"}, "verdict": {"enum": ["first", "second", "undecided"]},
    "more_runs": {"type": ["integer", "null"]}, "note": {"type": "string"}, "sentence": {"type": "string"}}},
"Machine": {"type": "object", "required": ["fingerprint", "cpu", "isa", "libm", "packages"], "properties": {
  "fingerprint": {"type": "string"}, "cpu": {"type": "string"}, "isa": {"type": "string"}, "libm": {"type": "string"},
  "packages": {"type": "string"}}},
"Artifact": {"type": "object", "required": ["sha256", "bytes", "kind"], "properties": {
  "sha256": {"$ref": "#/components/schemas/Sha256"}, "bytes": {"type": "integer", "description": "-1: unknown"},
  "kind": {"type": "string"}}},
"Board": {"type": "object", "required": ["format", "tasks", "machines", "artifacts", "entries"], "properties": {
  "format": {"const": "diffreward-board-1"}, "head": {"$ref": "#/components/schemas/Sha256"},
  "tasks": {"type": "array", "items": {"$ref": "#/components/schemas/Task"}},
  "machines": {"type": "array", "items": {"$ref": "#/components/schemas/Machine"}},
  "artifacts": {"type": "array", "items": {"$ref": "#/components/schemas/Artifact"}},
  "entries": {"type": "array", "items": {"$ref": "#/components/schemas/Entry"}}}},
"Receipt": {"type": "object", "required": ["entry", "row", "new_entry", "new_runs", "known_runs"], "properties": {
  "entry": {"$ref": "#/components/schemas/Sha256"}, "row": {"type": "integer"}, "new_entry": {"type": "boolean"},
  "new_runs": {"type": "integer"}, "known_runs": {"type": "integer", "description": "there already, bit for bit"},
  "left_out": {"type": "array", "items": {"type": "string"}}}},
"Submitted": {"type": "object", "required": ["submitted", "key", "head"], "properties": {
  "submitted": {"type": "array", "items": {"$ref": "#/components/schemas/Receipt"}},
  "key": {"type": "string", "description": "the key's name"}, "head": {"$ref": "#/components/schemas/Sha256"}}},
"Kept": {"type": "object", "required": ["sha256", "bytes", "new"], "properties": {
  "sha256": {"$ref": "#/components/schemas/Sha256"}, "bytes": {"type": "integer"}, "new": {"type": "boolean"}}}
})json";

}  // namespace

const std::vector<ServerRoute>& server_routes() {
  static const std::vector<ServerParameter> rows = {
      {"tasks", "string", "a suite, or any beginning of tasks' names; without it all"},
      {"gaps", "string", "entries with failed or missing runs: unranked, or these scored as norm_low"},
      {"superseded", "boolean", "show entries that newer ones replace, too"}};
  static const ServerParameter tasks = {"tasks", "string", "a suite, or any beginning of tasks' names"};
  static const std::vector<ServerRoute> routes = {
      {.method = "GET",
       .path = "/",
       .name = "page",
       .about = "the board as a web page, readable without scripts",
       .render = page_text,
       .computes = true,
       .query = rows,
       .type = "text/html; charset=utf-8"},
      {.method = "GET",
       .path = "/api/v1/tasks",
       .name = "tasks",
       .about = "what is measured",
       .render = tasks_text,
       .schema = "Tasks"},
      {.method = "GET",
       .path = "/api/v1/rows",
       .name = "rows",
       .about = "who stands where, a table each suite",
       .render = rows_text,
       .computes = true,
       .query = rows,
       .schema = "Standings"},
      {.method = "GET",
       .path = "/api/v1/rows/{id}",
       .name = "row",
       .about = "everything about one row",
       .render = row_text,
       .value_about = "a row's number, its name or the beginning of its hash",
       .schema = "Row",
       .refusals = {404}},
      {.method = "GET",
       .path = "/api/v1/runs",
       .name = "runs",
       .about = "every run, retracted ones too",
       .render = runs_text,
       .query = {tasks},
       .schema = "Runs"},
      {.method = "GET",
       .path = "/api/v1/episodes",
       .name = "episodes",
       .about = "the score of every episode of a run",
       .render = episodes_text,
       .query = {{"run", "integer", "the run's number", true}},
       .schema = "Episodes"},
      {.method = "GET",
       .path = "/api/v1/compare",
       .name = "compare",
       .about = "whether two rows differ; spends nothing of the error that looks share",
       .render = compare_text,
       .computes = true,
       .query = {{"a", "string", "a row: its number, its name or the beginning of its hash", true},
                 {"b", "string", "the row to compare with", true},
                 tasks},
       .schema = "Comparison"},
      {.method = "GET",
       .path = "/api/v1/export.csv",
       .name = "export_csv",
       .about = "a line a run",
       .render = csv_file,
       .type = "text/csv; charset=utf-8"},
      {.method = "GET",
       .path = "/api/v1/export.json",
       .name = "export_json",
       .about = "everything but kept files, to be imported elsewhere",
       .render = json_file,
       .schema = "Board"},
      {.method = "POST",
       .path = "/api/v1/submissions",
       .name = "submit",
       .about =
           "merge another board's export, all of it or nothing; what is there already is not added again",
       .action = ServerAction::kSubmit,
       .schema = "Submitted",
       .body_type = "application/json",
       .body_schema = "Board",
       .refusals = {201, 422}},
      {.method = "PUT",
       .path = "/api/v1/artifacts/{sha256}",
       .name = "keep",
       .about =
           "keep a file of at most 16 MiB that a run was made from, so that the board verifies without it",
       .action = ServerAction::kKeep,
       .value_about = "SHA-256 of the file",
       .schema = "Kept",
       .body_type = "application/octet-stream",
       .refusals = {201, 409, 422}},
      {.method = "GET",
       .path = "/api/v1/openapi.json",
       .name = "openapi",
       .about = "this document",
       .action = ServerAction::kOpenApi},
      {.method = "GET",
       .path = "/healthz",
       .name = "health",
       .about = "whether the board can be read",
       .action = ServerAction::kHealth,
       .schema = "Health"},
      {.method = "GET",
       .path = "/metrics",
       .name = "metrics",
       .about = "counts and times for Prometheus",
       .action = ServerAction::kMetrics,
       .type = "text/plain; version=0.0.4; charset=utf-8"}};
  return routes;
}

ServerRequest parse_target(std::string_view method, std::string_view target) {
  require(target.starts_with('/'), "URL: expected a path that begins with '/'");
  ServerRequest request{.method = std::string(method)};
  const std::size_t mark = std::min(target.find('?'), target.size());
  for (const std::string_view piece : split(target.substr(1, mark - 1), '/'))
    request.path.push_back(decoded(piece, false));
  if (mark < target.size())
    for (const std::string_view piece : split(target.substr(mark + 1), '&')) {
      if (piece.empty()) continue;
      const std::size_t equals = std::min(piece.find('='), piece.size());
      const std::string name = decoded(piece.substr(0, equals), true);
      require(
          request.query
              .emplace(name, equals < piece.size() ? decoded(piece.substr(equals + 1), true) : std::string())
              .second,
          "URL: expected each parameter once, found '", name, "' twice");
    }
  return request;
}

const ServerRoute* find_route(ServerRequest& request, std::vector<std::string>& methods) {
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  for (const ServerRoute& route : server_routes()) {
    if (!matches(route, request.path, request.value)) continue;
    if (route.method == method) return &route;
    methods.emplace_back(route.method);
    if (methods.back() == "GET") methods.emplace_back("HEAD");
  }
  return nullptr;
}

void expect_query(const ServerRoute& route, const ServerRequest& request) {
  std::vector<std::string> names;
  for (const ServerParameter& parameter : route.query) {
    names.emplace_back(parameter.name);
    require(!parameter.required || request.query.contains(parameter.name), parameter.name,
            ": expected in the query, found nothing");
  }
  for (const auto& [name, unused] : request.query)
    require(std::find(names.begin(), names.end(), name) != names.end(),
            "query: ", unknown_name("parameter", name, names));
}

const char* meaning_of(int status) {
  switch (status) {
    case 200:
      return "done";
    case 201:
      return "done, and something was added";
    case 304:
      return "not changed since the ETag that If-None-Match names";
    case 400:
      return "the request cannot be read, or names something that is not there";
    case 401:
      return "no key, or one that is nobody's";
    case 403:
      return "a key that was revoked, or a board that is only read";
    case 404:
      return "nothing is there";
    case 405:
      return "not by this method";
    case 408:
      return "the request took too long to arrive";
    case 409:
      return "no run that stands was made from this file";
    case 413:
      return "too large";
    case 414:
      return "the URL is too long";
    case 415:
      return "a body of another type, or one that is encoded";
    case 422:
      return "the board does not take it";
    case 429:
      return "too many requests to write; Retry-After tells when";
    case 503:
      return "not now: the board cannot be read, or too many write";
    default:
      return "an error of the server";
  }
}

Json board_openapi() {
  const auto reference = [](const std::string& schema) {
    return Json{{"$ref", "#/components/schemas/" + schema}};
  };
  Json paths = Json::object();
  for (const ServerRoute& route : server_routes()) {
    Json parameters = Json::array();
    const std::string_view path = route.path;
    if (const std::size_t open = path.find('{'); open != path.npos)
      parameters.push_back({{"name", path.substr(open + 1, path.find('}') - open - 1)},
                            {"in", "path"},
                            {"required", true},
                            {"description", route.value_about},
                            {"schema", {{"type", "string"}}}});
    for (const ServerParameter& parameter : route.query)
      parameters.push_back({{"name", parameter.name},
                            {"in", "query"},
                            {"required", parameter.required},
                            {"description", parameter.about},
                            {"schema", {{"type", parameter.type}}}});
    std::set<int> statuses = {200, 400, 408, 503};
    statuses.insert(route.refusals.begin(), route.refusals.end());
    if (route.action == ServerAction::kRender) statuses.insert(304);
    if (route.writes()) statuses.insert({401, 403, 413, 415, 429});
    Json responses = Json::object();
    for (const int status : statuses) {
      Json& response = responses[std::to_string(status)] = {{"description", meaning_of(status)}};
      if (status == 304) continue;
      const bool good = status < 300;
      const std::string type = good ? route.type : "application/json";
      const Json schema = !good                                    ? reference("Error")
                          : *route.schema != '\0'                  ? reference(route.schema)
                          : route.action == ServerAction::kOpenApi ? Json{{"type", "object"}}
                                                                   : Json{{"type", "string"}};
      response["content"] = {{type.substr(0, type.find(';')), {{"schema", schema}}}};
    }
    std::string method = route.method;
    std::transform(method.begin(), method.end(), method.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    Json operation = {{"operationId", route.name}, {"summary", route.about}};
    if (!parameters.empty()) operation["parameters"] = parameters;
    if (route.writes()) {
      operation["security"] = {{{"key", Json::array()}}};
      Json content = Json::object();
      if (*route.body_schema != '\0') content["schema"] = reference(route.body_schema);
      operation["requestBody"] = {{"required", true}, {"content", {{route.body_type, content}}}};
    }
    operation["responses"] = responses;
    paths[route.path][method] = operation;
  }
  return {{"openapi", "3.1.0"},
          {"info",
           {{"title", "A DiffReward board"},
            {"version", "1"},
            {"description",
             "Results of methods with every episode's score. Reading needs nothing, writing a key."}}},
          {"servers", {{{"url", "/"}}}},
          {"paths", paths},
          {"components",
           {{"schemas", parse_json(kSchemas, "schemas")},
            {"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}}}}};
}

}  // namespace diffreward
