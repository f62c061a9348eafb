#include "net/ovs/datapath.h"

#include <linux/genetlink.h>

#include "net/netlink.h"

namespace strata::net {

Result<Datapath> ProbeDatapath() {
  ASSIGN_OR_RETURN(const Owned<nl_sock> socket, OpenNetlink(NETLINK_GENERIC));
  // Asking for the family loads the module.
  const Owned<nl_msg> request =
      NewMessage(GENL_ID_CTRL, 0, genlmsghdr{.cmd = CTRL_CMD_GETFAMILY, .version = 1});
  nla_put_string(request.get(), CTRL_ATTR_FAMILY_NAME, "ovs_datapath");
  const Status there = Ask(socket.get(), request, "look for Open vSwitch", [](nlmsghdr*) {});
  return there.ok() ? Datapath::kSystem : Datapath::kNetdev;
}

}  // namespace strata::net
