// Schedulers of latents, as diffusers has them: which timesteps a chain visits, and how a prediction of the noise takes
// it from one to the next. Tables are those of diffusers, in single precision; coefficients are doubles.
//
// a = sqrt(abar), b = sqrt(1 - abar), s = b / a; t is the timestep, p the one after it.
//   ddim        x_p = a_p (x - b_t eps) / a_t + b_p eps                                   (Song et al. 2021, eta = 0)
//   pndm        the same of a mean of the last four eps, Adams-Bashforth, without Runge-Kutta steps; the second timestep
//               is visited twice                                                           (Liu et al. 2022; PLMS)
//   dpm_solver  x_p = b_p / b_t x - a_p (e^-h - 1) D,  h = l_p - l_t, l = log(a / b), D = x_0 + (x_0 - x_0 before) / (2 r),
//               r = h before / h                                                    (Lu et al. 2022, DPM-Solver++ 2M)
//   euler       x_p = x + (s_p - s_t) eps, x being the latent over a; the net is given a x              (Karras et al. 2022)
#pragma once

#include <torch/torch.h>

#include <memory>
#include <string>
#include <vector>

#include "agents/stable_diffusion/component.h"

namespace diffreward {

struct SchedulerConfig {
  std::string kind = "pndm";  // ddim, pndm, dpm_solver or euler
  int timesteps = 1000;       // of training
  double beta_start = 0.00085, beta_end = 0.012;
  std::string beta_schedule = "scaled_linear";  // or linear
  std::vector<double> betas;                    // given ones, in their place
  std::string spacing = "leading";              // leading, linspace or trailing
  bool set_alpha_to_one = false;                // abar behind the last step; else that of timestep 0
  std::string final_sigma = "zero";             // or sigma_min (dpm_solver, euler)
  bool lower_order_final = true, euler_at_final = false;  // dpm_solver

  /// Of a scheduler_config.json; `kind`: another scheduler than it names, made from its keys as diffusers'
  /// from_config() does. Throws Error naming the file and the key for what is not supported.
  static SchedulerConfig read(ComponentConfig& config, const std::string& kind = "");
};

/// A chain: a value, whose copies go on by themselves.
class DiffusionScheduler {
 public:
  /// Throws InvalidArgument where `steps` are more than the config has timesteps for.
  DiffusionScheduler(const SchedulerConfig& config, int steps);

  /// Where the net is evaluated, in order; pndm has one more than steps.
  const std::vector<double>& timesteps() const { return plan_->timesteps; }
  /// Noise levels s, of each timestep and behind the last (dpm_solver, euler; else empty).
  const std::vector<double>& sigmas() const { return plan_->sigmas; }
  /// Deviation of the latents that a chain begins with.
  double init_noise_sigma() const { return plan_->init_noise_sigma; }
  int index() const { return index_; }  ///< steps taken
  bool done() const { return index_ == static_cast<int>(timesteps().size()); }

  /// Latents as the net takes them at this step.
  torch::Tensor scale_model_input(const torch::Tensor& latents) const;
  /// Latents after this step, for the eps predicted at it. Computed in single precision at least, given as eps is.
  torch::Tensor step(const torch::Tensor& eps, const torch::Tensor& latents);

 private:
  struct Plan {
    SchedulerConfig config;
    int stride;  // timesteps between steps
    std::vector<double> alpha_bar, timesteps, sigmas;
    double final_alpha_bar, init_noise_sigma;
    double alpha_bar_at(int t) const {
      return t >= 0 ? alpha_bar[static_cast<std::size_t>(t)] : final_alpha_bar;
    }
  };
  torch::Tensor ddim(const torch::Tensor& eps, const torch::Tensor& x) const;
  torch::Tensor pndm(torch::Tensor eps, torch::Tensor x);
  torch::Tensor dpm_solver(const torch::Tensor& eps, const torch::Tensor& x);

  std::shared_ptr<const Plan> plan_;
  int index_ = 0;
  std::vector<torch::Tensor> before_;  // pndm: eps of the last steps; dpm_solver: x_0 of the last one
  torch::Tensor first_;                // pndm: latents of the first step, for its second half
};

/// abar_t of every timestep of training, in single precision. [timesteps]
torch::Tensor alpha_bars(const SchedulerConfig& config);

/// min(SNR, gamma) / SNR with SNR = abar / (1 - abar): weights of errors of eps (min-SNR, Hang et al. 2023). 1 for gamma 0.
torch::Tensor min_snr_weights(const torch::Tensor& alpha_bar, double gamma);

}  // namespace diffreward
