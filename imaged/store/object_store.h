// ObjectStore: the content of regular files, each named by its digest.
//
//   <root>/objects/ab/cdef…   one object, mode 0444, immutable; `ab` = first two hex digits
//   <root>/staging/<op>/…     files of operations that have not been committed
//   <root>/partial/…          large objects that arrived in part (imaged/transfer/partial_files.h)
//   <root>/damaged/<hex>      what was under a digest that it does not have; nothing reads it
//   <root>/lock               held (flock) by the process that has the store open
//
// Life of an object: an Ingest stages content (hash, write unless the store has it), Commit makes
// all staged data durable with one syncfs, then renames it into place and makes the directories
// durable. An Ingest that dies without Commit leaves nothing: its staging directory is removed by
// its destructor, or at the next start (ObjectStore::Open clears staging/).
//
// Errors of the disk name the store; a full one is kResourceExhausted and leaves nothing staged.
//
// A staged object is private to its Ingest. Committing an object that meanwhile exists is fine: the
// bytes are equal by definition.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "common/cancel.h"
#include "common/digest.h"
#include "common/file_io.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::imaged {

struct IngestStats {
  uint64_t objects = 0;      // Distinct objects that were offered.
  uint64_t new_objects = 0;  // … that the store did not have, without those that were dropped.
  uint64_t bytes = 0;        // Content offered, inline files not counted.
  uint64_t new_bytes = 0;    // … that the store did not have.
};

class Ingest;

class ObjectStore {
 public:
  // Opens or creates the store below `root`. Removes what dead operations left in staging/.
  // kFailedPrecondition: the store is open already, here or in another process.
  static Result<std::unique_ptr<ObjectStore>> Open(const std::string& root);

  const std::string& root() const { return root_; }
  std::string objects_dir() const { return root_ + "/objects"; }
  // "ab/cdef…": the object's path below objects_dir(), as manifests' redirects name it.
  static std::string RelativePath(const Digest& digest);
  std::string PathOf(const Digest& digest) const;

  bool Has(const Digest& digest) const;
  // Read-only. kNotFound names the digest.
  Result<UniqueFd> OpenObject(const Digest& digest) const;
  // Reads the object and compares: kCorrupt names the digest, kNotFound.
  Status Verify(const Digest& digest) const;

  // The objects whose digests start with this byte.
  Result<std::vector<Digest>> List(uint8_t first_byte) const;

  // Takes a damaged object's name away: it becomes damaged/<hex>. Ok when it is gone already.
  Status MoveAway(const Digest& digest);
  std::string DamagedPath(const Digest& digest) const { return root_ + "/damaged/" + digest.Hex(); }
  // Removes what MoveAway kept, once a good object has come.
  void DropDamaged(const Digest& digest);

  // Starts an operation. The store must outlive it. What it stages or finds present is claimed: a
  // sweep leaves it alone until the operation ends.
  Result<std::unique_ptr<Ingest>> StartIngest();

  // Objects that a sweep leaves alone while this lives, whether they are there or to come.
  // Thread-safe; the store must outlive it.
  class Claims {
   public:
    explicit Claims(ObjectStore& store) : store_(store) {}
    Claims(const Claims&) = delete;
    Claims& operator=(const Claims&) = delete;
    ~Claims() { store_.Unclaim(digests_); }
    // Claims it, and answers whether it is there: both as one step against a sweep.
    bool Add(const Digest& digest);

   private:
    ObjectStore& store_;
    std::mutex mutex_;  // Guards digests_.
    std::vector<Digest> digests_;
  };

  // While it lives, claims are kept after their operations end: what an operation found present
  // may have been named since a collection looked at the names. One at a time.
  class ClaimEpoch {
   public:
    explicit ClaimEpoch(ObjectStore* store) : store_(store) {}
    ClaimEpoch(const ClaimEpoch&) = delete;
    ClaimEpoch& operator=(const ClaimEpoch&) = delete;
    ~ClaimEpoch() { store_->EndClaimEpoch(); }

   private:
    ObjectStore* store_;
  };
  ClaimEpoch KeepClaims();

  struct Collected {
    uint64_t objects = 0;
    uint64_t bytes = 0;
  };
  // Removes (or, without `remove`, only counts) the objects whose digests start with this byte and
  // that are neither in `live` (sorted) nor claimed. REQUIRES: a ClaimEpoch that began before
  // `live` was found out.
  Result<Collected> Sweep(uint8_t first_byte, const std::vector<Digest>& live, bool remove);

 private:
  friend class Ingest;
  explicit ObjectStore(std::string root) : root_(std::move(root)) {}
  // "store <root>: what", for errors.
  std::string Context(std::string_view what) const;
  void Unclaim(const std::vector<Digest>& digests);
  void EndClaimEpoch();

