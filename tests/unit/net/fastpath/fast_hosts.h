// A Vcluster on three hosts, of which two have the fast path and one has not.
#pragma once

#include <gtest/gtest.h>
#include <net/ethernet.h>

#include <array>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "net/fastpath/fast_path.h"
#include "tests/unit/net/test_host.h"

namespace strata::net {

inline constexpr uint32_t kVni = 7;
inline constexpr uint32_t kNetwork = 1;
inline constexpr int kHosts = 3;
inline constexpr int kWithFastPath = 2;
inline constexpr int kNodesPerHost = 2;
inline constexpr uint16_t kPort = 5001;

std::string HostAddress(int host);
inline Ipv4 A(const std::string& text) { return Ipv4::Parse(text).value(); }

// One message there and back by each protocol, from the address that is the sender's own.
bool Reaches(const TestNode& from, const TestNode& to);

// A frame of UDP to `to`, with whatever source.
std::string MakeFrame(const TestNode& to, const Mac& source_mac, const std::string& source,
                      uint16_t type = ETHERTYPE_IP);

class FastHosts : public ::testing::Test {
 protected:
  void SetUp() override;
  std::unique_ptr<FastPath> Open(int host);
  // Whether something was changed.
  bool Keep(int host, const std::set<std::string>& kept_off = {});
  uint64_t Count(int host, FastCount what) const { return paths_[host]->Count().value()[what]; }
  uint64_t CountAll() const;
  Overlay& OverlayOf(int host) { return *hosts_[host].desired.bridges[0].overlay; }

  NetNamespace fabric_;  // Its "br0" joins the hosts' "up0".
  std::array<TestHost, kHosts> hosts_;
  std::vector<TestNode> nodes_;  // Two of each host.
  std::array<std::unique_ptr<FastPath>, kWithFastPath> paths_;
};

}  // namespace strata::net
