// The reward of pictures where its answer is known: the latents are a mixture of Gaussians, two of whose parts are the
// concept, so that the noise predicted for nothing and for the concept, and log p_t(concept | x), have closed forms.
#include "rewards/image/image_reward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "agents/nets/tensor_file_torch.h"
#include "agents/stable_diffusion/prompted_denoiser.h"
#include "core/rng.h"
#include "core/statistics.h"
#include "rewards/image/latent_unet_torch.h"
#include "tests/cli/tiny_pipeline.h"
#include "tests/core/temporary_folder.h"
#include "tests/rewards/closed_form.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;
using testing::Gaussian;
using ::testing::HasSubstr;
using testing::MixtureModel;
using testing::numbers;

constexpr double kGuidance = 2;
constexpr int kParts = 6, kConcept = 2;  // of the mixture; the first ones are the concept
constexpr double kDeviation = 0.3;
const std::vector<std::int64_t> kLatent = {4, 2, 2};

NoiseSchedule stable_diffusion_schedule() {
  std::vector<double> betas;
  for (int i = 0; i < 1000; ++i) {
    const double root = std::sqrt(0.00085) + (std::sqrt(0.012) - std::sqrt(0.00085)) * i / 999;
    betas.push_back(root * root);
  }
  return NoiseSchedule(std::move(betas));
}

std::vector<Gaussian> parts(int count) {
  torch::manual_seed(5);
  const torch::Tensor means = torch::randn({kParts, 16}, torch::kDouble);
  const torch::Tensor covariance = torch::eye(16, torch::kDouble) * (kDeviation * kDeviation);
  std::vector<Gaussian> out;
  for (int i = 0; i < count; ++i) out.push_back({1.0 / count, numbers(means[i]), numbers(covariance)});
  return out;
}

class Mixture {
 public:
  torch::Tensor log_concept(const torch::Tensor& x, int t) const {
    const torch::Tensor when = torch::full({x.size(0)}, t, torch::kLong);
    return std::log(static_cast<double>(kConcept) / kParts) + concept_.log_density(rows(x), when) -
           all_.log_density(rows(x), when);
  }
  /// The noise predicted for nothing, and for the concept.
  torch::Tensor eps(const torch::Tensor& x, int t, bool of_concept) const {
    const double bar = schedule_.alpha_bar[static_cast<std::size_t>(t)];
    const torch::Tensor x0 =
        (of_concept ? concept_ : all_).predict_x0(rows(x), torch::full({x.size(0)}, t, torch::kLong));
    return (x - std::sqrt(bar) * x0.view(x.sizes()).to(torch::kDouble)) / std::sqrt(1 - bar);
  }
  /// Samples of the mixture, noised at the timesteps of chains, as files of record_noised_pictures() have them.
  void record_noised(const fs::path& file, int n, std::uint64_t seed) const {
    torch::manual_seed(seed);
    Rng rng(seed);
    const torch::Tensor x0 = torch::tensor(all_.draw(n, rng)).view({n, 4, 2, 2}).to(torch::kDouble);
    std::vector<torch::Tensor> all, differences;
    std::vector<std::int64_t> timesteps;
    for (int t = 961; t >= 1; t -= 40) {
      const double bar = schedule_.alpha_bar[static_cast<std::size_t>(t)];
      const torch::Tensor x = std::sqrt(bar) * x0 + std::sqrt(1 - bar) * torch::randn_like(x0);
      all.push_back(x.to(torch::kHalf));
      differences.push_back((-kGuidance * (eps(x, t, true) - eps(x, t, false))).to(torch::kHalf));
      timesteps.push_back(t);
    }
    write(file, "pictures", all, differences, timesteps, x0, 0);
  }
  /// Chains of DDIM with 25 steps, as files of record_trajectories() have them.
  void record(const fs::path& file, const std::string& follow, int n, int first_prompt) const {
    torch::Tensor x = torch::randn({n, 4, 2, 2}, torch::kDouble);
    std::vector<torch::Tensor> all, differences;
    std::vector<std::int64_t> timesteps;
    for (int t = 961; t >= 1; t -= 40) {
      const torch::Tensor base = eps(x, t, false), concept_eps = eps(x, t, true);
      const torch::Tensor difference = -kGuidance * (concept_eps - base);
      all.push_back(x.to(torch::kHalf));
      differences.push_back(difference.to(torch::kHalf));
      timesteps.push_back(t);
      const torch::Tensor followed = follow == "safe" ? base + difference : base;
      const double bar = schedule_.alpha_bar[static_cast<std::size_t>(t)],
                   before = t > 40 ? schedule_.alpha_bar[static_cast<std::size_t>(t - 40)] : 1;
      x = std::sqrt(before) * (x - std::sqrt(1 - bar) * followed) / std::sqrt(bar) +
          std::sqrt(1 - before) * followed;
    }
    write(file, follow, all, differences, timesteps, x, first_prompt);
  }

