#include "vclusterd/host/node_tasks.h"

#include <poll.h>

#include <algorithm>
#include <csignal>

#include "common/log.h"
#include "common/printable.h"
#include "vclusterd/host/process_marks.h"
#include "vclusterd/jobs/run_id.h"

namespace strata::vcluster {
namespace {

using host::v1::TaskRun;
using std::chrono::milliseconds;
using Clock = NodeCommand::Clock;

// Each waits for its command for as long as that runs; more of them wait their turn.
constexpr size_t kRunThreads = 1024;
// Between SIGTERM and SIGKILL of a run that has to end.
constexpr milliseconds kStopGrace(5000);
// What is killed ends at once, but for a process that the kernel holds.
constexpr milliseconds kKillWait(5000);
// A node that ends takes its commands with it, a moment before its process 1 is gone itself.
constexpr milliseconds kInitWait(1000);

int64_t UnixMs() {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// What each process of the run has in its environment.
std::string MarkOf(const std::string& run) { return "STRATA_RUN=" + run; }

ExecParameters ParametersOf(const host::v1::TaskCommand& command, const RunId& id,
                            const std::string& hostnames) {
  ExecParameters parameters;
  parameters.argv.assign(command.argv().begin(), command.argv().end());
  parameters.env.assign(command.env().begin(), command.env().end());
  parameters.env.push_back("STRATA_NODES=" + hostnames);
  parameters.env.push_back("STRATA_ATTEMPT=" + std::to_string(id.attempt));
  parameters.env.push_back(MarkOf(id.ToString()));
  parameters.working_directory = command.directory();
  parameters.uid = command.uid();
  parameters.gid = command.gid();
  return parameters;
}

// Of one node, whether it is another attempt of the same.
bool AreAttempts(const std::string& one, const std::string& other) {
  return one.substr(0, one.rfind('.')) == other.substr(0, other.rfind('.'));
}

}  // namespace

NodeTasks::Run::Run() : output(kHookOutputBytesMax) {}

NodeTasks::NodeTasks(const NodeLife& life, TaskFiles files, Owner owner)
    : life_(life), files_(std::move(files)), owner_(std::move(owner)), queue_(kRunThreads) {}

Result<std::unique_ptr<NodeTasks>> NodeTasks::Open(const NodeLife& life,
                                                   const std::string& directory, Owner owner) {
  ASSIGN_OR_RETURN(TaskFiles files, TaskFiles::Open(directory));
  return std::unique_ptr<NodeTasks>(new NodeTasks(life, std::move(files), std::move(owner)));
}

void NodeTasks::Close() {
  closing_.Cancel();
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [node, runs] : runs_) {
      for (const auto& [id, run] : runs) run->cancel.Cancel();
    }
  }
  queue_.Close();
}

Status NodeTasks::Recover(
    const std::function<std::optional<pid_t>(const std::string& node)>& init_of) {
  ASSIGN_OR_RETURN(std::vector<TaskFiles::Found> all, files_.Load());
  for (TaskFiles::Found& found : all) {
    const std::optional<pid_t> init = init_of(found.node);
    if (!init.has_value()) {
      files_.Remove(found.node, found.run.id());
      continue;
    }
    auto run = std::make_shared<Run>();
    run->node = found.node;
    run->begun = true;
    run->ended = true;
    run->told = std::move(found.run);
    if (!found.readable || run->told.state() == host::v1::TASK_RUNNING) {
      if (*init != 0) {
        if (Status killed = KillMarked(*init, MarkOf(run->told.id())); !killed.ok()) {
          LOG_ERROR("node " + found.node + ": " + killed.error().message());
        }
      }
      run->told.set_state(host::v1::TASK_LOST);
      run->told.set_problem("the host's vclusterd ended while it ran");
      RETURN_IF_ERROR(files_.Write(found.node, run->told));
    }
    const std::lock_guard lock(mutex_);
    runs_[found.node][run->told.id()] = run;
  }
  return Ok();
}

bool NodeTasks::HasNone(const std::string& node) {
  const std::lock_guard lock(mutex_);
  return !runs_.contains(node);
}

