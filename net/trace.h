// Which way a packet between two addresses takes through this host's networks, and where it is
// dropped: by what should be, and by what is there. Pure; nothing is sent. What a step says of
// rules is what net/ruleset.h and net/guard_rules.h make of the same desired state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/desired.h"
#include "net/fastpath/fast_plan.h"
#include "net/observed.h"
#include "net/plan.h"

namespace strata::net {

struct TraceQuestion {
  IpAddress from;
  IpAddress to;  // Of the same family.
  // Of what would begin a connection; neither: ping.
  std::optional<Protocol> protocol;
  uint16_t port = 0;
};

struct TraceStep {
  enum class End {
    kGoesOn,
    kArrives,
    kDropped,    // `what` names the counter that says so (vnet show), where there is one.
    kElsewhere,  // Beyond this host, which knows no more.
  };
  End end = End::kGoesOn;
  std::string where;  // "link s1a2b3v74", "bridge s1a2b3b7", "rules"
  std::string what;
};

// The steps in their order; the last one's end is none of kGoesOn. Of Open vSwitch's ports and
// flows nothing is looked at: they are taken to be as they should. `fast`: what takes the fast
// path; null: nothing.
std::vector<TraceStep> Trace(const DesiredNetwork& desired, const std::vector<ObservedLink>& links,
                             Driver driver, const TraceQuestion& question,
                             const FastState* fast = nullptr);

}  // namespace strata::net
