// Frames as bytes, for nodes of a test that say what they should not.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "net/ipv4.h"
#include "net/names.h"
#include "tests/unit/net/namespaces.h"

namespace strata::net {

inline constexpr Mac kEverybody = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

std::string EthernetFrame(const Mac& to, const Mac& from, uint16_t type,
                          const std::string& payload);

struct Arp {
  uint16_t operation = 1;  // 1 asks, 2 answers.
  Mac sender_mac{};
  Ipv4 sender;
  Mac target_mac{};
  Ipv4 target;
};
std::string ArpPayload(const Arp& arp);

std::string Ipv4Payload(uint8_t protocol, Ipv4 from, Ipv4 to, const std::string& payload);
std::string UdpPayload(uint16_t from, uint16_t to, const std::string& payload);

using Ipv6Bytes = std::array<uint8_t, 16>;
Ipv6Bytes LinkLocalOf(const Mac& mac);
// ICMPv6 with hop limit 255 and its checksum.
std::string Icmpv6Payload(const Ipv6Bytes& from, const Ipv6Bytes& to, const std::string& message);

// One echo and its answer.
bool PingOnce(const NetNamespace& from, const std::string& to,
              std::chrono::milliseconds patience = kAnswer);

// What "eth0" of a node sends and sees, below any stack.
class RawLink {
 public:
  explicit RawLink(const NetNamespace& node);
  void Send(const std::string& frame) const;
  // Whether any frame that has come so far has `bytes` in it. All that has come is taken.
  bool Saw(const std::string& bytes) const { return CountOf(bytes) > 0; }
  unsigned CountOf(const std::string& bytes) const;

 private:
  UniqueFd fd_;
  int index_ = 0;
};

}  // namespace strata::net
