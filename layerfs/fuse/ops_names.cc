// Callbacks on names.
#include "layerfs/fuse/session.h"

namespace strata::layerfs {
namespace {

// "." and ".." come from file handles (EXPORT_SUPPORT).
Result<Entry> LookupOrSelf(Session& session, const Node& node, const std::string& name) {
  if (name != "." && name != "..") return session.fs->Lookup(node.inode, name);
  Entry entry;
  entry.inode = node.inode;
  if (name == "..") entry.inode = session.fs->ParentOf(node.inode);
  ASSIGN_OR_RETURN(entry.attributes, session.fs->GetAttributes(entry.inode));
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
    ReplyEntry(req, session.fs->MakeNode(node.inode, name, mode, rdev, CallerOf(req)));
  });
}

void MakeDirectory(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode) {
  Guarded(req, parent, [&](Session& session, const Node& node) {
    ReplyEntry(req,
               session.fs->MakeNode(node.inode, name, S_IFDIR | (mode & 07777), 0, CallerOf(req)));
  });
}

void MakeSymlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name) {
  Guarded(req, parent, [&](Session& session, const Node& node) {
    ReplyEntry(req, session.fs->MakeSymlink(node.inode, name, target, CallerOf(req)));
  });
}

void Link(fuse_req_t req, fuse_ino_t number, fuse_ino_t new_parent, const char* name) {
  Guarded(req, number, [&](Session& session, const Node& node) {
    const Node parent = session.nodes.Find(new_parent);
    if (parent.inode == nullptr) {
      fuse_reply_err(req, ESTALE);
      return;
    }
    ReplyEntry(req, session.fs->Link(node.inode, parent.inode, name));
  });
}

void Unlink(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Guarded(req, parent, [&](Session& session, const Node& node) {
    ReplyStatus(req, session.fs->Unlink(node.inode, name));
  });
}

void RemoveDirectory(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Guarded(req, parent, [&](Session& session, const Node& node) {
    ReplyStatus(req, session.fs->RemoveDirectory(node.inode, name));
  });
}

void Rename(fuse_req_t req, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
            const char* new_name, unsigned flags) {
  Guarded(req, parent, [&](Session& session, const Node& node) {
    const Node to = session.nodes.Find(new_parent);
    if (to.inode == nullptr) {
      fuse_reply_err(req, ESTALE);
      return;
    }
    ReplyStatus(req, session.fs->Rename(node.inode, name, to.inode, new_name, flags));
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
