// Sends a receiver's requests from a thread of its own, so that the receiver never waits for the
// sender while the sender waits for the receiver. The queue is as long as the receiver's window of
// wants allows.
//
// Thread-safe. The destructor drops what has not been sent; when the stream may block, cancel it
// first.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "common/result.h"
#include "imaged/api/transfer.pb.h"

namespace strata::imaged::transfer {

class RequestWriter {
 public:
  using Send = std::function<Status(const v1::TransferRequest&)>;

  // `on_error` is called once, from the thread, after the first send that failed; nothing more is
  // sent then.
  RequestWriter(Send send, std::function<void()> on_error);
  ~RequestWriter();

  void Post(v1::TransferRequest request);
  // Waits until all that was posted is sent, or failed.
  Status Drain();
  Status status() const;
  uint64_t bytes_sent() const;

 private:
  void Run();

  const Send send_;
  const std::function<void()> on_error_;
  mutable std::mutex mutex_;  // Guards all below but thread_.
  std::condition_variable changed_;
  std::deque<v1::TransferRequest> queue_;  // The first one is being sent.
  bool stopping_ = false;
  Status status_ = Ok();
  uint64_t bytes_sent_ = 0;
  std::thread thread_;
};

}  // namespace strata::imaged::transfer
