// Jobs: their records, and how they go on (vclusterd/jobs/engine.h).
#include <algorithm>

#include "common/log.h"
#include "vclusterd/jobs/engine.h"
#include "vclusterd/jobs/task_orders.h"
#include "vclusterd/master/master.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {
namespace {

constexpr size_t kVclusterJobBytesMax = 1536u << 10;  // Their commands go in one message.

constexpr std::chrono::milliseconds kCancelPause(20);
// Before another try to store what could not be stored.
constexpr int64_t kStorePauseMs = 1000;
constexpr size_t kDeletionsMax = 100;  // In one transaction.

// The node that keeps the Vcluster from becoming ready, if one does.
std::optional<std::string> BreakdownIn(const Vcluster& vcluster, const NodeStates& states) {
  for (const master::v1::Node& node : vcluster.record.nodes()) {
    const auto state = states.find(node.index());
    if (state == states.end() || state->second.state() != host::v1::BREAKDOWN) continue;
    return "node " + vcluster.record.name() + "/" + vcluster.NodeName(node) + ": " +
           state->second.problem();
  }
  return std::nullopt;
}

}  // namespace

Status Master::LoadJobs() {
  ASSIGN_OR_RETURN(const auto counters, store_.Get(kLeaderTable, kJobCounterKey));
  master::v1::Counters read;
  if (counters.has_value() && !read.ParseFromString(*counters)) {
    return Error(Code::kCorrupt, "the record of the last job's number cannot be read");
  }
  last_job_ = read.last_number();
  const auto load = [&](const std::string& key, const std::string& value) -> Status {
    RETURN_IF_ERROR(jobs_.Load(key, value));
    const uint32_t number = static_cast<uint32_t>(std::stoul(key));
    last_job_ = std::max(last_job_, number);
    if (jobs_.Find(number)->phase() != jobs::v1::DONE) jobs_.SetDue(number, 0);
    return Ok();
  };
  return store_.Scan(kJobsTable, "", load);
}

Status Master::ReadJobAgain(uint32_t number) {
  ASSIGN_OR_RETURN(const auto value, store_.Get(kJobsTable, JobKey(number)));
  if (!value.has_value()) {
    jobs_.Remove(number);
    abandoned_jobs_.erase(number);
    return Ok();
  }
  if (abandoned_jobs_.contains(number)) return Ok();  // It must not run before it is deleted.
  RETURN_IF_ERROR(jobs_.Load(JobKey(number), *value));
  jobs_.SetDue(number, 0);
  return Ok();
}

Result<JobPtr> Master::AddJob(jobs::v1::Job job, std::optional<master::v1::Vcluster> vcluster,
                              const std::function<std::string(uint32_t job)>& vcluster_name) {
  uint32_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    if (jobs_.ActiveOfOwner(job.owner_uid()) >= kActiveJobsMax) {
      return Error(Code::kResourceExhausted,
                   "you have " + std::to_string(kActiveJobsMax) +
                       " jobs that are not done: cancel some, or wait (vcluster job list)");
    }
    number = ++last_job_;
  }
  job.set_number(number);
  // REQUIRES: mutex_ is held. Of two at once, each may be stored first.
  const auto records = [&]() -> std::vector<records::RecordChange> {
    master::v1::Counters counter;
    counter.set_last_number(last_job_);
    return {{kLeaderTable, kJobCounterKey, counter.SerializeAsString()},
            {kJobsTable, JobKey(number), job.SerializeAsString()}};
  };
  if (vcluster.has_value()) {
    if (vcluster_name) vcluster->set_name(vcluster_name(number));
    job.set_vcluster(vcluster->name());
    // It goes on without its client, so nobody takes it back when this master ends.
    vcluster->set_phase(master::v1::LIVE);
    const auto added = Add({std::move(*vcluster)}, [&](const auto& made, auto* also) {
      job.set_vcluster_number(made.front().number());
      for (records::RecordChange& change : records()) also->push_back(std::move(change));
    });
    if (!added.ok()) {
      const std::lock_guard lock(mutex_);
      AbandonJob(number);
      return added.error();
    }
  }
  const std::lock_guard lock(mutex_);
  if (!vcluster.has_value()) {
    RETURN_IF_ERROR(ReadUncertain());
    if (!entries_.contains(job.vcluster_number())) {
      return Error(Code::kNotFound, "the Vcluster was just deleted");
    }
    size_t bytes = job.ByteSizeLong();
    for (const JobPtr& other : jobs_.ActiveOf(job.vcluster_number())) {
      bytes += other->ByteSizeLong();
    }
    if (bytes > kVclusterJobBytesMax) {
      return Error(Code::kResourceExhausted,
                   "the jobs of this Vcluster that are not done are too large: wait for some");
    }
    if (Status stored = Commit(records()); !stored.ok()) {
      AbandonJob(number);
      return stored.error();
    }
  }
  jobs_.Put(std::move(job));
  jobs_.SetDue(number, 0);
  work_.notify_one();
  return jobs_.Find(number);
}

