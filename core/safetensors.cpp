#include "core/safetensors.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "core/config.h"
#include "core/error.h"
#include "core/file.h"

namespace diffreward {
namespace {

static_assert(std::endian::native == std::endian::little, "the format and this reader are little endian");

constexpr std::uint64_t kLongestHeader = 100'000'000;  // bytes, the format's own limit
constexpr std::size_t kAlignment = 8;

std::uint64_t size_of_dtype(std::string_view dtype) {
  if (dtype == "F64" || dtype == "I64" || dtype == "U64") return 8;
  if (dtype == "F32" || dtype == "I32" || dtype == "U32") return 4;
  if (dtype == "F16" || dtype == "BF16" || dtype == "I16" || dtype == "U16") return 2;
  if (dtype == "I8" || dtype == "U8" || dtype == "BOOL") return 1;
  return 0;
}

/// The header of a file that claims to be safetensors, parsed and checked entry by entry.
class HeaderReader {
 public:
  HeaderReader(std::span<const std::byte> file, std::string_view name) : file_(file), name_(name) {}

  Json header() {
    check(file_.size() >= 8, "expected at least 8 bytes, found ", file_.size());
    std::uint64_t length = 0;
    std::memcpy(&length, file_.data(), 8);
    check(length <= kLongestHeader && length <= file_.size() - 8, "header length: expected at most ",
          std::min<std::uint64_t>(kLongestHeader, file_.size() - 8), " bytes, found ", length,
          " (truncated, or not a safetensors file)");
    const char* text = reinterpret_cast<const char*>(file_.data()) + 8;
    Json json = parse_json({text, length}, concat(name_, ": header"));
    check(json.is_object(), "header: expected a JSON object, found ", brief(json));
    data_ = file_.subspan(8 + length);
    return json;
  }

  TensorBytes tensor(const std::string& key, const Json& entry) {
    check(entry.is_object() && entry.contains("dtype") && entry["dtype"].is_string() &&
              entry.contains("shape") && entry["shape"].is_array() && entry.contains("data_offsets") &&
              entry["data_offsets"].is_array() && entry["data_offsets"].size() == 2,
          "'", key, "': expected dtype, shape and two data_offsets");
    TensorBytes tensor{.dtype = entry["dtype"], .shape = {}, .bytes = {}};
    std::uint64_t bytes = size_of_dtype(tensor.dtype);
    check(bytes > 0, "'", key, "': expected a known dtype, found '", tensor.dtype, "'");
    for (const Json& extent : entry["shape"]) {
      check(extent.is_number_unsigned(), "'", key, "': shape: expected sizes, found ", brief(extent));
      const auto n = extent.get<std::uint64_t>();
      check(n <= std::uint64_t(std::numeric_limits<std::int64_t>::max()) &&
                !__builtin_mul_overflow(bytes, n, &bytes),
            "'", key, "': shape: expected a size that fits into memory, found ", brief(entry["shape"]));
      tensor.shape.push_back(static_cast<std::int64_t>(n));
    }
    const Json &begin = entry["data_offsets"][0], &end = entry["data_offsets"][1];
    check(begin.is_number_unsigned() && end.is_number_unsigned(), "'", key,
          "': data_offsets: expected sizes, found ", brief(entry["data_offsets"]));
    const auto from = begin.get<std::uint64_t>(), to = end.get<std::uint64_t>();
    check(from <= to && to <= data_.size(), "'", key, "': data_offsets: expected a range within ",
          data_.size(), " bytes, found ", brief(entry["data_offsets"]), " (truncated?)");
    check(to - from == bytes, "'", key, "': expected ", bytes, " bytes for its shape and dtype, found ",
          to - from);
    tensor.bytes = data_.subspan(from, bytes);
    if (bytes > 0) ranges_.push_back({from, to, key});
    return tensor;
  }

  /// The format allows neither overlaps nor bytes that belong to no tensor.
  void check_ranges() {
    std::sort(ranges_.begin(), ranges_.end());
    std::uint64_t end = 0;
    for (std::size_t i = 0; i < ranges_.size(); end = ranges_[i++].to) {
      check(i == 0 || ranges_[i].from >= end, "'", ranges_[i].key,
            "': expected bytes of its own, found them shared with '", ranges_[i - (i > 0)].key, "'");
      check(ranges_[i].from == end, "'", ranges_[i].key, "': expected its bytes to begin at ", end,
            ", found ", ranges_[i].from);
    }
    check(end == data_.size(), "expected ", end, " bytes of tensors, found ", data_.size(),
          " (bytes after the last one)");
  }

  template <class... Parts>
  void check(bool ok, const Parts&... message) const {
    if (!ok) throw Error(concat(name_, ": ", message...));
  }

