// The safetensors file format: named arrays and a text map, no code. 8 bytes header length (little endian), a
// JSON header {name: {dtype, shape, data_offsets}, "__metadata__": {text: text}}, then the bytes, row-major.
// Files come from strangers: every length, offset, overlap and shape is checked before a byte is used.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace diffreward {

/// One array. `dtype` is the format's name: F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL.
struct TensorBytes {
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;  ///< not necessarily aligned
};

class Safetensors {
 public:
  /// Memory-maps a file. Throws Error naming the file, the entry, what was expected and what was found.
  static Safetensors open(const std::filesystem::path& path);
  /// Memory-maps the files that an index names, {"weight_map": {tensor: file of the same folder}}, as one.
  static Safetensors open_index(const std::filesystem::path& path);
  /// As open(), over bytes in memory, which must outlive the object (tests, fuzzing).
  static Safetensors parse(std::span<const std::byte> file, std::string_view name);

  const std::map<std::string, TensorBytes>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Throws Error naming the file (and the nearest name) when absent.
  const TensorBytes& at(const std::string& tensor) const;
  const std::string& metadata_at(const std::string& key) const;

  /// The same tensors under the names that `name` gives them; "" leaves one out. It may give a tensor another shape of
  /// as many elements. Throws Error where two would have one name.
  Safetensors renamed(
      const std::function<std::string(const std::string& name, TensorBytes& tensor)>& name) const;
  /// Keeps the bytes of all tensors readable while it lives; null for parse().
  const std::shared_ptr<const void>& mapping() const { return mapping_; }

 private:
  std::string name_;
  std::map<std::string, TensorBytes> tensors_;
  std::map<std::string, std::string> metadata_;
  std::shared_ptr<const void> mapping_;  // keeps the files mapped
};

/// Writes atomically (see file.h); entries sorted by name, 8-byte aligned, so equal content gives equal
/// bytes.
void write_safetensors(const std::filesystem::path& path, const std::map<std::string, TensorBytes>& tensors,
                       const std::map<std::string, std::string>& metadata);

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

}  // namespace diffreward
