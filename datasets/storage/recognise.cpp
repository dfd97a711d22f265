#include "datasets/storage/recognise.h"

#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdint>
#include <string_view>

#include "core/error.h"

namespace diffreward {
namespace {

constexpr std::string_view kSignature("\x89HDF\r\n\x1a\n", 8);

std::string bytes_at(const RegularFile& file, std::size_t offset, std::size_t count) {
  std::string bytes(count, '\0');
  const ssize_t read = ::pread(file.descriptor(), bytes.data(), count, static_cast<off_t>(offset));
  bytes.resize(read > 0 ? static_cast<std::size_t>(read) : 0);
  return bytes;
}

/// What other content is, and what to do about it.
std::string kind_of(std::string_view start) {
  struct Kind {
    std::string_view magic;
    const char* text;
  };
  static constexpr std::array<Kind, 12> kinds = {{
      {{"\x1f\x8b", 2}, "a gzip archive: unpack it first"},
      {{"PK\x03\x04", 4}, "a zip archive (or .npz): unpack it first"},
      {{"\x28\xb5\x2f\xfd", 4}, "a Zstandard archive: unpack it first"},
      {{"\xfd\x37zXZ\0", 6}, "an xz archive: unpack it first"},
      {{"BZh", 3}, "a bzip2 archive: unpack it first"},
      {{"version https://git-lfs", 23}, "a Git LFS pointer: get the file itself with 'git lfs pull'"},
      {{"\x93NUMPY", 6}, "a NumPy array (.npy): write it as HDF5, one data set a column"},
      {{"\x80\x04", 2}, "a Python pickle, which is never opened: write it as HDF5, one data set a column"},
      {{"\x0e\x03\x13\x01", 4}, "an HDF4 file: convert it with h4toh5"},
      {{"PAR1", 4}, "a Parquet file: convert it to HDF5"},
      {{"{", 1}, "JSON text"},
      {{"\0\0\0\0", 4}, "zeros: the download or copy never wrote its start; get it again"},
  }};
  if (start.empty()) return "an empty one: download or copy it again";
  for (const Kind& kind : kinds)
    if (start.starts_with(kind.magic)) return kind.text;
  std::string text(start.substr(0, 512));
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return char(std::tolower(c)); });
  if (text.find("<html") != std::string::npos || text.find("<!doctype html") != std::string::npos)
    return "a web page: download the file itself, not the page about it";
  if (start.size() > 262 && start.substr(257, 5) == "ustar") return "a tar archive: unpack it first";
  return "other content";
}

std::uint64_t number(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = std::min<std::size_t>(size, 8); i-- > 0;)
    value = value << 8 | static_cast<unsigned char>(at + i < bytes.size() ? bytes[at + i] : 0);
  return value;
}

}  // namespace

void expect_hdf5(const RegularFile& file, const std::string& name) {
  // HDF5's writers hold a lock on the file; where a file system has none there is nothing to find.
  if (::flock(file.descriptor(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    throw Error(concat(name,
                       ": expected a closed file, found one that another process is writing to: close it"
                       " there (h5py: File.close()), then try again"));
  ::flock(file.descriptor(), LOCK_UN);

  // The signature stands at 0, or behind a block of the user's at 512, 1024, 2048, ...
  std::size_t at = 0;
  while (at < file.size() && bytes_at(file, at, kSignature.size()) != kSignature) at = at ? 2 * at : 512;
  if (at >= file.size())
    throw Error(concat(name, ": expected an HDF5 file, found ", kind_of(bytes_at(file, 0, 512))));

  const std::string block = bytes_at(file, at, 96);
  const std::uint64_t version = number(block, 8, 1);
  if (version > 3)
    throw Error(concat(name, ": expected HDF5's superblock version 0 to 3, found ", version,
                       ": written by a newer HDF5; rewrite it with h5py's libver='v110'"));
  const std::size_t width = number(block, version < 2 ? 13 : 9, 1);  // bytes of an address
  const std::size_t addresses = version == 0 ? 24 : version == 1 ? 28 : 12;
  const std::uint64_t end = number(block, addresses + 2 * width, width);
  if (width >= 2 && width <= 8 && end > file.size())
    throw Error(concat(name, ": expected ", end, " bytes, found a truncated file of ", file.size(),
                       ": download or copy it again"));

  if (version == 3 && (number(block, 11, 1) & 0x5) != 0)
    throw Error(concat(name,
                       ": expected a closed file, found one marked as open for writing: close it there; if"
                       " its writer crashed, run 'h5clear -s' on it"));
}

}  // namespace diffreward
