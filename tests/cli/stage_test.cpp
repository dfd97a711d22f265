// What a stage promises about files: a record never stands beside other products than its own, nothing that
// it did not make is touched, and no way of being killed loses that.
#include "cli/stage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/file.h"
#include "core/provenance.h"
#include "tests/core/killed.h"
#include "tests/core/temporary_folder.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class StageTest : public testing::Test {
 protected:
  fs::path out() const { return folder_ / "out"; }

  StageSpec spec(const Json& config = Json::object()) const {
    return {"train", config, out(), true, {{"data", data_, "data.bin"}}, {"product"}};
  }

  /// Runs a stage that writes the config into its product; returns how many ran so far.
  int run(const StageSpec& stage) {
    const Json result = run_stage(stage, [&](const fs::path& folder) {
      write_file(folder / "product", stage.config.dump());
      return Json{{"run", ++runs_}, {"file", "product"}};
    });
    EXPECT_EQ(result.at("file"), (stage.folder / "product").string());
    return result.at("run").get<int>();
  }

  void fail(const StageSpec& stage) const {
    EXPECT_THROW(run_stage(stage,
                           [](const fs::path& folder) -> Json {
                             write_file(folder / "product", "half");
                             write_file(folder / "checkpoint", "half");
                             throw Error("failed");
                           }),
                 Error);
  }

  std::string refusal(const StageSpec& stage) {
    return message_of<Error>([&] { run(stage); });
  }

  std::string product_text() const { return bytes_of(out() / "product"); }

  TemporaryFolder folder_;
  std::string data_;
  int runs_ = 0;
};

TEST_F(StageTest, AFinishedStageIsReusedOnlyForTheSameConfig) {
  EXPECT_EQ(run(spec({{"lr", 1}})), 1);
  EXPECT_EQ(run(spec({{"lr", 1}})), 1);
  EXPECT_EQ(run(spec({{"lr", 2}})), 2);
  EXPECT_EQ(run(spec({{"lr", 2}, {"threads", 8}})), 2) << "threads do not change a result";
  StageSpec again = spec({{"lr", 2}});
  again.reuse = false;
  EXPECT_EQ(run(again), 3) << "without reuse it always runs";
  EXPECT_FALSE(fs::exists(out() / "unfinished"));
}

/// Makes a record tell of another program.
void made_by_another_program(const fs::path& record) {
  Json json = parse_json(read_file(record), record.string());
  EXPECT_EQ(json.at("commit"), program_commit());
  json["commit"] = "0123456789ab";
  json.at("key").at("program") = "of other sources";
  write_file(record, json.dump());
}

TEST_F(StageTest, AStageOfAnotherProgramIsMadeAgainAndSaid) {
  EXPECT_EQ(run(spec()), 1);
  EXPECT_EQ(run(spec()), 1);
  made_by_another_program(out() / "stage.json");
  testing::internal::CaptureStderr();
  EXPECT_EQ(run(spec()), 2);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr(out().string() + ": made by another program (0123456789ab; this one is " +
                              program_commit()));
  EXPECT_EQ(run(spec()), 2) << "and then it is this program's";
}

TEST_F(StageTest, WorkThatAnotherProgramLeftIsNeitherMixedNorLost) {
  StageSpec training = spec();
  training.continues_from = {"checkpoint"};
  fail(training);
  made_by_another_program(out() / "unfinished/stage.json");
  EXPECT_THAT(refusal(training), HasSubstr("unfinished: expected work of this program (" + program_commit() +
                                           "), found it begun by another one (0123456789ab)"));
  EXPECT_EQ(bytes_of(out() / "unfinished/checkpoint"), "half");
  EXPECT_EQ(run(spec()), 1) << "what cannot be continued is no loss";
}

TEST_F(StageTest, ATrainingOfAnotherProgramIsNotLengthened) {
  const auto training = [&](int steps) {
    StageSpec stage = spec({{"steps", steps}});
    stage.extends = {"steps"};
    stage.continues_from = {"product"};
    stage.reuse = false;
    return stage;
  };
  EXPECT_EQ(run(training(10)), 1);
  made_by_another_program(out() / "stage.json");
  const std::string product = product_text();
  EXPECT_THAT(refusal(training(20)), HasSubstr("to continue, found one of another (0123456789ab)"));
  EXPECT_EQ(product_text(), product);
  EXPECT_EQ(run(training(10)), 2) << "as long as before is made anew";
  EXPECT_EQ(run(training(20)), 3);
}

