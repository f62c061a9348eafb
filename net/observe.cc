// What there is, read with one dump per table of the kernel.
#include <arpa/inet.h>
#include <linux/if_bridge.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/pkt_sched.h>
#include <net/if.h>
#include <net/if_arp.h>

#include <cstring>
#include <map>

#include "net/apply.h"
#include "net/netlink.h"

namespace strata::net {
namespace {

using LinksByIndex = std::map<int, ObservedLink>;

// nla_parse leaves attributes null that are not there; malformed ones come from no kernel.
template <size_t N>
bool ParseNested(nlattr* (&table)[N], nlattr* nest) {
  return nest != nullptr && nla_parse_nested(table, N - 1, nest, nullptr) == 0;
}

bool RouteLocalnet(nlattr* af_spec) {
  nlattr* families[AF_INET + 1];
  nlattr* inet[IFLA_INET_MAX + 1];
  if (!ParseNested(families, af_spec) || !ParseNested(inet, families[AF_INET]) ||
      inet[IFLA_INET_CONF] == nullptr ||
      nla_len(inet[IFLA_INET_CONF]) < IPV4_DEVCONF_ROUTE_LOCALNET * int{sizeof(uint32_t)}) {
    return false;
  }
  const auto* values = static_cast<const uint32_t*>(nla_data(inet[IFLA_INET_CONF]));
  return values[IPV4_DEVCONF_ROUTE_LOCALNET - 1] != 0;
}

uint8_t Flag(const nlattr* attribute) { return attribute == nullptr ? 0 : nla_get_u8(attribute); }

bool IsKind(const nlattr* attribute, const char* kind) {
  return attribute != nullptr && nla_strcmp(attribute, kind) == 0;
}

Mac ReadMac(const nlattr* attribute) {
  Mac mac{};
  if (attribute != nullptr && nla_len(attribute) == static_cast<int>(mac.size())) {
    std::memcpy(mac.data(), nla_data(attribute), mac.size());
  }
  return mac;
}

void ReadPort(nlattr* slave_data, ObservedLink* link) {
  nlattr* port[IFLA_BRPORT_MAX + 1];
  if (!ParseNested(port, slave_data)) return;
  link->hairpin = Flag(port[IFLA_BRPORT_MODE]) != 0;
  // What overlay.cc sets.
  link->is_quiet_port =
      Flag(port[IFLA_BRPORT_NEIGH_SUPPRESS]) != 0 && Flag(port[IFLA_BRPORT_LEARNING]) == 0 &&
      Flag(port[IFLA_BRPORT_UNICAST_FLOOD]) == 0 && Flag(port[IFLA_BRPORT_MCAST_FLOOD]) == 0 &&
      Flag(port[IFLA_BRPORT_BCAST_FLOOD]) == 0 && Flag(port[IFLA_BRPORT_MULTICAST_ROUTER]) == 0;
}

void ReadTunnel(nlattr* data, ObservedLink* link) {
  nlattr* vxlan[IFLA_VXLAN_MAX + 1];
  if (!ParseNested(vxlan, data) || vxlan[IFLA_VXLAN_ID] == nullptr ||
      vxlan[IFLA_VXLAN_LOCAL] == nullptr || vxlan[IFLA_VXLAN_PORT] == nullptr ||
      Flag(vxlan[IFLA_VXLAN_LEARNING]) != 0) {
    return;
  }
  link->tunnel = {nla_get_u32(vxlan[IFLA_VXLAN_ID]), ReadIpv4(vxlan[IFLA_VXLAN_LOCAL]),
                  ntohs(nla_get_u16(vxlan[IFLA_VXLAN_PORT]))};
}

void ReadLinkInfo(nlattr* link_info, ObservedLink* link) {
  nlattr* info[IFLA_INFO_MAX + 1];
  if (!ParseNested(info, link_info)) return;
  link->is_kernel_bridge = IsKind(info[IFLA_INFO_KIND], "bridge");
  if (IsKind(info[IFLA_INFO_KIND], "vxlan")) ReadTunnel(info[IFLA_INFO_DATA], link);
  if (IsKind(info[IFLA_INFO_SLAVE_KIND], "bridge")) ReadPort(info[IFLA_INFO_SLAVE_DATA], link);
}

Result<LinksByIndex> ReadLinks(nl_sock* socket) {
  LinksByIndex links;
  std::map<int, int> masters;
  const Owned<nl_msg> request = NewMessage(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{});
  nla_put_u32(request.get(), IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  RETURN_IF_ERROR(Dump(socket, request, "list links", [&](nlmsghdr* header) {
    nlattr* table[IFLA_MAX + 1];
    if (header->nlmsg_type != RTM_NEWLINK ||
        nlmsg_parse(header, sizeof(ifinfomsg), table, IFLA_MAX, nullptr) != 0 ||
        table[IFLA_IFNAME] == nullptr) {
      return;
    }
    const auto* info = static_cast<const ifinfomsg*>(nlmsg_data(header));
    ObservedLink& link = links[info->ifi_index];
    link.name = nla_get_string(table[IFLA_IFNAME]);
    link.index = info->ifi_index;
    link.up = (info->ifi_flags & IFF_UP) != 0;
    link.is_ethernet = info->ifi_type == ARPHRD_ETHER;
    link.promiscuous = (info->ifi_flags & IFF_PROMISC) != 0;
    link.route_localnet = RouteLocalnet(table[IFLA_AF_SPEC]);
    link.mac = ReadMac(table[IFLA_ADDRESS]);
    if (table[IFLA_MTU] != nullptr) link.mtu = nla_get_u32(table[IFLA_MTU]);
    if (table[IFLA_MASTER] != nullptr) {
      masters[info->ifi_index] = static_cast<int>(nla_get_u32(table[IFLA_MASTER]));
    }
    ReadLinkInfo(table[IFLA_LINKINFO], &link);
  }));
  for (const auto& [index, master] : masters) {
    if (const auto found = links.find(master); found != links.end()) {
      links[index].master = found->second.name;
    }
  }
  return links;
}

ObservedLink* Find(LinksByIndex* links, int index) {
  const auto link = links->find(index);
  return link == links->end() ? nullptr : &link->second;
}

Status ReadAddresses(nl_sock* socket, LinksByIndex* links) {
  return Dump(socket, RTM_GETADDR, ifaddrmsg{}, "list addresses", [&](nlmsghdr* header) {
    nlattr* table[IFA_MAX + 1];
    if (header->nlmsg_type != RTM_NEWADDR ||
        nlmsg_parse(header, sizeof(ifaddrmsg), table, IFA_MAX, nullptr) != 0) {
      return;
    }
    const auto* info = static_cast<const ifaddrmsg*>(nlmsg_data(header));
    ObservedLink* const link = Find(links, static_cast<int>(info->ifa_index));
    if (link == nullptr) return;
    if (info->ifa_family == AF_INET && table[IFA_LOCAL] != nullptr) {
      link->addresses.push_back({ReadIpv4(table[IFA_LOCAL]), 32});
    }
    if (info->ifa_family != AF_INET6) return;
    // IFA_LOCAL is there too where a link has two ends.
    const auto address =
        ReadAddress(table[IFA_LOCAL] != nullptr ? table[IFA_LOCAL] : table[IFA_ADDRESS]);
    if (address && !address->is_link_local()) link->addresses6.push_back(*address);
  });
}

// Of a token bucket, in bytes.
uint64_t ReadRate(nlattr* options) {
  nlattr* bucket[TCA_TBF_MAX + 1];
  if (!ParseNested(bucket, options)) return 0;
  if (bucket[TCA_TBF_RATE64] != nullptr) return nla_get_u64(bucket[TCA_TBF_RATE64]);
  nlattr* const parameters = bucket[TCA_TBF_PARMS];
  if (parameters == nullptr || nla_len(parameters) < static_cast<int>(sizeof(tc_tbf_qopt)))
    return 0;
  return static_cast<const tc_tbf_qopt*>(nla_data(parameters))->rate.rate;
}

Status ReadQdiscs(nl_sock* socket, LinksByIndex* links) {
  return Dump(socket, RTM_GETQDISC, tcmsg{}, "list queueing disciplines", [&](nlmsghdr* header) {
    nlattr* table[TCA_MAX + 1];
    if (header->nlmsg_type != RTM_NEWQDISC ||
        nlmsg_parse(header, sizeof(tcmsg), table, TCA_MAX, nullptr) != 0) {
      return;
    }
    const auto* info = static_cast<const tcmsg*>(nlmsg_data(header));
    ObservedLink* const link = Find(links, info->tcm_ifindex);
    if (link == nullptr) return;
    if (IsKind(table[TCA_KIND], "ingress")) link->has_ingress = true;
    if (IsKind(table[TCA_KIND], "tbf") && info->tcm_parent == TC_H_ROOT) {
      link->sends_bits_per_s_max = ReadRate(table[TCA_OPTIONS]) * 8;
    }
  });
}

// `take` gets the header and the attributes by type.
Status DumpNeighbours(nl_sock* socket, uint8_t family, const std::string& what,
                      const std::function<void(const ndmsg&, nlattr**)>& take) {
  return Dump(socket, RTM_GETNEIGH, ndmsg{.ndm_family = family}, what, [&](nlmsghdr* header) {
    nlattr* table[NDA_MAX + 1];
    if (header->nlmsg_type == RTM_NEWNEIGH &&
        nlmsg_parse(header, sizeof(ndmsg), table, NDA_MAX, nullptr) == 0 &&
        table[NDA_LLADDR] != nullptr) {
      take(*static_cast<const ndmsg*>(nlmsg_data(header)), table);
    }
  });
}

Status ReadRemotes(nl_sock* socket, LinksByIndex* links) {
  return DumpNeighbours(
      socket, AF_BRIDGE, "list forwarding tables", [&](const ndmsg& entry, nlattr** table) {
        ObservedLink* const link = Find(links, entry.ndm_ifindex);
        if (link == nullptr || !link->tunnel) return;
        if ((entry.ndm_flags & NTF_SELF) == 0) {
          // Of a bridge's entries the static ones are NOARP, the port's own address is PERMANENT.
          const bool is_static = (entry.ndm_state & NUD_NOARP) != 0;
          if (is_static) link->remotes[ReadMac(table[NDA_LLADDR])].on_bridge = true;
        } else if (table[NDA_DST] != nullptr && nla_len(table[NDA_DST]) == sizeof(uint32_t)) {
          ObservedRemote& remote = link->remotes[ReadMac(table[NDA_LLADDR])];
          remote.on_tunnel = true;
          remote.host = ReadIpv4(table[NDA_DST]);
        }
      });
}

Status ReadNeighbours(nl_sock* socket, LinksByIndex* links) {
  return DumpNeighbours(socket, AF_UNSPEC, "list neighbours",
                        [&](const ndmsg& entry, nlattr** table) {
                          ObservedLink* const link = Find(links, entry.ndm_ifindex);
                          if (link == nullptr || (entry.ndm_state & NUD_PERMANENT) == 0) return;
                          const auto address = ReadAddress(table[NDA_DST]);
                          if (address) link->neighbours[*address] = ReadMac(table[NDA_LLADDR]);
                        });
}

}  // namespace

Result<std::vector<ObservedLink>> ObserveLinks() {
  ASSIGN_OR_RETURN(const Owned<nl_sock> socket, OpenNetlink());
  ASSIGN_OR_RETURN(LinksByIndex links, ReadLinks(socket.get()));
  RETURN_IF_ERROR(ReadAddresses(socket.get(), &links));
  RETURN_IF_ERROR(ReadQdiscs(socket.get(), &links));
  RETURN_IF_ERROR(ReadRemotes(socket.get(), &links));
  RETURN_IF_ERROR(ReadNeighbours(socket.get(), &links));
  std::vector<ObservedLink> result;
  for (auto& [index, link] : links) result.push_back(std::move(link));
  return result;
}

}  // namespace strata::net
