// What users do with jobs: every operation of JobService, without gRPC. Names and rights are looked
// after here; the master has the jobs go on.
//
// Who sees a job, and may do something to it, is who may run commands in Vclusters of its owner
// (Operation::kVclusterExec); others are told that there is none. Thread-safe.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "vclusterd/definition/job.h"
#include "vclusterd/master/clusters.h"
#include "vclusterd/master/job_book.h"

namespace strata::vcluster {

// What a run wrote: the end of it.
struct JobOutput {
  std::string task;
  std::string node;
  uint32_t attempt = 0;
  std::string bytes;
  uint64_t bytes_in_all = 0;
  bool running = false;  // It may write more.
};

class Jobs {
 public:
  // `clusters` must outlive this.
  explicit Jobs(Clusters& clusters)
      : clusters_(clusters), master_(clusters.master()), users_(clusters.users()) {}
  const Master& master() const { return master_; }

  // The job is durable when it answers, and so is the Vcluster that it makes, which becomes the
  // caller's. kNotFound: the caller has no such Vcluster. kInvalidArgument: it lacks a place that
  // a task names. kResourceExhausted: the caller has too many jobs.
  Result<JobView> Submit(const Caller& caller, const JobDefinition& definition);
  // The newest first: his own, or all that he may see.
  Result<std::vector<JobView>> List(const Caller& caller, bool all);
  Result<JobView> Find(const Caller& caller, const std::string& job);
  Result<JobView> Cancel(const Caller& caller, const std::string& job);
  Status Delete(const Caller& caller, const std::string& job);

  std::string OwnerOf(const JobView& view) const { return users_.NameOf(view.job->owner_uid()); }

  // Tells the job as it is, and after changes of it, until it is done; `output` (optional) gets
  // what each attempt wrote, after its end. Either answers false to end it.
  using OnJob = std::function<bool(const JobView&)>;
  using OnOutput = std::function<bool(const JobOutput&)>;
  Status Watch(const Caller& caller, const std::string& job, const OnJob& changed,
               const OnOutput& output, const CancelToken& cancel);
  // Of runs that have written something; empty `task`, `node`: of all.
  Status Outputs(const Caller& caller, const std::string& job, const std::string& task,
                 const std::string& node, const OnOutput& output);

 private:
  Result<JobOutput> OutputOf(const jobs::v1::Job& job, uint32_t task, const jobs::v1::Run& run);

  Target TargetOf(const jobs::v1::Job& job) const;
  bool Sees(const Caller& caller, const jobs::v1::Job& job) const;
  Result<JobView> SubmitOnOwn(const Caller& caller, const JobDefinition& definition,
                              jobs::v1::Job job);

  Clusters& clusters_;
  Master& master_;
  Users& users_;
};

}  // namespace strata::vcluster
