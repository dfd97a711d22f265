// Minari's layout (0.5): <root>/<id>/data/{metadata.json, main_data.hdf5}; one group `episode_<i>` an episode
// with T + 1 observations, and T actions, rewards, terminations and truncations; infos like observations, T +
// 1 rows.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <optional>
#include <regex>
#include <set>

#include "core/file.h"
#include "core/interrupt.h"
#include "datasets/minari_id.h"
#include "datasets/storage/hdf5_reader.h"
#include "datasets/storage/isolated.h"
#include "datasets/storage/storage.h"
#include "envs/catalog.h"

#ifndef DIFFREWARD_VERSION
#define DIFFREWARD_VERSION "unknown"
#endif

namespace diffreward {
namespace {

constexpr const char* kMinariVersion = "0.5.4";
constexpr std::string_view kNamespace = "diffreward/";  // of our environments in Gymnasium's registry
constexpr std::array kScores = {"ref_min_score", "ref_max_score"};
constexpr std::size_t kPiece = std::size_t{4} << 20;  // numbers written between two looks at Ctrl-C

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

Box unbounded(std::size_t dim) {
  const double inf = std::numeric_limits<double>::infinity();
  return {std::vector<double>(dim, -inf), std::vector<double>(dim, inf)};
}

/// The environment that data comes from, where it is known.
std::optional<EnvSpec> spec_of(const Provenance& from) {
  const auto& catalog = env_catalog();
  if (std::none_of(catalog.begin(), catalog.end(),
                   [&](const EnvEntry& entry) { return entry.id == from.env; }))
    return std::nullopt;
  try {
    return env_spec(from.env, from.env_options);
  } catch (const Error&) {  // options of a stranger's file
    return std::nullopt;
  }
}

/// Reference returns of a random policy and of an expert, under Minari's names.
Json scores_of(const std::optional<EnvSpec>& spec) {
  if (!spec || !std::isfinite(spec->random_return) || !std::isfinite(spec->expert_return))
    return Json::object();
  return {{kScores[0], spec->random_return}, {kScores[1], spec->expert_return}};
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
    check_interrupt();
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
      const auto with_last_again = [&](const auto& column) {
        std::vector values(column.begin() + static_cast<std::ptrdiff_t>(e.begin * width),
                           column.begin() + static_cast<std::ptrdiff_t>(e.end * width));
        values.insert(values.end(), values.end() - static_cast<std::ptrdiff_t>(width), values.end());
        return values;
      };
      if (const auto doubles = data.info_doubles(name); !doubles.empty())
        write(infos.get(), name, std::span<const double>(with_last_again(doubles)), width == 1 ? 0 : width);
      else
        write(infos.get(), name, std::span<const float>(with_last_again(data.info(name))),
              width == 1 ? 0 : width);
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
    write_array(group, name, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, values.data(), sizeof(float), shape,
                width == 0 ? 1 : 2);
  }

  void write(hid_t group, const std::string& name, std::span<const double> values, std::size_t width) const {
    const hsize_t shape[2] = {values.size() / std::max<std::size_t>(1, width), width};
    write_array(group, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, values.data(), sizeof(double), shape,
                width == 0 ? 1 : 2);
  }

  void write_flags(hid_t group, const std::string& name, std::span<const std::uint8_t> values) const {
    // h5py's booleans: an enumeration of one byte.
    const hdf5::Handle type(H5Tenum_create(H5T_STD_I8LE), H5Tclose);
    const std::int8_t off = 0, on = 1;
    H5Tenum_insert(type.get(), "FALSE", &off);
    H5Tenum_insert(type.get(), "TRUE", &on);
    const hsize_t shape[1] = {values.size()};
    std::vector<std::uint8_t> booleans(values.size());
    std::transform(values.begin(), values.end(), booleans.begin(),
                   [](std::uint8_t flag) { return flag != 0; });
    write_array(group, name, type.get(), type.get(), booleans.data(), 1, shape, 1);
  }

