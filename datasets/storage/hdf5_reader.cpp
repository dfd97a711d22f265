#include "datasets/storage/hdf5_reader.h"

#include <liblzf/lzf.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace diffreward::hdf5 {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 20;  // numbers read at a time
constexpr std::size_t kLargestBlock = std::size_t{16}
                                      << 20;  // numbers read at a time for the sake of whole chunks

constexpr H5Z_filter_t kLzf = 32000;

/// What HDF5 says about its last failure.
std::string last_error() {
  std::string text;
  const auto innermost = [](unsigned, const H5E_error2_t* error, void* out) -> herr_t {
    auto& first = *static_cast<std::string*>(out);
    if (first.empty() && error->desc) first = error->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, &text);
  return text.empty() ? "" : " (HDF5: " + text + ")";
}

/// Something that HDF5 cannot open: of a newer format than its own, or damaged.
Error unreadable(const std::string& where, const char* what) {
  const std::string cause = last_error();
  if (cause.find("version number") == std::string::npos)
    return Error(concat(where, ": expected a readable ", what, ", found a damaged one", cause));
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return Error(concat(where, ": expected a ", what, " of a format that HDF5 ", major, ".", minor, ".",
                      release, " knows, found a newer one", cause,
                      ": rewrite the file with h5py's libver=('earliest', 'v110')"));
}

/// h5py's LZF filter: the decompressed size is among its values, as a hint.
std::size_t undo_lzf(unsigned flags, std::size_t count, const unsigned values[], std::size_t bytes,
                     std::size_t* room, void** buffer) {
  if (!(flags & H5Z_FLAG_REVERSE)) return 0;
  std::size_t size = count >= 3 && values[2] > 0 ? values[2] : *room;
  while (size <= kLargestChunk) {
    void* out = std::malloc(size);
    if (!out) return 0;
    const unsigned done =
        lzf_decompress(*buffer, static_cast<unsigned>(bytes), out, static_cast<unsigned>(size));
    if (done > 0) {
      std::free(*buffer);
      *buffer = out;
      *room = size;
      return done;
    }
    std::free(out);
    if (errno != E2BIG) return 0;
    size += std::max<std::size_t>(size, 4096);
  }
  return 0;
}

/// Names of registered filters that HDF5 itself does not have.
std::string filter_name(H5Z_filter_t id, const char* told) {
  static constexpr std::pair<H5Z_filter_t, const char*> names[] = {{H5Z_FILTER_SZIP, "SZIP"},
                                                                   {305, "LZO"},
                                                                   {307, "bzip2"},
                                                                   {32001, "Blosc"},
                                                                   {32004, "LZ4"},
                                                                   {32008, "bitshuffle"},
                                                                   {32013, "ZFP"},
                                                                   {32015, "Zstandard"},
                                                                   {32017, "SZ"},
                                                                   {32026, "Blosc2"},
                                                                   {kLzf, "LZF"}};
  for (const auto& [known, name] : names)
    if (known == id) return name;
  return *told ? told : "unknown";
}

const char* class_name(H5T_class_t kind) {
  switch (kind) {
    case H5T_STRING:
      return "text";
    case H5T_COMPOUND:
      return "records";
    case H5T_VLEN:
      return "lists of any length";
    case H5T_REFERENCE:
      return "references";
    case H5T_ENUM:
      return "names (an enumeration)";
    case H5T_ARRAY:
      return "arrays";
    default:
      return "another type";
  }
}

struct Found {
  Kind kind;
  unsigned long file;
};

/// Every link of the path must stay in the file.
Found look(hid_t parent, const std::string& path, const std::string& where) {
  for (std::size_t end = path.find('/');; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (H5Lexists(parent, part.c_str(), H5P_DEFAULT) <= 0) return {Kind::kNothing, 0};
    H5L_info_t link;
    if (H5Lget_info(parent, part.c_str(), &link, H5P_DEFAULT) < 0) throw unreadable(where, "link");
    if (link.type != H5L_TYPE_HARD && link.type != H5L_TYPE_SOFT)
      throw Error(concat(where, ": expected data of this file, found a link to ",
                         link.type == H5L_TYPE_EXTERNAL ? "another file" : "something of its writer's own",
                         ": copy what it points to into this file"));
    if (link.type == H5L_TYPE_SOFT && H5Oexists_by_name(parent, part.c_str(), H5P_DEFAULT) <= 0)
      throw Error(concat(where, ": expected data of this file, found a soft link to nothing in it"));
    if (end == std::string::npos) break;
  }
  H5O_info_t object;
  if (H5Oget_info_by_name2(parent, path.c_str(), &object, H5O_INFO_BASIC, H5P_DEFAULT) < 0)
    throw unreadable(where, "object");
  const Kind kind = object.type == H5O_TYPE_GROUP     ? Kind::kGroup
                    : object.type == H5O_TYPE_DATASET ? Kind::kColumn
                                                      : Kind::kOther;
  return {kind, object.fileno};
}

