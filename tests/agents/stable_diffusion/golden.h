// Pipelines that Python's diffusers wrote, with what it makes of them (tests/oracle/stable_diffusion_goldens.py).
#pragma once

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <string>

#include "agents/nets/tensor_file_torch.h"
#include "agents/stable_diffusion/stable_diffusion_torch.h"

namespace diffreward {

inline std::filesystem::path golden_folder(const std::string& name) {
  return std::filesystem::path(DIFFREWARD_SOURCE_DIR) / "tests/golden/stable_diffusion" / name;
}

class Goldens {
 public:
  explicit Goldens(const std::string& name)
      : file_(Safetensors::open(golden_folder(name) / "goldens.safetensors")) {}
  torch::Tensor operator()(const std::string& name) const { return tensor_from(file_.at(name), name); }
  bool has(const std::string& name) const { return file_.tensors().contains(name); }
  const Safetensors& file() const { return file_; }

 private:
  Safetensors file_;
};

/// The largest error so far of each group, for the log.
class Errors {
 public:
  ~Errors() {
    for (const auto& [group, error] : largest_)
      ::testing::Test::RecordProperty("largest error, " + group, concat(error));
  }
  void expect_near(const std::string& group, const std::string& name, const torch::Tensor& found,
                   const torch::Tensor& expected, double tolerance) {
    ASSERT_EQ(found.sizes(), expected.sizes()) << name;
    ASSERT_EQ(found.scalar_type(), expected.scalar_type()) << name;
    const double error = (found - expected).abs().max().item<double>();
    EXPECT_LE(error, tolerance) << name;
    largest_[group] = std::max(largest_[group], error);
  }
  const std::map<std::string, double>& largest() const { return largest_; }

 private:
  std::map<std::string, double> largest_;
};

}  // namespace diffreward
