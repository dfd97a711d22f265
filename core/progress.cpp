#include "core/progress.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <exception>

#include "core/interrupt.h"

namespace diffreward {
namespace {

std::atomic<bool> silenced{false};

std::string short_number(double value) {
  char text[32];
  if (value >= 1e6)
    std::snprintf(text, sizeof text, "%.2fM", value / 1e6);
  else if (value >= 1e4)
    std::snprintf(text, sizeof text, "%.1fk", value / 1e3);
  else
    std::snprintf(text, sizeof text, value < 10 && value != static_cast<int>(value) ? "%.1f" : "%.0f", value);
  return text;
}

std::string clock_text(double seconds) {
  char text[32];
  const auto s = static_cast<long>(seconds + 0.5);
  if (s >= 3600)
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
  else
    std::snprintf(text, sizeof text, "%ld:%02ld", s / 60, s % 60);
  return text;
}

}  // namespace

Progress::Progress(std::string stage, std::int64_t total, std::string unit)
    : stage_(std::move(stage)),
      unit_(std::move(unit)),
      total_(total),
      start_(Clock::now()),
      drawn_(start_),
      terminal_(::isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() {
  if (std::uncaught_exceptions() == 0 || terminal_) draw(true);
}

void Progress::line(const std::string& text) {
  if (!silenced) std::fprintf(stderr, "%s\n", text.c_str());
}

void Progress::silence(bool quiet) {
  silenced = quiet;
}

void Progress::advance(std::int64_t amount, const std::string& note) {
  check_interrupt();
  done_ += amount;
  if (!note.empty()) note_ = note;
  const auto now = Clock::now();
  if (now - drawn_ < (terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10000))) return;
  drawn_ = now;
  draw(false);
}

void Progress::draw(bool last) {
  if (silenced || total_ <= 0 || done_ == 0) return;
  const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
  const double rate = elapsed > 0 ? static_cast<double>(done_) / elapsed : 0;
  const double share = static_cast<double>(done_) / static_cast<double>(total_);
  constexpr int kWidth = 24;
  std::string bar(kWidth, ' ');
  for (int i = 0; i < kWidth && i < static_cast<int>(share * kWidth); ++i)
    bar[static_cast<std::size_t>(i)] = '#';
  const std::string time =
      last ? "in " + clock_text(elapsed)
           : clock_text(rate > 0 ? static_cast<double>(total_ - done_) / rate : 0) + " left";
  std::fprintf(stderr, "%s%-22s %3.0f %% |%s| %s/%s %s  %s/s  %s%s%s%s", terminal_ ? "\r\033[K" : "",
               stage_.c_str(), 100 * share, bar.c_str(), short_number(static_cast<double>(done_)).c_str(),
               short_number(static_cast<double>(total_)).c_str(), unit_.c_str(), short_number(rate).c_str(),
               time.c_str(), note_.empty() ? "" : "  ", note_.c_str(), terminal_ && !last ? "" : "\n");
  std::fflush(stderr);
}

}  // namespace diffreward
