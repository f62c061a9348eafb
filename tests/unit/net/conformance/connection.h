// A connection of TCP, or a flow of UDP, that lasts.
#pragma once

#include "tests/unit/net/conformance/world.h"
#include "tests/unit/net/traffic.h"

namespace strata::net {

class Connection {
 public:
  Connection(const World& world, World::Node client, World::Node server, uint16_t port)
      : Connection(world.SpaceOf(client), World::AddressOf(server), port, world.SpaceOf(server),
                   port) {}
  Connection(const NetNamespace& from, const std::string& address, uint16_t port,
             const NetNamespace& server, uint16_t server_port) {
    const UniqueFd listener = OpenServer(server, Protocol::kTcp, server_port, "::");
    SetPatience(listener, kAnswer);
    const SocketAddress to = SocketAddressOf(address, port);
    client_ =
        from.In([&] { return UniqueFd(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)); });
    SetPatience(client_, kAnswer);
    if (::connect(client_.get(), to.get(), to.size) == 0) {
      served_.reset(::accept(listener.get(), nullptr, nullptr));
    }
  }
  // Of UDP; `server` is bound.
  Connection(const NetNamespace& from, const std::string& address, uint16_t port, UniqueFd server)
      : served_(std::move(server)), is_udp_(true) {
    client_ = from.In([] { return UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); });
    const sockaddr_in to = Address(address, port);
    SetPatience(client_, kAnswer);
    SetPatience(served_, kAnswer);
    sockaddr_in sender = {};
    socklen_t size = sizeof(sender);
    char byte = 'x';
    auto* const from_whom = reinterpret_cast<sockaddr*>(&sender);
    if (::connect(client_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0 ||
        ::send(client_.get(), &byte, 1, MSG_NOSIGNAL) != 1 ||
        ::recvfrom(served_.get(), &byte, 1, 0, from_whom, &size) != 1 ||
        ::connect(served_.get(), from_whom, size) != 0) {
      served_.reset();
    }
  }

  // A byte there and back, within the patience of a user.
  bool Works(std::chrono::milliseconds patience = kAnswer) {
    return served_.valid() && Send(client_, served_, patience) && Send(served_, client_, patience);
  }
  // The same, but the server speaks first.
  bool Answers(std::chrono::milliseconds patience = kAnswer) {
    return served_.valid() && Send(served_, client_, patience) && Send(client_, served_, patience);
  }

 private:
  // A datagram may be lost on the way, and is sent again.
  bool Send(const UniqueFd& from, const UniqueFd& to, std::chrono::milliseconds patience) const {
    const auto until = std::chrono::steady_clock::now() + patience;
    SetPatience(from, patience);
    SetPatience(to, is_udp_ ? kSilence : patience);
    char byte = 'x';
    do {
      if (::send(from.get(), &byte, 1, MSG_NOSIGNAL) == 1 && ::recv(to.get(), &byte, 1, 0) == 1) {
        return true;
      }
    } while (is_udp_ && std::chrono::steady_clock::now() < until);
    return false;
  }

  UniqueFd client_;
  UniqueFd served_;
  bool is_udp_ = false;
};

}  // namespace strata::net
