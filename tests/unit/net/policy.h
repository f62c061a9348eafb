// Desired networks with everything that rules can say, for tests.
#pragma once

#include "net/desired.h"

namespace strata::net {

inline constexpr char kPolicyInstance[] = "1a2b3";

inline Ipv4 Address4(const char* text) { return Ipv4::Parse(text).value(); }

// Two networks with overlays that are peers; the first has groups, users, forwards of all kinds.
inline DesiredNetwork MakePolicy() {
  DesiredNetwork desired;
  desired.instance = kPolicyInstance;
  desired.pool = Ipv4Prefix::Parse("10.90.0.0/16").value();
  desired.pool6 = Pool6For(kPolicyInstance);
  for (const uint32_t number : {1u, 2u}) {
    const std::string prefix = "10.90." + std::to_string(number) + ".0/24";
    Bridge bridge =
        MakeBridge(kPolicyInstance, number, Ipv4Prefix::Parse(prefix).value(), desired.pool6);
    Overlay& overlay = bridge.overlay.emplace();
    overlay.vni = number;
    overlay.local = Address4("192.0.2.1");
    const Ipv4 remote = bridge.prefix.Host(kFirstNodeHost + 9);
    overlay.remotes.push_back({remote, MacForNode(number, remote), Address4("192.0.2.2"), 1});
    bridge.peers = {3 - number};
    desired.bridges.push_back(bridge);
    for (const uint32_t index : {0u, 1u}) {
      Veth veth = MakeVeth(kPolicyInstance, number, index, 0);
      veth.group = index + 1;
      veth.user = 7;
      desired.veths.push_back(veth);
    }
  }
  desired.user_limits = {{7, 20'000'000}};
  Bridge& first = desired.bridges[0];
  first.forwards = {{Protocol::kTcp, 20000, first.prefix.Host(2), 80},
                    {Protocol::kUdp, 20000, first.prefix.Host(3), 53},
                    {Protocol::kTcp, 20003, first.prefix.Host(kFirstNodeHost + 9), 80, true}};
  first.remote_forwards = {{Protocol::kTcp, first.prefix.Host(2), 80, Address4("192.0.2.2")},
                           {Protocol::kTcp, first.prefix.Host(2), 80, Address4("192.0.2.3")},
                           {Protocol::kUdp, first.prefix.Host(3), 53, Address4("192.0.2.3")}};
  first.balanced = {
      {Protocol::kTcp, 20001, false, {{first.prefix.Host(2), 80}, {first.prefix.Host(3), 80}}},
      {Protocol::kTcp,
       20002,
       true,
       {{first.prefix.Host(2), 80, false}, {Address4("192.0.2.2"), 20002}}}};
  using From = GroupRule::From;
  using Kind = GroupRule::Kind;
  first.group_rules = {{From::kGroup, 1, 2, Kind::kTcp, 80, 90},
                       {From::kAny, 0, 2, Kind::kIcmp},
                       {From::kAny, 0, 2, Kind::kUdp, 53, 53},
                       {From::kOutside, 0, 2, Kind::kTcp},
                       {From::kGroup, 2, 2}};
  return desired;
}

}  // namespace strata::net
