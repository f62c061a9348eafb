// UpperScan: takes an overlayfs upper directory in rounds. Every round walks the directory and
// captures what is new or changed since the round before (contents go into the Ingest); what did
// not change (inode number, size, mtime, ctime) is kept. The last round runs while the container is
// frozen, so its snapshot is consistent.
//
// The upper is written by a container and trusted in nothing: symbolic links are not followed, only
// regular files are opened, names are bytes.
//
// Two changes would leave ctime as it was: one within the clock's granularity of the capture, and a
// store through a mapping whose page was dirty already (only the first store faults). Therefore a
// running round begins with syncfs, which cleans pages so that the next store faults again, and
// what was touched after that began counts as changed in the next round.
//
// Used by one thread; captures contents on several of its own.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "imaged/manifest/tree.h"
#include "imaged/save/overlay_marks.h"
#include "imaged/store/object_store.h"

namespace strata::imaged {

// One inode of the upper as it was captured: owner ids as stored (shifted), overlay's marks apart.
struct CapturedInode {
  Inode inode;  // `children` unused.
  OverlayMarks marks;
  uint64_t number = 0;  // st_ino in the upper's file system.
};

struct UpperEntry {
  std::string name;
  std::shared_ptr<const CapturedInode> captured;
  std::vector<uint32_t> children;  // Directories: positions in UpperSnapshot::entries.
};

struct UpperSnapshot {
  std::vector<UpperEntry> entries;  // [0] is the upper's root.
  // work/index: inodes whose lower names are still linked to them, by the lower's inode number.
  std::unordered_map<uint64_t, std::shared_ptr<const CapturedInode>> index;
};

struct RoundStats {
  uint64_t entries = 0;         // Walked.
  uint64_t captured = 0;        // Inodes that were new or changed.
  uint64_t captured_bytes = 0;  // Their contents.
};

class UpperScan {
 public:
  struct Options {
    const CancelToken* cancel = nullptr;
    std::function<void(uint64_t entries, uint64_t bytes)> progress;
  };

  // `work_dir` may lack index/ (a driver that keeps none). `ingest` must outlive the scan.
  static Result<std::unique_ptr<UpperScan>> Open(const std::string& upper_dir,
                                                 const std::string& work_dir, Ingest* ingest,
                                                 Options options);

  // `frozen` false: files may come and go under the walk, and what vanishes is left for the next
  // round. `frozen` true: a vanished file is an error.
  Result<RoundStats> Round(bool frozen);

  // Of the last round.
  const UpperSnapshot& snapshot() const { return snapshot_; }

 private:
  // What tells that an inode did not change.
  struct Stamp {
    uint64_t size = 0;
    int64_t mtime_ns = 0;
    int64_t ctime_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  struct Known {
    Stamp stamp;
    bool settled = false;  // Not touched since shortly before the sync.
    std::shared_ptr<CapturedInode> captured;
    std::vector<std::string> names;      // Directories: sorted.
    std::vector<struct stat> looked_at;  // Of `names`, by LookAhead; empty: not looked at.
    uint64_t round = 0;                  // The last round that saw it.
  };
  struct PendingContent {
    UniqueFd fd;
    Known* known;
  };

  UpperScan(UniqueFd upper, UniqueFd index, Ingest* ingest, Options options);
  static Stamp StampOf(const struct stat& st);
  // While nothing changes: looks at every name that the round before knew, on all CPUs, so that the
  // walk need not. What cannot be looked at is left to the walk.
  Status LookAhead();
  Status LookInto(const std::string& path, Known* known) const;
  Status WalkDirectory(int fd, uint32_t position, Known* known);
  // Adds the entry `name` of `dir_fd`, which may have been looked at; false: it vanished.
  Result<bool> Visit(int dir_fd, const std::string& name, const struct stat* looked_at,
                     uint32_t parent);
  Status ScanIndex();
  // The known inode behind `name`, captured anew when it changed; null: it vanished.
  Result<Known*> Capture(int dir_fd, const std::string& name, const struct stat& st);
  Result<Known*> CaptureOpen(UniqueFd fd, const struct stat& st);
  Status FlushContents();
  bool Vanished(const Error& error) const;

  const UniqueFd upper_;
  const UniqueFd index_;  // Invalid: there is none.
  Ingest* const ingest_;
  const Options options_;
  UpperSnapshot snapshot_;
  std::unordered_map<uint64_t, Known> known_;  // By inode number. References stay valid.
  std::vector<PendingContent> pending_;
  bool frozen_ = false;
  uint64_t round_ = 0;
  int64_t settled_before_ns_ = 0;  // A ctime before this tells every later change.
  RoundStats stats_;
};

}  // namespace strata::imaged
