// A small container root for tests: busybox (Debian's busybox-static) and its applets, owned by
// `id_first`, as a detached overlay mount. No image and no layerfs is needed.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "common/file_io.h"
#include "common/mount.h"
#include "common/subprocess.h"

namespace strata::vcluster {

inline constexpr char kBusybox[] = "/bin/busybox";

inline Status MakeBusyboxTree(const std::string& path, uid_t owner) {
  for (const char* dir : {"/bin", "/etc", "/proc", "/sys", "/dev", "/tmp", "/root", "/run"}) {
    RETURN_IF_ERROR(MakeDirectories(path + dir));
  }
  RETURN_IF_ERROR(RunChecked({"cp", kBusybox, path + "/bin/busybox"}));
  for (const char* applet : {"sh",   "cat",   "sleep", "echo", "ping",     "id",   "hostname", "ps",
                             "stat", "mount", "tty",   "stty", "env",      "true", "touch",    "ls",
                             "kill", "nc",    "wget",  "ip",   "nslookup", "dd",   "sync"}) {
    if (::symlink("busybox", (path + "/bin/" + applet).c_str()) != 0) return Errno("symlink");
  }
  RETURN_IF_ERROR(WriteFileAtomically(path + "/etc/passwd",
                                      "root:x:0:0:root:/root:/bin/sh\n"
                                      "user:x:1000:1000:user:/tmp:/bin/sh\n"));
  const std::string ids = std::to_string(owner) + ":" + std::to_string(owner);
  return RunChecked({"chown", "-hR", ids, path}).ok()
             ? Ok()
             : Status(Error(Code::kInternal, "chown of the busybox tree"));
}

// `dir` must exist and be on a file system that can be an upper.
inline Result<UniqueFd> MountBusyboxRoot(const std::string& lower, const std::string& dir,
                                         uid_t owner) {
  for (const char* part : {"/upper", "/work"}) {
    RETURN_IF_ERROR(MakeDirectories(dir + part));
    if (::chown((dir + part).c_str(), owner, owner) != 0) return Errno("chown");
  }
  return CreateDetachedMount({.type = "overlay",
                              .options = {{"source", "strata-test"},
                                          {"lowerdir", lower},
                                          {"upperdir", dir + "/upper"},
                                          {"workdir", dir + "/work"}}});
}

}  // namespace strata::vcluster
