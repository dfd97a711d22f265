// Milliseconds of one way to use the Temporal U-Net, for benchmarks/compare/denoiser.py.
//
//   denoiser_throughput CASE[:horizon=H][:batch=B][:dim=D] THREADS
//
// reads lines "WHAT SECONDS" and answers each with the median time of one call, in milliseconds, over about
// so many seconds. CASE: hopper, halfcheetah, umaze or large (the shapes of Diffuser's published settings),
// with another horizon, batch (64) or width (32) where given. WHAT:
//   forward      one sequence through the net
//   train        one optimiser step over 64 windows, EMA included
//   accumulate   the same in two passes of 32
//   plan         a plan by all steps of the chain from one state
//   ddim         the same in a quarter of the steps
//   guided       64 plans, two guide steps by a half U-Net at each
//   rho_mlp      one step of gradient matching, reward MLP
//   rho_unet     the same, half U-Net
//   memory       the process's peak resident size in MB (at once, whatever SECONDS is)
#include <sys/resource.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>

#include "agents/diffusion/diffusion_model.h"
#include "agents/diffusion/diffusion_model_torch.h"
#include "agents/diffusion/training_batch_torch.h"
#include "agents/guide.h"
#include "agents/nets/optimizer_torch.h"
#include "rewards/relative/learner_torch.h"
#include "rewards/relative/reward_net_torch.h"

namespace diffreward {
namespace {

struct Case {
  int horizon, timesteps, actions, observations;
  std::vector<int> dim_mults;
  bool attention;
  int batch = 64, dim = 32;

  int width() const { return actions + observations; }
};
const std::map<std::string, Case> kCases = {{"hopper", {32, 20, 3, 11, {1, 2, 4, 8}, false}},
                                            {"halfcheetah", {4, 20, 6, 17, {1, 4, 8}, true}},
                                            {"umaze", {128, 64, 2, 4, {1, 4, 8}, false}},
                                            {"large", {384, 256, 2, 4, {1, 4, 8}, false}}};

/// "hopper:horizon=64:batch=128" and the like; throws std::exception.
Case parse(const std::string& text) {
  std::istringstream parts(text);
  std::string part;
  std::getline(parts, part, ':');
  Case c = kCases.at(part);
  const std::map<std::string, int Case::*> settings = {
      {"horizon", &Case::horizon}, {"batch", &Case::batch}, {"dim", &Case::dim}};
  while (std::getline(parts, part, ':')) {
    const auto equals = part.find('=');
    c.*settings.at(part.substr(0, equals)) = std::stoi(part.substr(equals + 1));
  }
  return c;
}

Dataset random_data(const Case& c) {
  Dataset::Columns columns;
  columns.observation_dim = std::size_t(c.observations);
  columns.action_dim = std::size_t(c.actions);
  constexpr std::size_t kRows = 20000, kEpisode = 1000;
  Rng rng(1);
  for (std::size_t i = 0; i < kRows; ++i) {
    for (int k = 0; k < c.actions; ++k) columns.actions.push_back(float(rng.uniform(-1, 1)));
    for (int k = 0; k < c.observations; ++k) columns.observations.push_back(float(rng.normal()));
    columns.timeouts.push_back(i % kEpisode == kEpisode - 1);
  }
  columns.next_observations = columns.observations;
  columns.rewards.assign(kRows, 0);
  columns.terminals.assign(kRows, 0);
  return Dataset::from_columns(std::move(columns));
}

/// The gradient of a half U-Net that reads all channels.
class HalfUnetGuide final : public Guide {
 public:
  explicit HalfUnetGuide(const Case& c)
      : net_(make_reward_net({.net = "unet"}, {c.horizon, c.width(), c.timesteps}, Head::kScalar)) {
    for (const auto& [name, parameter] : net_->parameters.named())
      torch::Tensor(parameter).set_requires_grad(false);
  }
  at::Tensor value(const at::Tensor& x, const at::Tensor& t) const override { return net_->forward(x, t); }
  at::Tensor gradient(const at::Tensor& x, const at::Tensor& t) const override {
    return net_->gradient(x, t).detach();
  }

 private:
  std::unique_ptr<RewardNet> net_;
};

/// Gradient matching of a reward net that reads all channels, on windows as many as a batch of training has.
class Matching {
 public:
  Matching(const std::string& net, const Case& c)
      : config_{.net = net, .batch = c.batch},
        shape_{c.horizon, c.width(), c.timesteps},
        kept_(make_reward_net(config_, shape_, Head::kScalar)),
        learner_(config_, make_reward_net(config_, shape_, Head::kScalar), *kept_),
        x_(torch::randn({c.batch, c.horizon, c.width()})),
        target_(torch::randn_like(x_)),
        t_(torch::randint(0, c.timesteps, {c.batch}, torch::kLong)) {}
  void step() {
    learner_.match([&](const BatchPart&) { return learner_.net().gradient(x_, t_); }, target_,
                   torch::ones({1}));
  }

