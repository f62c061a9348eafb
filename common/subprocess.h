// Runs another program from an argument vector: never through a shell, never from a built string.
// The child gets only the descriptors it is given; everything else is close-on-exec.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace strata {

struct SubprocessOptions {
  std::vector<std::string> argv;  // argv[0] is looked up in PATH. REQUIRES: not empty.
  // Descriptors of this process that become the child's 0, 1, 2 and further numbers; -1 means
  // /dev/null. Index = number in the child. Descriptors 1 and 2 default to this process's stderr.
  int stdin_fd = -1;
  int stdout_fd = 2;
  int stderr_fd = 2;
  std::vector<int> extra_fds;          // Become 3, 4, … in the child.
  std::vector<std::string> extra_env;  // "NAME=value", added to this process's environment.
  bool new_session = false;            // setsid(2): the child outlives our terminal.
};

// A started child. Wait() must be called, or the destructor kills (SIGKILL) and reaps it.
// Move-only; not thread-safe.
class Subprocess {
 public:
  static Result<Subprocess> Start(const SubprocessOptions& options);
  Subprocess(Subprocess&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Subprocess& operator=(Subprocess&&) = delete;
  ~Subprocess();

  pid_t pid() const { return pid_; }
  // Exit status as a shell tells it: the exit code, or 128 + the signal's number.
  Result<int> Wait();
  // As Wait(), but kDeadlineExceeded after `timeout` (the child runs on).
  Result<int> WaitFor(std::chrono::milliseconds timeout);
  void Kill(int signal);
  // Gives the child up to live on its own; the caller reaps it, or init does.
  pid_t Release() { return std::exchange(pid_, -1); }

 private:
  explicit Subprocess(pid_t pid) : pid_(pid) {}
  pid_t pid_;
};

struct CommandOutput {
  int exit_code = 0;
  std::string out;
  std::string err;
};

// Runs `argv` to its end with `input` on its standard input, and captures at most
// `limit_bytes` of each output stream. kDeadlineExceeded kills it. A non-zero exit is not an error
// here; RunChecked makes it one, with the last line of its standard error in the message.
Result<CommandOutput> Run(const std::vector<std::string>& argv, std::string_view input = {},
                          std::chrono::milliseconds timeout = std::chrono::minutes(10),
                          size_t limit_bytes = 16u << 20);
Result<std::string> RunChecked(const std::vector<std::string>& argv, std::string_view input = {},
                               std::chrono::milliseconds timeout = std::chrono::minutes(10));

}  // namespace strata
