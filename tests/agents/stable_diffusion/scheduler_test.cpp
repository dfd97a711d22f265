// Schedulers and the combination of predictions against Python's diffusers, and by themselves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "agents/stable_diffusion/safe_latent_diffusion_torch.h"
#include "agents/stable_diffusion/scheduler_torch.h"
#include "core/error.h"
#include "tests/agents/stable_diffusion/golden.h"

namespace diffreward {
namespace {

const std::vector<std::string> kKinds = {"ddim", "pndm", "dpm_solver", "euler"};

SchedulerConfig config_of(const std::string& kind, const std::string& spacing = "") {
  ComponentConfig file(golden_folder("a") / "scheduler" / "scheduler_config.json");
  SchedulerConfig config = SchedulerConfig::read(file, kind);
  if (!spacing.empty()) config.spacing = spacing;
  return config;
}

/// How far apart, relative to the larger one.
double relative(double found, double expected) {
  return std::abs(found - expected) / std::max(1e-30, std::max(std::abs(found), std::abs(expected)));
}

TEST(Scheduler, HasTheTablesOfDiffusers) {
  const Goldens golden("a");
  EXPECT_TRUE(torch::equal(alpha_bars(config_of("ddim")), golden("schedule.alphas_cumprod")));
  for (const std::string& kind : kKinds)
    for (const char* spacing : {"leading", "linspace", "trailing"})
      for (const int steps : {1, 7, 10, 30, 50}) {
        const std::string key = concat("schedule.", kind, ".", spacing, ".", steps);
        const DiffusionScheduler chain(config_of(kind, spacing), steps);
        const auto expect = [&](const std::string& name, const std::vector<double>& found) {
          const torch::Tensor expected = golden(key + name);
          ASSERT_EQ(found.size(), static_cast<std::size_t>(expected.numel())) << key << name;
          for (std::size_t i = 0; i < found.size(); ++i)
            // one unit in the last place of float: square roots of vectors differ by that between processors
            EXPECT_LE(relative(found[i], expected.data_ptr<double>()[i]), 1.5e-7) << key << name << " " << i;
        };
        expect(".timesteps", chain.timesteps());
        if (!chain.sigmas().empty()) expect(".sigmas", chain.sigmas());
        expect(".init_noise_sigma", {chain.init_noise_sigma()});
      }
}

TEST(Scheduler, MinSnrWeighsLittleNoiseLess) {
  const torch::Tensor kept = torch::tensor({0.9, 0.8, 0.5, 0.1}, torch::kDouble);  // SNR 9, 4, 1, 1/9
  EXPECT_TRUE(torch::equal(min_snr_weights(kept, 0), torch::ones({4}, torch::kDouble)));
  EXPECT_TRUE(
      torch::allclose(min_snr_weights(kept, 4.5), torch::tensor({0.5, 1.0, 1.0, 1.0}, torch::kDouble)));
  EXPECT_TRUE(
      torch::allclose(min_snr_weights(kept, 1), torch::tensor({1.0 / 9, 0.25, 1.0, 1.0}, torch::kDouble)));
}

TEST(Scheduler, OfTheFolderIsMadeAnotherAsByFromConfig) {
  EXPECT_EQ(config_of("").kind, "pndm");
  EXPECT_EQ(config_of("ddim").spacing, "leading");
  EXPECT_EQ(config_of("dpm_solver").spacing, "linspace");  // its default: the folder's names none
  EXPECT_FALSE(config_of("ddim").set_alpha_to_one);        // the folder's
}

/// For the exact eps of one given x_0 and noise, every scheduler must arrive at x_0.
TEST(Scheduler, ArrivesWhereTheNoiseIsKnown) {
  const torch::Tensor x0 = torch::linspace(-2, 2, 9, torch::kDouble),
                      noise = torch::linspace(1, -1, 9, torch::kDouble);
  for (const std::string& kind : kKinds) {
    DiffusionScheduler chain(config_of(kind), 20);
    const auto t = static_cast<std::int64_t>(chain.timesteps()[0]);
    const double bar = alpha_bars(config_of(kind))[t].item<double>();
    torch::Tensor x = std::sqrt(bar) * x0 + std::sqrt(1 - bar) * noise;
    if (kind == "euler") x = x / std::sqrt(bar);
    while (!chain.done()) x = chain.step(noise, x);
    // ddim and pndm end at the noise level of timestep 0, as set_alpha_to_one is false
    const double rest = kind == "ddim" || kind == "pndm" ? alpha_bars(config_of(kind))[0].item<double>() : 1;
    const torch::Tensor expected = std::sqrt(rest) * x0 + std::sqrt(1 - rest) * noise;
    EXPECT_LE((x - expected).abs().max().item<double>(), 1e-5) << kind;
    EXPECT_THROW(chain.step(noise, x), InvalidArgument);
  }
}

TEST(Scheduler, CopiesGoOnByThemselves) {
  for (const std::string& kind : kKinds) {
    DiffusionScheduler one(config_of(kind), 12);
    torch::manual_seed(0);
    torch::Tensor x = torch::randn({2, 4, 3, 3});
    for (int i = 0; i < 5; ++i) x = one.step(torch::sin(x), x);
    DiffusionScheduler other = one;
    torch::Tensor y = x;
    for (int i = 0; i < 4; ++i) y = other.step(torch::cos(y), y);  // would spoil a state that is shared
    DiffusionScheduler alone(config_of(kind), 12);
    torch::manual_seed(0);
    torch::Tensor z = torch::randn({2, 4, 3, 3});
    while (!alone.done()) z = alone.step(torch::sin(z), z);
    while (!one.done()) x = one.step(torch::sin(x), x);
    EXPECT_TRUE(torch::equal(x, z)) << kind;
    EXPECT_EQ(other.index(), 9);
  }
}

TEST(Scheduler, RefusesStepsItHasNoTimestepsFor) {
  EXPECT_THROW(DiffusionScheduler(config_of("ddim"), 0), InvalidArgument);
  EXPECT_THROW(DiffusionScheduler(config_of("ddim"), 1001), InvalidArgument);
  EXPECT_THROW(DiffusionScheduler(config_of("ddim"), 1000), InvalidArgument);  // 1000 itself, by the offset
  EXPECT_NO_THROW(DiffusionScheduler(config_of("ddim", "linspace"), 1000));
  for (const char* spacing : {"leading", "linspace"})
    EXPECT_THROW(DiffusionScheduler(config_of("dpm_solver", spacing), 1000), InvalidArgument);
}

TEST(Safety, HasThePresetsOfTheAuthors) {
  const auto numbers = [](const std::string& preset) {
    SafetyConfig config;
    config.preset = preset;
    const SafetyConfig full = config.resolved();
    return std::vector<double>{double(full.warmup_steps), full.scale, full.threshold, full.momentum_scale,
                               full.momentum_beta};
  };
  using ::testing::ElementsAre;
  EXPECT_THAT(numbers("weak"), ElementsAre(15, 20, 0, 0, 0));
  EXPECT_THAT(numbers("weak-paper"), ElementsAre(15, 200, 0, 0, 0));
  EXPECT_THAT(numbers("medium"), ElementsAre(10, 1000, 0.01, 0.3, 0.4));
  EXPECT_THAT(numbers("strong"), ElementsAre(7, 2000, 0.025, 0.5, 0.7));
  EXPECT_THAT(numbers("max"), ElementsAre(0, 5000, 1, 0.5, 0.7));
  EXPECT_THROW(numbers("mild"), InvalidArgument);
}

/// What goes wrong in a wrong implementation; none of it may go unnoticed.
enum class Mutant {
  kNone,
  kGreater,
  kNoMomentum,
  kWarmupLater,
  kWarmupEarlier,
  kMomentumAfterwards,
  kNoClip,
  kTwoSided
};

/// The chain of synthetic predictions: by sld_combine(), or written out again with a fault.
double error_of(Mutant mutant, const Goldens& golden) {
  SafetyConfig safety;
  safety.preset = "custom";
  safety.warmup_steps = 2;
  safety.scale = 0.5;
  safety.threshold = 0.5;
  safety.momentum_scale = 0.5;
  safety.momentum_beta = 0.7;
  torch::Tensor nu;
  double error = 0;
  for (int i = 0; i < 4; ++i) {
    const torch::Tensor predictions = golden(concat("sld.predictions.", i));
    const torch::Tensor nothing = predictions.narrow(0, 0, 1), prompt = predictions.narrow(0, 1, 1),
                        unsafe = predictions.narrow(0, 2, 1);
    torch::Tensor eps, momentum;
    if (mutant == Mutant::kNone) {
      const SldStep step = sld_combine(nothing, prompt, unsafe, nu, i, 7.5, safety);
      eps = step.eps_safe;
      momentum = step.nu;
      const auto share = [](const torch::Tensor& which) {
        return which.to(torch::kDouble).mean().item<double>();
      };
      for (const double part :
           {share(step.phi == 1), share(step.mu == 0), share((step.mu > 0) & (step.mu < 1))}) {
        EXPECT_GT(part, i == 0 ? 0.2 : 0.15);
        EXPECT_LT(part, 0.8);
      }
      EXPECT_TRUE(torch::equal(step.eps_base, nothing + 7.5 * (prompt - nothing)));
    } else {
      const torch::Tensor apart = prompt - unsafe;
      torch::Tensor phi = apart.abs() * 0.5;
      if (mutant != Mutant::kNoClip) phi = phi.clamp_max(1);
      const torch::Tensor measured = mutant == Mutant::kTwoSided ? apart.abs() : apart;
      const torch::Tensor masked = mutant == Mutant::kGreater ? measured > 0.5 : measured >= 0.5;
      const torch::Tensor own = (unsafe - nothing) * torch::where(masked, torch::zeros_like(phi), phi);
      const torch::Tensor before = nu.defined() ? nu : torch::zeros_like(own);
      const torch::Tensor gamma = mutant == Mutant::kNoMomentum ? own : own + 0.5 * before;
      momentum = 0.7 * before + 0.3 * (mutant == Mutant::kMomentumAfterwards ? own : gamma);
      const int warmup = mutant == Mutant::kWarmupLater ? 3 : mutant == Mutant::kWarmupEarlier ? 1 : 2;
      eps = nothing + 7.5 * (prompt - nothing - (i >= warmup ? gamma : torch::zeros_like(gamma)));
    }
    nu = momentum;
    error = std::max(error, (eps - golden(concat("sld.eps.", i))).abs().max().item<double>());
    error = std::max(error, (nu - golden(concat("sld.nu.", i))).abs().max().item<double>());
  }
  return error;
}

TEST(Safety, CombinesAsDiffusersDoesAndEveryFaultShows) {
  const Goldens golden("a");
  EXPECT_LE(error_of(Mutant::kNone, golden), 1e-5);
  for (const Mutant mutant :
       {Mutant::kGreater, Mutant::kNoMomentum, Mutant::kWarmupLater, Mutant::kWarmupEarlier,
        Mutant::kMomentumAfterwards, Mutant::kNoClip, Mutant::kTwoSided})
    EXPECT_GT(error_of(mutant, golden), 0.05) << int(mutant);
}

/// With all elements clipped and none masked the difference of the scores is guidance_scale times that of a classifier.
TEST(Safety, MaxWithoutMomentumIsAClassifiersGradient) {
  SafetyConfig safety;
  safety.preset = "max";
  safety = safety.resolved();
  torch::manual_seed(1);
  const torch::Tensor nothing = torch::randn({1, 4, 8, 8}) * 0.1,
                      prompt = nothing + torch::rand({1, 4, 8, 8}) * 0.1 + 0.01,
                      unsafe = nothing - torch::rand({1, 4, 8, 8}) * 0.1;
  const SldStep step = sld_combine(nothing, prompt, unsafe, {}, 0, 7.5, safety);
  EXPECT_LE((step.eps_safe - step.eps_base + 7.5 * (unsafe - nothing)).abs().max().item<double>(), 1e-5);
}

}  // namespace
}  // namespace diffreward
