#include "core/error.h"

#include <cstdio>

namespace diffreward {

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    const bool c1 = byte == 0xc2 && next >= 0x80 && next < 0xa0;  // U+0080 to U+009F in UTF-8
    if (byte >= 0x20 && byte != 0x7f && !c1) {
      out.push_back(text[i]);
      continue;
    }
    char escape[8];
    if (byte == '\n' || byte == '\t')
      std::snprintf(escape, sizeof escape, "\\%c", byte == '\n' ? 'n' : 't');
    else
      std::snprintf(escape, sizeof escape, "\\x%02x", c1 ? next : byte);
    out += escape;
    i += c1;
  }
  return out;
}

}  // namespace diffreward
