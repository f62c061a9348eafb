// The program wireguard-go: configured through its socket, whose place is given
// (/var/run/wireguard/DEVICE.sock). The socket is opened here and handed over (WG_UAPI_FD), so that
// the first question waits in it until there is somebody to answer, or fails when nobody will.
//
// The program ends when its link is deleted, and its link goes when it ends, however it does. One
// that hangs is ended and started anew.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "common/file_io.h"
#include "common/log.h"
#include "common/printable.h"
#include "common/subprocess.h"
#include "net/secure/fabric_driver.h"
#include "net/secure/uapi_text.h"

namespace strata::net {
namespace {

constexpr char kProgram[] = "wireguard-go";
constexpr char kSocketDirectory[] = "/var/run/wireguard";
constexpr std::chrono::seconds kPatience(5);
constexpr size_t kLogBytesMax = 64 << 10;

std::string SocketPath(const std::string& device) {
  return std::string(kSocketDirectory) + "/" + device + ".sock";
}

Result<UniqueFd> NewSocket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Errno("socket");
  const timeval patience = {kPatience.count(), 0};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0 ||
      ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0) {
    return Errno("setsockopt");
  }
  return fd;
}

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  CHECK(path.size() < sizeof(address.sun_path));
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// kNotFound: nobody listens.
Result<UniqueFd> Connect(const std::string& device) {
  ASSIGN_OR_RETURN(UniqueFd fd, NewSocket());
  const sockaddr_un address = AddressOf(SocketPath(device));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    return fd;
  }
  if (errno == ENOENT || errno == ECONNREFUSED) {
    return Error(Code::kNotFound, "no " + std::string(kProgram) + " serves " + device);
  }
  return Errno("connect to " + SocketPath(device));
}

Error HungUp() { return Error(Code::kUnavailable, std::string(kProgram) + " hangs up"); }

Result<std::string> Exchange(const UniqueFd& fd, std::string_view request) {
  for (size_t sent = 0; sent < request.size();) {
    const ssize_t n = ::send(fd.get(), request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return HungUp();
    sent += static_cast<size_t>(n);
  }
  std::string answer;
  char piece[16 << 10];
  while (!IsWholeUapiAnswer(answer)) {
    const ssize_t n = ::recv(fd.get(), piece, sizeof(piece), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      return Error(Code::kDeadlineExceeded, std::string(kProgram) + " does not answer");
    }
    if (n <= 0) return HungUp();
    answer.append(piece, static_cast<size_t>(n));
    if (answer.size() > kUapiAnswerBytesMax) {
      return Error(Code::kResourceExhausted, std::string(kProgram) + " does not stop talking");
    }
  }
  return answer;
}

// Waits until the process at the other end has closed it, which has nothing to say.
bool AwaitEnd(const UniqueFd& fd) {
  char byte;
  for (;;) {
    const ssize_t n = ::recv(fd.get(), &byte, 1, 0);
    if (n == 0 || (n < 0 && errno == ECONNRESET)) return true;
    if (n >= 0 || errno != EINTR) return false;
  }
}

// The network namespace of a process or, by "thread-self", of this thread; "" when it is gone.
std::string NamespaceOf(const std::string& process) {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/" + process + "/ns/net", error).string();
}

// Ends the processes that serve the device in this network namespace, whoever has started them.
Status KillServers(const std::string& device) {
  const std::string words = std::string(kProgram) + '\0' + "-f" + '\0' + device + '\0';
  const std::string here = NamespaceOf("thread-self");
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size()) continue;
    // Opened before it is looked at, so that it is this one that is ended.
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    const auto command = ReadFile("/proc/" + name + "/cmdline", kLogBytesMax);
    if (!process.valid() || !command.ok() || *command != words || NamespaceOf(name) != here) {
      continue;
    }
    LOG_WARNING(std::string(kProgram) + " for " + device + " hangs and is ended");
    if (::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0) != 0) {
      return Errno("end " + std::string(kProgram));
    }
    pollfd gone = {process.get(), POLLIN, 0};
    (void)::poll(&gone, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count()));
  }
  return Ok();
}

class WireguardGo final : public FabricDriver {
 public:
  explicit WireguardGo(std::string run_dir) : run_dir_(std::move(run_dir)) {}
  ~WireguardGo() override {
    Reap();
    if (process_) process_->Release();  // It lives on.
  }

  std::string_view name() const override { return kProgram; }
  std::string_view link_kind() const override { return "tun"; }

  Status Probe() override {
    const auto version = Run({kProgram, "--version"}, {}, kPatience, kLogBytesMax);
    if (!version.ok() || version->exit_code != 0) {
      return Error(Code::kUnsupported,
                   "the program wireguard-go cannot be run (apt-get install "
                   "wireguard-go)");
    }
    if (const auto tun = Open("/dev/net/tun", O_RDWR); !tun.ok()) {
      return Error(Code::kUnsupported, "wireguard-go needs /dev/net/tun (modprobe tun)");
    }
    return Ok();
  }

