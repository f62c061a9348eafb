// From a container that runs to a node that is ready: hooks and checks.
#include "common/log.h"
#include "vclusterd/host/host_nodes.h"
#include "vclusterd/host/node_command.h"

namespace strata::vcluster {

bool HostNodes::MustSettle(const host::v1::NodeOrder& order, bool created, bool recovering) {
  return order.has_ready() || (recovering && order.has_on_recovery()) ||
         (!created && order.has_on_create());
}

void HostNodes::NoteProved(Part& part, Node& node) {
  node.unproved = false;
  const std::string proved = ProvedText(*node.record);
  if (node.local.created() && !node.local.recovering() && node.local.proved() == proved) return;
  node.local.set_created(true);
  node.local.set_recovering(false);
  node.local.set_proved(proved);
  ++part.changes;
}

std::string HostNodes::ProvedText(const NodeRecord& record) {
  return std::to_string(record.init.pid) + " " + std::to_string(record.init.start_ticks);
}

void HostNodes::SettleLater(const Job& job) {
  waiters_.Push([this, part = job.part, node = job.node, index = job.local.index()] {
    Settle(part, node, index);
  });
}

void HostNodes::Settle(const PartPtr& part, const NodePtr& node, uint32_t index) {
  Job job;
  {
    const std::lock_guard lock(part->mutex);
    job = TakeJob(part, node, index);
    if (!job.record.has_value() || !job.wanted.has_value()) return;
    node->unproved = true;
    // Paused: when it goes on. Or another thread is at it, and its word counts.
    if (node->state == host::v1::PAUSED || node->settling == job.record->init) return;
    node->settling = job.record->init;
    node->disturbed = false;
    node->state = host::v1::STARTING;
    node->problem.reset();
  }
  Tell(part);
  const Status ready = BecomeReady(job);
  {
    const std::lock_guard lock(part->mutex);
    if (node->settling == job.record->init) node->settling.reset();
    // It may have been stopped, or started anew, meanwhile.
    if (!node->record.has_value() || node->record->init != job.record->init) return;
    if (closing_.cancelled()) return;
    if (ready.ok()) NoteProved(*part, *node);
    const bool paused = node->state == host::v1::PAUSED;
    if (!ready.ok() && node->disturbed && node->state == host::v1::STARTING) {
      SettleLater(job);  // A pause took its time.
      return;
    }
    if (!paused && node->state != host::v1::STARTING) return;
    if (!paused) {
      node->state = ready.ok() ? host::v1::READY : host::v1::BREAKDOWN;
      if (!ready.ok()) node->problem = ready.error();
    }
  }
  Tell(part);
}

Status HostNodes::BecomeReady(Job& job) {
  const ExecTarget target = TargetOf(job);
  const bool recovering = job.local.recovering();
  const auto run = [&](const std::string& hook, const host::v1::Command& command) -> Status {
    host::v1::HookRun done = RunHook(*life_, target, hook, command, closing_);
    const std::string problem = done.problem();
    RecordHook(job, std::move(done));
    return problem.empty() ? Ok() : Status(Error(Code::kFailedPrecondition, problem));
  };
  if (!job.local.created() && job.wanted->has_on_create()) {
    RETURN_IF_ERROR(run("on-create", job.wanted->on_create()));
  } else if (recovering && job.wanted->has_on_recovery()) {
    RETURN_IF_ERROR(run("on-recovery", job.wanted->on_recovery()));
  }
  if (!job.wanted->has_ready()) return Ok();
  return AwaitReady(*life_, target, job.wanted->address(), job.wanted->ready(), closing_);
}

void HostNodes::RecordHook(const Job& job, host::v1::HookRun run) {
  if (!run.problem().empty()) LOG_WARNING("node " + job.id + ": " + run.problem());
  const std::lock_guard lock(job.part->mutex);
  job.node->hooks[run.hook()] = std::move(run);
}

}  // namespace strata::vcluster
