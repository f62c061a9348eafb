#include "vclusterd/jobs/engine.h"

#include <algorithm>

#include "common/printable.h"
#include "vclusterd/definition/job.h"
#include "vclusterd/definition/units.h"
#include "vclusterd/jobs/run_id.h"

namespace strata::vcluster {
namespace {

constexpr size_t kStepOutputsMax = 100;  // etcd takes 120 records in a commit.

using jobs::v1::Job;
using jobs::v1::Task;

// As a shell tells it: timeout(1), a command that could not be run, SIGINT.
constexpr int kExitTimeout = 124;
constexpr int kExitNotRun = 125;
constexpr int kExitCancelled = 130;
constexpr size_t kProblemMax = 120;  // Records hold 1000 of them.

bool IsEnd(jobs::v1::RunPhase phase) {
  return phase != jobs::v1::RUN_WAITING && phase != jobs::v1::RUN_RUNNING;
}
bool IsEnd(jobs::v1::TaskPhase phase) {
  return phase != jobs::v1::TASK_WAITING && phase != jobs::v1::TASK_RUNNING;
}
bool LetsPass(const Task& task) {
  return task.phase() == jobs::v1::TASK_SUCCEEDED ||
         (task.phase() == jobs::v1::TASK_FAILED && task.allow_failure());
}

class Advancer {
 public:
  Advancer(const Job& job, const ClusterSeen& seen, int64_t now) : seen_(seen), now_(now) {
    step_.job = job;
    for (const NodeSeen& node : seen.nodes) nodes_[node.index] = &node;
  }

  JobStep Run() {
    const std::string before = job().SerializeAsString();
    if (job().phase() == jobs::v1::PREPARING || job().phase() == jobs::v1::RUNNING) CheckLimits();
    if (job().phase() == jobs::v1::PREPARING) Prepare();
    if (job().phase() == jobs::v1::RUNNING) RunTasks();
    if (job().phase() == jobs::v1::STOPPING) AwaitRuns();
    if (job().phase() == jobs::v1::CLEARING) AwaitDeletion();
    step_.changed = job().SerializeAsString() != before;
    if (step_.changed) job().set_revision(job().revision() + 1);
    return std::move(step_);
  }

 private:
  Job& job() { return step_.job; }

  void Due(int64_t unix_ms) {
    step_.due_unix_ms = std::min(step_.due_unix_ms.value_or(unix_ms), unix_ms);
  }

  // Whether the time has come; otherwise it is looked at again then.
  bool IsOver(int64_t unix_ms) {
    if (now_ >= unix_ms) return true;
    Due(unix_ms);
    return false;
  }

  void CheckLimits() {
    const int64_t timeout_ms = int64_t{job().timeout_s()} * 1000;
    if (job().cancel()) {
      Stop(jobs::v1::CANCELLED, kExitCancelled, "cancelled");
    } else if (!seen_.exists || seen_.deleting) {
      Stop(jobs::v1::FAILED, kExitNotRun, "its Vcluster was deleted");
    } else if (IsOver(job().submitted_unix_ms() + timeout_ms)) {
      Stop(jobs::v1::TIMED_OUT, kExitTimeout,
           "the job did not end within " + DurationText(std::chrono::milliseconds(timeout_ms)));
    }
  }

  // One that was there before is its owner's to mend: runs wait for their own nodes.
  void Prepare() {
    if (job().created() && seen_.problem.has_value()) {
      Stop(jobs::v1::FAILED, kExitNotRun, *seen_.problem);
    } else if (!job().created() || seen_.ready) {
      job().set_phase(jobs::v1::RUNNING);
      job().set_begun_unix_ms(now_);
    }
  }

  // Nothing begins any more.
  void Stop(jobs::v1::Outcome outcome, int exit_code, const std::string& problem) {
    job().set_phase(jobs::v1::STOPPING);
    job().set_outcome(outcome);
    job().set_stopping_unix_ms(now_);
    // What failed before says more.
    if (job().exit_code() == 0 || outcome == jobs::v1::CANCELLED) job().set_exit_code(exit_code);
    if (job().problem().empty()) job().set_problem(Printable(problem));
    for (Task& task : *job().mutable_tasks()) {
      if (task.phase() == jobs::v1::TASK_WAITING) task.set_phase(jobs::v1::TASK_CANCELLED);
      for (jobs::v1::Run& run : *task.mutable_runs()) {
        if (run.phase() == jobs::v1::RUN_WAITING) run.set_phase(jobs::v1::RUN_CANCELLED);
      }
    }
  }

