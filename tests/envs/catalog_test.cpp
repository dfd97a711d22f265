#include "envs/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "core/error.h"
#include "envs/maze2d/maze2d.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using testing::HasSubstr;

const Json kCorner = {{"goal_cell", {3, 1}}};
const Json kRandomGoals = {{"random_goal", true}};

TEST(EnvCatalog, UnknownIdSuggestsTheNearest) {
  for (const auto& use : std::vector<std::function<void()>>{[] { make_env("Maze2D-UMaz-v0"); },
                                                            [] {
                                                              make_env(EnvConfig{"Maze2D-UMaz-v0", {}});
                                                            },
                                                            [] {
                                                              is_directed({"Maze2D-UMaz-v0", {}});
                                                            },
                                                            [] {
                                                              undirected_options({"Maze2D-UMaz-v0", {}});
                                                            }})
    EXPECT_THAT(message_of<InvalidArgument>(use), HasSubstr("did you mean 'Maze2D-UMaze-v0'"));
}

TEST(EnvConfig, NamesAnEnvironmentAndItsOptions) {
  EnvConfig config;
  EXPECT_EQ(make_env(config)->spec().id, "Maze2D-UMaze-v0");
  update(config, {{"id", "Maze2D-Large-v0"}, {"options", kCorner}});
  EXPECT_EQ(dynamic_cast<Maze2D&>(*make_env(config)).config().goal_cell, (std::vector<int>{3, 1}));
  EXPECT_EQ(to_json(config).dump(), R"({"id":"Maze2D-Large-v0","options":{"goal_cell":[3,1]}})");
  config.options = {{"goal_sell", {3, 1}}};
  EXPECT_THAT(message_of<InvalidArgument>([&] { make_env(config); }), HasSubstr("did you mean 'goal_cell'"));
}

TEST(EnvConfig, OptionsOfAMazeSayWhichTaskIsWanted) {
  for (const char* id : {"Maze2D-UMaze-v0", "Maze2DMuJoCo-Large-v0"}) {
    EXPECT_TRUE(is_directed({id, kCorner}));
    EXPECT_TRUE(is_directed({id, {{"random_goal", false}}}));
    EXPECT_TRUE(is_directed({id, {{"map", "large"}, {"goal_cell", Json::array()}}}));
    EXPECT_FALSE(is_directed({id, {{"map", "large"}, {"start_jitter", 0.3}}}));
    EXPECT_FALSE(is_directed({id, kRandomGoals}));
    EXPECT_FALSE(
        is_directed({id, {{"goal_cell", {3, 1}}, {"random_goal", true}}}));  // it is drawn all the same
  }
  EXPECT_FALSE(is_directed({"HalfCheetah-v5", {{"forward_reward_weight", 2}}}));
  EXPECT_FALSE(is_directed({"PointMaze_UMaze-v3", {{"reset_target", true}}}));
  EXPECT_THAT(message_of<InvalidArgument>([] {
                is_directed({"Hopper-v5", Json::array({1})});
              }),
              HasSubstr("Hopper-v5: options: expected a table of keys, got [1]"));
}

TEST(EnvConfig, UndirectedOptionsPreferNoTask) {
  EXPECT_EQ(undirected_options({}), kRandomGoals);
  EXPECT_EQ(undirected_options({"Maze2D-UMaze-v0", nullptr}), kRandomGoals);
  EXPECT_EQ(undirected_options({"Maze2D-UMaze-v0", kCorner}), kCorner);
  EXPECT_EQ(undirected_options({"Maze2D-UMaze-v0", {{"map", "large"}}}),
            (Json{{"random_goal", true}, {"map", "large"}}));
  const Json heavy = {{"physics", {{"mass_scale", 2}}}};
  EXPECT_EQ(undirected_options({"Hopper-v5", heavy}), heavy);
  EXPECT_EQ(undirected_options({"PointMaze_UMaze-v3", {}}), Json::object());
}

}  // namespace
}  // namespace diffreward
