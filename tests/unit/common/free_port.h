// A port for a server that has to know its port before it listens there.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <fstream>
#include <random>
#include <set>

#include "common/unique_fd.h"

namespace strata {

// Free a moment ago on loopback, and below those that the kernel gives to outgoing connections: the
// tests beside this one make many, and one of them would take it before the server does.
inline int FreePort() {
  constexpr int kFirst = 10'000;
  constexpr int kLast = 19'999;  // Above are those that nodes' ports are forwarded from.
  int first_ephemeral = 0;
  std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> first_ephemeral;
  EXPECT_GT(first_ephemeral, kLast) << "tests may disturb each other";
  static std::set<int> given;  // A server may need two.
  std::random_device random;
  std::uniform_int_distribution<int> any(kFirst, kLast);
  for (int tries = 0; tries < 100; ++tries) {
    const int port = any(random);
    if (!given.insert(port).second) continue;
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at = {};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(static_cast<uint16_t>(port));
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)) == 0) return port;
  }
  ADD_FAILURE() << "no port is free on loopback";
  return 0;
}

}  // namespace strata
