#include "tools/vcluster/input_forwarder.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

#include "common/log.h"
#include "tools/vcluster/raw_terminal.h"

namespace strata::tools {
namespace {

constexpr size_t kInputBytes = 64 << 10;

}  // namespace

InputForwarder::InputForwarder(Stream& stream, int input_fd, int terminal_fd)
    : stream_(stream),
      input_fd_(input_fd),
      terminal_fd_(terminal_fd),
      stop_fd_(::eventfd(0, EFD_CLOEXEC)) {
  CHECK(stop_fd_.valid());
  if (terminal_fd_ >= 0) {
    sigset_t resize;
    sigemptyset(&resize);
    sigaddset(&resize, SIGWINCH);
    signal_fd_.reset(::signalfd(-1, &resize, SFD_CLOEXEC));
    CHECK(signal_fd_.valid());
  }
  thread_ = std::thread([this] { Forward(); });
}

InputForwarder::~InputForwarder() {
  const uint64_t one = 1;
  CHECK(::write(stop_fd_.get(), &one, sizeof(one)) == sizeof(one));
  thread_.join();
}

void InputForwarder::Forward() {
  if (input_fd_ < 0 && !SendEnd()) return;
  while (true) {
    pollfd fds[3] = {
        {stop_fd_.get(), POLLIN, 0}, {input_fd_, POLLIN, 0}, {signal_fd_.get(), POLLIN, 0}};
    if (::poll(fds, 3, -1) < 0) continue;  // EINTR is the only error that can happen here.
    if (fds[0].revents != 0) return;
    if (fds[1].revents != 0 && !SendInput()) return;
    if (fds[2].revents != 0 && !SendSize()) return;
  }
}

bool InputForwarder::SendInput() {
  vcluster::v1::ExecRequest request;
  std::string* data = request.mutable_stdin_data();
  data->resize(kInputBytes);
  const ssize_t n = ::read(input_fd_, data->data(), data->size());
  if (n < 0 && errno == EINTR) return true;
  if (n <= 0) {  // A terminal that hung up gives EIO: it has no more input either.
    input_fd_ = -1;
    return SendEnd();
  }
  data->resize(static_cast<size_t>(n));
  return stream_.Write(request);
}

bool InputForwarder::SendEnd() {
  vcluster::v1::ExecRequest request;
  request.set_stdin_end(true);
  return stream_.Write(request);
}

bool InputForwarder::SendSize() {
  signalfd_siginfo info = {};
  if (::read(signal_fd_.get(), &info, sizeof(info)) != sizeof(info)) return true;
  const TerminalSize size = SizeOfTerminal(terminal_fd_);
  vcluster::v1::ExecRequest request;
  request.mutable_resize()->set_rows(size.rows);
  request.mutable_resize()->set_columns(size.columns);
  return stream_.Write(request);
}

}  // namespace strata::tools