  void write_array(hid_t group, const std::string& name, hid_t file_type, hid_t memory_type,
                   const void* values, std::size_t item, const hsize_t* shape, int rank) const {
    const hdf5::Handle space(H5Screate_simple(rank, shape, nullptr), H5Sclose),
        plist(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_obj_track_times(plist.get(), false);
    hdf5::Handle set(
        H5Dcreate2(group, name.c_str(), file_type, space.get(), H5P_DEFAULT, plist.get(), H5P_DEFAULT),
        H5Dclose);
    bool good = set.valid();
    const std::size_t width = rank == 1 ? 1 : shape[1];
    const hsize_t block = std::max<std::size_t>(1, kPiece / width);
    for (hsize_t row = 0; good && row < shape[0]; row += block) {
      check_interrupt();
      const hsize_t start[2] = {row, 0}, extent[2] = {std::min(block, shape[0] - row), width};
      const hdf5::Handle memory(H5Screate_simple(rank, extent, nullptr), H5Sclose);
      good = H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start, nullptr, extent, nullptr) >= 0 &&
             H5Dwrite(set.get(), memory_type, memory.get(), space.get(), H5P_DEFAULT,
                      static_cast<const char*>(values) + row * width * item) >= 0;
    }
    // Small arrays stay in a buffer until they are closed, so a full disk may show only there.
    if (!good || !set.close()) throw Error(concat(name_, ": ", name, ": cannot write"));
  }

  std::string name_;
  hdf5::Handle file_;
};

/// Reads the episodes one after the other into the spool: first what they hold, then the rows.
class Reader {
 public:
  Reader(hdf5::File& file, Spool& spool) : file_(file), spool_(spool) {}

  Json read() {
    const std::size_t episodes = count_episodes(file_);
    for (std::size_t i = 0; i < episodes; ++i) survey(i);
    std::erase_if(infos_, [&](const Info& info) {
      if (!info.fault.empty()) ignored_.push_back("infos/" + info.name + ": " + info.fault);
      return !info.fault.empty();
    });
    const auto floats = [&](std::size_t width) { return SpoolColumn(spool_, rows_ * width * sizeof(float)); };
    SpoolColumn observations = floats(width_), next = floats(width_), actions = floats(action_width_),
                rewards = floats(1), terminals(spool_, rows_), timeouts(spool_, rows_);
    std::vector<SpoolColumn> infos;
    std::vector<std::optional<SpoolColumn>> doubles(infos_.size());
    for (std::size_t k = 0; k < infos_.size(); ++k) {
      infos.push_back(floats(infos_[k].width));
      if (infos_[k].doubles) doubles[k].emplace(spool_, rows_ * infos_[k].width * sizeof(double));
    }
    std::vector<double> wide;
    for (std::size_t i = 0; i < episodes; ++i) {
      if (lengths_[i] == 0) continue;
      const Episode e(*this, i);
      for (std::size_t row = 0, count; row < lengths_[i]; row += count) {
        count = std::min(e.block, lengths_[i] - row);
        copy_states(e, row, count, observations, next);
        copy(e.actions, row, count, actions);
        copy(e.rewards, row, count, rewards);
        copy_flags(e, row, count, terminals, timeouts);
      }
      for (std::size_t k = 0; k < infos_.size(); ++k) {
        const hdf5::Column column(file_, e.group.get(), "infos/" + infos_[k].name,
                                  where(i, "infos/" + infos_[k].name));
        for (std::size_t row = 0, count; row < lengths_[i]; row += count) {
          count = std::min(column.block(), lengths_[i] - row);
          copy(column, row, count, infos[k]);
          if (!doubles[k]) continue;
          wide.resize(count * infos_[k].width);
          column.read_doubles(row, count, wide.data());
          doubles[k]->append(std::span<const double>(wide));
        }
      }
    }
    Json columns = Json::array();
    const auto add = [&](const std::string& name, std::size_t width, SpoolColumn& column) {
      column.finish();
      columns.push_back(column_json(name, width, "spool", column.offset()));
    };
    add("observations", width_, observations), add("next_observations", width_, next);
    add("actions", action_width_, actions), add("rewards", 1, rewards);
    add("terminals", 1, terminals), add("timeouts", 1, timeouts);
    for (std::size_t k = 0; k < infos_.size(); ++k) {
      add("infos/" + infos_[k].name, infos_[k].width, infos[k]);
      if (doubles[k]) add("doubles/" + infos_[k].name, infos_[k].width, *doubles[k]);
    }
    return {{"rows", rows_}, {"columns", columns}, {"attributes", Json::object()}, {"ignored", ignored_}};
  }

 private:
  struct Info {
    std::string name;
    std::size_t width;
    std::string fault;    // why it is left out
    bool doubles = true;  // of double precision in every episode
  };

