// Diffusion models known in closed form: Gaussian mixtures of independent rows, whose noised density,
// denoiser and score are exact at every timestep. Model units are data units.
//
//   x_0 ~ sum_k w_k N(m_k, S_k)   =>   x_t ~ sum_k w_k N(sqrt(abar) m_k, C_k),  C_k = abar S_k + (1 - abar) I
//   E[x_0 | x_t] = sum_k r_k(x_t) (m_k + sqrt(abar) S_k C_k^-1 (x_t - sqrt(abar) m_k)),  r_k the
//   responsibilities
#pragma once

#include <torch/torch.h>

#include <cmath>
#include <functional>
#include <numbers>
#include <string>
#include <vector>

#include "agents/diffusion/window_model.h"
#include "core/statistics.h"

namespace diffreward::testing {

struct Gaussian {
  double weight;
  std::vector<double> mean;        // [dim]
  std::vector<double> covariance;  // [dim, dim]
};

inline Normalizer identity_normalizer(int columns) {
  return {"gaussian", std::vector<double>(static_cast<std::size_t>(columns), 0.0),
          std::vector<double>(static_cast<std::size_t>(columns), 1.0)};
}

class MixtureModel : public WindowModel {
 public:
  MixtureModel(const std::vector<Gaussian>& components, int horizon, const NoiseSchedule& schedule)
      : layout_{horizon, 1, 0, static_cast<int>(components.at(0).mean.size())},
        normalizer_(identity_normalizer(layout_.observation_dim)),
        schedule_(schedule) {
    for (const Gaussian& gaussian : components) components_.emplace_back(gaussian, schedule);
  }

  const WindowLayout& layout() const override { return layout_; }
  const Normalizer& normalizer() const override { return normalizer_; }
  const NoiseSchedule& schedule() const override { return schedule_; }
  const std::string& device() const override { return device_; }

  at::Tensor predict_x0(const at::Tensor& x_t, const at::Tensor& t) const override {
    const torch::NoGradGuard no_grad;
    const auto [x, rows_t] = rows(x_t, t);
    std::vector<torch::Tensor> means, logs;
    for (const Component& component : components_) {
      means.push_back(component.posterior(x, rows_t));
      logs.push_back(component.log_density(x, rows_t));
    }
    const torch::Tensor responsibility = torch::stack(logs).softmax(0).unsqueeze(2);
    return (responsibility * torch::stack(means)).sum(0).view(x_t.sizes()).to(torch::kFloat);
  }

  /// log p_t of whole windows, [n] double.
  torch::Tensor log_density(const torch::Tensor& x_t, const torch::Tensor& t) const {
    const auto [x, rows_t] = rows(x_t, t);
    std::vector<torch::Tensor> logs;
    for (const Component& component : components_) logs.push_back(component.log_density(x, rows_t));
    return torch::stack(logs).logsumexp(0).view({x_t.size(0), layout_.horizon}).sum(1);
  }

  /// n windows of x_0, [n, horizon, dim].
  std::vector<float> draw(int n, Rng& rng) const {
    std::vector<float> out;
    for (int row = 0; row < n * layout_.horizon; ++row) {
      double pick = rng.uniform();
      std::size_t k = 0;
      while (k + 1 < components_.size() && pick >= components_[k].weight) pick -= components_[k++].weight;
      components_[k].draw(rng, out);
    }
    return out;
  }

  /// Such windows as a data set, one episode each.
  Dataset data(int n, std::uint64_t seed) const {
    Rng rng(seed);
    Dataset::Columns columns;
    columns.observation_dim = static_cast<std::size_t>(layout_.observation_dim);
    columns.observations = draw(n, rng);
    columns.next_observations = columns.observations;
    const auto count = static_cast<std::size_t>(n * layout_.horizon);
    columns.rewards.assign(count, 0);
    columns.terminals.assign(count, 0);
    for (std::size_t row = 0; row < count; ++row)
      columns.timeouts.push_back((row + 1) % static_cast<std::size_t>(layout_.horizon) == 0);
    return Dataset::from_columns(std::move(columns));
  }