void NodeTasks::Sync(const std::string& node, const std::vector<Wanted>& wanted,
                     const std::optional<Place>& place) {
  const std::lock_guard lock(mutex_);
  const auto is_wanted = [&](const std::string& id) {
    return std::any_of(wanted.begin(), wanted.end(),
                       [&](const Wanted& other) { return other.order.id() == id; });
  };
  std::vector<RunPtr> dropped;
  std::map<std::string, RunPtr>& runs = runs_[node];
  for (const auto& [id, run] : runs) {
    if (!run->dropped && !is_wanted(id)) dropped.push_back(run);
  }
  for (const RunPtr& run : dropped) Drop(run);
  for (const Wanted& want : wanted) {
    const std::string& id = want.order.id();
    const auto known = runs.find(id);
    if (known != runs.end()) {
      Run& run = *known->second;
      if (want.order.stop() && !run.ended && !run.dropped) {
        run.stopped = true;
        run.cancel.Cancel();
      }
    } else if (want.order.stop()) {
      auto run = std::make_shared<Run>();
      run->node = node;
      run->ended = true;
      run->told.set_id(id);
      run->told.set_state(host::v1::TASK_LOST);
      run->told.set_stopped(true);
      run->told.set_problem("it was stopped before it began");
      runs[id] = std::move(run);
    } else if (place.has_value() && !closing_.cancelled()) {
      const bool earlier = std::any_of(runs.begin(), runs.end(), [&](const auto& other) {
        return AreAttempts(other.first, id) && !other.second->ended;
      });
      if (!earlier) Begin(node, want, *place);
    }
  }
  if (runs.empty()) runs_.erase(node);
}

void NodeTasks::Begin(const std::string& node, const Wanted& wanted, const Place& place) {
  auto run = std::make_shared<Run>();
  run->node = node;
  run->wanted = wanted;
  run->place = place;
  run->told.set_id(wanted.order.id());
  run->told.set_state(host::v1::TASK_RUNNING);
  run->told.set_begun_unix_ms(UnixMs());
  runs_[node][wanted.order.id()] = run;
  queue_.Push([this, run] { Work(run); });
}

// It leaves when its thread has seen it, if it has one.
void NodeTasks::Drop(const RunPtr& run) {
  if (run->ended) {
    if (run->begun) files_.Remove(run->node, run->told.id());
    runs_[run->node].erase(run->told.id());
    return;
  }
  run->dropped = true;
  run->cancel.Cancel();
}

void NodeTasks::Forget(const std::string& node) {
  const std::lock_guard lock(mutex_);
  const auto found = runs_.find(node);
  if (found == runs_.end()) return;
  const std::map<std::string, RunPtr> runs = found->second;
  for (const auto& [id, run] : runs) Drop(run);
  if (runs_[node].empty()) runs_.erase(node);
}

void NodeTasks::AddStatus(const std::string& node, bool live, size_t* output_left,
                          host::v1::NodeStatus* status) {
  const std::lock_guard lock(mutex_);
  const auto found = runs_.find(node);
  if (found == runs_.end()) return;
  for (const auto& [id, run] : found->second) {
    if (run->dropped) continue;
    TaskRun* told = status->add_tasks();
    if (run->ended && run->told.output().size() <= *output_left) {
      *told = run->told;
      *output_left -= run->told.output().size();
      continue;
    }
    told->set_id(id);
    told->set_state(host::v1::TASK_RUNNING);
    told->set_begun_unix_ms(run->told.begun_unix_ms());
    if (!live || run->ended) continue;
    std::string output = run->output.Text();
    if (output.size() > *output_left) continue;
    *output_left -= output.size();
    told->set_output(std::move(output));
    told->set_output_bytes(run->output.bytes());
  }
}

void NodeTasks::Work(const RunPtr& run) {
  TaskRun told;
  bool begins = false;
  {
    const std::lock_guard lock(mutex_);
    told = run->told;
    begins = !run->cancel.cancelled();
    run->begun = begins;
  }
  if (closing_.cancelled()) return;
  if (!begins) {
    told.set_state(host::v1::TASK_LOST);
    told.set_problem("it was stopped before it began");
    return End(run, std::move(told));
  }
  const auto start = Clock::now();
  told.set_begun_unix_ms(UnixMs());
  Status done = files_.Write(run->node, told);
  if (done.ok()) done = RunCommand(run, &told);
  // Nothing is written: the next process sees that it had begun.
  if (closing_.cancelled()) return;
  told.set_seconds(std::chrono::duration<double>(Clock::now() - start).count());
  if (!done.ok()) {
    told.set_state(host::v1::TASK_LOST);
    told.set_problem(Printable(done.error().message()));
  }
  End(run, std::move(told));
}

