// Checksums of what nodes send. The datapath inside of ovs-vswitchd takes frames as they are: what
// a node leaves to hardware that is not there arrives with a wrong checksum, so that ping works and
// TCP does not. Who sends has to fill them in, which is set at the node's end of its link.
#pragma once

#include <string>

#include "common/result.h"

namespace strata::net {

// Has the kernel fill in the checksums of what is sent by this link, of the network namespace of
// the calling thread.
Status FillInChecksums(const std::string& link);

// The same in the network namespace of the process of `pid_fd`; the calling thread stays where it
// is. Whatever link has that name there is set, and nothing else: who lives there is not trusted.
Status FillInChecksumsOf(int pid_fd, const std::string& link);

}  // namespace strata::net
