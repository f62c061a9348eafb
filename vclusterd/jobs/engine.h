// How a job goes on: from its record, what hosts say and the time to its next record. Everything
// that a job does follows from Advance, so a master that takes over goes on where the last record
// is; what to tell hosts follows from the record alone (task_orders.h).
//
// An attempt is in the record before it is ordered, and its end is in the record before the order
// stops naming it. So an attempt begins at most once, and one whose end nobody knows has failed.
//
// Pure, thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "vclusterd/api/host.pb.h"
#include "vclusterd/api/jobs.pb.h"

namespace strata::vcluster {

inline constexpr size_t kRunOutputBytesMax = 64 << 10;    // Kept of one run.
inline constexpr uint64_t kJobOutputBytesMax = 2u << 20;  // Kept of all runs of a job…
inline constexpr size_t kRunOutputBytesMin = 1024;        // …but so much of each.
inline constexpr size_t kStepOutputBytesMax = 512 << 10;  // Taken in one step.
// How long a run waits for its node to be ready; nodes that restart by themselves take seconds.
inline constexpr int64_t kNodeWaitMaxMs = 600'000;
// After its own timeout an attempt of which nothing is heard has failed.
inline constexpr int64_t kSilenceMaxMs = 600'000;
// How long runs that have to end are waited for.
inline constexpr int64_t kStopWaitMaxMs = 60'000;

// A node that is there, or should be.
struct NodeSeen {
  uint32_t index = 0;
  uint32_t incarnation = 0;
  std::string name;  // "worker-1"
  std::string role;
  uint32_t ordinal = 0;
  bool wanted = false;  // It should run.
  bool ready = false;
  bool lost = false;  // Its host is not there: what it does is not known.
  std::string problem;
  std::map<std::string, const host::v1::TaskRun*> runs;  // By id.
};

struct ClusterSeen {
  bool exists = false;  // Its record is there…
  bool deleting = false;
  std::string first_role;
  // What a job waits for whose Vcluster it is.
  bool ready = false;                  // All nodes that should run do, and are ready.
  std::optional<std::string> problem;  // Why it will not become ready.
  std::vector<NodeSeen> nodes;         // Without those that are leaving.
};

// What a run wrote, for its record: the last attempt's takes the place of those before it.
struct KeptOutput {
  uint32_t task = 0;
  uint32_t node = 0;
  std::string bytes;
};

struct JobStep {
  jobs::v1::Job job;  // Its revision is moved on when it has changed.
  bool changed = false;
  std::vector<KeptOutput> outputs;
  bool delete_vcluster = false;        // Together with the change of the record.
  bool again = false;                  // There is more to take.
  std::optional<int64_t> due_unix_ms;  // When to look again, even if nothing is heard.
};

JobStep Advance(const jobs::v1::Job& job, const ClusterSeen& seen, int64_t now_unix_ms);

}  // namespace strata::vcluster
