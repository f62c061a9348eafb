// Messages with descriptors between processes of one host, over a SOCK_SEQPACKET socket (unix(7),
// SCM_RIGHTS). No state; thread-safe for different sockets.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata {

inline constexpr size_t kPassedFdsMax = 253;  // SCM_MAX_FD of the kernel.

struct PassedMessage {
  std::string bytes;  // Empty: the other side has closed its end.
  std::vector<UniqueFd> fds;
  pid_t sender = 0;  // As this process sees it, of a socket with SO_PASSCRED.
};

// Both ends of such a socket, close-on-exec.
Result<std::pair<UniqueFd, UniqueFd>> MessageSockets();

// The whole message or none. REQUIRES: some bytes. kUnavailable: nobody holds the other end.
Status SendPassing(int socket, std::string_view bytes, const std::vector<int>& fds);

// Waits for a message, as long as the socket's SO_RCVTIMEO says (kDeadlineExceeded). Descriptors
// are close-on-exec. kCorrupt: a message longer than `bytes_max`, or with more descriptors than
// kPassedFdsMax or than this process may have.
Result<PassedMessage> ReceivePassed(int socket, size_t bytes_max);

}  // namespace strata