TEST_F(StageTest, InputsAreKnownByTheirContent) {
  data_ = (folder_ / "data.bin").string();
  write_file(data_, "one");
  EXPECT_EQ(run(spec()), 1);
  const auto time = fs::last_write_time(data_);
  write_file(data_, "one");
  EXPECT_EQ(run(spec()), 1) << "another time, the same content";
  write_file(data_, "two");
  fs::last_write_time(data_, time);
  EXPECT_EQ(run(spec()), 2) << "the same size and time, another content";
  fs::rename(data_, folder_ / "moved.bin");
  data_ = (folder_ / "moved.bin").string();
  EXPECT_EQ(run(spec()), 2) << "another name, the same content";
}

TEST_F(StageTest, AMovedFolderIsStillReused) {
  const auto chain = [&](const std::string& root) {
    StageSpec first = spec({{"steps", 3}});
    first.folder = folder_ / (root + "/first");
    run(first);
    StageSpec second = spec({{"data", first.folder.string()}});
    second.folder = folder_ / (root + "/second");
    second.inputs = {{"data", first.folder.string(), "product"}};
    return run(second);
  };
  EXPECT_EQ(chain("here"), 2);
  fs::rename(folder_ / "here", folder_ / "there");
  EXPECT_EQ(chain("there"), 2);
  fs::copy(folder_ / "there", folder_ / "copied", fs::copy_options::recursive);
  EXPECT_EQ(chain("copied"), 2);
  EXPECT_EQ(runs_, 2);
}

TEST_F(StageTest, AFinishedRecordStaysUntilItsSuccessorIsWhole) {
  run(spec({{"lr", 1}}));
  for (const bool reuse : {true, false}) {
    StageSpec next = spec({{"lr", 2}});
    next.reuse = reuse;
    fail(next);
    EXPECT_EQ(stage_record(out()).at("key").at("config").at("lr"), 1);
    EXPECT_EQ(product_text(), R"({"lr":1})");
    EXPECT_EQ(product(out(), "product"), out() / "product") << "still an input";
  }
  EXPECT_EQ(run(spec({{"lr", 1}})), 1) << "and still reused";
  EXPECT_EQ(run(spec({{"lr", 2}})), 2);
  EXPECT_EQ(product_text(), R"({"lr":2})");
}

TEST_F(StageTest, ProductsOfAnUnfinishedStageAreNoInputs) {
  fail(spec());
  EXPECT_FALSE(fs::exists(out() / "product"));
  const auto refused = [&](const fs::path& path) {
    EXPECT_THAT(message_of<Error>([&] { product(path, "product"); }), HasSubstr("found an unfinished one"));
    StageSpec next = spec();
    next.folder = folder_ / "next";
    next.inputs = {{"start_from", path, "product"}};
    EXPECT_THAT(refusal(next), HasSubstr("--start-from: "));
  };
  refused(out());
  refused(out() / "unfinished");
  refused(out() / "unfinished/product");
}

TEST_F(StageTest, AnEqualRunResumesAndAnotherStartsOver) {
  const auto found = [&](const StageSpec& stage) {
    bool checkpoint = false;
    run_stage(stage, [&](const fs::path& folder) {
      checkpoint = fs::exists(folder / "checkpoint");
      return Json::object();
    });
    return checkpoint;
  };
  fail(spec({{"lr", 1}}));
  EXPECT_TRUE(found(spec({{"lr", 1}})));
  fail(spec({{"lr", 2}}));
  EXPECT_FALSE(found(spec({{"lr", 3}})));
}

TEST_F(StageTest, ALongerRunContinuesAFinishedOne) {
  const auto steps_seen = [&](const Json& config) {
    StageSpec stage = spec(config);
    stage.extends = {"steps", "log_every"};
    stage.continues_from = {"checkpoint"};
    return run_stage(stage, [&](const fs::path& folder) {
      const std::string seen = fs::exists(folder / "checkpoint") ? bytes_of(folder / "checkpoint") : "none";
      write_file(folder / "checkpoint", config.at("steps").dump());
      return Json{{"seen", seen}};
    });
  };
  EXPECT_EQ(steps_seen({{"steps", 10}, {"lr", 1}}).at("seen"), "none");
  EXPECT_EQ(steps_seen({{"steps", 20}, {"lr", 1}, {"log_every", 5}}).at("seen"), "10");
  EXPECT_EQ(steps_seen({{"steps", 20}, {"lr", 2}}).at("seen"), "none") << "another making";
  EXPECT_EQ(steps_seen({{"steps", 5}, {"lr", 2}}).at("seen"), "none") << "a shorter one";
}

