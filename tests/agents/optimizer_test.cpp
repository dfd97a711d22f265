// Learning rates that fall.
#include <gtest/gtest.h>

#include "agents/nets/optimizer_torch.h"
#include "core/error.h"

namespace diffreward {
namespace {

TEST(ScheduledRate, FollowsItsFormula) {
  for (const char* kind : {"constant", "linear", "cosine"})
    EXPECT_EQ(scheduled_rate(0.5, kind, 0), 0.5) << kind;
  EXPECT_EQ(scheduled_rate(0.5, "constant", 0.9), 0.5);
  EXPECT_DOUBLE_EQ(scheduled_rate(0.5, "linear", 0.25), 0.375);
  EXPECT_EQ(scheduled_rate(0.5, "linear", 1), 0);
  EXPECT_DOUBLE_EQ(scheduled_rate(0.5, "cosine", 1.0 / 3), 0.375);
  EXPECT_DOUBLE_EQ(scheduled_rate(0.5, "cosine", 0.5), 0.25);
  EXPECT_NEAR(scheduled_rate(0.5, "cosine", 1), 0, 1e-15);
  EXPECT_THROW(scheduled_rate(0.5, "cosin", 0), InvalidArgument);
}

}  // namespace
}  // namespace diffreward
