#include "agents/diffusion/denoiser_torch.h"

#include "agents/diffusion/residual_mlp_torch.h"
#include "agents/diffusion/temporal_unet_torch.h"
#include "core/error.h"

namespace diffreward {

std::unique_ptr<DenoiserNet> make_denoiser(const DiffusionConfig& config, const WindowLayout& layout,
                                           Parameters parameters) {
  std::unique_ptr<DenoiserNet> net;
  if (config.net == "mlp") {
    net = std::make_unique<ResidualMlp>(config, layout, std::move(parameters));
  } else {
    require(config.net == "unet", "net: expected mlp or unet, got '", config.net, "'");
    net = std::make_unique<TemporalUnet>(config, layout, std::move(parameters));
  }
  net->parameters.finish();
  return net;
}

}  // namespace diffreward
