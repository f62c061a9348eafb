#include "net/desired.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include "net/desired_policy.h"
#include "net/remote_forwards.h"

namespace strata::net {
namespace {

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
    if (!bridge.IsNodeAddress(remote.address)) return Wrong(bridge, "no node can be at " + name);
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

Status CheckPrefixes6(const DesiredNetwork& desired) {
  for (const Bridge& bridge : desired.bridges) {
    if (!bridge.prefix6) continue;
    if (desired.pool6 && *bridge.prefix6 == NetworkOf(*desired.pool6, bridge.number)) continue;
    return Error(Code::kInvalidArgument, bridge.prefix6->ToString() + " of " + bridge.name +
                                             " is not its prefix of the pool of IPv6");
  }
  return Ok();
}

Status CheckRate(uint64_t rate, uint64_t most, const std::string& whose) {
  if (rate == 0 || (rate >= kBitsPerSecondMin && rate <= most)) return Ok();
  return Error(Code::kInvalidArgument,
               "a rate of " + std::to_string(rate) + " bits/s for " + whose + " is not between " +
                   std::to_string(kBitsPerSecondMin) + " and " + std::to_string(most));
}

Status CheckRates(const DesiredNetwork& desired) {
  for (const Veth& veth : desired.veths) {
    RETURN_IF_ERROR(CheckRate(veth.bits_per_s_max, kBitsPerSecondMax, veth.name));
  }
  std::set<uint32_t> users;
  for (const UserLimit& limit : desired.user_limits) {
    const std::string name = "user " + std::to_string(limit.user);
    RETURN_IF_ERROR(CheckRate(limit.bits_per_s_max, kUserBitsPerSecondMax, name));
    if (limit.user == 0 || !users.insert(limit.user).second) {
      return Error(Code::kInvalidArgument, name + " cannot have a limit, or has two");
    }
  }
  return Ok();
}

}  // namespace

std::string_view ProtocolName(Protocol protocol) {
  return protocol == Protocol::kTcp ? "tcp" : "udp";
}

Bridge MakeBridge(std::string_view instance, uint32_t number, const Ipv4Prefix& prefix,
                  const std::optional<Ipv6Prefix>& pool6) {
  Bridge bridge{BridgeName(instance, number), prefix, {}, std::nullopt, number};
  if (pool6) bridge.prefix6 = NetworkOf(*pool6, number);
  return bridge;
}

DesiredNetwork WithoutIpv6(DesiredNetwork desired) {
  desired.pool6.reset();
  for (Bridge& bridge : desired.bridges) bridge.prefix6.reset();
  return desired;
}

Veth MakeVeth(std::string_view instance, uint32_t network, uint32_t index,
              uint64_t bits_per_s_max) {
  return {VethName(instance, network, index), bits_per_s_max, network, index};
}

std::optional<Veth> ParseVethName(const std::string& name, std::string_view instance) {
  if (!IsNameOf(name, instance, LinkKind::kVeth)) return std::nullopt;
  const std::string digits = name.substr(NamePrefix(instance, LinkKind::kVeth).size());
  uint32_t number = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), number, 36);
  if (read.ec != std::errc() || read.ptr != digits.data() + digits.size()) return std::nullopt;
  const Veth veth = MakeVeth(instance, number / 256, number % 256, 0);
  if (veth.name != name || veth.index >= kNodesMaxPerCluster) return std::nullopt;
  return veth;
}

bool Bridge::IsNodeAddress(Ipv4 address) const {
  const uint32_t host = address.value - prefix.base.value;
  return prefix.Contains(address) && host >= kFirstNodeHost &&
         host < kFirstNodeHost + NodesMaxOf(prefix);
}

std::vector<std::pair<const Bridge*, const Bridge*>> PeersOf(const DesiredNetwork& desired) {
  std::map<uint32_t, const Bridge*> bridges;
  for (const Bridge& bridge : desired.bridges) bridges.emplace(bridge.number, &bridge);
  const auto names = [](const Bridge& bridge, uint32_t number) {
    return std::find(bridge.peers.begin(), bridge.peers.end(), number) != bridge.peers.end();
  };
  std::set<std::pair<const Bridge*, const Bridge*>> pairs;
  for (const auto& [number, bridge] : bridges) {
    for (const uint32_t peer : bridge->peers) {
      const auto other = bridges.find(peer);
      if (peer <= number || other == bridges.end() || !names(*other->second, number)) continue;
      pairs.emplace(bridge, other->second);
    }
  }
  return {pairs.begin(), pairs.end()};
}

Mac Bridge::mac() const { return overlay ? MacForGateway(overlay->vni) : MacFor(name); }

Status CheckDesired(const DesiredNetwork& desired) {
  RETURN_IF_ERROR(CheckForwards(desired));
  RETURN_IF_ERROR(CheckOverlays(desired));
  RETURN_IF_ERROR(CheckGroups(desired));
  RETURN_IF_ERROR(CheckPeers(desired));
  RETURN_IF_ERROR(CheckPrefixes6(desired));
  RETURN_IF_ERROR(CheckRemoteForwards(desired));
  for (const Bridge& bridge : desired.bridges) {
    RETURN_IF_ERROR(CheckHostNames(bridge.names), "network " + std::to_string(bridge.number));
  }
  if (desired.resolvers.size() > kResolversMax) {
    return Error(Code::kInvalidArgument, "at most " + std::to_string(kResolversMax) + " resolvers");
  }
  return CheckRates(desired);
}

}  // namespace strata::net
