// Which frames of a host's nodes may take the fast path, and what has to change for it. Pure.
//
// A node has a part in it when its link is up, is a port of its bridge, has no limit of its rate
// (what a tunnel or another node hands to it passes no queue) and is not kept off it. Its frames
// are those from the MAC and the address that net/ gives to it. A remote node has a part in it when
// the tunnel knows its host. Packets between hosts are made and taken apart at the links that have
// this host's addresses in the underlay, of Ethernet.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "net/fastpath/maps.h"
#include "net/plan.h"

namespace strata::net {

// What the maps hold. The programs are attached to the links of `sources` and `underlays`.
struct FastState {
  std::map<uint32_t, FastSource> sources;
  std::map<FastNode, FastWay> ways;
  std::map<FastSender, uint32_t> senders;  // For which Vcluster.
  std::set<uint32_t> underlays;
};

// As the maps name a node.
FastNode FastNodeOf(const Bridge& bridge, const Mac& mac);

// Veths of nodes whose frames rules have to see: of groups, and of users with a limit.
std::set<std::string> KeptOffTheFastPath(const DesiredNetwork& desired);

struct FastChoices {
  // Names of veths whose frames, from and to, must pass the bridge and its rules.
  std::set<std::string> kept_off;
  // Packets between hosts are made and taken apart without the tunnels.
  bool wraps = true;
};
FastState MakeFastState(const DesiredNetwork& desired, const std::vector<ObservedLink>& observed,
                        const FastChoices& choices);

// In the order in which it is carried out: at no moment a frame goes where it should not.
struct FastPlan {
  std::vector<uint32_t> remove_underlays;
  std::vector<uint32_t> remove_sources;
  std::vector<FastSender> remove_senders;
  std::vector<FastNode> remove_ways;
  std::vector<std::pair<FastNode, FastWay>> set_ways;
  std::vector<std::pair<FastSender, uint32_t>> set_senders;
  std::vector<std::pair<uint32_t, FastSource>> set_sources;
  std::vector<uint32_t> add_underlays;

  bool empty() const {
    return remove_underlays.empty() && remove_sources.empty() && remove_senders.empty() &&
           remove_ways.empty() && set_ways.empty() && set_senders.empty() && set_sources.empty() &&
           add_underlays.empty();
  }
};
FastPlan MakeFastPlan(const FastState& now, const FastState& wanted);

}  // namespace strata::net