  void RunTasks() {
    // A task may come after one that is further down. Each round ends one at least, or is the last.
    bool more = true;
    while (more) {
      more = false;
      for (int t = 0; t < job().tasks_size(); ++t) {
        Task& task = *job().mutable_tasks(t);
        const auto before = task.phase();
        if (task.phase() == jobs::v1::TASK_WAITING) TryBegin(&task);
        if (task.phase() == jobs::v1::TASK_RUNNING) AdvanceTask(static_cast<uint32_t>(t), &task);
        more |= IsEnd(task.phase()) && !IsEnd(before);
      }
    }
    bool failed = false;
    for (const Task& task : job().tasks()) {
      if (!IsEnd(task.phase())) return;
      failed |= !LetsPass(task);
    }
    job().set_phase(jobs::v1::STOPPING);
    job().set_stopping_unix_ms(now_);
    job().set_outcome(failed ? jobs::v1::FAILED : jobs::v1::SUCCEEDED);
  }

  void TryBegin(Task* task) {
    for (const uint32_t before : task->after()) {
      const Task& other = job().tasks(static_cast<int>(before));
      if (!IsEnd(other.phase())) return;
      if (LetsPass(other)) continue;
      task->set_phase(jobs::v1::TASK_SKIPPED);
      task->set_problem("it comes after " + other.name());
      task->set_ended_unix_ms(now_);
      return;
    }
    task->set_phase(jobs::v1::TASK_RUNNING);
    task->set_begun_unix_ms(now_);
    const bool anywhere = task->on().role().empty();
    const std::string& role = anywhere ? seen_.first_role : task->on().role();
    for (const NodeSeen& node : seen_.nodes) {
      if (!task->on().all() && node.role != role) continue;
      if (task->on().has_ordinal() && node.ordinal != task->on().ordinal()) continue;
      jobs::v1::Run* run = task->add_runs();
      run->set_node(node.index);
      run->set_name(node.name);
      run->set_waits_since_unix_ms(now_);
    }
    size_t runs = 0;
    for (const Task& other : job().tasks()) runs += static_cast<size_t>(other.runs_size());
    if (runs > kTaskRunsMax) {
      task->clear_runs();
      EndTask(task, "the job would have more than " + std::to_string(kTaskRunsMax) + " runs");
    } else if (task->runs().empty()) {
      EndTask(task, "the Vcluster has no such node");
    }
  }

  void AdvanceTask(uint32_t index, Task* task) {
    for (jobs::v1::Run& run : *task->mutable_runs()) {
      if (run.phase() == jobs::v1::RUN_RUNNING) TakeReport(index, task, &run);
      if (run.phase() == jobs::v1::RUN_WAITING) TryBegin(task, &run);
    }
    const auto ended = [](const jobs::v1::Run& run) { return IsEnd(run.phase()); };
    if (std::all_of(task->runs().begin(), task->runs().end(), ended)) EndTask(task, "");
  }

  void EndTask(Task* task, const std::string& problem) {
    const bool failed =
        !problem.empty() ||
        std::any_of(task->runs().begin(), task->runs().end(), [](const jobs::v1::Run& run) {
          return run.phase() != jobs::v1::RUN_SUCCEEDED;
        });
    task->set_phase(failed ? jobs::v1::TASK_FAILED : jobs::v1::TASK_SUCCEEDED);
    task->set_problem(problem);
    task->set_ended_unix_ms(now_);
    if (!problem.empty()) Blame(*task, task->name() + ": " + problem, kExitNotRun);
  }

  // The first failure is the job's.
  void Blame(const Task& task, const std::string& problem, int exit_code) {
    if (task.allow_failure() || job().exit_code() != 0) return;
    job().set_exit_code(exit_code);
    job().set_problem(Printable(problem));
  }

  const NodeSeen* NodeOf(const jobs::v1::Run& run) const {
    const auto found = nodes_.find(run.node());
    return found == nodes_.end() ? nullptr : found->second;
  }

