#include "common/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>

#include "common/cancellable_command.h"
#include "common/file_io.h"
#include "common/sigpipe_blocked.h"

extern char** environ;

namespace strata {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& s : strings) pointers.push_back(const_cast<char*>(s.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

int ExitCode(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

struct SpawnState {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  SpawnState() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  ~SpawnState() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
};

// dup2 in the child would clobber a source descriptor that another target number needs, so the
// sources are first duplicated above every target number.
Result<std::vector<UniqueFd>> DuplicateAbove(const std::vector<int>& sources) {
  std::vector<UniqueFd> copies;
  for (const int source : sources) {
    UniqueFd null;
    if (source < 0) {
      ASSIGN_OR_RETURN(null, Open("/dev/null", O_RDWR));
    }
    UniqueFd copy(::fcntl(source < 0 ? null.get() : source, F_DUPFD_CLOEXEC,
                          static_cast<int>(sources.size())));
    if (!copy.valid()) return Errno("dup");
    copies.push_back(std::move(copy));
  }
  return copies;
}

}  // namespace

Result<Subprocess> Subprocess::Start(const SubprocessOptions& options) {
  std::vector<int> sources = {options.stdin_fd, options.stdout_fd, options.stderr_fd};
  sources.insert(sources.end(), options.extra_fds.begin(), options.extra_fds.end());
  ASSIGN_OR_RETURN(const std::vector<UniqueFd> copies, DuplicateAbove(sources));

  SpawnState spawn;
  for (size_t i = 0; i < copies.size(); ++i) {
    ::posix_spawn_file_actions_adddup2(&spawn.actions, copies[i].get(), static_cast<int>(i));
  }
  // Libraries open descriptors without O_CLOEXEC, and their parent's own may have been, too.
  ::posix_spawn_file_actions_addclosefrom_np(&spawn.actions, static_cast<int>(copies.size()));
  sigset_t none;
  sigemptyset(&none);
  sigset_t defaults;
  sigfillset(&defaults);
  ::posix_spawnattr_setsigmask(&spawn.attributes, &none);
  ::posix_spawnattr_setsigdefault(&spawn.attributes, &defaults);
  short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  if (options.new_session) flags |= POSIX_SPAWN_SETSID;
  ::posix_spawnattr_setflags(&spawn.attributes, flags);

  std::vector<std::string> environment = options.extra_env;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, options.argv[0].c_str(), &spawn.actions, &spawn.attributes,
                                   Pointers(options.argv).data(), Pointers(environment).data());
  if (error != 0) return Errno("run " + options.argv[0], error);
  return Subprocess(pid);
}

Subprocess::~Subprocess() {
  if (pid_ <= 0) return;
  Kill(SIGKILL);
  (void)Wait();
}

Result<int> Subprocess::Wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) return Errno("waitpid");
  }
  pid_ = -1;
  return ExitCode(status);
}

Result<int> Subprocess::WaitFor(std::chrono::milliseconds timeout) {
  UniqueFd pid_fd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!pid_fd.valid()) return Errno("pidfd_open");
  pollfd poll_fd{pid_fd.get(), POLLIN, 0};
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    const int n = ::poll(&poll_fd, 1, static_cast<int>(std::max<int64_t>(0, left.count())));
    if (n > 0) return Wait();
    if (n == 0) return Error(Code::kDeadlineExceeded, "the process still runs");
    if (errno != EINTR) return Errno("poll");
  }
}

void Subprocess::Kill(int signal) {
  if (pid_ > 0) ::kill(pid_, signal);
}

namespace {

// A token can only be asked.
constexpr int64_t kCancelLookMs = 50;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> MakePipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return Errno("pipe");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// Reads once from a readable pipe; closes `fd` at its end. Beyond the limit bytes are dropped.
void Drain(UniqueFd& fd, std::string& into, size_t limit_bytes) {
  char buffer[16 * 1024];
  const ssize_t n = ::read(fd.get(), buffer, sizeof(buffer));
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n <= 0) return fd.reset();
  into.append(buffer, std::min(static_cast<size_t>(n), limit_bytes - into.size()));
}

void Feed(UniqueFd& fd, std::string_view& input) {
  const ssize_t n = ::write(fd.get(), input.data(), input.size());
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n < 0) return fd.reset();  // The child closed its input: its exit code will tell.
  input.remove_prefix(static_cast<size_t>(n));
  if (input.empty()) fd.reset();
}

// `cancel` may be null.
Result<CommandOutput> RunToEnd(const std::vector<std::string>& argv, std::string_view input,
                               std::chrono::milliseconds timeout, size_t limit_bytes,
                               const CancelToken* cancel) {
  ASSIGN_OR_RETURN(Pipe in, MakePipe());
  ASSIGN_OR_RETURN(Pipe out, MakePipe());
  ASSIGN_OR_RETURN(Pipe err, MakePipe());
  SubprocessOptions options;
  options.argv = argv;
  options.stdin_fd = in.read.get();
  options.stdout_fd = out.write.get();
  options.stderr_fd = err.write.get();
  ASSIGN_OR_RETURN(Subprocess process, Subprocess::Start(options));
  in.read.reset();
  out.write.reset();
  err.write.reset();
  ::fcntl(in.write.get(), F_SETFL, O_NONBLOCK);
  if (input.empty()) in.write.reset();

  const SigPipeBlocked a_child_may_close_its_input;
  CommandOutput output;
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (out.read.valid() || err.read.valid()) {
    pollfd fds[3] = {
        {out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}, {in.write.get(), POLLOUT, 0}};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      return Error(Code::kDeadlineExceeded, argv[0] + ": killed, it did not end in time");
    }
    if (cancel != nullptr) RETURN_IF_ERROR(cancel->Check());
    const int64_t wait_ms =
        cancel == nullptr ? left.count() : std::min(left.count(), kCancelLookMs);
    if (::poll(fds, 3, static_cast<int>(wait_ms)) < 0 && errno != EINTR) return Errno("poll");
    if (fds[0].revents != 0) Drain(out.read, output.out, limit_bytes);
    if (fds[1].revents != 0) Drain(err.read, output.err, limit_bytes);
    if (fds[2].revents != 0) Feed(in.write, input);
  }
  ASSIGN_OR_RETURN(output.exit_code, process.Wait());
  return output;
}

}  // namespace

Result<CommandOutput> Run(const std::vector<std::string>& argv, std::string_view input,
                          std::chrono::milliseconds timeout, size_t limit_bytes) {
  return RunToEnd(argv, input, timeout, limit_bytes, nullptr);
}

Result<CommandOutput> RunCancellable(const std::vector<std::string>& argv, std::string_view input,
                                     std::chrono::milliseconds timeout, size_t limit_bytes,
                                     const CancelToken& cancel) {
  return RunToEnd(argv, input, timeout, limit_bytes, &cancel);
}

Result<std::string> RunChecked(const std::vector<std::string>& argv, std::string_view input,
                               std::chrono::milliseconds timeout) {
  ASSIGN_OR_RETURN(CommandOutput output, Run(argv, input, timeout));
  if (output.exit_code == 0) return std::move(output.out);
  std::string_view text = output.err;
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  const size_t line = text.rfind('\n');
  if (line != std::string_view::npos) text.remove_prefix(line + 1);
  return Error(Code::kInternal, argv[0] + " failed with exit code " +
                                    std::to_string(output.exit_code) + ": " + std::string(text));
}

}  // namespace strata
