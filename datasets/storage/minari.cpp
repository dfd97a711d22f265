// Minari's layout (0.5): <root>/<id>/data/{metadata.json, main_data.hdf5}; one group `episode_<i>` an episode
// with T + 1 observations, and T actions, rewards, terminations and truncations; infos like observations, T +
// 1 rows.
#include <algorithm>

#include "core/file.h"
#include "datasets/storage/hdf5.h"
#include "datasets/storage/storage.h"

#ifndef DIFFREWARD_VERSION
#define DIFFREWARD_VERSION "unknown"
#endif

namespace diffreward {
namespace {

constexpr const char* kMinariVersion = "0.5.4";

/// A flat Box as Minari writes spaces: JSON inside a text, with Python's spelling of infinity.
std::string unbounded_box(std::size_t dim) {
  std::string low = "[", high = "[";
  for (std::size_t i = 0; i < dim; ++i) {
    low += i ? ", -Infinity" : "-Infinity";
    high += i ? ", Infinity" : "Infinity";
  }
  return concat(R"({"type": "Box", "dtype": "float32", "shape": [)", dim, R"(], "low": )", low,
                R"(], "high": )", high, "]}");
}

std::string unit_box(std::size_t dim) {
  std::string low = "[", high = "[";
  for (std::size_t i = 0; i < dim; ++i) {
    low += i ? ", -1.0" : "-1.0";
    high += i ? ", 1.0" : "1.0";
  }
  return concat(R"({"type": "Box", "dtype": "float32", "shape": [)", dim, R"(], "low": )", low,
                R"(], "high": )", high, "]}");
}

class Writer {
 public:
  Writer(const std::filesystem::path& path, const std::filesystem::path& name) : name_(name.string()) {
    const hdf5::Handle create(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
    H5Pset_link_creation_order(create.get(),
                               H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);  // as Minari does
    file_ = hdf5::Handle(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, create.get(), H5P_DEFAULT), H5Fclose);
    if (!file_.valid()) throw Error(concat(name_, ": cannot create"));
  }

  void episode(const Dataset& data, std::size_t number) {
    const Episode& e = data.episodes()[number];
    const hdf5::Handle group = make_group(file_.get(), concat("episode_", number));
    write_integer(group.get(), "id", number);
    write_integer(group.get(), "total_steps", e.size());
    write(group.get(), "observations",
          with_last(data.observations(), data.next_observations(), e, data.observation_dim()),
          data.observation_dim());
    const auto rows = [&](std::span<const float> column, std::size_t width) {
      return column.subspan(e.begin * width, e.size() * width);
    };
    write(group.get(), "actions", rows(data.actions(), data.action_dim()), data.action_dim());
    write(group.get(), "rewards", rows(data.rewards(), 1), 0);
    write_flags(group.get(), "terminations", data.terminals().subspan(e.begin, e.size()));
    write_flags(group.get(), "truncations", data.timeouts().subspan(e.begin, e.size()));
    const hdf5::Handle infos = make_group(group.get(), "infos");
    for (const std::string& name : data.info_names()) {
      const std::size_t width = data.info_dim(name);
      // The state reached last was never asked for its infos: repeat the last row, as the length must be T
      // + 1.
      const std::span<const float> column = data.info(name);
      std::vector<float> values(column.begin() + static_cast<std::ptrdiff_t>(e.begin * width),
                                column.begin() + static_cast<std::ptrdiff_t>(e.end * width));
      values.insert(values.end(), values.end() - static_cast<std::ptrdiff_t>(width), values.end());
      write(infos.get(), name, values, width == 1 ? 0 : width);
    }
  }

 private:
  static std::vector<float> with_last(std::span<const float> values, std::span<const float> next,
                                      const Episode& e, std::size_t width) {
    std::vector<float> out(values.begin() + static_cast<std::ptrdiff_t>(e.begin * width),
                           values.begin() + static_cast<std::ptrdiff_t>(e.end * width));
    out.insert(out.end(), next.begin() + static_cast<std::ptrdiff_t>((e.end - 1) * width),
               next.begin() + static_cast<std::ptrdiff_t>(e.end * width));
    return out;
  }

  hdf5::Handle make_group(hid_t parent, const std::string& name) const {
    const hdf5::Handle plist(H5Pcreate(H5P_GROUP_CREATE), H5Pclose);
    H5Pset_obj_track_times(plist.get(), false);
    hdf5::Handle group(H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, plist.get(), H5P_DEFAULT), H5Gclose);
    if (!group.valid()) throw Error(concat(name_, ": ", name, ": cannot write"));
    return group;
  }

