// Calls everything a reader of a manifest offers on an image that may be hostile. Shared by the
// corruption tests and the fuzz target.
#pragma once

#include <dirent.h>

#include <cstring>
#include <deque>
#include <set>
#include <string>
#include <string_view>

#include "imaged/manifest/erofs_format.h"
#include "imaged/manifest/erofs_reader.h"

namespace strata::imaged::testing {

// Makes a damaged image get past the superblock's checksum.
inline void FixChecksum(std::string* image) {
  if (image->size() < erofs::kBlockSize) return;
  const uint32_t checksum = erofs::SuperChecksum(std::string_view(*image).substr(
      erofs::kSuperOffset, erofs::kBlockSize - erofs::kSuperOffset));
  std::memcpy(image->data() + erofs::kSuperOffset + offsetof(erofs::SuperBlock, checksum),
              &checksum, sizeof(checksum));
}

class ReaderExercise {
 public:
  // The first answer that a damaged image must not give, or Ok.
  static Status Run(std::string_view image) {
    auto reader = ErofsReader::FromMemory(image);
    if (!reader.ok()) return Allow(Status(reader.error()));
    return ReaderExercise(**reader).RunAll();
  }

 private:
  explicit ReaderExercise(const ErofsReader& reader) : reader_(reader) {}

  static Status Allow(const Status& status) {
    if (status.ok() || status.error().code() == Code::kCorrupt ||
        status.error().code() == Code::kUnsupported) {
      return Ok();
    }
    return status;
  }
  template <typename T>
  static Status Allow(const Result<T>& result) {
    return result.ok() ? Ok() : Allow(Status(result.error()));
  }

  Status RunAll() {
    TreeLimits limits;
    limits.entries_max = 20'000;
    limits.xattr_bytes_max_per_inode = 1 << 20;
    auto tree = reader_.LoadTree(limits);
    // A damaged image may well be larger than allowed.
    if (!tree.ok() && tree.error().code() != Code::kResourceExhausted) {
      RETURN_IF_ERROR(Allow(tree));
    }
    seen_.insert(reader_.root());
    pending_.push_back(reader_.root());
    while (!pending_.empty() && seen_.size() < 20'000) {
      const Nid nid = pending_.front();
      pending_.pop_front();
      RETURN_IF_ERROR(Visit(nid));
    }
    return Ok();
  }

  Status Visit(Nid nid) {
    auto inode = reader_.GetInode(nid);
    if (!inode.ok()) return Allow(inode);
    RETURN_IF_ERROR(Allow(reader_.GetXattrs(nid)));
    if (S_ISLNK(inode->mode)) return Allow(reader_.ReadLink(nid));
    if (S_ISREG(inode->mode)) {
      RETURN_IF_ERROR(Allow(reader_.GetObject(nid)));
      return Allow(reader_.GetInlineData(nid));
    }
    if (!S_ISDIR(inode->mode)) return Ok();
    RETURN_IF_ERROR(Allow(reader_.IsOpaque(nid)));
    Status status;
    uint64_t listed = 0;
    RETURN_IF_ERROR(Allow(reader_.ReadDirectory(nid, 0, [&](const ErofsDirEntry& entry) {
      status = Allow(reader_.Lookup(nid, entry.name));
      if (seen_.insert(entry.nid).second) pending_.push_back(entry.nid);
      return status.ok() && ++listed < 1000;
    })));
    RETURN_IF_ERROR(std::move(status));
    RETURN_IF_ERROR(
        Allow(reader_.ReadDirectory(nid, listed / 2, [](const auto&) { return true; })));
    return Allow(reader_.Lookup(nid, "absent"));
  }

  const ErofsReader& reader_;
  std::set<Nid> seen_;
  std::deque<Nid> pending_;
};

}  // namespace strata::imaged::testing
