#include "vclusterd/jobs/new_job.h"

#include <algorithm>

namespace strata::vcluster {
namespace {

constexpr uint32_t kVersion = 1;

jobs::v1::Keep KeepOf(JobKeep keep) {
  switch (keep) {
    case JobKeep::kNever:
      return jobs::v1::NEVER;
    case JobKeep::kOnFailure:
      return jobs::v1::ON_FAILURE;
    case JobKeep::kAlways:
      return jobs::v1::ALWAYS;
  }
  return jobs::v1::NEVER;
}

void SetTask(const JobDefinition& job, const TaskDefinition& task, jobs::v1::Task* out) {
  out->set_name(task.name);
  out->mutable_argv()->Assign(task.argv.begin(), task.argv.end());
  out->mutable_on()->set_role(task.on.role);
  out->mutable_on()->set_all(task.on.all);
  if (task.on.ordinal.has_value()) out->mutable_on()->set_ordinal(*task.on.ordinal);
  for (const std::string& name : task.after) {
    const auto before =
        std::find_if(job.tasks.begin(), job.tasks.end(),
                     [&](const TaskDefinition& other) { return other.name == name; });
    out->add_after(static_cast<uint32_t>(before - job.tasks.begin()));
  }
  out->set_timeout_s(static_cast<uint32_t>(task.timeout.count()));
  out->set_retries(task.retries);
  out->set_retry_delay_s(static_cast<uint32_t>(task.retry_delay.count()));
  for (const auto& [name, value] : task.env) out->add_env(name + "=" + value);
  out->set_uid(task.uid);
  out->set_gid(task.gid);
  out->set_directory(task.directory);
  out->set_allow_failure(task.allow_failure);
}

}  // namespace

jobs::v1::Job NewJob(const JobDefinition& definition, int64_t now_unix_ms) {
  jobs::v1::Job job;
  job.set_version(kVersion);
  job.set_revision(1);
  job.set_name(definition.name);
  job.set_keep(KeepOf(definition.keep));
  job.set_timeout_s(static_cast<uint32_t>(definition.timeout.count()));
  job.set_created(definition.create.has_value());
  job.set_submitted_unix_ms(now_unix_ms);
  for (const TaskDefinition& task : definition.tasks) SetTask(definition, task, job.add_tasks());
  return job;
}

std::string CreatedName(const std::string& job_name, uint32_t number) {
  const std::string end = "-" + std::to_string(number);
  std::string start = job_name.substr(0, kNameSizeMax - end.size());
  while (start.ends_with('-')) start.pop_back();
  return start + end;
}

}  // namespace strata::vcluster
