#include "core/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace diffreward {
namespace {

using ::testing::HasSubstr;

struct InnerConfig {
  double gain = 10;
  std::vector<int> cell = {1, 2};

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("gain", self.gain, "1/cells", Bounds{0, 100});
    field("cell", self.cell, "row, column", Bounds{0, 9});
  }
};

struct OuterConfig {
  bool on = false;
  int count = 3;
  std::uint64_t seed = 0;
  std::string style = "pd";
  std::string note;
  InnerConfig inner;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("on", self.on, "a switch");
    field("count", self.count, "how many", Bounds{1, 8});
    field("seed", self.seed, "of the noise");
    field("style", self.style, "controller", Choices{"pd", "bang-bang"});
    field("note", self.note, "any text");
    field("inner", self.inner, "the rest");
  }
};

/// The message of the error that updating with this JSON text gives, "" for none.
std::string refusal(const char* json) {
  OuterConfig config;
  const Json before = to_json(config);
  try {
    update(config, Json::parse(json));
  } catch (const InvalidArgument& error) {
    EXPECT_EQ(to_json(config), before) << "a refused update changed the config";
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  return "";
}

TEST(Config, ListsItsFields) {
  std::vector<std::string> names, kinds;
  for (const FieldInfo& field : fields(OuterConfig{})) {
    names.push_back(field.name);
    kinds.push_back(field.kind);
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"on", "count", "seed", "style", "note", "inner.gain", "inner.cell"}));
  EXPECT_EQ(kinds, (std::vector<std::string>{"bool", "int", "int", "text", "text", "float", "int[]"}));
}

TEST(Config, ComesBackFromItsJson) {
  OuterConfig config;
  config.on = true;
  config.seed = ~std::uint64_t{0};
  config.inner.gain = 0.1;
  config.inner.cell = {};
  OuterConfig other;
  update(other, Json::parse(to_json(config).dump()));
  EXPECT_EQ(to_json(other), to_json(config));
  EXPECT_EQ(other.seed, ~std::uint64_t{0});
  EXPECT_EQ(to_json(config).at("inner").at("gain"), 0.1);
}

TEST(Config, UpdatesOnlyWhatIsNamed) {
  OuterConfig config;
  update(config, Json{{"count", 5}, {"inner", {{"cell", {7}}}}});
  EXPECT_EQ(config.count, 5);
  EXPECT_EQ(config.inner.cell, std::vector<int>{7});
  EXPECT_EQ(config.inner.gain, 10);
  EXPECT_EQ(config.style, "pd");
}

TEST(Config, NamesTheNearestKey) {
  EXPECT_THAT(refusal(R"({"cuont": 3})"), HasSubstr("unknown key 'cuont'; did you mean 'count'?"));
  EXPECT_THAT(refusal(R"({"inner": {"gian": 3}})"), HasSubstr("did you mean 'inner.gain'?"));
  EXPECT_THAT(refusal(R"({"zzzzzzzzzz": 3})"), HasSubstr("known: on count seed"));
  EXPECT_EQ(nearest_name("medum", {"open", "umaze", "medium", "large"}), "medium");
  EXPECT_EQ(nearest_name("qqqqqq", {"open", "umaze"}), "");
}

TEST(Config, RefusesOtherTypes) {
  EXPECT_THAT(refusal(R"({"count": "3"})"), HasSubstr("count: expected int, got \"3\""));
  EXPECT_THAT(refusal(R"({"count": 2.5})"), HasSubstr("count: expected int"));
  EXPECT_THAT(refusal(R"({"on": 1})"), HasSubstr("on: expected bool"));
  EXPECT_THAT(refusal(R"({"note": null})"), HasSubstr("note: expected a text"));
  EXPECT_THAT(refusal(R"({"inner": 4})"), HasSubstr("expected a table of keys, got 4"));
  EXPECT_THAT(refusal(R"({"inner": {"cell": 4}})"), HasSubstr("inner.cell: expected a list"));
  EXPECT_THAT(refusal(R"({"inner": {"cell": [1, "2"]}})"), HasSubstr("inner.cell: expected int"));
  EXPECT_THAT(refusal("[1]"), HasSubstr("config: expected a table"));
}

TEST(Config, RefusesValuesOutOfRange) {
  EXPECT_THAT(refusal(R"({"count": 9})"), HasSubstr("count: expected a number in [1, 8], got 9"));
  EXPECT_THAT(refusal(R"({"inner": {"gain": -0.5}})"),
              HasSubstr("inner.gain: expected a number in [0, 100]"));
  EXPECT_THAT(refusal(R"({"inner": {"cell": [1, 10]}})"), HasSubstr("inner.cell"));
  EXPECT_THAT(refusal(R"({"style": "pq"})"), HasSubstr("style: unknown choice 'pq'; did you mean 'pd'?"));
  EXPECT_EQ(refusal(R"({"inner": {"gain": 7}})"), "");  // a whole number is a float too
}

struct Widths {
  int narrow = 0;
  std::int64_t wide = 0;
  std::uint64_t seed = 0;
  std::vector<int> cell;
  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("narrow", self.narrow, "");
    field("wide", self.wide, "");
    field("seed", self.seed, "");
    field("cell", self.cell, "");
  }
};

TEST(Config, RefusesNumbersThatTheFieldsTypeDoesNotHold) {
  const auto refused = [](const Json& json) {
    Widths widths;
    EXPECT_THROW(update(widths, json), InvalidArgument) << json;
    for (const FieldInfo& f : fields(widths)) {  // the command line checks before it has the type
      if (!json.contains(f.name)) continue;
      EXPECT_THROW(detail::check_value(f.name, f.kind, json.at(f.name), f.bounds, f.choices),
                   InvalidArgument);
    }
  };
  refused({{"narrow", 4294967297}});
  refused({{"narrow", -2147483649}});
  refused({{"cell", {4294967297, 1}}});
  refused({{"seed", -1}});
  refused({{"wide", ~std::uint64_t{0}}});
  refused({{"wide", std::uint64_t{1} << 63}});
  Widths widths;
  update(widths, {{"seed", ~std::uint64_t{0}}, {"narrow", -2147483648}, {"wide", -9007199254740993}});
  EXPECT_EQ(widths.seed, ~std::uint64_t{0});
  EXPECT_EQ(widths.narrow, -2147483648);
  EXPECT_EQ(widths.wide, -9007199254740993);
}

TEST(Config, ValidatesWhatCodeHasBuilt) {
  OuterConfig config;
  EXPECT_NO_THROW(validate(config));
  config.inner.gain = std::nan("");
  EXPECT_THROW(validate(config), InvalidArgument);
  config.inner.gain = 1;
  config.style = "pid";
  EXPECT_THROW(validate(config), InvalidArgument);
}

}  // namespace
}  // namespace diffreward
