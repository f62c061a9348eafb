#include "tests/bench/network/measure.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>
#include <vector>

namespace strata::net {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr uint16_t kPort = 5201;
constexpr size_t kPieceBytes = 128 << 10;
constexpr int kTripsPerLookAtClock = 16;

struct Connection {
  UniqueFd from;
  UniqueFd to;
};

void SetNoDelay(const UniqueFd& fd) {
  const int on = 1;
  CHECK(::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
}

UniqueFd ConnectTo(const Way& way, int type) {
  return way.from->In([&] {
    UniqueFd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
    SetPatience(fd, kAnswer);
    const sockaddr_in there = Address(way.address, kPort);
    CHECK(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&there), sizeof(there)) == 0);
    return fd;
  });
}

Connection ConnectTcp(const Way& way) {
  const UniqueFd server = OpenServer(*way.to, Protocol::kTcp, kPort);
  SetPatience(server, kAnswer);
  Connection connection;
  connection.from = ConnectTo(way, SOCK_STREAM);
  connection.to.reset(::accept(server.get(), nullptr, nullptr));
  CHECK(connection.to.valid());
  SetPatience(connection.to, kAnswer);
  SetNoDelay(connection.from);
  SetNoDelay(connection.to);
  return connection;
}

// Mean microseconds of `trip` until `time` is over.
template <typename Trip>
double MeanUs(std::chrono::milliseconds time, const Trip& trip) {
  for (int i = 0; i < kTripsPerLookAtClock; ++i) trip();
  const Clock::time_point start = Clock::now();
  int64_t count = 0;
  Clock::duration passed;
  do {
    for (int i = 0; i < kTripsPerLookAtClock; ++i) trip();
    count += kTripsPerLookAtClock;
    passed = Clock::now() - start;
  } while (passed < time);
  return Seconds(passed).count() * 1e6 / static_cast<double>(count);
}

}  // namespace

double TcpBytesPerSecond(const Way& way, std::chrono::milliseconds time) {
  const Connection connection = ConnectTcp(way);
  std::thread sender([&] {
    const std::vector<char> piece(kPieceBytes);
    while (::send(connection.from.get(), piece.data(), piece.size(), MSG_NOSIGNAL) > 0) {
    }
  });
  std::vector<char> piece(kPieceBytes);
  const auto receive = [&] {
    const ssize_t count = ::recv(connection.to.get(), piece.data(), piece.size(), 0);
    CHECK(count > 0);
    return count;
  };
  const Clock::time_point opened = Clock::now();
  while (Clock::now() - opened < time / 4) receive();
  const Clock::time_point start = Clock::now();
  int64_t bytes = 0;
  while (Clock::now() - start < time) bytes += receive();
  const double rate = static_cast<double>(bytes) / Seconds(Clock::now() - start).count();
  ::shutdown(connection.to.get(), SHUT_RDWR);
  ::shutdown(connection.from.get(), SHUT_RDWR);
  sender.join();
  return rate;
}

double TcpRoundTripUs(const Way& way, std::chrono::milliseconds time) {
  const Connection connection = ConnectTcp(way);
  std::thread answerer([&] {
    char byte = 0;
    while (::recv(connection.to.get(), &byte, 1, 0) == 1 &&
           ::send(connection.to.get(), &byte, 1, MSG_NOSIGNAL) == 1) {
    }
  });
  const double mean = MeanUs(time, [&] {
    char byte = '?';
    CHECK(::send(connection.from.get(), &byte, 1, MSG_NOSIGNAL) == 1);
    CHECK(::recv(connection.from.get(), &byte, 1, 0) == 1);
  });
  ::shutdown(connection.from.get(), SHUT_RDWR);
  answerer.join();
  return mean;
}

double UdpRoundTripUs(const Way& way, std::chrono::milliseconds time) {
  const UniqueFd server = OpenServer(*way.to, Protocol::kUdp, kPort);
  SetPatience(server, kAnswer);
  const UniqueFd client = ConnectTo(way, SOCK_DGRAM);
  return MeanUs(time, [&] {
    char byte = '?';
    sockaddr_in sender = {};
    socklen_t size = sizeof(sender);
    auto* const address = reinterpret_cast<sockaddr*>(&sender);
    CHECK(::send(client.get(), &byte, 1, 0) == 1);
    CHECK(::recvfrom(server.get(), &byte, 1, 0, address, &size) == 1);
    CHECK(::sendto(server.get(), &byte, 1, 0, address, size) == 1);
    CHECK(::recv(client.get(), &byte, 1, 0) == 1);
  });
}

}  // namespace strata::net