  const std::string root_;
  UniqueFd lock_;     // Holds the flock.
  UniqueFd objects_;  // Directories, O_PATH.
  std::mutex mutex_;  // Guards the next three, and makes looking and claiming one step.
  std::unordered_map<Digest, uint32_t, DigestHash> claims_;
  std::vector<Digest> ended_claims_;  // During an epoch: still counted in claims_.
  bool claim_epoch_ = false;
};

// One file's content on its way in, when it does not fit in memory. Used by one thread at a time.
class ObjectWriter {
 public:
  virtual ~ObjectWriter() = default;
  virtual Status Write(std::string_view data) = 0;
  // A hole of `size` zero bytes: part of the content and of the digest, not of the disk.
  virtual Status WriteHole(uint64_t size) = 0;
  // Ends the file. After an error or without Finish, nothing stays staged.
  virtual Result<Digest> Finish() = 0;
};

// One operation that brings objects into the store. Thread-safe: files may be added by several
// threads at once (each ObjectWriter by one thread at a time).
class Ingest {
 public:
  ~Ingest();
  Ingest(const Ingest&) = delete;
  Ingest& operator=(const Ingest&) = delete;

  // Stages `content` unless the store has it, and answers its digest.
  // kResourceExhausted: the disk is full.
  Result<Digest> Add(std::string_view content);
  // For files of any size, streamed.
  Result<std::unique_ptr<ObjectWriter>> NewWriter();
  // Stages a copy of the file behind `fd` (holes kept as holes; reflinked where the file system
  // can). The file may change meanwhile: digest and `*size_bytes` are those of the bytes staged.
  // Moves the file offset of `fd`.
  Result<Digest> AddFile(int fd, uint64_t* size_bytes = nullptr);
  // Stages the file at `path`, below the store's root, by moving it: it is gone from there.
  // REQUIRES: nobody writes to it any more. kCorrupt when it has not that digest; then it stays.
  Status TakeFile(const std::string& path, const Digest& digest);

  // Content that was offered to this operation, or that the store has. Read-only; kNotFound.
  Result<UniqueFd> OpenContent(const Digest& digest) const;

  // Drops the staged objects that are not in `named`: Commit will not bring them into the store.
  // Called after all adding threads ended.
  Status KeepOnly(const std::unordered_set<Digest, DigestHash>& named);

  // Staged data durable, then visible, then the directories durable (docs/formats.md, "commit
  // order"). Called once, after all adding threads ended.
  Status Commit();
  // Instead of Commit, for a few objects that can be had again: each file's data durable
  // (fdatasync), then visible. The names are durable later; until then a power cut may take them,
  // and never the data alone.
  Status CommitFiles();

  // From now on, staging more than this in all is kResourceExhausted.
  void LimitNewBytes(uint64_t bytes) { new_bytes_max_ = bytes; }

  // From now on, long work without anything to write (hashing a hole, or a file that was cloned)
  // ends with kCancelled when `cancel`, which must outlive this, is set.
  void CancelWith(const CancelToken* cancel) { cancel_ = cancel; }

  IngestStats stats() const;
  // A file in the staging directory, for manifests that are committed with the objects.
  std::string StagingPath(const std::string& name) const { return staging_.path() + "/" + name; }

 private:
  friend class ObjectStore;
  friend class StagedWriter;
  Ingest(ObjectStore& store, TemporaryDirectory staging, UniqueFd staging_fd);
  // Counts the offer; true when the content need not be staged.
  bool Offer(const Digest& digest, uint64_t size);
  std::string NextStagedName() { return std::to_string(next_file_++); }
  Result<UniqueFd> CreateStaged(const std::string& name);
  // Ends a staged file: mode 0444, closed.
  Status Seal(UniqueFd fd);
  Error OverLimit() const;
  // Remembers the staged file under its digest, or drops it when it is a duplicate.
  Status Adopt(const Digest& digest, uint64_t size, const std::string& staged_name);
  Status PublishStaged();
  Error Fail(const Error& error) const;

  ObjectStore& store_;
  TemporaryDirectory staging_;
  UniqueFd staging_fd_;
  std::atomic<uint64_t> next_file_{0};
  std::atomic<uint64_t> new_bytes_max_{UINT64_MAX};
  const CancelToken* cancel_ = nullptr;
  struct Staged {
    std::string name;
    uint64_t size_bytes = 0;
  };
  ObjectStore::Claims claims_;  // What was staged or found present.
  mutable std::mutex mutex_;    // Guards the next three.
  std::unordered_map<Digest, Staged, DigestHash> staged_;
  std::unordered_set<Digest, DigestHash> seen_;  // Present in the store already.
  IngestStats stats_;
};

}  // namespace strata::imaged
