// Which frames of a host's nodes may take the fast path, and what has to change for it. Pure.
//
// A node has a part in it when its link is up, is a port of its bridge, has no limit of its rate
// (what a tunnel or another node hands to it passes no queue) and is not kept off it. Its frames
// are those from the MAC and the address that net/ gives to it. A remote node has a part in it when
// the tunnel knows its host.
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

// What the maps hold. The program is attached to the links of `sources`.
struct FastState {
  std::map<uint32_t, FastSource> sources;
  std::map<FastNode, FastWay> ways;
};

// `kept_off`: names of veths whose frames, from and to, must pass the bridge and its rules.
FastState MakeFastState(const DesiredNetwork& desired, const std::vector<ObservedLink>& observed,
                        const std::set<std::string>& kept_off);

// In the order in which it is carried out: at no moment a frame goes where it should not.
struct FastPlan {
  std::vector<uint32_t> remove_sources;
  std::vector<FastNode> remove_ways;
  std::vector<std::pair<FastNode, FastWay>> set_ways;
  std::vector<std::pair<uint32_t, FastSource>> set_sources;

  bool empty() const {
    return remove_sources.empty() && remove_ways.empty() && set_ways.empty() && set_sources.empty();
  }
};
FastPlan MakeFastPlan(const FastState& now, const FastState& wanted);

}  // namespace strata::net
