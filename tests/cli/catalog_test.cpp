// diffreward catalog, and that what it lists can be used by the names it gives.
#include "agents/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agents/trained.h"
#include "cli/command.h"
#include "rewards/catalog.h"
#include "tests/cli/run.h"

namespace diffreward::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Catalog, ListsEveryNameOnce) {
  const Outcome outcome = run({"catalog", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json listed = Json::parse(outcome.out);
  EXPECT_EQ(listed.at("agents").size(),
            scripted_agents().size() + learning_agents().size() + trained_agents().size());
  EXPECT_EQ(listed.at("rewards").size(), reward_catalog().size());
}

TEST(Catalog, ListsOneKindAndRefusesOthers) {
  EXPECT_THAT(run({"catalog", "agents"}).out,
              testing::AllOf(HasSubstr("waypoints"), Not(HasSubstr("discriminator"))));
  EXPECT_EQ(run({"catalog", "agent"}).code, 2);
}

TEST(Catalog, NamesAreThoseThatCommandsTake) {
  for (const AgentInfo& agent : learning_agents()) {
    const auto fields = find_command("rl").fields();
    EXPECT_TRUE(is_group(agent.name, fields)) << agent.name << ": its settings are a group of rl";
  }
  for (const AgentInfo& agent : scripted_agents())
    EXPECT_TRUE(is_group(agent.name, find_command("generate").fields())) << agent.name;
  for (const RewardEntry& entry : reward_catalog())
    EXPECT_THAT(run({"extract", "--method", entry.name}).err, HasSubstr("is missing"))
        << "the name is known, inputs are not";
  EXPECT_THAT(run({"extract", "--method", "relativ"}).err, HasSubstr("relative"));
}

}  // namespace
}  // namespace diffreward::cli
