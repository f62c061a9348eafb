#include "tests/unit/net/frames.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netpacket/packet.h>

#include <algorithm>

#include "tests/unit/net/traffic.h"

namespace strata::net {
namespace {

template <size_t N>
std::string Bytes(const std::array<uint8_t, N>& bytes) {
  return {bytes.begin(), bytes.end()};
}
std::string Big16(unsigned value) {
  return {static_cast<char>(value >> 8 & 255), static_cast<char>(value & 255)};
}
std::string Big32(uint32_t value) { return Big16(value >> 16) + Big16(value & 0xffff); }

// RFC 1071.
uint16_t BigChecksum(std::string bytes) {
  if (bytes.size() % 2 != 0) bytes += '\0';
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 2) {
    sum += static_cast<uint8_t>(bytes[i]) << 8 | static_cast<uint8_t>(bytes[i + 1]);
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

}  // namespace

std::string EthernetFrame(const Mac& to, const Mac& from, uint16_t type,
                          const std::string& payload) {
  std::string frame = Bytes(to) + Bytes(from) + Big16(type) + payload;
  frame.resize(std::max<size_t>(frame.size(), 60));
  return frame;
}

std::string ArpPayload(const Arp& arp) {
  return Big16(1) + Big16(0x0800) + std::string("\x06\x04") + Big16(arp.operation) +
         Bytes(arp.sender_mac) + Big32(arp.sender.value) + Bytes(arp.target_mac) +
         Big32(arp.target.value);
}

std::string Ipv4Payload(uint8_t protocol, Ipv4 from, Ipv4 to, const std::string& payload) {
  const auto header = [&](uint16_t checksum) {
    return Big16(0x4500) + Big16(static_cast<unsigned>(20 + payload.size())) + Big16(0) + Big16(0) +
           std::string(1, 64) + std::string(1, static_cast<char>(protocol)) + Big16(checksum) +
           Big32(from.value) + Big32(to.value);
  };
  return header(BigChecksum(header(0))) + payload;
}

std::string UdpPayload(uint16_t from, uint16_t to, const std::string& payload) {
  return Big16(from) + Big16(to) + Big16(static_cast<unsigned>(8 + payload.size())) + Big16(0) +
         payload;
}

Ipv6Bytes LinkLocalOf(const Mac& mac) {
  Ipv6Bytes address = {0xfe, 0x80};
  const std::array<uint8_t, 8> id = {
      static_cast<uint8_t>(mac[0] ^ 2), mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};
  std::copy(id.begin(), id.end(), address.begin() + 8);
  return address;
}

std::string Icmpv6Payload(const Ipv6Bytes& from, const Ipv6Bytes& to, const std::string& message) {
  const auto size = static_cast<unsigned>(message.size());
  const std::string pseudo = Bytes(from) + Bytes(to) + Big32(size) + Big32(58) + message;
  std::string summed = message;
  summed.replace(2, 2, Big16(BigChecksum(pseudo)));
  return Big32(0x60000000) + Big16(size) + std::string("\x3a\xff") + Bytes(from) + Bytes(to) +
         summed;
}

bool PingOnce(const NetNamespace& from, const std::string& to, std::chrono::milliseconds patience) {
  if (to.find(':') != to.npos) return Ping(from, to, 100, patience);
  const UniqueFd fd(
      from.In([] { return ::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP); }));
  SetPatience(fd, patience);
  std::string echo = Big16(0x0800) + Big16(0) + Big16(4711) + Big16(1) + "ping";
  echo.replace(2, 2, Big16(BigChecksum(echo)));
  const sockaddr_in there = Address(to, 0);
  if (::sendto(fd.get(), echo.data(), echo.size(), 0, reinterpret_cast<const sockaddr*>(&there),
               sizeof(there)) < 0) {
    return false;
  }
  std::string answer(1500, '\0');
  while (true) {
    const ssize_t size = ::recv(fd.get(), answer.data(), answer.size(), 0);
    if (size < 0) return false;
    constexpr size_t kIpHeader = 20;
    if (static_cast<size_t>(size) > kIpHeader && answer[kIpHeader] == 0) return true;  // A reply.
  }
}

RawLink::RawLink(const NetNamespace& node) {
  node.In([&] {
    fd_.reset(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(0x0003)));
    index_ = static_cast<int>(::if_nametoindex("eth0"));
    sockaddr_ll here = {};
    here.sll_family = AF_PACKET;
    here.sll_protocol = htons(0x0003);  // All.
    here.sll_ifindex = index_;
    CHECK(fd_.valid() && index_ != 0);
    CHECK(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&here), sizeof(here)) == 0);
    const int bytes = 16 << 20;
    CHECK(::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) == 0);
  });
}

void RawLink::Send(const std::string& frame) const {
  sockaddr_ll where = {};
  where.sll_family = AF_PACKET;
  where.sll_ifindex = index_;
  const auto* const to = reinterpret_cast<const sockaddr*>(&where);
  while (::sendto(fd_.get(), frame.data(), frame.size(), 0, to, sizeof(where)) < 0) {
    CHECK(errno == EAGAIN || errno == ENOBUFS || errno == EINTR);
  }
}

unsigned RawLink::CountOf(const std::string& bytes) const {
  std::string frame(65536, '\0');
  unsigned count = 0;
  while (true) {
    const ssize_t size = ::recv(fd_.get(), frame.data(), frame.size(), 0);
    if (size < 0) return count;
    if (std::string_view(frame.data(), static_cast<size_t>(size)).find(bytes) !=
        std::string::npos) {
      ++count;
    }
  }
}

}  // namespace strata::net
