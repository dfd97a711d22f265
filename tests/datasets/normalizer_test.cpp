#include "datasets/normalizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/rng.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

using ::testing::HasSubstr;

const std::vector<float> kRows = {0, 10, 5, 2, 30, 5, 4, 20, 5};  // [3, 3], the last column is constant

TEST(Normalizer, LimitsMapTheRangeToOne) {
  const Normalizer n = Normalizer::fit("limits", kRows, 3);
  std::vector<float> out(9);
  n.normalize(kRows, out);
  EXPECT_EQ(out, (std::vector<float>{-1, -1, 0, 0, 1, 0, 1, 0, 0}));
}

TEST(Normalizer, GaussianGivesMeanZeroAndDeviationOne) {
  Rng rng(1);
  std::vector<float> rows(2 * 10'000);
  for (std::size_t i = 0; i < rows.size(); ++i)
    rows[i] = static_cast<float>(i % 2 ? 1000 + 0.01 * rng.normal() : -3 + 2 * rng.normal());
  const Normalizer n = Normalizer::fit("gaussian", rows, 2);
  std::vector<float> out(rows.size());
  n.normalize(rows, out);
  for (const std::size_t column : {0u, 1u}) {
    double sum = 0, squares = 0;
    for (std::size_t i = column; i < out.size(); i += 2) {
      sum += out[i];
      squares += double(out[i]) * out[i];
    }
    EXPECT_NEAR(sum / 10'000, 0, 1e-4) << column;
    EXPECT_NEAR(squares / 10'000, 1, 1e-4) << column;
  }
}

TEST(Normalizer, ComesBack) {
  for (const char* kind : {"limits", "gaussian"}) {
    const Normalizer n = Normalizer::fit(kind, kRows, 3);
    std::vector<float> values = kRows;
    n.normalize(values, values);  // in place
    n.unnormalize(values, values);
    for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], kRows[i], 1e-5) << kind;
    EXPECT_EQ(Normalizer::from_json(Json::parse(n.json().dump())), n);
  }
}

TEST(Normalizer, NamesRowAndColumnOfWhatIsNoNumber) {
  for (const float bad : {NAN, INFINITY}) {
    std::vector<float> rows = kRows;
    rows[2 * 3 + 1] = bad;
    EXPECT_THAT(message_of<Error>([&] { Normalizer::fit("limits", rows, 3); }), HasSubstr("row 2, column 1"));
  }
}

TEST(Normalizer, RefusesWrongUse) {
  EXPECT_THAT(message_of<InvalidArgument>([] { Normalizer::fit("limit", kRows, 3); }),
              HasSubstr("did you mean 'limits'?"));
  EXPECT_THROW(Normalizer::fit("limits", kRows, 2), InvalidArgument);
  EXPECT_THROW(Normalizer::fit("limits", {}, 2), InvalidArgument);
  EXPECT_THROW(Normalizer("limits", {0}, {0}), InvalidArgument);
  EXPECT_THROW(Normalizer("limits", {0}, {1, 1}), InvalidArgument);
  EXPECT_THROW(Normalizer("limits", {NAN}, {1}), InvalidArgument);
  const Normalizer n = Normalizer::fit("limits", kRows, 3);
  std::vector<float> out(6);
  EXPECT_THROW(n.normalize(kRows, out), InvalidArgument);
  for (const char* text :
       {"{}", "[]", R"({"kind": "limits", "offset": ["a"], "scale": [1]})",
        R"({"kind": "limits", "offset": [0], "scale": [-1]})", R"({"kind": 1, "offset": [], "scale": []})"})
    EXPECT_THROW(Normalizer::from_json(Json::parse(text)), InvalidArgument) << text;
}

}  // namespace
}  // namespace diffreward
