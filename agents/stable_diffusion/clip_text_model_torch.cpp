#include "agents/stable_diffusion/clip_text_model_torch.h"

#include "core/error.h"

namespace diffreward {

ClipTextConfig ClipTextConfig::read(ComponentConfig& config) {
  ClipTextConfig out;
  // transformers' defaults, which are not those of SD's encoder
  out.vocab_size = config.size("vocab_size", 49408);
  out.max_position_embeddings = config.size("max_position_embeddings", 77);
  out.hidden_size = config.size("hidden_size", 512);
  out.intermediate_size = config.size("intermediate_size", 2048);
  out.num_hidden_layers = config.size("num_hidden_layers", 12);
  out.num_attention_heads = config.size("num_attention_heads", 8);
  out.hidden_act = config.get<std::string>("hidden_act", "quick_gelu");
  out.layer_norm_eps = config.get<double>("layer_norm_eps", 1e-5);
  if (out.hidden_act != "quick_gelu" && out.hidden_act != "gelu")
    config.refuse("hidden_act", "quick_gelu or gelu");
  if (out.hidden_size % out.num_attention_heads != 0)
    config.refuse("num_attention_heads", concat("a divisor of the hidden size ", out.hidden_size));
  config.only("model_type", "clip_text_model");
  config.ignore({"architectures", "attention_dropout", "bos_token_id", "dropout", "dtype", "eos_token_id",
                 "initializer_factor", "initializer_range", "pad_token_id", "projection_dim", "torch_dtype",
                 "transformers_version", "use_cache"});
  return out;
}

std::string ClipTextModel::parameter_name(const std::string& name) {
  const std::string prefix = "text_model.";
  const std::string bare = name.starts_with(prefix) ? name.substr(prefix.size()) : name;
  return bare == "embeddings.position_ids" ? "" : bare;
}

ClipTextModel::Layer::Layer(Parameters& parameters, const std::string& name, const ClipTextConfig& config)
    : norm1(parameters, name + ".layer_norm1", config.hidden_size, config.layer_norm_eps),
      k(parameters, name + ".self_attn.k_proj", config.hidden_size, config.hidden_size),
      v(parameters, name + ".self_attn.v_proj", config.hidden_size, config.hidden_size),
      q(parameters, name + ".self_attn.q_proj", config.hidden_size, config.hidden_size),
      out(parameters, name + ".self_attn.out_proj", config.hidden_size, config.hidden_size),
      norm2(parameters, name + ".layer_norm2", config.hidden_size, config.layer_norm_eps),
      fc1(parameters, name + ".mlp.fc1", config.hidden_size, config.intermediate_size),
      fc2(parameters, name + ".mlp.fc2", config.intermediate_size, config.hidden_size) {}

ClipTextModel::ClipTextModel(const ClipTextConfig& config, Parameters initial)
    : parameters(std::move(initial)),
      config_(config),
      tokens_(parameters.uniform("embeddings.token_embedding.weight", {config.vocab_size, config.hidden_size},
                                 config.hidden_size)),
      positions_(parameters.uniform("embeddings.position_embedding.weight",
                                    {config.max_position_embeddings, config.hidden_size},
                                    config.hidden_size)),
      layers_([&] {
        std::vector<Layer> layers;
        for (std::int64_t i = 0; i < config.num_hidden_layers; ++i)
          layers.emplace_back(parameters, "encoder.layers." + std::to_string(i), config);
        return layers;
      }()),
      norm_(parameters, "final_layer_norm", config.hidden_size, config.layer_norm_eps) {
  parameters.finish();
}

torch::Tensor ClipTextModel::forward(const torch::Tensor& ids, const Watch& watch) const {
  require(ids.dim() == 2 && ids.size(1) >= 1 && ids.size(1) <= config_.max_position_embeddings,
          "ids: expected [n, length] with length at most ", config_.max_position_embeddings, ", got ",
          ids.sizes());
  require(ids.numel() == 0 ||
              (ids.min().item<std::int64_t>() >= 0 && ids.max().item<std::int64_t>() < config_.vocab_size),
          "ids: expected numbers in [0, ", config_.vocab_size - 1, "], got others");
  torch::Tensor h =
      torch::embedding(tokens_, ids.to(parameters.device())) + positions_.narrow(0, 0, ids.size(1));
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const torch::Tensor x = layer.norm1(h);
    h = h +
        layer.out(attend(layer.q(x), layer.k(x), layer.v(x), config_.num_attention_heads, /*causal=*/true));
    h = h + layer.fc2(activated(layer.fc1(layer.norm2(h))));
    if (watch) watch("text.layers." + std::to_string(i), h);
  }
  return norm_(h);
}

torch::Tensor ClipTextModel::activated(const torch::Tensor& x) const {
  return config_.hidden_act == "gelu" ? torch::gelu(x) : x * torch::sigmoid(1.702 * x);
}

}  // namespace diffreward
