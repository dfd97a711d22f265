// What every environment of the catalog promises (envs/env.h, envs/vector_env.h). An environment's own test
// holds only what is particular to it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "core/error.h"
#include "core/rng.h"
#include "envs/catalog.h"
#include "envs/vector_env.h"
#include "tests/envs/count_allocations.h"

namespace diffreward {
namespace {

using Values = std::vector<double>;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

bool equal_bits(std::span<const double> a, std::span<const double> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

/// Actions that are held for a while, so that bodies gather speed and run into things.
class Actions {
 public:
  Actions(const EnvSpec& spec, int count, std::uint64_t seed) : box_(spec.action), rng_(seed) {
    values_.resize(box_.size() * std::size_t(count));
  }
  const Values& next() {
    if (step_++ % 25 == 0)
      for (std::size_t k = 0; k < values_.size(); ++k) {
        const std::size_t i = k % box_.size();
        values_[k] = rng_.uniform(std::max(box_.low[i], -1e3), std::min(box_.high[i], 1e3));
      }
    return values_;
  }

 private:
  Box box_;
  Rng rng_;
  Values values_;
  int step_ = 0;
};

class EnvContract : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Env> make() const { return make_env(GetParam()); }
  std::unique_ptr<VectorEnv> make(const VectorConfig& config) const {
    return make_vector(GetParam(), config);
  }

  static Values state_of(const Env& env) {
    Values state(env.spec().state_size);
    env.state(state);
    return state;
  }
};

TEST_P(EnvContract, SpecIsComplete) {
  const EnvSpec spec = env_spec(GetParam());
  EXPECT_EQ(spec.id, GetParam());
  EXPECT_THAT(spec.id, testing::ContainsRegex("-v[0-9]+$"));
  for (const Box* box : {&spec.observation, &spec.action}) {
    ASSERT_GT(box->size(), 0u);
    ASSERT_EQ(box->low.size(), box->high.size());
    for (std::size_t i = 0; i < box->size(); ++i) EXPECT_LT(box->low[i], box->high[i]);
  }
  EXPECT_GT(spec.max_steps, 0);
  EXPECT_EQ(env_entry(GetParam()).max_steps, spec.max_steps);
  EXPECT_GT(spec.seconds_per_step, 0);
  EXPECT_GT(spec.state_size, 0u);
  for (const auto* fields : {&spec.info, &spec.parts, &spec.reset_options}) {
    std::set<std::string> names;
    for (const InfoField& field : *fields) {
      EXPECT_GT(field.size, 0u) << field.name;
      EXPECT_TRUE(names.insert(field.name).second) << field.name;
    }
  }
  ASSERT_EQ(std::isnan(spec.random_return), std::isnan(spec.expert_return));
  if (std::isnan(spec.random_return)) return;  // a task without reference returns
  EXPECT_DOUBLE_EQ(spec.score(spec.random_return), 0);
  EXPECT_DOUBLE_EQ(spec.score(spec.expert_return), 100);
}

TEST_P(EnvContract, SpecSurvivesAsText) {
  const EnvSpec spec = env_spec(GetParam());
  const std::string text = spec.json().dump();
  const EnvSpec again = EnvSpec::from_json(Json::parse(text));
  EXPECT_EQ(again.json().dump(), text);
  EXPECT_EQ(again.id, spec.id);
  EXPECT_EQ(again.observation.low, spec.observation.low);
  EXPECT_EQ(again.observation.high, spec.observation.high);
  EXPECT_EQ(again.action.low, spec.action.low);
  EXPECT_EQ(again.action.high, spec.action.high);
  EXPECT_EQ(again.max_steps, spec.max_steps);
  EXPECT_EQ(again.state_size, spec.state_size);
  EXPECT_EQ(again.info, spec.info);
  EXPECT_EQ(again.parts, spec.parts);
  EXPECT_EQ(again.reset_options, spec.reset_options);
  for (double EnvSpec::*number :
       {&EnvSpec::seconds_per_step, &EnvSpec::random_return, &EnvSpec::expert_return})
    EXPECT_TRUE(equal_bits({&(again.*number), 1}, {&(spec.*number), 1}));
}

TEST_P(EnvContract, ObservationsStayInTheBoxAndRewardsAreFinite) {
  const auto env = make();
  const Box& box = env->spec().observation;
  Values obs(box.size(), kNan), info(env->spec().info_size(), kNan);
  const auto success = env->spec().info_offset("success"),
             distance = env->spec().info_offset("goal_distance");
  Actions actions(env->spec(), 1, 1);
  env->reset(1, {}, obs);
  for (int t = 0; t < 2000; ++t) {
    for (std::size_t i = 0; i < box.size(); ++i)
      ASSERT_TRUE(obs[i] >= box.low[i] && obs[i] <= box.high[i]) << t;
    ASSERT_TRUE(std::isfinite(env->step(actions.next(), obs).reward));
    env->info(info);
    for (const double value : info) ASSERT_TRUE(std::isfinite(value));
    ASSERT_TRUE(!success || info[*success] == 0 || info[*success] == 1) << t;
    ASSERT_TRUE(!distance || info[*distance] >= 0) << t;
  }
}

TEST_P(EnvContract, EqualSeedsGiveEqualBitsWhateverCameBefore) {
  const auto one = make(), other = make();
  Values a(one->spec().observation.size()), b(a.size());
  Actions warm(one->spec(), 1, 9);
  one->reset(77, {}, a);
  for (int t = 0; t < 300; ++t) one->step(warm.next(), a);
  one->reset(5, {}, a);
  other->reset(5, {}, b);
  EXPECT_TRUE(equal_bits(state_of(*one), state_of(*other)));  // hidden state of the simulator included
  Actions actions(one->spec(), 1, 2);
  for (int t = 0; t < 1000; ++t) {
    ASSERT_TRUE(equal_bits(a, b)) << t;
    const Values& action = actions.next();
    const double ra = one->step(action, a).reward, rb = other->step(action, b).reward;
    ASSERT_TRUE(equal_bits({&ra, 1}, {&rb, 1})) << t;
    if (t % 300 == 299) {  // the generator goes on equally
      one->reset(std::nullopt, {}, a);
      other->reset(std::nullopt, {}, b);
    }
  }
  other->reset(6, {}, b);
  one->reset(5, {}, a);
  EXPECT_FALSE(equal_bits(a, b));
  one->reset(std::nullopt, {}, b);
  EXPECT_FALSE(equal_bits(a, b));
}

TEST_P(EnvContract, StateResumesToEqualBits) {
  const auto env = make(), fresh = make();
  const EnvSpec& spec = env->spec();
  Values a(spec.observation.size()), b(a.size());
  Actions actions(spec, 1, 3);
  env->reset(11, {}, a);
  for (int t = 0; t < 6000; ++t) {
    if (t % 10 == 0) {
      const Values state = state_of(*env);
      fresh->set_state(state, b);
      ASSERT_TRUE(equal_bits(a, b)) << t;
      ASSERT_TRUE(equal_bits(state, state_of(*fresh))) << t;
    }
    const Values& action = actions.next();
    const double ra = env->step(action, a).reward, rb = fresh->step(action, b).reward;
    ASSERT_TRUE(equal_bits(a, b)) << t;
    ASSERT_EQ(ra, rb) << t;
    ASSERT_TRUE(equal_bits(state_of(*env), state_of(*fresh))) << t;
    if (t % 1500 == 1499) {
      env->reset(std::nullopt, {}, a);
      fresh->reset(std::nullopt, {}, b);
      ASSERT_TRUE(equal_bits(a, b));
    }
  }
  ResetOptions options;
  options.state = state_of(*env);
  fresh->reset(std::nullopt, options, b);
  EXPECT_TRUE(equal_bits(options.state, state_of(*fresh)));
}

TEST_P(EnvContract, BadInputThrowsAndLeavesTheEpisodeIntact) {
  const auto env = make();
  const EnvSpec& spec = env->spec();
  Values obs(spec.observation.size()), action(spec.action.size(), 0.5);
  env->reset(1, {}, obs);
  env->step(action, obs);
  const Values before = state_of(*env), seen = obs;

  for (const double bad : {kNan, HUGE_VAL, -HUGE_VAL}) {
    Values broken = action;
    broken.back() = bad;
    EXPECT_THROW(env->step(broken, obs), InvalidArgument);
    Values state = before;
    for (std::size_t i = 0; i < state.size(); ++i) {
      state = before;
      state[i] = bad;
      EXPECT_THROW(env->set_state(state, obs), InvalidArgument) << i;
    }
  }
  Values longer(action.size() + 1, 0.0), obs_short(obs.size() - 1), info(spec.info_size() + 1);
  Values state_short(spec.state_size - 1);
  EXPECT_THROW(env->step(longer, obs), InvalidArgument);
  EXPECT_THROW(env->step({}, obs), InvalidArgument);
  EXPECT_THROW(env->step(action, obs_short), InvalidArgument);
  EXPECT_THROW(env->reset(1, {}, obs_short), InvalidArgument);
  EXPECT_THROW(env->set_state(state_short, obs), InvalidArgument);
  EXPECT_THROW(env->state(state_short), InvalidArgument);
  EXPECT_THROW(env->info(info), InvalidArgument);
  ResetOptions options;
  options.state = state_short;
  EXPECT_THROW(env->reset(1, options, obs), InvalidArgument);
  EXPECT_TRUE(equal_bits(before, state_of(*env)));
  EXPECT_TRUE(equal_bits(seen, obs));
}

TEST_P(EnvContract, ResetOptionsAreThoseOfTheSpec) {
  const auto env = make();
  Values obs(env->spec().observation.size());
  env->reset(1, {}, obs);
  const Values before = state_of(*env);
  const auto refused = [&](const ResetOptions& options) {
    std::string message;
    try {
      env->reset(2, options, obs);
      ADD_FAILURE() << "accepted";
    } catch (const InvalidArgument& error) {
      message = error.what();
    }
    EXPECT_TRUE(equal_bits(before, state_of(*env))) << message;
    return message;
  };
  EXPECT_THAT(refused({.fixed = {{"states", {1}}}}), testing::HasSubstr("did you mean 'state'?"));
  for (const auto& [name, size] : env->spec().reset_options) {
    EXPECT_THAT(refused({.fixed = {{name + "s", Values(size)}}}),
                testing::HasSubstr("did you mean '" + name + "'?"));
    EXPECT_THAT(refused({.fixed = {{name, Values(size + 1)}}}), testing::HasSubstr(name));
    EXPECT_THAT(refused({.fixed = {{name, Values(size, kNan)}}}), testing::HasSubstr(name));
    EXPECT_THAT(refused({.fixed = {{name, Values(size)}}, .state = before}),
                testing::HasSubstr("a state alone"));
  }
}

TEST_P(EnvContract, TaskOptionsAreOptions) {
  const EnvEntry& entry = env_entry(GetParam());
  std::set<std::string> known;
  for (const FieldInfo& field : entry.options_help())
    known.insert(field.name.substr(0, field.name.find('.')));
  for (const std::string& name : entry.task_options) EXPECT_TRUE(known.contains(name)) << name;
  ASSERT_TRUE(entry.undirected.is_object());
  for (const auto& [name, value] : entry.undirected.items())
    EXPECT_EQ(std::ranges::count(entry.task_options, name), 1) << name;
  EXPECT_FALSE(is_directed({entry.id, {}}));
  EXPECT_EQ(undirected_options({entry.id, Json::object()}), entry.undirected);
  EXPECT_EQ(make_env(EnvConfig{entry.id, entry.undirected})->spec().id, entry.id);
}

TEST_P(EnvContract, ActionsOutsideTheBoxAreClipped) {
  const auto env = make();
  const EnvSpec& spec = env->spec();
  Values a(spec.observation.size()), b(a.size()), far(spec.action.size(), 1e9);
  env->reset(1, {}, a);
  const Values state = state_of(*env);
  env->step(far, a);
  env->set_state(state, b);
  env->step(spec.action.high, b);
  EXPECT_TRUE(equal_bits(a, b));
}

TEST_P(EnvContract, RendersAPictureThatFollowsTheState) {
  const auto env = make();
  Values obs(env->spec().observation.size());
  env->reset(1, {}, obs);
  const Image first = env->render(160, 120);
  EXPECT_EQ(first.width, 160);
  EXPECT_EQ(first.height, 120);
  ASSERT_EQ(first.rgb.size(), 160u * 120 * 3);
  EXPECT_EQ(env->render(160, 120).rgb, first.rgb);
  Actions actions(env->spec(), 1, 1);
  for (int t = 0; t < 60; ++t) env->step(actions.next(), obs);
  EXPECT_NE(env->render(160, 120).rgb, first.rgb);
  EXPECT_THROW(env->render(0, 120), InvalidArgument);
}

TEST_P(EnvContract, UnknownOptionsAreRefusedWithTheNearestName) {
  for (const EnvEntry& entry : env_catalog()) {
    if (entry.id != GetParam()) continue;
    const std::vector<FieldInfo> help = entry.options_help();
    ASSERT_FALSE(help.empty());
    const std::string name = help[0].name + "s";
    try {
      make_env(GetParam(), {{name, 1}});
      FAIL();
    } catch (const InvalidArgument& error) {
      EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr(GetParam()),
                                               testing::HasSubstr("did you mean '" + help[0].name)));
    }
  }
}

