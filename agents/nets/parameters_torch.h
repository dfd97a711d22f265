// The parameters of a net: by name, and as one vector.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/rng.h"
#include "core/safetensors.h"

namespace diffreward {

/// The named parameters of a net in order of creation. Values come from a generator of its own, drawn on the
/// CPU, so that one seed gives the same net on every device and leaves LibTorch's global generator alone.
class Parameters {
 public:
  Parameters(Seed seed, const torch::Device& device);
  /// Values of a file's tensors `prefix` + name, each compared with what the net asks for before anything is
  /// allocated: what a file's settings claim costs no memory that the file does not hold. `values` must live
  /// until finish().
  Parameters(const Safetensors& values, const std::filesystem::path& file, std::string prefix,
             const torch::Device& device);
  /// The same for a net that is used as it is, its numbers of `type` and without gradients. On the CPU they stay in the
  /// mapped file where they are of that type there.
  Parameters(const Safetensors& values, const std::filesystem::path& file, std::string prefix,
             const torch::Device& device, torch::ScalarType type);
  /// Of a complete net. Throws Error where the file holds more tensors of that prefix than the net asked for.
  void finish();

  /// For a net that is a part of this one: from the same file, named `name`.xxx there, or from a generator of its own.
  Parameters part(const std::string& name);
  /// Takes over those of such a part, as `name`.xxx, once it is complete: one tensor under two names. The part must stay where
  /// it is, and is told of the flat vectors, in which its own lie together.
  void adopt(const std::string& name, Parameters& part);

  /// U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's default for linear and convolution layers.
  torch::Tensor uniform(const std::string& name, at::IntArrayRef shape, std::int64_t fan_in);
  /// [rows, columns] with orthonormal rows or columns, whichever are fewer, times `gain` (Saxe et al. 2014).
  torch::Tensor orthogonal(const std::string& name, std::int64_t rows, std::int64_t columns, double gain);
  torch::Tensor constant(const std::string& name, at::IntArrayRef shape, double value);

  const std::vector<std::pair<std::string, torch::Tensor>>& named() const { return named_; }
  const torch::Device& device() const { return device_; }
  torch::ScalarType type() const { return type_; }
  std::int64_t count() const;

  /// Copies every parameter from a file's tensors of equal names. Throws Error naming `file`, the parameter,
  /// what was expected and what was found; the parameters are then unchanged.
  void read(const Safetensors& tensors, const std::filesystem::path& file);
  /// Moves all values into one contiguous vector of which the parameters become views, so that an optimiser
  /// and an average over all of them cost one pass. Weights of convolutions lie there tap by tap, [taps, in,
  /// out], as their kernels read them. Calling it again returns the same vector.
  const torch::Tensor& flatten();  // [count()]
  /// The same for gradients: from now on backward() adds to this vector, of which every parameter's grad is a
  /// view, and some nets do so without telling LibTorch, so that torch::autograd::grad() in the parameters is
  /// not available.
  const torch::Tensor& collect_gradients();  // [count()]
  bool collects_gradients() const { return gradient_.defined(); }
  /// Another number after every change in place of values, through the parameters or their flat vector.
  std::int64_t version() const;

 private:
  struct Source {
    const Safetensors* values;
    std::filesystem::path file;
    std::string prefix;
    /// The tensor of a parameter. Throws Error naming the file and the tensor.
    torch::Tensor at(const std::string& name, at::IntArrayRef shape, bool mapped = false) const;
    void refuse_others(const std::vector<std::pair<std::string, torch::Tensor>>& known) const;
  };
  template <class Make>
  torch::Tensor add(const std::string& name, at::IntArrayRef shape, const Make& make);

  torch::Device device_;
  torch::ScalarType type_ = torch::kFloat;
  bool frozen_ = false;  // without gradients
  Rng rng_;
  std::optional<Source> source_;  // until finish()
  /// Calls body(i, part) for every parameter with its part of a flat vector, shaped as the parameter.
  template <class Body>
  void for_parts(const torch::Tensor& flat, const Body& body);

  std::vector<std::pair<std::string, torch::Tensor>> named_;
  torch::Tensor flat_, gradient_;
  struct Part {
    Parameters* parameters;
    std::int64_t begin;  // of its own in the flat vectors
  };
  std::vector<Part> parts_;
};

struct Linear {
  torch::Tensor weight, bias;  // [out, in], [out] or undefined
  Linear(Parameters& parameters, const std::string& name, std::int64_t in, std::int64_t out,
         bool with_bias = true);
  torch::Tensor operator()(const torch::Tensor& x) const { return torch::linear(x, weight, bias); }
};

/// Over the last dimension.
struct LayerNorm {
  torch::Tensor weight, bias;  // [size]
  double epsilon;
  LayerNorm(Parameters& parameters, const std::string& name, std::int64_t size, double epsilon = 1e-5);
  torch::Tensor operator()(const torch::Tensor& x) const {
    return torch::layer_norm(x, weight.sizes(), weight, bias, epsilon);
  }
};

/// [sin(t w_k), cos(t w_k)] with w_k = 10000^(-k / (size / 2 - 1)), Diffuser's time embedding.  t: [n] -> [n,
/// size]
torch::Tensor sinusoidal_embedding(const torch::Tensor& t, std::int64_t size);

}  // namespace diffreward
