// D4RL's HDF5 layout: observations, actions, rewards, terminals, timeouts, infos/*, flat over episodes. Ours
// adds next_observations and keeps provenance as attributes of the group `metadata`.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "core/interrupt.h"
#include "datasets/storage/d4rl_writer.h"
#include "datasets/storage/hdf5_reader.h"
#include "datasets/storage/isolated.h"
#include "datasets/storage/storage.h"

namespace diffreward {
namespace {

constexpr std::size_t kPiece = std::size_t{16} << 20;  // bytes written between two looks at Ctrl-C

/// Reads columns one by one: left where they are in the file if their bytes lie there in one aligned piece,
/// converted into the spool if not.
class Reader {
 public:
  Reader(hdf5::File& file, Spool& spool) : file_(file), spool_(spool) {}

  Json read() {
    const hdf5::Column observations = column("observations", 0);
    rows_ = observations.rows();
    if (rows_ == 0) throw Error(concat(where("observations"), ": expected rows, found none"));
    add_floats("observations", observations);
    add_floats("actions", column("actions", rows_));
    add_floats("rewards", column("rewards", rows_), true);
    const hdf5::Column terminals = column("terminals", rows_);
    add_flags("terminals", terminals);
    std::optional<hdf5::Column> timeouts;
    if (has("timeouts")) {
      timeouts.emplace(column("timeouts", rows_));
      add_flags("timeouts", *timeouts);
    } else {
      add_no_timeouts(terminals);
    }
    if (has("next_observations")) {
      const hdf5::Column next = column("next_observations", rows_);
      if (next.width() != observations.width())
        throw Error(
            concat(next.where(), ": expected ", observations.width(), " columns, found ", next.width()));
      add_floats("next_observations", next);
    } else {
      add_shifted(observations, terminals, timeouts ? &*timeouts : nullptr);
    }
    add_infos();
    return {{"rows", rows_}, {"columns", columns_}, {"attributes", attributes()}, {"ignored", ignored_}};
  }

 private:
  std::string where(const std::string& name) const { return file_.name() + ": " + name; }
  bool has(const char* name) const {
    return hdf5::kind_of(file_.id(), name, where(name)) == hdf5::Kind::kColumn;
  }

  /// rows == 0: any number.
  hdf5::Column column(const std::string& name, std::size_t rows) {
    hdf5::Column found(file_, file_.id(), name, where(name));
    if (found.rank() > 2)
      throw Error(concat(found.where(), ": expected shape [rows, columns], found ", found.shape()));
    if (rows != 0 && found.rows() != rows)
      throw Error(
          concat(found.where(), ": expected ", rows, " rows as in observations, found ", found.rows()));
    return found;
  }
  static void expect_list(const hdf5::Column& column) {
    if (column.width() != 1)
      throw Error(concat(column.where(), ": expected one number a row, found shape ", column.shape()));
  }

  void add_floats(const std::string& name, const hdf5::Column& from, bool list = false) {
    if (list) expect_list(from);
    if (from.floats_at() != HADDR_UNDEF) {
      columns_.push_back(column_json(name, from.width(), "file", from.floats_at()));
      return;
    }
    SpoolColumn to(spool_, rows_ * from.width() * sizeof(float));
    std::vector<float> values;
    in_blocks(from.block(), [&](std::size_t row, std::size_t count) {
      values.resize(count * from.width());
      from.read(row, count, values.data());
      to.append(std::span<const float>(values));
    });
    finish(name, from.width(), to);
  }

  void add_doubles(const std::string& name, const hdf5::Column& from) {
    if (from.doubles_at() != HADDR_UNDEF) {
      columns_.push_back(column_json(name, from.width(), "file", from.doubles_at()));
      return;
    }
    SpoolColumn to(spool_, rows_ * from.width() * sizeof(double));
    std::vector<double> values;
    in_blocks(from.block(), [&](std::size_t row, std::size_t count) {
      values.resize(count * from.width());
      from.read_doubles(row, count, values.data());
      to.append(std::span<const double>(values));
    });
    finish(name, from.width(), to);
  }

  /// Left in the file only if they are 0 and 1 there already.
  void add_flags(const std::string& name, const hdf5::Column& from) {
    expect_list(from);
    std::vector<std::uint8_t> flags, raw;
    if (from.bytes_at() != HADDR_UNDEF) {
      bool plain = true;
      in_blocks(from.block(), [&](std::size_t row, std::size_t count) {
        if (!plain) return;
        raw.resize(count);
        from.read_bytes(row, count, raw.data());
        plain = std::all_of(raw.begin(), raw.end(), [](std::uint8_t flag) { return flag <= 1; });
      });
      if (plain) {
        columns_.push_back(column_json(name, 1, "file", from.bytes_at()));
        return;
      }
    }
    SpoolColumn to(spool_, rows_);
    in_blocks(from.block(), [&](std::size_t row, std::size_t count) {
      flags.resize(count);
      from.read_flags(row, count, flags.data());
      to.append(std::span<const std::uint8_t>(flags));
    });
    finish(name, 1, to);
  }

