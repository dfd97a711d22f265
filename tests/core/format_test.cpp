#include "core/format.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace diffreward {
namespace {

TEST(FormatNumber, ShowsThreeDigits) {
  EXPECT_EQ(format_number(0), "0");
  EXPECT_EQ(format_number(0.91349), "0.913");
  EXPECT_EQ(format_number(0.5), "0.5");
  EXPECT_EQ(format_number(0.0001234), "0.000123");
  EXPECT_EQ(format_number(-2.346), "-2.35");
  EXPECT_EQ(format_number(276.4), "276");
  EXPECT_EQ(format_number(1237.0), "1,240");
  EXPECT_EQ(format_number(-523456), "-523,000");
  EXPECT_EQ(format_number(1239999), "1,240,000");
  EXPECT_EQ(format_number(1e-9), "1.00e-09");
  EXPECT_EQ(format_number(std::nan("")), "n/a");
}

TEST(FormatEstimate, RoundsToWhatTheIntervalSupports) {
  EXPECT_EQ(format_estimate({0.97412, 0.9513, 0.9921}), "0.974 [0.951, 0.992]");
  EXPECT_EQ(format_estimate({7.6667, 6.2324, 9.1009}), "7.7 [6.2, 9.1]");
  EXPECT_EQ(format_estimate({0.5, 0.25, 0.75}), "0.50 [0.25, 0.75]");
  EXPECT_EQ(format_estimate({0.12, 0.02, 0.2192}), "0.12 [0.02, 0.22]");  // 0.0996 has the digits 0.10
  EXPECT_EQ(format_estimate({-0.001, -0.3, 0.298}), "0.00 [-0.30, 0.30]");
  EXPECT_EQ(format_estimate({1237.3, 1236.1, 1238.5}), "1,237.3 [1,236.1, 1,238.5]");
  EXPECT_EQ(format_estimate({1885379, 1862000, 1908758}), "1,885,000 [1,862,000, 1,909,000]");
  EXPECT_EQ(format_estimate({-52345, -104690, 0}), "-52,000 [-105,000, 0]");
  EXPECT_EQ(format_estimate({1e-12, 0.5e-12, 1.5e-12}), "1.00e-12 [5.0e-13, 1.50e-12]");
  EXPECT_EQ(format_estimate({0.97, 0.97 - 1e-15, 0.97 + 1e-15}), "0.97 [0.97, 0.97]");
  EXPECT_EQ(format_estimate({0.97, 0.97, 0.97}), "0.97 [0.97, 0.97]");
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(format_estimate({0.97412, -kInfinity, kInfinity}), "0.974");
  EXPECT_EQ(format_estimate({std::nan(""), 0, 1}), "n/a");
}

}  // namespace
}  // namespace diffreward
