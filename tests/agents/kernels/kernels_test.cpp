// The kernels of every instruction set that this processor has against loops that are written as the formulas
// are.
#include "agents/kernels/kernels.h"

#include <gtest/gtest.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "agents/kernels/enabled.h"
#include "core/rng.h"

namespace diffreward::kernels {
namespace {

template <class T>
std::vector<T> normals(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<T> out(n);
  for (T& x : out) x = T(rng.normal());
  return out;
}

/// Numbers in memory that ends with them, so that AddressSanitizer sees what is read or written beyond.
template <class T>
void expect_near(const std::vector<T>& found, const std::vector<T>& expected, double tolerance,
                 const std::string& what) {
  ASSERT_EQ(found.size(), expected.size()) << what;
  for (std::size_t i = 0; i < found.size(); ++i)
    ASSERT_NEAR(double(found[i]), double(expected[i]),
                tolerance * std::max(1.0, std::abs(double(expected[i]))))
        << what << ", number " << i;
}

/// Calls body() once with each instruction set in use.
template <class Body>
void with_every_target(const Body& body) {
  const std::vector<std::int64_t> targets = hwy::SupportedAndGeneratedTargets();
  ASSERT_FALSE(targets.empty());
  for (const std::int64_t target : targets) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    EXPECT_EQ(instruction_set(), hwy::TargetName(target));
    SCOPED_TRACE(instruction_set());
    ::testing::Test::RecordProperty(instruction_set(), "tested");
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

std::vector<ConvShape> shapes() {
  return {{3, 5, 5, 1, 2, 4, 4},   {16, 16, 5, 1, 2, 1, 1},      {7, 33, 1, 1, 0, 3, 3},
          {8, 24, 3, 2, 1, 6, 3},  {17, 9, 4, 2, 1, 3, 6, true}, {40, 16, 5, 2, 2, 8, 4},
          {64, 32, 5, 1, 2, 9, 9}, {300, 17, 5, 1, 2, 2, 2}};
}

template <class T>
void convolutions(double tolerance) {
  const Kernels<T>& k = kernels<T>();
  for (const ConvShape& base : shapes())
    for (const bool adjoint : {false, true})
      for (const int n : {1, 2, 3, 4, 13}) {
        const ConvShape s = adjoint ? base.adjoint() : base;
        const std::string what = "in " + std::to_string(s.in) + " out " + std::to_string(s.out) + " taps " +
                                 std::to_string(s.taps) + " stride " + std::to_string(s.stride) + " n " +
                                 std::to_string(n) + (s.transposed ? " transposed" : "");
        const auto in = std::size_t(s.in), out = std::size_t(s.out), taps = std::size_t(s.taps),
                   N = std::size_t(n);
        const auto x = normals<T>(std::size_t(s.rows_in) * N * in, 1), w = normals<T>(out * in * taps, 2),
                   bias = normals<T>(out, 3), dy = normals<T>(std::size_t(s.rows_out) * N * out, 4);
        // In three orders of storage: [out][in][taps], [in][out][taps], [taps][in][out].
        for (const WeightStrides strides :
             {WeightStrides{s.in * s.taps, s.taps, 1}, WeightStrides{s.taps, s.out * s.taps, 1},
              WeightStrides{1, s.out, s.in * s.out}}) {
          std::vector<T> y(dy.size(), T(0)), dw(w.size(), T(0));
          for (int row = 0; row < s.rows_out; ++row)
            for (int tap = 0; tap < s.taps; ++tap) {
              const int source = s.source(row, tap);
              if (source < 0) continue;
              for (int i = 0; i < n; ++i)
                for (int o = 0; o < s.out; ++o) {
                  const std::size_t to = (std::size_t(row * n + i)) * out + std::size_t(o);
                  for (int c = 0; c < s.in; ++c) {
                    const std::size_t from = std::size_t(source * n + i) * in + std::size_t(c);
                    y[to] += x[from] * w[std::size_t(o * strides.out + c * strides.in + tap * strides.tap)];
                    dw[(std::size_t(tap) * in + std::size_t(c)) * out + std::size_t(o)] += x[from] * dy[to];
                  }
                }
            }
          std::vector<T> packed(k.packed_size(s.in, s.out, s.taps)), found(y.size(), T(7));
          k.pack(w.data(), strides, s.in, s.out, s.taps, packed.data());
          k.conv(s, n, x.data(), s.in, packed.data(), nullptr, false, found.data(), s.out);
          expect_near(found, y, tolerance, what);
          found = dy;
          k.conv(s, n, x.data(), s.in, packed.data(), bias.data(), true, found.data(), s.out);
          for (std::size_t j = 0; j < y.size(); ++j) y[j] += dy[j] + bias[j % out];
          expect_near(found, y, tolerance, what + ", on top");
          std::vector<T> gradient(w.size(), T(0));
          k.conv_weight_gradient(s, n, x.data(), s.in, dy.data(), s.out, false, gradient.data());
          expect_near(gradient, dw, tolerance, what + ", gradient of the weight");
        }
      }
}

TEST(Kernels, ConvolutionsAreTheirDefinition) {
  with_every_target([] {
    convolutions<float>(2e-4);
    convolutions<double>(1e-11);
  });
}

double mish(double x) {
  return x * std::tanh(std::log1p(std::exp(x)));
}
double silu(double x) {
  return x / (1 + std::exp(-x));
}

/// Five-point difference quotient.
double slope(double (*f)(double), double x) {
  constexpr double h = 1e-3;
  return (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h);
}

TEST(Kernels, ActivationsAndTheirSlopes) {
  with_every_target([] {
    std::vector<double> x;
    for (double v = -30; v < 30; v += 0.173) x.push_back(v);
    const std::vector<double> one(x.size(), 1), two(x.size(), 2);
    std::vector<double> y(x.size()), dy(x.size()), expected, expected_slope;
    const auto& k = kernels<double>();
    for (const double v : x) expected.push_back(mish(v)), expected_slope.push_back(slope(mish, v));
    k.mish(x.size(), x.data(), y.data());
    k.mish_gradient(x.size(), x.data(), one.data(), dy.data());
    expect_near(y, expected, 1e-13, "mish");
    expect_near(dy, expected_slope, 1e-9, "mish'");
    expected.clear(), expected_slope.clear();
    for (const double v : x) expected.push_back(silu(v)), expected_slope.push_back(slope(silu, v));
    k.silu(x.size(), x.data(), y.data(), dy.data());
    expect_near(y, expected, 1e-13, "silu");
    expect_near(dy, expected_slope, 1e-9, "silu'");
    const std::vector<double> slopes = dy;
    k.silu_tangent_gradient(1, int(x.size()), x.data(), two.data(), one.data(), 0, slopes.data(), y.data(),
                            dy.data());
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(dy[i], 2 * slopes[i]);
    for (std::size_t i = 0; i < x.size(); ++i)
      expected[i] = 2 * (slope(silu, x[i] + 1e-3) - slope(silu, x[i] - 1e-3)) / 2e-3;
    expect_near(y, expected, 1e-5, "silu''");
  });
}

TEST(Kernels, TanhAndItsSlope) {
  with_every_target([] {
    const std::vector<double> x = {-300, -20, -3, -0.7, -1e-3, 0, 1e-3, 0.2, 1, 5, 19, 20, 400},
                              ones(x.size(), 1.0);
    std::vector<double> y(x.size()), dx(x.size()), expected, slopes;
    for (const double v : x)
      expected.push_back(std::tanh(v)), slopes.push_back(1 - std::tanh(v) * std::tanh(v));
    kernels<double>().tanh(x.size(), x.data(), y.data());
    kernels<double>().tanh_gradient(x.size(), y.data(), ones.data(), dx.data());
    expect_near(y, expected, 1e-14, "tanh");
    expect_near(dx, slopes, 1e-13, "tanh'");
    std::vector<float> in = {std::nanf(""), 100, -1e30f, 0.25f, -0.5f}, out(in.size());
    kernels<float>().tanh(in.size(), in.data(), out.data());
    EXPECT_TRUE(std::isnan(out[0]));
    for (std::size_t i = 1; i < in.size(); ++i) EXPECT_NEAR(out[i], std::tanh(in[i]), 2e-7);
  });
}

TEST(Kernels, LargeAndStrangeNumbersPassThrough) {
  with_every_target([] {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> x = {nan, 100, -200, 1e30f, -1e30f, 0, nan, 3, 90, -90, nan};
    std::vector<float> y(x.size());
    kernels<float>().mish(x.size(), x.data(), y.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i]))
        EXPECT_TRUE(std::isnan(y[i]));
      else
        EXPECT_NEAR(y[i], x[i] > 20 ? x[i] : mish(std::max(x[i], -700.0f)),
                    1e-6 * std::max(1.0f, std::abs(x[i])));
    }
  });
}

