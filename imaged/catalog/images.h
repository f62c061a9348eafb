// Images: the names that people use, what they point to and who may use it. Records only; the
// bytes are the repository's (imaged/repository).
//
// An image that the caller may not use does not exist for him (kNotFound), so names cannot be
// probed. What he may use but not change is kPermissionDenied.
//
// Thread-safe. Every change is durable when it returns.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/records/record_store.h"
#include "common/result.h"
#include "imaged/api/imaged.pb.h"
#include "imaged/catalog/access.h"
#include "imaged/catalog/accounts.h"
#include "imaged/catalog/classes.h"
#include "imaged/catalog/image_index.h"
#include "imaged/catalog/reference.h"

namespace strata::imaged {

// Milliseconds since the epoch. Injected, so that tests let shares expire without waiting.
using UnixClock = std::function<int64_t()>;

// Of a copy of another host's image that may be removed when room is needed (docs/repository.md,
// "Room"); its value is the host. A new name is a wish to keep: Publish drops it.
inline constexpr char kCachedLabel[] = "strata.cached";

class Images {
 public:
  // `versions_kept`: how many versions of a name stay after a tag moved on. The rest must outlive
  // this.
  Images(records::RecordStore& records, const ImageIndex& index, const Classes& classes,
         const Accounts& accounts, UnixClock now, size_t versions_kept)
      : records_(records),
        index_(index),
        classes_(classes),
        accounts_(accounts),
        now_(std::move(now)),
        versions_kept_(versions_kept) {}

  Result<v1::Image> Find(uid_t caller, const std::string& reference) const;
  // The same for one who wants to change it: kPermissionDenied when it is somebody else's.
  Result<v1::Image> FindOwned(uid_t caller, const std::string& reference) const;
  // Those of the layers that an image which the caller may use has.
  std::set<Digest> ReadableLayers(uid_t caller, const std::set<Digest>& layers) const;
  // The layer with its history, as an image that the caller may use has it; nullopt: none has.
  std::optional<v1::Layer> ReadableLayer(uid_t caller, const Digest& layer) const;
  Result<v1::ListResponse> List(uid_t caller, const v1::ListRequest& request) const;
  // References of everything that the caller may use, kept versions of his own included.
  Result<std::vector<std::string>> Names(uid_t caller) const;
  Result<v1::VersionsResponse> Versions(uid_t caller, const std::string& reference) const;
  Result<v1::LineageResponse> Lineage(uid_t caller, const std::string& reference) const;

  // A name that is about to be written: nobody else on this host may write it while this lives.
  // On another host that shares the catalog he may: who publishes first has it.
  class Reservation {
   public:
    Reservation(Reservation&& other) noexcept
        : images_(std::exchange(other.images_, nullptr)),
          name_(std::move(other.name_)),
          replace_(other.replace_) {}
    Reservation& operator=(Reservation&&) = delete;
    ~Reservation();
    const Reference& name() const { return name_; }

   private:
    friend class Images;
    Reservation(Images* images, Reference name, bool replace)
        : images_(images), name_(std::move(name)), replace_(replace) {}
    Images* images_;
    Reference name_;
    bool replace_;
  };
  // kAlreadyExists when the name is taken and `replace` is false; kPermissionDenied when it is
  // under another owner; kFailedPrecondition while another operation writes it.
  Result<Reservation> Reserve(uid_t caller, const std::string& reference, bool replace);
  // Whether others than the owner will see what is published under the name.
  Result<bool> WillBeShared(const Reservation& name, v1::Visibility visibility) const;
  // Points the name to `draft`, which brings layers, configuration, lineage, description and
  // labels, and its visibility if it is to change. Versions that no tag points to any more are
  // kept as far as versions_kept goes. kAlreadyExists when another host took the name meanwhile.
  // `as_of`: what the caller's decision rests on, the owner's scope among it; then
  // kFailedPrecondition when that has moved on. Empty: only what is decided here.
  Result<v1::Image> Publish(const Reservation& name, v1::Image draft,
                            const std::vector<records::ScopeMark>& as_of = {});

