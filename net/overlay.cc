// The way from a bridge to the other hosts of its Vcluster: a VXLAN device as a port of the bridge.
// All that it needs to know is told to it (RFC 7348 would learn it from flooded frames): which MAC
// is at which host, and which address has which MAC. The bridge answers ARP and neighbour
// solicitations itself, for its nodes, from the permanent neighbours (neigh_suppress in bridge(8)),
// and floods nothing of theirs into the tunnel. What the host itself floods ends there: without an
// entry for all-zero there is nowhere to flood to.
#include <arpa/inet.h>
#include <linux/if_bridge.h>
#include <linux/neighbour.h>
#include <net/if.h>

#include "net/changes.h"

namespace strata::net {
namespace {

constexpr uint8_t kMulticastRouterNever = 0;

// Set before it goes up, so that not even the first frame is flooded.
Status SetQuietPort(nl_sock* socket, int index, const std::string& name) {
  Owned<nl_msg> message =
      NewMessage(RTM_SETLINK, 0, ifinfomsg{.ifi_family = AF_BRIDGE, .ifi_index = index});
  {
    const Nested port(message, IFLA_PROTINFO);
    for (const int off : {IFLA_BRPORT_LEARNING, IFLA_BRPORT_UNICAST_FLOOD, IFLA_BRPORT_MCAST_FLOOD,
                          IFLA_BRPORT_BCAST_FLOOD}) {
      nla_put_u8(message.get(), off, 0);
    }
    nla_put_u8(message.get(), IFLA_BRPORT_MULTICAST_ROUTER, kMulticastRouterNever);
    nla_put_u8(message.get(), IFLA_BRPORT_NEIGH_SUPPRESS, 1);
  }
  return Send(socket, std::move(message), "keep floods out of " + name);
}

// For both halves of an entry. Sticky: no node takes the MAC of another over by speaking as it.
ndmsg FdbHeader(int index, int flags) {
  return {.ndm_family = AF_BRIDGE,
          .ndm_ifindex = index,
          .ndm_state = NUD_NOARP | NUD_REACHABLE,
          .ndm_flags = static_cast<uint8_t>(flags)};
}

ndmsg NeighbourHeader(int index, const IpAddress& address) {
  return {.ndm_family = FamilyOf(address), .ndm_ifindex = index, .ndm_state = NUD_PERMANENT};
}

void PutMac(const Owned<nl_msg>& message, const Mac& mac) {
  nla_put(message.get(), NDA_LLADDR, mac.size(), mac.data());
}

// The bridge takes what is sent to it for the host's, as to each port's own address.
void PutTunnelMac(const Owned<nl_msg>& message, const Overlay& overlay) {
  const Mac mac = MacForHost(overlay.vni, overlay.local);
  nla_put(message.get(), IFLA_ADDRESS, mac.size(), mac.data());
}

}  // namespace

Status AddTunnel(nl_sock* socket, const Bridge& bridge) {
  const Overlay& overlay = *bridge.overlay;
  Owned<nl_msg> message = NewMessage(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  nla_put_string(message.get(), IFLA_IFNAME, bridge.tunnel().c_str());
  nla_put_u32(message.get(), IFLA_MTU, bridge.mtu());
  PutTunnelMac(message, overlay);
  {
    const Nested info(message, IFLA_LINKINFO);
    nla_put_string(message.get(), IFLA_INFO_KIND, "vxlan");
    const Nested vxlan(message, IFLA_INFO_DATA);
    nla_put_u32(message.get(), IFLA_VXLAN_ID, overlay.vni);
    PutAddress(message, IFLA_VXLAN_LOCAL, overlay.local);
    nla_put_u16(message.get(), IFLA_VXLAN_PORT, htons(overlay.port));
    nla_put_u8(message.get(), IFLA_VXLAN_LEARNING, 0);
  }
  const Status added =
      Send(socket, std::move(message),
           "create tunnel " + bridge.tunnel() + " with VNI " + std::to_string(overlay.vni) +
               " at UDP port " + std::to_string(overlay.port));
  // It may be there from an apply that failed later; or its VNI is another's.
  return LinkIndex(bridge.tunnel()).ok() ? Ok() : added;
}

Status SetTunnel(nl_sock* socket, const Bridge& bridge) {
  const std::string name = bridge.tunnel();
  ASSIGN_OR_RETURN(const int index, LinkIndex(name));
  ASSIGN_OR_RETURN(const int master, LinkIndex(bridge.name));
  Owned<nl_msg> attach = NewMessage(RTM_SETLINK, 0, ifinfomsg{.ifi_index = index});
  nla_put_u32(attach.get(), IFLA_MTU, bridge.mtu());
  PutTunnelMac(attach, *bridge.overlay);
  nla_put_u32(attach.get(), IFLA_MASTER, static_cast<uint32_t>(master));
  RETURN_IF_ERROR(Send(socket, std::move(attach), "join " + name + " to " + bridge.name));
  RETURN_IF_ERROR(SetQuietPort(socket, index, name));
  return Send(socket,
              NewMessage(RTM_SETLINK, 0,
                         ifinfomsg{.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP}),
              "raise " + name);
}

Status SetFdbEntry(nl_sock* socket, const FdbEntry& entry) {
  ASSIGN_OR_RETURN(const int index, LinkIndex(entry.tunnel));
  Owned<nl_msg> message = NewMessage(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE,
                                     FdbHeader(index, NTF_SELF | NTF_MASTER | NTF_STICKY));
  PutMac(message, entry.mac);
  PutAddress(message, NDA_DST, entry.host);
  return Send(socket, std::move(message),
              "send " + ToString(entry.mac) + " through " + entry.tunnel);
}

Status RemoveFdbEntry(nl_sock* socket, const FdbEntry& entry) {
  ASSIGN_OR_RETURN(const int index, LinkIndex(entry.tunnel));
  // One by one: where one half is missing, the kernel would leave the other.
  for (const int half : {NTF_MASTER, NTF_SELF}) {
    Owned<nl_msg> message = NewMessage(RTM_DELNEIGH, 0, FdbHeader(index, half));
    PutMac(message, entry.mac);
    RETURN_IF_ERROR(Send(socket, std::move(message),
                         "send " + ToString(entry.mac) + " no more through " + entry.tunnel,
                         {NLE_OBJ_NOTFOUND}));
  }
  return Ok();
}

Status SetNeighbour(nl_sock* socket, const Neighbour& neighbour) {
  ASSIGN_OR_RETURN(const int index, LinkIndex(neighbour.bridge));
  Owned<nl_msg> message = NewMessage(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE,
                                     NeighbourHeader(index, neighbour.address));
  PutAddress(message, NDA_DST, neighbour.address);
  PutMac(message, neighbour.mac);
  return Send(socket, std::move(message),
              "know " + neighbour.address.ToString() + " on " + neighbour.bridge);
}

Status RemoveNeighbour(nl_sock* socket, const Neighbour& neighbour) {
  ASSIGN_OR_RETURN(const int index, LinkIndex(neighbour.bridge));
  Owned<nl_msg> message = NewMessage(RTM_DELNEIGH, 0, NeighbourHeader(index, neighbour.address));
  PutAddress(message, NDA_DST, neighbour.address);
  return Send(socket, std::move(message),
              "forget " + neighbour.address.ToString() + " on " + neighbour.bridge,
              {NLE_OBJ_NOTFOUND});
}

}  // namespace strata::net
