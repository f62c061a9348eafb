// `strata-node serve`: starts containers for vclusterd, each in a process that is forked off and
// stays as its monitor. So liblxc is loaded, and its relocations are done, once and not per
// container, and the monitors of all containers share these pages. REQUIRES: a process without
// other threads.
//
// Over a SOCK_SEQPACKET socket, one message after the other: a request is kStartRequest with the
// descriptors of a StartNodeRequest's file, of a file for errors, of the detached mount of the
// root, of a socket, and of the mounts of the volumes; the answer, at once, is kStarterRuns and the
// pid of the process, with a pidfd of it, or the text of an error. When the container runs, its
// process 1 sends a message over that socket, awaits one, unlocks the request's lock and sends
// another. When it cannot run, the process ends; where it can say why, that is a line in the file
// of errors.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::vcluster {

// Until the other end of the socket is closed. Processes that were forked off go on. Of the host's
// mounts they see those that liblxc uses and those on the way to paths of `needed`, as they were
// when this began. `title`: this program's arguments in memory; ps shows them (proc(5), cmdline),
// and of a process that was forked off the name of its container.
Status ServeStarts(UniqueFd socket, const std::vector<std::string>& needed, std::span<char> title);

}  // namespace strata::vcluster
