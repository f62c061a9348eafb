#include "tests/unit/net/traffic.h"

#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>

#include <algorithm>
#include <cstring>
#include <thread>

namespace strata::net {

uint16_t Checksum(const void* data, size_t size) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < size; i += 2) {
    uint16_t word;
    std::memcpy(&word, static_cast<const char*>(data) + i, sizeof(word));
    sum += word;
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

namespace {

// The kernel makes the checksum, and takes the header off what comes.
bool Ping6(const NetNamespace& from, const std::string& address, size_t size_bytes,
           std::chrono::milliseconds patience) {
  const UniqueFd fd(
      from.In([] { return ::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6); }));
  const int never_fragment = IPV6_PMTUDISC_DO;
  ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_MTU_DISCOVER, &never_fragment, sizeof(never_fragment));
  SetPatience(fd, patience);
  std::string packet(size_bytes - sizeof(ip6_hdr), '\0');
  icmp6_hdr header = {};
  header.icmp6_type = ICMP6_ECHO_REQUEST;
  header.icmp6_id = htons(4711);
  std::memcpy(packet.data(), &header, sizeof(header));
  const SocketAddress to = SocketAddressOf(address, 0);
  if (::sendto(fd.get(), packet.data(), packet.size(), 0, to.get(), to.size) < 0) return false;
  std::string answer(65536, '\0');
  for (;;) {
    const ssize_t size = ::recv(fd.get(), answer.data(), answer.size(), 0);
    if (size < static_cast<ssize_t>(sizeof(header))) return false;
    std::memcpy(&header, answer.data(), sizeof(header));
    if (header.icmp6_type == ICMP6_ECHO_REPLY) return static_cast<size_t>(size) == packet.size();
  }
}

}  // namespace

bool Ping(const NetNamespace& from, const std::string& address, size_t size_bytes,
          std::chrono::milliseconds patience) {
  if (address.find(':') != address.npos) return Ping6(from, address, size_bytes, patience);
  const UniqueFd fd(
      from.In([] { return ::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP); }));
  const int never_fragment = IP_PMTUDISC_DO;
  ::setsockopt(fd.get(), IPPROTO_IP, IP_MTU_DISCOVER, &never_fragment, sizeof(never_fragment));
  SetPatience(fd, patience);
  std::string packet(size_bytes - sizeof(iphdr), '\0');
  icmphdr header = {};
  header.type = ICMP_ECHO;
  header.un.echo.id = htons(4711);
  std::memcpy(packet.data(), &header, sizeof(header));
  header.checksum = Checksum(packet.data(), packet.size());
  std::memcpy(packet.data(), &header, sizeof(header));
  const sockaddr_in to = Address(address, 0);
  if (::sendto(fd.get(), packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr*>(&to),
               sizeof(to)) < 0) {
    return false;
  }
  std::string answer(65536, '\0');
  for (;;) {
    const ssize_t size = ::recv(fd.get(), answer.data(), answer.size(), 0);
    if (size < static_cast<ssize_t>(sizeof(iphdr) + sizeof(icmphdr))) return false;
    std::memcpy(&header, answer.data() + sizeof(iphdr), sizeof(header));
    if (header.type == ICMP_ECHOREPLY) return static_cast<size_t>(size) == size_bytes;
  }
}

bool Transfer(const TestNode& from, const TestNode& to, size_t size_bytes) {
  const UniqueFd server = OpenServer(to.space, Protocol::kTcp, 5001);
  const UniqueFd sender = from.space.In([&] {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    SetPatience(fd, kAnswer);
    const sockaddr_in there = Address(to.address, 5001);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&there), sizeof(there)) != 0) {
      fd.reset();
    }
    return fd;
  });
  if (!sender.valid()) return false;
  const UniqueFd receiver(::accept(server.get(), nullptr, nullptr));
  SetPatience(receiver, kAnswer);
  std::string piece(8192, '\0');
  std::string received(piece.size(), '\0');
  for (size_t sent = 0; sent < size_bytes; sent += piece.size()) {
    for (size_t i = 0; i < piece.size(); ++i) piece[i] = static_cast<char>(sent / 8192 + i * 7);
    if (::send(sender.get(), piece.data(), piece.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(piece.size()) ||
        ::recv(receiver.get(), received.data(), received.size(), MSG_WAITALL) !=
            static_cast<ssize_t>(received.size()) ||
        piece != received) {
      return false;
    }
  }
  return true;
}

double StreamMbits(const NetNamespace& from, const NetNamespace& to, const std::string& address,
                   size_t size_bytes) {
  const UniqueFd server = OpenServer(to, Protocol::kTcp, 5002, "::");
  SetPatience(server, kAnswer);
  const SocketAddress there = SocketAddressOf(address, 5002);
  const UniqueFd sender(
      from.In([&] { return ::socket(there.family(), SOCK_STREAM | SOCK_CLOEXEC, 0); }));
  SetPatience(sender, kAnswer);
  if (::connect(sender.get(), there.get(), there.size) != 0) return 0;
  const UniqueFd receiver(::accept(server.get(), nullptr, nullptr));
  SetPatience(receiver, kAnswer);
  const auto start = std::chrono::steady_clock::now();
  std::thread sending([&] {
    const std::string piece(64 << 10, 'x');
    for (size_t left = size_bytes; left > 0;) {
      const ssize_t n =
          ::send(sender.get(), piece.data(), std::min(left, piece.size()), MSG_NOSIGNAL);
      if (n <= 0) return;
      left -= static_cast<size_t>(n);
    }
  });
  std::string buffer(256 << 10, '\0');
  size_t received = 0;
  while (received < size_bytes) {
    const ssize_t n = ::recv(receiver.get(), buffer.data(), buffer.size(), 0);
    if (n <= 0) break;
    received += static_cast<size_t>(n);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  sending.join();
  return received == size_bytes ? static_cast<double>(received) * 8e-6 / took.count() : 0;
}

}  // namespace strata::net
