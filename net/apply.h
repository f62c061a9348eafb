// Looks at the host's links and carries a NetworkPlan out, by netlink and nft, in the network
// namespace of the calling thread. Thread-safe; calls that change the same links must not overlap
// (vclusterd holds one mutex around observe, plan and apply).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "net/plan.h"
#include "net/rules_in_force.h"

namespace strata::net {

// All links, with what plans look at: addresses, settings as ports, limits of rates, entries for
// remote nodes. kInternal also when the tables change faster than they can be read.
Result<std::vector<ObservedLink>> ObserveLinks();

// Carries out the plan. Repeating it after an error is fine. The rules change in one transaction;
// what follows them is one request each, and a plan made after an error in between says what is
// left to do. `rules` is what earlier plans of this network namespace were given. `before_last` is
// called when all but plan.delete_last is done. True: the rules were put anew.
Result<bool> ApplyPlan(
    const NetworkPlan& plan, RulesInForce* rules,
    const std::function<Status()>& before_last = [] { return Ok(); });

// Missing is Ok.
Status DeleteLink(const std::string& name);

}  // namespace strata::net
