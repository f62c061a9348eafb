// What a class needs next: decided from what is recorded and what is known of its students'
// Vclusters. Pure, so that a master that takes over decides the same from the same records.
//
// A student's Vcluster follows each change that the teacher asks for once (its `turn`): in between
// it is the student's own to start and stop. One that fails is tried again after growing pauses and
// holds nobody up.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace strata::vcluster {

enum class StudentState {
  kWaiting,  // For the start of the class.
  kQueued,   // Others start just now.
  kStarting,
  kReady,
  kStopped,
  kFailed,  // It is tried again.
  kEnding,  // Being deleted.
  kGone,    // Deleted at the end.
};
const char* WordOf(StudentState state);  // "waiting", "queued", …

struct ClusterFacts {
  bool deleting = false;
  bool any_wanted = false;  // Some node should run.
  bool as_wanted = false;   // Every node is as it should be.
  std::optional<std::string> problem;
  uint32_t resets = 0;
  uint32_t turn = 0;
};

struct StudentFacts {
  std::string user;
  uint32_t resets = 0;  // Asked for so far.
  std::optional<ClusterFacts> cluster;
};

struct ClassFacts {
  int64_t now_ms = 0;
  int64_t starts_ms = 0;
  int64_t ends_ms = 0;  // 0: never.
  bool deletes_at_end = false;
  bool stopped = false;
  bool ended = false;
  bool deleting = false;
  bool held = false;  // Its images are still on their way to the hosts.
  uint32_t turn = 0;
  uint32_t parallel = 1;
};

// Of a student whose Vcluster failed, or whom a step failed for; remembered between decisions, and
// forgotten when something new is asked of it.
struct Attempt {
  uint32_t failures = 0;
  int64_t next_ms = 0;
  std::string problem;
};

enum class StepKind { kMake, kStart, kStop, kReset, kRetry, kDelete };

struct Step {
  StepKind kind = StepKind::kMake;
  std::string user;
  bool operator==(const Step&) const = default;
};

struct ClassPlan {
  bool end = false;   // Its time is over: to be recorded, and decided again.
  bool gone = false;  // It is being deleted, and nothing of it is there any more.
  std::vector<Step> steps;
  std::map<std::string, StudentState> states;
  int64_t next_ms = 0;  // When something is due by the clock; 0: nothing.
};

// `students` in the order in which they are served. `attempts` by user.
ClassPlan DecideClass(const ClassFacts& facts, const std::vector<StudentFacts>& students,
                      std::map<std::string, Attempt>* attempts);

// Counts one more failure, and when to try again.
void NoteFailure(const std::string& problem, int64_t now_ms, Attempt* attempt);

}  // namespace strata::vcluster
