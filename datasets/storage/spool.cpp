#include "datasets/storage/spool.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/error.h"

namespace diffreward {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kBuffer = std::size_t{128} << 10;  // bytes

}  // namespace

std::size_t Spool::reserve(std::size_t bytes) {
  const std::size_t offset = end_;
  if (__builtin_add_overflow(end_, bytes, &end_) || end_ > SIZE_MAX - kAlignment)
    throw Error("expected columns that fit on a disk, found larger ones");
  end_ = (end_ + kAlignment - 1) / kAlignment * kAlignment;
  return offset;
}

SpoolColumn::SpoolColumn(Spool& spool, std::size_t bytes)
    : descriptor_(spool.descriptor()), offset_(spool.reserve(bytes)), left_(bytes) {}

void SpoolColumn::append(const void* bytes, std::size_t size) {
  if (size > left_) throw std::logic_error("spool: a column is longer than reserved");
  left_ -= size;
  if (buffer_.size() + size > kBuffer) finish();
  if (size > kBuffer) return write(bytes, size);
  const char* from = static_cast<const char*>(bytes);
  buffer_.insert(buffer_.end(), from, from + size);
}

void SpoolColumn::finish() {
  write(buffer_.data(), buffer_.size());
  buffer_.clear();
}

void SpoolColumn::write(const void* bytes, std::size_t size) {
  const char* from = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t count = ::pwrite(descriptor_, from, size, static_cast<off_t>(offset_ + written_));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0)
      throw Error(concat(std::filesystem::temp_directory_path().string(), ": cannot write a temporary file: ",
                         std::strerror(errno), "; TMPDIR names another folder"));
    from += count;
    written_ += static_cast<std::size_t>(count);
    size -= static_cast<std::size_t>(count);
  }
}

}  // namespace diffreward