  // `seen_digest`: what the caller looked at, which it has to be still (kFailedPrecondition);
  // empty: whatever it is.
  Result<v1::Image> Share(uid_t caller, const v1::ShareRequest& request,
                          const std::string& seen_digest = "");
  Result<v1::Image> Tag(uid_t caller, const v1::TagRequest& request);
  Result<v1::Image> Edit(uid_t caller, const v1::EditRequest& request);
  // Takes a tag away, and the version behind it if no other tag points there; with the last tag of
  // a name, all its versions. Of a digest: the version and all tags that point to it. `as_of` as
  // for Publish.
  Status Remove(uid_t caller, const std::string& reference,
                const std::vector<records::ScopeMark>& as_of = {});
  // The layers of every record, bottom first; kCorrupt for a damaged one.
  Status ForEachStack(
      const std::function<void(const std::string& key, std::vector<Digest>)>& visit) const;
  // The versions of `caller` (of everybody, for root with `all_owners`) that no tag points to.
  Result<std::vector<v1::Image>> Untagged(uid_t caller, bool all_owners) const;
  Status RemoveVersions(const std::vector<v1::Image>& versions);
  // Removes a version with the label kCachedLabel, and its tags, for want of room; answers what it
  // was. kNotFound: it is gone, or has not that label (any more).
  Result<v1::Image> RemoveCached(const Reference& name, const Digest& digest);

 private:
  Viewer ViewerOf(uid_t uid) const { return Viewer(uid, accounts_, classes_); }
  Error NoSuchImage(const Reference& reference) const;
  // The version that a reference means to this viewer, and the tag by which he may use it (null:
  // he owns an untagged version).
  struct Found {
    std::shared_ptr<const ImageIndex::Version> version;
    std::shared_ptr<const ImageIndex::Tag> tag;
  };
  Result<Found> Resolve(const Viewer& viewer, const Reference& reference) const;
  // As Resolve, for one who wants to change it.
  Result<Found> ResolveOwned(uid_t caller, const std::string& reference) const;
  Result<v1::Image> Describe(const Viewer& viewer, const Found& found) const;
  // Those of them that were not deleted since they were found.
  Result<std::vector<v1::Image>> DescribeAll(const Viewer& viewer,
                                             const std::vector<Found>& found) const;
  Result<v1::Image> DescribeRecord(const Viewer& viewer, const Reference& name,
                                   const catalog::TagRecord* tag, const Digest& digest,
                                   const catalog::ImageRecord& record) const;
  Result<catalog::ImageRecord> ReadRecord(const std::string& key, std::string* text) const;
  Result<catalog::GrantRecord> ResolveGrant(uid_t caller, const v1::Grant& grant) const;
  v1::Grant DescribeGrant(const catalog::GrantRecord& record) const;
  // How the layers that are new came to be; and the topmost tells whose topmost it is.
  void AddHistory(const Reference& name, v1::Image* draft) const;
  Status ChangeGrants(uid_t caller, const v1::ShareRequest& request, catalog::TagRecord* tag) const;
  // One attempt of Publish or Remove, with change_mutex_ held.
  Result<v1::Image> PublishLocked(const Reservation& name, v1::Image draft,
                                  const std::vector<records::ScopeMark>& as_of);
  Status RemoveLocked(uid_t caller, const std::string& reference,
                      const std::vector<records::ScopeMark>& as_of);
  Status RemoveVersionsOf(uid_t owner, const std::vector<std::pair<Reference, Digest>>& versions);
  // Deletions of versions that no tag of `name` but `moving` will point to, beyond versions_kept.
  std::vector<records::RecordChange> OldVersions(const Reference& moving,
                                                 const Digest& target) const;

  records::RecordStore& records_;
  const ImageIndex& index_;
  const Classes& classes_;
  const Accounts& accounts_;
  const UnixClock now_;
  const size_t versions_kept_;
  // From a look at which tags and versions there are to the commit of a change that rests on it: a
  // version must not go while a tag comes. Other hosts are kept out by the owner's scope, which
  // every such change marks first and moves on; within a host the mutex saves them the retries.
  std::mutex change_mutex_;
  std::mutex mutex_;                // Guards reserved_.
  std::set<std::string> reserved_;  // Keys of tags being written.
};

// The scope of what a user's images, and the leases of them, are decided by.
std::string OwnerScope(uid_t owner);

// Identity of layers + configuration (docs/formats.md, "Catalog").
Digest ImageDigest(const v1::Image& image);

// The digests of an image's layers, bottom first. kCorrupt for a damaged record.
Result<std::vector<Digest>> LayerDigests(const v1::Image& image);

// "owner/name:tag", or "owner/name@abcdef012345", as people see it.
std::string DisplayName(const v1::Image& image);

// kInvalidArgument or kResourceExhausted for what is too long or too much.
Status CheckDescription(const std::string& description);
Status CheckLabels(const google::protobuf::Map<std::string, std::string>& labels);
// Layers, configuration and lineage.
Status CheckExtent(const v1::Image& image);

constexpr int kImageLayersMax = 512;

}  // namespace strata::imaged
