#include <arpa/inet.h>
#include <linux/if_bridge.h>
#include <linux/ip.h>
#include <net/if.h>
#include <sys/random.h>

#include "net/changes.h"
#include "net/remote_forwards.h"

namespace strata::net {
namespace {

Result<Owned<nl_msg>> AddressMessage(int type, int flags, const std::string& link, Ipv4 address,
                                     int prefix_length) {
  ASSIGN_OR_RETURN(const int index, LinkIndex(link));
  Owned<nl_msg> message = NewMessage(type, flags,
                                     ifaddrmsg{.ifa_family = AF_INET,
                                               .ifa_prefixlen = static_cast<uint8_t>(prefix_length),
                                               .ifa_index = static_cast<uint32_t>(index)});
  nla_put_u32(message.get(), IFA_LOCAL, htonl(address.value));
  return message;
}

}  // namespace

// As one group, because the kernel waits for readers once per deletion. The group's number is drawn
// anew each time, so that it never is one that somebody uses, or that a deletion which failed has
// left on a link.
Status RemoveLinks(nl_sock* socket, const std::vector<std::string>& names) {
  uint32_t group = 0;
  if (::getrandom(&group, sizeof(group), 0) != sizeof(group)) return Errno("getrandom");
  group |= 1;  // Never the group of everything else.
  bool any = false;
  for (const std::string& name : names) {
    const auto index = LinkIndex(name);
    if (!index.ok()) continue;
    Owned<nl_msg> join = NewMessage(RTM_SETLINK, 0, ifinfomsg{.ifi_index = *index});
    nla_put_u32(join.get(), IFLA_GROUP, group);
    RETURN_IF_ERROR(Send(socket, std::move(join), "mark link " + name, {NLE_NODEV}));
    any = true;
  }
  if (!any) return Ok();
  Owned<nl_msg> removal = NewMessage(RTM_DELLINK, 0, ifinfomsg{});
  nla_put_u32(removal.get(), IFLA_GROUP, group);
  return Send(socket, std::move(removal), "delete link " + names.front(), {NLE_NODEV});
}

Status AddBridge(nl_sock* socket, const Bridge& bridge) {
  Owned<nl_msg> message = NewMessage(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  nla_put_string(message.get(), IFLA_IFNAME, bridge.name.c_str());
  // A fixed address: otherwise the bridge takes its lowest port's, and nodes' ARP entries go stale.
  const Mac mac = bridge.mac();
  nla_put(message.get(), IFLA_ADDRESS, mac.size(), mac.data());
  {
    const Nested info(message, IFLA_LINKINFO);
    nla_put_string(message.get(), IFLA_INFO_KIND, "bridge");
  }
  return Send(socket, std::move(message), "create bridge " + bridge.name, {NLE_EXIST});
}

Status SetBridge(nl_sock* socket, const BridgeSettings& settings) {
  ASSIGN_OR_RETURN(const int index, LinkIndex(settings.name));
  Owned<nl_msg> message = NewMessage(
      RTM_SETLINK, 0, ifinfomsg{.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP});
  if (settings.mac) {
    nla_put(message.get(), IFLA_ADDRESS, settings.mac->size(), settings.mac->data());
  }
  nla_put_u32(message.get(), IFLA_MTU, settings.mtu);
  {
    const Nested families(message, IFLA_AF_SPEC);
    const Nested inet(message, AF_INET);
    const Nested values(message, IFLA_INET_CONF);
    nla_put_u32(message.get(), IPV4_DEVCONF_ROUTE_LOCALNET, settings.route_localnet ? 1 : 0);
  }
  return Send(socket, std::move(message), "set up bridge " + settings.name);
}

Status AddAddress(nl_sock* socket, const Bridge& bridge) {
  ASSIGN_OR_RETURN(Owned<nl_msg> message,
                   AddressMessage(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, bridge.name,
                                  bridge.gateway(), bridge.prefix.length));
  return Send(socket, std::move(message),
              "give " + bridge.gateway().ToString() + " to " + bridge.name, {NLE_EXIST});
}

// Without detection of duplicates: every host has it, and the kernel begins that when a node's link
// comes.
Status AddAddress6(nl_sock* socket, const Bridge& bridge) {
  ASSIGN_OR_RETURN(const int index, LinkIndex(bridge.name));
  const IpAddress address = bridge.gateway6();
  Owned<nl_msg> message =
      NewMessage(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL,
                 ifaddrmsg{.ifa_family = AF_INET6,
                           .ifa_prefixlen = static_cast<uint8_t>(bridge.prefix6->length),
                           .ifa_flags = IFA_F_NODAD,
                           .ifa_index = static_cast<uint32_t>(index)});
  PutAddress(message, IFA_LOCAL, address);
  return Send(socket, std::move(message), "give " + address.ToString() + " to " + bridge.name,
              {NLE_EXIST});
}

Status AddTransit(nl_sock* socket, const std::string& bridge) {
  ASSIGN_OR_RETURN(Owned<nl_msg> message,
                   AddressMessage(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, bridge, kTransitOwn,
                                  kTransitPrefixLength));
  return Send(socket, std::move(message), "give a transit address to " + bridge, {NLE_EXIST});
}

Status RemoveTransit(nl_sock* socket, const std::string& bridge) {
  ASSIGN_OR_RETURN(Owned<nl_msg> message,
                   AddressMessage(RTM_DELADDR, 0, bridge, kTransitOwn, kTransitPrefixLength));
  return Send(socket, std::move(message), "take the transit address from " + bridge, {NLE_NOADDR});
}

Status SetPort(nl_sock* socket, const PortSettings& settings) {
  const auto index = LinkIndex(settings.name);
  if (!index.ok()) return Ok();
  Owned<nl_msg> message =
      NewMessage(RTM_SETLINK, 0, ifinfomsg{.ifi_family = AF_BRIDGE, .ifi_index = *index});
  {
    const Nested port(message, IFLA_PROTINFO);
    nla_put_u8(message.get(), IFLA_BRPORT_MODE, settings.hairpin ? 1 : 0);
  }
  return Send(socket, std::move(message), "set up port " + settings.name, {NLE_NODEV});
}

}  // namespace strata::net
