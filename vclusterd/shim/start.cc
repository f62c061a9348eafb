#include <fcntl.h>
#include <lxc/lxccontainer.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "common/file_io.h"
#include "common/idmapped_mount.h"
#include "common/mount.h"
#include "common/open_in_root.h"
#include "vclusterd/shim/node_request.h"
#include "vclusterd/shim/private_mounts.h"
#include "vclusterd/shim/start_exec.h"

namespace strata::vcluster {
namespace {

struct PutContainer {
  void operator()(lxc_container* container) const { lxc_container_put(container); }
};

bool IsDirectoryInRoot(int root, const std::string& path) {
  return OpenInRoot(root, path.c_str(), O_PATH | O_DIRECTORY).valid();
}

// Where this is impossible (no directory, a dangling link), liblxc says what it thinks of it.
Status MakeMountPoint(int root, const std::string& path, uid_t owner) {
  const UniqueFd made =
      OpenInRoot(root, path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
  if (made.valid() && ::fchown(made.get(), owner, owner) != 0) return Errno("chown " + path);
  return Ok();
}

// A directory of the node's root. In a volume the host's root has no id as which it could own one.
bool MakeDirectoryAt(int parent, const char* name, uid_t owner) {
  constexpr mode_t kMode = 0755;
  if (::mkdirat(parent, name, kMode) == 0) {
    return ::fchownat(parent, name, owner, owner, AT_SYMLINK_NOFOLLOW) == 0;
  }
  if (errno != EOVERFLOW) return false;
  ::setfsgid(owner);
  ::setfsuid(owner);
  const bool made = ::mkdirat(parent, name, kMode) == 0;
  const int error = errno;
  ::setfsuid(0);
  ::setfsgid(0);
  errno = error;
  return made;
}

// The directory at `path`, made where it is not there. Links lead no further than the root.
Result<UniqueFd> MakeDirectoryInRoot(int root, const std::string& path, uid_t owner) {
  UniqueFd directory;
  for (size_t slash = 0; slash != std::string::npos;) {
    const size_t name = slash + 1;
    slash = path.find('/', name);
    const std::string prefix = path.substr(0, slash);
    directory = OpenInRoot(root, prefix.c_str(), O_PATH | O_DIRECTORY);
    if (!directory.valid() && errno == ENOENT) {
      const UniqueFd parent = OpenInRoot(root, path.substr(0, name).c_str(), O_PATH | O_DIRECTORY);
      if (!parent.valid()) return Errno(prefix);
      if (!MakeDirectoryAt(parent.get(), prefix.c_str() + name, owner)) {
        // A link that leads nowhere, too.
        return Errno("mkdir " + prefix);
      }
      directory = OpenInRoot(root, prefix.c_str(), O_PATH | O_DIRECTORY);
    }
    if (!directory.valid()) return Errno(prefix);
  }
  return directory;
}

// REQUIRES: the root is attached.
Status AttachVolumes(const StartNodeRequest& request, int root, std::vector<UniqueFd> volumes) {
  for (size_t i = 0; i < volumes.size(); ++i) {
    const auto& [name, path] = request.volumes[i];
    const std::string what = "volume " + name + " cannot be mounted in the node";
    ASSIGN_OR_RETURN(const UniqueFd at, MakeDirectoryInRoot(root, path, request.id_first), what);
    RETURN_IF_ERROR(AttachMountAt(volumes[i].get(), at.get(), path), what);
  }
  return Ok();
}

Status SetItem(lxc_container* container, const std::string& key, const std::string& value) {
  if (container->set_config_item(container, key.c_str(), value.c_str())) return Ok();
  return Error(Code::kInternal, "liblxc refuses " + key + " = " + value);
}

// The kernel counts what is in this user namespace against root on the host, too, where its own
// programs are counted. How far it may go together is what this process may when the namespace is
// made: a part, so that no node can take the host's timers, queued signals and message queues.
Status LeaveShareToHost() {
  for (const auto resource : {RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE}) {
    rlimit limit = {};
    if (::getrlimit(resource, &limit) != 0) return Errno("getrlimit");
    if (limit.rlim_cur == RLIM_INFINITY) continue;
    limit.rlim_cur = limit.rlim_cur / 4 * 3;
    if (::setrlimit(resource, &limit) != 0) return Errno("setrlimit");
  }
  return Ok();
}

// What is left open for process 1, and for nothing else that runs in the container.
Status PassToInit(UniqueFd started, UniqueFd lock) {
  if (::dup2(started.get(), kStartedFd) < 0 || ::dup2(lock.get(), kLockFd) < 0) {
    return Errno("dup2");
  }
  return Ok();
}

}  // namespace

Status StartNode(const StartNodeRequest& request, UniqueFd root, UniqueFd* started,
                 std::vector<UniqueFd> volumes) {
  ASSIGN_OR_RETURN(UniqueFd lock, Open(request.lock_path, O_RDWR | O_CREAT, 0600));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) return Errno("lock " + request.lock_path);
  for (const std::string& path : request.read_only_paths) {
    RETURN_IF_ERROR(MakeLockedReadOnly(path));
  }
  RETURN_IF_ERROR(AttachMount(root.get(), request.root_dir));

  const std::unique_ptr<lxc_container, PutContainer> container(
      lxc_container_new(request.name.c_str(), request.lxc_path.c_str()));
  if (container == nullptr) return Error(Code::kInternal, "liblxc cannot make a container");
  for (const auto& [key, value] : request.items) {
    RETURN_IF_ERROR(SetItem(container.get(), key, value));
  }
  for (const std::string& path : request.mount_point_files) {
    RETURN_IF_ERROR(MakeMountPoint(root.get(), path, request.id_first));
  }
  RETURN_IF_ERROR(AttachVolumes(request, root.get(), std::move(volumes)));
  for (const auto& [directory, entry] : request.entries_if_directory) {
    if (!IsDirectoryInRoot(root.get(), directory)) continue;
    RETURN_IF_ERROR(SetItem(container.get(), "lxc.mount.entry", entry));
  }
  root.reset();
  RETURN_IF_ERROR(LeaveShareToHost());
  // liblxc would call newuidmap, which wants our ids in /etc/subuid; root may write the map itself,
  // and does so when it finds no newuidmap in PATH. Nothing else is looked for there.
  ::unsetenv("PATH");
  RETURN_IF_ERROR(PassToInit(std::move(*started), std::move(lock)));
  std::vector<char*> argv;
  for (const std::string& argument : request.argv) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  // This process is the monitor; a daemon would be two forks away.
  container->want_daemonize(container.get(), false);
  if (!container->start(container.get(), 0, argv.data())) {
    return Error(Code::kInternal, "liblxc could not start the node");
  }
  return Ok();
}

}  // namespace strata::vcluster
