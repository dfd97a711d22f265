// Subcommands that look at things and make no stage: envs and data.
#pragma once

#include <iosfwd>
#include <string>

#include "core/config.h"
#include "envs/catalog.h"
#include "envs/image.h"

namespace diffreward::cli {

struct EnvsConfig {
  EnvConfig env{.id = ""};  // empty lists all
  std::string render;       // PNG to write
  int width = 480;          // pixels
  std::uint64_t seed = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("env", self.env, "what to describe; empty lists all");
    field("render", self.render, "write the first state of an episode as a PNG");
    field("width", self.width, "of the PNG, pixels", Bounds{kMinPictureSide, kMaxPictureSide});
    field("seed", self.seed, "seed of that episode");
  }
};
Json run_envs(const EnvsConfig& config);
void print_envs(const Json& result, std::ostream& out);

struct DataConfig {
  std::string action = "info";  // info, card, check, convert or picture
  std::string path;             // D4RL file, or a folder that holds a data set
  std::string out;              // convert: file (D4RL) or root folder (Minari); card: Markdown; picture: PNG
  std::string format = "d4rl";  // convert: d4rl or minari
  std::string id = "diffreward/converted";  // convert to Minari: <namespace>/<name>
  bool fail = true;                         // check: exit code 1 where there are faults
  std::int64_t first = 0, count = 64;       // picture: of the pictures

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("action", self.action, "what to do", Choices{"info", "card", "check", "convert", "picture"});
    field("path", self.path, "D4RL file, or a folder that holds a data set (Minari's, generate's)");
    field("out", self.out,
          "convert: file to write (d4rl) or root folder (minari); card: a Markdown file; picture: a PNG");
    field("format", self.format, "convert: the new format", Choices{"d4rl", "minari"});
    field("id", self.id, "convert: Minari id, namespace/name; -v0 is added where it has no version");
    field("fail", self.fail, "check: faults make the exit code 1");
    field("first", self.first, "picture: of a set of pictures, the first that is shown", Bounds{0, 1e12});
    field("count", self.count, "picture: how many are shown", Bounds{1, 1024});
  }
};
Json run_data(const DataConfig& config);
void print_data(const Json& result, std::ostream& out);
int exit_code_of_data(const Json& result);

}  // namespace diffreward::cli
