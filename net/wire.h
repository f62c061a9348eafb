// What is on the wire: protocols, ports, sizes of headers and packets.
#pragma once

#include <cstdint>
#include <string_view>

namespace strata::net {

enum class Protocol { kTcp, kUdp };
std::string_view ProtocolName(Protocol protocol);  // "tcp", "udp".

inline constexpr uint16_t kVxlanPort = 4789;
inline constexpr uint32_t kVniMax = (1u << 24) - 1;
// IPv4, UDP, VXLAN and the inner Ethernet header.
inline constexpr uint32_t kVxlanHeaderBytes = 20 + 8 + 8 + 14;
inline constexpr uint32_t kUnderlayMtuMin = 1280;
inline constexpr uint32_t kUnderlayMtuMax = 65535;
inline constexpr uint32_t kBridgeMtu = 1500;   // Without an overlay.
inline constexpr uint32_t kIpv6MtuMin = 1280;  // Of links (RFC 8200).

}  // namespace strata::net
