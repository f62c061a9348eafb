// What there is, read with one dump per table of the kernel.
#include <linux/if_bridge.h>
#include <linux/ip.h>
#include <net/if.h>

#include <map>

#include "net/apply.h"
#include "net/changes.h"
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

void ReadPort(nlattr* link_info, ObservedLink* link) {
  nlattr* info[IFLA_INFO_MAX + 1];
  nlattr* port[IFLA_BRPORT_MAX + 1];
  if (!ParseNested(info, link_info) || info[IFLA_INFO_SLAVE_KIND] == nullptr ||
      nla_strcmp(info[IFLA_INFO_SLAVE_KIND], "bridge") != 0 ||
      !ParseNested(port, info[IFLA_INFO_SLAVE_DATA])) {
    return;
  }
  link->hairpin = port[IFLA_BRPORT_MODE] != nullptr && nla_get_u8(port[IFLA_BRPORT_MODE]) != 0;
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
    link.up = (info->ifi_flags & IFF_UP) != 0;
    link.route_localnet = RouteLocalnet(table[IFLA_AF_SPEC]);
    if (table[IFLA_MASTER] != nullptr) {
      masters[info->ifi_index] = static_cast<int>(nla_get_u32(table[IFLA_MASTER]));
      ReadPort(table[IFLA_LINKINFO], &link);
    }
  }));
  for (const auto& [index, master] : masters) {
    if (const auto found = links.find(master); found != links.end()) {
      links[index].master = found->second.name;
    }
  }
  return links;
}

Status ReadAddresses(nl_sock* socket, LinksByIndex* links) {
  const ifaddrmsg ipv4 = {.ifa_family = AF_INET};
  return Dump(socket, RTM_GETADDR, ipv4, "list addresses", [&](nlmsghdr* header) {
    nlattr* table[IFA_MAX + 1];
    if (header->nlmsg_type != RTM_NEWADDR ||
        nlmsg_parse(header, sizeof(ifaddrmsg), table, IFA_MAX, nullptr) != 0 ||
        table[IFA_LOCAL] == nullptr) {
      return;
    }
    const auto* info = static_cast<const ifaddrmsg*>(nlmsg_data(header));
    const auto link = links->find(static_cast<int>(info->ifa_index));
    if (link != links->end()) {
      link->second.addresses.push_back({ReadIpv4(table[IFA_LOCAL]), 32});
    }
  });
}

Status ReadQdiscs(nl_sock* socket, LinksByIndex* links) {
  return Dump(socket, RTM_GETQDISC, tcmsg{}, "list queueing disciplines", [&](nlmsghdr* header) {
    ReadQdisc(header, [&](int index) {
      const auto link = links->find(index);
      return link == links->end() ? nullptr : &link->second;
    });
  });
}

}  // namespace

Result<std::vector<ObservedLink>> ObserveLinks() {
  ASSIGN_OR_RETURN(const Owned<nl_sock> socket, OpenNetlink());
  ASSIGN_OR_RETURN(LinksByIndex links, ReadLinks(socket.get()));
  RETURN_IF_ERROR(ReadAddresses(socket.get(), &links));
  RETURN_IF_ERROR(ReadQdiscs(socket.get(), &links));
  std::vector<ObservedLink> result;
  for (auto& [index, link] : links) result.push_back(std::move(link));
  return result;
}

}  // namespace strata::net