/// Group normalisation with SiLU, its tangent and what becomes of a scalar of both, by the kernels in double.
struct NormSilu {
  static constexpr int kRows = 3, kSequences = 2, kChannels = 16, kGroups = 4;
  static constexpr std::size_t kSize = kRows * kSequences * kChannels, kStats = kSequences * kGroups;
  std::vector<double> u = normals<double>(kSize, 1), gain = normals<double>(kChannels, 2),
                      bias = normals<double>(kChannels, 3), du = normals<double>(kSize, 4);
  std::vector<double> y, dy, mean, rstd, du_mean, du_slope;

  void run(bool tangent) {
    y.resize(kSize), dy.resize(kSize);
    for (auto* stats : {&mean, &rstd, &du_mean, &du_slope}) stats->resize(kStats);
    const auto& k = kernels<double>();
    k.norm_act(Activation::kSilu, kRows, kSequences, kChannels, kGroups, u.data(), gain.data(), bias.data(),
               nullptr, 0, nullptr, y.data(), mean.data(), rstd.data());
    if (tangent)
      k.norm_silu_tangent(kRows, kSequences, kChannels, kGroups, u.data(), gain.data(), bias.data(),
                          mean.data(), rstd.data(), du.data(), nullptr, dy.data(), du_mean.data(),
                          du_slope.data());
  }
};

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

