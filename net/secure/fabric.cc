#include "net/secure/fabric.h"

#include <map>

namespace strata::net {
namespace {

constexpr int kPrefixLengthMin = 8;
constexpr int kPrefixLengthMax = 30;

Error Wrong(const std::string& what) { return Error(Code::kInvalidArgument, "fabric: " + what); }

bool IsHostOf(const Ipv4Prefix& prefix, Ipv4 address) {
  return prefix.Contains(address) && address != prefix.base &&
         address.value != (prefix.base.value | ~prefix.Mask());
}

Status CheckOwn(const SecureFabric& fabric) {
  if (fabric.instance.size() != kInstanceDigits) {
    return Wrong("no instance: '" + fabric.instance + "'");
  }
  if (fabric.prefix.length < kPrefixLengthMin || fabric.prefix.length > kPrefixLengthMax) {
    return Wrong("the prefix " + fabric.prefix.ToString() + " must be from /" +
                 std::to_string(kPrefixLengthMin) + " to /" + std::to_string(kPrefixLengthMax));
  }
  if (!IsHostOf(fabric.prefix, fabric.address)) {
    return Wrong("this host's address " + fabric.address.ToString() + " is no host's of " +
                 fabric.prefix.ToString() + ": give it one, or change the prefix on all hosts");
  }
  if (fabric.key.is_none()) return Wrong("this host has no key");
  if (fabric.port == 0) return Wrong("there is no port 0");
  if (fabric.underlay_mtu > kUnderlayMtuMax || fabric.mtu() < kUnderlayMtuMin) {
    return Wrong("the underlay's MTU of " + std::to_string(fabric.underlay_mtu) + " leaves " +
                 std::to_string(fabric.mtu()) + " bytes; an overlay needs from " +
                 std::to_string(kUnderlayMtuMin) +
                 ": raise the MTU of the hosts' network, or say "
                 "what it really is");
  }
  if (fabric.peers.size() > kFabricPeersMax) {
    return Wrong(std::to_string(fabric.peers.size()) + " other hosts are more than " +
                 std::to_string(kFabricPeersMax));
  }
  return Ok();
}

Status CheckEndpoint(const SecureFabric& fabric, const FabricPeer& peer) {
  const Endpoint& endpoint = *peer.endpoint;
  const std::string what = peer.host + " cannot be called at " + endpoint.ToString() + ": ";
  if (!endpoint.IsOfAHost()) {
    return Wrong(what +
                 "give an address and port that other hosts reach, or none if it is behind "
                 "a NAT");
  }
  if (fabric.endpoint == endpoint) {
    return Wrong(what + "that is this host; give each host its own address");
  }
  if (endpoint.is_ipv6 && !fabric.has_ipv6_endpoints) {
    return Wrong(what +
                 "IPv6 costs 20 bytes more, and all hosts must know; say so to all, or give "
                 "an IPv4 address");
  }
  if (endpoint.ipv4() && fabric.prefix.Contains(*endpoint.ipv4())) {
    return Wrong(what + "that is inside of the fabric " + fabric.prefix.ToString() +
                 "; give the address that it has in the network below");
  }
  return Ok();
}

Status CheckEsp(const SecureFabric& fabric) {
  constexpr char kRemedy[] = ": ESP needs that; use WireGuard";
  if (fabric.is_behind_nat || !fabric.endpoint || !fabric.endpoint->ipv4()) {
    return Wrong(std::string("this host is not called at an IPv4 address") + kRemedy);
  }
  for (const FabricPeer& peer : fabric.peers) {
    if (!peer.endpoint || !peer.endpoint->ipv4()) {
      return Wrong(peer.host + " is not called at an IPv4 address" + kRemedy);
    }
    if (peer.endpoint->ipv4() == fabric.endpoint->ipv4()) {
      return Wrong(peer.host + " cannot be called at " + peer.endpoint->ToString() +
                   ": that is this host; give each host its own address");
    }
  }
  return Ok();
}

// Each may be one host's only.
class Owners {
 public:
  Status Take(const std::string& what, const std::string& host, const std::string& remedy) {
    const auto [first, inserted] = owners_.emplace(what, host);
    if (inserted) return Ok();
    return Wrong("the " + what + " is that of " + first->second + " and of " + host + ": " +
                 remedy);
  }