  /// The columns of one episode, open.
  struct Episode {
    Episode(Reader& reader, std::size_t number)
        : group(reader.open(number)),
          actions(reader.column(group.get(), number, "actions")),
          rewards(reader.column(group.get(), number, "rewards")),
          terminations(reader.column(group.get(), number, "terminations")),
          truncations(reader.column(group.get(), number, "truncations")),
          block(std::min({actions.block(), rewards.block(), terminations.block(), truncations.block()})) {
      if (hdf5::kind_of(group.get(), "observations", reader.where(number, "observations")) !=
          hdf5::Kind::kGroup) {
        states.push_back(reader.column(group.get(), number, "observations"));
      } else {
        const hdf5::Handle parts =
            hdf5::open_group(group.get(), "observations", reader.where(number, "observations"));
        for (const std::string& name : hdf5::child_names(parts.get()))
          states.push_back(reader.column(group.get(), number, "observations/" + name));
        if (states.empty())
          throw Error(
              concat(reader.where(number, "observations"), ": expected columns, found an empty group"));
      }
      for (const hdf5::Column& part : states) {
        block = std::min(block, part.block());
        width += part.width();
      }
    }
    hdf5::Handle group;
    hdf5::Column actions, rewards, terminations, truncations;
    std::vector<hdf5::Column> states;  // one, or the parts of a dictionary, by name
    std::size_t width = 0, block;
  };

  std::string where(std::size_t episode, const std::string& name) const {
    return concat(file_.name(), ": episode_", episode, "/", name);
  }
  hdf5::Handle open(std::size_t episode) const {
    const std::string name = concat("episode_", episode);
    return hdf5::open_group(file_.id(), name, concat(file_.name(), ": ", name));
  }
  hdf5::Column column(hid_t group, std::size_t episode, const std::string& name) {
    hdf5::Column found(file_, group, name, where(episode, name));
    if (found.rank() > 2)
      throw Error(concat(found.where(), ": expected flat rows, found shape ", found.shape()));
    return found;
  }

  void survey(std::size_t number) {
    const Episode e(*this, number);
    const std::size_t rows = e.rewards.rows();
    lengths_.push_back(rows);
    if (rows == 0) return;
    const auto expect = [](const hdf5::Column& column, std::size_t expected, std::size_t width) {
      if (column.rows() != expected || (width != 0 && column.width() != width))
        throw Error(concat(column.where(), ": expected ", expected, " rows",
                           width ? concat(" of ", width, width == 1 ? " number" : " numbers") : "",
                           ", found shape ", column.shape()));
    };
    expect(e.rewards, rows, 1);
    expect(e.terminations, rows, 1), expect(e.truncations, rows, 1);
    expect(e.actions, rows, action_width_);
    for (std::size_t k = 0; k < e.states.size(); ++k) {
      if (rows_ > 0 && k >= part_widths_.size()) break;
      expect(e.states[k], rows + 1, rows_ ? part_widths_[k] : 0);
      if (rows_ == 0) part_widths_.push_back(e.states[k].width());
    }
    if (e.states.size() != part_widths_.size())
      throw Error(concat(where(number, "observations"), ": expected ", part_widths_.size(),
                         " parts as in episodes before, found ", e.states.size()));
    if (e.width > hdf5::kWidest)
      throw Error(concat(where(number, "observations"), ": expected at most ", hdf5::kWidest,
                         " columns, found ", e.width));
    survey_infos(number, e.group.get(), rows);
    width_ = e.width;
    action_width_ = e.actions.width();
    if (__builtin_add_overflow(rows_, rows, &rows_) || rows_ > hdf5::kMostRows)
      throw Error(concat(file_.name(), ": expected at most ", hdf5::kMostRows, " rows, found more"));
  }

  /// Flat numeric infos with T or T + 1 rows become columns, if every episode has them; others are left out.
  void survey_infos(std::size_t number, hid_t group, std::size_t rows) {
    const std::string at = where(number, "infos");
    std::vector<std::string> names;
    if (hdf5::kind_of(group, "infos", at) == hdf5::Kind::kGroup)
      names = hdf5::child_names(hdf5::open_group(group, "infos", at).get());
    if (rows_ == 0)
      for (const std::string& name : names) infos_.push_back({name, 0, ""});
    for (const std::string& name : names) {  // those that begin later
      const auto same = [&](const Info& info) { return info.name == name; };
      if (std::none_of(infos_.begin(), infos_.end(), same) && late_.insert(name).second)
        ignored_.push_back(
            concat("infos/", name, ": expected in every episode, found from episode ", number, " on"));
    }
    for (Info& info : infos_) {
      if (!info.fault.empty()) continue;
      try {
        const hdf5::Column found = column(group, number, "infos/" + info.name);
        if (found.rows() != rows && found.rows() != rows + 1)
          throw Error(concat(found.where(), ": expected ", rows + 1, " rows, found shape ", found.shape()));
        if (info.width != 0 && found.width() != info.width)
          throw Error(concat(found.where(), ": expected ", info.width, " columns, found ", found.width()));
        info.width = found.width();
        info.doubles = info.doubles && found.is_double();
      } catch (const Error& error) {
        info.fault = std::string(error.what()).substr(file_.name().size() + 2);
      }
    }
  }