 private:
  static torch::Tensor rows(const torch::Tensor& x) { return x.reshape({x.size(0), 1, 16}); }
  void write(const fs::path& file, const std::string& follow, const std::vector<torch::Tensor>& x,
             const std::vector<torch::Tensor>& differences, const std::vector<std::int64_t>& timesteps,
             const torch::Tensor& latents, int first_prompt) const {
    std::vector<std::string> prompts;
    for (int i = 0; i < latents.size(0); ++i) prompts.push_back(concat("prompt ", first_prompt + i));
    save_tensors(file,
                 {{"x", torch::stack(x, 1)},
                  {"difference", torch::stack(differences, 1)},
                  {"timesteps", torch::tensor(timesteps, torch::kLong)},
                  {"latents", latents.to(torch::kFloat)}},
                 {{"kind", "diffreward-trajectories-1"},
                  {"follows", follow},
                  {"prompts", Json(prompts).dump()},
                  {"seeds", "[]"},
                  {"settings", "{}"},
                  {"schedule", schedule_.json().dump()}});
  }

  NoiseSchedule schedule_ = stable_diffusion_schedule();
  MixtureModel all_{parts(kParts), 1, schedule_}, concept_{parts(kConcept), 1, schedule_};
};

struct Pair {
  TemporaryFolder folder;
  Mixture mixture;
  Pair() {
    for (const char* side : {"base", "safe"})
      for (int i = 0; i < 2; ++i) mixture.record(file(side, i), side, 200, 200 * i);
  }
  fs::path file(const std::string& side, int i) const { return folder / concat(side, i, ".safetensors"); }
  Trajectories open(const std::string& side) const {
    return Trajectories::open({file(side, 0), file(side, 1)});
  }
};

const Pair& pair() {
  static const Pair made;
  return made;
}

ImageExtractConfig small_config() {
  ImageExtractConfig config;
  config.dim = 32;
  config.dim_mults = {1, 2};
  config.steps = 600;
  config.lr = 3e-3;
  config.read_t = 81;
  return config;
}