Status NodeTasks::RunCommand(const RunPtr& run, TaskRun* told) {
  const auto id = RunId::Parse(told->id());
  const pid_t init_pid = run->place.init.pid;
  const std::string mark = MarkOf(told->id());
  ASSIGN_OR_RETURN(const UniqueFd init, OpenProcess(run->place.init));
  ASSIGN_OR_RETURN(NodeCommand command, NodeCommand::Start(life_, run->place.target,
                                                           ParametersOf(run->wanted.command, *id,
                                                                        run->place.hostnames)));
  const auto sink = [&](std::string_view data) {
    const std::lock_guard lock(mutex_);
    run->output.Add(data);
  };
  const std::chrono::seconds timeout(run->wanted.command.timeout_s());
  ASSIGN_OR_RETURN(bool ended, command.Follow(Clock::now() + timeout, run->cancel, sink));
  if (!ended) {
    const bool cancelled = run->cancel.cancelled();
    const CancelToken none;
    // Who closes has no time.
    if (!closing_.cancelled()) {
      RETURN_IF_ERROR(SignalMarked(init_pid, mark, SIGTERM));
      ASSIGN_OR_RETURN(ended, command.Follow(Clock::now() + kStopGrace, closing_, sink));
    }
    if (Status killed = KillMarked(init_pid, mark); !killed.ok()) {
      LOG_ERROR("node " + run->node + ": " + killed.error().message());
    }
    if (!ended) {
      ASSIGN_OR_RETURN(ended, command.Follow(Clock::now() + kKillWait, none, sink));
    }
    const std::lock_guard lock(mutex_);
    told->set_timed_out(!cancelled);
    told->set_stopped(run->stopped);
    told->set_problem(cancelled
                          ? "it was stopped"
                          : "it did not end within " + std::to_string(timeout.count()) + " s");
  }
  const bool meant = !ended || told->timed_out() || told->stopped();
  // One that the kernel holds is left to it.
  int exit_code = 128 + SIGKILL;
  if (ended) {
    ASSIGN_OR_RETURN(exit_code, command.ExitCode());
  }
  told->set_state(host::v1::TASK_ENDED);
  told->set_exit_code(exit_code);
  if (!meant && exit_code != 0 && EndedWithNode(*run, init, exit_code)) {
    return Error(Code::kFailedPrecondition, "the node was stopped, or broke down, while it ran");
  }
  return Ok();
}

bool NodeTasks::EndedWithNode(const Run& run, const UniqueFd& init, int exit_code) const {
  if (owner_.stopping(run.node)) return true;
  pollfd ended{init.get(), POLLIN, 0};
  const bool killed = exit_code >= 128 || exit_code == kExecFailed;
  return ::poll(&ended, 1, killed ? static_cast<int>(kInitWait.count()) : 0) == 1;
}

void NodeTasks::End(const RunPtr& run, TaskRun told) {
  bool dropped = false;
  bool begun = false;
  {
    const std::lock_guard lock(mutex_);
    told.set_output(run->output.Text());
    told.set_output_bytes(run->output.bytes());
    told.set_stopped(told.stopped() || run->stopped);
    dropped = run->dropped;
    begun = run->begun;
  }
  if (!dropped && begun) {
    if (Status written = files_.Write(run->node, told); !written.ok()) {
      // It is told all the same. Without a file it would be told as lost after a crash of ours.
      LOG_ERROR("run " + told.id() + " in node " + run->node + ": " + written.error().message());
    }
  }
  {
    const std::lock_guard lock(mutex_);
    run->told = std::move(told);
    run->ended = true;
    run->place = {};
    if (run->dropped) {
      if (begun) files_.Remove(run->node, run->told.id());
      const auto found = runs_.find(run->node);
      if (found != runs_.end()) {
        found->second.erase(run->told.id());
        if (found->second.empty()) runs_.erase(found);
      }
    }
  }
  owner_.ended(run->node);
}

}  // namespace strata::vcluster
