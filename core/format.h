// Numbers as people read them.
#pragma once

#include <string>

#include "core/statistics.h"

namespace diffreward {

/// Three significant digits, thousands grouped: "0.913", "276", "1,240,000".
std::string format_number(double value);
/// A value with its interval, to the decimals of two significant digits of the interval's half width:
/// "0.974 [0.951, 0.992]". An unbounded interval is left out; one without width leaves three digits.
std::string format_estimate(const Estimate& estimate);
/// A number to the decimals of an estimate: one of its runs beside it.
std::string format_as(const Estimate& estimate, double number);

}  // namespace diffreward
