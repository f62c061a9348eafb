#include "net/desired.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace strata::net {
namespace {

std::string TargetOf(const Forward& forward, const Bridge& bridge) {
  return forward.address.ToString() + ":" + std::to_string(forward.node_port) + " on " +
         bridge.name;
}

bool IsNodeAddress(const Bridge& bridge, Ipv4 address) {
  const uint32_t host = address.value - bridge.prefix.base.value;
  return bridge.prefix.Contains(address) && host >= kFirstNodeHost &&
         host < kFirstNodeHost + NodesMaxOf(bridge.prefix);
}

Status CheckForwards(const DesiredNetwork& desired) {
  std::map<std::pair<Protocol, uint16_t>, std::string> targets;
  std::set<uint16_t> tunnel_ports;
  for (const Bridge& bridge : desired.bridges) {
    if (bridge.overlay) tunnel_ports.insert(bridge.overlay->port);
  }
  for (const Bridge& bridge : desired.bridges) {
    for (const Forward& forward : bridge.forwards) {
      const std::string port = std::to_string(forward.host_port) + "/" +
                               std::string(ProtocolName(forward.protocol)) + " of the host";
      const std::string target = TargetOf(forward, bridge);
      if (forward.protocol == Protocol::kUdp && tunnel_ports.contains(forward.host_port)) {
        return Error(Code::kInvalidArgument,
                     "port " + port + " is the overlay's and cannot be forwarded to " + target);
      }
      if (forward.host_port == 0 || forward.node_port == 0) {
        return Error(Code::kInvalidArgument,
                     "there is no port 0: port " + port + " is forwarded to " + target);
      }
      if (!IsNodeAddress(bridge, forward.address)) {
        return Error(Code::kInvalidArgument,
                     "port " + port + " is forwarded to " + target + ", where no node can be");
      }
      const auto [first, inserted] =
          targets.emplace(std::pair(forward.protocol, forward.host_port), target);
      if (!inserted) {
        return Error(Code::kInvalidArgument, "port " + port + " is forwarded twice: to " +
                                                 first->second + " and to " + target);
      }
    }
  }
  return Ok();
}

Error Wrong(const Bridge& bridge, const std::string& what) {
  return Error(Code::kInvalidArgument, "overlay of " + bridge.name + ": " + what);
}

bool IsHostAddress(Ipv4 address) {
  const uint32_t first = address.value >> 24;
  return first != 0 && first < 224;
}

Status CheckRemotes(const Bridge& bridge, const Overlay& overlay) {
  std::set<Ipv4> addresses;
  std::set<Mac> macs = {bridge.mac()};
  for (const RemoteNode& remote : overlay.remotes) {
    const std::string name = remote.address.ToString();
    if (!IsNodeAddress(bridge, remote.address)) return Wrong(bridge, "no node can be at " + name);
    if (!IsHostAddress(remote.host) || remote.host == overlay.local) {
      return Wrong(bridge, name + " cannot be on another host at " + remote.host.ToString());
    }
    if ((remote.mac[0] & 1) != 0 || remote.mac == Mac{}) {
      return Wrong(bridge, name + " cannot have the MAC " + ToString(remote.mac));
    }
    if (!addresses.insert(remote.address).second) return Wrong(bridge, name + " is there twice");
    if (!macs.insert(remote.mac).second) {
      return Wrong(bridge, "the MAC " + ToString(remote.mac) + " of " + name + " is there twice");
    }
  }
  return Ok();
}

Status CheckOverlays(const DesiredNetwork& desired) {
  std::map<std::pair<uint16_t, uint32_t>, std::string> bridges;
  for (const Bridge& bridge : desired.bridges) {
    if (!bridge.overlay) continue;
    const Overlay& overlay = *bridge.overlay;
    if (overlay.vni == 0 || overlay.vni > kVniMax) {
      return Wrong(bridge, "no VNI: " + std::to_string(overlay.vni));
    }
    if (overlay.port == 0) return Wrong(bridge, "there is no port 0");
    if (!IsHostAddress(overlay.local)) {
      return Wrong(bridge, "this host cannot be at " + overlay.local.ToString());
    }
    if (overlay.underlay_mtu < kUnderlayMtuMin || overlay.underlay_mtu > kUnderlayMtuMax) {
      return Wrong(bridge, "the underlay's MTU is " + std::to_string(overlay.underlay_mtu) +
                               ", not from " + std::to_string(kUnderlayMtuMin) + " to " +
                               std::to_string(kUnderlayMtuMax));
    }
    const auto [first, inserted] =
        bridges.emplace(std::pair(overlay.port, overlay.vni), bridge.name);
    if (!inserted) {
      return Wrong(bridge,
                   "its VNI " + std::to_string(overlay.vni) + " is that of " + first->second);
    }
    RETURN_IF_ERROR(CheckRemotes(bridge, overlay));
  }
  return Ok();
}

Status CheckRates(const DesiredNetwork& desired) {
  for (const Veth& veth : desired.veths) {
    const uint64_t rate = veth.bits_per_s_max;
    if (rate == 0 || (rate >= kBitsPerSecondMin && rate <= kBitsPerSecondMax)) continue;
    return Error(Code::kInvalidArgument, "a rate of " + std::to_string(rate) + " bits/s for " +
                                             veth.name + " is not between " +
                                             std::to_string(kBitsPerSecondMin) + " and " +
                                             std::to_string(kBitsPerSecondMax));
  }
  return Ok();
}

}  // namespace

uint32_t NodesMaxOf(const Ipv4Prefix& prefix) {
  const uint64_t size = uint64_t{1} << (32 - prefix.length);
  const uint64_t others = kFirstNodeHost + 1;
  return size <= others
             ? 0
             : static_cast<uint32_t>(std::min<uint64_t>(size - others, kNodesMaxPerCluster));
}

int PrefixLengthFor(uint32_t nodes) {
  int length = kClusterPrefixLengthMax;
  while (length > kClusterPrefixLength && NodesMaxOf({{}, length}) < nodes) --length;
  return length;
}

std::string_view ProtocolName(Protocol protocol) {
  return protocol == Protocol::kTcp ? "tcp" : "udp";
}

Bridge MakeBridge(std::string_view instance, uint32_t number, const Ipv4Prefix& prefix) {
  return {BridgeName(instance, number), prefix, {}, std::nullopt, number};
}

Veth MakeVeth(std::string_view instance, uint32_t network, uint32_t index,
              uint64_t bits_per_s_max) {
  return {VethName(instance, network, index), bits_per_s_max, network, index};
}

Mac Bridge::mac() const { return overlay ? MacForGateway(overlay->vni) : MacFor(name); }

Status CheckDesired(const DesiredNetwork& desired) {
  RETURN_IF_ERROR(CheckForwards(desired));
  RETURN_IF_ERROR(CheckOverlays(desired));
  return CheckRates(desired);
}

}  // namespace strata::net
