#include "leaderboard/machine.h"

#include <gtest/gtest.h>

#include "envs/fingerprint.h"

namespace diffreward {
namespace {

TEST(MachineTest, IsKnownByWhatItComputes) {
  const Machine& machine = this_machine();
  EXPECT_EQ(machine.fingerprint, machine_fingerprint({{"denoiser", denoiser_hash()}}).at("hash"));
  EXPECT_NE(machine.fingerprint, machine_fingerprint().at("hash")) << "LibTorch's arithmetic is part of it";
  EXPECT_EQ(denoiser_hash(), denoiser_hash());
  EXPECT_EQ(&this_machine(), &machine) << "probed once";
  EXPECT_NE(machine.packages.find("torch"), std::string::npos) << machine.packages;
  EXPECT_NE(machine.libm.find("glibc"), std::string::npos);
}

}  // namespace
}  // namespace diffreward
