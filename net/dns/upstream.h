// Upstream: asks the host's resolvers what nodes want to know of others. Each question has a socket
// of its own, at a port that the kernel chooses by chance, and an id by chance: who is not on the
// way would have to guess both (RFC 5452). Of one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/unique_fd.h"
#include "net/dns/dns_message.h"
#include "net/dns/event_loop.h"

namespace strata::net {

class Upstream {
 public:
  // Within the 5 s that a resolver of a node waits (resolv.conf(5)).
  static constexpr std::chrono::milliseconds kTryMax{1500};
  static constexpr size_t kTries = 3;

  // REQUIRES: `loop` outlives it.
  explicit Upstream(EventLoop& loop) : loop_(loop) {}

  void SetResolvers(std::vector<IpAddress> resolvers) { resolvers_ = std::move(resolvers); }
  bool knows_anybody() const { return !resolvers_.empty(); }

  // One resolver after the other; `done` is called later, once, with what it said to MakeQuestion,
  // its id included, or with nothing. REQUIRES: knows_anybody().
  using Done = std::function<void(std::optional<std::string>)>;
  void Ask(Query query, bool by_tcp, Done done);

 private:
  struct Asked {
    Query query;
    bool by_tcp = false;
    Done done;
    std::vector<IpAddress> left;       // Whom to ask, the last first.
    std::optional<std::string> reply;  // That another one may better.
    uint16_t id = 0;
    UniqueFd fd;
    EventLoop::Token ready = 0;
    EventLoop::Token due = 0;
    std::string to_send;  // By TCP.
    std::string received;
    int strange = 0;  // Datagrams that were no answer.
  };
  using Key = uint64_t;

  // Asks the next; when there is none, is done.
  void Try(Key key);
  Status Begin(Key key, Asked* asked, const IpAddress& resolver);
  void EndTry(Asked* asked);
  void Ready(Key key);
  void ReadDatagram(Key key, Asked* asked);
  void GoOn(Key key, Asked* asked);  // By TCP.
  void Take(Key key, Asked* asked, std::string_view reply);

  EventLoop& loop_;
  std::vector<IpAddress> resolvers_;
  Key last_ = 0;
  std::unordered_map<Key, Asked> asked_;
};

}  // namespace strata::net
