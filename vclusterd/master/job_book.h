// JobBook: the jobs that a master has, as their records are, by number and by Vcluster.
//
// Not thread-safe: the master holds its lock. Records are never changed once they are there.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "vclusterd/api/jobs.pb.h"

namespace strata::vcluster {

using JobPtr = std::shared_ptr<const jobs::v1::Job>;

inline constexpr size_t kJobRecordBytesMax = 256 << 10;
inline constexpr size_t kActiveJobsMax = 50;    // Of one user.
inline constexpr size_t kFinishedJobsMax = 20;  // Of one user; older ones are removed.
inline constexpr int64_t kFinishedJobAgeMaxMs = int64_t{30} * 86'400'000;

// A job as it is shown.
struct JobView {
  JobPtr job;
  std::string notice;  // What it waits for.
};

std::string JobKey(uint32_t number);
// Of what the task's run in this node wrote.
std::string OutputKey(uint32_t job, uint32_t task, uint32_t node);

class JobBook {
 public:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  // kCorrupt for what is no record of a job.
  Status Load(const std::string& key, std::string_view bytes);
  void Put(jobs::v1::Job job);
  void Remove(uint32_t number);

  JobPtr Find(uint32_t number) const;
  std::vector<JobPtr> All() const;
  // Those that are not done.
  std::vector<JobPtr> ActiveOf(uint32_t vcluster) const;
  size_t ActiveOfOwner(uint32_t uid) const;
  // Jobs that have been done for too long, or of which their owner has too many.
  std::vector<uint32_t> Outdated(int64_t now_unix_ms) const;

  // When a job should be looked at again.
  void SetDue(uint32_t number, int64_t unix_ms);
  std::set<uint32_t> DueAt(int64_t unix_ms) const;
  int64_t NextDue() const;

 private:
  struct Entry {
    JobPtr job;
    int64_t due_unix_ms = kNever;
  };
  std::map<uint32_t, Entry> jobs_;
  std::map<uint32_t, std::set<uint32_t>> active_;  // By Vcluster.
};

}  // namespace strata::vcluster
