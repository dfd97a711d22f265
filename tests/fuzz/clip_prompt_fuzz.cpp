// ClipTokenizer on any bytes as a text: refuses with InvalidArgument, or gives ids that keep its promises.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "agents/stable_diffusion/clip_tokenizer.h"
#include "core/error.h"

using namespace diffreward;

namespace {

void check(bool promise) {
  if (!promise) std::abort();
}

void check_ids(const ClipTokenizer& tokenizer, std::string_view text) {
  const std::vector<std::int64_t> ids = tokenizer.ids(text), encoded = tokenizer.encode(text);
  check(encoded.size() == std::size_t(tokenizer.max_length()));
  const std::size_t kept = std::min(ids.size(), encoded.size() - 2);
  check(std::equal(ids.begin(), ids.begin() + std::ptrdiff_t(kept), encoded.begin() + 1));
  for (const std::int64_t id : ids) check(id >= 0 && id < tokenizer.vocabulary());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const ClipTokenizer tokenizer = ClipTokenizer::load(CLIP_TOKENIZER);
  try {
    check_ids(tokenizer, {reinterpret_cast<const char*>(data), size});
  } catch (const InvalidArgument& error) {
    check(std::string(error.what()).starts_with("prompt: "));
  }
  return 0;
}
