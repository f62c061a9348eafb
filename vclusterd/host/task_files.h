// What a host knows of runs of jobs' tasks, on disk: one file for each, there before the run
// begins, and written again with its end (docs/formats.md, "Runs of tasks").
//
// Thread-safe for different runs.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "vclusterd/api/host.pb.h"

namespace strata::vcluster {

class TaskFiles {
 public:
  struct Found {
    std::string node;  // "7-1"
    host::v1::TaskRun run;
    bool readable = true;  // Otherwise only its id is known.
  };

  // Makes the directory.
  static Result<TaskFiles> Open(std::string directory);

  // Everything that is there; files that no run is called like are removed.
  Result<std::vector<Found>> Load() const;
  // Durable.
  Status Write(const std::string& node, const host::v1::TaskRun& run) const;
  // After a power cut it may be there again.
  void Remove(const std::string& node, const std::string& run) const;

 private:
  explicit TaskFiles(std::string directory) : directory_(std::move(directory)) {}
  std::string PathOf(const std::string& node, const std::string& run) const;

  std::string directory_;
};

}  // namespace strata::vcluster
