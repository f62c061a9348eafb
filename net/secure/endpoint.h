// Where a host is called: an address of the underlay, IPv4 or IPv6, and a UDP port.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/ipv4.h"

namespace strata::net {

struct Endpoint {
  std::array<uint8_t, 16> address{};  // In network order; of IPv4 the first four.
  bool is_ipv6 = false;
  uint16_t port = 0;

  static Endpoint Of(Ipv4 address, uint16_t port);
  // "192.0.2.1:51820", "[2001:db8::1]:51820". Numbers only: names and zones are kInvalidArgument.
  static Result<Endpoint> Parse(std::string_view text);
  std::string ToString() const;
  std::optional<Ipv4> ipv4() const;
  // Neither unspecified, nor of this host alone, nor of a group; and with a port.
  bool IsOfAHost() const;
  auto operator<=>(const Endpoint&) const = default;
};

}  // namespace strata::net
