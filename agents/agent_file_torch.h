// Files of agents that learn: a kind, the environment that the agent was made for, its config, where its training stands,
// and tensors. Includes LibTorch: for sources.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "agents/nets/tensor_file_torch.h"
#include "core/config.h"
#include "envs/vector_env.h"

namespace diffreward {

torch::Tensor doubles(const std::vector<double>& values);

/// Writes such a file, atomically. Action bounds are stored beside the tensors.
void save_agent(const std::filesystem::path& path, const std::string& kind, const EnvSpec& env,
                const Json& config, const Json& progress, NamedTensors tensors);

class AgentFile {
 public:
  /// Opens the file of an agent that is to act in `env`. Throws Error naming the file, and what was expected and found,
  /// for another kind, another robot or maze family (its id up to the first '-'), other sizes or another action box.
  AgentFile(std::filesystem::path path, const std::string& kind, const EnvSpec& env);

  /// Metadata 'config' as a Config, checked by `check` before anything is made from it.
  template <class Config, class Check>
  Config config(const Check& check) const {
    return read_entry(file_, path_, "config", [&](const Json& json) {
      Config out;
      update(out, json);
      check(out);
      return out;
    });
  }
  /// Metadata 'progress' by `convert`.
  template <class Convert>
  auto progress(const Convert& convert) const {
    return read_entry(file_, path_, "progress", convert);
  }
  /// Throws Error naming the first setting in which this file's agent differs.
  void require_settings(const Json& config, std::uint64_t seed) const;
  /// Throws Error naming the file and the tensor if it is not of this type and shape.
  const TensorBytes& expect(const std::string& tensor, const std::string& dtype, at::IntArrayRef shape) const;
  /// Copies a tensor into `out`. Throws Error for another type or shape and for numbers that are not finite.
  void read(const std::string& tensor, const torch::Tensor& out) const;
  std::vector<double> read_doubles(const std::string& tensor, std::size_t size) const;
  /// The same with infinities allowed.
  std::vector<double> read_bounds(const std::string& tensor, std::size_t size) const;

  /// Sets the state of `env` from the tensor 'env'.
  void read_env(VectorEnv& env) const;

  const Safetensors& tensors() const { return file_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::vector<double> numbers(const std::string& tensor, std::size_t size, bool finite) const;

  std::filesystem::path path_;
  Safetensors file_;
};

}  // namespace diffreward