  /// width 0: a plain list.
  void write(hid_t group, const std::string& name, std::span<const float> values, std::size_t width) const {
    const hsize_t shape[2] = {values.size() / std::max<std::size_t>(1, width), width};
    write_array(group, name, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, values.data(), shape, width == 0 ? 1 : 2);
  }

  void write_flags(hid_t group, const std::string& name, std::span<const std::uint8_t> values) const {
    // h5py's booleans: an enumeration of one byte.
    const hdf5::Handle type(H5Tenum_create(H5T_STD_I8LE), H5Tclose);
    const std::int8_t off = 0, on = 1;
    H5Tenum_insert(type.get(), "FALSE", &off);
    H5Tenum_insert(type.get(), "TRUE", &on);
    const hsize_t shape[1] = {values.size()};
    write_array(group, name, type.get(), type.get(), values.data(), shape, 1);
  }

  void write_array(hid_t group, const std::string& name, hid_t file_type, hid_t memory_type,
                   const void* values, const hsize_t* shape, int rank) const {
    const hdf5::Handle space(H5Screate_simple(rank, shape, nullptr), H5Sclose),
        plist(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_obj_track_times(plist.get(), false);
    const hdf5::Handle set(
        H5Dcreate2(group, name.c_str(), file_type, space.get(), H5P_DEFAULT, plist.get(), H5P_DEFAULT),
        H5Dclose);
    if (!set.valid() || H5Dwrite(set.get(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
      throw Error(concat(name_, ": ", name, ": cannot write"));
  }

  static void write_integer(hid_t object, const std::string& name, std::uint64_t value) {
    hdf5::write_integer(object, name, value);
  }

  std::string name_;
  hdf5::Handle file_;
};

/// Reads every episode of a file into owned columns.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : path_(path), file_(hdf5::open_file(path)) {}

  Dataset::Columns read() {
    const hdf5::Quiet quiet;
    std::size_t episodes = 0;
    for (const std::string& name : hdf5::child_names(file_.get())) episodes += name.starts_with("episode_");
    if (episodes == 0) throw Error(concat(path_.string(), ": expected groups episode_0 ..., found none"));
    for (std::size_t i = 0; i < episodes; ++i) read_episode(concat("episode_", i));
    return std::move(columns_);
  }

 private:
  std::vector<float> floats(hid_t group, const std::string& name, const std::string& where, std::size_t rows,
                            std::size_t& width) const {
    const hdf5::Handle set = hdf5::open_dataset(group, name, where + name);
    const hdf5::ColumnInfo info = hdf5::column_info(set.get(), where + name);
    if (info.shape.size() > 2 || (rows != 0 && info.shape[0] != rows))
      throw Error(concat(where, name, ": expected ", rows, " flat rows, found ", info.shape[0], " of rank ",
                         info.shape.size()));
    const std::size_t found = info.shape.size() == 1 ? 1 : info.shape[1];
    if (width != 0 && found != width)
      throw Error(concat(where, name, ": expected ", width, " columns, found ", found));
    width = found;
    return hdf5::read_floats(set.get(), info, where + name);
  }

  std::vector<std::uint8_t> flags(hid_t group, const std::string& name, const std::string& where,
                                  std::size_t rows) const {
    const hdf5::Handle set = hdf5::open_dataset(group, name, where + name);
    const hdf5::ColumnInfo info = hdf5::column_info(set.get(), where + name);
    if (info.shape.size() != 1 || info.shape[0] != rows)
      throw Error(concat(where, name, ": expected ", rows, " flags, found ", info.shape[0]));
    return hdf5::read_flags(set.get(), info, where + name);
  }

  void read_episode(const std::string& name) {
    const std::string where = path_.string() + ": " + name + "/";
    const hdf5::Handle group(H5Gopen2(file_.get(), name.c_str(), H5P_DEFAULT), H5Gclose);
    if (!group.valid()) throw Error(concat(path_.string(), ": expected the group ", name, ", found none"));
    Dataset::Columns& c = columns_;
    std::size_t one = 1;
    const std::vector<float> rewards = floats(group.get(), "rewards", where, 0, one);
    const std::size_t rows = rewards.size();
    if (rows == 0) return;
    const std::vector<float> observations =
        floats(group.get(), "observations", where, rows + 1, c.observation_dim);
    const auto d = static_cast<std::ptrdiff_t>(c.observation_dim);
    c.observations.insert(c.observations.end(), observations.begin(), observations.end() - d);
    c.next_observations.insert(c.next_observations.end(), observations.begin() + d, observations.end());
    append(c.actions, floats(group.get(), "actions", where, rows, c.action_dim));
    append(c.rewards, rewards);
    append(c.terminals, flags(group.get(), "terminations", where, rows));
    std::vector<std::uint8_t> truncations = flags(group.get(), "truncations", where, rows);
    if (!c.terminals.back()) truncations.back() = 1;  // an episode's end is an end
    append(c.timeouts, truncations);
    read_infos(group.get(), where, rows);
  }

  /// Flat numeric infos with T or T + 1 rows become columns, if every episode has them.
  void read_infos(hid_t group, const std::string& where, std::size_t rows) {
    if (H5Lexists(group, "infos", H5P_DEFAULT) <= 0) return;
    const hdf5::Handle infos(H5Gopen2(group, "infos", H5P_DEFAULT), H5Gclose);
    const bool first = columns_.rewards.size() == rows;
    for (const std::string& name : hdf5::child_names(infos.get())) {
      if (!hdf5::has_dataset(infos.get(), name)) continue;
      auto column = std::find_if(columns_.infos.begin(), columns_.infos.end(),
                                 [&](const auto& i) { return i.name == name; });
      if (column == columns_.infos.end()) {
        if (!first) continue;
        column = columns_.infos.insert(columns_.infos.end(), {name, 0, {}});
      }
      std::vector<float> values = floats(infos.get(), name, where + "infos/", 0, column->size);
      values.resize(rows * column->size);
      append(column->values, values);
    }
    std::erase_if(columns_.infos,
                  [&](const auto& i) { return i.values.size() != columns_.rewards.size() * i.size; });
  }

  template <class T>
  static void append(std::vector<T>& to, const std::vector<T>& from) {
    to.insert(to.end(), from.begin(), from.end());
  }

  std::filesystem::path path_;
  hdf5::Handle file_;
  Dataset::Columns columns_;
};

Provenance read_provenance(const std::filesystem::path& file) {
  Provenance from;
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return from;
  const Json json = Json::parse(read_file(file), nullptr, false);
  if (!json.is_object()) throw Error(concat(file.string(), ": expected a JSON object, found other text"));
  from.behaviour = json.value("algorithm_name", "");
  if (json.contains("diffreward") && json["diffreward"].is_object()) {
    const Json& own = json["diffreward"];
    from.env = own.value("env", "");
    from.generator = own.value("generator", "");
    from.seed = own.value("seed", std::uint64_t{0});
    from.env_options = own.value("env_options", Json::object());
    from.extra = own.value("extra", Json::object());
  }
  return from;
}

}  // namespace

std::shared_ptr<const Dataset::Storage> open_minari(const std::filesystem::path& data_file) {
  Dataset::Columns columns = Reader(data_file).read();
  const Dataset data =
      Dataset::from_columns(std::move(columns), read_provenance(data_file.parent_path() / "metadata.json"));
  auto storage = std::make_shared<Dataset::Storage>(data.storage());
  storage->path = data_file;
  return storage;
}

std::filesystem::path Dataset::write_minari(const std::filesystem::path& root, const std::string& id) const {
  require(!id.empty() && id.find("..") == std::string::npos && id[0] != '/',
          "minari: expected an id such as maze/umaze/base-v0, got '", id, "'");
  const std::string versioned = id.find("-v") == std::string::npos ? id + "-v0" : id;
  const std::filesystem::path folder = root / versioned, final_file = folder / "data" / "main_data.hdf5";
  AtomicFile file(final_file);
  {
    const hdf5::Quiet quiet;
    Writer writer(file.path(), final_file);
    for (std::size_t i = 0; i < episodes().size(); ++i) writer.episode(*this, i);
  }
  const Provenance& from = provenance();
  const Json metadata = {{"dataset_id", versioned},
                         {"data_format", "hdf5"},
                         {"minari_version", kMinariVersion},
                         {"total_episodes", episodes().size()},
                         {"total_steps", size()},
                         {"observation_space", unbounded_box(observation_dim())},
                         {"action_space", unit_box(action_dim())},
                         {"algorithm_name", from.behaviour},
                         {"author", Json::array({"diffreward " DIFFREWARD_VERSION})},
                         {"dataset_size", static_cast<double>(std::filesystem::file_size(file.path())) / 1e6},
                         {"diffreward",
                          {{"env", from.env},
                           {"generator", from.generator},
                           {"seed", from.seed},
                           {"env_options", from.env_options},
                           {"extra", from.extra}}}};
  file.commit();
  write_file(folder / "data" / "metadata.json", metadata.dump(2));
  return folder;
}

}  // namespace diffreward
