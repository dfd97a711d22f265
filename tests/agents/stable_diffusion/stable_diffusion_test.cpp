// Every part of the pipeline against what Python's diffusers computed, from the first layer to the image.
#include "agents/stable_diffusion/stable_diffusion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "agents/diffusion/sampler.h"
#include "agents/guide.h"
#include "agents/stable_diffusion/prompted_denoiser.h"
#include "agents/stable_diffusion/safe_latent_diffusion_torch.h"
#include "core/error.h"
#include "tests/agents/stable_diffusion/golden.h"

namespace diffreward {
namespace {

/// A pipeline, its goldens and its embedded texts.
struct Case {
  explicit Case(const std::string& name, const std::string& type = "float32")
      : golden(name), model(StableDiffusion::load(golden_folder(name), "cpu", type)) {}
  torch::Tensor text(const std::string& name) const { return model.embed_ids(golden("ids." + name)); }

  Goldens golden;
  StableDiffusion model;
  torch::Tensor nothing = text("nothing"), prompt = text("prompt"), unsafe = text("concept");
};

/// Text encoder, U-Net and autoencoder; the goldens' names begin with `prefix`.
void compare_modules(const Case& with, const std::string& prefix, double tolerance, double vae_tolerance) {
  const Goldens& golden = with.golden;
  const StableDiffusion::Impl& inside = with.model.impl();
  const torch::NoGradGuard no_grad;
  Errors errors;
  std::vector<std::string> missing;
  const Watch watch = [&](const std::string& name, const torch::Tensor& output) {
    if (!golden.has(prefix + name)) return missing.push_back(name);
    errors.expect_near(name.substr(0, name.find('.')), prefix + name, output, golden(prefix + name),
                       tolerance);
  };
  if (prefix != "odd.") {
    inside.text.forward(golden("ids.concept"), watch);
    for (const char* name : {"nothing", "prompt", "second", "concept"})
      errors.expect_near("text", name, with.text(name), golden(prefix + "text.last_hidden_state." + name),
                         tolerance);
  }
  const torch::Tensor latents = golden(prefix == "odd." ? "odd.latents" : "latents").to(inside.type);
  const std::int64_t n = latents.size(0);
  const torch::Tensor texts = torch::cat(
      {with.nothing.expand({n, -1, -1}), with.prompt.expand({n, -1, -1}), with.unsafe.expand({n, -1, -1})});
  errors.expect_near("time", "time_embedding", inside.unet.time_embedding(golden(prefix + "unet.times")),
                     golden(prefix + "unet.time_embeddings"), tolerance);
  errors.expect_near(
      "unet", "eps",
      inside.unet.forward(latents.repeat({3, 1, 1, 1}), torch::full({1}, 481.0f), texts, watch),
      golden(prefix + "unet.eps"), tolerance);
  EXPECT_TRUE(missing.empty() || prefix == "double." || prefix == "short.") << missing[0];
  if (golden.has(prefix + "vae.image")) {
    const torch::Tensor moments = inside.vae.encode(golden(prefix + "vae.image"));
    errors.expect_near("vae encode", "mean", moments[0], golden(prefix + "vae.mean"), vae_tolerance);
    errors.expect_near("vae encode", "logvar", moments[1], golden(prefix + "vae.logvar"), vae_tolerance);
    const torch::Tensor image = (golden(prefix + "vae.image") + 1) / 2;
    errors.expect_near("vae encode", "encode", with.model.encode(image),
                       golden(prefix + "vae.mean") * inside.vae.config().scaling_factor, vae_tolerance);
  }
  errors.expect_near("vae decode", "decoded", inside.vae.decode(latents / inside.vae.config().scaling_factor),
                     golden(prefix + "vae.decoded"), vae_tolerance);
  const torch::Tensor bytes = StableDiffusion::bytes(with.model.decode(latents)).to(torch::kInt),
                      expected = golden(prefix + "vae.bytes").to(torch::kInt);
  ASSERT_EQ(bytes.sizes(), expected.sizes());
  EXPECT_LE((bytes - expected).abs().max().item<int>(), 1);
  EXPECT_LT((bytes != expected).to(torch::kDouble).mean().item<double>(), 1e-3);
  for (const auto& [group, error] : errors.largest())
    std::cout << "  " << prefix << group << " " << error << "\n";
}

/// A chain: latents after 1, 2, 3, 10 and all steps and, where the goldens have them, what a step is made of.
void compare_chain(const Case& with, const std::string& prefix, const std::string& scheduler,
                   const std::string& preset, int steps, double tolerance) {
  const std::string key = prefix + scheduler + "." + preset;
  ImageSampleConfig config;
  config.scheduler = scheduler;
  config.safety.preset = preset;
  config.steps = steps;
  Errors errors;
  const double share = tolerance / 50;  // phi and mu are differences of predictions times up to 5000
  // a net of random weights takes latents to 70, and single precision with them
  const auto held_to = [](double allowed, const torch::Tensor& expected) {
    return allowed * std::max(1.0, expected.abs().max().item<double>() / 10);
  };
  int calls = 0;
  const auto on_step = [&](const DenoisingStep& step) {
    ++calls;
    EXPECT_EQ(step.index, calls - 1);
    const bool last = step.index + 1 == step.count;
    const int after = last ? steps : step.index + 1 == steps ? 0 : step.index + 1;
    const double allowed = after == 1 && tolerance > 1e-9 ? tolerance / 10 : tolerance;
    if (const std::string name = concat(key, ".latents.", after); with.golden.has(name))
      errors.expect_near(concat("latents after ", after), key, step.after, with.golden(name),
                         held_to(allowed, with.golden(name)));
    if (!with.golden.has(concat(key, ".gamma.", step.index))) return;
    SafetyConfig safety = config.safety.resolved();
    const SldStep again = sld_combine(step.eps_nothing, step.eps_prompt, step.eps_unsafe, {}, 0, 7.5, safety);
    for (const auto& [name, found] : {std::pair<std::string, torch::Tensor>{"gamma", step.gamma},
                                      {"nu", step.nu},
                                      {"eps", step.eps_safe},
                                      {"mu", again.mu},
                                      {"phi", again.phi}})
      errors.expect_near(name, key, found, with.golden(concat(key, ".", name, ".", step.index)),
                         name == "mu" || name == "phi" ? share * safety.scale : tolerance);
  };
  const torch::Tensor latents = with.model.sample_embedded(with.nothing, with.prompt, with.unsafe, config,
                                                           on_step, with.golden(key + ".noise"));
  const torch::Tensor last = with.golden(concat(key, ".latents.", steps));
  errors.expect_near("at the end", key, latents, last, held_to(tolerance, last));
  EXPECT_EQ(calls, scheduler == "pndm" ? steps + 1 : steps);
  for (const auto& [group, error] : errors.largest())
    std::cout << "  " << key << " " << group << " " << error << "\n";
}

TEST(StableDiffusion, PartsAgreeWithDiffusers) {
  compare_modules(Case("a"), "", 1e-5, 5e-5);
  compare_modules(Case("a"), "odd.", 1e-5, 5e-5);
  compare_modules(Case("b"), "", 1e-5, 5e-5);
  compare_modules(Case("d"), "short.", 1e-5, 5e-5);
}

TEST(StableDiffusion, PartsAgreeWithDiffusersInDoublePrecision) {
  compare_modules(Case("a", "float64"), "double.", 1e-10, 1e-10);
}

const std::vector<std::string> kSchedulers = {"ddim", "pndm", "dpm_solver", "euler"};

TEST(StableDiffusion, ChainsAgreeWithDiffusersInDoublePrecision) {
  const Case a("a", "float64"), b("b", "float64");
  for (const std::string& scheduler : kSchedulers) {
    // Tables of sigmas are of single precision, in diffusers as here, and their last place differs between processors.
    const bool of_sigmas = scheduler == "dpm_solver" || scheduler == "euler";
    for (const char* preset : {"off", "weak", "medium", "strong", "max"})
      compare_chain(a, "double.", scheduler, preset, 50, of_sigmas ? 1e-4 : 1e-9);
  }
  compare_chain(a, "double.odd.", "pndm", "medium", 10, 1e-10);
  compare_chain(b, "double.", "pndm", "max", 50, 1e-9);
  compare_chain(b, "double.", "ddim", "medium", 50, 1e-9);
}

/// In single precision phi multiplies rounding by up to 5000, where predictions for the prompt and the concept are about
/// equal: what chains with safety are held to says that nothing is wrong with numbers of this width, no more.
TEST(StableDiffusion, ChainsAgreeWithDiffusersInSinglePrecision) {
  const Case a("a");
  for (const std::string& scheduler : kSchedulers)
    for (const char* preset : {"off", "weak", "medium", "strong", "max"}) {
      const bool steep = preset != std::string("off") && preset != std::string("weak");
      compare_chain(a, "", scheduler, preset, 50, steep ? 0.1 : 1e-4);
    }
  compare_chain(Case("b"), "", "pndm", "off", 50, 1e-4);
  compare_chain(Case("d"), "", "ddim", "weak", 10, 1e-4);
}

TEST(StableDiffusion, DrawsPyTorchsNoise) {
  const Goldens golden("a");
  const auto expect = [&](const std::string& name, std::uint64_t seed,
                          torch::ScalarType type = torch::kFloat) {
    const torch::Tensor expected = golden("noise." + name);
    EXPECT_TRUE(torch::equal(seeded_normal(seed, expected.sizes(), type), expected)) << name;
  };
  expect("few", 7);
  expect("sixteen", 7);
  expect("latents", 7);
  expect("double", 7, torch::kDouble);
  expect("bfloat16", 7, torch::kBFloat16);
  expect("large", std::uint64_t{1} << 40);

  const Case a("a");
  ImageSampleConfig config;
  config.seed = 7;
  config.width = 18, config.height = 16;
  EXPECT_TRUE(torch::equal(a.model.noise(2, config), golden("noise.latents")));
  config.seed_each = true;
  const torch::Tensor each = a.model.noise(3, config);
  config.seed = 9;
  EXPECT_TRUE(torch::equal(each.narrow(0, 2, 1), a.model.noise(1, config)));
  EXPECT_FALSE(torch::equal(each[0], each[1]));
  config.width = 17;
  EXPECT_THROW(a.model.noise(1, config), InvalidArgument);
}

/// `tolerance`: of a chain on batches of 2 beside one on batches of 3, whose products round in another order.
void expect_pairs_from_the_same_latents(const std::string& type, double tolerance) {
  const Case a("a", type);
  ImageSampleConfig config;
  config.steps = 6;
  config.seed = 3;
  config.safety.preset = "max";
  config.pair = true;
  for (const char* scheduler : {"ddim", "pndm", "dpm_solver", "euler"}) {
    config.scheduler = scheduler;
    torch::Tensor ends[2];
    for (const char* follow : {"base", "safe"}) {
      config.follow = follow;
      const bool safe = config.follow == "safe";
      int apart = 0;
      ends[safe] = a.model.sample_embedded(
          a.nothing, a.prompt, a.unsafe, config,
          [&](const DenoisingStep& step) {
            EXPECT_TRUE(torch::equal(step.after, safe ? step.after_safe : step.after_base));
            apart += !torch::equal(step.after_safe, step.after_base);
            EXPECT_LE((step.eps_base - 7.5 * step.gamma - step.eps_safe).abs().max().item<double>(), 1e-4);
          },
          {});
      EXPECT_GE(apart, 6) << scheduler;
      ImageSampleConfig alone = config;
      alone.pair = false;
      EXPECT_TRUE(
          torch::equal(ends[safe], a.model.sample_embedded(a.nothing, a.prompt, a.unsafe, alone, {}, {})))
          << scheduler << " the other branch left a trace";
    }
    EXPECT_FALSE(torch::equal(ends[0], ends[1]));
    ImageSampleConfig off = config;
    off.safety.preset = "off";
    off.pair = false;
    EXPECT_LE(
        (ends[0] - a.model.sample_embedded(a.nothing, a.prompt, {}, off, {}, {})).abs().max().item<double>(),
        tolerance)
        << scheduler << ", " << type;
  }
  config.safety.preset = "off";
  EXPECT_THROW(a.model.sample_embedded(a.nothing, a.prompt, a.unsafe, config, {}, {}), InvalidArgument);
}

TEST(StableDiffusion, PairsAreTakenFromTheSameLatents) {
  expect_pairs_from_the_same_latents("float32", 5e-4);
  expect_pairs_from_the_same_latents("float64", 1e-11);
}

TEST(StableDiffusion, SamplesWithoutGuidanceAndInBatches) {
  const Case a("a");
  ImageSampleConfig config;
  config.steps = 4;
  config.guidance_scale = 1;
  config.safety.preset = "max";  // needs guidance
  const auto alone = [](const DenoisingStep& step) {
    EXPECT_FALSE(step.eps_nothing.defined() || step.gamma.defined() || step.after_base.defined());
    EXPECT_TRUE(torch::equal(step.eps_base, step.eps_prompt));
  };
  a.model.sample_embedded({}, a.prompt, {}, config, alone, {});

  config.guidance_scale = 7.5;
  config.seed_each = true;
  const torch::Tensor prompts = torch::cat({a.prompt, a.text("second")});
  const torch::Tensor both = a.model.sample_embedded(a.nothing, prompts, a.unsafe, config, {}, {});
  config.seed = 1;
  const torch::Tensor second =
      a.model.sample_embedded(a.nothing, prompts.narrow(0, 1, 1), a.unsafe, config, {}, {});
  // phi multiplies what rounding makes of a batch
  EXPECT_LE((both.narrow(0, 1, 1) - second).abs().max().item<double>(), 2e-2);
  EXPECT_THROW(a.model.sample_embedded({}, a.prompt, a.unsafe, config, {}, {}), InvalidArgument);
  EXPECT_THROW(a.model.sample_embedded(a.nothing, {}, a.unsafe, config, {}, {}), InvalidArgument);
  EXPECT_THROW(a.model.embed_ids(torch::full({1, 77}, 64, torch::kLong)), InvalidArgument);
  EXPECT_THROW(a.model.embed_ids(torch::zeros({1, 78}, torch::kLong)), InvalidArgument);
}

TEST(StableDiffusion, RunsInHalfPrecision) {
  const Case whole("a"), half("a", "bfloat16");
  ImageSampleConfig config;
  config.steps = 5;
  config.scheduler = "ddim";
  const torch::Tensor noise = whole.golden("latents");
  const auto run = [&](const Case& with) {
    return with.model.sample_embedded(with.nothing, with.prompt, {}, config, {}, noise);
  };
  const torch::Tensor expected = run(whole), found = run(half);
  EXPECT_EQ(found.scalar_type(), torch::kBFloat16);
  EXPECT_LE(((found.to(torch::kFloat) - expected).norm() / expected.norm()).item<double>(), 0.1);
  EXPECT_EQ(StableDiffusion::bytes(half.model.decode(found)).sizes(), (at::IntArrayRef{1, 24, 24, 3}));
}

/// Prefers small latents.
class Shrink final : public Guide {
 public:
  at::Tensor value(const at::Tensor& x, const at::Tensor&) const override {
    return -0.5 * x.flatten(1).square().sum(1);
  }
};

TEST(PromptedDenoiser, IsADenoisingModel) {
  const Case a("a");
  SafetyConfig safety;
  safety.preset = "max";
  const torch::Tensor x = a.golden("latents").repeat({2, 1, 1, 1}),
                      t = torch::tensor({20, 700}, torch::kLong);
  const NoiseSchedule& schedule = a.model.schedule();
  for (const int branches : {1, 2, 3}) {
    const PromptedDenoiser denoiser(a.model, branches > 1 ? a.nothing : at::Tensor(), a.prompt,
                                    branches > 2 ? a.unsafe : at::Tensor(), 7.5, safety);
    const torch::NoGradGuard no_grad;
    const torch::Tensor eps = denoiser.eps(x, t), score = denoiser.score(x, t);
    for (const int i : {0, 1}) {
      const auto at = static_cast<std::size_t>(t[i].item<std::int64_t>());
      const double sigma = std::sqrt(1 - schedule.alpha_bar[at]);
      const torch::Tensor expected = -eps[i] / sigma;
      EXPECT_LE((score[i] - expected).abs().max().item<double>(),
                1e-5 * (1 + expected.abs().max().item<double>()) / sigma);
      // the timestep of each sample is its own
      const torch::Tensor alone = denoiser.eps(x.narrow(0, i, 1), t.narrow(0, i, 1));
      EXPECT_LE((alone[0] - eps[i]).abs().max().item<double>(), 5e-3);  // of 7.5 times differences, and phi
    }
  }
  const torch::Tensor bars = alpha_bars(a.model.impl().own_scheduler).to(torch::kDouble);
  for (const int i : {0, 1, 500, 999})
    EXPECT_NEAR(schedule.alpha_bar[static_cast<std::size_t>(i)], bars[i].item<double>(), 1e-12);
}

TEST(PromptedDenoiser, IsGuidedAndSampledAsAnyOther) {
  const Case a("a");
  const PromptedDenoiser denoiser(a.model, a.nothing, a.prompt, {}, 3);
  SampleConfig config;
  config.sampler = "ddim";
  config.steps = 6;
  config.clip = false;
  const torch::Tensor noise = a.golden("latents");
  Rng unused{Seed()};
  const auto run = [&](const Guide* guide) {
    return Sampler(denoiser, config, guide, 999).run(noise, std::span(&unused, 1));
  };
  const torch::Tensor plain = run(nullptr);
  EXPECT_TRUE(plain.isfinite().all().item<bool>());
  const Shrink shrink;
  for (const auto& [at, scale] : {std::pair{"x_t", 0.1}, {"x0", 1e-4}, {"score", 1e-4}}) {
    config.guide_at = at;
    config.scale = scale;
    EXPECT_LT(run(&shrink).norm().item<double>(), plain.norm().item<double>()) << at;
  }
}

}  // namespace
}  // namespace diffreward
