// Minari's layout (0.5): <root>/<id>/data/{metadata.json, main_data.hdf5}; one group `episode_<i>` an episode
// with T + 1 observations, and T actions, rewards, terminations and truncations; infos like observations, T +
// 1 rows.
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>

#include "core/file.h"
#include "datasets/storage/hdf5.h"
#include "datasets/storage/storage.h"
#include "envs/catalog.h"

#ifndef DIFFREWARD_VERSION
#define DIFFREWARD_VERSION "unknown"
#endif

namespace diffreward {
namespace {

constexpr const char* kMinariVersion = "0.5.4";

/// A flat Box as Minari writes spaces: JSON inside a text, with Python's spelling of infinity.
std::string box_space(const Box& box) {
  const auto numbers = [](const std::vector<double>& values) {
    std::string list;
    for (const double value : values)
      list += (list.empty() ? "" : ", ") +
              (std::isinf(value) ? (value < 0 ? "-Infinity" : "Infinity") : Json(value).dump());
    return "[" + list + "]";
  };
  return concat(R"({"type": "Box", "dtype": "float32", "shape": [)", box.size(), R"(], "low": )",
                numbers(box.low), R"(, "high": )", numbers(box.high), "}");
}

/// The spaces of the environment that the data comes from; unbounded ones where it is not known.
std::pair<Box, Box> spaces(const Dataset& data) {
  const Provenance& from = data.provenance();
  for (const EnvEntry& entry : env_catalog()) {
    if (entry.id != from.env) continue;
    const EnvSpec spec = env_spec(from.env, from.env_options);
    if (spec.observation.size() == data.observation_dim() && spec.action.size() == data.action_dim())
      return {spec.observation, spec.action};
  }
  const auto unbounded = [](std::size_t dim) {
    const double inf = std::numeric_limits<double>::infinity();
    return Box{std::vector<double>(dim, -inf), std::vector<double>(dim, inf)};
  };
  return {unbounded(data.observation_dim()), unbounded(data.action_dim())};
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
    hdf5::write_integer(group.get(), "id", number);
    hdf5::write_integer(group.get(), "total_steps", e.size());
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

  /// Throws Error if not all bytes reached the disk.
  void close() {
    if (H5Fflush(file_.get(), H5F_SCOPE_LOCAL) < 0 || !file_.close())
      throw Error(concat(name_, ": cannot write: ", std::strerror(errno)));
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
    hdf5::Handle set(
        H5Dcreate2(group, name.c_str(), file_type, space.get(), H5P_DEFAULT, plist.get(), H5P_DEFAULT),
        H5Dclose);
    // Small arrays stay in a buffer until they are closed, so a full disk may show only there.
    if (!set.valid() || H5Dwrite(set.get(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0 ||
        !set.close())
      throw Error(concat(name_, ": ", name, ": cannot write"));
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

  /// Flat numeric infos with T or T + 1 rows become columns, if every episode has them; others are left out.
  void read_infos(hid_t group, const std::string& where, std::size_t rows) {
    const std::size_t before = columns_.rewards.size() - rows;
    const hdf5::Handle infos(
        H5Lexists(group, "infos", H5P_DEFAULT) > 0 ? H5Gopen2(group, "infos", H5P_DEFAULT) : H5I_INVALID_HID,
        H5Gclose);
    const std::vector<std::string> names =
        infos.valid() ? hdf5::child_names(infos.get()) : std::vector<std::string>();
    for (const std::string& name : names) {
      if (!hdf5::has_dataset(infos.get(), name)) continue;
      const hdf5::Handle set = hdf5::open_dataset(infos.get(), name, where + "infos/" + name);
      const std::vector<hsize_t> shape = hdf5::numeric_shape(set.get());
      if (shape.empty() || shape.size() > 2 || (shape[0] != rows && shape[0] != rows + 1)) continue;
      const std::size_t width = shape.size() == 1 ? 1 : shape[1];
      if (before == 0) columns_.infos.push_back({name, width, {}});
      for (Dataset::Columns::Info& column : columns_.infos) {
        if (column.name != name || column.size != width || column.values.size() != before * width) continue;
        std::vector<float> values =
            hdf5::read_floats(set.get(), hdf5::column_info(set.get(), where + name), where + "infos/" + name);
        values.resize(rows * width);
        append(column.values, values);
      }
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
  const auto text = [](const Json& table, const char* key) {
    return table.contains(key) && table[key].is_string() ? table[key].get<std::string>() : std::string();
  };
  from.behaviour = text(json, "algorithm_name");
  if (json.contains("diffreward") && json["diffreward"].is_object()) {
    const Json& own = json["diffreward"];
    from.env = text(own, "env");
    from.generator = text(own, "generator");
    if (own.contains("seed") && own["seed"].is_number_unsigned()) from.seed = own["seed"];
    if (own.contains("env_options")) from.env_options = own["env_options"];
    if (own.contains("extra")) from.extra = own["extra"];
  }
  return from;
}

}  // namespace

std::shared_ptr<const Dataset::Storage> open_minari(const std::filesystem::path& data_file) {
  Dataset::Columns columns = Reader(data_file).read();
  const Dataset data =
      Dataset::from_columns(std::move(columns), read_provenance(data_file.parent_path() / "metadata.json"));
  auto storage = std::make_shared<Dataset::Storage>(data.storage());
  // The copied spans point into the columns of `data`: keep that alive, and drop the second copy.
  storage->floats.clear();
  storage->bytes.clear();
  storage->mapping = std::make_shared<Dataset>(data);
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
    writer.close();
  }
  const Provenance& from = provenance();
  const auto [observations, actions] = spaces(*this);
  const Json metadata = {{"dataset_id", versioned},
                         {"data_format", "hdf5"},
                         {"minari_version", kMinariVersion},
                         {"total_episodes", episodes().size()},
                         {"total_steps", size()},
                         {"observation_space", box_space(observations)},
                         {"action_space", box_space(actions)},
                         {"algorithm_name", from.behaviour},
                         {"author", Json::array({"diffreward " DIFFREWARD_VERSION})},
                         {"dataset_size", static_cast<double>(std::filesystem::file_size(file.path())) / 1e6},
                         {"diffreward",
                          {{"env", from.env},
                           {"generator", from.generator},
                           {"seed", from.seed},
                           {"env_options", from.env_options},
                           {"extra", from.extra}}}};
  AtomicFile description(folder / "data" / "metadata.json");
  {
    std::ofstream out(description.path());
    out << metadata.dump(2) << '\n';
    out.close();
    if (!out) throw Error(concat(folder.string(), ": metadata.json: cannot write: ", std::strerror(errno)));
  }
  file.commit();
  description.commit();
  return folder;
}

}  // namespace diffreward
