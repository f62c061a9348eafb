#include "net/ip_address.h"

#include <arpa/inet.h>

namespace strata::net {

IpAddress IpAddress::Of(Ipv4 address) {
  IpAddress out;
  for (size_t i = 0; i < 4; ++i) {
    out.bytes[i] = static_cast<uint8_t>(address.value >> (24 - 8 * i));
  }
  return out;
}

Result<IpAddress> IpAddress::Parse(std::string_view text) {
  IpAddress out;
  const std::string terminated(text);
  out.is_ipv6 = text.find(':') != text.npos;
  if (text.find('\0') != text.npos ||
      ::inet_pton(out.is_ipv6 ? AF_INET6 : AF_INET, terminated.c_str(), out.bytes.data()) != 1) {
    return Error(Code::kInvalidArgument, "not an address: '" + terminated + "'");
  }
  return out;
}

std::string IpAddress::ToString() const {
  char text[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(is_ipv6 ? AF_INET6 : AF_INET, bytes.data(), text, sizeof(text));
  return text;
}

}  // namespace strata::net
