// An address of IPv4 or IPv6, as a plain value.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"
#include "net/ipv4.h"

namespace strata::net {

struct IpAddress {
  std::array<uint8_t, 16> bytes{};  // In network order; of IPv4 the first four.
  bool is_ipv6 = false;

  static IpAddress Of(Ipv4 address);
  // "192.0.2.1", "2001:db8::1"; kInvalidArgument for anything else.
  static Result<IpAddress> Parse(std::string_view text);
  std::string ToString() const;
  std::string_view raw() const {
    return {reinterpret_cast<const char*>(bytes.data()), is_ipv6 ? 16u : 4u};
  }
  auto operator<=>(const IpAddress&) const = default;
};

}  // namespace strata::net
