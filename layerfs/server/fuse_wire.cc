#include "layerfs/server/fuse_wire.h"

#include <iterator>

namespace strata::layerfs {
namespace {

// By number (enum fuse_opcode).
constexpr const char* kOpcodeNames[] = {
    "", "LOOKUP", "FORGET", "GETATTR", "SETATTR", "READLINK", "SYMLINK", "", "MKNOD", "MKDIR",
    "UNLINK", "RMDIR", "RENAME", "LINK", "OPEN", "READ", "WRITE", "STATFS", "RELEASE", "", "FSYNC",
    "SETXATTR", "GETXATTR", "LISTXATTR", "REMOVEXATTR", "FLUSH", "INIT", "OPENDIR", "READDIR",
    "RELEASEDIR", "FSYNCDIR", "GETLK", "SETLK", "SETLKW", "ACCESS", "CREATE", "INTERRUPT", "BMAP",
    "DESTROY", "IOCTL", "POLL", "NOTIFY_REPLY", "BATCH_FORGET", "FALLOCATE", "READDIRPLUS",
    "RENAME2", "LSEEK", "COPY_FILE_RANGE", "SETUPMAPPING", "REMOVEMAPPING", "SYNCFS", "TMPFILE",
    "STATX",
};

}  // namespace

std::string OpcodeName(uint32_t opcode) {
  const bool has_name = opcode < std::size(kOpcodeNames) && kOpcodeNames[opcode][0] != '\0';
  return has_name ? kOpcodeNames[opcode] : std::to_string(opcode);
}

}  // namespace strata::layerfs
