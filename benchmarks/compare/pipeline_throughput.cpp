// Milliseconds of one training step of a small pipeline's text encoder and U-Net, for benchmarks/compare/pipeline.py.
//
//   pipeline_throughput VOCABULARY BATCH THREADS
//
// reads lines "train SECONDS" or "weights 0" and answers each: with the median time of one step, in milliseconds, over about so
// many seconds, or with the number of the U-Net's weights. Nets as in PipelineConfig's defaults, made latents.
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>

#include "agents/nets/optimizer_torch.h"
#include "agents/stable_diffusion/pipeline_torch.h"

namespace diffreward {
namespace {

class Step {
 public:
  Step(int vocabulary, std::int64_t batch)
      : net_({}, vocabulary, Seed(1), torch::kCPU),
        average_({}, vocabulary, Seed(1), torch::kCPU),
        optimizer_(net_.parameters, &average_.parameters),
        x_(torch::randn({batch, 4, 16, 16})),
        noise_(torch::randn_like(x_)),
        t_(torch::randint(0, 1000, {batch}, torch::kLong)),
        ids_(torch::randint(0, vocabulary, {batch, 16}, torch::kLong)) {}

  void run() {
    torch::mse_loss(net_.forward(x_, t_, ids_), noise_).backward();
    optimizer_.step({.lr = 5e-4}, optimizer_.gradient_norm());
  }
  std::int64_t weights() const { return net_.unet.parameters.count(); }

 private:
  PromptedUnet net_, average_;
  Optimizer optimizer_;
  torch::Tensor x_, noise_, t_, ids_;
};

double median_ms(Step& step, double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  std::vector<double> times;
  do {
    const auto before = Clock::now();
    step.run();
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - before).count());
  } while (std::chrono::duration<double>(Clock::now() - begin).count() < seconds);
  std::ranges::nth_element(times, times.begin() + std::ptrdiff_t(times.size() / 2));
  return times[times.size() / 2];
}

}  // namespace
}  // namespace diffreward

int main(int argc, char** argv) {
  using namespace diffreward;
  std::unique_ptr<Step> step;
  try {
    if (argc != 4) throw std::runtime_error("expected three arguments");
    torch::set_num_threads(std::stoi(argv[3]));
    step = std::make_unique<Step>(std::stoi(argv[1]), std::stoi(argv[2]));
  } catch (const std::exception& error) {
    std::cerr << "pipeline_throughput: " << error.what()
              << "\nusage: pipeline_throughput VOCABULARY BATCH THREADS\n";
    return 2;
  }
  std::cout << "ready" << std::endl;
  std::string what;
  for (double seconds = 0; std::cin >> what >> seconds;)
    std::cout << (what == "weights" ? static_cast<double>(step->weights()) : median_ms(*step, seconds))
              << std::endl;
}
