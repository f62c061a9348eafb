// A stream between a sender and a receiver of one process: two short queues of serialised messages,
// so that both sides block as on a network.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "imaged/transfer/receiver.h"
#include "imaged/transfer/sender.h"

namespace strata::imaged::transfer::testing {

class MessageQueue {
 public:
  explicit MessageQueue(size_t length_max) : length_max_(length_max) {}

  // False: it is closed.
  bool Push(std::string message) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || messages_.size() < length_max_; });
    if (closed_) return false;
    messages_.push_back(std::move(message));
    changed_.notify_all();
    return true;
  }
  // False: it is closed and empty.
  bool Pop(std::string* message) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || !messages_.empty(); });
    if (messages_.empty()) return false;
    *message = std::move(messages_.front());
    messages_.pop_front();
    changed_.notify_all();
    return true;
  }
  void Close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  const size_t length_max_;
  std::mutex mutex_;  // Guards the rest.
  std::condition_variable changed_;
  std::deque<std::string> messages_;
  bool closed_ = false;
};

class MemoryStream {
 public:
  explicit MemoryStream(size_t length_max = 2) : requests_(length_max), pieces_(length_max) {}

  SenderChannel ForSender() {
    return {[this](v1::TransferRequest* request) -> Result<bool> {
              std::string message;
              return requests_.Pop(&message) && request->ParseFromString(message);
            },
            [this](const v1::Piece& piece) -> Status { return Push(&pieces_, piece); }};
  }
  ReceiverChannel ForReceiver() {
    return {[this](const v1::TransferRequest& request) { return Push(&requests_, request); },
            [this](v1::Piece* piece) -> Result<bool> {
              std::string message;
              return pieces_.Pop(&message) && piece->ParseFromString(message);
            },
            [this] { Close(); }};
  }
  void Close() {
    requests_.Close();
    pieces_.Close();
  }

 private:
  template <typename Message>
  static Status Push(MessageQueue* queue, const Message& message) {
    if (queue->Push(message.SerializeAsString())) return Ok();
    return Error(Code::kUnavailable, "the stream is closed");
  }

  MessageQueue requests_;
  MessageQueue pieces_;
};

}  // namespace strata::imaged::transfer::testing
