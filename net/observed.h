// What is there of a host's links, as values (net/apply.h looks).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "net/ip_address.h"
#include "net/ipv4.h"
#include "net/names.h"

namespace strata::net {

// What a VXLAN device was made with.
struct ObservedTunnel {
  uint32_t vni = 0;
  Ipv4 local;
  uint16_t port = 0;
};

// Where frames to a MAC go. It takes two entries: the tunnel's says to which host, the bridge's
// that it is behind the tunnel.
struct ObservedRemote {
  Ipv4 host;
  bool on_tunnel = false;
  bool on_bridge = false;
};

struct ObservedLink {
  std::string name;
  bool up = false;
  bool promiscuous = false;  // By its flags, as what Open vSwitch has taken in.
  bool is_kernel_bridge = false;
  bool is_ethernet = false;           // What it carries are frames of Ethernet; loopback is not.
  std::vector<Ipv4Prefix> addresses;  // Each /32 holds one address of the link.
  std::vector<IpAddress> addresses6;  // Those of IPv6, without link-local ones.
  bool route_localnet = false;        // Takes packets from and to 127.0.0.0/8.
  std::string master;                 // The bridge that this is a port of, or "".
  bool hairpin = false;               // As a port: frames may leave where they came in.
  uint64_t sends_bits_per_s_max = 0;  // Of a token bucket at its root. 0: none.
  bool has_ingress = false;           // What it receives passes an ingress qdisc.
  Mac mac{};
  uint32_t mtu = 0;
  std::optional<ObservedTunnel> tunnel;
  // As a port: nothing is flooded to it or learnt from it, and the bridge answers ARP for what is
  // behind it.
  bool is_quiet_port = false;
  std::map<Mac, ObservedRemote> remotes;  // Of a tunnel; static ones.
  std::map<IpAddress, Mac> neighbours;    // Permanent ones.
  int index = 0;                          // The kernel's number for it.
};

}  // namespace strata::net
