// Loop devices (loop(4)): a file as a block device. Every device made here frees itself when its
// last user (descriptor or mount) is gone, so a process that dies leaves none behind.
// Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata {

struct LoopDevice {
  UniqueFd fd;       // Keeps the device; may be closed once it is mounted.
  std::string path;  // "/dev/loop3"
};

struct LoopOptions {
  bool read_only = false;
  // Past the page cache of the file, where its file system can; otherwise through it.
  bool direct_io = false;
  uint32_t block_size = 0;  // 0: the kernel's own choice.
};

// A new device for `file`. REQUIRES: no other device has it, or all are read-only.
Result<LoopDevice> AttachLoop(int file, const LoopOptions& options);

// The device that `file`, whose name ends in `basename`, already is; nothing when there is none.
Result<std::optional<LoopDevice>> FindLoop(int file, const std::string& basename);

// Tells the device that its file was made larger.
Status RefreshLoopSize(const LoopDevice& loop);

// The file behind the loop device with this number, as the kernel names it (" (deleted)" is
// appended to one that has no name any more). kNotFound: not a loop device.
Result<std::string> LoopFileOf(dev_t device);

}  // namespace strata
