#include "tools/cli/password.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <termios.h>
#include <unistd.h>

#include <ostream>

#include "common/file_io.h"
#include "common/unique_fd.h"
#include "tools/cli/interrupt.h"

namespace strata::tools {
namespace {

constexpr size_t kPasswordBytesMax = 1024;  // As vclusterd takes.

// The terminal without echo, until the end of the object.
class QuietTerminal {
 public:
  static Result<std::unique_ptr<QuietTerminal>> Enter(int fd) {
    termios before = {};
    if (::tcgetattr(fd, &before) != 0) {
      return Error(Code::kInvalidArgument,
                   "standard input is no terminal to ask for a password: use --password-stdin");
    }
    termios quiet = before;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    quiet.c_lflag |= ECHONL | ICANON;
    if (::tcsetattr(fd, TCSAFLUSH, &quiet) != 0) return Errno("turn the terminal's echo off");
    return std::unique_ptr<QuietTerminal>(new QuietTerminal(fd, before));
  }
  ~QuietTerminal() { Restore(); }
  void Restore() { ::tcsetattr(fd_, TCSANOW, &before_); }

 private:
  QuietTerminal(int fd, const termios& before) : fd_(fd), before_(before) {}
  const int fd_;
  const termios before_;
};

Result<std::string> ReadLine(int fd, int cancel_fd) {
  std::string line;
  while (true) {
    pollfd fds[] = {{fd, POLLIN, 0}, {cancel_fd, POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0 && errno != EINTR) return Errno("wait for the terminal");
    if (fds[1].revents != 0) return Error(Code::kCancelled, "cancelled");
    if (fds[0].revents == 0) continue;
    char bytes[256];
    const ssize_t n = ::read(fd, bytes, sizeof(bytes));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno("read the terminal");
    line.append(bytes, static_cast<size_t>(n));
    const size_t end = line.find('\n');
    if (end != std::string::npos) return line.substr(0, end);
    if (n == 0) return Error(Code::kCancelled, "cancelled");
    if (line.size() > kPasswordBytesMax) {
      return Error(Code::kInvalidArgument,
                   "a password has at most " + std::to_string(kPasswordBytesMax) + " bytes");
    }
  }
}

}  // namespace

Result<std::string> TypePassword(Console& console, const std::string& prompt) {
  const UniqueFd cancel(::eventfd(0, EFD_CLOEXEC));
  if (!cancel.valid()) return Errno("eventfd");
  ASSIGN_OR_RETURN(const auto terminal, QuietTerminal::Enter(console.stdin_fd));
  const InterruptWatcher watcher([&] { ::eventfd_write(cancel.get(), 1); },
                                 [&] { terminal->Restore(); });
  console.err << prompt << ": " << std::flush;
  return ReadLine(console.stdin_fd, cancel.get());
}

Result<std::string> TypeNewPassword(Console& console) {
  ASSIGN_OR_RETURN(std::string first, TypePassword(console, "New password"));
  ASSIGN_OR_RETURN(const std::string second, TypePassword(console, "The same again"));
  if (first != second) return Error(Code::kInvalidArgument, "the two are not the same");
  return first;
}

Result<std::vector<std::string>> ReadPasswords(Console& console,
                                               const std::vector<std::string>& prompts) {
  ASSIGN_OR_RETURN(const std::string text,
                   ReadAll(console.stdin_fd, (kPasswordBytesMax + 1) * prompts.size()));
  std::vector<std::string> lines;
  size_t start = 0;
  while (start < text.size()) {
    const size_t end = std::min(text.find('\n', start), text.size());
    lines.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  if (lines.size() == prompts.size()) return lines;
  std::string wanted;
  for (const std::string& prompt : prompts) wanted += (wanted.empty() ? "" : ", ") + prompt;
  return Error(Code::kInvalidArgument, "standard input has to be " +
                                           std::to_string(prompts.size()) +
                                           (prompts.size() == 1 ? " line: " : " lines: ") + wanted);
}

}  // namespace strata::tools
