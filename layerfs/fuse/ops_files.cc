// Callbacks that open and close files.
#include <fcntl.h>

#include "layerfs/fuse/open_file.h"
#include "layerfs/server/request_loop.h"

namespace strata::layerfs {
namespace {

void ReplyCreated(fuse_req_t req, const Result<Entry>& entry, UniqueFd made, fuse_file_info* fi) {
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
  const Status attached =
      AttachFile(req, param->ino, session.nodes.Find(param->ino), std::move(made), fi);
  if (!attached.ok()) {
    session.nodes.Forget(param->ino, 1);
    ReplyError(req, attached.error());
    return;
  }
  const uint64_t handle = fi->fh;
  if (fuse_reply_create(req, &*param, fi) == 0) return;
  // The request was interrupted: the kernel knows of neither.
  DetachFile(req, handle);
  session.nodes.Forget(param->ino, 1);
}

Status PrepareOpen(Session& session, fuse_req_t req, fuse_ino_t number, const Node& node,
                   int flags) {
  const bool truncates = (flags & O_TRUNC) != 0;
  if ((flags & O_ACCMODE) == O_RDONLY && !truncates) return Ok();
  RETURN_IF_ERROR(
      CopyUpForWrite(session, number, node, truncates ? CopyUpMode::kEmpty : CopyUpMode::kData));
  if (!truncates) return Ok();
  AttributeChange change;
  change.size = 0;
  change.keep_setid = fuse_req_ctx(req)->uid == 0;  // libfuse 3.17 does not show the kernel's flag.
  RETURN_IF_ERROR(session.fs->SetAttributes(node.inode, change));
  return Ok();
}

// An object that is not in the folder is asked for once, with no lock held.
Status AttachOrFetch(fuse_req_t req, Session& session, fuse_ino_t number, const Node& node,
                     fuse_file_info* fi) {
  Status status = AttachFile(req, number, node, UniqueFd(), fi);
  if (status.ok() || !node.inode->lower || !IsDamagedContent(status.error())) return status;
  StandAside();
  RETURN_IF_ERROR(session.fs->lower().ProvideContent(*node.inode->lower), status.error().message());
  return AttachFile(req, number, node, UniqueFd(), fi);
}

void Open(fuse_req_t req, fuse_ino_t number, fuse_file_info* fi) {
  Guarded(req, number, [&](Session& session, const Node& node) {
    Status status = PrepareOpen(session, req, number, node, fi->flags);
    if (status.ok()) status = AttachOrFetch(req, session, number, node, fi);
    if (!status.ok()) {
      ReplyError(req, status.error());
      return;
    }
    const uint64_t handle = fi->fh;
    if (fuse_reply_open(req, fi) != 0) DetachFile(req, handle);
  });
}

void Create(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* fi) {
  Guarded(req, parent, [&](Session& session, const Node& node) {
    UniqueFd made;
    Result<Entry> entry =
        session.fs->MakeNode(node.inode, name, S_IFREG | (mode & 07777), 0, CallerOf(req), &made);
    if (!entry.ok() && entry.error().sys_errno() == EEXIST && ThisRequest().is_repeated) {
      // A server that died has made it for this very request.
      entry =
          session.fs->FinishMade(node.inode, name, S_IFREG | (mode & 07777), CallerOf(req), &made);
    }
    if (!entry.ok() && entry.error().sys_errno() == EEXIST && (fi->flags & O_EXCL) == 0) {
      // The kernel did not know that the file exists.
      entry = session.fs->Lookup(node.inode, name);
      if (entry.ok() && entry->inode != nullptr && entry->inode->IsRegular()) {
        const Node found{entry->inode, entry->inode->epoch.load()};
        const uint64_t number = session.nodes.LastNumberOf(entry->inode);
        if (Status status = PrepareOpen(session, req, number, found, fi->flags); !status.ok()) {
          entry = status.error();
        }
      } else if (entry.ok()) {
        entry = Errno(name, EEXIST);
      }
    }
    ReplyCreated(req, entry, std::move(made), fi);
  });
}

void TemporaryFile(fuse_req_t req, fuse_ino_t parent, mode_t mode, fuse_file_info* fi) {
  Guarded(req, parent, [&](Session& session, const Node& node) {
    ReplyCreated(req, session.fs->MakeUnnamed(node.inode, S_IFREG | (mode & 07777), CallerOf(req)),
                 UniqueFd(), fi);
  });
}

void Release(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) {
  DetachFile(req, fi->fh);
  fuse_reply_err(req, 0);
}

}  // namespace

void AddFileOps(fuse_lowlevel_ops* ops) {
  ops->open = Open;
  ops->create = Create;
  ops->tmpfile = TemporaryFile;
  ops->release = Release;
}

}  // namespace strata::layerfs
