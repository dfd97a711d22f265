// A component of a pipeline in diffusers' layout: a folder with config.json and weights as safetensors.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/safetensors.h"

namespace diffreward {

/// A config of diffusers or transformers. Every key that is asked for is known; null stands for the default. What is
/// thrown is an Error that names the file and the key.
class ComponentConfig {
 public:
  explicit ComponentConfig(const std::filesystem::path& file);

  template <class T>
  T get(const char* key, const T& fallback) {
    return has(key) ? convert<T>(key) : fallback;
  }
  template <class T>
  T get(const char* key) {
    known_.insert(key);
    return convert<T>(key);
  }
  /// A whole number in [1, 2^20].
  std::int64_t size(const char* key, std::int64_t fallback);
  /// As many of them as the key lists, at least one, or `fallback`.
  std::vector<std::int64_t> sizes(const char* key, const std::vector<std::int64_t>& fallback);
  /// A key for which one value is supported (where that is false, null too). Throws for another one.
  void only(const char* key, const Json& supported);
  /// Keys of no consequence here.
  void ignore(const std::vector<std::string>& keys) { known_.insert(keys.begin(), keys.end()); }

  bool has(const char* key);  // and is not null
  const std::string& file() const { return file_; }
  void warn(const char* key, std::string_view what);
  /// Lines for people: what warn() was given, and each key that is not known.
  std::vector<std::string> warnings() const;
  /// Throws: "<file>: <key>: expected <expected>, found <value>".
  [[noreturn]] void refuse(const char* key, std::string_view expected) const;

 private:
  template <class T>
  T convert(const char* key) const {
    try {
      return member<T>(json_, key);
    } catch (const InvalidArgument& error) {
      throw Error(concat(file_, ": ", error.what()));
    }
  }
  std::string file_;
  Json json_;
  std::set<std::string> known_;
  std::vector<std::string> warnings_;
};

/// The weights in a component's folder, `stem`.safetensors, single or in shards, of full or half precision. Throws Error
/// naming what it looked for; where there are only pickled ones, which are code to be run, with how to convert them.
std::filesystem::path weights_in(const std::filesystem::path& folder, const std::string& stem);
/// Maps a file or, for a name that ends with .json, the files of an index.
Safetensors open_weights(const std::filesystem::path& path);

}  // namespace diffreward
