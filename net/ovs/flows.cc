#include "net/ovs/flows.h"

#include <net/ethernet.h>

#include <algorithm>
#include <set>
#include <utility>

#include "net/remote_forwards.h"

namespace strata::net {
namespace {

enum Table : uint8_t {
  kSenders = 0,
  kClaims = 1,
  kToOtherHosts = 2,
  kToGatewayAndAll = 3,
  kToNodes = 4
};
constexpr uint16_t kPriority = 100;
constexpr uint16_t kUnlessClaimed = 50;
constexpr uint16_t kOtherwise = 1;
constexpr uint16_t kArpRequest = 1;
// RFC 4861, section 4.
constexpr uint8_t kRouterAdvertisement = 134, kSolicitation = 135, kAdvertisement = 136,
                  kRedirect = 137;

class Flows {
 public:
  void Add(Table table, const FlowMatch& match, const FlowActions& actions,
           uint16_t priority = kPriority) {
    flows_.push_back({table, priority, match, actions.Instructions(), kFlowCookie});
  }
  std::vector<Flow> Take() {
    std::sort(flows_.begin(), flows_.end());
    return std::move(flows_);
  }

 private:
  std::vector<Flow> flows_;
};

FlowMatch From(uint32_t port, const Mac& mac) {
  return FlowMatch().InPort(port).EthSource(mac).Untagged();
}
FlowMatch From(uint32_t port, const Mac& mac, uint16_t type) {
  return From(port, mac).EthType(type);
}

FlowMatch To(const Mac& mac) { return FlowMatch().EthDestination(mac); }

void AddNode(const Bridge& bridge, uint32_t index, Flows* flows) {
  const uint32_t port = kFirstNodeOfPort + index;
  const Ipv4 address = NodeAddress(bridge, index);
  const Mac mac = NodeMac(bridge, index);
  const FlowActions next = FlowActions().GoTo(kToOtherHosts);
  flows->Add(kSenders, From(port, mac, ETHERTYPE_IP).Ipv4Source(address), next);
  flows->Add(kSenders, From(port, mac, ETHERTYPE_ARP).ArpSenderAddress(address).ArpSenderMac(mac),
             next);
  flows->Add(kToNodes, To(mac), FlowActions().Output(port));
}

// Of IPv6 it has two addresses.
void AddNode6(const Bridge& bridge, uint32_t index, Flows* flows) {
  const uint32_t port = kFirstNodeOfPort + index;
  const Mac mac = NodeMac(bridge, index);
  const IpAddress address = bridge.Address6Of(NodeAddress(bridge, index));
  for (const IpAddress& own : {address, IpAddress::LinkLocal(mac)}) {
    flows->Add(kSenders, From(port, mac, ETHERTYPE_IPV6).Ipv6Source(own),
               FlowActions().GoTo(kClaims));
    flows->Add(kClaims, From(port, mac).Icmpv6(kAdvertisement).NeighbourTarget(own),
               FlowActions().GoTo(kToOtherHosts));
  }
  flows->Add(kToNodes, FlowMatch().ToGroup().Icmpv6(kSolicitation).NeighbourTarget(address),
             FlowActions().Output(port));
}

void AddRemote6(const Bridge& bridge, const RemoteNode& remote, Flows* flows) {
  const IpAddress address = bridge.Address6Of(remote.address);
  for (const IpAddress& theirs : {address, IpAddress::LinkLocal(remote.mac)}) {
    flows->Add(kSenders,
               From(kTunnelOfPort, remote.mac, ETHERTYPE_IPV6)
                   .Ipv6Source(theirs)
                   .TunnelSource(remote.host),
               FlowActions().GoTo(kToNodes));
  }
  const FlowActions to_host = FlowActions().SetTunnelDestination(remote.host).Output(kTunnelOfPort);
  flows->Add(kToOtherHosts, FlowMatch().Icmpv6(kSolicitation).NeighbourTarget(address), to_host);
  flows->Add(kToOtherHosts, To(remote.mac).EthType(ETHERTYPE_IPV6), to_host);
}

void AddIpv6(const Bridge& bridge, const std::vector<uint32_t>& nodes, Flows* flows) {
  for (const uint32_t index : nodes) AddNode6(bridge, index, flows);
  if (bridge.overlay) {
    for (const RemoteNode& remote : bridge.overlay->remotes) AddRemote6(bridge, remote, flows);
  }
  flows->Add(kSenders, From(kPortLocal, bridge.mac(), ETHERTYPE_IPV6),
             FlowActions().GoTo(kToGatewayAndAll));
  for (const uint8_t type : {kRouterAdvertisement, kAdvertisement, kRedirect}) {
    flows->Add(kClaims, FlowMatch().Icmpv6(type), FlowActions(), kUnlessClaimed);
  }
  flows->Add(kClaims, FlowMatch(), FlowActions().GoTo(kToOtherHosts), kOtherwise);
}

void AddRemote(const RemoteNode& remote, Flows* flows) {
  flows->Add(kSenders,
             From(kTunnelOfPort, remote.mac, ETHERTYPE_IP)
                 .Ipv4Source(remote.address)
                 .TunnelSource(remote.host),
             FlowActions().GoTo(kToNodes));
  flows->Add(
      kToOtherHosts,
      FlowMatch().EthType(ETHERTYPE_ARP).ArpOperation(kArpRequest).ArpTargetAddress(remote.address),
      FlowActions().AnswerArp(remote.address, remote.mac));
  flows->Add(kToOtherHosts, To(remote.mac).EthType(ETHERTYPE_IP),
             FlowActions().SetTunnelDestination(remote.host).Output(kTunnelOfPort));
}

// What the gateway alone sends into the tunnel.
void AddFromGateway(const Mac& to, Ipv4 host, Flows* flows) {
  flows->Add(kToGatewayAndAll, To(to).InPort(kPortLocal).EthType(ETHERTYPE_IP),
             FlowActions().SetTunnelDestination(host).Output(kTunnelOfPort));
}

// net/remote_forwards.h, at the host with the forward, and at the node's.
void AddForwardsBetweenHosts(const Bridge& bridge, Flows* flows) {
  if (!bridge.overlay) return;
  const uint32_t vni = bridge.overlay->vni;
  for (const RemoteNode* remote : ForwardedRemotes(bridge)) {
    AddFromGateway(remote->mac, remote->host, flows);
    flows->Add(kSenders,
               From(kTunnelOfPort, bridge.mac(), ETHERTYPE_IP)
                   .EthDestination(MacForHost(vni, bridge.overlay->local))
                   .Ipv4Source(remote->address)
                   .TunnelSource(remote->host),
               FlowActions().SetEthDestination(bridge.mac()).Output(kPortLocal));
  }
  for (const Ipv4 host : ForwardingHosts(bridge)) {
    AddFromGateway(MacForHost(vni, host), host, flows);
  }
  std::set<std::pair<Ipv4, Ipv4>> seen;
  for (const RemoteForward& forward : bridge.remote_forwards) {
    if (!seen.emplace(forward.host, forward.address).second) continue;
    flows->Add(kSenders,
               From(kTunnelOfPort, bridge.mac(), ETHERTYPE_IP)
                   .EthDestination(MacForNode(vni, forward.address))
                   .TunnelSource(forward.host),
               FlowActions().GoTo(kToNodes));
  }
}

}  // namespace

Ipv4 NodeAddress(const Bridge& bridge, uint32_t index) {
  return bridge.prefix.Host(kFirstNodeHost + index);
}
Mac NodeMac(const Bridge& bridge, uint32_t index) {
  return MacForNode(bridge.number, NodeAddress(bridge, index));
}

std::vector<Flow> MakeFlows(const Bridge& bridge, const std::vector<uint32_t>& nodes) {
  Flows flows;
  FlowActions to_all;
  for (const uint32_t index : nodes) {
    AddNode(bridge, index, &flows);
    to_all.Output(kFirstNodeOfPort + index);
  }
  to_all.Output(kPortLocal);  // Never back to where it came from.
  if (bridge.overlay) {
    for (const RemoteNode& remote : bridge.overlay->remotes) AddRemote(remote, &flows);
  }
  if (bridge.has_ipv6()) AddIpv6(bridge, nodes, &flows);
  AddForwardsBetweenHosts(bridge, &flows);
  const FlowActions from_gateway = FlowActions().GoTo(kToGatewayAndAll);
  for (const uint16_t type : {ETHERTYPE_IP, ETHERTYPE_ARP}) {
    flows.Add(kSenders, From(kPortLocal, bridge.mac(), type), from_gateway);
  }
  flows.Add(kToOtherHosts, FlowMatch(), FlowActions().GoTo(kToGatewayAndAll), kOtherwise);
  flows.Add(kToGatewayAndAll, To(bridge.mac()), FlowActions().Output(kPortLocal));
  flows.Add(kToGatewayAndAll, FlowMatch().ToGroup(), to_all);
  flows.Add(kToGatewayAndAll, FlowMatch(), FlowActions().GoTo(kToNodes), kOtherwise);
  return flows.Take();
}

}  // namespace strata::net
