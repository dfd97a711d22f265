// What is particular to the robots; their rules are held to Gymnasium's by tests/oracle/locomotion_test.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mujoco/mujoco.h>

#include <cmath>

#include "core/error.h"
#include "core/rng.h"
#include "core/statistics.h"
#include "envs/catalog.h"
#include "envs/locomotion/mujoco_env.h"
#include "envs/vector_env.h"
#include "tests/core/temporary_folder.h"

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

TEST_P(Locomotion, RandomActionsReturnTheReference) {
  const EnvSpec& spec = robot_.spec();
  if (spec.id == "Hopper-v4") GTEST_SKIP() << "D4RL's is below what random actions return under these rules";
  Rng rng(Seed{11});
  Values returns;
  for (int episode = 0; episode < 24; ++episode) {
    robot_.reset(Seed{11, std::uint64_t(episode)}, {}, obs_);
    double total = 0;
    for (int step = 0; step < spec.max_steps; ++step) {
      for (std::size_t i = 0; i < action_.size(); ++i)
        action_[i] = rng.uniform(spec.action.low[i], spec.action.high[i]);
      const StepResult result = robot_.step(action_, obs_);
      total += result.reward;
      if (result.terminated) break;
    }
    returns.push_back(total);
  }
  const double error = standard_deviation(returns) / std::sqrt(double(returns.size()));
  EXPECT_NEAR(mean(returns), spec.random_return, 4 * error + 1);
  EXPECT_GT(spec.expert_return, spec.random_return + 100 * error);
}

TEST_P(Locomotion, StartsAndGoalsAreForMazes) {
  EXPECT_THROW(robot_.reset(1, {.fixed = {{"goal", {1, 1}}}}, obs_), InvalidArgument);
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

const mjModel& model_of(const Env& env) {
  return dynamic_cast<const MujocoEnv&>(env).model();
}

TEST_P(Locomotion, PhysicsScalesTheModel) {
  const auto changed = make_env(
      GetParam(),
      {{"physics", {{"gravity", -3.7}, {"mass_scale", 2}, {"friction_scale", 0.5}, {"damping_scale", 3}}}});
  const mjModel &plain = robot_.model(), &model = model_of(*changed);
  EXPECT_EQ(plain.opt.gravity[2], PhysicsConfig{}.gravity);
  EXPECT_EQ(model.opt.gravity[2], -3.7);
  for (int i = 0; i < model.nbody; ++i) EXPECT_EQ(model.body_mass[i], 2 * plain.body_mass[i]);
  for (int i = 0; i < 3 * model.nbody; ++i) EXPECT_EQ(model.body_inertia[i], 2 * plain.body_inertia[i]);
  for (int i = 0; i < 3 * model.ngeom; ++i) EXPECT_EQ(model.geom_friction[i], 0.5 * plain.geom_friction[i]);
  for (int i = 0; i < model.nv; ++i) EXPECT_EQ(model.dof_damping[i], 3 * plain.dof_damping[i]);
  EXPECT_EQ(model.opt.viscosity, 3 * plain.opt.viscosity);
  EXPECT_DOUBLE_EQ(model.body_subtreemass[0], 2 * plain.body_subtreemass[0]);  // derived quantities follow
}

TEST_P(Locomotion, InstancesOfEqualPhysicsShareOneModel) {
  const Json moon = {{"physics", {{"gravity", -1.62}}}}, mars = {{"physics", {{"gravity", -3.72}}}},
             defaults = {{"physics", {{"gravity", -9.81}, {"mass_scale", 1}}}};
  const auto envs = make_vector(GetParam(), {.count = 4}, Json::array({moon, mars, moon, defaults}));
  EXPECT_EQ(&model_of(envs->env(0)), &model_of(envs->env(2)));
  EXPECT_NE(&model_of(envs->env(0)), &model_of(envs->env(1)));
  EXPECT_EQ(&model_of(envs->env(3)), &robot_.model());
}

TEST_P(Locomotion, AnInstanceThatDivergesIsNamedAndTheOthersGoOn) {
  const TemporaryFolder folder;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  const VectorConfig config{.count = 4, .threads = 2};
  const auto envs = make_vector(GetParam(), config), sound = make_vector(GetParam(), config);
  const Values actions(4 * action_.size(), 0.1);
  envs->reset(1);
  sound->reset(1);
  Values state(robot_.spec().state_size);
  envs->env(2).state(state);
  state[robot_.qpos().size() + robot_.qvel().size()] = 1e9;  // the last velocity, after the time and qpos
  envs->env(2).set_state(state, obs_);
  std::string message;
  for (int t = 0; t < 200 && message.empty(); ++t) {
    sound->step(actions);
    try {
      envs->step(actions);
    } catch (const Error& error) {
      message = error.what();
    }
  }
  EXPECT_THAT(message, testing::StartsWith(concat(GetParam(), ": instance 2: MuJoCo: ")));
  const std::size_t dim = obs_.size();
  const auto row = [dim](const VectorEnv& from, std::size_t i) {
    const auto part = from.view().obs.subspan(i * dim, dim);
    return Values(part.begin(), part.end());
  };
  EXPECT_TRUE(std::isnan(row(*envs, 2)[0]));
  EXPECT_THROW(envs->step(actions), Error);
  envs->reset(std::vector<std::uint8_t>{0, 0, 1, 0}, {}, {});
  envs->step(actions);
  sound->step(actions);
  for (const std::size_t i : {0u, 1u, 3u}) EXPECT_EQ(row(*envs, i), row(*sound, i));
  EXPECT_FALSE(std::isnan(row(*envs, 2)[0]));
  std::filesystem::current_path(before);
  EXPECT_TRUE(folder.empty());  // MuJoCo by itself writes a log
}

TEST(MujocoHandlers, ErrorsOfMujocoAreThrown) {
  const auto env = make_env("Hopper-v5");
  EXPECT_EQ(message_of<Error>([] { mju_error("out of %s", "luck"); }), "MuJoCo: out of luck");
}

TEST(LocomotionOptions, BadRangesAreRefused) {
  EXPECT_THROW(make_env("Ant-v5", {{"physics", {{"mass_scale", 0}}}}), InvalidArgument);
  EXPECT_THROW(make_env("Ant-v5", {{"physics", {{"mass", 1}}}}), InvalidArgument);
  for (const Json& range : {Json::array({1.0}), Json::array({2.0, 1.0}), Json::array({1.0, 2.0, 3.0})})
    EXPECT_THROW(make_env("Hopper-v5", {{"healthy_z_range", range}}), InvalidArgument) << range;
  EXPECT_THROW(make_env("Ant-v5", {{"main_body", 14}}), InvalidArgument);
  EXPECT_THROW(make_env("Ant-v4", {{"main_body", 1}}), InvalidArgument);
  EXPECT_THROW(make_env("HalfCheetah-v5", {{"frame_skip", 0}}), InvalidArgument);
}

}  // namespace
}  // namespace diffreward
