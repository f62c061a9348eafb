#include "net/path_check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "common/unique_fd.h"

namespace strata::net {
namespace {

using Clock = std::chrono::steady_clock;

sockaddr_in Address(Ipv4 address) {
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(address.value);
  return to;
}

// Ones' complement sum (RFC 1071).
uint16_t Checksum(const std::string& packet) {
  uint32_t sum = 0;
  for (size_t i = 0; i < packet.size(); i += 2) {
    uint16_t word = 0;
    std::memcpy(&word, packet.data() + i, std::min<size_t>(2, packet.size() - i));
    sum += word;
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

std::string EchoRequest(uint16_t id, uint32_t bytes) {
  std::string packet(bytes - sizeof(iphdr), '\0');
  icmphdr header = {};
  header.type = ICMP_ECHO;
  header.un.echo.id = id;
  std::memcpy(packet.data(), &header, sizeof(header));
  header.checksum = Checksum(packet);
  std::memcpy(packet.data(), &header, sizeof(header));
  return packet;
}

Result<UniqueFd> OpenSocket(Ipv4 from) {
  UniqueFd fd(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
  if (!fd.valid()) return Errno("ICMP socket");
  // Whatever was learnt of the path before is not believed.
  const int probe = IP_PMTUDISC_PROBE;
  if (::setsockopt(fd.get(), IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof(probe)) != 0) {
    return Errno("IP_MTU_DISCOVER");
  }
  const sockaddr_in local = Address(from);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof(local)) != 0) {
    return Errno("this host has no address " + from.ToString());
  }
  return fd;
}

// Who answered; nullopt: nothing of ours came.
std::optional<Ipv4> ReadAnswer(int fd, uint16_t id) {
  std::string packet(128, '\0');
  const ssize_t size = ::recv(fd, packet.data(), packet.size(), MSG_DONTWAIT);
  iphdr ip = {};
  if (size < static_cast<ssize_t>(sizeof(ip))) return std::nullopt;
  std::memcpy(&ip, packet.data(), sizeof(ip));
  const size_t at = ip.ihl * size_t{4};
  icmphdr icmp = {};
  if (static_cast<size_t>(size) < at + sizeof(icmp)) return std::nullopt;
  std::memcpy(&icmp, packet.data() + at, sizeof(icmp));
  if (icmp.type != ICMP_ECHOREPLY || icmp.un.echo.id != id) return std::nullopt;
  return Ipv4{ntohl(ip.saddr)};
}

}  // namespace

Result<std::set<Ipv4>> Echo(Ipv4 from, const std::set<Ipv4>& hosts, uint32_t bytes,
                            std::chrono::milliseconds patience) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenSocket(from));
  uint16_t id = 0;
  if (::getrandom(&id, sizeof(id), 0) != sizeof(id)) return Errno("getrandom");
  const std::string packet = EchoRequest(id, bytes);
  for (const Ipv4 host : hosts) {
    const sockaddr_in to = Address(host);
    // One that cannot be sent has no answer.
    (void)::sendto(fd.get(), packet.data(), packet.size(), 0,
                   reinterpret_cast<const sockaddr*>(&to), sizeof(to));
  }
  std::set<Ipv4> answered;
  const auto until = Clock::now() + patience;
  while (answered.size() < hosts.size()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    pollfd waiting = {fd.get(), POLLIN, 0};
    if (left <= 0 || ::poll(&waiting, 1, static_cast<int>(left)) == 0) break;
    const auto host = ReadAnswer(fd.get(), id);
    if (host && hosts.contains(*host)) answered.insert(*host);
  }
  return answered;
}

}  // namespace strata::net
