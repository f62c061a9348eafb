// What nodes of a test send each other.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/unit/net/namespaces.h"

namespace strata::net {

// Ones' complement sum of RFC 1071.
uint16_t Checksum(const void* data, size_t size);

// One echo of `size_bytes` as IP counts them, that may not be fragmented.
bool Ping(const NetNamespace& from, const std::string& address, size_t size_bytes = 100,
          std::chrono::milliseconds patience = kAnswer);

// A connection by TCP, or a flow of UDP, that lasts, with both of its ends; or none, when it did
// not come about within `patience`.
class Connection {
 public:
  // To `address`, where `server_port` of `server` is reached by `port`.
  Connection(const NetNamespace& from, const std::string& address, uint16_t port,
             const NetNamespace& server, uint16_t server_port,
             std::chrono::milliseconds patience = kAnswer);

  // Of UDP, to a socket that is bound.
  Connection(const NetNamespace& from, const std::string& address, uint16_t port, UniqueFd server);

  bool is_open() const { return served_.valid(); }
  // A byte there and back.
  bool Works(std::chrono::milliseconds patience = kAnswer);
  // The same, but the server speaks first.
  bool Answers(std::chrono::milliseconds patience = kAnswer);
  // Sends `size_bytes`, in turn with the receiver, and compares what arrives. `patience`: with each
  // piece of 32 KiB.
  bool Carries(size_t size_bytes, std::chrono::milliseconds patience = kAnswer);
  // Segments that the sender sent more than once.
  uint32_t Repeated() const;
  const UniqueFd& client() const { return client_; }
  const UniqueFd& served() const { return served_; }

 private:
  void SetPatienceOfBoth(std::chrono::milliseconds patience);
  // A byte. A datagram may be lost on the way, and is sent again.
  bool Send(const UniqueFd& from, const UniqueFd& to, std::chrono::milliseconds patience) const;

  UniqueFd client_;
  UniqueFd served_;
  bool is_udp_ = false;
};

// Sends `size_bytes` by a connection of its own and compares what arrives.
bool Transfer(const NetNamespace& from, const NetNamespace& to, const std::string& address,
              size_t size_bytes);
// Of nodes: whatever has an address in a namespace.
template <typename Node>
bool Transfer(const Node& from, const Node& to, size_t size_bytes) {
  return Transfer(from.space, to.space, to.address, size_bytes);
}

// Mbit/s of TCP's payload, one connection, as fast as it goes. 0 when not all of it arrived.
double StreamMbits(const NetNamespace& from, const NetNamespace& to, const std::string& address,
                   size_t size_bytes);

}  // namespace strata::net