TEST_F(StageTest, AStageMayGrowByAFieldWithinAGroup) {
  const auto steps_seen = [&](int steps, int batch) {
    StageSpec stage = spec({{"denoiser", {{"steps", steps}, {"batch", batch}}}});
    stage.extends = {"denoiser.steps"};
    stage.continues_from = {"checkpoint"};
    return run_stage(stage, [&](const fs::path& folder) {
      const std::string seen = fs::exists(folder / "checkpoint") ? bytes_of(folder / "checkpoint") : "none";
      write_file(folder / "checkpoint", concat(steps));
      return Json{{"seen", seen}};
    });
  };
  EXPECT_EQ(steps_seen(10, 8).at("seen"), "none");
  EXPECT_EQ(steps_seen(20, 8).at("seen"), "10");
  EXPECT_EQ(steps_seen(30, 16).at("seen"), "none") << "another making";
}

TEST_F(StageTest, ReuseWantsTheProductsThereAndWhole) {
  EXPECT_EQ(run(spec()), 1);
  fs::remove(out() / "product");
  EXPECT_EQ(run(spec()), 2);
  fs::resize_file(out() / "product", 1);
  EXPECT_EQ(run(spec()), 3);
  write_bytes(out() / "product", "[]");  // as long as {}
  EXPECT_EQ(run(spec()), 4);
  EXPECT_EQ(run(spec()), 4);
}

TEST_F(StageTest, AnInputThatIsNotWhatItsRecordSaysIsRefused) {
  run(spec());
  write_bytes(out() / "product", "changed");
  StageSpec next = spec();
  next.folder = folder_ / "next";
  for (const fs::path& path : {out(), out() / "product"}) {
    next.inputs = {{"data", path, "product"}};
    EXPECT_THAT(refusal(next),
                HasSubstr("--data: " + (out() / "product").string() + ": expected the file that"));
  }
}

TEST_F(StageTest, NothingThatNoRecordListsIsTouched) {
  run(spec({{"lr", 1}}));
  write_bytes(out() / "notes.txt", "mine");
  fs::create_directories(out() / "other/stage");
  write_bytes(out() / "other/stage/data", "mine");
  EXPECT_EQ(run(spec({{"lr", 2}})), 2);
  EXPECT_EQ(bytes_of(out() / "notes.txt"), "mine");
  EXPECT_EQ(bytes_of(out() / "other/stage/data"), "mine");
}

TEST_F(StageTest, AProductThatAChangedStageNoLongerMakesIsRemovedAndNothingElse) {
  StageSpec both = spec({{"format", "both"}});
  both.products = {"product", "deep/set/data"};
  run_stage(both, [](const fs::path& folder) {
    fs::create_directories(folder / "deep/set");
    write_file(folder / "deep/set/data", "made");
    write_file(folder / "product", "made");
    return Json::object();
  });
  write_bytes(out() / "deep/foreign", "mine");
  run(spec({{"format", "one"}}));
  EXPECT_FALSE(fs::exists(out() / "deep/set"));
  EXPECT_EQ(bytes_of(out() / "deep/foreign"), "mine");
}

TEST_F(StageTest, PlacesOfProductsThatAreTakenAreRefusedBeforeAnyWork) {
  fs::create_directories(out());
  for (const char* name : {"product", "config.toml"}) {
    write_bytes(out() / name, "mine");
    EXPECT_THAT(refusal(spec()),
                HasSubstr(std::string(name) + ": expected no file in the place of a product"));
    EXPECT_EQ(bytes_of(out() / name), "mine");
    fs::remove(out() / name);
  }
  write_bytes(out() / "stage.json", "{\"mine\": 1}");
  EXPECT_THAT(refusal(spec()), HasSubstr("stage.json: expected the record of a stage"));
  fs::remove(out() / "stage.json");
  fs::create_directory(out() / "unfinished");
  write_bytes(out() / "unfinished/notes", "mine");
  EXPECT_THAT(refusal(spec()), HasSubstr("unfinished: expected an unfinished stage, found other files"));
  EXPECT_EQ(bytes_of(out() / "unfinished/notes"), "mine");
  EXPECT_EQ(runs_, 0);
}

TEST_F(StageTest, AFileOfEqualContentThatIsThereAlreadyIsSharedAndKept) {
  const auto make = [&](const Json& config, const std::string& shared) {
    run_stage(spec(config), [&](const fs::path& folder) {
      write_file(folder / "product", config.dump());
      fs::create_directory(folder / "space");
      write_file(folder / "space/about", shared);
      return Json::object();
    });
  };
  fs::create_directories(out() / "space");
  write_bytes(out() / "space/about", "shared");
  make({{"lr", 1}}, "shared");
  EXPECT_FALSE(stage_record(out()).at("products").contains("space/about"));
  run(spec({{"lr", 2}}));
  EXPECT_EQ(bytes_of(out() / "space/about"), "shared") << "it was not the stage's";
  EXPECT_THROW(make({{"lr", 3}}, "another"), Error);
  EXPECT_EQ(bytes_of(out() / "space/about"), "shared");
  EXPECT_EQ(product_text(), R"({"lr":2})");
}