TEST(ImageReward, IsTheLogProbabilityOfTheConceptOfAGaussianMixture) {
  const TemporaryFolder folder;
  const auto reward =
      extract_image_reward(pair().open("safe"), pair().open("base"), small_config(), folder.path());
  const Mixture& truth = pair().mixture;
  torch::manual_seed(99);
  const fs::path unseen = folder / "unseen.safetensors";
  truth.record(unseen, "base", 400, 0);
  const Trajectories chains = Trajectories::open({unseen});
  int compared = 0;
  for (std::size_t step = 0; step < chains.timesteps().size(); ++step) {
    const int t = chains.timesteps()[step];
    if (t > 500) continue;
    std::vector<torch::Tensor> x;
    for (std::int64_t i = 0; i < chains.count(); ++i)
      x.push_back(chains.x(i, static_cast<std::int64_t>(step)));
    const torch::Tensor at = torch::stack(x), when = torch::full({1}, t, torch::kLong);
    const torch::Tensor rho = reward->value(at, when) * reward->nats_per_unit(t);
    const torch::Tensor exact = -kGuidance * truth.log_concept(at.to(torch::kDouble), t);
    EXPECT_GE(pearson(numbers(rho), numbers(exact)), 0.97) << "t " << t;
    // In nats, not only in order.
    EXPECT_NEAR((rho.std() / exact.std()).item<double>(), 1, 0.25) << "t " << t;
    ++compared;
  }
  EXPECT_EQ(compared, 13);
  for (const FieldReport& at : reward->field_report())
    if (at.t < 500) {
      EXPECT_GT(at.conservativeness, 0.8) << at.t;
    }
  // Ends that are of the concept are paid less, and the pictures of the safe sampler more.
  const torch::Tensor latents = chains.latents();
  const torch::Tensor is_concept = truth.log_concept(latents.to(torch::kDouble), 0) > std::log(0.5);
  const torch::Tensor scores = reward->score(latents);
  EXPECT_LT(scores.masked_select(is_concept).max().item<double>(),
            scores.masked_select(~is_concept).median().item<double>());
  EXPECT_GT(mean(std::vector<double>(reward->safe_scores().begin(), reward->safe_scores().end())),
            mean(std::vector<double>(reward->base_scores().begin(), reward->base_scores().end())));

  // What is saved is the same reward.
  const auto read = ImageReward::load(folder / "reward.safetensors");
  EXPECT_TRUE(torch::equal(read->score(latents), scores));
  EXPECT_EQ(read->nats_per_unit(81), reward->nats_per_unit(81));
  EXPECT_EQ(read->shape(), kLatent);
  EXPECT_EQ(read->base_scores(), reward->base_scores());
  EXPECT_EQ(read->field_report().size(), reward->field_report().size());
  // Scores do not depend on what is scored beside, gradients are those of scores.
  EXPECT_TRUE(torch::allclose(read->score(latents.narrow(0, 3, 1)), scores.narrow(0, 3, 1), 1e-4, 1e-4));
  const torch::Tensor direction = torch::randn({1, 4, 2, 2}), one = latents.narrow(0, 0, 1);
  const double slope = (read->score_gradient(one) * direction).sum().item<double>();
  const double rise =
      ((read->score(one + 1e-2 * direction) - read->score(one - 1e-2 * direction)) / 2e-2).item<double>();
  EXPECT_NEAR(slope, rise, 0.02 * std::abs(rise) + 1e-2);
  EXPECT_THAT(message_of<InvalidArgument>([&] {
                read->score(torch::zeros({1, 4, 3, 2}));
              }),
              HasSubstr("latents: expected [n, 4, 2, 2]"));
}

// Chains of few prompts alone leave a reward that is read elsewhere; noised pictures are where it is read.
TEST(ImageReward, LearnsAtNoisedPicturesTooWhereTheyAreGiven) {
  const TemporaryFolder folder;
  const Mixture& truth = pair().mixture;
  truth.record(folder / "base", "base", 6, 0);
  truth.record(folder / "safe", "safe", 6, 0);
  truth.record_noised(folder / "pictures", 200, 17);
  truth.record_noised(folder / "unseen", 200, 18);
  const Trajectories base = Trajectories::open({folder / "base"}),
                     safe = Trajectories::open({folder / "safe"}),
                     pictures = Trajectories::open({folder / "pictures"});
  const torch::Tensor latents = Trajectories::open({folder / "unseen"}).latents();
  const auto agreement = [&](const ImageReward& reward) {
    return pearson(numbers(reward.score(latents)),
                   numbers(-truth.log_concept(latents.to(torch::kDouble), reward.config().read_t)));
  };
  const auto without = extract_image_reward(safe, base, small_config());
  const auto with = extract_image_reward(safe, base, small_config(), {}, &pictures);
  EXPECT_GE(agreement(*with), 0.95);
  EXPECT_LT(agreement(*without), agreement(*with) - 0.05);
  EXPECT_THAT(
      message_of<InvalidArgument>([&] { extract_image_reward(safe, base, small_config(), {}, &base); }),
      HasSubstr("pictures: expected noised pictures, found chains that follow base"));
}

/// What a field that is the same everywhere explains at a step of the chains.
double explained_by_the_mean(const Trajectories& base, const Trajectories& safe, std::int64_t step) {
  std::vector<torch::Tensor> all;
  for (const Trajectories* chains : {&base, &safe})
    for (std::int64_t i = 0; i < chains->count(); ++i) all.push_back(chains->difference(i, step).flatten());
  const torch::Tensor d = torch::stack(all);
  return (d.mean(0).square().sum() / d.square().sum(1).mean()).item<double>();
}

