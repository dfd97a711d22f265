// The parent's side of reading: what the child says of a file is checked against the file before any of it is
// mapped.
#include <algorithm>
#include <optional>

#include "core/interrupt.h"
#include "datasets/storage/hdf5_reader.h"
#include "datasets/storage/isolated.h"
#include "datasets/storage/recognise.h"
#include "datasets/storage/storage.h"

namespace diffreward {
namespace {

using Mapping = Dataset::Storage::Mapping;

/// Far more time than a file of this size takes: HDF5 runs in circles in some damaged ones.
IsolationLimits limits_for(std::size_t bytes) {
  return {.cpu_seconds = 2 + 3 * (bytes >> 20)};
}

class Assembler {
 public:
  Assembler(const Json& description, std::string name, Mapping file, Mapping spool)
      : description_(description),
        name_(std::move(name)),
        file_(std::move(file)),
        spool_(std::move(spool)),
        rows_(member<std::size_t>(description, "rows")) {}

  std::shared_ptr<Dataset::Storage> assemble() {
    auto storage = std::make_shared<Dataset::Storage>();
    Dataset::Storage& s = *storage;
    s.path = name_;
    s.rows = rows_;
    if (rows_ == 0) throw Error(concat(name_, ": observations: expected rows, found none"));
    for (const Json& column : member<Json>(description_, "columns")) {
      const auto name = member<std::string>(column, "name");
      const auto width = member<std::size_t>(column, "width");
      if (width == 0 || width > hdf5::kWidest)
        throw Error(concat(name_, ": ", name, ": expected 1 to ", hdf5::kWidest, " columns, found ", width));
      if (name == "observations") {
        s.observations = values<float>(column, name, width);
        s.observation_dim = width;
      } else if (name == "next_observations") {
        s.next_observations = values<float>(column, name, width);
      } else if (name == "actions") {
        s.actions = values<float>(column, name, width);
        s.action_dim = width;
      } else if (name == "rewards") {
        s.rewards = values<float>(column, name, 1);
      } else if (name == "terminals") {
        s.terminals = values<std::uint8_t>(column, name, 1);
      } else if (name == "timeouts") {
        s.timeouts = values<std::uint8_t>(column, name, 1);
      } else if (name.starts_with("doubles/")) {
        const auto of =
            std::ranges::find(s.infos, name.substr(name.find('/') + 1), &Dataset::Storage::InfoColumn::name);
        if (of == s.infos.end() || of->size != width)
          throw Error(concat(name_, ": ", name, ": expected an info of that name and width before"));
        of->doubles = values<double>(column, name, width);
      } else {
        s.infos.push_back({name.substr(name.find('/') + 1), width, values<float>(column, name, width)});
      }
    }
    if (s.observations.empty() || s.actions.empty() || s.rewards.empty() || s.terminals.empty() ||
        s.timeouts.empty() || s.next_observations.size() != s.observations.size())
      throw Error(concat(name_, ": expected a description of every column, found part of it"));
    for (const Json& text : member<Json>(description_, "ignored"))
      if (text.is_string()) s.ignored.push_back(text.get<std::string>());
    s.mappings = {file_, spool_};
    s.find_episodes();
    return storage;
  }

 private:
  template <class T>
  std::span<const T> values(const Json& column, const std::string& name, std::size_t width) const {
    const Mapping& from = member<std::string>(column, "place") == "file" ? file_ : spool_;
    const auto offset = member<std::size_t>(column, "offset");
    std::size_t count = 0, bytes = 0;
    if (__builtin_mul_overflow(rows_, width, &count) || __builtin_mul_overflow(count, sizeof(T), &bytes) ||
        offset > from.size || bytes > from.size - offset || offset % alignof(T) != 0)
      throw Error(concat(name_, ": ", name, ": expected ", rows_, " rows of ", width,
                         " inside the file, found its end before them"));
    return {reinterpret_cast<const T*>(static_cast<const char*>(from.memory.get()) + offset), count};
  }

