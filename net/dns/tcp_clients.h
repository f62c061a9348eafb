// TcpClients: nodes' connections to the gateway's port. One question at a time is taken from each;
// who is slow is cut off. Of one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "common/unique_fd.h"
#include "net/dns/answerer.h"

namespace strata::net {

class TcpClients {
 public:
  static constexpr std::chrono::seconds kQuietMax{10};  // From one question or answer to the next.
  static constexpr std::chrono::seconds kLifeMax{60};
  static constexpr size_t kOfNodeMax = 16;
  static constexpr size_t kOfNetworkMax = 128;
  static constexpr size_t kMax = 1024;

  // REQUIRES: both outlive it.
  TcpClients(EventLoop& loop, Answerer& answerer) : loop_(loop), answerer_(answerer) {}

  // A connection of a node.
  void Add(UniqueFd fd, const std::shared_ptr<ServedNetwork>& network, const IpAddress& node);
  void CloseAllOf(uint32_t network);

 private:
  struct Client {
    std::shared_ptr<ServedNetwork> network;
    IpAddress node;
    UniqueFd fd;
    EventLoop::Token ready = 0;
    EventLoop::Token due = 0;
    EventLoop::Clock::time_point end;
    std::string received;
    std::string to_send;
    bool waits = false;  // For its answer: nothing is read.
  };
  using Key = uint64_t;

  void Ready(Key key);
  bool Read(Client* client);                   // False: it has ended.
  void TakeQuestion(Key key, Client* client);  // When there is one.
  void Answer(Key key, std::string reply);
  bool Send(Client* client);
  void Await(Key key, Client* client);
  void Close(Key key);

  EventLoop& loop_;
  Answerer& answerer_;
  Shares shares_{kOfNodeMax, kOfNetworkMax, kMax};
  Key last_ = 0;
  std::unordered_map<Key, Client> clients_;
};

}  // namespace strata::net
