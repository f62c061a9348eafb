// NodeTasks: runs of jobs' tasks in the nodes of this host, as orders name them.
//
// A run begins at most once: a file says so before it does (task_files.h). One that was under way
// when this process ended, however it ended, is told as lost by the next, after what is left of it
// was killed. A run that no order names any more is killed and forgotten.
//
// Thread-safe. Nothing of it waits for a run, but Close.
//
// Lock order: mutex_ is a leaf, but for the work queue's own. The callbacks are called without it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "common/work_queue.h"
#include "vclusterd/api/host.pb.h"
#include "vclusterd/host/node_command.h"
#include "vclusterd/host/node_life.h"
#include "vclusterd/host/task_files.h"
#include "vclusterd/shim/node_record.h"

namespace strata::vcluster {

// Of the outputs of runs that one status of a part holds (host.proto), and that all statuses of one
// message do: a message of a worker has at most 4 MiB.
inline constexpr size_t kPartOutputBytesMax = 256 << 10;
inline constexpr size_t kMessageOutputBytesMax = 1u << 20;

class NodeTasks {
 public:
  // How this speaks to who owns the nodes. From threads of this.
  struct Owner {
    std::function<void(const std::string& node)> ended;     // A run of it has.
    std::function<bool(const std::string& node)> stopping;  // Its end is meant.
  };
  struct Wanted {
    host::v1::TaskOrder order;
    host::v1::TaskCommand command;
  };
  // A node where commands may begin.
  struct Place {
    ExecTarget target;
    ProcessId init;
    std::string hostnames;  // Of all nodes of the Vcluster: "master-0,worker-0".
  };

  // `life` must outlive the result.
  static Result<std::unique_ptr<NodeTasks>> Open(const NodeLife& life, const std::string& directory,
                                                 Owner owner);
  ~NodeTasks() { Close(); }

  // What an earlier process left, once all nodes are known: `init_of` answers a node's process 1
  // (0: it does not run), nullopt: there is no such node. Before anything else.
  Status Recover(const std::function<std::optional<pid_t>(const std::string& node)>& init_of);

  // The runs that the node should have. Without a place none begins now.
  void Sync(const std::string& node, const std::vector<Wanted>& wanted,
            const std::optional<Place>& place);
  // Whether Sync with nothing wanted would do nothing.
  bool HasNone(const std::string& node);
  // The node was stopped, and is gone.
  void Forget(const std::string& node);

  // `live`: also what runs have written that still run. `output_left`: how many bytes of outputs
  // there is room for; a run whose end does not fit is told as running.
  void AddStatus(const std::string& node, bool live, size_t* output_left,
                 host::v1::NodeStatus* status);

  // Kills what runs, without a word; the next process tells it as lost.
  void Close();

 private:
  struct Run {
    std::string node;
    Wanted wanted;
    Place place;
    CancelToken cancel;
    // What follows is guarded by mutex_.
    host::v1::TaskRun told;  // With its output once it has ended.
    OutputEnd output;
    bool begun = false;
    bool ended = false;
    bool dropped = false;  // No order names it: nothing is told of it.
    bool stopped = false;
    Run();
  };
  using RunPtr = std::shared_ptr<Run>;

  NodeTasks(const NodeLife& life, TaskFiles files, Owner owner);

  void Work(const RunPtr& run);
  // Fills in how it ended.
  Status RunCommand(const RunPtr& run, host::v1::TaskRun* told);
  void End(const RunPtr& run, host::v1::TaskRun told);
  bool EndedWithNode(const Run& run, const UniqueFd& init, int exit_code) const;
  // REQUIRES of both: mutex_ is held.
  void Begin(const std::string& node, const Wanted& wanted, const Place& place);
  void Drop(const RunPtr& run);

  const NodeLife& life_;
  const TaskFiles files_;
  const Owner owner_;
  CancelToken closing_;
  std::mutex mutex_;                                           // Guards runs_, and what Run says.
  std::map<std::string, std::map<std::string, RunPtr>> runs_;  // By node and id.
  WorkQueue queue_;  // Last: its work uses all of the above.
};

}  // namespace strata::vcluster
