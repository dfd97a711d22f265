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

struct SceneConfig {
  std::string id = "umaze";
  Json options = Json::object();

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("id", self.id, "which");
    field("options", self.options, "of its own");
  }
};

struct LearnConfig {
  double lr = 0.1;
  std::uint64_t seed = 0;
  SceneConfig scene;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("lr", self.lr, "rate", Bounds{0, 1});
    field("seed", self.seed, "of weights");
    field("scene", self.scene, "to look at");
  }
};

struct DrawConfig {
  int steps = 1;
  std::uint64_t seed = 0;
  std::string note;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("steps", self.steps, "how many");
    field("seed", self.seed, "of noise");
    field("note", self.note, "any text");
  }
};

struct NestedConfig {
  SceneConfig env;
  LearnConfig learn;
  DrawConfig draw;
  Json judges = Json::object();
  std::string note;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    field("env", self.env, "where");
    field("learn", self.learn, "how");
    field("draw", self.draw, "what");
    field("judges", self.judges, "by name");
    field("note", self.note, "any text");
  }
};

/// The nested form of a JSON text.
Json expanded(const char* json) {
  return expand_names(Json::parse(json), fields(NestedConfig{}));
}

std::string refused_name(const char* json) {
  try {
    return "took it: " + expanded(json).dump();
  } catch (const InvalidArgument& error) {
    return error.what();
  }
}

