#include "agents/arithmetic.h"

#include <torch/torch.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "agents/kernels/kernels.h"
#include "core/hash.h"
#include "core/rng.h"

namespace diffreward {

namespace {

/// LibTorch's products on several threads have other last digits than on one.
class OneThread {
 public:
  OneThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

}  // namespace

std::string tensor_arithmetic() {
  const OneThread one;
  const torch::InferenceMode inference;
  const auto& k = kernels::kernels<float>();
  Rng rng(Seed{20'22'05});
  std::string bytes;
  const auto random = [&](std::int64_t rows, std::int64_t columns) {
    const torch::Tensor values = torch::empty({rows, columns});
    rng.normals({values.mutable_data_ptr<float>(), static_cast<std::size_t>(values.numel())});
    return values;
  };
  for (const auto& [rows, in, out] :
       {std::array<std::int64_t, 3>{1, 17, 256}, {64, 256, 256}, {67, 256, 8}}) {
    const torch::Tensor x = random(rows, in), weight = random(out, in) / 8, bias = random(1, out).squeeze(0);
    const torch::Tensor y = torch::addmm(bias, x, weight.t());
    std::vector<float> packed(k.packed_size(int(in), int(out), 1));
    k.pack(weight.const_data_ptr<float>(), {std::ptrdiff_t(in), 1, 0}, int(in), int(out), 1, packed.data());
    torch::Tensor u = torch::empty_like(y), v = torch::empty_like(y), w = torch::empty_like(y);
    k.conv({int(in), int(out), 1, 1, 0, 1, 1}, int(rows), x.const_data_ptr<float>(), in, packed.data(),
           bias.const_data_ptr<float>(), false, u.mutable_data_ptr<float>(), out);
    const auto size = static_cast<std::size_t>(y.numel());
    k.tanh(size, u.const_data_ptr<float>(), v.mutable_data_ptr<float>());
    k.mish(size, u.const_data_ptr<float>(), w.mutable_data_ptr<float>());
    for (const torch::Tensor& part : {y, u, v, w, y.tanh(), y.exp(), y.softmax(1)}) {
      const torch::Tensor whole = part.contiguous();
      bytes.append(reinterpret_cast<const char*>(whole.const_data_ptr<float>()), size * sizeof(float));
    }
  }
  return sha256(bytes);
}

}  // namespace diffreward
