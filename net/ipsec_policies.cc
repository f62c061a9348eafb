#include "net/ipsec_policies.h"

#include <linux/xfrm.h>

#include "net/netlink.h"

namespace strata::net {

Result<bool> HasIpsecPolicies() {
  auto socket = OpenNetlink(NETLINK_XFRM);
  if (!socket.ok()) return false;
  bool has_some = true;
  const auto request = NewMessage(XFRM_MSG_GETSPDINFO, 0, uint32_t{0});
  const Status asked = Ask(socket->get(), request, "count policies", [&](nlmsghdr* header) {
    nlattr* table[XFRMA_SPD_MAX + 1];
    if (header->nlmsg_type != XFRM_MSG_NEWSPDINFO ||
        nlmsg_parse(header, sizeof(uint32_t), table, XFRMA_SPD_MAX, nullptr) != 0 ||
        table[XFRMA_SPD_INFO] == nullptr ||
        nla_len(table[XFRMA_SPD_INFO]) < static_cast<int>(sizeof(xfrmu_spdinfo))) {
      return;
    }
    const auto* count = static_cast<const xfrmu_spdinfo*>(nla_data(table[XFRMA_SPD_INFO]));
    has_some = count->incnt != 0 || count->outcnt != 0 || count->fwdcnt != 0;
  });
  RETURN_IF_ERROR(asked);
  return has_some;
}

}  // namespace strata::net
