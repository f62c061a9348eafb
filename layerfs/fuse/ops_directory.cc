// Callbacks on open directories. A listing is taken at the first read and at every rewind; offsets
// are positions in it and stay valid until then.
#include "layerfs/fuse/session.h"

namespace strata::layerfs {
namespace {

// Collects entries until the kernel's buffer is full.
class Filler {
 public:
  Filler(fuse_req_t req, size_t size) : req_(req), buffer_(size) {}

  bool Add(const char* name, const struct stat& st, off_t next) {
    return Took(fuse_add_direntry(req_, at(), left(), name, &st, next));
  }
  bool AddPlus(const char* name, const fuse_entry_param& entry, off_t next) {
    return Took(fuse_add_direntry_plus(req_, at(), left(), name, &entry, next));
  }
  void Reply() { fuse_reply_buf(req_, buffer_.data(), used_); }

 private:
  char* at() { return buffer_.data() + used_; }
  size_t left() const { return buffer_.size() - used_; }
  bool Took(size_t needed) {
    if (needed > left()) return false;
    used_ += needed;
    return true;
  }

  fuse_req_t req_;
  std::vector<char> buffer_;
  size_t used_ = 0;
};

// "." and ".." carry no attributes: the kernel does not look them up.
bool AddDots(Filler* filler, const Session& session, const InodePtr& dir, off_t offset, bool plus) {
  const char* const names[] = {".", ".."};
  for (off_t i = offset; i < 2; ++i) {
    fuse_entry_param entry = {};
    entry.attr.st_mode = S_IFDIR;
    entry.attr.st_ino = i == 0 ? dir->st_ino : session.fs->ParentOf(dir)->st_ino;
    const bool added =
        plus ? filler->AddPlus(names[i], entry, i + 1) : filler->Add(names[i], entry.attr, i + 1);
    if (!added) return false;
  }
  return true;
}

// False: the buffer is full. An entry that went away since the listing is left out.
Result<bool> AddPlain(Filler* filler, Session& session, const InodePtr& dir,
                      const DirectoryEntry& entry, off_t next) {
  struct stat st = {};
  st.st_mode = entry.type << 12;
  st.st_ino = entry.lower_ino;
  if (entry.lower_ino == 0) {
    ASSIGN_OR_RETURN(const Entry found, session.fs->Lookup(dir, entry.name));
    if (found.inode == nullptr) return true;
    st = found.attributes;
  }
  return filler->Add(entry.name.c_str(), st, next);
}

Result<bool> AddWithAttributes(Filler* filler, Session& session, const InodePtr& dir,
                               const DirectoryEntry& entry, off_t next) {
  ASSIGN_OR_RETURN(const Entry found, session.fs->Lookup(dir, entry.name));
  if (found.inode == nullptr) return true;
  ASSIGN_OR_RETURN(const fuse_entry_param param, EntryParam(session, found));
  if (filler->AddPlus(entry.name.c_str(), param, next)) return true;
  session.nodes.Forget(param.ino, 1);
  return false;
}

Status Fill(Filler* filler, Session& session, const InodePtr& dir, OpenDirectory* directory,
            off_t offset, bool plus) {
  const std::lock_guard lock(directory->mutex);
  if (offset == 0 || !directory->listed) {
    directory->listed = false;
    directory->entries.Clear();
    RETURN_IF_ERROR(session.fs->ReadDirectory(dir, [&](const DirectoryEntry& entry) {
      directory->entries.Append(entry);
      return true;
    }));
    directory->listed = true;
  }
  bool room = AddDots(filler, session, dir, offset, plus);
  size_t i = offset < 2 ? 0 : static_cast<size_t>(offset - 2);
  for (; room && i < directory->entries.size(); ++i) {
    const auto add = plus ? AddWithAttributes : AddPlain;
    const Result<bool> added =
        add(filler, session, dir, directory->entries[i], static_cast<off_t>(i + 3));
    if (!added.ok()) {
      // One bad entry must not hide the others; whoever looks it up is told.
      LOG_ERROR("listing a directory: " + added.error().message());
      continue;
    }
    room = *added;
  }
  return Ok();
}

void ReadEntries(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, fuse_file_info* fi,
                 bool plus) {
  Guarded(req, number, [&](Session& session, const Node& node) {
    Filler filler(req, size);
    const auto directory = session.directories.Find(fi->fh);
    const Status filled = Fill(&filler, session, node.inode, directory.get(), offset, plus);
    if (filled.ok()) {
      filler.Reply();
    } else {
      ReplyError(req, filled.error());
    }
  });
}

void OpenDir(fuse_req_t req, fuse_ino_t number, fuse_file_info* fi) {
  Guarded(req, number, [&](Session& session, const Node&) {
    // The kernel keeps the listing, and drops it when a name in the directory changes.
    fi->cache_readdir = 1;
    fi->keep_cache = 1;
    fi->fh = session.directories.Enter();
    fuse_reply_open(req, fi);
  });
}

void ReadDir(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, fuse_file_info* fi) {
  ReadEntries(req, number, size, offset, fi, /*plus=*/false);
}

void ReadDirPlus(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, fuse_file_info* fi) {
  ReadEntries(req, number, size, offset, fi, /*plus=*/true);
}

void ReleaseDir(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) {
  SessionOf(req).directories.Remove(fi->fh);
  fuse_reply_err(req, 0);
}

void SyncDir(fuse_req_t req, fuse_ino_t number, int data_only, fuse_file_info*) {
  Guarded(req, number, [&](Session& session, const Node& node) {
    ReplyStatus(req, session.fs->SyncDirectory(node.inode, data_only != 0));
  });
}

}  // namespace

void AddDirectoryOps(fuse_lowlevel_ops* ops) {
  ops->opendir = OpenDir;
  ops->readdir = ReadDir;
  ops->readdirplus = ReadDirPlus;
  ops->releasedir = ReleaseDir;
  ops->fsyncdir = SyncDir;
}

}  // namespace strata::layerfs
