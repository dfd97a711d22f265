// Errors. Everything this library throws on purpose derives from Error; messages are one line and give
// the name of the thing, what was expected and what was found.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace diffreward {

/// The text on one line, with control characters, which a terminal would obey, as escapes: "\x1b". Names and
/// descriptions come out of strangers' files.
std::string printable(std::string_view text);

/// Root of all errors: something failed while running (Python: RuntimeError, command line: exit code 1).
class Error : public std::runtime_error {
 public:
  explicit Error(std::string_view message) : std::runtime_error(printable(message)) {}
};

/// The caller passed something that can never work (Python: ValueError).
class InvalidArgument : public Error {
 public:
  using Error::Error;
};

/// A long-running call stopped because the user asked for it; what was finished is on disk.
class Interrupted : public Error {
 public:
  using Error::Error;
};

/// The parts written one after the other with operator<<.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream text;
  text.precision(6);
  (text << ... << parts);
  return text.str();
}

/// Throws InvalidArgument with the concatenated message unless `ok`.
/// The message is only formed when it is needed, so this is cheap enough for a step function.
template <class... Parts>
void require(bool ok, const Parts&... message) {
  if (!ok) [[unlikely]]
    throw InvalidArgument(concat(message...));
}

}  // namespace diffreward
