#include "envs/env.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using testing::HasSubstr;

EnvSpec sample() {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  EnvSpec spec;
  spec.id = "Sample-v0";
  spec.observation = {{-kInfinity, 0, -0.0}, {kInfinity, 0.1, 1e308}};
  spec.action = {{-1}, {1.0 / 3}};
  spec.max_steps = 7;
  spec.seconds_per_step = 0.05;
  spec.expert_return = -1e-300;
  spec.state_size = 12;
  spec.info = {{"goal", 2}, {"a", 1}};
  spec.parts = {{"position", 1}, {"rest", 2}};
  spec.reset_options = {{"start", 2}, {"weight", 1}};
  return spec;
}

TEST(EnvSpecJson, ATextOfItGivesTheSameSpec) {
  const EnvSpec spec = sample();
  const std::string text = spec.json().dump();
  const EnvSpec again = EnvSpec::from_json(Json::parse(text));
  EXPECT_EQ(again.json().dump(), text);
  EXPECT_EQ(again.id, spec.id);
  EXPECT_EQ(again.observation.low, spec.observation.low);
  EXPECT_TRUE(std::signbit(again.observation.low[2]));
  EXPECT_EQ(again.observation.high, spec.observation.high);
  EXPECT_EQ(again.action.high, spec.action.high);
  EXPECT_EQ(again.max_steps, 7);
  EXPECT_EQ(again.seconds_per_step, 0.05);
  EXPECT_TRUE(std::isnan(again.random_return));
  EXPECT_EQ(again.expert_return, -1e-300);
  EXPECT_EQ(again.state_size, 12u);
  EXPECT_EQ(again.info, spec.info);
  EXPECT_EQ(again.parts, spec.parts);
  EXPECT_EQ(again.reset_options, spec.reset_options);
}

TEST(EnvSpecJson, ErrorsNameTheField) {
  const auto refused = [](const char* pointer, const Json& value) {
    Json json = sample().json();
    json[Json::json_pointer(pointer)] = value;
    try {
      EnvSpec::from_json(json);
    } catch (const InvalidArgument& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(refused("/id", 3), HasSubstr("EnvSpec: id: expected a text, got 3"));
  EXPECT_THAT(refused("/observation/low/1", "none"), HasSubstr("observation.low[1]: expected a number"));
  EXPECT_THAT(refused("/action/high", Json::array()), HasSubstr("action: expected as many"));
  EXPECT_THAT(refused("/action", 1), HasSubstr("action: expected a table"));
  EXPECT_THAT(refused("/max_steps", -1), HasSubstr("max_steps: expected a count"));
  EXPECT_THAT(refused("/max_steps", 1.5), HasSubstr("max_steps: expected a count"));
  EXPECT_THAT(refused("/state_size", 1e300), HasSubstr("state_size"));
  EXPECT_THAT(refused("/info", "goal"), HasSubstr("info: expected a list"));
  EXPECT_THAT(refused("/info/1/size", true), HasSubstr("info[1].size"));
  EXPECT_THAT(refused("/parts/0/length", 1), HasSubstr("parts[0].length"));
  EXPECT_THAT(refused("/reset_options/1/name", 2), HasSubstr("reset_options[1].name: expected a text"));
  EXPECT_THAT(refused("/max_step", 1), HasSubstr("did you mean 'max_steps'"));
  EXPECT_THROW(EnvSpec::from_json("Sample-v0"), InvalidArgument);
  Json json = sample().json();
  json.erase("parts");
  EXPECT_THROW(EnvSpec::from_json(json), InvalidArgument);
}

TEST(EnvSpec, InfoIsReadByName) {
  const EnvSpec spec = sample();
  EXPECT_EQ(spec.info_offset("goal"), 0u);
  EXPECT_EQ(spec.info_offset("a"), 2u);
  EXPECT_EQ(spec.info_offset("position"), std::nullopt);  // a part, no info
  EXPECT_EQ(EnvSpec{}.info_offset("goal"), std::nullopt);
}

/// Keeps what a reset has handed to it.
struct Blank final : Env {
  EnvSpec facts = sample();
  int begun = 0;
  std::vector<double> weight, start;
  const EnvSpec& spec() const override { return facts; }
  StepResult step(std::span<const double>, std::span<double>) override { return {}; }
  void state(std::span<double>) const override {}
  void set_state(std::span<const double>, std::span<double>) override {}
  void info(std::span<double>) const override {}
  Image render(int, int) const override { return {}; }

 protected:
  void begin(std::optional<Seed>, const ResetOptions& options, std::span<double>) override {
    ++begun;
    const auto w = options.values("weight"), s = options.values("start");
    weight.assign(w.begin(), w.end());
    start.assign(s.begin(), s.end());
  }
};

TEST(EnvReset, HandsOnWhatTheSpecNames) {
  Blank env;
  env.reset(1, {.fixed = {{"weight", {4}}}}, {});
  EXPECT_THAT(env.weight, testing::ElementsAre(4));
  EXPECT_TRUE(env.start.empty());
  env.reset(1, {.fixed = {{"start", {1, 2}}, {"weight", {5}}}}, {});
  EXPECT_THAT(env.start, testing::ElementsAre(1, 2));
  env.reset(1, {.state = {1, 2, 3}}, {});  // whether a state fits is the environment's to say
  env.reset({}, {}, {});
  EXPECT_TRUE(env.weight.empty());
  EXPECT_EQ(env.begun, 4);
}

TEST(EnvReset, RefusesOtherOptions) {
  Blank env;
  const auto refused = [&](const ResetOptions& options) {
    return message_of<InvalidArgument>([&] { env.reset(1, options, {}); });
  };
  EXPECT_EQ(refused({.fixed = {{"wieght", {4}}}}),
            "Sample-v0: reset: unknown option 'wieght'; did you mean 'weight'?");
  EXPECT_THAT(refused({.fixed = {{"goal_cell", {1, 1}}}}), HasSubstr("known: start weight state"));
  EXPECT_EQ(refused({.fixed = {{"start", {4}}}}), "Sample-v0: reset: start: expected 2 numbers, got 1");
  EXPECT_THAT(refused({.fixed = {{"weight", {}}}}), HasSubstr("weight: expected 1 numbers, got 0"));
  EXPECT_THAT(refused({.fixed = {{"start", {1, std::nan("")}}}}),
              HasSubstr("start: expected finite numbers"));
  EXPECT_THAT(refused({.fixed = {{"weight", {4}}}, .state = {1}}),
              HasSubstr("expected a state alone, got weight beside it"));
  EXPECT_EQ(env.begun, 0);
}

}  // namespace
}  // namespace diffreward
