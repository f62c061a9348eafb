// Addresses of either family, and prefixes of IPv6, as plain values. What has to do with IPv4 alone
// is in net/ipv4.h.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "net/ipv4.h"
#include "net/names.h"

namespace strata::net {

// IPv4 as ::ffff:10.90.1.2 (RFC 4291, 2.5.5.2), which is on no wire.
struct IpAddress {
  std::array<uint8_t, 16> bytes{};

  IpAddress() = default;
  IpAddress(Ipv4 address);  // Wherever an address of any family will do, one of IPv4 does.
  static IpAddress LinkLocal(const Mac& mac);  // EUI-64 (RFC 4291, 2.5.6).

  bool is_ipv4() const;
  bool is_link_local() const { return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80; }
  std::string ToString() const;  // As RFC 5952 has it; IPv4 as "10.90.1.2".
  std::string Hex() const;       // 32 digits.
  // In network order: 4 bytes of IPv4, 16 of IPv6.
  std::string_view raw() const {
    const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return is_ipv4() ? all.substr(12) : all;
  }
  static Result<IpAddress> Parse(std::string_view text);
  auto operator<=>(const IpAddress&) const = default;
};

struct Ipv6Prefix {
  IpAddress base;  // Host bits are zero.
  int length = 128;

  std::string ToString() const { return base.ToString() + "/" + std::to_string(length); }
  // "fd12:3456:7800::/40"; kInvalidArgument for anything else, host bits that are set included.
  static Result<Ipv6Prefix> Parse(std::string_view text);
  bool Contains(const IpAddress& address) const;
  // REQUIRES: length is at most 96.
  IpAddress Host(uint32_t n) const;
  auto operator<=>(const Ipv6Prefix&) const = default;
};

// Of a Strata's pool and the networks in it: with their numbers, of 24 bits, behind the pool's 40
// they have a /64 each, as links of IPv6 are (RFC 4291, 2.5.4).
inline constexpr int kPool6Length = 40;
inline constexpr int kNetwork6Length = 64;

// A pool of local addresses (RFC 4193) that depends on `seed` alone.
Ipv6Prefix Pool6For(std::string_view seed);
// kInvalidArgument: not a /40 of fd00::/8.
Result<Ipv6Prefix> ParsePool6(std::string_view text);
// REQUIRES: `pool` is such a one, `number` of 24 bits.
Ipv6Prefix NetworkOf(const Ipv6Prefix& pool, uint32_t number);

}  // namespace strata::net
