#include "common/mount.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "common/file_io.h"
#include "common/idmapped_mount.h"

// glibc's <sys/mount.h> and <linux/mount.h> clash on some releases, so the calls are made directly.
extern "C" int umount2(const char* target, int flags) noexcept;

namespace strata {
namespace {

constexpr int kDetach = 2;               // MNT_DETACH
constexpr uint64_t kPrivate = 1u << 18;  // MS_PRIVATE

int FsOpen(const char* type) {
  return static_cast<int>(::syscall(SYS_fsopen, type, FSOPEN_CLOEXEC));
}
int FsConfig(int fd, unsigned command, const char* key, const char* value, int aux = 0) {
  return static_cast<int>(::syscall(SYS_fsconfig, fd, command, key, value, aux));
}

int SetOption(int fd, const MountOption& option) {
  const char* key = option.key.c_str();
  if (option.fd >= 0) return FsConfig(fd, FSCONFIG_SET_FD, key, nullptr, option.fd);
  if (option.value.empty()) return FsConfig(fd, FSCONFIG_SET_FLAG, key, nullptr);
  return FsConfig(fd, FSCONFIG_SET_STRING, key, option.value.c_str());
}

// What the kernel wrote into the context's log, one message after another.
std::string ContextMessages(int fd) {
  std::string text;
  char buffer[1024];
  ssize_t n;
  while ((n = ::read(fd, buffer, sizeof(buffer))) > 0) {
    std::string_view message(buffer, static_cast<size_t>(n));
    if (message.size() > 2 && message[1] == ' ') message.remove_prefix(2);  // "e message"
    while (!message.empty() && message.back() == '\n') message.remove_suffix(1);
    text += (text.empty() ? "" : "; ") + std::string(message);
  }
  return text;
}

Error ContextError(const std::string& what, int fd) {
  const Error error = Errno(what);
  const std::string messages = ContextMessages(fd);
  if (messages.empty()) return error;
  return Error(error.code(), error.message() + " (" + messages + ")", error.sys_errno());
}

// A user namespace that lives only as long as its descriptor: the child makes it and waits.
Result<UniqueFd> MakeUserNamespace(const IdMap& ids) {
  int pipe_fds[2];
  if (::pipe2(pipe_fds, O_CLOEXEC) != 0) return Errno("pipe");
  UniqueFd read_end(pipe_fds[0]);
  UniqueFd write_end(pipe_fds[1]);
  // clone(2) without a stack works like fork: the child runs only system calls.
  const pid_t pid = static_cast<pid_t>(
      ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, 0));
  if (pid < 0) return Errno("clone a user namespace");
  if (pid == 0) {
    // Also what other threads had open: a child that kept the write end of another's pipe would
    // wait for that one, and that one perhaps for this.
    if (::dup2(read_end.get(), 0) != 0 || ::syscall(SYS_close_range, 1u, ~0u, 0u) != 0) ::_exit(1);
    char byte;
    [[maybe_unused]] const ssize_t n = ::read(0, &byte, 1);
    ::_exit(0);
  }
  const std::string proc = "/proc/" + std::to_string(pid);
  const auto write_map = [&](const char* file, const std::vector<IdExtent>& extents) -> Status {
    std::string map;
    for (const IdExtent& extent : extents) {
      map += std::to_string(extent.stored) + " " + std::to_string(extent.shown) + " " +
             std::to_string(extent.count) + "\n";
    }
    ASSIGN_OR_RETURN(UniqueFd fd, Open(proc + file, O_WRONLY));
    RETURN_IF_ERROR(WriteAll(fd.get(), map), proc + file);
    return Ok();
  };
  const auto open_mapped = [&]() -> Result<UniqueFd> {
    RETURN_IF_ERROR(write_map("/uid_map", ids.users));
    RETURN_IF_ERROR(write_map("/gid_map", ids.groups));
    return Open(proc + "/ns/user", O_RDONLY);
  };
  Result<UniqueFd> ns = open_mapped();
  write_end.reset();
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return ns;
}

Result<UniqueFd> CloneShifted(int dir_fd, const std::string& path, uint32_t first_id,
                              uint32_t count) {
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (path.empty() ? AT_EMPTY_PATH : 0);
  UniqueFd tree(static_cast<int>(::syscall(SYS_open_tree, dir_fd, path.c_str(), flags)));
  if (!tree.valid()) return Errno("open_tree " + path);
  RETURN_IF_ERROR(ShiftMountIds(tree.get(), first_id, count),
                  path.empty() ? "a detached mount" : path);
  return tree;
}

}  // namespace

