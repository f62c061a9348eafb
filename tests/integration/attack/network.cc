// Sockets of the host, and frames with somebody else's addresses.
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>

#include "tests/integration/attack/report.h"

namespace attack {
namespace {

uint16_t Checksum(const void* data, size_t size) {
  uint32_t sum = 0;
  const auto* words = static_cast<const uint16_t*>(data);
  for (; size > 1; size -= 2) sum += *words++;
  while ((sum >> 16) != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

// A TCP connection within two seconds, or -1 with errno.
long ConnectTcp(const char* address, uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  ::inet_pton(AF_INET, address, &to.sin_addr);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0 && errno != EINPROGRESS) {
    const int error = errno;
    ::close(fd);
    errno = error;
    return -1;
  }
  pollfd wait{fd, POLLOUT, 0};
  int error = ETIMEDOUT;
  if (::poll(&wait, 1, 2000) == 1) {
    socklen_t size = sizeof(error);
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  }
  ::close(fd);
  errno = error;
  return error == 0 ? 0 : -1;
}

}  // namespace

// sockets ABSTRACT_NAME GATEWAY PORT OTHER_NODE OTHER_PORT: a socket of the host's that has no
// path, a port of the host that is open to all, and one of a node of another Vcluster.
void Sockets(const Arguments& arguments, Report* report) {
  const std::string name = arguments.Text(0, "none");
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un to = {};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path + 1, name.data(), std::min(name.size(), sizeof(to.sun_path) - 1));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  report->Expect("abstract socket of the host",
                 ::connect(fd, reinterpret_cast<sockaddr*>(&to), size));
  report->Expect("port of the host",
                 ConnectTcp(arguments.Text(1), static_cast<uint16_t>(arguments.Number(2))));
  report->Expect("node of another Vcluster",
                 ConnectTcp(arguments.Text(3), static_cast<uint16_t>(arguments.Number(4))));
}

// spoof TARGET TARGET_MAC SOURCE SOURCE_MAC COUNT: pings to a node with another's addresses. Sends
// only; who got them counts.
void Spoof(const Arguments& arguments, Report* report) {
  const int fd = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
  if (fd < 0) return report->Refused("raw socket", errno);
  std::array<uint8_t, 98> frame = {};
  auto* const ether = reinterpret_cast<ether_header*>(frame.data());
  const auto parse = [](const char* text, uint8_t* mac) {
    for (int i = 0; i < 6; ++i)
      mac[i] = static_cast<uint8_t>(std::strtoul(text + 3 * i, nullptr, 16));
  };
  parse(arguments.Text(1, "ff:ff:ff:ff:ff:ff"), ether->ether_dhost);
  parse(arguments.Text(3, "02:00:00:00:00:01"), ether->ether_shost);
  ether->ether_type = htons(ETHERTYPE_IP);
  auto* const ip = reinterpret_cast<iphdr*>(frame.data() + sizeof(ether_header));
  ip->version = 4;
  ip->ihl = 5;
  ip->tot_len = htons(static_cast<uint16_t>(frame.size() - sizeof(ether_header)));
  ip->ttl = 64;
  ip->protocol = IPPROTO_ICMP;
  ::inet_pton(AF_INET, arguments.Text(0), &ip->daddr);
  ::inet_pton(AF_INET, arguments.Text(2), &ip->saddr);
  ip->check = Checksum(ip, sizeof(*ip));
  auto* const icmp = reinterpret_cast<icmphdr*>(ip + 1);
  icmp->type = ICMP_ECHO;
  icmp->checksum = Checksum(icmp, frame.size() - sizeof(ether_header) - sizeof(iphdr));
  sockaddr_ll to = {};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(::if_nametoindex("eth0"));
  to.sll_halen = 6;
  std::memcpy(to.sll_addr, ether->ether_dhost, 6);
  uint64_t sent = 0;
  for (uint64_t i = arguments.Number(4, 1); i > 0; --i) {
    if (::sendto(fd, frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof(to)) >
        0) {
      ++sent;
    }
  }
  report->Bounded("forged frames that left the node", sent);
}

}  // namespace attack