  /// Rows of columns side by side.
  std::span<const float> gather(std::span<const hdf5::Column> parts, std::size_t row, std::size_t count) {
    std::size_t width = 0, at = 0;
    for (const hdf5::Column& part : parts) width += part.width();
    values_.resize(count * width);
    if (parts.size() == 1) {
      parts[0].read(row, count, values_.data());
      return values_;
    }
    for (const hdf5::Column& part : parts) {
      part_.resize(count * part.width());
      part.read(row, count, part_.data());
      for (std::size_t i = 0; i < count; ++i)
        std::copy_n(part_.begin() + std::ptrdiff_t(i * part.width()), part.width(),
                    values_.begin() + std::ptrdiff_t(i * width + at));
      at += part.width();
    }
    return values_;
  }

  void copy(const hdf5::Column& from, std::size_t row, std::size_t count, SpoolColumn& to) {
    to.append(gather({&from, 1}, row, count));
  }

  void copy_states(const Episode& e, std::size_t row, std::size_t count, SpoolColumn& observations,
                   SpoolColumn& next) {
    const std::span<const float> states = gather(e.states, row, count + 1);
    observations.append(states.first(count * width_));
    next.append(states.subspan(width_));
  }

  void copy_flags(const Episode& e, std::size_t row, std::size_t count, SpoolColumn& terminals,
                  SpoolColumn& timeouts) {
    flags_.resize(count);
    e.terminations.read_flags(row, count, flags_.data());
    terminals.append(std::span<const std::uint8_t>(flags_));
    const bool terminated = flags_.back();
    e.truncations.read_flags(row, count, flags_.data());
    if (row + count == e.rewards.rows() && !terminated) flags_.back() = 1;  // an episode's end is an end
    timeouts.append(std::span<const std::uint8_t>(flags_));
  }

  hdf5::File& file_;
  Spool& spool_;
  std::size_t rows_ = 0, width_ = 0, action_width_ = 0;
  std::vector<std::size_t> lengths_, part_widths_;
  std::vector<Info> infos_;
  std::set<std::string> late_;
  Json ignored_ = Json::array();
  std::vector<float> values_, part_;
  std::vector<std::uint8_t> flags_;
};

/// JSON of Python, which writes numbers that JSON has not, as null.
Json parse_python_json(const std::string& text, const std::string& where) {
  std::string plain;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '"') {
      const std::size_t begin = i++;
      while (i < text.size() && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
      i = std::min(i + 1, text.size());
      plain.append(text, begin, i - begin);
      continue;
    }
    bool special = false;
    for (const std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
      if (text.compare(i, word.size(), word) != 0) continue;
      plain += "null";
      i += word.size();
      special = true;
      break;
    }
    if (!special) plain += text[i++];
  }
  return parse_json(plain, where);
}

std::string text_of(const Json& table, const char* key) {
  return table.contains(key) && table[key].is_string() ? table[key].get<std::string>() : std::string();
}

/// Throws Error unless values of a space are vectors of numbers, or dictionaries of them where those may be.
void expect_vectors(const Json& space, const std::string& where, bool or_dictionary) {
  const std::string type = text_of(space, "type");
  if (type == "Box") {
    const Json shape = space.value("shape", Json());
    if (!shape.is_array() || shape.size() <= 1) return;
    throw Error(concat(where, ": expected a Box of one dimension, found one of shape ", brief(shape),
                       shape.size() > 1 ? ": images and arrays are not read" : ""));
  }
  if (type == "Dict" && or_dictionary && space.contains("subspaces") && space["subspaces"].is_object()) {
    for (const auto& [name, part] : space["subspaces"].items())
      expect_vectors(part, where + "/" + name, false);
    return;
  }
  throw Error(concat(where, ": expected a Box", or_dictionary ? " or a Dict of them" : "", ", found ",
                     type.empty() ? brief(space) : type));
}

}  // namespace

