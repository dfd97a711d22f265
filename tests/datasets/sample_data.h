// Small data sets for tests, and what it means that two are equal.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "datasets/dataset.h"

namespace diffreward {

inline Provenance sample_provenance() {
  return {.env = "Maze2D-UMaze-v0",
          .behaviour = "a test's \"hand\"",
          .generator = "diffreward test",
          .seed = 0xfedcba9876543210,
          .env_options = {{"reward", "dense"}},
          .extra = {{"controller", {{"gain", 3}}}}};
}

/// Three episodes of 5, 1 and 4 rows: cut, terminated, cut. Every number is different and exact in a float.
inline Dataset::Columns sample_columns() {
  Dataset::Columns c;
  c.observation_dim = 4;
  c.action_dim = 2;
  const std::size_t ends[] = {5, 6, 10};
  std::size_t episode = 0;
  for (std::size_t i = 0; i < 10; ++i) {
    const bool last = i + 1 == ends[episode];
    const float base = float(i + episode);  // one state more than rows in each episode
    for (int k = 0; k < 4; ++k) c.observations.push_back(base + 0.125f * float(k));
    for (int k = 0; k < 4; ++k) c.next_observations.push_back(base + 1 + 0.125f * float(k));
    for (int k = 0; k < 2; ++k) c.actions.push_back(0.0625f * float(i) - 0.5f * float(k));
    c.rewards.push_back(1 / float(i + 1));
    c.terminals.push_back(last && episode == 1);
    c.timeouts.push_back(last && episode != 1);
    episode += last;
  }
  Dataset::Columns::Info goal{"goal", 2, {}}, switched{"goal_switched", 1, {}};
  for (int i = 0; i < 10; ++i) {
    goal.values.insert(goal.values.end(), {float(i), -float(i)});
    switched.values.push_back(float(i % 3 == 0));
  }
  c.infos = {goal, switched};
  return c;
}

template <class T>
void expect_equal_column(const std::string& name, std::span<const T> a, std::span<const T> b) {
  ASSERT_EQ(a.size(), b.size()) << name;
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_EQ(a[i], b[i]) << name << " at " << i;
}

/// Equal columns, episodes and provenance.
inline void expect_equal(const Dataset& a, const Dataset& b) {
  ASSERT_EQ(a.size(), b.size());
  ASSERT_EQ(a.observation_dim(), b.observation_dim());
  ASSERT_EQ(a.action_dim(), b.action_dim());
  expect_equal_column("observations", a.observations(), b.observations());
  expect_equal_column("next_observations", a.next_observations(), b.next_observations());
  expect_equal_column("actions", a.actions(), b.actions());
  expect_equal_column("rewards", a.rewards(), b.rewards());
  expect_equal_column("terminals", a.terminals(), b.terminals());
  expect_equal_column("timeouts", a.timeouts(), b.timeouts());
  ASSERT_EQ(a.info_names(), b.info_names());
  for (const std::string& name : a.info_names()) {
    ASSERT_EQ(a.info_dim(name), b.info_dim(name)) << name;
    expect_equal_column("infos/" + name, a.info(name), b.info(name));
  }
  ASSERT_EQ(a.episodes().size(), b.episodes().size());
  for (std::size_t e = 0; e < a.episodes().size(); ++e) {
    EXPECT_EQ(a.episodes()[e].begin, b.episodes()[e].begin);
    EXPECT_EQ(a.episodes()[e].end, b.episodes()[e].end);
    EXPECT_EQ(a.episodes()[e].terminated, b.episodes()[e].terminated);
  }
  EXPECT_EQ(a.provenance().env, b.provenance().env);
  EXPECT_EQ(a.provenance().behaviour, b.provenance().behaviour);
  EXPECT_EQ(a.provenance().generator, b.provenance().generator);
  EXPECT_EQ(a.provenance().seed, b.provenance().seed);
  EXPECT_EQ(a.provenance().env_options, b.provenance().env_options);
  EXPECT_EQ(a.provenance().extra, b.provenance().extra);
}

}  // namespace diffreward