  Status Create(const std::string& device) override {
    RETURN_IF_ERROR(Forget(device));
    RETURN_IF_ERROR(MakeDirectories(kSocketDirectory, 0700));
    RETURN_IF_ERROR(MakeDirectories(run_dir_, 0700));
    Status started = Start(device);
    if (started.ok()) started = Answers(device);
    if (started.ok()) return Ok();
    process_.reset();
    ::unlink(SocketPath(device).c_str());
    return started.error().Wrap("start " + std::string(kProgram) + " for " + device +
                                LastWords(device));
  }

  Result<std::optional<ObservedDevice>> Read(const std::string& device) override {
    Reap();
    const auto fd = Connect(device);
    if (!fd.ok() && fd.error().code() == Code::kNotFound) return std::optional<ObservedDevice>();
    if (!fd.ok()) return fd.error();
    const auto answer = Exchange(*fd, kUapiGet);
    // It does nothing else either, or is about to be gone.
    if (!answer.ok() && (answer.error().code() == Code::kDeadlineExceeded ||
                         answer.error().code() == Code::kUnavailable)) {
      return std::optional<ObservedDevice>();
    }
    if (!answer.ok()) return answer.error();
    ASSIGN_OR_RETURN(ObservedDevice observed, ParseUapiDevice(*answer));
    return std::optional(std::move(observed));
  }

  Status Change(const std::string& device, const DeviceChange& change) override {
    ASSIGN_OR_RETURN(const UniqueFd fd, Connect(device));
    ASSIGN_OR_RETURN(const std::string answer, Exchange(fd, FormatUapiSet(change)));
    RETURN_IF_ERROR(ParseUapiStatus(answer), "set up " + device);
    return Ok();
  }

  Status Forget(const std::string& device) override {
    if (const auto fd = Connect(device); fd.ok()) {
      if (!AwaitEnd(*fd)) RETURN_IF_ERROR(KillServers(device));
      if (!AwaitEnd(*fd)) {
        return Error(Code::kFailedPrecondition,
                     SocketPath(device) +
                         " is served by another process, perhaps of another "
                         "network namespace: end that, or use another state "
                         "directory");
      }
    } else if (fd.error().code() != Code::kNotFound) {
      return fd.error();
    }
    if (process_ && !process_->WaitFor(kPatience).ok()) process_->Kill(SIGKILL);
    process_.reset();  // Waits.
    for (const std::string& path : {SocketPath(device), LogPath(device)}) {
      if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Errno("unlink " + path);
    }
    return Ok();
  }

 private:
  std::string LogPath(const std::string& device) const { return run_dir_ + "/" + device + ".log"; }

  Status Start(const std::string& device) {
    ASSIGN_OR_RETURN(const UniqueFd listener, NewSocket());
    const std::string path = SocketPath(device);
    const sockaddr_un address = AddressOf(path);
    if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
        ::chmod(path.c_str(), 0600) != 0 || ::listen(listener.get(), 16) != 0) {
      return Errno("listen at " + path);
    }
    ASSIGN_OR_RETURN(const UniqueFd log,
                     Open(LogPath(device), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600));
    SubprocessOptions options;
    options.argv = {kProgram, "-f", device};
    options.stdout_fd = log.get();
    options.stderr_fd = log.get();
    options.extra_fds = {listener.get()};
    // Without the second one it prints that one should use the kernel's.
    options.extra_env = {"WG_UAPI_FD=3", "WG_PROCESS_FOREGROUND=1", "LOG_LEVEL=error"};
    options.new_session = true;
    ASSIGN_OR_RETURN(Subprocess process, Subprocess::Start(options));
    process_.emplace(std::move(process));
    return Ok();
  }

  Status Answers(const std::string& device) {
    ASSIGN_OR_RETURN(const UniqueFd fd, Connect(device));
    ASSIGN_OR_RETURN(const std::string answer, Exchange(fd, kUapiGet));
    return ParseUapiStatus(answer);
  }

  // Its last line, when it cannot be started.
  std::string LastWords(const std::string& device) const {
    auto log = ReadFile(LogPath(device), kLogBytesMax);
    if (!log.ok() || log->empty()) return "";
    if (log->back() == '\n') log->pop_back();
    const size_t line = log->rfind('\n');
    return ", which says '" + Printable(line == std::string::npos ? *log : log->substr(line + 1)) +
           "'";
  }

  // One that has died is not to stay a zombie.
  void Reap() {
    if (process_ && process_->WaitFor(std::chrono::milliseconds(0)).ok()) process_.reset();
  }

  const std::string run_dir_;
  std::optional<Subprocess> process_;  // Started by this object.
};

}  // namespace

std::unique_ptr<FabricDriver> NewWireguardGo(const std::string& run_dir) {
  return std::make_unique<WireguardGo>(run_dir);
}

}  // namespace strata::net
