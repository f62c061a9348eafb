#include "vclusterd/master/jobs.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "common/printable.h"
#include "vclusterd/jobs/new_job.h"
#include "vclusterd/jobs/run_id.h"

namespace strata::vcluster {
namespace {

constexpr size_t kTextMax = 200;
// Between two states of a job that are told.
constexpr std::chrono::milliseconds kWatchPause(100);

bool HasEnded(const jobs::v1::Run& run) {
  return run.attempt() > 0 && run.phase() != jobs::v1::RUN_RUNNING;
}

}  // namespace

// The Vcluster counts as the job's: a token for one is good for its jobs.
Target Jobs::TargetOf(const jobs::v1::Job& job) const {
  const std::string number = job.number() == 0 ? job.name() : std::to_string(job.number());
  return {job.owner_uid(), "job " + number,
          users_.NameOf(job.vcluster_owner_uid()) + "/" + job.vcluster()};
}

bool Jobs::Sees(const Caller& caller, const jobs::v1::Job& job) const {
  return users_.Allows(caller, Operation::kVclusterExec, TargetOf(job));
}

Result<JobView> Jobs::Submit(const Caller& caller, const JobDefinition& definition) {
  jobs::v1::Job job = NewJob(definition, master_.NowUnixMs());
  job.set_owner_uid(caller.uid);
  if (definition.create.has_value()) return SubmitOnOwn(caller, definition, std::move(job));
  ASSIGN_OR_RETURN(const VclusterPtr vcluster,
                   clusters_.FindForCommands(caller, definition.vcluster));
  const master::v1::Vcluster& record = vcluster->record;
  job.set_vcluster(record.name());
  job.set_vcluster_number(record.number());
  job.set_vcluster_owner_uid(record.owner_uid());
  // He needs the right to run commands there, whose ever it is.
  const std::string name = users_.NameOf(record.owner_uid()) + "/" + record.name();
  return users_.Perform(
      caller, Operation::kVclusterExec, {record.owner_uid(), name, name}, "job " + job.name(),
      [&]() -> Result<JobView> {
        if (record.phase() != master::v1::LIVE) {
          return Error(Code::kFailedPrecondition, "Vcluster " + record.name() + " is not ready");
        }
        RETURN_IF_ERROR(CheckPlaces(definition, vcluster->definition));
        ASSIGN_OR_RETURN(const JobPtr added, master_.AddJob(std::move(job), std::nullopt, {}));
        return JobView{added, ""};
      });
}

Result<JobView> Jobs::SubmitOnOwn(const Caller& caller, const JobDefinition& definition,
                                  jobs::v1::Job job) {
  RETURN_IF_ERROR(CheckDefinition(*definition.create));
  RETURN_IF_ERROR(CheckPlaces(definition, *definition.create));
  job.set_vcluster_owner_uid(caller.uid);
  const std::string name = users_.NameOf(caller.uid) + "/" + definition.create->name;
  const Target target{caller.uid, name, name};
  RETURN_IF_ERROR(users_.Authorize(caller, Operation::kVclusterExec, target));
  return users_.Perform(
      caller, Operation::kVclusterCreate, target, "job " + job.name(), [&]() -> Result<JobView> {
        RETURN_IF_ERROR(master_.CheckVolumes(*definition.create));
        ASSIGN_OR_RETURN(master::v1::Vcluster record,
                         NewVcluster(*definition.create, caller.uid, master_.NowUnixMs()));
        std::function<std::string(uint32_t)> named;
        if (!definition.names_created) {
          named = [&](uint32_t number) { return CreatedName(definition.name, number); };
        }
        ASSIGN_OR_RETURN(const JobPtr added,
                         master_.AddJob(std::move(job), std::move(record), named));
        return JobView{added, ""};
      });
}

Result<std::vector<JobView>> Jobs::List(const Caller& caller, bool all) {
  std::vector<JobView> views = master_.Jobs();
  std::erase_if(views, [&](const JobView& view) {
    return (!all && view.job->owner_uid() != caller.uid) || !Sees(caller, *view.job);
  });
  std::reverse(views.begin(), views.end());
  return views;
}

Result<JobView> Jobs::Find(const Caller& caller, const std::string& text) {
  // What the caller may not see is answered as what does not exist.
  const Error not_found(Code::kNotFound, "no job is called '" + Printable(text, kTextMax) +
                                             "' (see: vcluster job list)");
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool by_number = error == std::errc() && end == text.data() + text.size();
  std::string name = text;
  uint32_t owner = caller.uid;
  if (const size_t slash = text.find('/'); slash != std::string::npos) {
    const auto named = users_.UidOf(text.substr(0, slash));
    if (!named.ok()) return not_found;
    owner = *named;
    name = text.substr(slash + 1);
  }
  std::vector<JobView> views = master_.Jobs();
  for (auto view = views.rbegin(); view != views.rend(); ++view) {
    const jobs::v1::Job& job = *view->job;
    const bool meant =
        by_number ? job.number() == number : job.owner_uid() == owner && job.name() == name;
    if (meant && Sees(caller, job)) return *view;
  }
  return not_found;
}

Result<JobView> Jobs::Cancel(const Caller& caller, const std::string& text) {
  ASSIGN_OR_RETURN(const JobView found, Find(caller, text));
  const uint32_t number = found.job->number();
  RETURN_IF_ERROR(users_.Perform(caller, Operation::kVclusterExec, TargetOf(*found.job), "cancel",
                                 [&] { return master_.CancelJob(number); }));
  return Find(caller, std::to_string(number));
}

Status Jobs::Delete(const Caller& caller, const std::string& text) {
  ASSIGN_OR_RETURN(const JobView found, Find(caller, text));
  return users_.Perform(caller, Operation::kVclusterExec, TargetOf(*found.job), "delete",
                        [&] { return master_.RemoveJob(found.job->number()); });
}

Result<JobOutput> Jobs::OutputOf(const jobs::v1::Job& job, uint32_t task,
                                 const jobs::v1::Run& run) {
  JobOutput output;
  output.task = job.tasks(static_cast<int>(task)).name();
  output.node = run.name();
  output.attempt = run.attempt();
  output.running = run.phase() == jobs::v1::RUN_RUNNING;
  if (!output.running) {
    output.bytes_in_all = run.output_bytes();
    if (run.kept_bytes() == 0) return output;
    ASSIGN_OR_RETURN(output.bytes, master_.JobOutput(job.number(), task, run.node()));
    return output;
  }
  const std::shared_ptr<HostLink> link = master_.LinkToNode(job.vcluster_number(), run.node());
  if (link == nullptr) return output;
  const auto looked = link->Look(job.vcluster_number());
  if (!looked.ok()) return output;
  const std::string id = RunId{job.number(), task, run.node(), run.attempt()}.ToString();
  for (const host::v1::NodeStatus& node : looked->nodes()) {
    if (node.index() != run.node()) continue;
    for (const host::v1::TaskRun& told : node.tasks()) {
      if (told.id() != id) continue;
      output.bytes = told.output();
      output.bytes_in_all = told.output_bytes();
    }
  }
  return output;
}

Status Jobs::Watch(const Caller& caller, const std::string& text, const OnJob& changed,
                   const OnOutput& output, const CancelToken& cancel) {
  ASSIGN_OR_RETURN(JobView view, Find(caller, text));
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> told;  // Attempts, by task and node.
  while (true) {
    const jobs::v1::Job& job = *view.job;
    for (int t = 0; output && t < job.tasks_size(); ++t) {
      for (const jobs::v1::Run& run : job.tasks(t).runs()) {
        uint32_t& attempt = told[{static_cast<uint32_t>(t), run.node()}];
        if (!HasEnded(run) || attempt == run.attempt()) continue;
        attempt = run.attempt();
        ASSIGN_OR_RETURN(const JobOutput wrote, OutputOf(job, static_cast<uint32_t>(t), run));
        if (!wrote.bytes.empty() && !output(wrote)) return Ok();
      }
    }
    if (!changed(view) || job.phase() == jobs::v1::DONE) return Ok();
    RETURN_IF_ERROR(cancel.WaitFor(kWatchPause));
    ASSIGN_OR_RETURN(view, master_.AwaitJob(job.number(), job.revision(), cancel));
  }
}

Status Jobs::Outputs(const Caller& caller, const std::string& text, const std::string& task,
                     const std::string& node, const OnOutput& output) {
  ASSIGN_OR_RETURN(const JobView view, Find(caller, text));
  const jobs::v1::Job& job = *view.job;
  bool task_known = task.empty();
  bool node_known = node.empty();
  for (int t = 0; t < job.tasks_size(); ++t) {
    if (!task.empty() && job.tasks(t).name() != task) continue;
    task_known = true;
    for (const jobs::v1::Run& run : job.tasks(t).runs()) {
      if (!node.empty() && run.name() != node) continue;
      node_known = true;
      if (run.attempt() == 0) continue;
      ASSIGN_OR_RETURN(const JobOutput wrote, OutputOf(job, static_cast<uint32_t>(t), run));
      if (!wrote.bytes.empty() && !output(wrote)) return Ok();
    }
  }
  if (!task_known) {
    return Error(Code::kNotFound, "job " + std::to_string(job.number()) + " has no task '" +
                                      Printable(task, kTextMax) + "'");
  }
  if (!node_known) {
    return Error(Code::kNotFound, "job " + std::to_string(job.number()) + " has no run in '" +
                                      Printable(node, kTextMax) + "'");
  }
  return Ok();
}

}  // namespace strata::vcluster
