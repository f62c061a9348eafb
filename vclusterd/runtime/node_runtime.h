// Containers of this host: start, adopt, stop, freeze, and the removal of whatever a container
// left.
//
// The runtime holds no state about containers: each is known by its record in the run directory,
// and by process ids that are compared with their start times. So any vclusterd may take over where
// another was killed. Starting goes through `strata-node` (node_starter.h); stopping and freezing
// need only a pidfd and the cgroup, and are done here.
//
// Thread-safe for different nodes; calls for one node must not overlap (a freeze and its thaw may
// run beside Find and Exec).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/subprocess.h"
#include "common/unique_fd.h"
#include "vclusterd/runtime/node_spec.h"
#include "vclusterd/runtime/node_starter.h"
#include "vclusterd/runtime/ssh_keys.h"
#include "vclusterd/shim/node_record.h"
#include "vclusterd/shim/node_request.h"

namespace strata::vcluster {

class NodeRuntime {
 public:
  // Checks the layout: kFailedPrecondition names what is missing or cannot be passed by everybody
  // (process 1 of a container, an unprivileged user here, must reach its mounts).
  static Result<NodeRuntime> Create(HostLayout host);

  const HostLayout& host() const { return host_; }

  // Starts the node on the detached mount `root`, with one for each of its volumes. After an error
  // nothing of it is left.
  Result<NodeRecord> Start(const NodeSpec& spec, UniqueFd root,
                           std::vector<UniqueFd> volumes = {}) const;

  // The record of a node that runs; nullopt when it does not. Waits for a start that another
  // vclusterd began.
  Result<std::optional<NodeRecord>> Find(const std::string& id) const;

  // Whether it was started since it was cleared up last, on a host that is up since then.
  bool HasRecord(const std::string& id) const;

  static bool IsRunning(const NodeRecord& record);

  // The node's files anew, after what they say has changed.
  Status WriteFiles(const NodeSpec& spec) const;

  // SIGTERM to process 1, SIGKILL after `grace`; then waits for liblxc's own clearing up and does
  // the rest. A node that does not run is only cleared up.
  Status Stop(const std::string& id, const std::optional<NodeRecord>& record,
              std::chrono::milliseconds grace) const;

  // Removes what a node that does not run left on the host: processes, cgroups, files of the run
  // directory. Nothing there is Ok.
  Status Clear(const std::string& id) const;

  Status Freeze(const NodeRecord& record) const;
  Status Thaw(const NodeRecord& record) const;

  // Starts a command in the node with these descriptors as its 0, 1 and 2. The process is
  // strata-node's; it exits with the command's code, and the command ends with it.
  Result<Subprocess> Exec(const std::string& id, ExecNodeRequest request, int in, int out,
                          int err) const;

 private:
  explicit NodeRuntime(HostLayout host)
      : host_(std::move(host)),
        starter_(std::make_unique<NodeStarter>(host_.node_binary, host_.NeededInStarts())) {}
  HostLayout host_;
  std::unique_ptr<NodeStarter> starter_;
  std::unique_ptr<SshKeyPairs> keys_ = std::make_unique<SshKeyPairs>();
};

}  // namespace strata::vcluster
