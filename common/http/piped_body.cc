#include "common/http/piped_body.h"

#include <algorithm>
#include <exception>

#include "common/log.h"

namespace strata::http {
namespace {

constexpr size_t kBufferBytes = 512 * 1024;

}  // namespace

PipedBody::PipedBody(std::string what, Producer produce)
    : what_(std::move(what)), thread_([this, produce = std::move(produce)] { Run(produce); }) {}

PipedBody::~PipedBody() {
  Cancel();
  thread_.join();
}

void PipedBody::Cancel() {
  // Under the lock, so that nobody misses it between looking and waiting.
  const std::lock_guard lock(mutex_);
  cancel_.Cancel();
  changed_.notify_all();
}

void PipedBody::Run(const Producer& produce) {
  Status status;
  try {
    status = produce([this](std::string_view data) { return Push(data); }, cancel_);
  } catch (const std::exception& e) {
    status = Error(Code::kInternal, e.what());
  }
  if (!status.ok() && !cancel_.cancelled()) {
    LOG_WARNING(what_ + ": " + status.error().message());
  }
  const std::lock_guard lock(mutex_);
  status_ = std::move(status);
  ended_ = true;
  changed_.notify_all();
}

Status PipedBody::Push(std::string_view data) {
  while (!data.empty()) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return cancel_.cancelled() || buffer_.size() < kBufferBytes; });
    RETURN_IF_ERROR(cancel_.Check());
    const size_t size = std::min(data.size(), kBufferBytes - buffer_.size());
    buffer_.append(data.substr(0, size));
    data.remove_prefix(size);
    changed_.notify_all();
  }
  return Ok();
}

Result<size_t> PipedBody::Read(char* buffer, size_t size) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return cancel_.cancelled() || ended_ || !buffer_.empty(); });
  RETURN_IF_ERROR(cancel_.Check());
  if (buffer_.empty()) {
    RETURN_IF_ERROR(status_);
    return size_t{0};
  }
  const size_t taken = std::min(size, buffer_.size() - taken_);
  buffer_.copy(buffer, taken, taken_);
  taken_ += taken;
  if (taken_ == buffer_.size()) {  // The producer fills it again when all of it was taken.
    buffer_.clear();
    taken_ = 0;
    changed_.notify_all();
  }
  return taken;
}

}  // namespace strata::http