std::size_t times(std::size_t a, std::size_t b, const std::string& where) {
  std::size_t product = 0;
  if (__builtin_mul_overflow(a, b, &product))
    throw Error(concat(where, ": expected a size that a computer can count, found a larger one"));
  return product;
}

}  // namespace

File::File(const RegularFile& file, std::string name) : name_(std::move(name)), size_(file.size()) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  H5PLset_loading_state(0);
  H5Lunregister(H5L_TYPE_EXTERNAL);
  static constexpr H5Z_class2_t lzf = {H5Z_CLASS_T_VERS, kLzf, 0, 1, "lzf", nullptr, nullptr, undo_lzf};
  H5Zregister(&lzf);
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_file_locking(access.get(), false, true);  // recognise.cpp has looked
  column_access_ = Handle(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose);
  H5Pset_chunk_cache(column_access_.get(), 521, std::size_t{32} << 20, 1.0);
  // The open file itself, whatever stands under its name by now.
  const std::string path = concat("/proc/self/fd/", file.descriptor());
  file_ = Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose);
  if (!file_.valid()) throw unreadable(name_, "file");
  H5O_info_t root;
  if (H5Oget_info2(file_.get(), &root, H5O_INFO_BASIC) < 0) throw unreadable(name_, "file");
  number_ = root.fileno;
#if !defined(__SANITIZE_ADDRESS__)  // whose checks of memory open pipes
  const rlimit none{0, 0};          // whatever the file says, no other is opened
  ::setrlimit(RLIMIT_NOFILE, &none);
#endif
}

void File::claim(std::size_t bytes, const std::string& where) {
  if (bytes > unheld_)
    throw Error(concat(where, ": expected a size that the file can hold, found a claim of ", bytes,
                       " bytes more than that"));
  unheld_ -= bytes;
}

