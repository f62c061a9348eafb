// The few parts of the FUSE protocol that libfuse does not show (linux/fuse.h of Linux 6.9, which
// is newer than Debian 12's headers).
#pragma once

#include <cstdint>
#include <string>

namespace strata::layerfs {

struct FuseInHeader {
  uint32_t len;
  uint32_t opcode;
  uint64_t unique;
  uint64_t nodeid;
  uint32_t uid;
  uint32_t gid;
  uint32_t pid;
  uint16_t total_extlen;
  uint16_t padding;
};

struct FuseOutHeader {
  uint32_t len;
  int32_t error;
  uint64_t unique;
};

// FuseInHeader::opcode as linux/fuse.h names it, or its number.
std::string OpcodeName(uint32_t opcode);

// Set in FuseInHeader::unique of a request that is sent for the second time.
inline constexpr uint64_t kFuseUniqueResend = uint64_t{1} << 63;
// FuseOutHeader::error of the notification (unique 0) which asks for that.
inline constexpr int32_t kFuseNotifyResend = 7;

}  // namespace strata::layerfs
