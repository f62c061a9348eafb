#include "layerfs/fuse/session.h"

#include "layerfs/server/request_loop.h"

namespace strata::layerfs {

int ErrnoOf(const Error& error) {
  if (error.sys_errno() != 0) return error.sys_errno();
  switch (error.code()) {
    case Code::kInvalidArgument:
      return EINVAL;
    case Code::kNotFound:
      return ENOENT;
    case Code::kAlreadyExists:
      return EEXIST;
    case Code::kPermissionDenied:
      return EPERM;
    case Code::kFailedPrecondition:
      return EBUSY;
    case Code::kResourceExhausted:
      return ENOSPC;
    case Code::kUnsupported:
      return EOPNOTSUPP;
    case Code::kCorrupt:
    case Code::kUnavailable:
    case Code::kCancelled:
    case Code::kDeadlineExceeded:
    case Code::kInternal:
      return EIO;
  }
  return EIO;
}

void ReplyError(fuse_req_t req, const Error& error) {
  const int number = ErrnoOf(error);
  if (number == EIO || number == EUCLEAN) LOG_ERROR(error.message());
  fuse_reply_err(req, number);
}

void ReplyStatus(fuse_req_t req, const Status& status) {
  if (status.ok()) {
    fuse_reply_err(req, 0);
  } else {
    ReplyError(req, status.error());
  }
}

Result<fuse_entry_param> EntryParam(Session& session, const Entry& entry) {
  fuse_entry_param param = {};
  param.entry_timeout = kCacheSeconds;
  if (entry.inode == nullptr) return param;
  param.ino = session.nodes.Acquire(entry.inode);
  if (param.ino == 0) return Errno("too many inodes are in use", ENOMEM);
  param.generation = session.generation;
  param.attr = entry.attributes;
  param.attr_timeout = AttributeTimeout({entry.inode, entry.inode->epoch.load()});
  return param;
}

void ReplyEntry(fuse_req_t req, const Result<Entry>& entry) {
  if (!entry.ok()) {
    ReplyError(req, entry.error());
    return;
  }
  Session& session = SessionOf(req);
  const Result<fuse_entry_param> param = EntryParam(session, *entry);
  if (!param.ok()) {
    ReplyError(req, param.error());
    return;
  }
  // An interrupted request's answer never reaches the kernel: it holds no lookup.
  if (fuse_reply_entry(req, &*param) != 0 && param->ino != 0) session.nodes.Forget(param->ino, 1);
}

Caller CallerOf(fuse_req_t req) {
  const fuse_ctx* context = fuse_req_ctx(req);
  return {context->uid, context->gid, context->umask};
}

double AttributeTimeout(const Node& node) {
  // An inode of a later epoch may have two nodes, and what is changed through one must show in the
  // other.
  return node.epoch == 0 && node.IsCurrent() ? kCacheSeconds : 0;
}

Status CopyUpForWrite(Session& session, uint64_t number, const Node& node, CopyUpMode mode) {
  if (mode == CopyUpMode::kData) {
    std::unique_lock lock(node.inode->mutex);
    const bool copies = !node.inode->HasUpperData();
    lock.unlock();
    if (copies) StandAside();
  }
  const bool was_current = node.IsCurrent();
  RETURN_IF_ERROR(session.fs->CopyUp(node.inode, mode));
  if (was_current && !node.IsCurrent()) {
    // Attributes only (negative offset): takes no lock that this request may hold.
    const int result = fuse_lowlevel_notify_inval_inode(session.fuse, number, -1, 0);
    if (result != 0 && result != -ENOENT) LOG_WARNING(Errno("invalidate", -result).message());
  }
  return Ok();
}

}  // namespace strata::layerfs
