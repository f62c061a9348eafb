// Sends what the user types (or pipes in) and the size of his terminal to a program in a node, from
// a thread of its own.
#pragma once

#include <grpcpp/support/sync_stream.h>

#include <thread>

#include "common/result.h"
#include "common/unique_fd.h"
#include "vclusterd/api/vcluster.pb.h"

namespace strata::tools {

class InputForwarder {
 public:
  using Stream = grpc::ClientReaderWriter<vcluster::v1::ExecRequest, vcluster::v1::ExecEvent>;

  // Forwards `input_fd` until its end when it is not -1, otherwise tells the program at once that
  // there is no input; and window sizes when `terminal_fd` is not -1 (REQUIRES: SIGWINCH blocked in
  // all threads). REQUIRES: `stream` outlives this and nobody else writes to it.
  InputForwarder(Stream& stream, int input_fd, int terminal_fd);
  // Waits for the thread. Call when the stream has no more events, or was cancelled.
  ~InputForwarder();
  InputForwarder(const InputForwarder&) = delete;
  InputForwarder& operator=(const InputForwarder&) = delete;

 private:
  void Forward();
  // Each false when the call is over.
  bool SendInput();
  bool SendEnd();
  bool SendSize();

  Stream& stream_;
  int input_fd_;
  const int terminal_fd_;
  UniqueFd stop_fd_;    // eventfd.
  UniqueFd signal_fd_;  // SIGWINCH.
  std::thread thread_;
};

}  // namespace strata::tools
