#include "imaged/transfer/request_writer.h"

#include <utility>

namespace strata::imaged::transfer {

RequestWriter::RequestWriter(Send send, std::function<void()> on_error)
    : send_(std::move(send)), on_error_(std::move(on_error)), thread_([this] { Run(); }) {}

RequestWriter::~RequestWriter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void RequestWriter::Post(v1::TransferRequest request) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(request));
  }
  changed_.notify_all();
}

Status RequestWriter::Drain() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return queue_.empty() || !status_.ok(); });
  return status_;
}

Status RequestWriter::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

uint64_t RequestWriter::bytes_sent() const {
  const std::lock_guard lock(mutex_);
  return bytes_sent_;
}

void RequestWriter::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    const v1::TransferRequest& request = queue_.front();  // Push at the end leaves it in place.
    lock.unlock();
    const Status sent = send_(request);
    const uint64_t size = request.ByteSizeLong();
    lock.lock();
    queue_.pop_front();
    if (sent.ok()) {
      bytes_sent_ += size;
    } else {
      status_ = sent;
    }
    changed_.notify_all();
    if (sent.ok()) continue;
    lock.unlock();
    on_error_();
    return;
  }
}

}  // namespace strata::imaged::transfer