Kind kind_of(hid_t parent, const std::string& path, const std::string& where) {
  return look(parent, path, where).kind;
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

Handle open_group(hid_t parent, const std::string& path, const std::string& where) {
  if (kind_of(parent, path, where) != Kind::kGroup)
    throw Error(concat(where, ": expected a group, found none"));
  Handle group(H5Gopen2(parent, path.c_str(), H5P_DEFAULT), H5Gclose);
  if (!group.valid()) throw unreadable(where, "group");
  return group;
}

Column::Column(File& file, hid_t parent, const std::string& path, std::string where)
    : where_(std::move(where)) {
  const Found found = look(parent, path, where_);
  if (found.kind != Kind::kColumn)
    throw Error(
        concat(where_, ": expected a column, found ", found.kind == Kind::kGroup ? "a group" : "none"));
  if (found.file != file.number())
    throw Error(concat(where_, ": expected data of this file, found that of another"));
  set_ = Handle(H5Dopen2(parent, path.c_str(), file.access()), H5Dclose);
  if (!set_.valid()) throw unreadable(where_, "column");

  type_ = Handle(H5Dget_type(set_.get()), H5Tclose);
  const H5T_class_t kind = H5Tget_class(type_.get());
  item_ = H5Tget_size(type_.get());
  is_enum_ = kind == H5T_ENUM;
  is_float_ = kind == H5T_FLOAT;
  if ((!is_float_ && kind != H5T_INTEGER && !is_enum_) || (is_enum_ && item_ != 1) || item_ == 0 ||
      item_ > 64)
    throw Error(concat(where_, ": expected an array of numbers, found ", class_name(kind)));
  is_native_float_ = is_float_ && H5Tequal(type_.get(), H5T_IEEE_F32LE) > 0;
  is_native_double_ = is_float_ && H5Tequal(type_.get(), H5T_IEEE_F64LE) > 0;

  const Handle space(H5Dget_space(set_.get()), H5Sclose);
  const int rank = H5Sget_simple_extent_ndims(space.get());
  if (H5Sget_simple_extent_type(space.get()) != H5S_SIMPLE || rank < 1)
    throw Error(concat(where_, ": expected an array of numbers, found a single value"));
  shape_.resize(static_cast<std::size_t>(rank));
  if (H5Sget_simple_extent_dims(space.get(), shape_.data(), nullptr) != rank)
    throw Error(concat(where_, ": expected a readable shape, found a damaged one"));
  for (std::size_t k = 1; k < shape_.size(); ++k) width_ = times(width_, shape_[k], where_);
  if (shape_[0] > kMostRows || width_ > kWidest || width_ == 0)
    throw Error(concat(where_, ": expected at most ", kMostRows, " rows of 1 to ", kWidest,
                       " numbers, found shape ", shape()));
  // Room for what is made of it, too.
  const std::size_t bytes = times(times(shape_[0], width_, where_), item_, where_);
  times(bytes, sizeof(double), where_);
  block_ = std::max<std::size_t>(1, kBlock / width_);
  check_storage(file, bytes);
}

/// Compares what the header claims with what the file holds.
void Column::check_storage(File& file, std::size_t bytes) {
  const Handle plist(H5Dget_create_plist(set_.get()), H5Pclose);
  const H5D_layout_t layout = H5Pget_layout(plist.get());
  if (H5Pget_external_count(plist.get()) != 0)
    throw Error(
        concat(where_, ": expected data of this file, found data stored in another (external storage)"));
  if (layout == H5D_VIRTUAL)
    throw Error(concat(where_, ": expected data of this file, found a virtual data set, a view of others"));
  const std::size_t held = std::min<std::size_t>(H5Dget_storage_size(set_.get()), file.size());
  std::size_t most = held;
  if (layout == H5D_CONTIGUOUS) {
    const haddr_t offset = H5Dget_offset(set_.get());
    if (offset != HADDR_UNDEF) {
      if (offset > file.size() || bytes > file.size() - offset)
        throw Error(
            concat(where_, ": expected ", bytes, " bytes in the file, found the file's end before them"));
      if (is_native_float_ || is_native_double_ || item_ == 1) offset_ = offset;
      most = bytes;
    }
  } else if (layout == H5D_CHUNKED) {
    std::vector<hsize_t> chunk(shape_.size());
    if (H5Pget_chunk(plist.get(), int(chunk.size()), chunk.data()) != int(chunk.size()))
      throw Error(concat(where_, ": expected readable chunks, found damaged ones"));
    std::size_t chunk_bytes = item_;
    for (const hsize_t extent : chunk) chunk_bytes = times(chunk_bytes, extent, where_);
    if (chunk_bytes == 0 || chunk_bytes > kLargestChunk)
      throw Error(concat(where_, ": expected chunks of at most ", kLargestChunk >> 20, " MB, found ",
                         chunk_bytes, " bytes"));
    const int filters = H5Pget_nfilters(plist.get());
    for (int i = 0; i < filters; ++i) {
      unsigned flags = 0, config = 0;
      std::size_t none = 0;
      char told[64] = "";
      const H5Z_filter_t id =
          H5Pget_filter2(plist.get(), unsigned(i), &flags, &none, nullptr, sizeof told, told, &config);
      told[sizeof told - 1] = '\0';
      // An optional filter may have been left out when the data was written: only reading shows it.
      if (H5Zfilter_avail(id) <= 0) missing_filter_ = concat(filter_name(id, told), " (", id, ")");
    }
    if (filters > 0) most = held > SIZE_MAX / kDeflate ? SIZE_MAX : held * kDeflate;
    const std::size_t aligned = (block_ + chunk[0] - 1) / chunk[0] * chunk[0];
    if (aligned <= kLargestBlock / width_) block_ = aligned;
  }
  if (bytes > most) file.claim(bytes - most, where_);
}

std::string Column::shape() const {
  std::string text = "[";
  for (const hsize_t extent : shape_) text += (text.size() > 1 ? ", " : "") + concat(extent);
  return text + "]";
}

void Column::read_as(hid_t memory, std::size_t row, std::size_t count, void* out) const {
  std::vector<hsize_t> start(shape_.size(), 0), extent(shape_);
  start[0] = row;
  extent[0] = count;
  const Handle from(H5Dget_space(set_.get()), H5Sclose),
      to(H5Screate_simple(int(extent.size()), extent.data(), nullptr), H5Sclose);
  if (H5Sselect_hyperslab(from.get(), H5S_SELECT_SET, start.data(), nullptr, extent.data(), nullptr) < 0 ||
      H5Dread(set_.get(), memory, to.get(), from.get(), H5P_DEFAULT, out) < 0)
    throw missing_filter_.empty()
        ? Error(concat(where_, ": expected readable numbers from row ", row, " on, found damaged ones",
                       last_error()))
        : Error(concat(where_, ": expected a filter that is at hand (gzip, LZF, shuffle, ...), found ",
                       missing_filter_, ": rewrite the file with gzip or without filters"));
}

void Column::read(std::size_t row, std::size_t count, float* out) const {
  if (!is_enum_) return read_as(H5T_NATIVE_FLOAT, row, count, out);
  // h5py stores booleans as an enumeration of one byte, which HDF5 does not convert.
  std::vector<std::int8_t> bytes(count * width_);
  read_as(type_.get(), row, count, bytes.data());
  std::copy(bytes.begin(), bytes.end(), out);
}

void Column::read_flags(std::size_t row, std::size_t count, std::uint8_t* out) const {
  const std::size_t numbers = count * width_;
  if (is_float_) {
    std::vector<double> values(numbers);
    read_as(H5T_NATIVE_DOUBLE, row, count, values.data());
    for (std::size_t i = 0; i < numbers; ++i) out[i] = values[i] != 0;
    return;
  }
  std::vector<char> bytes(numbers * item_);
  read_as(type_.get(), row, count, bytes.data());
  for (std::size_t i = 0; i < numbers; ++i) {
    const auto first = bytes.begin() + std::ptrdiff_t(i * item_);
    out[i] = std::any_of(first, first + std::ptrdiff_t(item_), [](char byte) { return byte != 0; });
  }
}

namespace {

/// An attribute of one value of a class; not valid where it is absent or another.
Handle open_scalar(hid_t object, const std::string& name, H5T_class_t expected, Json& ignored) {
  if (H5Aexists(object, name.c_str()) <= 0) return {};
  Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose);
  const Handle type(H5Aget_type(attribute.get()), H5Tclose), space(H5Aget_space(attribute.get()), H5Sclose);
  if (H5Tget_class(type.get()) == expected && H5Sget_simple_extent_type(space.get()) == H5S_SCALAR)
    return attribute;
  ignored.push_back(concat("metadata/", name, ": expected one ",
                           expected == H5T_STRING ? "text" : "whole number",
                           ", found another shape or type"));
  return {};
}

}  // namespace

