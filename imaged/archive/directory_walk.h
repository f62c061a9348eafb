// Walks a directory tree that others may change meanwhile: no symbolic link is followed, no mount
// point is crossed (bind mounts included), and nothing but directories is opened for reading.
// Needs two descriptors, however deep the tree.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::imaged {

struct WalkedFile {
  std::string path;  // Relative; the root is "".
  UniqueFd fd;       // O_PATH.
  struct stat st {};
  // Something is mounted here: fd and st are those of the mounted root, which is not entered.
  bool mount_point = false;
};

// Calls `visit` for the root, then for what is below: parents before children, names of a directory
// in byte order. Files that vanish meanwhile are left out. The first error ends the walk; errors
// name the path.
Status WalkDirectory(const std::string& root, const std::function<Status(WalkedFile)>& visit);

}  // namespace strata::imaged