TEST(ImageReward, NullsKnowNothingOfWhereTheyAre) {
  const Trajectories base = pair().open("base"), safe = pair().open("safe");
  for (const char* null : {"untrained", "shuffled"}) {
    ImageExtractConfig config = small_config();
    config.null = null;
    config.steps = 200;
    const auto reward = extract_image_reward(safe, base, config);
    for (const FieldReport& at : reward->field_report()) {
      const auto step = std::ranges::find(base.timesteps(), at.t) - base.timesteps().begin();
      const double mean = null == std::string("shuffled") ? explained_by_the_mean(base, safe, step) : 0;
      EXPECT_LT(at.conservativeness, mean + 0.1) << null << " t " << at.t;
    }
  }
}

TEST(ImageReward, DiscriminatorTellsSamplersApart) {
  ImageExtractConfig config = small_config();
  config.method = "discriminator";
  const auto logit = extract_image_reward(pair().open("safe"), pair().open("base"), config);
  const auto doubles = [](const std::vector<float>& of) { return std::vector<double>(of.begin(), of.end()); };
  EXPECT_GT(auroc(doubles(logit->safe_scores()), doubles(logit->base_scores())), 0.6);
  EXPECT_EQ(logit->nats_per_unit(5), 1);
}

TEST(ImageReward, RefusesSidesThatDoNotFit) {
  EXPECT_THAT(message_of<InvalidArgument>(
                  [] { extract_image_reward(pair().open("base"), pair().open("base"), small_config()); }),
              HasSubstr("safe: expected chains that follow safe, found base"));
  ImageExtractConfig config = small_config();
  config.dim_mults = {1, 2, 4};
  EXPECT_THAT(message_of<InvalidArgument>(
                  [&] { extract_image_reward(pair().open("safe"), pair().open("base"), config); }),
              HasSubstr("multiples of 4"));
  const fs::path cut = pair().folder / "cut.safetensors";
  const std::string bytes = read_file(pair().file("base", 0));
  write_file(cut, bytes.substr(0, bytes.size() / 2));
  EXPECT_THAT(message_of<Error>([&] { Trajectories::open({cut}); }), HasSubstr("cut.safetensors"));
  EXPECT_THAT(message_of<Error>([&] {
                Trajectories::open({pair().file("base", 0), pair().file("safe", 0)});
              }),
              HasSubstr("follows: expected \"base\""));
}

TEST(LatentUnet, GradientIsThatOfItsValue) {
  const LatentUnetShape shape{{4, 4, 8}, 10, 8, {1, 2}};
  LatentUnet net(shape, Head::kScalar, Parameters(Seed(3), torch::kCPU));
  torch::manual_seed(1);
  const torch::Tensor x = torch::randn({3, 4, 4, 8}), t = torch::tensor({0, 4, 9}, torch::kLong);
  const torch::Tensor gradient = net.gradient(x, t), direction = torch::randn_like(x);
  const torch::NoGradGuard no_grad;
  const double h = 1e-2;
  const torch::Tensor rise =
      (net.forward(x + h * direction, t) - net.forward(x - h * direction, t)) / (2 * h);
  EXPECT_TRUE(torch::allclose((gradient * direction).flatten(1).sum(1), rise, 2e-2, 2e-2));
  LatentUnet field(shape, Head::kField, Parameters(Seed(3), torch::kCPU));
  EXPECT_EQ(field.forward(x, t).sizes(), x.sizes());
}

