#include "layerfs/server/keeper.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <optional>

#include "common/file_io.h"
#include "common/log.h"
#include "common/subprocess.h"

namespace strata::layerfs {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kCrashWindow = std::chrono::seconds(60);
constexpr size_t kCrashesMax = 5;  // In the window.
constexpr auto kVersionCheckTime = std::chrono::seconds(10);

std::string DescribeEnd(int status) {
  if (WIFSIGNALED(status)) {
    return std::string("the server was ended by signal ") + ::strsignal(WTERMSIG(status));
  }
  return "the server ended with exit code " + std::to_string(WEXITSTATUS(status));
}

bool IsCrash(int status) {
  const int signal = WTERMSIG(status);
  return signal != SIGKILL && signal != SIGTERM && signal != SIGINT && signal != SIGHUP;
}

class Keeper {
 public:
  Keeper(const KeeperOptions& options, ServerState& state, Launcher& launcher, const ServeFn& serve)
      : options_(options), state_(state), launcher_(launcher), serve_(serve) {}

  int Run() {
    Prepare();
    StartServer();
    while (server_ >= 0) {
      const std::optional<int> ended = AwaitServer();
      if (!ended) break;
      const int status = *ended;
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
      if (!WasReady()) {
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      }
      // Whoever ended by itself said why, and its successor would say the same.
      if (WIFEXITED(status)) return GiveUp(DescribeEnd(status));
      if (IsCrash(status) && CrashesTooOften()) return GiveUp(DescribeEnd(status) + " repeatedly");
      LOG_WARNING(DescribeEnd(status) + ": another one takes its place");
      StartServer();
    }
    return GiveUp(Errno("start a server").message());
  }

 private:
  bool WasReady() const { return state_.header().serving.load() != 0; }

  void Prepare() {
    ::prctl(PR_SET_NAME, kKeeperName);
    // Waited for, so that none is missed between two looks.
    ::sigemptyset(&signals_);
    ::sigaddset(&signals_, SIGHUP);
    ::sigaddset(&signals_, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &signals_, nullptr);
    SetCloseOnExec(true);  // After an upgrade they are not.
    char path[4096];
    const ssize_t n = ::readlink("/proc/self/exe", path, sizeof(path));
    if (n > 0) program_.assign(path, static_cast<size_t>(n));
    if (const auto cmdline = ReadFile("/proc/self/cmdline"); cmdline.ok()) {
      for (size_t at = 0; at < cmdline->size(); at += argv_.back().size() + 1) {
        argv_.emplace_back(cmdline->c_str() + at);
      }
    }
  }

  // As fork(2), with the same table of descriptors.
  void StartServer() {
    server_ = static_cast<pid_t>(
        ::syscall(SYS_clone, CLONE_FILES | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
    if (server_ != 0) return;
    ::prctl(PR_SET_NAME, "layerfs");
    ::sigprocmask(SIG_UNBLOCK, &signals_, nullptr);
    // Whoever waited was told by another server: the numbers may be other descriptors' by now.
    if (WasReady()) launcher_.Forget();
    ::_exit(serve_(&state_, launcher_));
  }

  // How the server ended; nullopt: after an upgrade that failed there is none.
  std::optional<int> AwaitServer() {
    while (server_ >= 0) {
      int status = 0;
      if (::waitpid(server_, &status, WNOHANG) == server_) return status;
      if (::sigwaitinfo(&signals_, nullptr) != SIGHUP) continue;
      const Status upgraded = Upgrade();
      LOG_ERROR("upgrade: " + upgraded.error().message() + "; the old version goes on");
    }
    return std::nullopt;
  }

  bool CrashesTooOften() {
    const auto now = Clock::now();
    crashes_.push_back(now);
    while (now - crashes_.front() > kCrashWindow) crashes_.pop_front();
    return crashes_.size() >= kCrashesMax;
  }

  int GiveUp(const std::string& reason) {
    LOG_ERROR(reason + ": given up, the mount is broken");
    if (Status written = WriteFileAtomically(options_.broken_file, reason + "\n"); !written.ok()) {
      LOG_ERROR(written.error().message());
    }
    return 1;
  }

  void SetCloseOnExec(bool close) const {
    std::vector<int> kept = state_.DescriptorsInUse();
    kept.insert(kept.end(), options_.kept_fds.begin(), options_.kept_fds.end());
    kept.insert(kept.end(), {options_.fuse_fd, state_.fd()});
    for (const int fd : kept) ::fcntl(fd, F_SETFD, close ? FD_CLOEXEC : 0);
  }

  // Does not return when it succeeds. Otherwise a server of this version runs.
  Status Upgrade() {
    if (argv_.empty()) return Error(Code::kInternal, "/proc does not tell how this was started");
    ASSIGN_OR_RETURN(const CommandOutput version,
                     strata::Run({program_, kStateVersionCommand}, {}, kVersionCheckTime));
    if (version.exit_code != 0 || version.out != std::to_string(kServerStateVersion) + "\n") {
      return Error(Code::kFailedPrecondition,
                   program_ + " cannot go on from the state of this version");
    }
    ::kill(server_, SIGKILL);
    int status;
    while (::waitpid(server_, &status, 0) < 0 && errno == EINTR) {
    }
    std::vector<std::string> argv = argv_;
    if (std::find(argv.begin(), argv.end(), kStateFdOption) == argv.end()) {
      argv.insert(argv.end(), {kStateFdOption, std::to_string(state_.fd())});
    }
    std::vector<char*> pointers;
    for (std::string& argument : argv) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    LOG_INFO("upgrade: going on as the program that lies at " + program_ + " now");
    SetCloseOnExec(false);
    ::execv(program_.c_str(), pointers.data());
    const Error error = Errno("run " + program_);
    SetCloseOnExec(true);
    StartServer();
    return error;
  }

  const KeeperOptions& options_;
  ServerState& state_;
  Launcher& launcher_;
  const ServeFn& serve_;
  std::string program_;
  std::vector<std::string> argv_;
  sigset_t signals_ = {};  // What AwaitServer waits for.
  pid_t server_ = -1;
  std::deque<Clock::time_point> crashes_;
};

int Keep(const KeeperOptions& options, const Result<std::unique_ptr<ServerState>>& state,
         Launcher launcher, const ServeFn& serve) {
  if (!state.ok()) {
    LOG_ERROR(state.error().message());
    launcher.TellFailure(state.error().message());
    return 1;
  }
  const int code = Keeper(options, **state, launcher, serve).Run();
  launcher.Forget();
  return code;
}

}  // namespace

int KeepServing(const KeeperOptions& options, const ServeFn& serve) {
  if (options.state_fd >= 0) {
    return Keep(options, ServerState::Adopt(UniqueFd(options.state_fd)), Launcher(), serve);
  }
  if (options.ready_fd >= 0) {
    return ServeApart(options.fuse_fd, options.ready_fd, [&](Launcher launcher) {
      return Keep(options, ServerState::Create(), std::move(launcher), serve);
    });
  }
  Launcher nobody;
  return serve(nullptr, nobody);
}

}  // namespace strata::layerfs
