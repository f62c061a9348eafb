#include "vclusterd/runtime/node_runtime.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <csignal>
#include <thread>

#include "common/file_io.h"
#include "common/log.h"
#include "net/checksums.h"
#include "vclusterd/runtime/cgroups.h"
#include "vclusterd/runtime/isolation.h"
#include "vclusterd/runtime/node_config.h"
#include "vclusterd/runtime/node_files.h"

namespace strata::vcluster {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::chrono::seconds kStartTimeout(60);
constexpr std::chrono::seconds kMonitorTimeout(10);
constexpr std::chrono::seconds kKillTimeout(10);
constexpr milliseconds kLockPause(20);
constexpr milliseconds kTermPause(250);
constexpr char kLxcLockDir[] = "/run/lxc/lock";

Status Signal(int pid_fd, int number) {
  if (::syscall(SYS_pidfd_send_signal, pid_fd, number, nullptr, 0) != 0 && errno != ESRCH) {
    return Errno("pidfd_send_signal");
  }
  return Ok();
}

// A process 1 that was just started may have no handler yet, and then the kernel drops the signal:
// it is told again until it ends.
Status Terminate(int pid_fd, milliseconds grace) {
  const auto deadline = Clock::now() + grace;
  while (true) {
    RETURN_IF_ERROR(Signal(pid_fd, SIGTERM));
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    const Status ended = WaitProcess(pid_fd, std::min(kTermPause, left));
    if (ended.ok() || Clock::now() >= deadline) return ended;
  }
}

// The last lines of liblxc's log say why a start failed; the first of them is the cause.
std::string FirstLogLine(const std::string& path) {
  const auto text = ReadFile(path, 1u << 20);
  if (!text.ok() || text->empty()) return {};
  std::string line = text->substr(0, text->find('\n'));
  const size_t source = line.find(" - ");  // "lxc NAME TIME LEVEL part - file:function:line - text"
  return source == std::string::npos ? line : line.substr(source + 3);
}

Status CheckPassable(const std::string& path) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string prefix = path.substr(0, slash);
    struct stat st;
    if (::stat(prefix.c_str(), &st) != 0) return Errno(prefix);
    if ((st.st_mode & S_IXOTH) == 0) {
      return Error(Code::kFailedPrecondition,
                   prefix +
                       " cannot be passed by everybody (chmod o+x), and containers have to: "
                       "choose another --run-dir");
    }
    if (slash == std::string::npos) return Ok();
  }
}

// Waits until no strata-node is starting this node.
Status WaitForStarter(const std::string& lock_path) {
  auto lock = Open(lock_path, O_RDWR);
  if (!lock.ok()) return lock.error().sys_errno() == ENOENT ? Ok() : Status(lock.error());
  const auto deadline = Clock::now() + kStartTimeout;
  while (::flock(lock->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return Errno("lock " + lock_path);
    if (Clock::now() >= deadline) {
      return Error(Code::kDeadlineExceeded, lock_path + ": a start does not end");
    }
    std::this_thread::sleep_for(kLockPause);  // flock(2) has no timeout.
  }
  return Ok();
}

Error WhyNotStarted(const std::string& dir) {
  auto said = ReadFile(dir + "/start.log", 1u << 20);
  if (!said.ok()) return said.error();
  std::string message = std::move(*said);
  while (message.ends_with('\n')) message.pop_back();
  if (message.empty()) message = "strata-node ended before the node ran";
  const std::string cause = FirstLogLine(dir + "/lxc.log");
  if (!cause.empty()) message += " (" + cause + ")";
  return Error(Code::kInternal, message);
}

Result<NodeRecord> RecordOf(pid_t init, pid_t monitor) {
  NodeRecord record;
  ASSIGN_OR_RETURN(const ProcessStat stat, ReadProcessStat(init));
  if (stat.parent != monitor) return Error(Code::kNotFound, "its monitor has ended");
  record.init = {init, stat.start_ticks};
  ASSIGN_OR_RETURN(record.monitor, IdentifyProcess(monitor));
  return record;
}

Status FillInChecksums(const NodeRecord& record) {
  ASSIGN_OR_RETURN(const UniqueFd init, OpenProcess(record.init));
  return net::FillInChecksumsOf(init.get(), kNodeLink);
}

}  // namespace

Result<NodeRuntime> NodeRuntime::Create(HostLayout host) {
  RETURN_IF_ERROR(MakeDirectories(host.NodesDir()));
  RETURN_IF_ERROR(CheckPassable(host.NodesDir()));
  RETURN_IF_ERROR(CheckPassable(host.vinit));
  if (!host.command.empty()) RETURN_IF_ERROR(CheckPassable(host.command));
  if (::access(host.node_binary.c_str(), X_OK) != 0) return Errno(host.node_binary);
  RETURN_IF_ERROR(WriteFileAtomically(host.SeccompPath(), SeccompProfile(), 0600));
  return NodeRuntime(std::move(host));
}