void Master::AbandonJob(uint32_t number) {
  const bool is_read = jobs_.Find(number) != nullptr;  // Again, by somebody else.
  if (!is_read && !uncertain_jobs_.contains(number)) return;
  jobs_.Remove(number);
  abandoned_jobs_.insert(number);
  work_.notify_one();
}

Status Master::CancelJob(uint32_t number) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(ReadUncertain());
  const JobPtr job = jobs_.Find(number);
  if (job == nullptr) return Error(Code::kNotFound, "the job was just deleted");
  if (job->cancel() || job->phase() == jobs::v1::DONE) return Ok();
  jobs::v1::Job next = *job;
  next.set_cancel(true);
  next.set_revision(next.revision() + 1);
  RETURN_IF_ERROR(Commit({{kJobsTable, JobKey(number), next.SerializeAsString()}}));
  jobs_.Put(std::move(next));
  jobs_.SetDue(number, 0);
  work_.notify_one();
  return Ok();
}

// What has become of the Vcluster concerns them.
void Master::WakeJobsOf(uint32_t vcluster) {
  for (const JobPtr& job : jobs_.ActiveOf(vcluster)) jobs_.SetDue(job->number(), 0);
}

Status Master::RemoveJob(uint32_t number) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(ReadUncertain());
  return EraseJob(number);
}

// Outputs first: a job without some of them may be removed again.
Status Master::EraseJob(uint32_t number) {
  const JobPtr job = jobs_.Find(number);
  if (job == nullptr) return Ok();
  if (job->phase() != jobs::v1::DONE) {
    return Error(Code::kFailedPrecondition, "job " + std::to_string(number) +
                                                " is not done: cancel it first (vcluster job "
                                                "cancel " +
                                                std::to_string(number) + ")");
  }
  std::vector<records::RecordChange> changes;
  for (int t = 0; t < job->tasks_size(); ++t) {
    for (const jobs::v1::Run& run : job->tasks(t).runs()) {
      if (run.kept_bytes() == 0) continue;
      changes.push_back({kJobOutputsTable, OutputKey(number, static_cast<uint32_t>(t), run.node()),
                         std::nullopt});
      if (changes.size() == kDeletionsMax) RETURN_IF_ERROR(Commit(std::exchange(changes, {})));
    }
  }
  changes.push_back({kJobsTable, JobKey(number), std::nullopt});
  RETURN_IF_ERROR(Commit(std::move(changes)));
  jobs_.Remove(number);
  return Ok();
}

JobView Master::ViewOf(const JobPtr& job) const {
  JobView view{job, ""};
  const auto entry = entries_.find(job->vcluster_number());
  if (job->phase() != jobs::v1::PREPARING || entry == entries_.end()) return view;
  if (entry->second.problem.has_value()) view.notice = entry->second.problem->message();
  return view;
}

std::vector<JobView> Master::Jobs() {
  const std::lock_guard lock(mutex_);
  std::vector<JobView> views;
  for (const JobPtr& job : jobs_.All()) views.push_back(ViewOf(job));
  return views;
}

Result<JobView> Master::AwaitJob(uint32_t number, uint64_t revision, const CancelToken& cancel) {
  std::unique_lock lock(mutex_);
  while (true) {
    const JobPtr job = jobs_.Find(number);
    if (job == nullptr) return Error(Code::kNotFound, "the job was just deleted");
    if (job->revision() > revision) return ViewOf(job);
    if (stop_) return Error(Code::kUnavailable, "vclusterd ends");
    RETURN_IF_ERROR(cancel.Check());
    changed_.wait_for(lock, kCancelPause);
  }
}

Result<std::string> Master::JobOutput(uint32_t number, uint32_t task, uint32_t node) {
  ASSIGN_OR_RETURN(auto output, store_.Get(kJobOutputsTable, OutputKey(number, task, node)));
  return std::move(output).value_or("");
}

std::shared_ptr<HostLink> Master::LinkToNode(uint32_t number, uint32_t index) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(number);
  if (entry == entries_.end()) return nullptr;
  const master::v1::Node* node = entry->second.vcluster->FindNode(index);
  const auto host = node == nullptr ? hosts_.end() : hosts_.find(node->host());
  return host == hosts_.end() ? nullptr : host->second->link;
}

