// CLIP's text encoder (Radford et al. 2021), which turns the tokens of a prompt into what the U-Net attends to: a
// transformer with causal attention and normalisation before each part. Parameters have the names of transformers'
// CLIPTextModel, without the prefix text_model. that older files have.
#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "agents/stable_diffusion/component.h"
#include "agents/stable_diffusion/layers_torch.h"

namespace diffreward {

struct ClipTextConfig {
  std::int64_t vocab_size = 49408, max_position_embeddings = 77;
  std::int64_t hidden_size = 768, intermediate_size = 3072;
  std::int64_t num_hidden_layers = 12, num_attention_heads = 12;
  std::string hidden_act = "quick_gelu";  // x sigmoid(1.702 x); or gelu
  double layer_norm_eps = 1e-5;
  /// Throws Error naming the file and the key for what is not supported.
  static ClipTextConfig read(ComponentConfig& config);
};

class ClipTextModel {
 public:
  ClipTextModel(const ClipTextConfig& config, Parameters parameters);
  /// The name that this net gives to a tensor of a file; "" for one that it has no use for.
  static std::string parameter_name(const std::string& name);

  /// The last layer's output, normalised.  ids: [n, length] int64, length at most max_position_embeddings ->
  /// [n, length, hidden_size]. Throws InvalidArgument for ids outside of the vocabulary.
  torch::Tensor forward(const torch::Tensor& ids, const Watch& watch = {}) const;

  const ClipTextConfig& config() const { return config_; }
  Parameters parameters;

 private:
  struct Layer {
    LayerNorm norm1;
    Linear k, v, q, out;
    LayerNorm norm2;
    Linear fc1, fc2;
    Layer(Parameters& parameters, const std::string& name, const ClipTextConfig& config);
  };
  torch::Tensor activated(const torch::Tensor& x) const;

  ClipTextConfig config_;
  torch::Tensor tokens_, positions_;  // [vocab_size, hidden_size], [max_position_embeddings, hidden_size]
  std::vector<Layer> layers_;
  LayerNorm norm_;
};

}  // namespace diffreward