Result<UniqueFd> CreateDetachedMount(const MountSpec& spec) {
  UniqueFd context(FsOpen(spec.type.c_str()));
  if (!context.valid()) return Errno("fsopen " + spec.type);
  ::fcntl(context.get(), F_SETFL, O_NONBLOCK);
  for (const MountOption& option : spec.options) {
    if (SetOption(context.get(), option) != 0) {
      return ContextError(spec.type + " mount option " + option.key, context.get());
    }
  }
  if (FsConfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr) != 0) {
    return ContextError("create " + spec.type + " mount", context.get());
  }
  UniqueFd mount(
      static_cast<int>(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, spec.attributes)));
  if (!mount.valid()) return ContextError("fsmount " + spec.type, context.get());
  return mount;
}

Result<UniqueFd> CloneMountIdShifted(const std::string& path, uint32_t first_id, uint32_t count) {
  return CloneShifted(AT_FDCWD, path, first_id, count);
}

Result<UniqueFd> CloneMountIdShifted(int mount_fd, uint32_t first_id, uint32_t count) {
  return CloneShifted(mount_fd, "", first_id, count);
}

Status ShiftMountIds(int mount_fd, uint32_t first_id, uint32_t count) {
  const std::vector<IdExtent> shift = {{0, first_id, count}};
  return MapMountIds(mount_fd, {shift, shift}, 0);
}

Result<UniqueFd> CloneMountAt(int fd) {
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
  UniqueFd tree(static_cast<int>(::syscall(SYS_open_tree, fd, "", flags)));
  if (!tree.valid()) return Errno("open_tree");
  return tree;
}

Status MapMountIds(int mount_fd, const IdMap& map, uint64_t attributes) {
  ASSIGN_OR_RETURN(const UniqueFd user_ns, MakeUserNamespace(map));
  mount_attr changes = {};
  changes.attr_set = MOUNT_ATTR_IDMAP | attributes;
  changes.userns_fd = static_cast<uint64_t>(user_ns.get());
  if (::syscall(SYS_mount_setattr, mount_fd, "", AT_EMPTY_PATH, &changes, sizeof(changes)) == 0) {
    return Ok();
  }
  if (errno != EINVAL) return Errno("map the ids of a mount");
  return Error(Code::kUnsupported, "the file system knows no idmapped mounts", EINVAL);
}

Status AttachMount(int mount_fd, const std::string& path) {
  if (::syscall(SYS_move_mount, mount_fd, "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) !=
      0) {
    return Errno("attach a mount at " + path);
  }
  return Ok();
}

Status AttachMountAt(int mount_fd, int directory_fd, const std::string& path) {
  const unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
  if (::syscall(SYS_move_mount, mount_fd, "", directory_fd, "", flags) != 0) {
    return Errno("attach a mount at " + path);
  }
  return Ok();
}

Status MakePrivateMountPoint(const std::string& path) {
  ASSIGN_OR_RETURN(const bool mounted, IsMountPoint(path));
  if (mounted) return Ok();
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
  const UniqueFd tree(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, path.c_str(), flags)));
  if (!tree.valid()) return Errno("open_tree " + path);
  mount_attr attributes = {};
  attributes.propagation = kPrivate;
  if (::syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes,
                sizeof(attributes)) != 0) {
    return Errno("make " + path + " private");
  }
  return AttachMount(tree.get(), path);
}

Status Unmount(const std::string& path, bool lazy) {
  if (::umount2(path.c_str(), lazy ? kDetach : 0) == 0) return Ok();
  if (errno == EINVAL || errno == ENOENT) return Ok();
  return Errno("unmount " + path);
}

Result<bool> IsMountPoint(const std::string& path) {
  struct statx st;
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &st) != 0) {
    return Errno("stat " + path);
  }
  return (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

}  // namespace strata