  const Json& description_;
  std::string name_;
  Mapping file_, spool_;
  std::size_t rows_;
};

}  // namespace

Json read_attributes(hdf5::File& file, Json& ignored) {
  const std::string where = file.name() + ": metadata";
  if (hdf5::kind_of(file.id(), "metadata", where) != hdf5::Kind::kGroup) return Json::object();
  const hdf5::Handle group = hdf5::open_group(file.id(), "metadata", where);
  Json found = {{"seed", hdf5::read_integer(group.get(), "seed", 0, ignored)}};
  for (const char* name : {"env", "behaviour", "generator", "env_options", "extra"})
    found[name] = hdf5::read_text(group.get(), name, ignored);
  return found;
}

Provenance provenance_of(const Json& attributes, std::vector<std::string>& ignored) {
  Provenance from;
  if (attributes.empty()) return from;
  from.env = member<std::string>(attributes, "env");
  from.behaviour = member<std::string>(attributes, "behaviour");
  from.generator = member<std::string>(attributes, "generator");
  from.seed = member<std::uint64_t>(attributes, "seed");
  for (const auto& [key, target] :
       {std::pair{"env_options", &from.env_options}, std::pair{"extra", &from.extra}}) {
    const auto text = member<std::string>(attributes, key);
    if (text.empty()) continue;
    try {
      const Json json = parse_json(text, concat("metadata/", key));
      if (!json.is_object())
        throw Error(concat("metadata/", key, ": expected a JSON object, found ", brief(json)));
      *target = json;
    } catch (const Error& error) {
      ignored.push_back(error.what());
    }
  }
  return from;
}

Json run_on_file(const RegularFile& file, const std::string& name, Spool* spool,
                 const std::function<Json(hdf5::File&)>& work) {
  expect_hdf5(file, name);
  std::vector<int> keep = {file.descriptor()};
  if (spool) keep.push_back(spool->descriptor());
  return run_isolated(name, keep, limits_for(file.size()), [&] {
    hdf5::File opened(file, name);
    return work(opened);
  });
}

Json column_json(const std::string& name, std::size_t width, const char* place, std::size_t offset) {
  return {{"name", name}, {"width", width}, {"place", place}, {"offset", offset}};
}

std::shared_ptr<const Dataset::Storage> open_storage(const std::filesystem::path& path) {
  const std::string name = path.string();
  const RegularFile file(path);
  // Before the rows are read: it may say that they are no vectors of numbers.
  std::optional<Provenance> beside;
  if (path.filename() == "main_data.hdf5")
    beside = read_minari_metadata(path.parent_path() / "metadata.json");
  const TemporaryFile temporary;
  Spool spool(temporary.descriptor());
  const Json description = run_on_file(file, name, &spool, [&](hdf5::File& opened) {
    return is_minari(opened) ? read_minari(opened, spool) : read_d4rl(opened, spool);
  });
  const auto storage =
      Assembler(description, name, {file.map(), file.size()}, {temporary.map(), temporary.size()}).assemble();
  storage->provenance =
      beside ? *beside : provenance_of(member<Json>(description, "attributes"), storage->ignored);
  return storage;
}

void Dataset::Storage::find_episodes() {
  constexpr std::size_t kBlock = std::size_t{1} << 20;  // rows between two looks at Ctrl-C
  const auto ends = [&](std::size_t i) {
    if (i % kBlock == 0) check_interrupt();
    return terminals[i] || timeouts[i] || i + 1 == rows;
  };
  std::size_t count = 0;  // before room is made for them
  for (std::size_t i = 0; i < rows; ++i) count += ends(i);
  if (count > kMostEpisodes)
    throw Error(concat(path.string(), ": expected at most ", kMostEpisodes, " episodes, found ", count));
  episodes.reserve(count);
  for (std::size_t i = 0, begin = 0; i < rows; ++i) {
    if (!ends(i)) continue;
    episodes.push_back({begin, i + 1, terminals[i] != 0});
    begin = i + 1;
  }
}

}  // namespace diffreward
