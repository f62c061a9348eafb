#include "net/plan.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "net/remote_forwards.h"
#include "net/ruleset.h"

namespace strata::net {
namespace {

using LinksByName = std::unordered_map<std::string, const ObservedLink*>;

LinksByName ByName(const std::vector<ObservedLink>& observed) {
  LinksByName links;
  for (const ObservedLink& link : observed) links.emplace(link.name, &link);
  return links;
}

const ObservedLink* Find(const LinksByName& links, const std::string& name) {
  const auto found = links.find(name);
  return found == links.end() ? nullptr : found->second;
}

bool HasAddress(const ObservedLink& link, Ipv4 address) {
  return std::any_of(link.addresses.begin(), link.addresses.end(),
                     [&](const Ipv4Prefix& prefix) { return prefix.base == address; });
}

bool HasAddress6(const ObservedLink& link, const IpAddress& address) {
  return std::find(link.addresses6.begin(), link.addresses6.end(), address) !=
         link.addresses6.end();
}

// What a VXLAN device was made with cannot be changed.
bool IsTunnelOf(const Bridge& bridge, const ObservedLink& link) {
  return bridge.overlay && link.tunnel && link.tunnel->vni == bridge.overlay->vni &&
         link.tunnel->local == bridge.overlay->local && link.tunnel->port == bridge.overlay->port;
}

void PlanDeletions(const DesiredNetwork& desired, const std::vector<ObservedLink>& observed,
                   const LinksByName& links, Driver driver, NetworkPlan* plan) {
  std::set<std::string> wanted;
  std::set<uint32_t> networks;
  for (const Bridge& bridge : desired.bridges) {
    networks.insert(bridge.number);
    wanted.insert(bridge.name);
    const ObservedLink* tunnel = Find(links, bridge.tunnel());
    if (tunnel != nullptr && IsTunnelOf(bridge, *tunnel)) wanted.insert(bridge.tunnel());
  }
  for (const Veth& veth : desired.veths) {
    wanted.insert(veth.name);
    // A veth's shaper stays behind when its node ends.
    if (Find(links, veth.name) != nullptr) wanted.insert(SiblingName(veth.name, LinkKind::kShaper));
  }
  for (const ObservedLink& link : observed) {
    const bool switches = driver == Driver::kLinux;  // Otherwise they are Open vSwitch's.
    const bool deletable =
        (switches && IsNameOf(link.name, desired.instance, LinkKind::kBridge)) ||
        IsNameOf(link.name, desired.instance, LinkKind::kShaper) ||
        (switches && IsNameOf(link.name, desired.instance, LinkKind::kTunnel)) ||
        (!desired.keep_unknown_veths && IsNameOf(link.name, desired.instance, LinkKind::kVeth));
    if (!deletable || wanted.contains(link.name)) continue;
    const std::optional<Veth> veth = ParseVethName(link.name, desired.instance);
    const bool is_of_rest = veth && networks.contains(veth->network);
    (is_of_rest ? plan->delete_last : plan->delete_links).push_back(link.name);
  }
}

void PlanBridge(const Bridge& bridge, const ObservedLink* link, NetworkPlan* plan) {
  BridgeSettings settings = {bridge.name, {}, bridge.mtu(), bridge.has_forwards()};
  if (link == nullptr) plan->create_bridges.push_back(bridge);
  if (link != nullptr && link->mac != bridge.mac()) settings.mac = bridge.mac();
  if (link == nullptr || !link->up || settings.mac || link->mtu != settings.mtu ||
      link->route_localnet != settings.route_localnet) {
    plan->set_bridges.push_back(settings);
  }
  if (link == nullptr || !HasAddress(*link, bridge.gateway())) {
    plan->address_bridges.push_back(bridge);
  }
  if (bridge.has_ipv6() && (link == nullptr || !HasAddress6(*link, bridge.gateway6()))) {
    plan->address6_bridges.push_back(bridge);
  }
  const bool has_transit = link != nullptr && HasAddress(*link, kTransitOwn);
  const bool wants_transit = !bridge.remote_forwards.empty();
  if (wants_transit && !has_transit) plan->add_transit.push_back(bridge.name);
  if (!wants_transit && has_transit) plan->remove_transit.push_back(bridge.name);
}

void PlanFdb(const Bridge& bridge, const ObservedLink* tunnel, NetworkPlan* plan) {
  std::map<Mac, ObservedRemote> observed;
  if (tunnel != nullptr) observed = tunnel->remotes;
  const auto want = [&](const Mac& mac, Ipv4 host) {
    const auto found = observed.find(mac);
    const bool done = found != observed.end() && found->second.host == host &&
                      found->second.on_tunnel && found->second.on_bridge &&
                      tunnel->master == bridge.name;  // Another bridge keeps its half.
    if (!done) plan->set_fdb.push_back({bridge.tunnel(), mac, host});
    observed.erase(mac);
  };
  for (const RemoteNode& remote : bridge.overlay->remotes) want(remote.mac, remote.host);
  for (const Ipv4 host : ForwardingHosts(bridge)) {
    want(MacForHost(bridge.overlay->vni, host), host);
  }
  for (const auto& [mac, remote] : observed) {
    plan->delete_fdb.push_back({bridge.tunnel(), mac, remote.host});
  }
}

void PlanTunnel(const Bridge& bridge, const LinksByName& links, NetworkPlan* plan) {
  const ObservedLink* tunnel = Find(links, bridge.tunnel());
  if (tunnel != nullptr && !IsTunnelOf(bridge, *tunnel)) tunnel = nullptr;  // It is deleted.
  if (tunnel == nullptr) plan->create_tunnels.push_back(bridge);
  if (tunnel == nullptr || !tunnel->up || tunnel->master != bridge.name ||
      tunnel->mtu != bridge.mtu() || !tunnel->is_quiet_port ||
      tunnel->mac != MacForHost(bridge.overlay->vni, bridge.overlay->local)) {
    plan->set_tunnels.push_back(bridge);
  }
  PlanFdb(bridge, tunnel, plan);
}

// Flows of Open vSwitch answer nodes for IPv4; there the host needs to know those alone that it
// sends to.
void PlanNeighbours(const Bridge& bridge, const ObservedLink* link, Driver driver,
                    NetworkPlan* plan) {
  std::map<IpAddress, Mac> observed;
  // Another MAC makes the bridge forget them.
  if (link != nullptr && link->mac == bridge.mac()) observed = link->neighbours;
  const auto want = [&](const IpAddress& address, const Mac& mac) {
    const auto found = observed.find(address);
    if (found == observed.end() || found->second != mac) {
      plan->set_neighbours.push_back({bridge.name, address, mac});
    }
    observed.erase(address);
  };
  if (driver == Driver::kOvs) {
    for (const RemoteNode* remote : ForwardedRemotes(bridge)) want(remote->address, remote->mac);
  } else if (bridge.overlay) {
    for (const RemoteNode& remote : bridge.overlay->remotes) {
      want(remote.address, remote.mac);
      if (bridge.has_ipv6()) want(bridge.Address6Of(remote.address), remote.mac);
    }
  }
  for (const Ipv4 host : ForwardingHosts(bridge)) {
    want(TransitAddress(host), MacForHost(bridge.overlay->vni, host));
  }
  for (const auto& [address, mac] : observed) {
    plan->delete_neighbours.push_back({bridge.name, address, mac});
  }
}

// With br_netfilter a node's frames that are forwarded back to itself are bridged, not routed.
void PlanPorts(const DesiredNetwork& desired, const LinksByName& links, NetworkPlan* plan) {
  std::set<std::string> with_forwards;
  for (const Bridge& bridge : desired.bridges) {
    if (bridge.has_forwards()) with_forwards.insert(bridge.name);
  }
  for (const Veth& veth : desired.veths) {
    const ObservedLink* link = Find(links, veth.name);
    if (link == nullptr || link->master.empty()) continue;
    const bool hairpin = with_forwards.contains(link->master);
    if (link->hairpin != hairpin) plan->set_ports.push_back({veth.name, hairpin});
  }
}

void PlanRates(const DesiredNetwork& desired, const LinksByName& links, NetworkPlan* plan) {
  for (const Veth& veth : desired.veths) {
    const ObservedLink* link = Find(links, veth.name);
    if (link == nullptr) continue;
    const ObservedLink* shaper = Find(links, SiblingName(veth.name, LinkKind::kShaper));
    const uint64_t rate = veth.bits_per_s_max / 8 * 8;  // The kernel counts bytes.
    const bool limited = rate != 0;
    const bool done =
        link->sends_bits_per_s_max == rate && link->has_ingress == limited &&
        (limited ? shaper != nullptr && shaper->up && shaper->sends_bits_per_s_max == rate
                 : shaper == nullptr);
    if (!done) plan->set_rates.push_back(veth);
  }
}

// Those that stay because it is not known whether they are wanted: their nodes go on as who they
// are.
DesiredNetwork WithKeptVeths(const DesiredNetwork& desired,
                             const std::vector<ObservedLink>& observed) {
  DesiredNetwork all = desired;
  if (!desired.keep_unknown_veths) return all;
  std::set<std::string> known;
  for (const Veth& veth : desired.veths) known.insert(veth.name);
  for (const ObservedLink& link : observed) {
    const std::optional<Veth> veth = ParseVethName(link.name, desired.instance);
    if (veth && !known.contains(link.name)) all.veths.push_back(*veth);
  }
  return all;
}

}  // namespace

Result<NetworkPlan> MakePlan(const DesiredNetwork& desired,
                             const std::vector<ObservedLink>& observed, Driver driver) {
  RETURN_IF_ERROR(CheckDesired(desired));
  NetworkPlan plan;
  const LinksByName links = ByName(observed);
  PlanDeletions(desired, observed, links, driver, &plan);
  plan.ruleset = MakeRuleset(WithKeptVeths(desired, observed));
  for (const Bridge& bridge : desired.bridges) {
    const ObservedLink* link = Find(links, bridge.name);
    if (driver == Driver::kOvs) {
      if (link == nullptr) continue;
      PlanBridge(bridge, link, &plan);
      PlanNeighbours(bridge, link, driver, &plan);
      continue;
    }
    PlanBridge(bridge, link, &plan);
    if (bridge.overlay) PlanTunnel(bridge, links, &plan);
    PlanNeighbours(bridge, link, driver, &plan);
  }
  if (driver == Driver::kLinux) PlanPorts(desired, links, &plan);
  PlanRates(desired, links, &plan);
  return plan;
}

}  // namespace strata::net
