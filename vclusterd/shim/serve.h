// `strata-node serve`: starts containers for vclusterd, each in a process that is forked off and
// stays as its monitor. So liblxc is loaded, and its relocations are done, once and not per
// container, and the monitors of all containers share these pages. REQUIRES: a process without
// other threads.
//
// Over a SOCK_SEQPACKET socket, one message after the other: a request is kStartRequest with the
// descriptors of a StartNodeRequest's file, of a file for errors, of the detached mount of the
// root, of a socket, and of the mounts of the volumes; the answer, at once, is kStarterRuns with a
// pidfd of the process, or the text of an error. When the container runs, its process 1 sends a
// message over the socket; when it cannot run, the process ends, after a line to the file of
// errors.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::vcluster {

// Until the other end of the socket is closed. Processes that were forked off go on. Of the host's
// mounts they see those that are needed for `nodes_dir`, where the directories of nodes are, for
// `files` and for liblxc, as they were when this began. `files` are what all nodes mount from the
// host: nobody in a node can make them writable.
Status ServeStarts(UniqueFd socket, const std::string& nodes_dir,
                   const std::vector<std::string>& files);

}  // namespace strata::vcluster
