// Group rounds: copies of several containers, on several hosts, as of one moment.
//
//   copy      everything, of all of them; they run
//   freeze    all of them. When the last one stands still, nothing has happened anywhere that
//             depends on something another copy will not have: this is the moment
//   take      what changed since the copy, of each; each is thawed as soon as its own is taken
//
// One that is thawed earlier than another may send it something, but that one stands still and sees
// it after its own copy. So the copies are a consistent cut although they are not taken at once
// (Chandy and Lamport, "Distributed Snapshots", 1985), and nobody waits for the slowest upper.
#pragma once

#include <chrono>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"

namespace strata::migrate {

// One of those that are copied together; may stand for several containers of one host. Each step is
// called once, from any thread, and never two of one member at a time.
class GroupMember {
 public:
  virtual ~GroupMember() = default;
  virtual Status Copy() = 0;
  // Ok means: nothing of it runs until Take ends, Release is called, or the member has waited for
  // either too long; then Take fails.
  virtual Status Freeze() = 0;
  // Ok means: it runs again.
  virtual Status Take() = 0;
  // Thaws whatever is frozen. After any step, also after one that failed.
  virtual void Release() = 0;
};

struct GroupTimes {
  std::chrono::nanoseconds copy{0};
  std::chrono::nanoseconds stall{0};  // From the first Freeze to the last Take.
};

// After an error all members have been released. `cancel` counts until all are frozen.
Result<GroupTimes> RunGroupRounds(const std::vector<GroupMember*>& members,
                                  const CancelToken& cancel);

}  // namespace strata::migrate