/// Everything a view shows, as one list.
Values flat(const StepView& view) {
  Values out(view.obs.begin(), view.obs.end());
  out.insert(out.end(), view.final_obs.begin(), view.final_obs.end());
  for (const auto values : {view.info, view.final_info}) out.insert(out.end(), values.begin(), values.end());
  out.insert(out.end(), view.reward.begin(), view.reward.end());
  out.insert(out.end(), view.task_reward.begin(), view.task_reward.end());
  for (const auto flags : {view.terminated, view.truncated, view.reset})
    out.insert(out.end(), flags.begin(), flags.end());
  return out;
}

TEST_P(EnvContract, ThreadsDoNotChangeABit) {
  for (const char* mode : {"next_step", "same_step"}) {
    std::vector<Values> reference;
    for (const int threads : {1, 2, 3, 8}) {
      const auto envs = make({.count = 13, .threads = threads, .autoreset = mode, .max_steps = 40});
      Actions actions(envs->spec(), envs->size(), 4);
      std::vector<Values> seen{flat(envs->reset(3))};
      for (int t = 0; t < 150; ++t) seen.push_back(flat(envs->step(actions.next())));
      if (threads == 1) reference = seen;
      for (std::size_t t = 0; t < seen.size(); ++t)
        ASSERT_TRUE(equal_bits(reference[t], seen[t])) << mode << ", " << threads << " threads, step " << t;
    }
  }
}

