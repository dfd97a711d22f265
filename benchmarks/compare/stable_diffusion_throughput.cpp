// What Stable Diffusion costs, for benchmarks/compare/stable_diffusion.py.
//
//   stable_diffusion_throughput FOLDER THREADS TYPE
//
// reads lines "WHAT SECONDS" and answers each with one number; times are the medians of calls over about so many seconds, at
// least one, in milliseconds. FOLDER is read when something first needs it. WHAT:
//   load             ms from before the folder is read to after a first step, 64 x 64 pixels (once)
//   unet1, unet3     the U-Net on a batch of 1 and 3, 512 x 512 pixels
//   sld              a chain of one step of Safe Latent Diffusion, from texts that are embedded
//   decode           latents to an image, 512 x 512
//   train            an optimiser step of text encoder and U-Net of PipelineConfig's defaults, batch 64
//   decode_memory    MB by which decoding raises the process's resident size at most
//   resident         MB of its resident size
//   weights          the folder's number of weights
//   train_weights    of the U-Net that `train` trains
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <iomanip>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "agents/nets/optimizer_torch.h"
#include "agents/stable_diffusion/pipeline_torch.h"
#include "agents/stable_diffusion/stable_diffusion_torch.h"
#include "core/error.h"

namespace diffreward {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

double median_ms(const std::function<void()>& call, double seconds) {
  const auto begin = Clock::now();
  std::vector<double> times;
  do {
    const auto before = Clock::now();
    call();
    times.push_back(ms_since(before));
  } while (ms_since(begin) < 1e3 * seconds);
  std::ranges::nth_element(times, times.begin() + std::ptrdiff_t(times.size() / 2));
  return times[times.size() / 2];
}

/// A figure of /proc/self/status, MB.
double process_mb(const std::string& name) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line))
    if (line.starts_with(name + ":")) return std::stod(line.substr(name.size() + 1)) / 1024;
  throw Error("/proc/self/status: expected " + name + ", found none");
}

/// The largest resident size while `call` runs, over the one before, MB.
double growth_mb(const std::function<void()>& call) {
  std::ofstream("/proc/self/clear_refs") << "5";  // the largest size so far becomes the present one
  const double before = process_mb("VmRSS");
  call();
  return process_mb("VmHWM") - before;
}

/// Text encoder and U-Net, trained together on made latents.
class Training {
 public:
  Training()
      : net_({}, kVocabulary, Seed(1), torch::kCPU),
        average_({}, kVocabulary, Seed(1), torch::kCPU),
        optimizer_(net_.parameters, &average_.parameters),
        x_(torch::randn({64, 4, 16, 16})),
        noise_(torch::randn_like(x_)),
        t_(torch::randint(0, 1000, {64}, torch::kLong)),
        ids_(torch::randint(0, kVocabulary, {64, 16}, torch::kLong)) {}

  void step() {
    torch::mse_loss(net_.forward(x_, t_, ids_), noise_).backward();
    optimizer_.step({.lr = 5e-4}, optimizer_.gradient_norm());
  }
  std::int64_t weights() const { return net_.unet.parameters.count(); }

 private:
  static constexpr int kVocabulary = 49408;
  PromptedUnet net_, average_;
  Optimizer optimizer_;
  torch::Tensor x_, noise_, t_, ids_;
};

class Job {
 public:
  Job(std::filesystem::path folder, std::string type) : folder_(std::move(folder)), type_(std::move(type)) {}

  double measure(const std::string& what, double seconds) {
    if (what == "train" || what == "train_weights") {
      if (!training_) training_ = std::make_unique<Training>();
      if (what == "train_weights") return static_cast<double>(training_->weights());
      return median_ms([&] { training_->step(); }, seconds);
    }
    if (what == "resident") return process_mb("VmRSS");
    const torch::NoGradGuard no_grad;
    if (what == "load") {
      const auto begin = Clock::now();
      unet(1, 8);
      return ms_since(begin);
    }
    if (what == "weights") return static_cast<double>(model().parameters());
    if (what == "unet1") return median_ms([&] { unet(1, 64); }, seconds);
    if (what == "unet3") return median_ms([&] { unet(3, 64); }, seconds);
    if (what == "sld") return median_ms([&] { sld(); }, seconds);
    if (what == "decode") return median_ms([&] { decode(64); }, seconds);
    if (what == "decode_memory") {
      decode(8);  // whose weights are resident then
      return growth_mb([&] { decode(64); });
    }
    throw InvalidArgument("WHAT: unknown " + what);
  }

 private:
  const StableDiffusion& model() {
    if (!model_) model_ = StableDiffusion::load(folder_, "cpu", type_);
    return *model_;
  }
  torch::Tensor numbers(at::IntArrayRef shape) {
    return seeded_normal(0, shape, torch::kFloat).to(model().impl().type);
  }
  void unet(std::int64_t n, std::int64_t side) {
    const std::int64_t width = model().impl().unet.config().cross_attention_dim;
    (void)model().eps(numbers({n, 4, side, side}), torch::full({1}, 481.0f), numbers({n, 77, width}));
  }
  void sld() {
    const torch::Tensor text = numbers({1, 77, model().impl().unet.config().cross_attention_dim});
    ImageSampleConfig config;
    config.steps = 1;
    config.scheduler = "ddim";
    config.safety.preset = "max";
    (void)model().sample_embedded(text, text, text, config, {}, {});
  }
  void decode(std::int64_t side) { (void)model().decode(numbers({1, 4, side, side})); }

  std::filesystem::path folder_;
  std::string type_;
  std::optional<StableDiffusion> model_;
  std::unique_ptr<Training> training_;
};

}  // namespace
}  // namespace diffreward

int main(int argc, char** argv) {
  using namespace diffreward;
  try {
    require(argc == 4, "expected three arguments");
    torch::set_num_threads(std::stoi(argv[2]));
    Job job(argv[1], argv[3]);
    std::cout << std::setprecision(12) << "ready" << std::endl;
    std::string what;
    for (double seconds = 0; std::cin >> what >> seconds;)
      std::cout << job.measure(what, seconds) << std::endl;
  } catch (const std::exception& error) {
    std::cerr << "stable_diffusion_throughput: " << error.what()
              << "\nusage: stable_diffusion_throughput FOLDER THREADS TYPE\n";
    return 2;
  }
}
