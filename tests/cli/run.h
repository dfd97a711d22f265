// The command line from outside: what users type, what they see, and the exit code.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "cli/command.h"

namespace diffreward::cli {

struct Outcome {
  int code;
  std::string out, err;
};

inline Outcome run(const std::vector<std::string>& args) {
  std::ostringstream out, err;
  const int code = run_cli(args, out, err);
  return {code, out.str(), err.str()};
}

}  // namespace diffreward::cli
