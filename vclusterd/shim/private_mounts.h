// Mount namespaces for the process that starts containers and for their monitors.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace strata::vcluster {

// The mount points of a /proc/<pid>/mountinfo text, in its order, unescaped.
std::vector<std::string> ParseMountPoints(std::string_view mountinfo);

// True when a mount at `mount_point` is one that liblxc may use (/, /proc, what is below /sys, and
// below /dev but for /dev/shm) or on the way to one of `needed`.
bool IsNeededMount(std::string_view mount_point, const std::vector<std::string>& needed);

// Moves this (single-threaded) process into a mount namespace of its own and drops every mount that
// is not needed there: a copy that stayed would keep the host's file systems busy for as long as
// the process runs, and what it starts.
Status EnterPrivateMounts(const std::vector<std::string>& needed);

// Makes the file or directory a read-only mount here, before a user namespace with mounts of its
// own is made: the kernel locks what such a namespace inherits, while a bind mount that is made
// inside of it may be made writable again by its root. REQUIRES: a private mount namespace.
Status MakeLockedReadOnly(const std::string& path);

}  // namespace strata::vcluster