  void TryBegin(Task* task, jobs::v1::Run* run) {
    const NodeSeen* node = NodeOf(*run);
    if (node == nullptr) return FailForGood(*task, run, "the node is gone");
    if (!node->wanted) return FailForGood(*task, run, "the node is stopped");
    if (!IsOver(run->not_before_unix_ms())) return;
    if (!node->ready) {
      if (!IsOver(run->waits_since_unix_ms() + kNodeWaitMaxMs)) return;
      return FailForGood(
          *task, run,
          "the node did not become ready" + (node->problem.empty() ? "" : ": " + node->problem));
    }
    run->set_phase(jobs::v1::RUN_RUNNING);
    run->set_attempt(run->attempt() + 1);
    run->set_incarnation(node->incarnation);
    run->set_exit_code(0);
    run->clear_problem();
    run->set_begun_unix_ms(now_);
    run->set_ended_unix_ms(0);
    run->clear_waits_since_unix_ms();
    run->clear_not_before_unix_ms();
    AwaitReport(*task, *run);
  }

  // Whether nothing can be expected any more.
  bool AwaitReport(const Task& task, const jobs::v1::Run& run) {
    return IsOver(run.begun_unix_ms() + int64_t{task.timeout_s()} * 1000 + kSilenceMaxMs);
  }

  const host::v1::TaskRun* ReportOf(uint32_t task, const NodeSeen& node, const jobs::v1::Run& run) {
    const RunId id{job().number(), task, run.node(), run.attempt()};
    const auto found = node.runs.find(id.ToString());
    return found == node.runs.end() ? nullptr : found->second;
  }

  void TakeReport(uint32_t index, Task* task, jobs::v1::Run* run) {
    const NodeSeen* node = NodeOf(*run);
    if (node == nullptr) return FailForGood(*task, run, "the node is gone");
    if (node->incarnation != run->incarnation()) {
      return FailAttempt(*task, run, -1, "the node was made anew meanwhile");
    }
    const host::v1::TaskRun* report = ReportOf(index, *node, *run);
    if (report == nullptr && !node->wanted && !node->lost) {
      return FailAttempt(*task, run, -1, "the node was stopped");
    }
    const bool running = report == nullptr || report->state() == host::v1::TASK_RUNNING;
    if (running) {
      if (AwaitReport(*task, *run)) FailAttempt(*task, run, -1, "nothing was heard of its end");
      return;
    }
    if (!KeepOutput(index, *report, run)) return;
    if (report->state() == host::v1::TASK_LOST) {
      FailAttempt(*task, run, -1, report->problem());
    } else if (report->timed_out()) {
      FailAttempt(*task, run, kExitTimeout, report->problem());
    } else if (report->exit_code() != 0) {
      FailAttempt(*task, run, report->exit_code(),
                  "exit code " + std::to_string(report->exit_code()));
    } else {
      End(run, jobs::v1::RUN_SUCCEEDED);
    }
  }

  // False: not in this step, which is full.
  bool KeepOutput(uint32_t index, const host::v1::TaskRun& report, jobs::v1::Run* run) {
    const std::string& all = report.output();
    const uint64_t others = job().kept_bytes() - run->kept_bytes();
    const uint64_t room = std::max<uint64_t>(
        kRunOutputBytesMin, kJobOutputBytesMax - std::min<uint64_t>(others, kJobOutputBytesMax));
    const size_t kept = std::min<uint64_t>({all.size(), kRunOutputBytesMax, room});
    const bool stores = kept > 0 || run->kept_bytes() > 0;
    if ((taken_ > 0 && taken_ + kept > kStepOutputBytesMax) ||
        (stores && step_.outputs.size() >= kStepOutputsMax)) {
      step_.again = true;
      return false;
    }
    taken_ += kept;
    if (stores) {
      step_.outputs.push_back({index, run->node(), all.substr(all.size() - kept)});
    }
    job().set_kept_bytes(others + kept);
    run->set_kept_bytes(static_cast<uint32_t>(kept));
    run->set_output_bytes(report.output_bytes());
    return true;
  }

  void End(jobs::v1::Run* run, jobs::v1::RunPhase phase) {
    run->set_phase(phase);
    run->set_ended_unix_ms(now_);
  }

