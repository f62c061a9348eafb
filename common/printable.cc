#include "common/printable.h"

#include <cstdint>

namespace strata {
namespace {

// Bytes of the valid UTF-8 sequence at the start of `text`, 0 when there is none. Surrogates,
// overlong forms and values past U+10FFFF are not valid (RFC 3629).
size_t SequenceSize(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (lead == 0xe0 && byte(1) < 0xa0) return 0;
  if (lead == 0xed && byte(1) >= 0xa0) return 0;
  if (lead == 0xf0 && byte(1) < 0x90) return 0;
  if (lead == 0xf4 && byte(1) >= 0x90) return 0;
  return size;
}

// As SequenceSize, but 0 for control characters too. U+0080..U+009F are some: terminals take U+009B
// as the start of a sequence.
size_t PrintableSize(std::string_view text) {
  const auto lead = static_cast<uint8_t>(text[0]);
  const size_t size = SequenceSize(text);
  const bool c1 = size == 2 && lead == 0xc2 && static_cast<uint8_t>(text[1]) < 0xa0;
  return lead < 0x20 || lead == 0x7f || c1 ? 0 : size;
}

}  // namespace

std::string Printable(std::string_view bytes, size_t size_max) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  while (!bytes.empty()) {
    if (out.size() >= size_max) return out + "…";
    if (const size_t size = PrintableSize(bytes); size != 0) {
      out += bytes.substr(0, size);
      bytes.remove_prefix(size);
    } else {
      const auto lead = static_cast<uint8_t>(bytes[0]);
      out += {'\\', 'x', kDigits[lead >> 4], kDigits[lead & 15]};
      bytes.remove_prefix(1);
    }
  }
  return out;
}

std::string PrintableText(std::string_view bytes) {
  std::string out;
  while (true) {
    const size_t end = bytes.find('\n');
    const std::string_view line = bytes.substr(0, end);
    out += Printable(line, line.size() * 4);
    if (end == std::string_view::npos) return out;
    out += '\n';
    bytes.remove_prefix(end + 1);
  }
}

size_t PrintablePrefix(std::string_view bytes, std::string_view allowed) {
  size_t at = 0;
  while (at < bytes.size()) {
    const size_t size =
        allowed.find(bytes[at]) != std::string_view::npos ? 1 : PrintableSize(bytes.substr(at));
    if (size == 0) break;
    at += size;
  }
  return at;
}

}  // namespace strata
