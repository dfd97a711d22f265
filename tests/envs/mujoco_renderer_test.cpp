#include "envs/mujoco_renderer.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>

#include "core/error.h"
#include "envs/catalog.h"

namespace diffreward {
namespace {

class MujocoRendererTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!MujocoRenderer::available()) GTEST_SKIP() << "no OpenGL on this machine";
  }
};

std::unique_ptr<Env> started(const std::string& id, std::vector<double>& obs) {
  auto env = make_env(id);
  obs.resize(env->spec().observation.size());
  env->reset(1, {}, obs);
  return env;
}

std::size_t colours(const Image& image) {
  std::set<std::array<std::uint8_t, 3>> seen;
  for (std::size_t k = 0; k + 2 < image.rgb.size(); k += 3)
    seen.insert({image.rgb[k], image.rgb[k + 1], image.rgb[k + 2]});
  return seen.size();
}

TEST_F(MujocoRendererTest, DrawsEveryRobotInAnySize) {
  std::vector<double> obs;
  for (const char* id :
       {"HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Swimmer-v5", "Ant-v5", "Humanoid-v5"}) {
    const auto env = started(id, obs);
    for (const auto& [width, height] : {std::pair{160, 120}, {33, 65}}) {
      const Image image = env->render(width, height);
      EXPECT_EQ(image.width, width);
      EXPECT_EQ(image.height, height);
      ASSERT_EQ(image.rgb.size(), std::size_t(3 * width * height));
      EXPECT_GT(colours(image), 50u) << id;  // shaded, not flat
    }
  }
}

TEST_F(MujocoRendererTest, LeavesTheSimulationAsItWas) {
  std::vector<double> obs, other_obs;
  const auto env = started("Ant-v5", obs), other = started("Ant-v5", other_obs);
  const std::vector<double> action(8, 0.5);
  for (int t = 0; t < 20; ++t) {
    env->render(32, 32);
    env->step(action, obs);
    other->step(action, other_obs);
    ASSERT_EQ(obs, other_obs) << "step " << t;
  }
}

TEST_F(MujocoRendererTest, SeveralThreadsDrawAtOnce) {
  std::vector<double> obs;
  const Image expected = started("Hopper-v5", obs)->render(80, 60);
  std::vector<std::thread> threads;
  std::vector<int> equal(4, 0);
  for (int& ok : equal)
    threads.emplace_back([&ok, &expected] {
      std::vector<double> row;
      const auto env = started("Hopper-v5", row);
      for (int k = 0; k < 5; ++k) ok += env->render(80, 60).rgb == expected.rgb;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, std::vector<int>(4, 5));
}

TEST_F(MujocoRendererTest, AForkedChildGetsAnErrorAndNoOtherPicture) {
  std::vector<double> obs;
  const auto env = started("Hopper-v5", obs);
  env->render(32, 32);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    try {
      env->render(32, 32);
    } catch (const Error& error) {
      ::_exit(std::string(error.what()).find("stayed with the parent process") == std::string::npos);
    }
    ::_exit(2);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(MujocoRendererTest, RefusesSizesAndPosesThatDoNotFit) {
  MujocoRenderer renderer(
      "ball", "<mujoco><worldbody><body><freejoint/><geom size=\"1\"/></body></worldbody></mujoco>");
  EXPECT_THROW(renderer.render(std::vector<double>(7), {}, 0, 32), InvalidArgument);
  EXPECT_THROW(renderer.render(std::vector<double>(7), {}, 32, 5000), InvalidArgument);
  EXPECT_THROW(renderer.render(std::vector<double>(6), {}, 32, 32), InvalidArgument);
  EXPECT_THROW(MujocoRenderer("nothing", "<mujoco/>"), InvalidArgument);
}

}  // namespace
}  // namespace diffreward
