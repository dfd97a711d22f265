#include "datasets/storage/column_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/interrupt.h"
#include "datasets/storage/hdf5.h"
#include "datasets/storage/isolated.h"

namespace diffreward {
namespace {

constexpr std::size_t kPiece = std::size_t{16} << 20;  // bytes written between two looks at Ctrl-C

struct Type {
  hid_t id;
  std::size_t size;
};

Type type_of(ColumnLayout::Item item) {
  switch (item) {
    case ColumnLayout::Item::kByte:
      return {H5T_STD_U8LE, 1};
    case ColumnLayout::Item::kFloat:
      return {H5T_IEEE_F32LE, 4};
    default:
      return {H5T_IEEE_F64LE, 8};
  }
}

}  // namespace

ColumnFile::ColumnFile(const std::filesystem::path& path, const std::vector<ColumnLayout>& columns,
                       const std::vector<std::string>& groups, const Provenance& provenance,
                       std::size_t alignment)
    : path_(path), file_(path) {
  require(!columns.empty() && columns[0].shape[0] > 0, path.string(), ": expected rows to write, got none");
  const Hdf5Lock lock;
  const hdf5::Quiet quiet;
  const hdf5::Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose),
      create(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
  H5Pset_alignment(access.get(), 1024, alignment);
  H5Pset_obj_track_times(create.get(), false);
  {
    const hdf5::Handle file(H5Fcreate(file_.path().c_str(), H5F_ACC_TRUNC, create.get(), access.get()),
                            H5Fclose);
    if (!file.valid()) throw Error(concat(path_.string(), ": cannot create: ", std::strerror(errno)));
    const auto add_group = [&](const std::string& name) {
      const hdf5::Handle plist(H5Pcreate(H5P_GROUP_CREATE), H5Pclose);
      H5Pset_obj_track_times(plist.get(), false);
      return hdf5::Handle(H5Gcreate2(file.get(), name.c_str(), H5P_DEFAULT, plist.get(), H5P_DEFAULT),
                          H5Gclose);
    };
    const auto add_column = [&](const ColumnLayout& column) {
      const hdf5::Handle plist(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
      H5Pset_layout(plist.get(), H5D_CONTIGUOUS);
      H5Pset_alloc_time(plist.get(), H5D_ALLOC_TIME_EARLY);
      H5Pset_fill_time(plist.get(), H5D_FILL_TIME_NEVER);
      H5Pset_obj_track_times(plist.get(), false);
      const std::vector<hsize_t> shape(column.shape.begin(), column.shape.end());
      const hdf5::Handle space(H5Screate_simple(int(shape.size()), shape.data(), nullptr), H5Sclose);
      const Type type = type_of(column.item);
      const hdf5::Handle set(H5Dcreate2(file.get(), column.name.c_str(), type.id, space.get(), H5P_DEFAULT,
                                        plist.get(), H5P_DEFAULT),
                             H5Dclose);
      if (!set.valid()) throw Error(concat(path_.string(), ": ", column.name, ": cannot lay out the column"));
      std::size_t row_bytes = type.size;
      for (std::size_t k = 1; k < shape.size(); ++k) row_bytes *= shape[k];
      columns_[column.name] = {static_cast<std::size_t>(H5Dget_offset(set.get())), row_bytes};
    };
    const auto in_group = [](const ColumnLayout& column) {
      return column.name.find('/') != std::string::npos;
    };
    for (const ColumnLayout& column : columns)
      if (!in_group(column)) add_column(column);
    for (const std::string& group : groups) add_group(group);
    const hdf5::Handle metadata = add_group("metadata");
    for (const ColumnLayout& column : columns)
      if (in_group(column)) add_column(column);
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

ColumnFile::~ColumnFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void ColumnFile::write(const std::string& column, std::size_t row, std::span<const float> values) {
  write_bytes(column, row, values.data(), values.size_bytes());
}

void ColumnFile::write(const std::string& column, std::size_t row, std::span<const double> values) {
  write_bytes(column, row, values.data(), values.size_bytes());
}

void ColumnFile::write(const std::string& column, std::size_t row, std::span<const std::uint8_t> values) {
  write_bytes(column, row, values.data(), values.size_bytes());
}

void ColumnFile::write(const std::string& column, std::size_t row, std::span<const std::byte> values) {
  write_bytes(column, row, values.data(), values.size_bytes());
}

std::map<std::string, std::size_t> ColumnFile::row_bytes() const {
  std::map<std::string, std::size_t> bytes;
  for (const auto& [name, column] : columns_) bytes[name] = column.row_bytes;
  return bytes;
}

void ColumnFile::write_bytes(const std::string& column, std::size_t row, const void* bytes,
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

void ColumnFile::commit() {
  file_.commit();
}

}  // namespace diffreward
