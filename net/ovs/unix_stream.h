// A connection to a daemon's socket in which every wait has an end. Not part of the interface of
// net/ovs. One thread at a time.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::net {

class UnixStream {
 public:
  using Clock = std::chrono::steady_clock;

  // kUnavailable when nobody listens there.
  static Result<UnixStream> Connect(const std::string& path);
  // For tests: one that is connected already. `name` stands for its path in errors.
  UnixStream(UniqueFd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}

  // kDeadlineExceeded, or kUnavailable when the other end is gone.
  Status Send(std::string_view bytes, Clock::time_point until);
  // What has come, at least a byte.
  Result<std::string> Receive(size_t bytes_max, Clock::time_point until);
  const std::string& name() const { return name_; }

 private:
  Status WaitFor(short events, Clock::time_point until);

  UniqueFd fd_;
  std::string name_;
};

}  // namespace strata::net
