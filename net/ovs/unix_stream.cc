#include "net/ovs/unix_stream.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

namespace strata::net {

Result<UnixStream> UnixStream::Connect(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return Error(Code::kInvalidArgument, path + " is too long for the path of a socket");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Errno("socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return Error(Code::kUnavailable, path + ": " + std::strerror(errno), errno);
  }
  return UnixStream(std::move(fd), path);
}

Status UnixStream::WaitFor(short events, Clock::time_point until) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    pollfd entry = {fd_.get(), events, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::clamp<int64_t>(left, 0, 1 << 30)));
    if (ready > 0) return Ok();
    if (ready == 0) return Error(Code::kDeadlineExceeded, name_ + ": no answer in time");
    if (errno != EINTR) return Errno("poll " + name_);
  }
}

Status UnixStream::Send(std::string_view bytes, Clock::time_point until) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EAGAIN) {
      RETURN_IF_ERROR(WaitFor(POLLOUT, until));
    } else if (errno != EINTR) {
      return Error(Code::kUnavailable, name_ + ": " + std::strerror(errno), errno);
    }
  }
  return Ok();
}

Result<std::string> UnixStream::Receive(size_t bytes_max, Clock::time_point until) {
  std::string bytes(bytes_max, '\0');
  for (;;) {
    const ssize_t received = ::recv(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (received > 0) {
      bytes.resize(static_cast<size_t>(received));
      return bytes;
    }
    if (received == 0) return Error(Code::kUnavailable, name_ + ": the connection was closed");
    if (errno == EAGAIN) {
      RETURN_IF_ERROR(WaitFor(POLLIN, until));
    } else if (errno != EINTR) {
      return Error(Code::kUnavailable, name_ + ": " + std::strerror(errno), errno);
    }
  }
}

}  // namespace strata::net
