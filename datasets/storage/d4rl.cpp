// D4RL's HDF5 layout: observations, actions, rewards, terminals, timeouts, infos/*, flat over episodes. Ours
// adds next_observations and keeps provenance as attributes of the group `metadata`.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "datasets/storage/d4rl_writer.h"
#include "datasets/storage/hdf5.h"
#include "datasets/storage/storage.h"

namespace diffreward {
namespace {

/// The whole file mapped for reading; closed with the last data set that uses it.
std::shared_ptr<const void> map_file(const std::filesystem::path& path, std::size_t& size) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw Error(concat(path.string(), ": cannot read: ", std::strerror(errno)));
  size = static_cast<std::size_t>(std::filesystem::file_size(path));
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  ::close(file);
  if (memory == MAP_FAILED) throw Error(concat(path.string(), ": cannot map: ", std::strerror(errno)));
  return {memory, [size](const void* address) { ::munmap(const_cast<void*>(address), size); }};
}

/// Reads columns one by one: mapped where their bytes lie in one aligned piece, copied where not.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path)
      : storage_(std::make_shared<Dataset::Storage>()), file_(hdf5::open_file(path)), name_(path.string()) {
    storage_->path = path;
    storage_->mapping = map_file(path, mapped_);
  }

  std::shared_ptr<const Dataset::Storage> read() {
    Dataset::Storage& s = *storage_;
    s.observations = floats("observations", 0, &s.observation_dim);
    s.rows = s.observation_dim ? s.observations.size() / s.observation_dim : 0;
    if (s.rows == 0) throw Error(concat(name_, ": observations: expected rows, found none"));
    s.actions = floats("actions", s.rows, &s.action_dim);
    std::size_t one = 1;
    s.rewards = floats("rewards", s.rows, &one);
    s.terminals = flags("terminals");
    s.timeouts = hdf5::has_dataset(file_.get(), "timeouts") ? flags("timeouts") : no_timeouts();
    s.find_episodes();
    if (hdf5::has_dataset(file_.get(), "next_observations")) {
      std::size_t width = 0;
      s.next_observations = floats("next_observations", s.rows, &width);
      if (width != s.observation_dim)
        throw Error(
            concat(name_, ": next_observations: expected ", s.observation_dim, " columns, found ", width));
    } else {
      s.next_observations = shifted_observations();
    }
    read_infos();
    read_provenance();
    return storage_;
  }

 private:
  std::string where(const std::string& column) const { return name_ + ": " + column; }

  /// rows == 0: any number. *width: 0 takes what is found, 1 demands a plain list.
  std::span<const float> floats(const std::string& column, std::size_t rows, std::size_t* width) {
    const hdf5::Handle dataset = hdf5::open_dataset(file_.get(), column, where(column));
    const hdf5::ColumnInfo info = hdf5::column_info(dataset.get(), where(column));
    const std::size_t found = info.shape.size() == 1 ? 1 : info.shape[1];
    if (info.shape.size() > 2 || (*width == 1 && found != 1) || found == 0)
      throw Error(concat(where(column), ": expected shape [rows, columns], found rank ", info.shape.size(),
                         " with ", found, " columns"));
    if (rows != 0 && info.shape[0] != rows)
      throw Error(
          concat(where(column), ": expected ", rows, " rows as in observations, found ", info.shape[0]));
    *width = found;
    const std::size_t count = info.shape[0] * found;
    if (info.is_float && info.offset != HADDR_UNDEF && info.offset % alignof(float) == 0) {
      if (info.offset + count * sizeof(float) > mapped_)
        throw Error(
            concat(where(column), ": expected ", count * sizeof(float), " bytes, found a truncated file"));
      return {reinterpret_cast<const float*>(static_cast<const char*>(storage_->mapping.get()) + info.offset),
              count};
    }
    return storage_->floats.emplace_back(hdf5::read_floats(dataset.get(), info, where(column)));
  }

