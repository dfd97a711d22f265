#include "agents/stable_diffusion/component.h"

#include <algorithm>

#include "core/error.h"

namespace diffreward {
namespace {

constexpr std::int64_t kLargestSize = 1 << 20;

bool is_size(const Json& value) {
  return detail::holds<std::int64_t>(value) && value.get<std::int64_t>() >= 1 &&
         value.get<std::int64_t>() <= kLargestSize;
}

}  // namespace

ComponentConfig::ComponentConfig(const std::filesystem::path& file)
    : file_(file.string()), json_(read_json_object(file)) {}

bool ComponentConfig::has(const char* key) {
  known_.insert(key);
  return json_.contains(key) && !json_.at(key).is_null();
}

void ComponentConfig::refuse(const char* key, std::string_view expected) const {
  throw Error(concat(file_, ": ", key, ": expected ", expected, ", found ",
                     json_.contains(key) ? brief(json_.at(key)) : "nothing"));
}

std::int64_t ComponentConfig::size(const char* key, std::int64_t fallback) {
  if (!has(key)) return fallback;
  if (!is_size(json_.at(key))) refuse(key, concat("a whole number in [1, ", kLargestSize, "]"));
  return json_.at(key).get<std::int64_t>();
}

std::vector<std::int64_t> ComponentConfig::sizes(const char* key, const std::vector<std::int64_t>& fallback) {
  if (!has(key)) return fallback;
  const Json& list = json_.at(key);
  if (!list.is_array() || list.empty() || !std::all_of(list.begin(), list.end(), is_size))
    refuse(key, concat("a list of whole numbers in [1, ", kLargestSize, "]"));
  return list.get<std::vector<std::int64_t>>();
}

void ComponentConfig::only(const char* key, const Json& supported) {
  known_.insert(key);
  if (json_.contains(key) && json_.at(key) != supported && !(supported == false && json_.at(key).is_null()))
    refuse(key, concat(brief(supported), ", which alone is supported"));
}

void ComponentConfig::warn(const char* key, std::string_view what) {
  warnings_.push_back(printable(concat(file_, ": ", key, ": ", what)));
}

std::vector<std::string> ComponentConfig::warnings() const {
  std::vector<std::string> lines = warnings_;
  for (const auto& [key, value] : json_.items())
    if (!known_.contains(key) && !key.starts_with("_"))
      lines.push_back(printable(concat(file_, ": ", key, ": an unknown key, which is ignored")));
  return lines;
}

std::filesystem::path weights_in(const std::filesystem::path& folder, const std::string& stem) {
  const std::string whole = stem + ".safetensors", half = stem + ".fp16.safetensors";
  for (const std::string& name : {whole, whole + ".index.json", half, whole + ".index.fp16.json"})
    if (std::filesystem::exists(folder / name)) return folder / name;
  const std::string expected = concat(folder.string(), ": expected ", whole, " (or .fp16, or .index.json)");
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
    const std::string ending = entry.path().extension().string();
    if (ending == ".bin" || ending == ".ckpt" || ending == ".pt" || ending == ".pth")
      throw Error(concat(expected, ", found ", entry.path().filename().string(),
                         ", which is pickled and may run code; convert it by Python's diffusers: "
                         "StableDiffusionPipeline.from_pretrained(folder).save_pretrained(other_folder)"));
  }
  throw Error(concat(expected, ", found ", failed ? "no such folder" : "none"));
}

Safetensors open_weights(const std::filesystem::path& path) {
  return path.extension() == ".json" ? Safetensors::open_index(path) : Safetensors::open(path);
}

}  // namespace diffreward