std::string read_text(hid_t object, const std::string& name, Json& ignored) {
  const Handle attribute = open_scalar(object, name, H5T_STRING, ignored);
  if (!attribute.valid()) return {};
  const Handle type(H5Aget_type(attribute.get()), H5Tclose);
  std::string value;
  if (H5Tis_variable_str(type.get()) > 0) {
    char* text = nullptr;
    if (H5Aread(attribute.get(), type.get(), &text) < 0 || !text) return {};
    value.assign(text, ::strnlen(text, kLongestText + 1));
    H5free_memory(text);
  } else if (const std::size_t size = H5Tget_size(type.get()); size <= kLongestText) {
    value.resize(size);
    if (H5Aread(attribute.get(), type.get(), value.data()) < 0) return {};
    value.resize(value.find('\0') == std::string::npos ? size : value.find('\0'));
  } else {
    value.resize(kLongestText + 1);
  }
  if (value.size() <= kLongestText) return value;
  ignored.push_back(concat("metadata/", name, ": expected at most ", kLongestText >> 20, " MB, found more"));
  return {};
}

std::uint64_t read_integer(hid_t object, const std::string& name, std::uint64_t fallback, Json& ignored) {
  const Handle attribute = open_scalar(object, name, H5T_INTEGER, ignored);
  std::uint64_t value = fallback;
  if (!attribute.valid() || H5Aread(attribute.get(), H5T_NATIVE_UINT64, &value) < 0) return fallback;
  return value;
}

}  // namespace diffreward::hdf5