TEST_F(StageTest, AnotherCommandsStageIsNotReplaced) {
  run(spec());
  StageSpec other = spec();
  other.command = "extract";
  other.reuse = false;
  EXPECT_THAT(refusal(other), HasSubstr("expected a folder for extract, found a stage of train"));
  EXPECT_EQ(product_text(), "{}");
}

TEST_F(StageTest, AnOutputThatIsOrHoldsAnInputIsRefused) {
  fs::create_directories(out() / "inside");
  write_file(out() / "inside/data.bin", "x");
  fs::create_symlink(out() / "inside", folder_ / "link");
  for (const fs::path& path : {out() / "inside/data.bin", folder_ / "link/data.bin"}) {
    data_ = path.string();
    EXPECT_THAT(refusal(spec()), HasSubstr("--out: expected a folder without inputs"));
  }
  StageSpec first = spec();
  data_.clear();
  first.inputs.clear();
  run(first);
  StageSpec onto = spec();
  onto.inputs = {{"data", out(), "product"}};
  EXPECT_THAT(refusal(onto), HasSubstr("to hold --data"));
}

TEST_F(StageTest, ARecordCannotNameFilesElsewhere) {
  run(spec());
  write_file(folder_ / "precious", "mine");
  for (const char* name : {"../precious", "/etc/hostname", "a/../../precious"}) {
    Json record = stage_record(out());
    record["products"] = {{name, {{"bytes", 4}, {"sha256", "x"}}}};
    write_file(out() / "stage.json", record.dump());
    EXPECT_THAT(refusal(spec({{"lr", 2}})), HasSubstr("expected names inside the folder"));
    EXPECT_EQ(bytes_of(folder_ / "precious"), "mine");
    fs::remove_all(out());
    run(spec());
  }
}

TEST_F(StageTest, TwoRunsOnOneFolderAreRefused) {
  run_stage(spec(), [&](const fs::path&) {
    EXPECT_THAT(refusal(spec()), HasSubstr("another run"));
    return Json::object();
  });
}

TEST_F(StageTest, AnAbsentInputIsNamedWithItsOption) {
  data_ = (folder_ / "absent").string();
  EXPECT_THAT(refusal(spec()), HasSubstr("--data: " + data_ + ": cannot read"));
}

TEST_F(StageTest, DeepOrForeignRecordsAreOneLineErrors) {
  fs::create_directories(out());
  for (const std::string& text :
       {std::string(100'000, '['), std::string("[]"), std::string("{\"key\": 3}"), std::string("\xff"),
        std::string(R"({"key": {"command": "train", "config": {}, "inputs": {}}, "result": {}})")}) {
    write_bytes(out() / "stage.json", text);
    EXPECT_THAT(refusal(spec()), HasSubstr("stage.json: expected"));
    EXPECT_THAT(message_of<Error>([&] { product(out(), "product"); }), HasSubstr("stage.json: expected"));
  }
}

TEST_F(StageTest, KilledAnywhereTheRecordIsTrueAndTheNextRunComesThrough) {
  StageSpec first = spec({{"lr", 1}}), second = spec({{"lr", 2}});
  first.products = second.products = {"product", "second"};
  const auto work = [](const StageSpec& stage) {
    return run_stage(stage, [&](const fs::path& folder) {
      write_file(folder / "product", stage.config.dump());
      if (stage.config.at("lr") == 1) write_file(folder / "second", "old");
      return Json::object();
    });
  };
  killed_everywhere(
      [&](int) {
        work(first);
        work(second);
      },
      [&](int call) {
        SCOPED_TRACE(call);
        try {
          const fs::path file = product(out(), "product");
          EXPECT_EQ(bytes_of(file), stage_record(out()).at("key").at("config").dump());
        } catch (const Error& error) {
          // Absent, or cut short while products were put in place: said, and mended by the next run.
          EXPECT_THAT(error.what(), testing::AnyOf(HasSubstr("unfinished"), HasSubstr("found none")));
        }
        work(second);
        EXPECT_EQ(product_text(), R"({"lr":2})");
        EXPECT_FALSE(fs::exists(out() / "second"));
        EXPECT_FALSE(fs::exists(out() / "unfinished"));
        for (const auto& entry : fs::recursive_directory_iterator(out()))
          EXPECT_NE(entry.path().extension(), ".tmp") << entry.path();
        fs::remove_all(out());
      });
}

}  // namespace
}  // namespace diffreward::cli