Result<NodeRecord> NodeRuntime::Start(const NodeSpec& spec, UniqueFd root,
                                      std::vector<UniqueFd> volumes) const {
  const std::string dir = host_.NodeDir(spec.id);
  RETURN_IF_ERROR(WriteFiles(spec));
  ASSIGN_OR_RETURN(const std::string request,
                   Encode(MakeStartRequest(spec, host_, CoresArePiped())));
  ASSIGN_OR_RETURN(const UniqueFd request_fd, RequestFile(request));
  ASSIGN_OR_RETURN(const UniqueFd errors,
                   Open(dir + "/start.log", O_RDWR | O_CREAT | O_TRUNC, 0600));
  NodeStarter::StartFds fds = {request_fd.get(), errors.get(), root.get(), {}};
  for (const UniqueFd& volume : volumes) fds.volumes.push_back(volume.get());
  const std::string record_path = dir + "/record";
  if (::unlink(record_path.c_str()) != 0 && errno != ENOENT) return Errno("unlink " + record_path);
  const auto start = [&]() -> Result<NodeRecord> {
    NodeRecord started;
    const auto keep = [&](pid_t init, pid_t monitor) -> Status {
      ASSIGN_OR_RETURN(started, RecordOf(init, monitor), "the node's init ended at once");
      if (spec.fills_in_checksums) RETURN_IF_ERROR(FillInChecksums(started));
      return WriteFileAtomically(record_path, FormatRecord(started), 0600);
    };
    ASSIGN_OR_RETURN(const bool runs, starter_->Run(fds, keep, kStartTimeout));
    if (!runs) return WhyNotStarted(dir);
    if (Status limited = LimitSwapOf(started.init.pid, host_.Bound(spec.limits)); !limited.ok()) {
      // It has ended at once, which its watcher sees; or it swaps more than it should.
      LOG_WARNING("node " + spec.id + ": " + limited.error().message());
    }
    return started;
  };
  Result<NodeRecord> record = start();
  root.reset();
  volumes.clear();
  if (!record.ok()) {
    if (Status cleared = Clear(spec.id); !cleared.ok()) LOG_WARNING(cleared.error().message());
  }
  return record;
}

Status NodeRuntime::WriteFiles(const NodeSpec& spec) const {
  return WriteNodeFiles(spec, host_.NodeDir(spec.id), *keys_);
}

bool NodeRuntime::IsRunning(const NodeRecord& record) { return OpenProcess(record.init).ok(); }

Result<std::optional<NodeRecord>> NodeRuntime::Find(const std::string& id) const {
  const std::string dir = host_.NodeDir(id);
  RETURN_IF_ERROR(WaitForStarter(dir + "/lock"));
  const auto text = ReadFile(dir + "/record", 4096);
  if (!text.ok()) {
    if (text.error().sys_errno() == ENOENT) return std::optional<NodeRecord>();
    return text.error();
  }
  ASSIGN_OR_RETURN(const NodeRecord record, ParseRecord(*text), dir + "/record");
  if (!IsRunning(record)) return std::optional<NodeRecord>();
  return std::optional<NodeRecord>(record);
}

bool NodeRuntime::HasRecord(const std::string& id) const {
  return ::access((host_.NodeDir(id) + "/record").c_str(), F_OK) == 0;
}

Status NodeRuntime::Stop(const std::string& id, const std::optional<NodeRecord>& record,
                         milliseconds grace) const {
  if (record.has_value()) {
    // Opened before init is told to end, so that it surely is the monitor that is waited for.
    const auto monitor = OpenProcess(record->monitor);
    if (const auto init = OpenProcess(record->init); init.ok()) {
      // An init that is ending has left its cgroup already, and that is fine. One that stays frozen
      // for another reason does not end below, and that is the error.
      if (Status thawed = ThawCgroupOf(record->init.pid); !thawed.ok()) {
        LOG_DEBUG("thaw of node " + id + ": " + thawed.error().message());
      }
      if (!Terminate(init->get(), grace).ok()) {
        RETURN_IF_ERROR(Signal(init->get(), SIGKILL));
        RETURN_IF_ERROR(WaitProcess(init->get(), kKillTimeout));
      }
    }
    // A monitor that hangs is killed with its cgroup.
    if (monitor.ok() && !WaitProcess(monitor->get(), kMonitorTimeout).ok()) {
      LOG_WARNING("node " + id + ": liblxc's monitor does not end and is killed");
    }
  }
  return Clear(id);
}

Status NodeRuntime::Clear(const std::string& id) const {
  const std::string name = host_.ContainerName(id);
  RETURN_IF_ERROR(WaitForStarter(host_.NodeDir(id) + "/lock"));
  RETURN_IF_ERROR(RemoveContainerCgroups(name));
  // liblxc keeps a lock file per container that it never removes.
  std::string lock_dir = kLxcLockDir + host_.NodesDir();
  if (::unlink((lock_dir + "/." + name).c_str()) != 0 && errno != ENOENT) {
    return Errno("unlink the lock of " + name);
  }
  while (lock_dir.size() > sizeof(kLxcLockDir) - 1 && ::rmdir(lock_dir.c_str()) == 0) {
    lock_dir.resize(lock_dir.rfind('/'));
  }
  return RemoveTree(host_.NodeDir(id));
}

Status NodeRuntime::Freeze(const NodeRecord& record) const {
  return FreezeCgroupOf(record.init.pid);
}
Status NodeRuntime::Thaw(const NodeRecord& record) const { return ThawCgroupOf(record.init.pid); }

Result<Subprocess> NodeRuntime::Exec(const std::string& id, ExecNodeRequest request, int in,
                                     int out, int err) const {
  request.name = host_.ContainerName(id);
  request.lxc_path = host_.NodesDir();
  ASSIGN_OR_RETURN(const std::string bytes, Encode(request));
  ASSIGN_OR_RETURN(const UniqueFd file, RequestFile(bytes));
  SubprocessOptions options;
  options.argv = {host_.node_binary, "exec"};
  options.stdin_fd = in;
  options.stdout_fd = out;
  options.stderr_fd = err;
  options.extra_fds = {file.get()};
  options.new_session = true;
  return Subprocess::Start(options);
}

}  // namespace strata::vcluster
