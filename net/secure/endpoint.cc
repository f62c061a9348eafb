#include "net/secure/endpoint.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace strata::net {

Endpoint Endpoint::Of(Ipv4 address, uint16_t port) {
  Endpoint result;
  for (int i = 0; i < 4; ++i) {
    result.address[i] = static_cast<uint8_t>(address.value >> (24 - 8 * i));
  }
  result.port = port;
  return result;
}

Result<Endpoint> Endpoint::Parse(std::string_view text) {
  const Error bad(Code::kInvalidArgument,
                  "not an address and a port such as 192.0.2.1:51820 or "
                  "[2001:db8::1]:51820: '" +
                      std::string(text.substr(0, 80)) + "'");
  Endpoint endpoint;
  endpoint.is_ipv6 = text.starts_with('[');
  const std::string_view separator = endpoint.is_ipv6 ? "]:" : ":";
  const size_t end = text.rfind(separator);
  if (end == std::string_view::npos) return bad;
  const std::string host(text.substr(endpoint.is_ipv6 ? 1 : 0, end - (endpoint.is_ipv6 ? 1 : 0)));
  if (::inet_pton(endpoint.is_ipv6 ? AF_INET6 : AF_INET, host.c_str(), endpoint.address.data()) !=
          1 ||
      host.find('\0') != std::string::npos) {
    return bad;
  }
  const char* const first = text.data() + end + separator.size();
  const char* const last = text.data() + text.size();
  const auto parsed = std::from_chars(first, last, endpoint.port);
  if (parsed.ec != std::errc() || parsed.ptr != last) return bad;
  return endpoint;
}

std::string Endpoint::ToString() const {
  char text[INET6_ADDRSTRLEN];
  ::inet_ntop(is_ipv6 ? AF_INET6 : AF_INET, address.data(), text, sizeof(text));
  return (is_ipv6 ? "[" + std::string(text) + "]" : std::string(text)) + ":" + std::to_string(port);
}

std::optional<Ipv4> Endpoint::ipv4() const {
  if (is_ipv6) return std::nullopt;
  Ipv4 result;
  for (int i = 0; i < 4; ++i) result.value = result.value << 8 | address[i];
  return result;
}

bool Endpoint::IsOfAHost() const {
  if (port == 0) return false;
  if (!is_ipv6) return address[0] != 0 && address[0] != 127 && address[0] < 224;
  // ::, ::1 and ff00::/8; link-local ones mean nothing without a zone.
  const bool low =
      std::all_of(address.begin(), address.end() - 1, [](uint8_t b) { return b == 0; });
  return address[0] != 0xff && !(low && address[15] <= 1) &&
         !(address[0] == 0xfe && (address[1] & 0xc0) == 0x80);
}

}  // namespace strata::net
