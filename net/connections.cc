#include "net/connections.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include <algorithm>

#include "net/netlink.h"

namespace strata::net {
namespace {

// Those of nf_conntrack_netlink (net/netfilter/nf_internals.h), of the kernel's own headers.
constexpr uint32_t kFilterIpSource = 1u << 0;
constexpr uint32_t kFilterProtocol = 1u << 3;
constexpr uint32_t kFilterSourcePort = 1u << 4;

uint8_t NumberOf(Protocol protocol) {
  return protocol == Protocol::kTcp ? IPPROTO_TCP : IPPROTO_UDP;
}

template <int kMax>
struct Attributes {
  nlattr* of[kMax + 1] = {};
  explicit Attributes(nlattr* nest) {
    if (nest != nullptr) (void)nla_parse_nested(of, kMax, nest, nullptr);
  }
  nlattr* operator[](int type) const { return of[type]; }
};

// What the node answers with. The kernel looks for it (Linux 5.8), or gives all there is.
void PutWanted(const Owned<nl_msg>& request, const Forward& forward) {
  {
    const Nested tuple(request, CTA_TUPLE_REPLY);
    {
      const Nested ip(request, CTA_TUPLE_IP);
      nla_put_u32(request.get(), CTA_IP_V4_SRC, htonl(forward.address.value));
    }
    const Nested protocol(request, CTA_TUPLE_PROTO);
    nla_put_u8(request.get(), CTA_PROTO_NUM, NumberOf(forward.protocol));
    nla_put_u16(request.get(), CTA_PROTO_SRC_PORT, htons(forward.node_port));
  }
  const Nested filter(request, CTA_FILTER);
  nla_put_u32(request.get(), CTA_FILTER_ORIG_FLAGS, 0);
  nla_put_u32(request.get(), CTA_FILTER_REPLY_FLAGS,
              kFilterIpSource | kFilterProtocol | kFilterSourcePort);
}

bool IsClosed(nlattr* protocol_info) {
  const Attributes<CTA_PROTOINFO_MAX> info(protocol_info);
  const Attributes<CTA_PROTOINFO_TCP_MAX> tcp(info[CTA_PROTOINFO_TCP]);
  if (tcp[CTA_PROTOINFO_TCP_STATE] == nullptr) return false;
  const uint8_t state = nla_get_u8(tcp[CTA_PROTOINFO_TCP_STATE]);
  return state == TCP_CONNTRACK_TIME_WAIT || state == TCP_CONNTRACK_CLOSE;
}

bool IsOf(const Forward& forward, nlmsghdr* message) {
  nlattr* connection[CTA_MAX + 1] = {};
  if (nlmsg_parse(message, sizeof(nfgenmsg), connection, CTA_MAX, nullptr) < 0) return false;
  const Attributes<CTA_TUPLE_MAX> original(connection[CTA_TUPLE_ORIG]);
  const Attributes<CTA_TUPLE_MAX> reply(connection[CTA_TUPLE_REPLY]);
  const Attributes<CTA_PROTO_MAX> to(original[CTA_TUPLE_PROTO]);
  const Attributes<CTA_PROTO_MAX> from(reply[CTA_TUPLE_PROTO]);
  const Attributes<CTA_IP_MAX> node(reply[CTA_TUPLE_IP]);
  if (connection[CTA_STATUS] == nullptr || to[CTA_PROTO_NUM] == nullptr ||
      to[CTA_PROTO_DST_PORT] == nullptr || from[CTA_PROTO_SRC_PORT] == nullptr ||
      node[CTA_IP_V4_SRC] == nullptr) {
    return false;
  }
  return (ntohl(nla_get_u32(connection[CTA_STATUS])) & IPS_DST_NAT) != 0 &&
         nla_get_u8(to[CTA_PROTO_NUM]) == NumberOf(forward.protocol) &&
         ntohs(nla_get_u16(to[CTA_PROTO_DST_PORT])) == forward.host_port &&
         ntohs(nla_get_u16(from[CTA_PROTO_SRC_PORT])) == forward.node_port &&
         ReadIpv4(node[CTA_IP_V4_SRC]) == forward.address && !IsClosed(connection[CTA_PROTOINFO]);
}

}  // namespace

Result<uint64_t> CountConnections(const Forward& forward) {
  ASSIGN_OR_RETURN(const Owned<nl_sock> socket, OpenNetlink(NETLINK_NETFILTER));
  const Owned<nl_msg> request = NewMessage((NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET,
                                           NLM_F_DUMP, nfgenmsg{AF_INET, NFNETLINK_V0, 0});
  PutWanted(request, forward);
  uint64_t count = 0;
  RETURN_IF_ERROR(Dump(socket.get(), request, "list connections",
                       [&](nlmsghdr* message) { count += IsOf(forward, message) ? 1 : 0; }));
  return count;
}

bool IsLeaving(const Bridge& bridge, const Forward& forward) {
  if (forward.ending) return true;
  if (!bridge.overlay) return false;
  const auto& remotes = bridge.overlay->remotes;
  return std::any_of(remotes.begin(), remotes.end(),
                     [&](const RemoteNode& remote) { return remote.address == forward.address; });
}

}  // namespace strata::net
