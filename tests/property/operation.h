// Operation: one step of a property test, as a value that can be written down and read again. What
// it does is decided by its fields alone, so that a sequence replays anywhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace strata::property {

// On paths, unless a slot (of an open file) is named. `size`, `at` and `number` mean what the
// comment says; `number` also decides the bytes that are written.
enum class Kind {
  kCreate,     // path; at: mode, size bytes written
  kOpen,       // slot, path; at: open(2) flags (access mode, O_APPEND, O_TRUNC, O_CREAT, O_DIRECT)
  kClose,      // slot
  kReopen,     // slot through /proc/self/fd into other_slot; at: access mode
  kWrite,      // slot; at: offset, size
  kMapWrite,   // slot; at: offset, size; stores through a shared mapping
  kRead,       // slot; at: offset, size
  kReadFile,   // path
  kFtruncate,  // slot; size
  kTruncate,   // path; size
  kAllocate,   // slot; at: offset, size; number: 0 grow, 1 keep size, 2 punch a hole, 3 zero
  kSeek,       // slot; at: offset; number: 0 data, 1 hole
  kCopyRange,  // slot to other_slot; at: source offset, number: target offset, size
  kSync,       // slot
  kFstat,      // slot
  kFchmod,     // slot; at: mode
  kFutimens,   // slot; number: seconds
  kStat,       // path
  kChmod,      // path; at: mode
  kChown,      // path; at: uid, size: gid
  kUtimes,     // path; number: seconds
  kSetXattr,   // path; at: which name, size of the value; number: 0 either, 1 create, 2 replace
  kRemoveXattr,  // path; at: which name
  kSetAcl,       // path; at: 0 access, 1 default; number: the entries
  kRemoveAcl,    // path; at: 0 access, 1 default
  kMkdir,        // path; at: mode
  kRmdir,
  kUnlink,
  kRename,  // path to other
  kRenameNoReplace,
  kExchange,
  kLink,     // path to other
  kSymlink,  // path; other: target
  kMknod,    // path; at: 0 fifo, 1 socket, 2 device 1:3
  kTmpfile,  // slot, path: directory
  kLinkFd,   // slot to path
  kReadlink,
  kList,
  kRemount,  // closes every slot first
};
inline constexpr int kKinds = static_cast<int>(Kind::kRemount) + 1;
inline constexpr int kSlots = 6;

struct Operation {
  Kind kind = Kind::kStat;
  int slot = 0;
  int other_slot = 0;
  uint64_t at = 0;
  uint64_t size = 0;
  uint64_t number = 0;
  std::string path;  // Relative to the root; empty: the root itself.
  std::string other;

  // "rename 0 0 0 0 0 a/b c": the kind, the numbers in the order above, the paths ("." is empty).
  std::string Text() const;
  bool operator==(const Operation&) const = default;
};

std::string_view KindName(Kind kind);
// kInvalidArgument names the line. Empty lines and lines that begin with # are left out.
Result<std::vector<Operation>> ParseOperations(std::string_view text);
std::string OperationsText(const std::vector<Operation>& operations);

// The bytes that an operation with `number` writes.
std::string Pattern(uint64_t number, size_t size);

}  // namespace strata::property
