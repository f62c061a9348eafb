// Callbacks on attributes, extended attributes and the file system.
#include <sys/xattr.h>

#include "layerfs/fuse/session.h"
#include "layerfs/server/request_loop.h"

namespace strata::layerfs {
namespace {

void ReplyAttributes(fuse_req_t req, const Node& node, const Result<struct stat>& attributes) {
  if (!attributes.ok()) {
    ReplyError(req, attributes.error());
    return;
  }
  fuse_reply_attr(req, &*attributes, AttributeTimeout(node));
}

void GetAttributes(fuse_req_t req, fuse_ino_t number, fuse_file_info*) {
  Guarded(req, number, [&](Session& session, const Node& node) {
    ReplyAttributes(req, node, session.fs->GetAttributes(node.inode));
  });
}

AttributeChange ChangeOf(const struct stat& attr, int to_set) {
  constexpr timespec kNow = {.tv_sec = 0, .tv_nsec = UTIME_NOW};
  AttributeChange change;
  if ((to_set & FUSE_SET_ATTR_MODE) != 0) change.mode = attr.st_mode;
  if ((to_set & FUSE_SET_ATTR_UID) != 0) change.uid = attr.st_uid;
  if ((to_set & FUSE_SET_ATTR_GID) != 0) change.gid = attr.st_gid;
  if ((to_set & FUSE_SET_ATTR_SIZE) != 0) change.size = static_cast<uint64_t>(attr.st_size);
  if ((to_set & FUSE_SET_ATTR_ATIME) != 0) change.atime = attr.st_atim;
  if ((to_set & FUSE_SET_ATTR_MTIME) != 0) change.mtime = attr.st_mtim;
  if ((to_set & FUSE_SET_ATTR_ATIME_NOW) != 0) change.atime = kNow;
  if ((to_set & FUSE_SET_ATTR_MTIME_NOW) != 0) change.mtime = kNow;
  // FATTR_KILL_SUIDGID has this bit; the kernel sets it for callers without CAP_FSETID.
  change.keep_setid = (to_set & FUSE_SET_ATTR_KILL_SUID) == 0;
  return change;
}

void SetAttributes(fuse_req_t req, fuse_ino_t number, struct stat* attr, int to_set,
                   fuse_file_info*) {
  Guarded(req, number, [&](Session& session, const Node& node) {
    const AttributeChange change = ChangeOf(*attr, to_set);
    if (change.size) {
      const CopyUpMode mode = *change.size == 0 ? CopyUpMode::kEmpty : CopyUpMode::kData;
      if (Status status = CopyUpForWrite(session, number, node, mode); !status.ok()) {
        ReplyError(req, status.error());
        return;
      }
    }
    ReplyAttributes(req, node, session.fs->SetAttributes(node.inode, change));
  });
}

// A value, or with size 0 its size.
void ReplySized(fuse_req_t req, std::string_view value, size_t size) {
  if (size == 0) {
    fuse_reply_xattr(req, value.size());
  } else if (value.size() > size) {
    fuse_reply_err(req, ERANGE);
  } else {
    fuse_reply_buf(req, value.data(), value.size());
  }
}

void GetXattr(fuse_req_t req, fuse_ino_t number, const char* name, size_t size) {
  Guarded(req, number, [&](Session& session, const Node& node) {
    const auto value = session.fs->GetXattr(node.inode, name);
    if (!value.ok()) {
      ReplyError(req, value.error());
      return;
    }
    ReplySized(req, *value, size);
  });
}

void ListXattrs(fuse_req_t req, fuse_ino_t number, size_t size) {
  Guarded(req, number, [&](Session& session, const Node& node) {
    const auto names = session.fs->ListXattrs(node.inode);
    if (!names.ok()) {
      ReplyError(req, names.error());
      return;
    }
    std::string list;
    for (const std::string& name : *names) list.append(name).push_back('\0');
    ReplySized(req, list, size);
  });
}

void SetXattr(fuse_req_t req, fuse_ino_t number, const char* name, const char* value, size_t size,
              int flags) {
  Guarded(req, number, [&](Session& session, const Node& node) {
    // A server that died may have made it for this very request.
    if (ThisRequest().is_repeated) flags &= ~XATTR_CREATE;
    ReplyStatus(req, session.fs->SetXattr(node.inode, name, {value, size}, flags));
  });
}

void RemoveXattr(fuse_req_t req, fuse_ino_t number, const char* name) {
  Guarded(req, number, [&](Session& session, const Node& node) {
    const Status status = session.fs->RemoveXattr(node.inode, name);
    const bool was_done =
        ThisRequest().is_repeated && !status.ok() && status.error().sys_errno() == ENODATA;
    ReplyStatus(req, was_done ? Ok() : status);
  });
}

void StatFileSystem(fuse_req_t req, fuse_ino_t number) {
  Guarded(req, number == 0 ? kRootNode : number, [&](Session& session, const Node&) {
    const auto st = session.fs->StatFileSystem();
    if (!st.ok()) {
      ReplyError(req, st.error());
      return;
    }
    fuse_reply_statfs(req, &*st);
  });
}

}  // namespace

void AddAttributeOps(fuse_lowlevel_ops* ops) {
  ops->getattr = GetAttributes;
  ops->setattr = SetAttributes;
  ops->getxattr = GetXattr;
  ops->listxattr = ListXattrs;
  ops->setxattr = SetXattr;
  ops->removexattr = RemoveXattr;
  ops->statfs = StatFileSystem;
}

}  // namespace strata::layerfs
