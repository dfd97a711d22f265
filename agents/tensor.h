// Names LibTorch's tensor without including it: <torch/torch.h> costs half a minute a file, so headers use
// this and only .cpp files (and *_torch.h, private to them) include torch.
#pragma once

namespace at {
class Tensor;
}