TEST_P(EnvContract, BatchEqualsOneByOne) {
  const auto envs = make({.count = 3, .threads = 2, .autoreset = "same_step", .max_steps = 0});
  std::vector<std::unique_ptr<Env>> single;
  const std::size_t obs_dim = envs->spec().observation.size(), action_dim = envs->spec().action.size();
  Values obs(obs_dim);
  envs->reset(21);
  for (std::uint64_t i = 0; i < 3; ++i) {
    single.push_back(make());
    single.back()->reset(Streams(21)[i], {}, obs);
  }
  Actions actions(envs->spec(), 3, 5);
  for (int t = 0; t < 400; ++t) {
    const Values& action = actions.next();
    const StepView& view = envs->step(action);
    for (std::size_t i = 0; i < 3; ++i) {
      const StepResult result = single[i]->step(std::span(action).subspan(i * action_dim, action_dim), obs);
      ASSERT_TRUE(equal_bits(obs, view.final_obs.subspan(i * obs_dim, obs_dim)));
      ASSERT_EQ(result.reward, view.reward[i]);
      ASSERT_EQ(result.terminated, view.terminated[i] != 0);
      if (result.terminated) single[i]->reset(std::nullopt, {}, obs);
      ASSERT_TRUE(equal_bits(obs, view.obs.subspan(i * obs_dim, obs_dim)));
    }
  }
}

