// Purpose: a write to a pipe whose reader is gone fails with EPIPE instead of ending the process.
// Threads: of the calling thread alone, for the scope's lifetime; construct and destroy it there.
// Source: signal(7), sigtimedwait(2). A write's SIGPIPE is directed at the thread that wrote.
#pragma once

#include <signal.h>

namespace strata {

class SigPipeBlocked {
 public:
  SigPipeBlocked() {
    sigset_t pending;
    ::sigpending(&pending);
    was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);  // Cannot fail with these arguments.
  }
  ~SigPipeBlocked() {
    const timespec at_once{};
    if (!was_pending_) ::sigtimedwait(&pipe_, nullptr, &at_once);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SigPipeBlocked(const SigPipeBlocked&) = delete;
  SigPipeBlocked& operator=(const SigPipeBlocked&) = delete;

 private:
  sigset_t pipe_;
  sigset_t before_;
  bool was_pending_;
};

}  // namespace strata
