// A NetworkPlan in words: one line per change, in the order in which they are made. Pure.
//
//   - link s1a2b3b9
//   + bridge s1a2b3b7 mtu 1450
//   + address 10.0.7.1/24 of s1a2b3b7
//   ~ port s1a2b3v7k hairpin on
#pragma once

#include <string>
#include <vector>

#include "net/plan.h"

namespace strata::net {

// Without the rules: whether those change is not in a plan.
std::vector<std::string> DescribeChanges(const NetworkPlan& plan);

// What would be changed now.
struct PlannedChanges {
  std::vector<std::string> changes;  // One per line, for people (docs/network.md).
  std::string ruleset;               // Commands of nft(8), as they should be…
  bool new_rules = false;            // …and are not, or it is not known.
};

}  // namespace strata::net