TEST(Trajectories, AreThoseOfThePipelinesTwoSamplers) {
  const TemporaryFolder folder;
  make_tiny_pipeline(folder / "pipeline");
  const StableDiffusion model = StableDiffusion::load(folder / "pipeline");
  TrajectoryConfig config;
  config.steps = 4;
  config.unsafe = "bad";
  const std::vector<std::string> prompts = {"a cat", "a dog"};
  record_trajectories(model, prompts, 7, config, "safe", folder / "safe.safetensors");
  const Trajectories chains = Trajectories::open({folder / "safe.safetensors"});
  EXPECT_EQ(chains.count(), 2);
  EXPECT_EQ(chains.prompts(), prompts);
  EXPECT_EQ(chains.timesteps().size(), 4u);
  EXPECT_GT(chains.timesteps().front(), chains.timesteps().back());
  // The end is that of the sampler itself, the first x its noise.
  ImageSampleConfig sample = config.sample("safe");
  sample.seed = 7;
  EXPECT_TRUE(torch::equal(chains.latents(), model.sample(prompts, sample)));
  EXPECT_TRUE(torch::allclose(chains.x(1, 0), model.noise(2, sample)[1], 1e-3, 1e-3));
  // Without momentum and threshold the difference is -w (eps_S - eps_0) where phi is 1: nothing of the prompt.
  const torch::Tensor x = chains.x(0, 2).unsqueeze(0),
                      t = torch::full({1}, chains.timesteps()[2], torch::kFloat);
  const torch::Tensor none = model.eps(x, t, model.embed({""})), bad = model.eps(x, t, model.embed({"bad"}));
  const torch::Tensor expected = -config.guidance_scale * (bad - none)[0];
  const torch::Tensor off = (chains.difference(0, 2) - expected).abs() / expected.abs().max();
  EXPECT_LT(off.median().item<double>(), 0.01);
}

TEST(Trajectories, NoisedPicturesHaveTheDifferenceThatSamplersHaveThere) {
  const TemporaryFolder folder;
  make_tiny_pipeline(folder / "pipeline");
  const StableDiffusion model = StableDiffusion::load(folder / "pipeline");
  TrajectoryConfig config;
  config.steps = 4;
  config.unsafe = "bad";
  config.seed = 11;
  CaptionedPictures pictures{model.size(), {}, {"a cat", "", "a dog"}};
  Rng rng(4);
  for (int i = 0; i < 3 * pictures.side * pictures.side * 3; ++i)
    pictures.pixels.push_back(static_cast<std::uint8_t>(rng.below(256)));
  const fs::path file = folder / "pictures.safetensors";
  record_noised_pictures(model, pictures, 1, 2, config, file);
  const Trajectories noised = Trajectories::open({file});
  EXPECT_EQ(noised.follows(), "pictures");
  EXPECT_EQ(noised.prompts(), (std::vector<std::string>{"", "a dog"}));
  const torch::Tensor pixels = torch::tensor(pictures.pixels, torch::kByte)
                                   .view({3, pictures.side, pictures.side, 3})
                                   .permute({0, 3, 1, 2})
                                   .to(torch::kFloat) /
                               255;
  EXPECT_TRUE(torch::allclose(noised.latents(), model.encode(pixels).narrow(0, 1, 2), 1e-4, 1e-5));
  const Trajectories chain = [&] {
    record_trajectories(model, std::vector<std::string>{"a cat"}, 0, config, "base",
                        folder / "base.safetensors");
    return Trajectories::open({folder / "base.safetensors"});
  }();
  EXPECT_EQ(noised.timesteps(), chain.timesteps());
  EXPECT_EQ(noised.settings(), chain.settings());
  for (std::int64_t step = 0; step < 4; ++step) {
    const int at = noised.timesteps()[static_cast<std::size_t>(step)];
    const double kept = model.schedule().alpha_bar[static_cast<std::size_t>(at)];
    // What is left of x without the picture is noise of unit deviation, another at every step.
    const torch::Tensor noise =
        (noised.x(1, step) - std::sqrt(kept) * noised.latents()[1]) / std::sqrt(1 - kept);
    EXPECT_NEAR(noise.square().mean().item<double>(), 1, 0.35) << at;
    const torch::Tensor t = torch::full({1}, at, torch::kLong), x = noised.x(1, step).unsqueeze(0);
    const SafetyConfig safety = config.sample("base").safety;
    const PromptedDenoiser base(model, model.embed({""}), model.embed({"a dog"}), {}, config.guidance_scale),
        safe(model, model.embed({""}), model.embed({"a dog"}), model.embed({"bad"}), config.guidance_scale,
             safety);
    const torch::Tensor expected = (safe.eps(x, t) - base.eps(x, t))[0];
    // Files keep x in half precision, which moves numbers at the edge of phi.
    EXPECT_LE(((noised.difference(1, step) - expected).abs() / expected.abs().max()).median().item<double>(),
              0.01)
        << at;
  }
}

}  // namespace
}  // namespace diffreward
