#include "agents/nets/mapped_torch.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace diffreward {
namespace {

using Mapping = std::shared_ptr<const void>;

void let_go(void* context) {
  delete static_cast<Mapping*>(context);
}

}  // namespace

torch::Tensor mapped_tensor(std::span<const std::byte> bytes, at::IntArrayRef shape, torch::ScalarType type,
                            const Mapping& mapping) {
  return at::for_blob(const_cast<std::byte*>(bytes.data()), shape)
      .context(new Mapping(mapping), let_go)
      .options(torch::dtype(type))
      .make_tensor();
}

void release_pages(const torch::Tensor& tensor) {
  // what is not of a file would be lost
  if (!tensor.defined() || tensor.storage().data_ptr().get_deleter() != &let_go) return;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE)),
             address = reinterpret_cast<std::uintptr_t>(tensor.storage().data());
  const std::uintptr_t begin = (address + page - 1) / page * page,
                       end = (address + tensor.storage().nbytes()) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace diffreward