 private:
  struct Range {
    std::uint64_t from, to;
    std::string key;
    auto operator<=>(const Range&) const = default;
  };
  std::span<const std::byte> file_, data_;
  std::string_view name_;
  std::vector<Range> ranges_;
};

}  // namespace

Safetensors Safetensors::parse(std::span<const std::byte> file, std::string_view name) {
  HeaderReader reader(file, name);
  Safetensors result;
  result.name_ = name;
  const Json header = reader.header();
  for (const auto& [key, entry] : header.items()) {
    if (key != "__metadata__") {
      result.tensors_[key] = reader.tensor(key, entry);
      continue;
    }
    reader.check(entry.is_object(), "__metadata__: expected texts by name, found ", brief(entry));
    for (const auto& [field, value] : entry.items()) {
      reader.check(value.is_string(), "__metadata__: '", field, "': expected a text, found ", brief(value));
      result.metadata_[field] = value;
    }
  }
  reader.check_ranges();
  return result;
}

Safetensors Safetensors::open(const std::filesystem::path& path) {
  const RegularFile file(path);
  const std::shared_ptr<const void> mapping = file.map();
  Safetensors result = parse({static_cast<const std::byte*>(mapping.get()), file.size()}, path.string());
  result.mapping_ = mapping;
  return result;
}

Safetensors Safetensors::open_index(const std::filesystem::path& path) {
  const Json index = read_json_object(path);
  const auto check = [&](bool ok, const auto&... message) {
    if (!ok) throw Error(concat(path.string(), ": ", message...));
  };
  const auto map = index.find("weight_map");
  check(map != index.end() && map->is_object(), "expected a weight_map, found ",
        map == index.end() ? "none" : brief(*map));
  std::map<std::string, Safetensors> shards;
  Safetensors result;
  result.name_ = path.string();
  for (const auto& [tensor, shard] : map->items()) {
    check(shard.is_string() && !shard.empty(), "'", tensor, "': expected a file's name, found ",
          brief(shard));
    const std::filesystem::path name = shard.get<std::string>();
    check(name.has_filename() && name == name.filename() && name != "..", "'", tensor,
          "': expected a file beside the index, found ", brief(shard));
    auto found = shards.find(name.string());
    if (found == shards.end()) found = shards.emplace(name.string(), open(path.parent_path() / name)).first;
    result.tensors_[tensor] = found->second.at(tensor);
  }
  for (const auto& [name, shard] : shards)
    for (const auto& [tensor, unused] : shard.tensors_)
      check(result.tensors_.contains(tensor), "expected every tensor of ", name, ", found no '", tensor, "'");
  auto mappings = std::make_shared<std::vector<std::shared_ptr<const void>>>();
  for (const auto& [name, shard] : shards) mappings->push_back(shard.mapping_);
  result.mapping_ = mappings;
  return result;
}

Safetensors Safetensors::renamed(
    const std::function<std::string(const std::string&, TensorBytes&)>& name) const {
  Safetensors result = *this;
  result.tensors_.clear();
  for (auto [old, tensor] : tensors_) {
    const std::string now = name(old, tensor);
    if (!now.empty() && !result.tensors_.emplace(now, std::move(tensor)).second)
      throw Error(concat(name_, ": '", old, "': expected one tensor of this meaning, found '", now, "' too"));
  }
  return result;
}

const TensorBytes& Safetensors::at(const std::string& tensor) const {
  const auto found = tensors_.find(tensor);
  if (found != tensors_.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [name, unused] : tensors_) names.push_back(name);
  const std::string near = nearest_name(tensor, names);
  throw Error(concat(name_, ": expected a tensor '", tensor, "', found none",
                     near.empty() ? "" : " (nearest: '" + near + "')"));
}

const std::string& Safetensors::metadata_at(const std::string& key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) throw Error(concat(name_, ": expected metadata '", key, "', found none"));
  return found->second;
}

void write_safetensors(const std::filesystem::path& path, const std::map<std::string, TensorBytes>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  header["__metadata__"] = {{"format", "pt"}};  // PyTorch tensors, for readers in Python
  for (const auto& [key, value] : metadata) header["__metadata__"][key] = value;
  std::uint64_t offset = 0;
  for (const auto& [key, tensor] : tensors) {
    header[key] = {{"dtype", tensor.dtype},
                   {"shape", tensor.shape},
                   {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string text = header.dump();
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  AtomicFile file(path);
  {
    std::ofstream out(file.path(), std::ios::binary);
    const std::uint64_t length = text.size();
    out.write(reinterpret_cast<const char*>(&length), 8);
    out.write(text.data(), static_cast<std::streamsize>(length));
    for (const auto& [key, tensor] : tensors)
      out.write(reinterpret_cast<const char*>(tensor.bytes.data()),
                static_cast<std::streamsize>(tensor.bytes.size()));
    out.close();
    if (!out) throw Error(concat(path.string(), ": cannot write: ", std::strerror(errno)));
  }
  file.commit();
}

}  // namespace diffreward