  /// Nothing tells where episodes were cut: the recording's end is an end.
  void add_no_timeouts(const hdf5::Column& terminals) {
    std::uint8_t last = 0;
    terminals.read_flags(rows_ - 1, 1, &last);
    SpoolColumn to(spool_, rows_);
    std::vector<std::uint8_t> flags;
    in_blocks(std::size_t{1} << 20, [&](std::size_t row, std::size_t count) {
      flags.assign(count, 0);
      if (row + count == rows_) flags.back() = !last;
      to.append(std::span<const std::uint8_t>(flags));
    });
    finish("timeouts", 1, to);
  }

  /// Where a file does not say what an action reached: the next row's observation; at ends the row's own.
  void add_shifted(const hdf5::Column& from, const hdf5::Column& terminals, const hdf5::Column* timeouts) {
    const std::size_t width = from.width();
    SpoolColumn to(spool_, rows_ * width * sizeof(float));
    std::vector<float> values;
    std::vector<std::uint8_t> ends, cuts;
    in_blocks(from.block(), [&](std::size_t row, std::size_t count) {
      const std::size_t more = row + count < rows_;
      values.resize((count + 1) * width);
      from.read(row, count + more, values.data());
      ends.resize(count), cuts.resize(count);
      terminals.read_flags(row, count, ends.data());
      if (timeouts) timeouts->read_flags(row, count, cuts.data());
      for (std::size_t i = 0; i < count; ++i) {
        const bool last = ends[i] || (timeouts && cuts[i]) || row + i + 1 == rows_;
        to.append(std::span<const float>(values).subspan((last ? i : i + 1) * width, width));
      }
    });
    finish("next_observations", width, to);
  }

  void add_infos() {
    if (hdf5::kind_of(file_.id(), "infos", where("infos")) != hdf5::Kind::kGroup) return;
    const hdf5::Handle group = hdf5::open_group(file_.id(), "infos", where("infos"));
    for (const std::string& name : hdf5::child_names(group.get())) {
      try {
        const hdf5::Column found = column("infos/" + name, rows_);
        add_floats("infos/" + name, found);
        if (found.is_double()) add_doubles("doubles/" + name, found);
      } catch (const Error& error) {
        ignored_.push_back(std::string(error.what()).substr(file_.name().size() + 2));
      }
    }
  }

  Json attributes() {
    if (hdf5::kind_of(file_.id(), "metadata", where("metadata")) != hdf5::Kind::kGroup) return Json::object();
    const hdf5::Handle group = hdf5::open_group(file_.id(), "metadata", where("metadata"));
    Json found = {{"seed", hdf5::read_integer(group.get(), "seed", 0, ignored_)}};
    for (const char* name : {"env", "behaviour", "generator", "env_options", "extra"})
      found[name] = hdf5::read_text(group.get(), name, ignored_);
    return found;
  }

  void finish(const std::string& name, std::size_t width, SpoolColumn& column) {
    column.finish();
    columns_.push_back(column_json(name, width, "spool", column.offset()));
  }

  template <class Work>
  void in_blocks(std::size_t block, const Work& work) const {
    for (std::size_t row = 0; row < rows_; row += block) work(row, std::min(block, rows_ - row));
  }

