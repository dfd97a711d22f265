#include "core/hash.h"

#include <openssl/evp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <sstream>

#include "core/error.h"
#include "core/file.h"
#include "core/interrupt.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPiece = std::size_t{16} << 20;  // bytes hashed between two looks at Ctrl-C
/// A file changed within one tick of its file system's clock may keep its time.
constexpr auto kTick = std::chrono::seconds(2);

struct Stamp {
  std::uintmax_t size;
  std::int64_t time;  // ticks of the file clock
  bool operator==(const Stamp&) const = default;
};

Stamp stamp_of(const fs::path& file) {
  std::error_code failed;
  const std::uintmax_t size = fs::file_size(file, failed);
  if (failed) throw Error(concat(file.string(), ": cannot read: ", failed.message()));
  return {size, fs::last_write_time(file).time_since_epoch().count()};
}

fs::path note_of(const fs::path& file) {
  return file.parent_path() / ("." + file.filename().string() + ".sha256");
}

/// The hash noted beside a file, if the note is of this very size and time.
std::string noted(const fs::path& file, const Stamp& stamp) {
  std::error_code ignored;
  if (!fs::is_regular_file(note_of(file), ignored)) return {};
  std::istringstream text(read_file(note_of(file)));
  std::string hash;
  Stamp found{};
  text >> hash >> found.size >> found.time;
  return text && found == stamp && hash.size() == 64 ? hash : std::string();
}

std::string hash_of(std::string_view bytes) {
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  bool good = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  for (std::size_t done = 0; good && done < bytes.size(); done += kPiece) {
    const std::string_view piece = bytes.substr(done, kPiece);
    good = EVP_DigestUpdate(context.get(), piece.data(), piece.size()) == 1;
    check_interrupt();
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (!good || EVP_DigestFinal_ex(context.get(), digest, &size) != 1)
    throw Error("SHA-256: OpenSSL cannot compute it");
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    char byte[3];
    std::snprintf(byte, sizeof byte, "%02x", digest[i]);
    text += byte;
  }
  return text;
}

}  // namespace

std::string sha256(std::string_view bytes) {
  return hash_of(bytes);
}

std::string sha256_of(const fs::path& file) {
  const RegularFile open(file);
  const Stamp stamp = stamp_of(file);
  if (std::string hash = noted(file, stamp); !hash.empty()) return hash;
  const std::shared_ptr<const void> bytes = open.map();
  std::string hash = hash_of({static_cast<const char*>(bytes.get()), open.size()});
  const fs::file_time_type time{fs::file_time_type::duration(stamp.time)};
  if (stamp_of(file) == stamp && fs::file_time_type::clock::now() - time > kTick) {
    try {
      write_file(note_of(file), concat(hash, " ", stamp.size, " ", stamp.time, "\n"));
    } catch (const Error&) {  // a folder that cannot be written to
    }
  }
  return hash;
}

void forget_sha256(const fs::path& file) {
  std::error_code ignored;
  fs::remove(note_of(file), ignored);
}

}  // namespace diffreward
