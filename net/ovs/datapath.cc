#include "net/ovs/datapath.h"

#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "common/unique_fd.h"
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

Status FillInChecksums(const std::string& link) {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Errno("socket");
  ethtool_value off = {.cmd = ETHTOOL_STXCSUM, .data = 0};
  ifreq request = {};
  if (link.size() >= sizeof(request.ifr_name)) {
    return Error(Code::kInvalidArgument, link + " is too long for a link's name");
  }
  std::memcpy(request.ifr_name, link.data(), link.size());
  request.ifr_data = reinterpret_cast<char*>(&off);
  if (::ioctl(fd.get(), SIOCETHTOOL, &request) != 0) return Errno("checksums of " + link);
  return Ok();
}

}  // namespace strata::net