  void FailAttempt(const Task& task, jobs::v1::Run* run, int exit_code,
                   const std::string& problem) {
    if (run->attempt() > task.retries()) {
      run->set_exit_code(exit_code);
      return FailForGood(task, run, problem);
    }
    End(run, jobs::v1::RUN_WAITING);
    run->set_exit_code(exit_code);
    run->set_problem(Printable(problem, kProblemMax));
    run->set_not_before_unix_ms(now_ + int64_t{task.retry_delay_s()} * 1000);
    run->set_waits_since_unix_ms(run->not_before_unix_ms());
  }

  void FailForGood(const Task& task, jobs::v1::Run* run, const std::string& problem) {
    // Of a run that waits, the exit code is the last attempt's.
    if (run->phase() == jobs::v1::RUN_RUNNING && run->exit_code() == 0) run->set_exit_code(-1);
    if (run->attempt() == 0) run->set_exit_code(-1);
    run->set_problem(Printable(problem, kProblemMax));
    End(run, jobs::v1::RUN_FAILED);
    Blame(task, task.name() + " in " + run->name() + ": " + problem,
          run->exit_code() > 0 ? run->exit_code() : kExitNotRun);
  }

  // STOPPING
  void AwaitRuns() {
    bool all = true;
    for (int t = 0; t < job().tasks_size(); ++t) {
      Task& task = *job().mutable_tasks(t);
      if (task.phase() != jobs::v1::TASK_RUNNING) continue;
      bool ended = true;
      for (jobs::v1::Run& run : *task.mutable_runs()) {
        if (run.phase() == jobs::v1::RUN_RUNNING) TakeLastReport(static_cast<uint32_t>(t), &run);
        ended &= IsEnd(run.phase());
      }
      all &= ended;
      if (!ended) continue;
      task.set_phase(jobs::v1::TASK_CANCELLED);
      task.set_ended_unix_ms(now_);
    }
    if (!all) return;
    const bool keep = job().keep() == jobs::v1::ALWAYS || (job().keep() == jobs::v1::ON_FAILURE &&
                                                           job().outcome() != jobs::v1::SUCCEEDED);
    if (job().created() && !keep && seen_.exists) {
      job().set_phase(jobs::v1::CLEARING);
    } else {
      EndJob();
    }
  }

  void TakeLastReport(uint32_t index, jobs::v1::Run* run) {
    const NodeSeen* node = NodeOf(*run);
    const bool known = node != nullptr && !node->lost && node->incarnation == run->incarnation();
    const host::v1::TaskRun* report = known ? ReportOf(index, *node, *run) : nullptr;
    const bool reported = report != nullptr && report->state() != host::v1::TASK_RUNNING;
    if (!reported) {
      if (known && !IsOver(job().stopping_unix_ms() + kStopWaitMaxMs)) return;
      run->set_exit_code(-1);
      run->set_problem("it is not known how it ended");
      return End(run, jobs::v1::RUN_CANCELLED);
    }
    if (!KeepOutput(index, *report, run)) return;
    const bool succeeded =
        report->state() == host::v1::TASK_ENDED && report->exit_code() == 0 && !report->stopped();
    run->set_exit_code(report->state() == host::v1::TASK_ENDED ? report->exit_code() : -1);
    run->set_problem(succeeded ? "" : Printable(report->problem(), kProblemMax));
    End(run, succeeded ? jobs::v1::RUN_SUCCEEDED : jobs::v1::RUN_CANCELLED);
  }

  // CLEARING
  void AwaitDeletion() {
    if (!seen_.exists) return EndJob();
    step_.delete_vcluster = !seen_.deleting;
  }

  void EndJob() {
    job().set_phase(jobs::v1::DONE);
    job().set_ended_unix_ms(now_);
  }

  const ClusterSeen& seen_;
  const int64_t now_;
  std::map<uint32_t, const NodeSeen*> nodes_;
  JobStep step_;
  size_t taken_ = 0;
};

}  // namespace

JobStep Advance(const Job& job, const ClusterSeen& seen, int64_t now_unix_ms) {
  return Advancer(job, seen, now_unix_ms).Run();
}

}  // namespace strata::vcluster
