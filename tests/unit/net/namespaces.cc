#include "tests/unit/net/namespaces.h"

#include <arpa/inet.h>
#include <poll.h>
#include <unistd.h>

#include <cstring>

namespace strata::net {
namespace {

constexpr char kOwn[] = "/proc/thread-self/ns/net";

UniqueFd OwnNamespace() { return Open(kOwn, O_RDONLY).value(); }

bool WaitFor(int fd, short events, std::chrono::milliseconds patience) {
  pollfd entry = {fd, events, 0};
  return ::poll(&entry, 1, static_cast<int>(patience.count())) == 1;
}

int TypeOf(Protocol protocol) { return protocol == Protocol::kTcp ? SOCK_STREAM : SOCK_DGRAM; }

}  // namespace

NetNamespace::Visit::Visit(const NetNamespace& there) : home_(OwnNamespace()) {
  CHECK(::setns(there.fd_.get(), CLONE_NEWNET) == 0);
}
NetNamespace::Visit::~Visit() { CHECK(::setns(home_.get(), CLONE_NEWNET) == 0); }

NetNamespace::NetNamespace() {
  const UniqueFd home = OwnNamespace();
  CHECK(::unshare(CLONE_NEWNET) == 0);
  fd_ = OwnNamespace();
  CHECK(::setns(home.get(), CLONE_NEWNET) == 0);
  Ip({"link", "set", "lo", "up"});
}

void NetNamespace::Ip(const std::vector<std::string>& words) const {
  std::vector<std::string> argv = {"ip"};
  argv.insert(argv.end(), words.begin(), words.end());
  const auto done = In([&] { return RunChecked(argv); });
  if (!done.ok()) LOG_ERROR(done.error().message());
  CHECK(done.ok());
}

void NetNamespace::Set(const std::string& sysctl, const std::string& value) const {
  In([&] {
    UniqueFd fd = Open("/proc/sys/" + sysctl, O_WRONLY).value();
    CHECK(WriteAll(fd.get(), value).ok());
  });
}

std::string NetNamespace::path() const {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd_.get());
}

void Join(const NetNamespace& a, const std::string& name_a, const std::string& address_a,
          const NetNamespace& b, const std::string& name_b, const std::string& address_b) {
  a.Ip({"link", "add", name_a, "type", "veth", "peer", "name", name_b, "netns", b.path()});
  if (!address_a.empty()) a.Ip({"addr", "add", address_a, "dev", name_a});
  if (!address_b.empty()) b.Ip({"addr", "add", address_b, "dev", name_b});
  a.Ip({"link", "set", name_a, "up"});
  b.Ip({"link", "set", name_b, "up"});
}

sockaddr_in Address(const std::string& address, uint16_t port) {
  sockaddr_in result = {};
  result.sin_family = AF_INET;
  result.sin_port = htons(port);
  CHECK(::inet_pton(AF_INET, address.c_str(), &result.sin_addr) == 1);
  return result;
}

IpAddress SocketAddress::ip() const {
  if (family() == AF_INET) {
    return Ipv4{ntohl(reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr.s_addr)};
  }
  IpAddress address;
  std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr,
              address.bytes.size());
  return address;
}

SocketAddress SocketAddressOf(const std::string& address, uint16_t port) {
  SocketAddress result;
  if (address.find(':') == address.npos) {
    const sockaddr_in ipv4 = Address(address, port);
    std::memcpy(&result.storage, &ipv4, sizeof(ipv4));
    result.size = sizeof(ipv4);
    return result;
  }
  sockaddr_in6 ipv6 = {};
  ipv6.sin6_family = AF_INET6;
  ipv6.sin6_port = htons(port);
  CHECK(::inet_pton(AF_INET6, address.c_str(), &ipv6.sin6_addr) == 1);
  std::memcpy(&result.storage, &ipv6, sizeof(ipv6));
  result.size = sizeof(ipv6);
  return result;
}

void SetPatience(const UniqueFd& fd, std::chrono::milliseconds patience) {
  const timeval time = {patience.count() / 1000, patience.count() % 1000 * 1000};
  CHECK(::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) == 0);
  CHECK(::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time)) == 0);
}

UniqueFd OpenServer(const NetNamespace& where, Protocol protocol, uint16_t port,
                    const std::string& address) {
  return where.In([&] {
    const SocketAddress own = SocketAddressOf(address, port);
    UniqueFd fd(::socket(own.family(), TypeOf(protocol) | SOCK_CLOEXEC, 0));
    const int on = 1;  // For TCP: connections of before may linger.
    CHECK(protocol == Protocol::kUdp ||
          ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
    CHECK(::bind(fd.get(), own.get(), own.size) == 0);
    CHECK(protocol == Protocol::kUdp || ::listen(fd.get(), 16) == 0);
    return fd;
  });
}

std::optional<IpAddress> AskWho(const NetNamespace& from, Protocol protocol,
                                const std::string& address, uint16_t port, const UniqueFd& server,
                                std::chrono::milliseconds patience) {
  const SocketAddress to = SocketAddressOf(address, port);
  const UniqueFd client(from.In(
      [&] { return ::socket(to.family(), TypeOf(protocol) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }));
  (void)::connect(client.get(), to.get(), to.size);
  if (!WaitFor(client.get(), POLLOUT, patience)) return std::nullopt;
  char byte = '?';
  if (::send(client.get(), &byte, 1, MSG_NOSIGNAL) != 1) return std::nullopt;
  if (!WaitFor(server.get(), POLLIN, patience)) return std::nullopt;
  SocketAddress sender;
  UniqueFd served;
  if (protocol == Protocol::kTcp) {
    served.reset(::accept(server.get(), sender.get(), &sender.size));
  }
  const int fd = served.valid() ? served.get() : server.get();
  sockaddr* const peer = served.valid() ? nullptr : sender.get();
  if (!WaitFor(fd, POLLIN, patience) ||
      ::recvfrom(fd, &byte, 1, 0, peer, peer != nullptr ? &sender.size : nullptr) != 1 ||
      ::sendto(fd, &byte, 1, MSG_NOSIGNAL, peer, peer != nullptr ? sender.size : 0) != 1 ||
      !WaitFor(client.get(), POLLIN, patience) || ::recv(client.get(), &byte, 1, 0) != 1) {
    return std::nullopt;
  }
  return sender.ip();
}

}  // namespace strata::net
