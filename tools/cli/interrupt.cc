#include "tools/cli/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include <csignal>

#include "common/log.h"
#include "tools/cli/exit_code.h"

namespace strata::tools {
namespace {

sigset_t Interrupts() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  return signals;
}

}  // namespace

void BlockInterrupts() {
  sigset_t signals = Interrupts();
  sigaddset(&signals, SIGWINCH);
  CHECK(::pthread_sigmask(SIG_BLOCK, &signals, nullptr) == 0);
}

InterruptWatcher::InterruptWatcher(std::function<void()> on_interrupt,
                                   std::function<void()> on_second)
    : on_interrupt_(std::move(on_interrupt)), on_second_(std::move(on_second)) {
  const sigset_t signals = Interrupts();
  signal_fd_.reset(::signalfd(-1, &signals, SFD_CLOEXEC));
  stop_fd_.reset(::eventfd(0, EFD_CLOEXEC));
  CHECK(signal_fd_.valid() && stop_fd_.valid());
  thread_ = std::thread([this] { Watch(); });
}

InterruptWatcher::~InterruptWatcher() {
  const uint64_t one = 1;
  CHECK(::write(stop_fd_.get(), &one, sizeof(one)) == sizeof(one));
  thread_.join();
}

void InterruptWatcher::Watch() {
  while (true) {
    pollfd fds[2] = {{signal_fd_.get(), POLLIN, 0}, {stop_fd_.get(), POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0) continue;  // EINTR is the only error that can happen here.
    if (fds[0].revents != 0) {
      signalfd_siginfo info = {};
      if (::read(signal_fd_.get(), &info, sizeof(info)) != sizeof(info)) continue;
      if (interrupted_.exchange(true)) {
        if (on_second_) on_second_();
        ::_exit(kExitCancelled);
      }
      on_interrupt_();
      continue;
    }
    if (fds[1].revents != 0) return;
  }
}

}  // namespace strata::tools
