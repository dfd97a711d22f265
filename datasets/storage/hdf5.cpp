#include "datasets/storage/hdf5.h"

#include <fstream>
#include <numeric>

namespace diffreward::hdf5 {

Handle open_file(const std::filesystem::path& path) {
  if (std::ifstream probe(path, std::ios::binary); !probe)
    throw Error(concat(path.string(), ": cannot read: no such file or no permission"));
  const Quiet quiet;
  if (H5Fis_hdf5(path.c_str()) <= 0)
    throw Error(concat(path.string(), ": expected an HDF5 file, found other content"));
  Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file.valid())
    throw Error(concat(path.string(), ": expected a whole HDF5 file, found a truncated or damaged one"));
  return file;
}

bool has_dataset(hid_t parent, const std::string& name) {
  const Quiet quiet;
  for (auto slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1))
    if (H5Lexists(parent, name.substr(0, slash).c_str(), H5P_DEFAULT) <= 0) return false;
  if (H5Lexists(parent, name.c_str(), H5P_DEFAULT) <= 0) return false;
  H5O_info_t info;
  return H5Oget_info_by_name2(parent, name.c_str(), &info, H5O_INFO_BASIC, H5P_DEFAULT) >= 0 &&
         info.type == H5O_TYPE_DATASET;
}

std::vector<std::string> child_names(hid_t group) {
  std::vector<std::string> names;
  const auto add = [](hid_t, const char* name, const H5L_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->emplace_back(name);
    return 0;
  };
  H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, nullptr, add, &names);
  return names;
}

Handle open_dataset(hid_t parent, const std::string& name, const std::string& where) {
  if (!has_dataset(parent, name)) throw Error(concat(where, ": expected a column, found none"));
  const Quiet quiet;
  Handle dataset(H5Dopen2(parent, name.c_str(), H5P_DEFAULT), H5Dclose);
  if (!dataset.valid()) throw Error(concat(where, ": expected a readable column, found a damaged one"));
  return dataset;
}

std::vector<hsize_t> numeric_shape(hid_t dataset) {
  const Handle space(H5Dget_space(dataset), H5Sclose), type(H5Dget_type(dataset), H5Tclose);
  const H5T_class_t kind = H5Tget_class(type.get());
  const int rank = H5Sget_simple_extent_ndims(space.get());
  if (rank < 1 || (kind != H5T_FLOAT && kind != H5T_INTEGER && kind != H5T_ENUM)) return {};
  std::vector<hsize_t> shape(static_cast<std::size_t>(rank));
  H5Sget_simple_extent_dims(space.get(), shape.data(), nullptr);
  return shape;
}

ColumnInfo column_info(hid_t dataset, const std::string& where) {
  ColumnInfo info;
  info.shape = numeric_shape(dataset);
  if (info.shape.empty())
    throw Error(concat(where, ": expected an array of numbers, found a single value or another type"));
  const Handle type(H5Dget_type(dataset), H5Tclose);
  info.is_float = H5Tget_class(type.get()) == H5T_FLOAT;
  info.item = H5Tget_size(type.get());
  const bool native = info.is_float ? H5Tequal(type.get(), H5T_IEEE_F32LE) > 0 : info.item == 1;
  const Handle layout(H5Dget_create_plist(dataset), H5Pclose);
  if (native && H5Pget_layout(layout.get()) == H5D_CONTIGUOUS && H5Pget_external_count(layout.get()) == 0)
    info.offset = H5Dget_offset(dataset);
  return info;
}

namespace {

std::size_t count_of(const ColumnInfo& info) {
  return std::accumulate(info.shape.begin(), info.shape.end(), std::size_t{1}, std::multiplies<>());
}

}  // namespace

std::vector<float> read_floats(hid_t dataset, const ColumnInfo& info, const std::string& where) {
  const Quiet quiet;
  std::vector<float> values(count_of(info));
  if (!values.empty() && H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
    throw Error(concat(where, ": expected ", values.size(), " numbers, found damaged or missing ones"));
  return values;
}

std::vector<std::uint8_t> read_flags(hid_t dataset, const ColumnInfo& info, const std::string& where) {
  const Quiet quiet;
  std::vector<std::uint8_t> flags(count_of(info));
  if (flags.empty()) return flags;
  const Handle type(H5Dget_type(dataset), H5Tclose);
  herr_t status = 0;
  if (info.is_float || info.item != 1) {
    const std::vector<float> values = read_floats(dataset, info, where);
    for (std::size_t i = 0; i < flags.size(); ++i) flags[i] = values[i] != 0;
  } else {
    // h5py stores booleans as an enumeration of one byte, which HDF5 does not convert: read its own type.
    status = H5Dread(dataset, type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, flags.data());
  }
  if (status < 0)
    throw Error(concat(where, ": expected ", flags.size(), " flags, found damaged or missing ones"));
  return flags;
}

std::string read_text(hid_t object, const std::string& name) {
  const Quiet quiet;
  if (H5Aexists(object, name.c_str()) <= 0) return {};
  const Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose);
  const Handle type(H5Aget_type(attribute.get()), H5Tclose);
  if (H5Tget_class(type.get()) != H5T_STRING) return {};
  if (H5Tis_variable_str(type.get()) > 0) {
    char* text = nullptr;
    if (H5Aread(attribute.get(), type.get(), &text) < 0 || !text) return {};
    std::string value = text;
    H5free_memory(text);
    return value;
  }
  std::string value(H5Tget_size(type.get()), '\0');
  if (H5Aread(attribute.get(), type.get(), value.data()) < 0) return {};
  return value.substr(0, value.find('\0'));
}

std::uint64_t read_integer(hid_t object, const std::string& name, std::uint64_t fallback) {
  const Quiet quiet;
  if (H5Aexists(object, name.c_str()) <= 0) return fallback;
  const Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose);
  std::uint64_t value = fallback;
  if (H5Aread(attribute.get(), H5T_NATIVE_UINT64, &value) < 0) return fallback;
  return value;
}

void write_text(hid_t object, const std::string& name, const std::string& value) {
  const Handle type(H5Tcopy(H5T_C_S1), H5Tclose), space(H5Screate(H5S_SCALAR), H5Sclose);
  H5Tset_size(type.get(), value.size() + 1);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  const Handle attribute(H5Acreate2(object, name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT),
                         H5Aclose);
  if (!attribute.valid() || H5Awrite(attribute.get(), type.get(), value.c_str()) < 0)
    throw Error(concat("attribute ", name, ": cannot write"));
}

void write_integer(hid_t object, const std::string& name, std::uint64_t value) {
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle attribute(
      H5Acreate2(object, name.c_str(), H5T_STD_U64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  if (!attribute.valid() || H5Awrite(attribute.get(), H5T_NATIVE_UINT64, &value) < 0)
    throw Error(concat("attribute ", name, ": cannot write"));
}

}  // namespace diffreward::hdf5