TEST_P(EnvContract, PhysicsOfOneInstanceChangesThatOneAlone) {
  if (!is_group("physics", env_entry(GetParam()).options_help()))
    GTEST_SKIP() << "it has no physical parameters";
  const Json heavy = {{"physics", {{"mass_scale", 1.3}, {"damping_scale", 0.7}}}};
  const VectorConfig config{.count = 3, .threads = 2, .autoreset = "same_step", .max_steps = 30};
  const auto envs = make_vector(GetParam(), config, Json::array({Json::object(), heavy, nullptr}));
  const auto plain = make(config), all_heavy = make_vector(GetParam(), config, heavy);
  const std::size_t dim = envs->spec().observation.size();
  EXPECT_TRUE(std::isnan(all_heavy->spec().random_return) && std::isnan(all_heavy->spec().expert_return));
  EXPECT_TRUE(std::isnan(envs->spec().random_return));
  EXPECT_EQ(envs->spec().seconds_per_step, plain->spec().seconds_per_step);
  envs->reset(8);
  plain->reset(8);
  all_heavy->reset(8);
  Actions actions(envs->spec(), 3, 8);
  bool differed = false;
  for (int t = 0; t < 100; ++t) {
    const Values& action = actions.next();
    const StepView &view = envs->step(action), &light_view = plain->step(action),
                   &heavy_view = all_heavy->step(action);
    for (const std::size_t i : {0u, 1u, 2u}) {
      const StepView& expected = i == 1 ? heavy_view : light_view;
      ASSERT_TRUE(equal_bits(view.obs.subspan(i * dim, dim), expected.obs.subspan(i * dim, dim)))
          << t << " " << i;
      ASSERT_EQ(view.reward[i], expected.reward[i]);
    }
    differed = differed || !equal_bits(view.obs.subspan(dim, dim), light_view.obs.subspan(dim, dim));
    if (t == 50) {  // the state carries no physics
      const Values state = envs->state();
      plain->set_state(state);
      EXPECT_TRUE(equal_bits(state, plain->state()));
      all_heavy->set_state(state);
      envs->set_state(state);
    }
  }
  EXPECT_TRUE(differed);
}

