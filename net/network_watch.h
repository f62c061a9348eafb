// NetworkWatch: hears of changes of an instance's links, addresses, tables and rules, whoever makes
// them. What it does not hear for lack of room it takes for a change.
//
// Of the network namespace of the thread that opens it. Wait by one thread; Wake by any.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "net/netlink.h"
#include "net/rules_in_force.h"

namespace strata::net {

class NetworkWatch {
 public:
  using Clock = std::chrono::steady_clock;
  struct Heard {
    bool links = false;  // Some of ours may be others than they were.
    bool rules = false;  // Our tables may, by us or by others.
    std::vector<RulesInForce::Transaction> transactions;  // In their order.
  };

  static Result<std::unique_ptr<NetworkWatch>> Open(const std::string& instance);

  // Waits for a change, a Wake, or until then.
  Heard Wait(Clock::time_point until);
  void Wake();
  // Wait also waits for the other end of this socket to be closed, and says that links may have
  // changed. -1: of none. By the thread that waits.
  void Follow(int fd) { followed_ = fd; }
  // The last generation of rules that was heard of.
  uint32_t generation() const { return generation_; }

 private:
  explicit NetworkWatch(const std::string& instance);
  void ReadLinks(Heard* heard);
  void ReadRules(Heard* heard);
  bool IsOurs(int link_index) const;

  const std::string prefix_;  // Of the names of our links.
  const std::string table_;
  const std::string fabric_table_;
  Owned<nl_sock> links_;
  Owned<nl_sock> rules_;
  UniqueFd wake_;
  int followed_ = -1;
  uint32_t generation_ = 0;
  // By the transaction whose messages are being read.
  bool touched_ = false;
  bool fabric_touched_ = false;
};

}  // namespace strata::net
