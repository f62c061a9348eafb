// IPv4 addresses and prefixes as plain values.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace strata::net {

struct Ipv4 {
  uint32_t value = 0;  // Host byte order.
  std::string ToString() const;
  static Result<Ipv4> Parse(std::string_view text);
  auto operator<=>(const Ipv4&) const = default;
};

struct Ipv4Prefix {
  Ipv4 base;  // Host bits are zero.
  int length = 32;

  std::string ToString() const { return base.ToString() + "/" + std::to_string(length); }
  // "10.90.0.0/16"; kInvalidArgument for anything else, host bits that are set included.
  static Result<Ipv4Prefix> Parse(std::string_view text);
  uint32_t Mask() const { return length == 0 ? 0 : ~0u << (32 - length); }
  bool Contains(Ipv4 address) const { return (address.value & Mask()) == base.value; }
  bool Overlaps(const Ipv4Prefix& other) const {
    return Contains(other.base) || other.Contains(base);
  }
  // How many prefixes of `inner_length` fit in it. REQUIRES: inner_length >= length.
  uint32_t Count(int inner_length) const { return 1u << (inner_length - length); }
  Ipv4Prefix Nth(int inner_length, uint32_t n) const {
    return {{base.value + (n << (32 - inner_length))}, inner_length};
  }
  Ipv4 Host(uint32_t n) const { return {base.value + n}; }
  auto operator<=>(const Ipv4Prefix&) const = default;
};

}  // namespace strata::net
