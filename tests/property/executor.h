// Executor: carries operations out on a mounted tree, with system calls.
#pragma once

#include <sys/stat.h>

#include <array>
#include <map>
#include <string>

#include "common/unique_fd.h"
#include "tests/property/operation.h"

namespace strata::property {

// What lstat(2) and its kind say about one inode.
struct Seen {
  struct stat st = {};
  std::map<std::string, std::string> xattrs;  // ACLs too.
};

struct Outcome {
  int error = 0;
  std::string bytes;
  Seen seen;
  int64_t count = 0;  // Bytes moved; where a seek ended.
};

class Executor {
 public:
  explicit Executor(std::string root) : root_(std::move(root)) {}

  Outcome Apply(const Operation& operation);
  // REQUIRES: the slot is open.
  int fd(int slot) const { return slots_[static_cast<size_t>(slot)].get(); }
  void Close(int slot) { Slot(slot).reset(); }
  void CloseAll();

 private:
  std::string Full(const std::string& path) const {
    return path.empty() ? root_ : root_ + "/" + path;
  }
  UniqueFd& Slot(int slot) { return slots_[static_cast<size_t>(slot)]; }
  int OpenInto(int slot, const std::string& path, int flags, mode_t mode);
  Outcome OnFile(const Operation& op);
  Outcome OnHandle(const Operation& op);
  Outcome OnPath(const Operation& op);

  std::string root_;
  std::array<UniqueFd, kSlots> slots_;
};

// Everything about the inode behind `fd` (O_PATH too), without its content. 0 or an errno.
int Look(int fd, Seen* seen);
// The whole content. 0 or an errno.
int ReadWhole(int fd, std::string* bytes);

}  // namespace strata::property
