#include "net/ipv4.h"

#include <arpa/inet.h>

#include <charconv>

namespace strata::net {

std::string Ipv4::ToString() const {
  // Rules of a host name thousands: inet_ntop takes most of their time.
  char text[INET_ADDRSTRLEN];
  char* end = text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    if (end != text) *end++ = '.';
    end = std::to_chars(end, text + sizeof(text), value >> shift & 255).ptr;
  }
  return {text, end};
}

Result<Ipv4> Ipv4::Parse(std::string_view text) {
  in_addr address;
  if (::inet_pton(AF_INET, std::string(text).c_str(), &address) != 1) {
    return Error(Code::kInvalidArgument, "not an IPv4 address: '" + std::string(text) + "'");
  }
  return Ipv4{ntohl(address.s_addr)};
}

Result<Ipv4Prefix> Ipv4Prefix::Parse(std::string_view text) {
  const Error bad(Code::kInvalidArgument,
                  "not an IPv4 prefix such as 10.90.0.0/16: '" + std::string(text) + "'");
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return bad;
  const auto base = Ipv4::Parse(text.substr(0, slash));
  if (!base.ok()) return bad;
  Ipv4Prefix prefix{*base, -1};
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + slash + 1, end, prefix.length);
  if (parsed.ec != std::errc() || parsed.ptr != end || prefix.length < 0 || prefix.length > 32 ||
      (prefix.base.value & ~prefix.Mask()) != 0) {
    return bad;
  }
  return prefix;
}

}  // namespace strata::net
