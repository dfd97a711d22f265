// Means of numbers that stay on the device until a line of metrics asks for them.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <utility>

namespace diffreward {

class RunningMeans {
 public:
  /// Numbers [] of one update.
  void add(std::initializer_list<std::pair<const char*, torch::Tensor>> numbers) {
    const torch::NoGradGuard no_grad;
    for (const auto& [name, number] : numbers) {
      auto& [sum, count] = sums_[name];
      sum = count++ > 0 ? sum + number : number.detach();
    }
  }
  /// Writes the means since the latest call.
  void tell(std::map<std::string, double>& details) {
    for (const auto& [name, sum] : sums_)
      details[name] = sum.first.item<double>() / static_cast<double>(sum.second);
    sums_.clear();
  }

 private:
  std::map<std::string, std::pair<torch::Tensor, std::int64_t>> sums_;  // and how many
};

}  // namespace diffreward