std::chrono::milliseconds Master::UntilJobsAreDue() const {
  const int64_t next = jobs_.NextDue();
  // A clock that is set goes unnoticed for so long.
  constexpr int64_t kMost = 3'600'000;
  if (next == JobBook::kNever) return std::chrono::milliseconds(kMost);
  return std::chrono::milliseconds(std::clamp<int64_t>(next - NowUnixMs(), 0, kMost));
}

void Master::AdvanceJobs(const std::set<uint32_t>& vclusters) {
  std::set<uint32_t> numbers = jobs_.DueAt(NowUnixMs());
  for (const uint32_t vcluster : vclusters) {
    for (const JobPtr& job : jobs_.ActiveOf(vcluster)) numbers.insert(job->number());
  }
  for (const uint32_t number : numbers) {
    bool again = true;
    while (again) again = AdvanceJob(number);
  }
}

// Whether there is more to do at once.
bool Master::AdvanceJob(uint32_t number) {
  const JobPtr job = jobs_.Find(number);
  jobs_.SetDue(number, JobBook::kNever);
  if (job == nullptr || job->phase() == jobs::v1::DONE) return false;
  const auto entry = entries_.find(job->vcluster_number());
  const NodeStates states = entry == entries_.end() ? NodeStates() : StatesOf(entry->second);
  const ClusterSeen seen = entry == entries_.end() ? ClusterSeen() : SeenFor(entry->second, states);
  JobStep step = Advance(*job, seen, NowUnixMs());
  if (step.changed || step.delete_vcluster) {
    if (Status stored = StoreStep(&step, entry); !stored.ok()) {
      LOG_WARNING("job " + std::to_string(number) + ": " + stored.error().message());
      jobs_.SetDue(number, NowUnixMs() + kStorePauseMs);
      return false;
    }
    // What hosts should do of it may have changed.
    if (entries_.contains(job->vcluster_number())) Touch(job->vcluster_number());
  }
  if (step.due_unix_ms.has_value()) jobs_.SetDue(number, *step.due_unix_ms);
  return step.again;
}

Status Master::StoreStep(JobStep* step, std::map<uint32_t, Entry>::iterator vcluster) {
  const uint32_t number = step->job.number();
  std::vector<records::RecordChange> changes = {
      {kJobsTable, JobKey(number), step->job.SerializeAsString()}};
  if (changes.front().value->size() > kJobRecordBytesMax) {
    return Error(Code::kInternal, "its record has more than 256 KiB");
  }
  for (KeptOutput& output : step->outputs) {
    std::optional<std::string> bytes;
    if (!output.bytes.empty()) bytes = std::move(output.bytes);
    changes.push_back(
        {kJobOutputsTable, OutputKey(number, output.task, output.node), std::move(bytes)});
  }
  if (step->delete_vcluster) {
    master::v1::Vcluster record = vcluster->second.vcluster->record;
    record.set_phase(master::v1::DELETING);
    RETURN_IF_ERROR(Store({std::move(record)}, std::move(changes)));
  } else {
    RETURN_IF_ERROR(Commit(std::move(changes)));
  }
  jobs_.Put(std::move(step->job));
  return Ok();
}

ClusterSeen Master::SeenFor(const Entry& entry, const NodeStates& states) const {
  const Vcluster& vcluster = *entry.vcluster;
  ClusterSeen seen;
  seen.exists = true;
  seen.deleting = vcluster.record.phase() == master::v1::DELETING;
  seen.first_role = vcluster.definition.roles.front().name;
  seen.ready = true;
  seen.problem = BreakdownIn(vcluster, states);
  for (const master::v1::Node& node : vcluster.record.nodes()) {
    if (node.leaving()) continue;
    NodeSeen& out = seen.nodes.emplace_back();
    out.index = node.index();
    out.incarnation = node.incarnation();
    out.name = node.role() + "-" + std::to_string(node.ordinal());
    out.role = node.role();
    out.ordinal = node.ordinal();
    out.wanted = node.wanted();
    out.lost = !node.host().empty() && !hosts_.contains(node.host());
    const auto state = states.find(node.index());
    if (state != states.end()) {
      out.ready = node.wanted() && !node.has_move() && state->second.state() == host::v1::READY;
      out.problem = state->second.problem();
      for (const host::v1::TaskRun& run : state->second.tasks()) out.runs[run.id()] = &run;
    } else if (out.lost) {
      out.problem = "its host '" + node.host() + "' is lost";
    }
    if (out.wanted && !out.ready) seen.ready = false;
  }
  return seen;
}

void Master::RemoveOldJobs() {
  for (const uint32_t number : jobs_.Outdated(NowUnixMs())) {
    if (Status removed = EraseJob(number); !removed.ok()) {
      LOG_WARNING("job " + std::to_string(number) + ": " + removed.error().message());
      return;
    }
  }
}

}  // namespace strata::vcluster