bool is_minari(const hdf5::File& file) {
  return hdf5::kind_of(file.id(), "episode_0", file.name() + ": episode_0") == hdf5::Kind::kGroup;
}

std::size_t count_episodes(const hdf5::File& file) {
  std::size_t episodes = 0;
  for (const std::string& name : hdf5::child_names(file.id())) episodes += name.starts_with("episode_");
  if (episodes == 0) throw Error(concat(file.name(), ": expected groups episode_0 ..., found none"));
  return episodes;
}

Json read_minari(hdf5::File& file, Spool& spool) {
  return Reader(file, spool).read();
}

Provenance read_minari_metadata(const std::filesystem::path& metadata) {
  constexpr std::size_t kLargest = std::size_t{16} << 20;  // bytes
  Provenance from;
  std::error_code ignored;
  if (!std::filesystem::exists(metadata, ignored)) return from;
  const std::string name = metadata.string();
  if (const std::size_t size = RegularFile(metadata).size(); size > kLargest)
    throw Error(concat(name, ": expected at most ", kLargest >> 20, " MB, found ", size, " bytes"));
  const Json json = parse_python_json(read_file(metadata), name);
  if (!json.is_object()) throw Error(concat(name, ": expected a JSON object, found ", brief(json)));
  for (const char* key : {"observation_space", "action_space"})
    if (const std::string space = text_of(json, key); !space.empty())
      expect_vectors(parse_python_json(space, concat(name, ": ", key)), concat(name, ": ", key),
                     key == std::string_view("observation_space"));
  from.behaviour = text_of(json, "algorithm_name");
  if (json.contains("diffreward") && json["diffreward"].is_object()) {
    const Json& own = json["diffreward"];
    from.env = text_of(own, "env");
    from.generator = text_of(own, "generator");
    if (own.contains("seed") && own["seed"].is_number_unsigned()) from.seed = own["seed"];
    if (own.contains("env_options") && own["env_options"].is_object()) from.env_options = own["env_options"];
    if (own.contains("extra") && own["extra"].is_object()) from.extra = own["extra"];
  } else if (const std::string text = text_of(json, "env_spec"); !text.empty()) {
    const Json spec = parse_python_json(text, name + ": env_spec");
    from.env = spec.is_object() ? text_of(spec, "id") : "";
    if (from.env.starts_with(kNamespace)) {
      from.env = from.env.substr(kNamespace.size());
      from.env_options = spec.value("kwargs", Json::object());
      if (!from.env_options.is_object()) from.env_options = Json::object();
      from.env_options.erase("env_id");
    } else {
      from.extra["env_spec"] = text;  // written again with the data
    }
  }
  const Json known = scores_of(spec_of(from));
  for (const char* score : kScores)
    if (json.contains(score) && json[score].is_number() && json[score] != known.value(score, Json()))
      from.extra[score] = json[score];
  return from;
}

std::string minari_id(const std::string& id) {
  static const std::regex rule("(?:[-_A-Za-z0-9]+/)*[-_A-Za-z0-9]+"),
      versioned(".*[-_A-Za-z0-9]-v[0-9]{1,9}");
  const std::string name = id.substr(id.rfind('/') + 1);
  const std::string space = id.substr(0, id.size() - name.size());
  require(id.size() <= 200 && std::regex_match(id, rule) && space.size() != 2 &&
              ("/" + id + "/").find("/data/") == std::string::npos,
          "minari: expected an id such as maze/umaze/base-v0 (letters, digits, - and _; a namespace of two "
          "letters"
          " or more, no part of it 'data'), got '",
          id, "'");
  return std::regex_match(name, versioned) ? id : id + "-v0";
}

