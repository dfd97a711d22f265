// Front matters of strangers: JSON that can be printed, or an Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "leaderboard/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const diffreward::Json json =
        diffreward::parse_yaml(std::string(reinterpret_cast<const char*>(data), size), "fuzz");
    (void)json.dump(-1, ' ', true, diffreward::Json::error_handler_t::replace);
  } catch (const diffreward::Error& error) {
    if (std::string(error.what()).find('\n') != std::string::npos) std::abort();  // one line
  }
  return 0;
}
