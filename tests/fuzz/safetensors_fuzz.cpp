// Safetensors::parse on any bytes: refuses with Error, or gives tensors whose bytes lie in the file.
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/safetensors.h"

using namespace diffreward;

namespace {

void check(bool promise) {
  if (!promise) std::abort();
}

void check_tensors(const Safetensors& file, std::span<const std::byte> bytes) {
  std::vector<std::pair<const std::byte*, const std::byte*>> ranges;
  for (const auto& [name, tensor] : file.tensors()) {
    check(&file.at(name) == &tensor);
    if (tensor.bytes.empty()) continue;
    const std::byte *begin = tensor.bytes.data(), *end = begin + tensor.bytes.size();
    check(begin >= bytes.data() + 8 && end <= bytes.data() + bytes.size());
    std::uint64_t count = 1;
    for (const std::int64_t extent : tensor.shape) count *= std::uint64_t(extent);
    check(count > 0 && tensor.bytes.size() % count == 0 && tensor.bytes.size() / count <= 8);
    for (const auto& [other_begin, other_end] : ranges) check(end <= other_begin || other_end <= begin);
    ranges.emplace_back(begin, end);
    // Every byte can be read.
    check(std::accumulate(begin, end, 0u, [](unsigned sum, std::byte b) { return sum + unsigned(b); }) <
          256 * tensor.bytes.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    check_tensors(Safetensors::parse(bytes, "fuzz"), bytes);
  } catch (const Error& error) {
    check(std::string(error.what()).starts_with("fuzz: "));
  }
  return 0;
}
