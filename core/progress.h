// One line of progress with rate and remaining time.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace diffreward {

/// Draws "stage  42 % |#####     | 4.2k/10k steps  1.3k steps/s  0:04 left  loss 0.12" on standard error:
/// redrawn in place ten times a second on a terminal, one line per 10 seconds elsewhere. Silent when `total`
/// is 0 or after `Progress::silence()`. `advance` also checks for Ctrl-C (see interrupt.h).
class Progress {
 public:
  Progress(std::string stage, std::int64_t total, std::string unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(std::int64_t amount = 1, const std::string& note = {});

  /// A line between bars: what comes next.
  static void line(const std::string& text);

  /// Turns every bar of the process off (`--quiet`, tests).
  static void silence(bool quiet = true);

 private:
  using Clock = std::chrono::steady_clock;
  void draw(bool last);

  std::string stage_, unit_, note_;
  std::int64_t total_, done_ = 0;
  Clock::time_point start_, drawn_;
  bool terminal_;
};

}  // namespace diffreward
