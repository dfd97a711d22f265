// Commands run for their result in JSON, or for what they say against it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "tests/cli/run.h"

namespace diffreward::cli {

/// The result of a command, which must end with this code.
inline Json result(std::vector<std::string> args, int code = 0) {
  args.insert(args.end(), {"--json", "--quiet"});
  const Outcome outcome = run(args);
  EXPECT_EQ(outcome.code, code) << outcome.err;
  return outcome.out.empty() ? Json() : parse_json(outcome.out, "result");
}

/// What a command that must end with this code says.
inline std::string refusal(std::vector<std::string> args, int code = 1) {
  args.push_back("--quiet");
  const Outcome outcome = run(args);
  EXPECT_EQ(outcome.code, code) << outcome.out;
  return outcome.err;
}

/// Arguments with more behind them.
inline std::vector<std::string> with(std::vector<std::string> args, const std::vector<std::string>& more) {
  args.insert(args.end(), more.begin(), more.end());
  return args;
}

}  // namespace diffreward::cli
