// Callbacks on names.
//
// A request may be a repeated one (request_loop.h): a server that died may have done its work. The
// kernel holds the directory locked since, so a name that should not be there is the one that was
// made for it, and a name that should be there and is not has been removed for it.
#include <fcntl.h>

#include "layerfs/fuse/session.h"
#include "layerfs/server/request_loop.h"

namespace strata::layerfs {
namespace {

bool WasDoneBefore(const Status& status, int number) {
  return ThisRequest().is_repeated && !status.ok() && status.error().sys_errno() == number;
}

Status StatusOf(const Result<Entry>& entry) { return entry.ok() ? Ok() : Status(entry.error()); }

// "." and ".." come from file handles (EXPORT_SUPPORT).
Result<Entry> LookupOrSelf(Session& session, const Node& node, const std::string& name) {
  if (name != "." && name != "..") return session.fs->Lookup(node.inode, name);
  Entry entry;
  entry.inode = node.inode;
  if (name == "..") entry.inode = session.fs->ParentOf(node.inode);
  ASSIGN_OR_RETURN(entry.attributes, session.fs->GetAttributes(entry.inode));
  // The kernel has let go of it, and we shall hear of that soon.
  if (entry.attributes.st_nlink == 0) return Errno("a removed file", ESTALE);
  return entry;
}

void Lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Guarded(req, parent, [&](Session& session, const Node& node) {
    ReplyEntry(req, LookupOrSelf(session, node, name));
  });
}

void Forget(fuse_req_t req, fuse_ino_t number, uint64_t lookups) {
  SessionOf(req).nodes.Forget(number, lookups);
  fuse_reply_none(req);
}

void ForgetMulti(fuse_req_t req, size_t count, fuse_forget_data* forgets) {
  for (size_t i = 0; i < count; ++i) {
    SessionOf(req).nodes.Forget(forgets[i].ino, forgets[i].nlookup);
  }
  fuse_reply_none(req);
}

void ReadLink(fuse_req_t req, fuse_ino_t number) {
  Guarded(req, number, [&](Session& session, const Node& node) {
    const auto target = session.fs->ReadLink(node.inode);
    if (!target.ok()) {
      ReplyError(req, target.error());
      return;
    }
    fuse_reply_readlink(req, target->c_str());
  });
}

void MakeNode(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, dev_t rdev) {
  Guarded(req, parent, [&](Session& session, const Node& node) {
    const Caller caller = CallerOf(req);
    Result<Entry> entry = session.fs->MakeNode(node.inode, name, mode, rdev, caller);
    if (WasDoneBefore(StatusOf(entry), EEXIST)) {
      entry = session.fs->FinishMade(node.inode, name, mode, caller);
    }
    ReplyEntry(req, entry);
  });
}

void MakeDirectory(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode) {
  MakeNode(req, parent, name, S_IFDIR | (mode & 07777), 0);
}

void MakeSymlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name) {
  Guarded(req, parent, [&](Session& session, const Node& node) {
    const Caller caller = CallerOf(req);
    Result<Entry> entry = session.fs->MakeSymlink(node.inode, name, target, caller);
    if (WasDoneBefore(StatusOf(entry), EEXIST)) {
      entry = session.fs->FinishMade(node.inode, name, S_IFLNK | 0777, caller);
    }
    ReplyEntry(req, entry);
  });
}

void Link(fuse_req_t req, fuse_ino_t number, fuse_ino_t new_parent, const char* name) {
  Guarded(req, number, [&](Session& session, const Node& node) {
    const Node parent = session.nodes.Find(new_parent);
    if (parent.inode == nullptr) {
      fuse_reply_err(req, ESTALE);
      return;
    }
    Result<Entry> entry = session.fs->Link(node.inode, parent.inode, name);
    if (WasDoneBefore(StatusOf(entry), EEXIST)) {
      Result<Entry> found = session.fs->Lookup(parent.inode, name);
      if (!found.ok() || found->inode == node.inode) entry = std::move(found);
    }
    ReplyEntry(req, entry);
  });
}

void Unlink(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Guarded(req, parent, [&](Session& session, const Node& node) {
    const Status status = session.fs->Unlink(node.inode, name);
    ReplyStatus(req, WasDoneBefore(status, ENOENT) ? Ok() : status);
  });
}

void RemoveDirectory(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Guarded(req, parent, [&](Session& session, const Node& node) {
    const Status status = session.fs->RemoveDirectory(node.inode, name);
    ReplyStatus(req, WasDoneBefore(status, ENOENT) ? Ok() : status);
  });
}

// After an exchange both names are there, as before: only a note tells whether it was done.
Status Exchange(Session& session, const InodePtr& dir, const std::string& name,
                const InodePtr& new_dir, const std::string& new_name) {
  const CurrentRequest& request = ThisRequest();
  ASSIGN_OR_RETURN(const Entry source, session.fs->Lookup(dir, name));
  const uint64_t source_ino = source.inode == nullptr ? 0 : source.inode->st_ino;
  if (request.is_repeated) {
    for (const ExchangeIntent& intent : session.state.header().exchanges) {
      if (intent.request.load() == request.number && intent.source_ino != source_ino) return Ok();
    }
  }
  ExchangeIntent& intent = session.state.header().exchanges[request.thread];
  intent.request.store(0);
  intent.source_ino = source_ino;
  intent.request.store(request.number);
  return session.fs->Rename(dir, name, new_dir, new_name, RENAME_EXCHANGE);
}

void Rename(fuse_req_t req, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
            const char* new_name, unsigned flags) {
  Guarded(req, parent, [&](Session& session, const Node& node) {
    const Node to = session.nodes.Find(new_parent);
    if (to.inode == nullptr) {
      fuse_reply_err(req, ESTALE);
      return;
    }
    if (flags == RENAME_EXCHANGE) {
      ReplyStatus(req, Exchange(session, node.inode, name, to.inode, new_name));
      return;
    }
    const Status status = session.fs->Rename(node.inode, name, to.inode, new_name, flags);
    ReplyStatus(req, WasDoneBefore(status, ENOENT) ? Ok() : status);
  });
}

}  // namespace

void AddNameOps(fuse_lowlevel_ops* ops) {
  ops->lookup = Lookup;
  ops->forget = Forget;
  ops->forget_multi = ForgetMulti;
  ops->readlink = ReadLink;
  ops->mknod = MakeNode;
  ops->mkdir = MakeDirectory;
  ops->symlink = MakeSymlink;
  ops->link = Link;
  ops->unlink = Unlink;
  ops->rmdir = RemoveDirectory;
  ops->rename = Rename;
}

}  // namespace strata::layerfs
