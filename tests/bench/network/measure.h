// How fast one TCP connection is, and how long a message takes there and back, between two network
// namespaces. Sockets stay in the namespace where they were made, so threads need not be inside.
#pragma once

#include <chrono>
#include <string>

#include "tests/unit/net/namespaces.h"

namespace strata::net {

// A way that is measured: who sends, and the address at which the other is for it.
struct Way {
  const NetNamespace* from = nullptr;
  const NetNamespace* to = nullptr;
  std::string address;
};

// Bytes of payload per second of one connection: a thread sends, another receives. Counted for
// `time` after a quarter of it. Stops the program when nothing comes through, as do the others.
double TcpBytesPerSecond(const Way& way, std::chrono::milliseconds time);
// One byte by TCP to another thread and back, the mean of as many as fit into `time`: wake-ups of
// the scheduler included.
double TcpRoundTripUs(const Way& way, std::chrono::milliseconds time);
// One datagram there and back, both ends by one thread: the way alone.
double UdpRoundTripUs(const Way& way, std::chrono::milliseconds time);

}  // namespace strata::net
