#include "agents/nets/tensor_file_torch.h"

#include <torch/torch.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "agents/nets/mapped_torch.h"
#include "core/error.h"

namespace diffreward {
namespace {

const std::map<std::string, torch::ScalarType>& types() {
  static const std::map<std::string, torch::ScalarType> table = {
      {"F64", torch::kDouble}, {"F32", torch::kFloat}, {"F16", torch::kHalf},  {"BF16", torch::kBFloat16},
      {"I64", torch::kLong},   {"I32", torch::kInt},   {"I16", torch::kShort}, {"I8", torch::kChar},
      {"U8", torch::kByte},    {"BOOL", torch::kBool}};
  return table;
}

std::string type_name(torch::ScalarType type) {
  for (const auto& [name, candidate] : types())
    if (candidate == type) return name;
  throw InvalidArgument(concat("safetensors: expected a type that the format has, got ", type));
}

/// In one pass: both ends of numbers among which there is a NaN are NaN.
bool all_finite(const torch::Tensor& numbers) {
  if (numbers.numel() == 0) return true;
  const auto [low, high] = at::aminmax(numbers);
  return std::isfinite(low.item<double>()) && std::isfinite(high.item<double>());
}

}  // namespace

torch::Tensor tensor_from(const TensorBytes& bytes, const std::string& what,
                          const std::shared_ptr<const void>& mapping) {
  const auto type = types().find(bytes.dtype);
  if (type == types().end()) throw Error(concat(what, ": expected a known number type, found ", bytes.dtype));
  std::int64_t count = 1;  // the reader has checked that this does not overflow
  for (const std::int64_t extent : bytes.shape) count *= extent;
  const std::size_t expected = static_cast<std::size_t>(count) * torch::elementSize(type->second);
  if (expected != bytes.bytes.size())
    throw Error(concat(what, ": expected ", expected, " bytes, found ", bytes.bytes.size()));
  const auto address = reinterpret_cast<std::uintptr_t>(bytes.bytes.data());
  torch::Tensor out;
  if (mapping && count > 0 && address % torch::elementSize(type->second) == 0) {
    out = mapped_tensor(bytes.bytes, bytes.shape, type->second, mapping);
  } else {
    out = torch::empty(bytes.shape, type->second);
    if (!bytes.bytes.empty()) std::memcpy(out.data_ptr(), bytes.bytes.data(), bytes.bytes.size());
  }
  if (out.is_floating_point() && !all_finite(out))
    throw Error(concat(what, ": expected finite numbers, found others"));
  return out;
}

void save_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                  const std::map<std::string, std::string>& metadata) {
  NamedTensors held;  // keeps the copies alive while their bytes are written
  std::map<std::string, TensorBytes> bytes;
  for (const auto& [name, tensor] : tensors) {
    const torch::Tensor& copy = held[name] = tensor.detach().to(torch::kCPU).contiguous();
    bytes[name] = {type_name(copy.scalar_type()),
                   copy.sizes().vec(),
                   {static_cast<const std::byte*>(copy.data_ptr()), copy.nbytes()}};
  }
  write_safetensors(path, bytes, metadata);
}

}  // namespace diffreward
