// Jobs as text.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "vclusterd/api/job_service.pb.h"

namespace strata::tools {

// One line for each job.
void PrintJobTable(const jobs::v1::Jobs& jobs, std::ostream& out);
// The job, then a line for each run of each task.
void PrintJob(const jobs::v1::JobInfo& info, std::ostream& out);
// Each line behind the node's name. A last line without an end gets one.
void PrintRunOutput(const jobs::v1::RunOutput& output, std::ostream& out);

// What has changed of the tasks of a job that is watched, a line for each. Used by one thread.
class TaskLines {
 public:
  void Print(const jobs::v1::JobInfo& info, std::ostream& out);

 private:
  std::vector<std::string> last_;  // By task.
  std::string notice_;
};

}  // namespace strata::tools
