// A node of a test that asks for names, and a resolver that answers for everybody else.
#pragma once

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "net/dns/dns_message.h"
#include "tests/unit/net/namespaces.h"

namespace strata::net {

// Beside the program of the test.
std::string NamesProgram();

struct Said {
  int rcode = -1;  // Nothing was said: nobody is there, or it took longer than `patience`.
  bool cut = false;
  std::vector<std::string> data;  // "10.90.1.2", "web-0.hpc."
};
Said AskName(const NetNamespace& from, const std::string& server, const std::string& name,
             uint16_t type = kTypeA, Protocol protocol = Protocol::kUdp,
             std::chrono::milliseconds patience = kAnswer);

// At port 53 of `address`, which is there. Says 198.51.100.7 to everything, and by TCP
// 198.51.100.8; "many" is cut by UDP.
class TestResolver {
 public:
  TestResolver(const NetNamespace& where, const std::string& address);
  ~TestResolver();
  void BeSilent(bool silent) { silent_ = silent; }
  int asked() const { return asked_; }

 private:
  void Run();

  UniqueFd udp_;
  UniqueFd tcp_;
  std::atomic<bool> silent_ = false;
  std::atomic<bool> stop_ = false;
  std::atomic<int> asked_ = 0;
  std::thread thread_;
};

}  // namespace strata::net
