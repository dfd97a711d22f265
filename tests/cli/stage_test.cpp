#include "cli/stage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/file.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;

class StageTest : public testing::Test {
 protected:
  StageTest() : folder_(fs::temp_directory_path() / concat("diffreward_stage_", getpid())) {
    fs::create_directories(folder_);
  }
  ~StageTest() override { fs::remove_all(folder_); }

  int run(const Json& config, const std::vector<fs::path>& inputs = {}, bool reuse = true) {
    const Json result = run_stage("train", folder_ / "stage", config, inputs, reuse, [&] {
      write_file(folder_ / "stage" / "product", "x");
      return Json{{"run", ++runs_}};
    });
    return result.at("run").get<int>();
  }

  fs::path folder_;
  int runs_ = 0;
};

TEST_F(StageTest, AFinishedStageIsReusedOnlyForTheSameConfig) {
  EXPECT_EQ(run({{"lr", 1}}), 1);
  EXPECT_EQ(run({{"lr", 1}}), 1);
  EXPECT_EQ(run({{"lr", 2}}), 2);
  EXPECT_EQ(run({{"lr", 2}, {"threads", 8}}), 2) << "threads do not change a result";
  EXPECT_EQ(run({{"lr", 2}}, {}, false), 3) << "without reuse it always runs";
}

TEST_F(StageTest, AChangedInputRunsItAgain) {
  const fs::path input = folder_ / "data";
  write_file(input, "one");
  EXPECT_EQ(run(Json::object(), {input}), 1);
  EXPECT_EQ(run(Json::object(), {input}), 1);
  write_file(input, "three");
  EXPECT_EQ(run(Json::object(), {input}), 2);
}

TEST_F(StageTest, AnUnfinishedStageKeepsItsFilesToResumeButAnotherOneStartsOver) {
  const auto fail = [&](const Json& config) {
    EXPECT_THROW(run_stage("train", folder_ / "stage", config, {}, true,
                           [&]() -> Json {
                             write_file(folder_ / "stage" / "checkpoint", "half");
                             throw Error("killed");
                           }),
                 Error);
  };
  fail({{"lr", 1}});
  EXPECT_EQ(run({{"lr", 1}}), 1);
  EXPECT_TRUE(fs::exists(folder_ / "stage" / "checkpoint"));
  fail({{"lr", 2}});
  EXPECT_EQ(run({{"lr", 3}}), 2);
  EXPECT_FALSE(fs::exists(folder_ / "stage" / "checkpoint"));
}

TEST_F(StageTest, TwoRunsOnOneFolderAreRefused) {
  run_stage("train", folder_ / "stage", Json::object(), {}, false, [&] {
    EXPECT_THAT([&] { run(Json::object()); },
                testing::ThrowsMessage<Error>(testing::HasSubstr("another run")));
    return Json::object();
  });
}

TEST_F(StageTest, AnAbsentInputIsNamed) {
  EXPECT_THAT([&] { run(Json::object(), {folder_ / "absent"}); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("absent")));
}

TEST_F(StageTest, ProductFindsTheFileInAStagesFolder) {
  run(Json::object());
  EXPECT_EQ(product(folder_ / "stage", "product"), folder_ / "stage" / "product");
  EXPECT_THROW(product(folder_ / "stage", "other"), Error);
  EXPECT_EQ(product(folder_ / "stage", "data.hdf5"), folder_ / "stage");  // may be a Minari data set
  EXPECT_EQ(product(folder_ / "file.safetensors", "product"), folder_ / "file.safetensors");
}

}  // namespace
}  // namespace diffreward::cli
