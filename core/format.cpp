#include "core/format.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "core/error.h"

namespace diffreward {
namespace {

/// The power of ten of a finite number's first digit, once it is rounded to `digits` significant ones.
int exponent_of(double value, int digits) {
  char text[40];
  std::snprintf(text, sizeof text, "%.*e", digits - 1, value);
  return std::atoi(std::strchr(text, 'e') + 1);
}

/// A finite number rounded to so many decimals, to tens, hundreds ... for fewer than none; thousands grouped.
std::string to_decimals(double value, int decimals) {
  constexpr int kMostDecimals = 9;  // beyond them as a power of ten
  char text[400];
  if (value == 0) decimals = std::min(decimals, kMostDecimals);
  if (decimals > kMostDecimals) {
    std::snprintf(text, sizeof text, "%.*e", std::clamp(exponent_of(value, 3) + decimals, 0, 20), value);
    return text;
  }
  if (decimals < 0) {
    const double unit = std::pow(10.0, -decimals);
    value = std::round(value / unit) * unit;
  }
  std::snprintf(text, sizeof text, "%.*f", std::max(decimals, 0), value);
  std::string out = text;
  if (out[0] == '-' && out.find_first_not_of("-0.") == std::string::npos) out.erase(0, 1);
  const std::ptrdiff_t sign = out[0] == '-' ? 1 : 0;
  const auto point = std::ptrdiff_t(std::min(out.find('.'), out.size()));
  for (std::ptrdiff_t at = point - 3; at > sign; at -= 3) out.insert(std::size_t(at), ",");
  return out;
}

constexpr double kNoWidth = 1e-5;  // of an interval, as a share of its numbers

/// Decimals that an interval supports; nothing where it has no bounds, or no width but that of rounding errors.
std::optional<int> decimals_of(const Estimate& e) {
  const double half = e.high / 2 - e.low / 2;
  const double largest = std::max({std::abs(e.value), std::abs(e.low), std::abs(e.high)});
  if (!std::isfinite(e.value) || !std::isfinite(half) || half <= kNoWidth * largest) return std::nullopt;
  return 1 - exponent_of(half, 2);
}

}  // namespace

std::string format_number(double value) {
  if (!std::isfinite(value)) return std::isnan(value) ? "n/a" : value > 0 ? "∞" : "-∞";
  if (value == 0) return "0";
  const int exponent = exponent_of(value, 3);
  if (exponent < -4 || exponent > 14) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2e", value);
    return text;
  }
  std::string out = to_decimals(value, 2 - exponent);
  if (out.find('.') != std::string::npos) {
    out.erase(out.find_last_not_of('0') + 1);
    if (out.back() == '.') out.pop_back();
  }
  return out;
}

std::string format_estimate(const Estimate& estimate) {
  const auto& [value, low, high] = estimate;
  if (!std::isfinite(value) || !std::isfinite(low) || !std::isfinite(high)) return format_number(value);
  return concat(format_as(estimate, value), " [", format_as(estimate, low), ", ", format_as(estimate, high),
                "]");
}

std::string format_as(const Estimate& estimate, double number) {
  const std::optional<int> decimals = decimals_of(estimate);
  return decimals ? to_decimals(number, *decimals) : format_number(number);
}

}  // namespace diffreward