TEST(Config, AFreeTableTakesAnyObject) {
  NestedConfig config;
  EXPECT_EQ(fields(config)[1].name, "env.options");
  EXPECT_EQ(fields(config)[1].kind, "table");
  EXPECT_EQ(to_json(config).at("env").at("options"), Json::object());
  EXPECT_EQ(to_json(config).at("judges"), Json::object());
  const Json options =
      Json::parse(R"({"map": "#G#", "goal": [1, 2.5], "deep": {"er": {"on": true}}, "a": null})");
  update(config, {{"env", {{"options", options}}}});
  EXPECT_EQ(config.env.options, options);
  update(config, {{"env", {{"id", "large"}}}});
  EXPECT_EQ(config.env.options, options) << "not named, not changed";
  NestedConfig other;
  update(other, Json::parse(to_json(config).dump()));
  EXPECT_EQ(to_json(other), to_json(config));
  EXPECT_NO_THROW(validate(config));

  for (const Json& no_table : {Json(3), Json("map=x"), Json::array({1}), Json()}) {
    EXPECT_THROW(update(config, {{"judges", no_table}}), InvalidArgument) << no_table;
    config.judges = no_table;
    EXPECT_THROW(validate(config), InvalidArgument) << no_table;
  }
  try {
    update(other, {{"env", {{"options", 3}}}});
    FAIL();
  } catch (const InvalidArgument& error) {
    EXPECT_STREQ(error.what(), "env.options: expected a table, got 3");
  }
}

TEST(Config, FreeTablesWithTheSameEntriesAreEqual) {
  NestedConfig a, b;
  a.judges = Json::parse(R"({"x": {"p": 1, "q": 2}, "y": 3})");
  b.judges = Json::parse(R"({"y": 3, "x": {"q": 2, "p": 1}})");
  EXPECT_EQ(to_json(a), to_json(b));
}

TEST(Config, NamesMayBeNestedDottedOrShort) {
  const Json lr = {{"learn", {{"lr", 0.5}}}};
  EXPECT_EQ(expanded(R"({"learn": {"lr": 0.5}})"), lr);
  EXPECT_EQ(expanded(R"({"learn.lr": 0.5})"), lr);
  EXPECT_EQ(expanded(R"({"lr": 0.5})"), lr);
  EXPECT_EQ(expanded("{}"), Json::object());
  EXPECT_EQ(expanded(R"({"learn": {}})"), Json::object());
  EXPECT_EQ(expanded(R"({"lr": 0.5, "learn": {"seed": 1}, "draw.seed": 2, "note": "n"})"),
            Json::parse(R"({"learn": {"lr": 0.5, "seed": 1}, "draw": {"seed": 2}, "note": "n"})"));
  // In a group, and in a group of it.
  EXPECT_EQ(expanded(R"({"learn": {"scene.id": "x"}})"), expanded(R"({"learn.scene.id": "x"})"));
  EXPECT_EQ(expanded(R"({"learn": {"id": "x"}})"), expanded(R"({"learn": {"scene": {"id": "x"}}})"));
  EXPECT_EQ(expanded(R"({"learn.scene": {"id": "x"}})"), expanded(R"({"learn.scene.id": "x"})"));
  // A field at the top is not one of a group, though their last parts are equal.
  EXPECT_EQ(expanded(R"({"note": "n"})"), (Json{{"note", "n"}}));
  // Values are left to update().
  EXPECT_EQ(expanded(R"({"lr": "fast", "steps": {"a": 1}})"),
            Json::parse(R"({"learn": {"lr": "fast"}, "draw": {"steps": {"a": 1}}})"));
  NestedConfig config;
  update(config, expanded(R"({"lr": 0.5, "steps": 4})"));
  EXPECT_EQ(config.learn.lr, 0.5);
  EXPECT_EQ(config.draw.steps, 4);
}

TEST(Config, ATextForAGroupIsItsFirstField) {
  EXPECT_EQ(expanded(R"({"env": "large"})"), (Json{{"env", {{"id", "large"}}}}));
  EXPECT_EQ(expanded(R"({"learn": {"scene": "x"}})"), expanded(R"({"learn.scene.id": "x"})"));
  EXPECT_EQ(expanded(R"({"env": "large", "env.options": {"a": 1}})"),
            (Json{{"env", {{"id", "large"}, {"options", {{"a", 1}}}}}}));
  EXPECT_EQ(refused_name(R"({"env": 4})"), "env: expected a table of keys, got 4");
  EXPECT_EQ(refused_name(R"({"draw": "x"})"), "draw: expected a table of keys, got \"x\"");
}

TEST(Config, EntriesOfFreeTablesKeepTheirNames) {
  EXPECT_EQ(expanded(R"({"env": {"options": {"learn.lr": 1, "seed": {"id": 2}}}})"),
            (Json{{"env", {{"options", {{"learn.lr", 1}, {"seed", {{"id", 2}}}}}}}}));
  EXPECT_EQ(expanded(R"({"judges": {"dense": {"lr": 1}}})"), (Json{{"judges", {{"dense", {{"lr", 1}}}}}}));
  EXPECT_EQ(expanded(R"({"judges": {}})"), (Json{{"judges", Json::object()}}));
}

TEST(Config, NamesThatMayMeanTwoFieldsAreRefused) {
  EXPECT_EQ(refused_name(R"({"seed": 1})"), "'seed' is ambiguous: learn.seed, draw.seed");
  EXPECT_EQ(refused_name(R"({"id": "x"})"), "'id' is ambiguous: env.id, learn.scene.id");
  EXPECT_EQ(refused_name(R"({"options": {}})"), "'options' is ambiguous: env.options, learn.scene.options");
  EXPECT_EQ(refused_name(R"({"lr": 1, "learn": {"lr": 1}})"), "learn.lr: given twice");
  EXPECT_EQ(refused_name(R"({"env": "a", "env.id": "a"})"), "env.id: given twice");
}

TEST(Config, UnknownNamesAreRefusedWithTheNearestSpelling) {
  EXPECT_EQ(refused_name(R"({"lrr": 1})"), "unknown key 'lrr'; did you mean 'lr'?");
  EXPECT_EQ(refused_name(R"({"stepz": 1})"), "unknown key 'stepz'; did you mean 'steps'?");
  EXPECT_EQ(refused_name(R"({"learn.sed": 1})"), "unknown key 'learn.sed'; did you mean 'learn.seed'?");
  EXPECT_EQ(refused_name(R"({"learn": {"sed": 1}})"), "unknown key 'learn.sed'; did you mean 'learn.seed'?");
  EXPECT_EQ(refused_name(R"({"learn": {"scene": {"ib": 1}}})"),
            "unknown key 'learn.scene.ib'; did you mean 'learn.scene.id'?");
  EXPECT_EQ(refused_name(R"({"lern": {"lr": 1}})"), "unknown key 'lern'; did you mean 'learn'?");
  EXPECT_EQ(refused_name(R"({"qqqqqqqqqq": 1})"),
            "unknown key 'qqqqqqqqqq'; known: env.id env.options learn.lr learn.seed learn.scene.id "
            "learn.scene.options draw.steps draw.seed draw.note judges note");
  for (const char* name : {R"({"": 1})", R"({".": 1})", R"({"learn.": 1})", R"({".lr": 1})", R"({"~2/": 1})",
                           R"({"scene.id": 1})", R"({"learn": {"": 1}})", R"({"learn/lr": 1})"})
    EXPECT_THAT(refused_name(name), HasSubstr("unknown key"));
  EXPECT_EQ(refused_name("[1]"), "config: expected a table of keys, got [1]");
}

TEST(Config, UnknownNamesCanBeSetAside) {
  Json unknown = Json::object();
  const Json given = Json::parse(
      R"({"lr": 1, "lrr": 2, "learn": {"seed": 3, "sed": 4, "scene": {"ib": 5}}, "steps": {"a": 6}, "judges": 7,
          "draw": 8, "env": "x", "other": {"seed": 9}})");
  EXPECT_EQ(expand_names(given, fields(NestedConfig{}), &unknown),
            Json::parse(R"({"learn": {"lr": 1, "seed": 3}, "judges": 7, "env": {"id": "x"}})"));
  EXPECT_EQ(unknown, Json::parse(R"({"lrr": 2, "learn": {"sed": 4, "scene": {"ib": 5}}, "steps": {"a": 6},
                                     "draw": 8, "other": {"seed": 9}})"));
  EXPECT_THROW(expand_names({{"seed", 1}}, fields(NestedConfig{}), &unknown), InvalidArgument) << "ambiguous";
}

