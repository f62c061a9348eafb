#include "net/checksums.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>
#include <thread>

#include "common/unique_fd.h"

namespace strata::net {

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

Status FillInChecksumsOf(int pid_fd, const std::string& link) {
  Status filled = Ok();
  // A thread of its own, which need not find its way back.
  std::thread([&] {
    filled = ::setns(pid_fd, CLONE_NEWNET) != 0 ? Errno("enter the network of a node")
                                                : FillInChecksums(link);
  }).join();
  return filled;
}

}  // namespace strata::net