TEST_P(EnvContract, TruncatesAtTheLimitAndNotBefore) {
  const int own_limit = env_spec(GetParam()).max_steps;
  EXPECT_EQ(make({.count = 2})->spec().max_steps, own_limit);
  for (const int limit : {own_limit, 3}) {  // a robot falls long before its own limit, but not in three steps
    const auto envs = make({.count = 2, .max_steps = limit});
    envs->reset(0);
    const Values still(envs->spec().action.size() * 2, 0.0);
    for (int t = 1; t <= limit; ++t) {
      const StepView& view = envs->step(still);
      ASSERT_EQ(view.reset[0], 0);
      if (view.terminated[0]) {
        ASSERT_GT(t, 3);
        ASSERT_EQ(view.truncated[0], 0);
        break;
      }
      ASSERT_EQ(view.truncated[0], t == limit) << t;
    }
  }
}

TEST_P(EnvContract, StateOfABatchResumesToEqualBits) {
  for (const char* mode : {"next_step", "same_step"}) {
    const VectorConfig config{.count = 4, .threads = 2, .autoreset = mode, .max_steps = 30};
    const auto envs = make(config), fresh = make(config);
    Actions actions(envs->spec(), 4, 6);
    envs->reset(9);
    for (int t = 0; t < 200; ++t) {
      if (t % 7 == 0) {
        const Values state = envs->state();
        ASSERT_TRUE(equal_bits(flat(envs->view()), flat(fresh->set_state(state))));
        ASSERT_TRUE(equal_bits(state, fresh->state()));
      }
      const Values& action = actions.next();
      ASSERT_TRUE(equal_bits(flat(envs->step(action)), flat(fresh->step(action)))) << mode << " " << t;
    }
  }
}

TEST_P(EnvContract, NoAllocationPerStep) {
  if (!counts_allocations()) GTEST_SKIP() << "this build has a malloc of its own";
  for (const char* mode : {"next_step", "same_step"}) {
    const auto envs = make({.count = 16, .threads = 2, .autoreset = mode, .max_steps = 50});
    Actions actions(envs->spec(), 16, 7);
    envs->reset(1);
    for (int t = 0; t < 60; ++t) envs->step(actions.next());
    const std::size_t before = allocation_count();
    for (int t = 0; t < 300; ++t) envs->step(actions.next());
    EXPECT_EQ(allocation_count() - before, 0u) << mode;
  }
}

std::vector<std::string> all_ids() {
  std::vector<std::string> ids;
  for (const EnvEntry& entry : env_catalog()) ids.push_back(entry.id);
  return ids;
}

INSTANTIATE_TEST_SUITE_P(Catalog, EnvContract, testing::ValuesIn(all_ids()), [](const auto& test) {
  std::string name = test.param;
  std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
  return name;
});

}  // namespace
}  // namespace diffreward