 private:
  std::map<std::string, std::string> owners_;
};

}  // namespace

SecureFabric WithKey(const DesiredFabric& desired, const std::string& instance,
                     const SecretKey& key) {
  SecureFabric fabric;
  static_cast<FabricSettings&>(fabric) = desired;
  fabric.instance = instance;
  fabric.key = key;
  for (const FabricMember& member : desired.peers) {
    static_cast<FabricMember&>(fabric.peers.emplace_back()) = member;
  }
  return fabric;
}

Status CheckFabric(const SecureFabric& fabric) {
  RETURN_IF_ERROR(CheckOwn(fabric));
  constexpr char kThisHost[] = "this host";
  constexpr char kNewKey[] =
      "a copied state directory has a copied key; remove fabric.key from one of them";
  constexpr char kOtherAddress[] = "give one of them another";
  Owners owners;
  ASSIGN_OR_RETURN(const PublicKey own, fabric.key.Public());
  RETURN_IF_ERROR(owners.Take("key " + own.ToString(), kThisHost, ""));
  RETURN_IF_ERROR(owners.Take("address " + fabric.address.ToString(), kThisHost, ""));
  for (const FabricPeer& peer : fabric.peers) {
    if (!IsHostOf(fabric.prefix, peer.address)) {
      return Wrong("the address " + peer.address.ToString() + " of " + peer.host +
                   " is no host's of " + fabric.prefix.ToString() +
                   ": give it one, or change the prefix on all hosts");
    }
    if (peer.key == PublicKey{}) return Wrong(peer.host + " has no key");
    RETURN_IF_ERROR(owners.Take("key " + peer.key.ToString(), peer.host, kNewKey));
    if (peer.next_key) {
      RETURN_IF_ERROR(owners.Take("key " + peer.next_key->ToString(), peer.host, kNewKey));
    }
    RETURN_IF_ERROR(owners.Take("address " + peer.address.ToString(), peer.host, kOtherAddress));
    if (peer.endpoint) {
      RETURN_IF_ERROR(CheckEndpoint(fabric, peer));
      Endpoint place = *peer.endpoint;
      if (fabric.kind == FabricKind::kEsp) place.port = 0;
      RETURN_IF_ERROR(owners.Take("endpoint " + place.ToString(), peer.host, kOtherAddress));
    }
  }
  return fabric.kind == FabricKind::kEsp ? CheckEsp(fabric) : Ok();
}

Status CheckOverFabric(const DesiredNetwork& desired) {
  if (!desired.fabric) return Ok();
  const DesiredFabric& fabric = *desired.fabric;
  const std::string prefix = fabric.prefix.ToString();
  if (fabric.prefix.Overlaps(desired.pool)) {
    return Wrong(prefix + " overlaps the pool of Vclusters' networks " + desired.pool.ToString() +
                 ": give all hosts a fabric prefix that nothing else uses");
  }
  for (const Bridge& bridge : desired.bridges) {
    const std::string network = "network " + std::to_string(bridge.number) + ": ";
    if (fabric.prefix.Overlaps(bridge.prefix)) {
      return Wrong(network + bridge.prefix.ToString() + " overlaps " + prefix);
    }
    if (!bridge.overlay || !fabric.prefix.Contains(bridge.overlay->local)) continue;
    if (bridge.overlay->local != fabric.address) {
      return Wrong(network + "its overlay is local to " + bridge.overlay->local.ToString() +
                   ", and this host's address in the fabric is " + fabric.address.ToString());
    }
    if (bridge.overlay->underlay_mtu > fabric.mtu()) {
      return Wrong(network + "its overlay takes the underlay's MTU for " +
                   std::to_string(bridge.overlay->underlay_mtu) + ", the fabric has " +
                   std::to_string(fabric.mtu()));
    }
  }
  return Ok();
}

bool IsUnreachable(const FabricSettings& self, const FabricMember& peer) {
  return self.is_behind_nat && !peer.endpoint;
}

std::vector<std::string> UnreachablePeers(const SecureFabric& fabric) {
  std::vector<std::string> names;
  for (const FabricPeer& peer : fabric.peers) {
    if (IsUnreachable(fabric, peer)) names.push_back(peer.host);
  }
  return names;
}

}  // namespace strata::net