TEST(Config, NamesStandForFields) {
  const std::vector<FieldInfo> all = fields(NestedConfig{});
  const auto named = [&](const char* name) {
    std::vector<std::string> names;
    for (const FieldInfo& field : fields_named(name, all)) names.push_back(field.name);
    return names;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(named("draw.steps"), Names{"draw.steps"});
  EXPECT_EQ(named("steps"), Names{"draw.steps"});
  EXPECT_EQ(named("note"), Names{"note"});
  EXPECT_EQ(named("env"), Names{"env.id"});
  EXPECT_EQ(named("learn.scene"), Names{"learn.scene.id"});
  EXPECT_EQ(named("seed"), (Names{"learn.seed", "draw.seed"}));
  for (const char* none : {"draw", "scene", "scene.id", "x", ""}) EXPECT_EQ(named(none), Names{}) << none;
  EXPECT_TRUE(is_group("learn", all) && is_group("learn.scene", all));
  EXPECT_FALSE(is_group("lear", all) || is_group("scene", all) || is_group("judges", all));
  EXPECT_EQ(short_names(all), (Names{"env", "learn", "lr", "learn.scene", "draw", "steps"}));
}

TEST(Config, NestedConfigsMergeKeyByKey) {
  Json config = Json::parse(R"({"a": 1, "b": {"c": [1, 2], "d": 2}, "t": {"k": {"l": 1}, "m": 2}})");
  merge_config(config,
               Json::parse(R"({"b": {"c": [3], "e": {"f": 4}}, "t": {"k": {"n": 5}, "m": {}}, "g": 6})"));
  EXPECT_EQ(config, Json::parse(R"({"a": 1, "b": {"c": [3], "d": 2, "e": {"f": 4}},
                                    "t": {"k": {"l": 1, "n": 5}, "m": {}}, "g": 6})"));
  merge_config(config, {{"b", 7}});
  EXPECT_EQ(config.at("b"), 7);
  merge_config(config, Json::object());
  EXPECT_EQ(config.at("a"), 1);
  EXPECT_EQ(*value_at(config, "t.k.l"), 1);
  EXPECT_EQ(*value_at(config, "a"), 1);
  for (const char* none : {"x", "t.x", "a.x", "b.c"}) EXPECT_EQ(value_at(config, none), nullptr) << none;
}

}  // namespace
}  // namespace diffreward
