#include "agents/nets/noise_torch.h"

namespace diffreward {

torch::Tensor normal(std::span<Rng> noise, at::IntArrayRef shape) {
  torch::Tensor values = torch::empty(shape);
  if (noise.empty()) return values;
  const std::span<float> all(values.data_ptr<float>(), static_cast<std::size_t>(values.numel()));
  const std::size_t size = all.size() / noise.size();
  for (std::size_t i = 0; i < noise.size(); ++i) noise[i].normals(all.subspan(i * size, size));
  return values;
}

}  // namespace diffreward
