// What is particular to the robots; their rules are held to Gymnasium's by tests/oracle/locomotion_test.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "envs/catalog.h"
#include "envs/locomotion/mujoco_env.h"

namespace diffreward {
namespace {

using Values = std::vector<double>;

class Locomotion : public testing::TestWithParam<const char*> {
 protected:
  Locomotion() : made_(make_env(GetParam())), robot_(dynamic_cast<MujocoEnv&>(*made_)) {
    obs_.resize(robot_.spec().observation.size());
    action_.resize(robot_.spec().action.size());
  }
  std::unique_ptr<Env> made_;
  MujocoEnv& robot_;
  Values obs_, action_;
};

TEST_P(Locomotion, DivergenceThrowsNamingTheWarningAndAResetMendsIt) {
  robot_.reset(1, {}, obs_);
  Values qvel(robot_.qvel().begin(), robot_.qvel().end());
  const Values qpos(robot_.qpos().begin(), robot_.qpos().end());
  qvel.back() = 1e11;  // beyond what MuJoCo calls huge
  try {
    robot_.place(qpos, qvel, obs_);
    robot_.step(action_, obs_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                testing::AllOf(testing::HasSubstr(GetParam()), testing::HasSubstr("MuJoCo: Nan, Inf")));
  }
  robot_.reset(1, {}, obs_);
  EXPECT_NO_THROW(robot_.step(action_, obs_));
}

TEST_P(Locomotion, TheControlCostIsChargedForTheActionAsGiven) {
  const auto fields = robot_.spec().info;
  std::size_t at = 0;
  for (const InfoField& field : fields) {
    if (field.name == "reward_ctrl" || field.name == "reward_quadctrl") break;
    at += field.size;
  }
  Values info(robot_.spec().info_size());
  if (at == info.size()) GTEST_SKIP() << "tells no control cost";
  const auto cost = [&](double scale) {
    for (std::size_t i = 0; i < action_.size(); ++i) action_[i] = scale * robot_.spec().action.high[i];
    robot_.reset(1, {}, obs_);
    robot_.step(action_, obs_);
    robot_.info(info);
    return -info[at];
  };
  EXPECT_GT(cost(1), 0);
  EXPECT_DOUBLE_EQ(cost(4), 16 * cost(1));
}

TEST_P(Locomotion, InstancesShareOneModel) {
  const auto other = make_env(GetParam());
  EXPECT_EQ(&robot_.model(), &dynamic_cast<MujocoEnv&>(*other).model());
}

TEST_P(Locomotion, ReferenceReturnsBelongToTheTaskAlone) {
  const EnvSpec changed = env_spec(GetParam(), {{"reset_noise_scale", 0.02}});
  EXPECT_TRUE(std::isnan(changed.random_return) && std::isnan(changed.expert_return));
}

TEST_P(Locomotion, StartsAndGoalsAreForMazes) {
  ResetOptions options;
  options.goal = {1, 1};
  EXPECT_THROW(robot_.reset(1, options, obs_), InvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Robots, Locomotion,
                         testing::Values("HalfCheetah-v5", "HalfCheetah-v4", "Hopper-v5", "Hopper-v4",
                                         "Walker2d-v5", "Walker2d-v4", "Swimmer-v5", "Swimmer-v4", "Ant-v5",
                                         "Ant-v4", "Humanoid-v5", "Humanoid-v4"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST(LocomotionOptions, BadRangesAreRefused) {
  for (const Json& range : {Json::array({1.0}), Json::array({2.0, 1.0}), Json::array({1.0, 2.0, 3.0})})
    EXPECT_THROW(make_env("Hopper-v5", {{"healthy_z_range", range}}), InvalidArgument) << range;
  EXPECT_THROW(make_env("Ant-v5", {{"main_body", 14}}), InvalidArgument);
  EXPECT_THROW(make_env("Ant-v4", {{"main_body", 1}}), InvalidArgument);
  EXPECT_THROW(make_env("HalfCheetah-v5", {{"frame_skip", 0}}), InvalidArgument);
}

}  // namespace
}  // namespace diffreward