  std::span<const std::uint8_t> flags(const std::string& column) {
    const hdf5::Handle dataset = hdf5::open_dataset(file_.get(), column, where(column));
    const hdf5::ColumnInfo info = hdf5::column_info(dataset.get(), where(column));
    std::size_t count = 1;
    for (const hsize_t extent : info.shape) count *= extent;
    if (count != storage_->rows)
      throw Error(
          concat(where(column), ": expected ", storage_->rows, " rows as in observations, found ", count));
    if (!info.is_float && info.offset != HADDR_UNDEF && info.offset + count <= mapped_)
      return {reinterpret_cast<const std::uint8_t*>(storage_->mapping.get()) + info.offset, count};
    return storage_->bytes.emplace_back(hdf5::read_flags(dataset.get(), info, where(column)));
  }

  std::span<const std::uint8_t> no_timeouts() {
    auto& column = storage_->bytes.emplace_back(storage_->rows, std::uint8_t{0});
    column.back() = storage_->terminals.back() ? 0 : 1;
    return column;
  }

  /// Where a file does not say what an action reached: the next row's observation; at ends the row's own.
  std::span<const float> shifted_observations() {
    const Dataset::Storage& s = *storage_;
    auto& next = storage_->floats.emplace_back(s.observations.begin(), s.observations.end());
    const std::size_t d = s.observation_dim;
    for (const Episode& e : s.episodes)
      std::copy(s.observations.begin() + static_cast<std::ptrdiff_t>((e.begin + 1) * d),
                s.observations.begin() + static_cast<std::ptrdiff_t>(e.end * d),
                next.begin() + static_cast<std::ptrdiff_t>(e.begin * d));
    return next;
  }

  void read_infos() {
    const hdf5::Quiet quiet;
    if (H5Lexists(file_.get(), "infos", H5P_DEFAULT) <= 0) return;
    const hdf5::Handle group(H5Gopen2(file_.get(), "infos", H5P_DEFAULT), H5Gclose);
    if (!group.valid()) return;
    for (const std::string& name : hdf5::child_names(group.get())) {
      if (!hdf5::has_dataset(group.get(), name)) continue;
      std::size_t width = 0;
      const std::span<const float> values = floats("infos/" + name, storage_->rows, &width);
      storage_->infos.push_back({name, width, values});
    }
  }

  void read_provenance() {
    const hdf5::Quiet quiet;
    if (H5Lexists(file_.get(), "metadata", H5P_DEFAULT) <= 0) return;
    const hdf5::Handle group(H5Gopen2(file_.get(), "metadata", H5P_DEFAULT), H5Gclose);
    if (!group.valid()) return;
    Provenance& from = storage_->provenance;
    from.env = hdf5::read_text(group.get(), "env");
    from.behaviour = hdf5::read_text(group.get(), "behaviour");
    from.generator = hdf5::read_text(group.get(), "generator");
    from.seed = hdf5::read_integer(group.get(), "seed", 0);
    for (const auto& [name, target] :
         {std::pair{"env_options", &from.env_options}, std::pair{"extra", &from.extra}}) {
      const Json json = Json::parse(hdf5::read_text(group.get(), name), nullptr, false);
      if (json.is_object()) *target = json;
    }
  }

  std::shared_ptr<Dataset::Storage> storage_;
  hdf5::Handle file_;
  std::string name_;
  std::size_t mapped_ = 0;
};

}  // namespace

std::shared_ptr<const Dataset::Storage> open_d4rl(const std::filesystem::path& path) {
  return Reader(path).read();
}

void Dataset::Storage::find_episodes() {
  std::size_t begin = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    if (!terminals[i] && !timeouts[i] && i + 1 < rows) continue;
    episodes.push_back({begin, i + 1, terminals[i] != 0});
    begin = i + 1;
  }
}

D4rlWriter::D4rlWriter(const std::filesystem::path& path, std::size_t rows, std::size_t observation_dim,
                       std::size_t action_dim, const std::vector<InfoField>& infos,
                       const Provenance& provenance)
    : path_(path), file_(path) {
  require(rows > 0, path.string(), ": expected rows to write, got none");
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

void D4rlWriter::write(const std::string& column, std::size_t row, std::span<const std::uint8_t> values) {
  write_bytes(column, row, values.data(), values.size_bytes());
}

void D4rlWriter::write_bytes(const std::string& column, std::size_t row, const void* bytes,
                             std::size_t size) {
  const Column& at = columns_.at(column);
  const char* from = static_cast<const char*>(bytes);
  auto offset = static_cast<off_t>(at.offset + row * at.row_bytes);
  while (size > 0) {
    const ssize_t written = ::pwrite(descriptor_, from, size, offset);
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