TEST(Kernels, TheTangentOfANormIsItsDifferenceQuotient) {
  with_every_target([] {
    NormSilu here;
    here.run(true);
    constexpr double h = 1e-5;
    std::vector<double> expected(NormSilu::kSize);
    NormSilu up = here, down = here;
    for (std::size_t i = 0; i < NormSilu::kSize; ++i) up.u[i] += h * here.du[i], down.u[i] -= h * here.du[i];
    up.run(false), down.run(false);
    for (std::size_t i = 0; i < NormSilu::kSize; ++i) expected[i] = (up.y[i] - down.y[i]) / (2 * h);
    expect_near(here.dy, expected, 1e-8, "dy");
  });
}

TEST(Kernels, TheGradientOfANormAndItsTangentIsTheirDifferenceQuotient) {
  with_every_target([] {
    const auto y_adjoint = normals<double>(NormSilu::kSize, 5),
               dy_adjoint = normals<double>(NormSilu::kSize, 6);
    NormSilu here;
    here.run(true);
    constexpr int kChannels = NormSilu::kChannels;
    std::vector<double> u_adjoint(NormSilu::kSize), dgain(kChannels, 0), dbias(kChannels, 0),
        dshift(NormSilu::kSequences * std::size_t(kChannels));
    kernels<double>().norm_silu_tangent_gradient(
        NormSilu::kRows, NormSilu::kSequences, kChannels, NormSilu::kGroups, here.u.data(), here.gain.data(),
        here.bias.data(), here.mean.data(), here.rstd.data(), here.du.data(), here.du_mean.data(),
        here.du_slope.data(), y_adjoint.data(), dy_adjoint.data(), u_adjoint.data(), dgain.data(),
        dbias.data(), dshift.data());
    const auto quotients = [&](std::vector<double> NormSilu::*of) {
      std::vector<double> out;
      for (std::size_t i = 0; i < (here.*of).size(); ++i) {
        const auto scalar = [&](double h) {
          NormSilu moved = here;
          (moved.*of)[i] += h;
          moved.run(true);
          return dot(moved.y, y_adjoint) + dot(moved.dy, dy_adjoint);
        };
        constexpr double h = 1e-5;
        out.push_back((scalar(h) - scalar(-h)) / (2 * h));
      }
      return out;
    };
    expect_near(u_adjoint, quotients(&NormSilu::u), 1e-7, "u");
    expect_near(dgain, quotients(&NormSilu::gain), 1e-7, "gain");
    expect_near(dbias, quotients(&NormSilu::bias), 1e-7, "bias");
    for (int i = 0; i < NormSilu::kSequences; ++i)
      for (int c = 0; c < kChannels; ++c) {
        double sum = 0;
        for (int s = 0; s < NormSilu::kRows; ++s)
          sum += y_adjoint[std::size_t((s * NormSilu::kSequences + i) * kChannels + c)];
        EXPECT_NEAR(dshift[std::size_t(i * kChannels + c)], sum, 1e-12);
      }
  });
}