namespace {

/// The Python package's class of an environment (bindings/python/diffreward/registration.py).
const char* python_class(const std::string& id) {
  if (id.starts_with("Maze2D")) return "Env";
  return id.starts_with("PointMaze_") ? "GoalEnv" : "RobotEnv";
}

/// The environment as Gymnasium's registry makes it again; "" where it is not known.
std::string env_spec_text(const Dataset& data) {
  const Provenance& from = data.provenance();
  if (from.extra.contains("env_spec") && from.extra["env_spec"].is_string())
    return from.extra["env_spec"].get<std::string>();
  const auto& catalog = env_catalog();
  const auto entry =
      std::find_if(catalog.begin(), catalog.end(), [&](const EnvEntry& e) { return e.id == from.env; });
  if (entry == catalog.end()) return "";
  Json options = from.env_options;
  // Gymnasium's `reward` is a learned reward in the task's place, so a maze's option of that name cannot be
  // told.
  if (options.contains("reward")) {
    if (options["reward"] != "sparse") return "";
    options.erase("reward");
  }
  int steps = entry->max_steps;
  if (from.episode_steps() > 0) steps = from.episode_steps();
  Json kwargs = {{"env_id", entry->id}};
  kwargs.update(options);
  return Json{{"id", std::string(kNamespace) + entry->id},
              {"entry_point", concat("diffreward.environment:", python_class(entry->id))},
              {"reward_threshold", nullptr},
              {"nondeterministic", false},
              {"max_episode_steps", steps > 0 ? Json(steps) : Json()},
              {"order_enforce", true},
              {"disable_env_checker", false},
              {"kwargs", kwargs},
              {"additional_wrappers", Json::array()},
              {"vector_entry_point", "diffreward.vector_environment:VectorEnv"}}
      .dump(-1, ' ', true, Json::error_handler_t::replace);
}

/// The folders that an id's namespaces stand for, outermost first.
std::vector<std::filesystem::path> namespaces(const std::filesystem::path& root, const std::string& id) {
  std::vector<std::filesystem::path> folders;
  for (std::size_t slash = id.find('/'); slash != std::string::npos; slash = id.find('/', slash + 1))
    folders.push_back(root / id.substr(0, slash));
  return folders;
}

}  // namespace

std::filesystem::path Dataset::write_minari(const std::filesystem::path& root, const std::string& id) const {
  const std::string versioned = minari_id(id);
  const std::filesystem::path folder = root / versioned, final_file = folder / "data" / "main_data.hdf5";
  std::error_code ignored;
  for (const std::filesystem::path& outer : namespaces(root, versioned))
    if (std::filesystem::exists(outer / "data", ignored))  // Minari looks no further there
      throw Error(concat(outer.string(), ": expected a namespace, found a data set"));
  AtomicFile file(final_file);
  {
    const Hdf5Lock lock;
    const hdf5::Quiet quiet;
    Writer writer(file.path(), final_file);
    for (std::size_t i = 0; i < episodes().size(); ++i) writer.episode(*this, i);
    writer.close();
  }
  const Provenance& from = provenance();
  std::optional<EnvSpec> spec = spec_of(from);
  Json scores = scores_of(spec);
  for (const char* score : kScores)
    if (from.extra.contains(score) && from.extra[score].is_number()) scores[score] = from.extra[score];
  if (spec && (spec->observation.size() != observation_dim() || spec->action.size() != action_dim()))
    spec.reset();
  Json metadata = {{"dataset_id", versioned},
                   {"data_format", "hdf5"},
                   {"minari_version", kMinariVersion},
                   {"total_episodes", episodes().size()},
                   {"total_steps", size()},
                   {"observation_space", box_space(spec ? spec->observation : unbounded(observation_dim()))},
                   {"action_space", box_space(spec ? spec->action : unbounded(action_dim()))},
                   {"algorithm_name", from.behaviour},
                   {"author", Json::array({"diffreward " DIFFREWARD_VERSION})},
                   {"author_email", Json::array()},
                   {"dataset_size", static_cast<double>(std::filesystem::file_size(file.path())) / 1e6},
                   {"diffreward",
                    {{"env", from.env},
                     {"generator", from.generator},
                     {"seed", from.seed},
                     {"env_options", from.env_options},
                     {"extra", from.extra}}}};
  if (const std::string env = env_spec_text(*this); !env.empty()) metadata["env_spec"] = env;
  metadata.update(scores);
  AtomicFile description(folder / "data" / "metadata.json");
  {
    std::ofstream out(description.path());
    out << metadata.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
    out.close();
    if (!out) throw Error(concat(folder.string(), ": metadata.json: cannot write: ", std::strerror(errno)));
  }
  file.commit();
  description.commit();
  for (const std::filesystem::path& outer : namespaces(root, versioned))  // as Minari marks them
    if (!std::filesystem::exists(outer / "namespace_metadata.json", ignored))
      write_file(outer / "namespace_metadata.json", "{}\n");
  return folder;
}

}  // namespace diffreward
