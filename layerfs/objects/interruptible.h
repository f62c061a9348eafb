// InterruptibleRequests: FUSE requests that wait for a fetch.
//
// A reader that is killed goes at once (EINTR, which it never sees) and the others wait on. A
// signal that the reader handles does not end its wait: as with a disk, open(2) of a file of a root
// does not fail with EINTR (programs and dynamic linkers do not expect it). The kernel tells of the
// first signal only (fuse_req_interrupt_func), so a request that was interrupted and goes on
// waiting is looked at again, ten times a second, until it ends.
#pragma once

#include <fuse_lowlevel.h>

#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "layerfs/objects/fetch_queue.h"

namespace strata::layerfs {

// True when a thread is about to be killed, or is gone: SIGKILL is pending for it (proc(5),
// SigPnd), which is also how the kernel notes any other signal that ends the process.
bool IsBeingKilled(pid_t thread);

class InterruptibleRequests {
 public:
  // Answers the request.
  using Answer = std::function<void(fuse_req_t, const Status&)>;

  explicit InterruptibleRequests(FetchQueue& queue) : queue_(queue) {}
  ~InterruptibleRequests();

  // `answer` is called once, unless the reader is killed: then the request is answered with EINTR.
  void Wait(fuse_req_t req, const Digest& digest, bool verify, Answer answer);

 private:
  struct Request;
  using RequestPtr = std::shared_ptr<Request>;

  static void OnInterrupt(fuse_req_t req, void* data);
  void Watch(const std::stop_token& stop);
  // True: it needs no more looking at.
  bool EndIfKilled(Request& request);

  FetchQueue& queue_;
  std::mutex mutex_;  // Guards what follows; a leaf.
  std::condition_variable_any wake_;
  std::list<RequestPtr> interrupted_;
  std::jthread watcher_;  // Runs from the first interrupt on.
};

}  // namespace strata::layerfs
