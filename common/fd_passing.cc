#include "common/fd_passing.h"

#include <sys/socket.h>

#include <cstring>

namespace strata {
namespace {

constexpr size_t kControlBytes =
    CMSG_SPACE(kPassedFdsMax * sizeof(int)) + CMSG_SPACE(sizeof(ucred));

struct Control {
  alignas(cmsghdr) char bytes[kControlBytes];
};

}  // namespace

Result<std::pair<UniqueFd, UniqueFd>> MessageSockets() {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return Errno("socketpair");
  }
  return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

Status SendPassing(int socket, std::string_view bytes, const std::vector<int>& fds) {
  if (fds.size() > kPassedFdsMax) {
    return Error(Code::kInvalidArgument, "too many descriptors for one message");
  }
  iovec data = {const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  Control control;
  if (!fds.empty()) {
    const size_t size = fds.size() * sizeof(int);
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(size);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(header), fds.data(), size);
  }
  while (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    if (errno == EPIPE || errno == ECONNRESET) {
      return Error(Code::kUnavailable, "nobody receives any more");
    }
    return Errno("sendmsg");
  }
  return Ok();
}

Result<PassedMessage> ReceivePassed(int socket, size_t bytes_max) {
  PassedMessage received;
  received.bytes.resize(bytes_max);
  iovec data = {received.bytes.data(), received.bytes.size()};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  Control control;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof(control.bytes);
  ssize_t size = 0;
  while ((size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Error(Code::kDeadlineExceeded, "no message came");
    if (errno != ECONNRESET) return Errno("recvmsg");
    size = 0;
    message.msg_controllen = 0;
    break;
  }
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS) {
      ucred credentials;
      std::memcpy(&credentials, CMSG_DATA(header), sizeof(credentials));
      received.sender = credentials.pid;
    }
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      received.fds.emplace_back(fd);
    }
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return Error(
        Code::kCorrupt,
        "a message is longer than it may be, or its descriptors are too many for this process");
  }
  received.bytes.resize(static_cast<size_t>(size));
  return received;
}

}  // namespace strata
