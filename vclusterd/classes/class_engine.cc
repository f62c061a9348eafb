#include "vclusterd/classes/class_engine.h"

#include <algorithm>

namespace strata::vcluster {
namespace {

constexpr int64_t kPauseMs = 5'000;
constexpr int64_t kPauseMaxMs = 300'000;

class Decision {
 public:
  Decision(const ClassFacts& facts, std::map<std::string, Attempt>* attempts)
      : facts_(facts), attempts_(*attempts) {}

  ClassPlan Take(const std::vector<StudentFacts>& students) {
    Due(facts_.starts_ms);
    if (!facts_.ended) Due(facts_.ends_ms);
    const bool over = facts_.ends_ms != 0 && facts_.now_ms >= facts_.ends_ms;
    if (facts_.deleting || (facts_.ended && facts_.deletes_at_end)) {
      DeleteAll(students);
      return std::move(plan_);
    }
    if (over && !facts_.ended) {
      plan_.end = true;
      return std::move(plan_);
    }
    begun_ = facts_.now_ms >= facts_.starts_ms;
    runs_ = begun_ && !facts_.stopped && !facts_.ended;
    uint32_t starting = 0;
    for (const StudentFacts& student : students) {
      if (StateOf(student) == StudentState::kStarting) ++starting;
    }
    room_ = facts_.parallel > starting ? facts_.parallel - starting : 0;
    for (const StudentFacts& student : students) plan_.states[student.user] = Serve(student);
    return std::move(plan_);
  }

 private:
  void Due(int64_t at_ms) {
    if (at_ms <= facts_.now_ms) return;
    plan_.next_ms = plan_.next_ms == 0 ? at_ms : std::min(plan_.next_ms, at_ms);
  }

  void DeleteAll(const std::vector<StudentFacts>& students) {
    bool any = false;
    for (const StudentFacts& student : students) {
      const bool there = student.cluster.has_value();
      any |= there;
      plan_.states[student.user] = there ? StudentState::kEnding : StudentState::kGone;
      if (there && !student.cluster->deleting) {
        plan_.steps.push_back({StepKind::kDelete, student.user});
      }
    }
    plan_.gone = facts_.deleting && !any;
  }

  // Of one that needs no step.
  StudentState StateOf(const StudentFacts& student) const {
    if (!student.cluster.has_value()) {
      return begun_ ? StudentState::kStopped : StudentState::kWaiting;
    }
    const ClusterFacts& cluster = *student.cluster;
    if (cluster.deleting) return StudentState::kEnding;
    if (cluster.problem.has_value()) return StudentState::kFailed;
    if (!cluster.any_wanted) return StudentState::kStopped;
    return cluster.as_wanted ? StudentState::kReady : StudentState::kStarting;
  }

  // Whether a step that starts nodes may be taken now.
  bool Admit(const StudentFacts& student, StepKind kind) {
    if (room_ == 0 || facts_.held) return false;
    --room_;
    plan_.steps.push_back({kind, student.user});
    return true;
  }

  bool Pauses(const std::string& user) {
    const auto attempt = attempts_.find(user);
    if (attempt == attempts_.end() || attempt->second.next_ms <= facts_.now_ms) return false;
    Due(attempt->second.next_ms);
    return true;
  }

  StudentState Serve(const StudentFacts& student) {
    if (!student.cluster.has_value()) {
      if (!runs_) return StateOf(student);
      if (Pauses(student.user)) return StudentState::kFailed;
      return Admit(student, StepKind::kMake) ? StudentState::kStarting : StudentState::kQueued;
    }
    const ClusterFacts& cluster = *student.cluster;
    if (cluster.deleting) return StudentState::kEnding;
    // What it did not follow when it was asked has a pause, too, and leaves the room to others.
    if (cluster.resets != student.resets) {
      if (Pauses(student.user)) return StudentState::kFailed;
      if (runs_) {
        return Admit(student, StepKind::kReset) ? StudentState::kStarting : StudentState::kQueued;
      }
      plan_.steps.push_back({StepKind::kReset, student.user});
      return StudentState::kStopped;
    }
    if (cluster.turn != facts_.turn) {
      if (Pauses(student.user)) return StudentState::kFailed;
      if (runs_) {
        return Admit(student, StepKind::kStart) ? StudentState::kStarting : StudentState::kQueued;
      }
      plan_.steps.push_back({StepKind::kStop, student.user});
      return StudentState::kStopped;
    }
    const StudentState state = StateOf(student);
    if (state == StudentState::kReady || state == StudentState::kStopped) {
      attempts_.erase(student.user);
    }
    if (state == StudentState::kFailed) Retry(student);
    return state;
  }

  // What failed has a pause first: its host tries again by itself, too.
  void Retry(const StudentFacts& student) {
    const bool known = attempts_.contains(student.user);
    if (Pauses(student.user)) return;
    Attempt& attempt = attempts_[student.user];
    NoteFailure(*student.cluster->problem, facts_.now_ms, &attempt);
    Due(attempt.next_ms);
    if (known) plan_.steps.push_back({StepKind::kRetry, student.user});
  }

  const ClassFacts& facts_;
  std::map<std::string, Attempt>& attempts_;
  ClassPlan plan_;
  bool begun_ = false;
  bool runs_ = false;
  uint32_t room_ = 0;
};

}  // namespace

const char* WordOf(StudentState state) {
  switch (state) {
    case StudentState::kWaiting:
      return "waiting";
    case StudentState::kQueued:
      return "queued";
    case StudentState::kStarting:
      return "starting";
    case StudentState::kReady:
      return "ready";
    case StudentState::kStopped:
      return "stopped";
    case StudentState::kFailed:
      return "failed";
    case StudentState::kEnding:
      return "ending";
    case StudentState::kGone:
      return "gone";
  }
  return "";
}

ClassPlan DecideClass(const ClassFacts& facts, const std::vector<StudentFacts>& students,
                      std::map<std::string, Attempt>* attempts) {
  return Decision(facts, attempts).Take(students);
}

void NoteFailure(const std::string& problem, int64_t now_ms, Attempt* attempt) {
  ++attempt->failures;
  const uint32_t doublings = std::min(attempt->failures - 1, 10u);
  attempt->next_ms = now_ms + std::min(kPauseMaxMs, kPauseMs << doublings);
  attempt->problem = problem;
}

}  // namespace strata::vcluster
