#include "layerfs/objects/interruptible.h"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>

#include "common/file_io.h"

namespace strata::layerfs {
namespace {

constexpr std::chrono::milliseconds kLookAgain(100);

// The mask of a line "SigPnd:\t0000000000000100" of /proc/PID/status.
uint64_t SignalMask(const std::string& status, const std::string& field) {
  const size_t at = status.find(field);
  if (at == std::string::npos) return 0;
  return std::strtoull(status.c_str() + at + field.size(), nullptr, 16);
}

}  // namespace

bool IsBeingKilled(pid_t thread) {
  const auto status = ReadFile("/proc/" + std::to_string(thread) + "/status", 1u << 16);
  if (!status.ok()) return true;
  const uint64_t pending = SignalMask(*status, "SigPnd:") | SignalMask(*status, "ShdPnd:");
  return (pending >> (SIGKILL - 1) & 1) != 0;
}

// Order of locks: `mutex`, libfuse's lock of the request, InterruptibleRequests::mutex_.
struct InterruptibleRequests::Request : std::enable_shared_from_this<Request> {
  InterruptibleRequests* owner = nullptr;
  fuse_req_t req = nullptr;
  pid_t thread = 0;  // Whose request it is.
  Answer answer;
  std::atomic<bool> answered{false};
  std::mutex mutex;  // Guards ticket.
  FetchQueue::Ticket ticket = 0;
};

InterruptibleRequests::~InterruptibleRequests() {
  watcher_.request_stop();
  if (watcher_.joinable()) watcher_.join();
}

void InterruptibleRequests::OnInterrupt(fuse_req_t, void* data) {
  Request* const request = static_cast<Request*>(data);
  InterruptibleRequests& owner = *request->owner;
  const std::lock_guard lock(owner.mutex_);
  owner.interrupted_.push_back(request->shared_from_this());
  if (!owner.watcher_.joinable()) {
    owner.watcher_ = std::jthread([&owner](const std::stop_token& stop) { owner.Watch(stop); });
  }
  owner.wake_.notify_one();
}

void InterruptibleRequests::Wait(fuse_req_t req, const Digest& digest, bool verify, Answer answer) {
  const auto request = std::make_shared<Request>();
  request->owner = this;
  request->req = req;
  request->thread = fuse_req_ctx(req)->pid;
  request->answer = std::move(answer);
  const std::lock_guard lock(request->mutex);
  // Before the request can be answered: afterwards it may not be touched.
  fuse_req_interrupt_func(req, OnInterrupt, request.get());
  request->ticket = queue_.Join(digest, verify, [request](const Status& status) {
    // Waits for an OnInterrupt that runs now; there will be no other.
    fuse_req_interrupt_func(request->req, nullptr, nullptr);
    request->answered = true;
    request->answer(request->req, status);
  });
}

bool InterruptibleRequests::EndIfKilled(Request& request) {
  if (request.answered) return true;
  if (!IsBeingKilled(request.thread)) return false;
  const std::lock_guard lock(request.mutex);
  if (!queue_.Leave(request.ticket)) return true;  // It is being answered.
  fuse_req_interrupt_func(request.req, nullptr, nullptr);
  fuse_reply_err(request.req, EINTR);
  return true;
}

void InterruptibleRequests::Watch(const std::stop_token& stop) {
  std::list<RequestPtr> waiting;
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      const auto arrived = [this] { return !interrupted_.empty(); };
      if (waiting.empty()) {
        wake_.wait(lock, stop, arrived);
      } else {
        wake_.wait_for(lock, stop, kLookAgain, arrived);
      }
      waiting.splice(waiting.end(), interrupted_);
    }
    waiting.remove_if([this](const RequestPtr& request) { return EndIfKilled(*request); });
  }
}

}  // namespace strata::layerfs