 private:
  ExtractConfig config_;
  RewardNetShape shape_;
  std::unique_ptr<RewardNet> kept_;
  Learner learner_;
  torch::Tensor x_, target_, t_;
};

class Job {
 public:
  explicit Job(const Case& c)
      : data_(random_data(c)),
        config_([&] {
          DiffusionConfig config{.horizon = c.horizon,
                                 .stride = 1,
                                 .timesteps = c.timesteps,
                                 .net = "unet",
                                 .dim = c.dim,
                                 .attention = c.attention};
          config.dim_mults = c.dim_mults;
          return config;
        }()),
        model_(config_, {c.horizon, 1, c.actions, c.observations},
               {"limits", std::vector(std::size_t(c.actions + c.observations), 0.0),
                std::vector(std::size_t(c.actions + c.observations), 1.0)},
               0),
        average_(model_.clone()),
        train_{.batch = c.batch, .lr = 2e-4},
        windows_(data_, model_.layout(), false),
        pool_(windows_, {0, 1, 2, 3, 4, 5, 6, 7}),
        batches_(model_.impl(), windows_, train_),
        optimizer_(model_.impl().net->parameters, &average_.impl().net->parameters),
        guide_(c),
        start_{{0, std::vector(std::size_t(c.observations), 0.5f)}},
        rho_mlp_("mlp", c),
        rho_unet_("unet", c) {}

  void run(const std::string& what) {
    if (what == "train") return train(1);
    if (what == "accumulate") return train(2);
    if (what == "rho_mlp") return rho_mlp_.step();
    if (what == "rho_unet") return rho_unet_.step();
    if (what == "forward") {
      const torch::NoGradGuard no_grad;
      const auto& layout = model_.layout();
      (void)model_.predict_x0(torch::zeros({1, layout.horizon, layout.width()}),
                              torch::ones({1}, torch::kLong));
    } else if (what == "plan") {
      (void)average_.sample(1, start_, {.sampler = "ddpm"});
    } else if (what == "ddim") {
      (void)average_.sample(1, start_, {.sampler = "ddim", .steps = config_.timesteps / 4});
    } else if (what == "guided") {
      (void)average_.sample(train_.batch, start_,
                            {.sampler = "ddpm", .scale = 0.1, .guide_at = "x_t", .guide_steps = 2}, &guide_);
    } else {
      throw std::runtime_error("unknown: " + what);
    }
  }

 private:
  void train(int passes) {
    const Batch batch = batches_.make(pool_, train_.batch, Streams(Purpose::kBatches, 0)[step_++]);
    BatchParts(passes).sum(train_.batch, optimizer_.gradient(), [&](const BatchPart& part) {
      return add_loss_gradient(*model_.impl().net, batch, part);
    });
    optimizer_.step(optimizer_settings(train_, 0), 0);
  }

  Dataset data_;
  DiffusionConfig config_;
  DiffusionModel model_, average_;
  DiffusionTrainConfig train_;
  WindowSampler windows_;
  EpisodeWindows pool_;
  BatchMaker batches_;
  Optimizer optimizer_;
  HalfUnetGuide guide_;
  std::vector<Condition> start_;
  Matching rho_mlp_, rho_unet_;
  std::uint64_t step_ = 0;
};

double median_ms(const std::function<void()>& call, double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  std::vector<double> times;
  do {
    const auto before = Clock::now();
    call();
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - before).count());
  } while (std::chrono::duration<double>(Clock::now() - begin).count() < seconds);
  std::ranges::nth_element(times, times.begin() + std::ptrdiff_t(times.size() / 2));
  return times[times.size() / 2];
}

}  // namespace
}  // namespace diffreward

int main(int argc, char** argv) {
  using namespace diffreward;
  std::unique_ptr<Job> made;
  try {
    torch::set_num_threads(std::stoi(argc == 3 ? argv[2] : ""));
    made = std::make_unique<Job>(parse(argv[1]));
  } catch (const std::exception& error) {
    std::cerr << "denoiser_throughput: " << error.what()
              << "\nusage: denoiser_throughput hopper|halfcheetah|umaze|large[:horizon=H][:batch=B][:dim=D] "
                 "THREADS\n";
    return 2;
  }
  Job& job = *made;
  std::cout << "ready" << std::endl;
  std::string what;
  for (double seconds = 0; std::cin >> what >> seconds;) {
    if (what == "memory") {
      rusage usage{};
      getrusage(RUSAGE_SELF, &usage);
      std::cout << double(usage.ru_maxrss) / 1024 << std::endl;
    } else {
      std::cout << median_ms([&] { job.run(what); }, seconds) << std::endl;
    }
  }
}
