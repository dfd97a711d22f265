// diffreward shard: generate's recordings by any number of processes on machines that share a file system (datasets/shards.h).
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "cli/stages.h"

namespace diffreward::cli {

struct ShardPlanConfig {
  GenerateConfig generate;
  std::int64_t shards = 0;             // 0: of about kShardBytes
  std::string fingerprints = "first";  // see ShardPlan

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("shards", self.shards, "pieces, each of at least one stream (--count); 0 for about 512 MiB each",
          Bounds{0, 1e7});
    field("fingerprints", self.fingerprints,
          "whose arithmetic all shards must have: of the first machine that makes one, of the one that "
          "plans, or any",
          Choices{"first", "here", "any"});
    GenerateConfig::visit(self.generate, field);
  }
};

/// Which pieces of a plan a process makes.
struct IndexChoice {
  std::string index = {};  // "3", "0-9,12"; empty: all
  std::int64_t task = 0;   // of `tasks`
  std::int64_t tasks = 0;  // that share the pieces; 0: no tasks

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("index", self.index, "pieces to make, as 3 or 0-9,12; empty for all");
    field("task", self.task, "a scheduler's task, from 0 on, which makes its share of all pieces",
          Bounds{0, 1e7});
    field("tasks", self.tasks, "tasks that share the pieces; 0 for none", Bounds{0, 1e7});
  }
};
/// Every index of a choice among `count`, once and in order. Throws InvalidArgument.
std::vector<std::uint64_t> indices_of(const IndexChoice& choice, std::uint64_t count);

struct ShardRunConfig {
  std::string plan;  // folder
  IndexChoice choice;
  bool again = false;
  std::string check = "hash";
  int threads = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("plan", self.plan, "folder of the plan");
    IndexChoice::visit(self.choice, field);
    field("again", self.again, "make those that are there once more, and compare");
    field("check", self.check, "what is there is whole by its hash, or, read faster, by its size",
          Choices{"hash", "size"});
    field("threads", self.threads, "threads, 0 for one per core", Bounds{0, 1024});
  }
};

struct ShardStatusConfig {
  std::string plan;  // folder

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("plan", self.plan, "folder of the plan");
  }
};

struct ShardVerifyConfig {
  std::string plan;   // folder
  std::string index;  // empty: all
  int threads = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("plan", self.plan, "folder of the plan");
    field("index", self.index, "shards to look at, as 3 or 0-9,12; empty for all");
    field("threads", self.threads, "threads, 0 for one per core", Bounds{0, 1024});
  }
};

struct ShardMergeConfig {
  std::string plan;  // folder
  RunConfig run;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("plan", self.plan, "folder of the plan");
    RunConfig::visit(self.run, field);
  }
};

Json run_shard_plan(const ShardPlanConfig& config);
Json run_shard_run(const ShardRunConfig& config);
Json run_shard_status(const ShardStatusConfig& config);
/// Names what is missing, damaged, of another plan or of another arithmetic.
Json run_shard_verify(const ShardVerifyConfig& config);
int exit_code_of_shard_verify(const Json& result);
/// All shards as generate's stage in a folder of its own, equal to that of one run.
Json run_shard_merge(const ShardMergeConfig& config);

}  // namespace diffreward::cli
