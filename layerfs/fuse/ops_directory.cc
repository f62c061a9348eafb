// Callbacks on directories. The kernel keeps listings (it drops one when a name in the directory
// changes) and neither opens nor closes directories here: an answer goes on after the place of the
// last name that the reader was given (directory_listing.h). A kernel that has kept a part of a
// listing, whose last name is then removed, keeps none of that directory until it forgets the
// inode (Linux 6.18, fs/fuse/readdir.c): listings are right all the same, and cost requests.
#include "layerfs/fuse/session.h"
#include "layerfs/server/request_loop.h"

namespace strata::layerfs {
namespace {

// So many entries of a directory come with attributes, so that looking at them costs no further
// requests; of longer ones hardly anybody looks at all.
constexpr size_t kWithAttributesMax = 4096;

// Collects entries until the kernel's buffer is full.
class Filler {
 public:
  Filler(fuse_req_t req, size_t size) : req_(req), buffer_(size) {}

  bool HasRoomFor(size_t bytes) const { return bytes <= buffer_.size() - used_; }
  // With `entry.ino` 0 the kernel looks at nothing but number and type. REQUIRES: HasRoomFor.
  void Add(const std::string& name, const fuse_entry_param& entry, off_t next) {
    used_ += fuse_add_direntry_plus(req_, buffer_.data() + used_, buffer_.size() - used_,
                                    name.c_str(), &entry, next);
  }
  void Reply() { fuse_reply_buf(req_, buffer_.data(), used_); }

  static size_t SizeOf(size_t name_size) {
    constexpr size_t kEntryOut = 128, kDirent = 24, kAlignment = 8;  // struct fuse_direntplus
    return (kEntryOut + kDirent + name_size + kAlignment - 1) / kAlignment * kAlignment;
  }

 private:
  fuse_req_t req_;
  std::vector<char> buffer_;
  size_t used_ = 0;
};

fuse_entry_param PlainEntry(uint64_t st_ino, mode_t type) {
  fuse_entry_param entry = {};
  entry.attr.st_ino = st_ino;
  entry.attr.st_mode = type;
  return entry;
}

// "." and ".." carry no attributes: the kernel does not look them up. False: the buffer is full.
bool AddDots(Filler* filler, const Session& session, const InodePtr& dir, off_t offset) {
  const char* const names[] = {".", ".."};
  for (off_t i = offset; i < 2; ++i) {
    if (!filler->HasRoomFor(Filler::SizeOf(2))) return false;
    const uint64_t st_ino = i == 0 ? dir->st_ino : session.fs->ParentOf(dir)->st_ino;
    filler->Add(names[i], PlainEntry(st_ino, S_IFDIR), i + 1);
  }
  return true;
}

// An entry that went away since the listing is left out.
Status AddEntry(Filler* filler, Session& session, const InodePtr& dir,
                const DirectoryListing::Item& item, bool with_attributes) {
  const std::string name(item.name);
  if (!with_attributes && item.lower_ino != 0) {
    filler->Add(name, PlainEntry(item.lower_ino, item.type << 12), item.place);
    return Ok();
  }
  ASSIGN_OR_RETURN(const Entry found, session.fs->Lookup(dir, name));
  if (found.inode == nullptr) return Ok();
  fuse_entry_param param = PlainEntry(found.attributes.st_ino, found.attributes.st_mode);
  if (with_attributes) {
    ASSIGN_OR_RETURN(param, EntryParam(session, found));
  }
  filler->Add(name, param, item.place);
  return Ok();
}

Result<ListingCache::ListingPtr> ListingFor(Session& session, const InodePtr& dir, off_t offset) {
  if (offset != 0) {
    if (auto listing = session.listings.Find(dir)) return listing;
  }
  auto listing = std::make_shared<DirectoryListing>(session.state.header().listing_seed);
  RETURN_IF_ERROR(session.fs->ReadDirectory(dir, [&](const DirectoryEntry& entry) {
    listing->Append(entry);
    return true;
  }));
  listing->Sort();
  session.listings.Put(dir, listing);
  return ListingCache::ListingPtr(listing);
}

Status Fill(Filler* filler, Session& session, const InodePtr& dir, off_t offset) {
  ASSIGN_OR_RETURN(const ListingCache::ListingPtr listing, ListingFor(session, dir, offset));
  if (!AddDots(filler, session, dir, offset)) return Ok();
  size_t i = listing->After(offset);
  if (i == listing->size() && offset != 0) session.listings.Drop(dir);
  for (; i < listing->size(); ++i) {
    const DirectoryListing::Item item = (*listing)[i];
    if (!filler->HasRoomFor(Filler::SizeOf(item.name.size()))) break;
    const Status added = AddEntry(filler, session, dir, item, i < kWithAttributesMax);
    // One bad entry must not hide the others; whoever looks it up is told.
    if (!added.ok()) LOG_ERROR("listing a directory: " + added.error().message());
  }
  return Ok();
}

void OpenDir(fuse_req_t req, fuse_ino_t, fuse_file_info*) {
  fuse_reply_err(req, ENOSYS);  // The kernel does not ask again.
}

void ReadDir(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, fuse_file_info*) {
  Guarded(req, number, [&](Session& session, const Node& node) {
    Filler filler(req, size);
    const Status filled = Fill(&filler, session, node.inode, offset);
    if (filled.ok()) {
      filler.Reply();
    } else {
      ReplyError(req, filled.error());
    }
  });
}

void SyncDir(fuse_req_t req, fuse_ino_t number, int data_only, fuse_file_info*) {
  Guarded(req, number, [&](Session& session, const Node& node) {
    StandAside();
    ReplyStatus(req, session.fs->SyncDirectory(node.inode, data_only != 0));
  });
}

}  // namespace

void AddDirectoryOps(fuse_lowlevel_ops* ops) {
  ops->opendir = OpenDir;
  ops->readdirplus = ReadDir;
  ops->fsyncdir = SyncDir;
}

}  // namespace strata::layerfs
