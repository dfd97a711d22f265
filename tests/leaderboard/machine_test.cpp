#include "leaderboard/machine.h"

#include <gtest/gtest.h>

namespace diffreward {
namespace {

TEST(MachineTest, IsKnownByWhatItComputes) {
  const Machine& machine = this_machine();
  EXPECT_EQ(machine.fingerprint.size(), 64u);
  EXPECT_EQ(&this_machine(), &machine) << "probed once";
  EXPECT_NE(machine.packages.find("torch"), std::string::npos) << machine.packages;
  EXPECT_NE(machine.libm.find("glibc"), std::string::npos);
}

}  // namespace
}  // namespace diffreward
