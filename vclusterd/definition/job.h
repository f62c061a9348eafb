// A batch job as its user defines it: what a job file says (docs/jobs.md), once it was read and
// checked. Plain values; nothing in here depends on a host.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "vclusterd/definition/definition.h"

namespace strata::vcluster {

inline constexpr size_t kTasksMax = 64;
inline constexpr size_t kTaskRunsMax = 1000;  // Tasks times their nodes, of one job.
inline constexpr size_t kTaskNameSizeMax = 30;
inline constexpr size_t kTaskRetriesMax = 100;
inline constexpr size_t kJobTextBytesMax = 64 << 10;  // Of all commands and variables.

// Where a task's command runs: in a whole role, one node of it, or all nodes. Default: the first
// node of the first role.
struct TaskPlace {
  std::string role;  // Empty: the first one.
  std::optional<uint32_t> ordinal = 0;
  bool all = false;
  bool operator==(const TaskPlace&) const = default;
};

struct TaskDefinition {
  std::string name;
  std::vector<std::string> argv;
  TaskPlace on;
  std::vector<std::string> after;      // Tasks that have to be done before it begins.
  std::chrono::seconds timeout{3600};  // Of each attempt in each node.
  uint32_t retries = 0;                // In each node.
  std::chrono::seconds retry_delay{10};
  std::map<std::string, std::string> env;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string directory;       // Empty: the user's home.
  bool allow_failure = false;  // The job goes on, and succeeds, as if it had succeeded.
  bool operator==(const TaskDefinition&) const = default;
};

// Whether a Vcluster that was made for the job is kept when it ends.
enum class JobKeep { kNever, kOnFailure, kAlways };

struct JobDefinition {
  std::string name;
  std::string vcluster;              // "[OWNER/]NAME" of one that exists; or else…
  std::optional<Definition> create;  // …one that is made for the job.
  bool names_created = false;        // The file says what that is called.
  JobKeep keep = JobKeep::kNever;
  std::chrono::seconds timeout{86'400};  // From when it is handed in.
  std::vector<TaskDefinition> tasks;     // In the file's order, without a circle.
  bool operator==(const JobDefinition&) const = default;
};

// The text of the Vcluster file that a job file names, as its reader finds it.
using FileSource = std::function<Result<std::string>(const std::string& path)>;

// YAML or JSON within the limits of document.h. kInvalidArgument names every fault with its place,
// "FILE:LINE:COLUMN: tasks.compute.after: there is no task 'prepar' (did you mean 'prepare'?)"; an
// error of `files` is one. Pure but for `files`; thread-safe.
Result<JobDefinition> ParseJob(std::string_view text, const std::string& file_name,
                               const FileSource& files);

// Whether the tasks' places exist in a Vcluster, and all their runs are not too many.
// kInvalidArgument: "tasks.compute.on: …".
Status CheckPlaces(const JobDefinition& job, const Definition& vcluster);

// docs/job.schema.json: JSON Schema, draft 2020-12.
std::string_view JobSchema();

}  // namespace strata::vcluster