 private:
  struct Component {
    double weight;
    torch::Tensor mean, root;                       // [dim], [dim, dim] Cholesky factor of S
    torch::Tensor signal, inverse, gain, log_norm;  // [T], [T, dim, dim] C^-1, [T, dim, dim], [T]

    Component(const Gaussian& gaussian, const NoiseSchedule& schedule)
        : weight(gaussian.weight), mean(torch::tensor(gaussian.mean, torch::kDouble)) {
      const std::int64_t dim = mean.size(0);
      const torch::Tensor covariance = torch::tensor(gaussian.covariance, torch::kDouble).view({dim, dim});
      root = torch::linalg_cholesky(covariance).contiguous();
      const torch::Tensor abar = torch::tensor(schedule.alpha_bar, torch::kDouble).view({-1, 1, 1});
      const torch::Tensor noised = abar * covariance + (1 - abar) * torch::eye(dim, torch::kDouble);
      signal = abar.flatten().sqrt();
      inverse = torch::linalg_inv(noised);
      gain = abar.sqrt() * torch::matmul(covariance, inverse);
      log_norm = std::log(weight) - 0.5 * torch::logdet(noised) -
                 0.5 * static_cast<double>(dim) * std::log(2 * std::numbers::pi);
    }
    torch::Tensor centred(const torch::Tensor& x, const torch::Tensor& t) const {
      return x - signal.index_select(0, t).unsqueeze(1) * mean;
    }
    torch::Tensor posterior(const torch::Tensor& x, const torch::Tensor& t) const {
      return mean + torch::matmul(gain.index_select(0, t), centred(x, t).unsqueeze(2)).squeeze(2);
    }
    torch::Tensor log_density(const torch::Tensor& x, const torch::Tensor& t) const {
      const torch::Tensor c = centred(x, t);
      const torch::Tensor square =
          (torch::matmul(inverse.index_select(0, t), c.unsqueeze(2)).squeeze(2) * c).sum(1);
      return log_norm.index_select(0, t) - 0.5 * square;
    }
    void draw(Rng& rng, std::vector<float>& out) const {
      const auto dim = static_cast<std::size_t>(mean.size(0));
      const double *m = mean.data_ptr<double>(), *r = root.data_ptr<double>();
      std::vector<double> z(dim);
      for (double& value : z) value = rng.normal();
      for (std::size_t i = 0; i < dim; ++i) {
        double x = m[i];
        for (std::size_t j = 0; j <= i; ++j) x += r[i * dim + j] * z[j];
        out.push_back(static_cast<float>(x));
      }
    }
  };

  /// Every row on its own with its timestep, in double.
  std::pair<torch::Tensor, torch::Tensor> rows(const torch::Tensor& x_t, const torch::Tensor& t) const {
    return {x_t.reshape({-1, layout_.observation_dim}).to(torch::kDouble),
            t.repeat_interleave(layout_.horizon)};
  }

  WindowLayout layout_;
  Normalizer normalizer_;
  NoiseSchedule schedule_;
  std::string device_ = "cpu";
  std::vector<Component> components_;
};

/// n noised windows at timestep t, half of each model: what rho is judged on.
struct Noised {
  torch::Tensor x_t, t;
};
inline Noised noised_samples(const MixtureModel& expert, const MixtureModel& base, int n, int t,
                             std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> x_0 = expert.draw(n / 2, rng);
  const std::vector<float> more = base.draw(n - n / 2, rng);
  x_0.insert(x_0.end(), more.begin(), more.end());
  const torch::Tensor clean =
      torch::tensor(x_0).view({n, base.layout().horizon, base.layout().observation_dim});
  torch::Generator generator = at::detail::createCPUGenerator(seed);
  const torch::Tensor when = torch::full({n}, t, torch::kLong);
  return {base.add_noise(clean, when, torch::randn(clean.sizes(), generator)), when};
}

inline std::vector<double> numbers(const torch::Tensor& values) {
  const torch::Tensor flat = values.detach().to(torch::kDouble).contiguous().flatten();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

}  // namespace diffreward::testing
