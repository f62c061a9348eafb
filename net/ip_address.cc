#include "net/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "common/digest.h"

namespace strata::net {
namespace {

constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr char kDigits[] = "0123456789abcdef";

struct Zeros {
  size_t first = 8;  // Of the eight groups.
  size_t count = 1;  // One alone is written out.
};

}  // namespace

IpAddress::IpAddress(Ipv4 address) {
  std::copy(kMapped.begin(), kMapped.end(), bytes.begin());
  for (size_t i = 0; i < 4; ++i) {
    bytes[12 + i] = static_cast<uint8_t>(address.value >> (24 - 8 * i));
  }
}

IpAddress IpAddress::LinkLocal(const Mac& mac) {
  IpAddress address;
  address.bytes = {
      0xfe,   0x80,   0,    0,    0,      0,      0,     0, static_cast<uint8_t>(mac[0] ^ 2),
      mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};
  return address;
}

bool IpAddress::is_ipv4() const {
  return std::equal(kMapped.begin(), kMapped.end(), bytes.begin());
}

// As Ipv4::ToString, not by inet_ntop: rules of a host name thousands.
std::string IpAddress::ToString() const {
  if (is_ipv4()) {
    uint32_t value = 0;
    for (size_t i = 12; i < 16; ++i) value = value << 8 | bytes[i];
    return Ipv4{value}.ToString();
  }
  std::array<unsigned, 8> groups;
  for (size_t i = 0; i < 8; ++i) groups[i] = bytes[2 * i] << 8 | bytes[2 * i + 1];
  Zeros longest;
  for (size_t i = 0; i < 8;) {
    size_t end = i;
    while (end < 8 && groups[end] == 0) ++end;
    if (end - i > longest.count) longest = {i, end - i};
    i = end + 1;
  }
  char text[INET6_ADDRSTRLEN];
  char* end = text;
  for (size_t i = 0; i < 8; ++i) {
    if (i == longest.first) {
      *end++ = ':';
      i += longest.count - 1;
      if (i == 7) *end++ = ':';
      continue;
    }
    if (i != 0) *end++ = ':';
    end = std::to_chars(end, text + sizeof(text), groups[i], 16).ptr;
  }
  return {text, end};
}

std::string IpAddress::Hex() const {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Result<IpAddress> IpAddress::Parse(std::string_view text) {
  if (const auto ipv4 = Ipv4::Parse(text); ipv4.ok()) return IpAddress(*ipv4);
  IpAddress address;
  if (::inet_pton(AF_INET6, std::string(text).c_str(), address.bytes.data()) != 1) {
    return Error(Code::kInvalidArgument, "not an address: '" + std::string(text) + "'");
  }
  return address;
}

Result<Ipv6Prefix> Ipv6Prefix::Parse(std::string_view text) {
  const Error bad(Code::kInvalidArgument,
                  "not an IPv6 prefix such as fd12:3456:7800::/40: '" + std::string(text) + "'");
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return bad;
  const auto base = IpAddress::Parse(text.substr(0, slash));
  if (!base.ok() || base->is_ipv4()) return bad;
  Ipv6Prefix prefix{*base, -1};
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + slash + 1, end, prefix.length);
  if (parsed.ec != std::errc() || parsed.ptr != end || prefix.length < 0 || prefix.length > 128) {
    return bad;
  }
  for (int bit = prefix.length; bit < 128; ++bit) {
    if ((base->bytes[static_cast<size_t>(bit / 8)] >> (7 - bit % 8) & 1) != 0) return bad;
  }
  return prefix;
}

bool Ipv6Prefix::Contains(const IpAddress& address) const {
  const auto whole = static_cast<size_t>(length / 8);
  if (!std::equal(base.bytes.begin(), base.bytes.begin() + whole, address.bytes.begin())) {
    return false;
  }
  const int rest = length % 8;
  return rest == 0 || ((base.bytes[whole] ^ address.bytes[whole]) >> (8 - rest)) == 0;
}

IpAddress Ipv6Prefix::Host(uint32_t n) const {
  IpAddress address = base;
  for (size_t i = 0; i < 4; ++i) address.bytes[12 + i] = static_cast<uint8_t>(n >> (24 - 8 * i));
  return address;
}

Ipv6Prefix Pool6For(std::string_view seed) {
  const Digest digest = Hasher::Of("pool6 " + std::string(seed));
  Ipv6Prefix pool{{}, kPool6Length};
  pool.base.bytes[0] = 0xfd;
  std::copy_n(digest.bytes().begin(), kPool6Length / 8 - 1, pool.base.bytes.begin() + 1);
  return pool;
}

Result<Ipv6Prefix> ParsePool6(std::string_view text) {
  ASSIGN_OR_RETURN(const Ipv6Prefix pool, Ipv6Prefix::Parse(text));
  if (pool.length != kPool6Length || pool.base.bytes[0] != 0xfd) {
    return Error(Code::kInvalidArgument, pool.ToString() + " is no /40 of fd00::/8");
  }
  return pool;
}

Ipv6Prefix NetworkOf(const Ipv6Prefix& pool, uint32_t number) {
  Ipv6Prefix network{pool.base, kNetwork6Length};
  for (size_t i = 0; i < 3; ++i) {
    network.base.bytes[5 + i] = static_cast<uint8_t>(number >> (16 - 8 * i));
  }
  return network;
}

}  // namespace strata::net
