// The front door of nets: what every learned thing is made of, be it a denoiser, a reward or a policy. Parameters
// by name and as one flat vector, AdamW with an average of the weights, MLPs and policies over them, losses, noise
// that is equal on every device, and tensors in files. Includes LibTorch: for sources, and headers named *_torch.h.
#pragma once

#include "agents/nets/loss_torch.h"
#include "agents/nets/mlp_torch.h"
#include "agents/nets/noise_torch.h"
#include "agents/nets/optimizer_torch.h"
#include "agents/nets/parameters_torch.h"
#include "agents/nets/squashed_gaussian_torch.h"
#include "agents/nets/tensor_file_torch.h"
#include "agents/nets/training_log.h"