  hdf5::File& file_;
  Spool& spool_;
  std::size_t rows_ = 0;
  Json columns_ = Json::array(), ignored_ = Json::array();
};

}  // namespace

Json read_d4rl(hdf5::File& file, Spool& spool) {
  return Reader(file, spool).read();
}

D4rlWriter::D4rlWriter(const std::filesystem::path& path, std::size_t rows, std::size_t observation_dim,
                       std::size_t action_dim, const std::vector<InfoField>& infos,
                       const std::vector<InfoField>& doubles, const Provenance& provenance)
    : path_(path), file_(path) {
  require(rows > 0, path.string(), ": expected rows to write, got none");
  const Hdf5Lock lock;
  const hdf5::Quiet quiet;
  const hdf5::Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose),
      create(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
  H5Pset_alignment(access.get(), 1024, 64);  // columns start on cache lines, so that readers can map them
  H5Pset_obj_track_times(create.get(), false);
  {
    const hdf5::Handle file(H5Fcreate(file_.path().c_str(), H5F_ACC_TRUNC, create.get(), access.get()),
                            H5Fclose);
    if (!file.valid()) throw Error(concat(path_.string(), ": cannot create: ", std::strerror(errno)));
    const auto group = [&](const char* name) {
      const hdf5::Handle plist(H5Pcreate(H5P_GROUP_CREATE), H5Pclose);
      H5Pset_obj_track_times(plist.get(), false);
      return hdf5::Handle(H5Gcreate2(file.get(), name, H5P_DEFAULT, plist.get(), H5P_DEFAULT), H5Gclose);
    };
    const auto column = [&](const std::string& name, hid_t type, std::size_t item, std::size_t width,
                            bool flat) {
      const hdf5::Handle plist(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
      H5Pset_layout(plist.get(), H5D_CONTIGUOUS);
      H5Pset_alloc_time(plist.get(), H5D_ALLOC_TIME_EARLY);
      H5Pset_fill_time(plist.get(), H5D_FILL_TIME_NEVER);
      H5Pset_obj_track_times(plist.get(), false);
      const std::array<hsize_t, 2> shape{rows, width};
      const hdf5::Handle space(H5Screate_simple(flat ? 1 : 2, shape.data(), nullptr), H5Sclose);
      const hdf5::Handle set(
          H5Dcreate2(file.get(), name.c_str(), type, space.get(), H5P_DEFAULT, plist.get(), H5P_DEFAULT),
          H5Dclose);
      if (!set.valid()) throw Error(concat(path_.string(), ": ", name, ": cannot lay out the column"));
      columns_[name] = {static_cast<std::size_t>(H5Dget_offset(set.get())), item * width};
    };
    column("observations", H5T_IEEE_F32LE, 4, observation_dim, false);
    column("next_observations", H5T_IEEE_F32LE, 4, observation_dim, false);
    column("actions", H5T_IEEE_F32LE, 4, action_dim, false);
    column("rewards", H5T_IEEE_F32LE, 4, 1, true);
    column("terminals", H5T_STD_U8LE, 1, 1, true);
    column("timeouts", H5T_STD_U8LE, 1, 1, true);
    const hdf5::Handle infos_group = group("infos"), metadata = group("metadata");
    for (const InfoField& info : infos)
      column("infos/" + info.name, H5T_IEEE_F32LE, 4, info.size, info.size == 1);
    for (const InfoField& info : doubles)
      column("infos/" + info.name, H5T_IEEE_F64LE, 8, info.size, info.size == 1);
    hdf5::write_text(metadata.get(), "env", provenance.env);
    hdf5::write_text(metadata.get(), "behaviour", provenance.behaviour);
    hdf5::write_text(metadata.get(), "generator", provenance.generator);
    hdf5::write_integer(metadata.get(), "seed", provenance.seed);
    hdf5::write_text(metadata.get(), "env_options", provenance.env_options.dump());
    hdf5::write_text(metadata.get(), "extra", provenance.extra.dump());
    if (H5Fflush(file.get(), H5F_SCOPE_LOCAL) < 0)
      throw Error(concat(path_.string(), ": cannot write its header"));
  }
  descriptor_ = ::open(file_.path().c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor_ < 0) throw Error(concat(path_.string(), ": cannot write: ", std::strerror(errno)));
}

D4rlWriter::~D4rlWriter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void D4rlWriter::write(const std::string& column, std::size_t row, std::span<const float> values) {
  write_bytes(column, row, values.data(), values.size_bytes());
}

void D4rlWriter::write(const std::string& column, std::size_t row, std::span<const double> values) {
  write_bytes(column, row, values.data(), values.size_bytes());
}

void D4rlWriter::write(const std::string& column, std::size_t row, std::span<const std::uint8_t> values) {
  write_bytes(column, row, values.data(), values.size_bytes());
}

void D4rlWriter::write_bytes(const std::string& column, std::size_t row, const void* bytes,
                             std::size_t size) {
  const Column& at = columns_.at(column);
  const char* from = static_cast<const char*>(bytes);
  auto offset = static_cast<off_t>(at.offset + row * at.row_bytes);
  while (size > 0) {
    check_interrupt();
    const ssize_t written = ::pwrite(descriptor_, from, std::min(size, kPiece), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0)
      throw Error(concat(path_.string(), ": ", column, ": cannot write: ", std::strerror(errno)));
    from += written;
    offset += written;
    size -= static_cast<std::size_t>(written);
  }
}

void D4rlWriter::commit() {
  file_.commit();
}

}  // namespace diffreward
