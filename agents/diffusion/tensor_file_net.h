// LibTorch's tensors in safetensors files.
#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <map>
#include <string>

#include "core/json.h"
#include "core/safetensors.h"

namespace diffreward {

using NamedTensors = std::map<std::string, torch::Tensor>;

/// A copy on the CPU. Throws Error starting with `what` for a type that LibTorch lacks and for numbers that
/// are not finite.
torch::Tensor tensor_from(const TensorBytes& bytes, const std::string& what);

/// A metadata entry as JSON read by `convert`; every failure names the file and the entry.
template <class Convert>
auto read_entry(const Safetensors& file, const std::filesystem::path& path, const std::string& key,
                Convert&& convert) {
  const std::string what = concat(path.string(), ": metadata '", key, "'");
  const Json json = parse_json(file.metadata_at(key), what);
  try {
    return convert(json);
  } catch (const Json::exception&) {  // its own words name types of the library
    throw Error(concat(what, ": expected other members, found ", brief(json)));
  } catch (const Error& error) {
    throw Error(concat(what, ": ", error.what()));
  }
}

/// Writes the tensors, from whatever device, atomically.
void save_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                  const std::map<std::string, std::string>& metadata);

}  // namespace diffreward