TEST(Kernels, AreLeftAloneWithoutVectors) {
  std::ostringstream log;
  for (const char* good : {"SSE2", "SSE4", "AVX2", "AVX3", "NEON", "SVE"})
    EXPECT_TRUE(kernels_fit(good, log));
  EXPECT_EQ(log.str(), "");
  EXPECT_FALSE(kernels_fit("EMU128", log));
  const std::string line = log.str();
  EXPECT_NE(line.find("EMU128"), std::string::npos);
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
}

TEST(Kernels, AdamIsItsFormula) {
  with_every_target([] {
    const std::size_t n = 21;
    auto w = normals<double>(n, 1), g = normals<double>(n, 2), m = normals<double>(n, 3),
         v = normals<double>(n, 4), average = normals<double>(n, 5);
    for (double& x : v) x *= x;
    const AdamStep step{1e-2, 0.9, 0.99, 1e-8, 0.1, 0.3, 0.05, 0.5, 0.25};
    auto w2 = w, m2 = m, v2 = v, average2 = average;
    for (std::size_t i = 0; i < n; ++i) {
      const double gradient = 0.5 * g[i];
      m2[i] = 0.9 * m[i] + 0.1 * gradient;
      v2[i] = 0.99 * v[i] + 0.01 * gradient * gradient;
      w2[i] = w[i] * (1 - 1e-2 * 0.1) - 1e-2 * (m2[i] / 0.3) / (std::sqrt(v2[i] / 0.05) + 1e-8);
      average2[i] = 0.75 * average[i] + 0.25 * w2[i];
    }
    kernels<double>().adam(n, step, w.data(), g.data(), m.data(), v.data(), average.data());
    expect_near(w, w2, 1e-13, "weight");
    expect_near(m, m2, 1e-13, "m");
    expect_near(v, v2, 1e-13, "v");
    expect_near(average, average2, 1e-13, "average");
    EXPECT_EQ(g, std::vector<double>(n, 0.0));
  });
}

TEST(Kernels, AdamsMomentsOfDeadUnitsEndAtZero) {  // not among numbers that take a hundred times as long
  with_every_target([] {
    const std::size_t n = 21;
    std::vector<float> w(n, 1.0f), g(n, 0.0f), m(n, 1e-3f), v(n, 1e-6f);
    const AdamStep step{1e-3, 0.9, 0.5, 1e-8, 0, 1, 1, 1, 1};
    for (int k = 0; k < 2000; ++k)
      kernels<float>().adam(n, step, w.data(), g.data(), m.data(), v.data(), nullptr);
    EXPECT_EQ(m, std::vector<float>(n, 0.0f));
    EXPECT_EQ(v, std::vector<float>(n, 0.0f));
    EXPECT_TRUE(std::ranges::all_of(w, [](float x) { return std::isfinite(x); }));
    std::fill(m.begin(), m.end(), std::nanf(""));
    kernels<float>().adam(n, step, w.data(), g.data(), m.data(), v.data(), nullptr);
    EXPECT_TRUE(std::isnan(w[0]) && std::isnan(w[n - 1])) << "what is no number stays one that is seen";
  });
}

}  // namespace
}  // namespace diffreward::kernels
