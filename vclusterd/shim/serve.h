// `strata-node serve`: starts containers for vclusterd, each in a process that is forked off. So
// liblxc is loaded, and its relocations are done, once and not per container, and the monitors of
// all containers share these pages. REQUIRES: a process without other threads.
//
// Over a SOCK_SEQPACKET socket, one message after the other: a request is kStartRequest with the
// descriptors of a StartNodeRequest's file, of a file for errors, of the detached mount of the root
// and of those of the volumes; the answer, at once, is kStarterRuns with a pidfd of the process, or
// the text of an error. Whoever asked waits for the process; a record was written if it succeeded,
// and one line to the file of errors if not.
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::vcluster {

// Until the other end of the socket is closed. Processes that were forked off go on.
Status ServeStarts(UniqueFd socket);

}  // namespace strata::vcluster
