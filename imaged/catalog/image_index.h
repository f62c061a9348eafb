// ImageIndex: what a search looks at, in memory: names, descriptions, labels, sizes, rights and
// layers of all images. Fed by every change of the record store, so it is never behind it.
//
// A search reads no record and costs one pass: about 2 ms for 10,000 images, which take 30 MiB
// (tests/bench/catalog_bench.cc).
//
// Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/digest.h"
#include "common/records/record_store.h"
#include "common/result.h"
#include "imaged/api/imaged.pb.h"
#include "imaged/catalog/access.h"
#include "imaged/catalog/accounts.h"
#include "imaged/catalog/reference.h"

namespace strata::imaged {

inline constexpr uint32_t kPageSizeMax = 1000;

class ImageIndex {
 public:
  // One version of "owner/name".
  struct Version {
    Reference name;  // With the whole digest.
    Digest digest;
    std::string text;  // Description and labels in lower case, what words are searched in.
    std::map<std::string, std::string> labels;
    int64_t created_unix_ms = 0;
    uint64_t size_bytes = 0;  // Content of all layers.
    struct Layer {
      Digest digest;
      Digest image;  // Whose topmost layer it was; zero when that is not known.
      uid_t creator_uid = 0;
      uint64_t content_bytes = 0;
      uint64_t manifest_bytes = 0;
    };
    std::vector<Layer> layers;  // Bottom first.
  };
  struct Tag {
    Reference name;
    std::string display;  // "owner/name:tag"
    std::string lower;    // The same in lower case.
    std::string order;    // Compares as owner, name, tag do, one after the other.
    catalog::TagRecord record;
    std::shared_ptr<const Version> version;  // Null: damaged records.
  };

  // `accounts` must outlive this.
  explicit ImageIndex(const Accounts& accounts) : accounts_(accounts) {}

  // As the record store tells them (RecordStore::Follow).
  void Apply(const std::vector<records::RecordChange>& changes);

  struct Page {
    std::vector<std::shared_ptr<const Tag>> tags;
    std::string next_page_token;  // Empty: the last page.
    uint64_t total = 0;
  };
  // kInvalidArgument for a page token that is none.
  Result<Page> Search(const Viewer& viewer, const v1::ListRequest& request,
                      int64_t now_unix_ms) const;

  // All tags, or all versions, in the order of their keys, under a lock: `visit` must not call this
  // index.
  void ForEachTag(const std::function<void(const Tag&)>& visit) const;
  void ForEachVersion(const std::function<void(const Version&)>& visit) const;
  void ForEachVersionOf(uid_t owner, const std::function<void(const Version&)>& visit) const;
  // Everybody who has an image.
  std::vector<uid_t> Owners() const;
  // How many versions a user has, and how many tags a name.
  size_t VersionCount(uid_t owner) const;
  size_t TagCount(const Reference& name) const;
  std::shared_ptr<const Tag> FindTag(const std::string& tag_key) const;
  // The tags that point to this version.
  std::vector<std::shared_ptr<const Tag>> TagsOf(const Reference& name, const Digest& digest) const;
  // The versions of "owner/name" whose digests start so ("": all).
  std::vector<std::shared_ptr<const Version>> VersionsOf(const Reference& name,
                                                         std::string_view digest_prefix) const;

 private:
  void ApplyTag(const records::RecordChange& change);
  void ApplyVersion(const records::RecordChange& change);

  const Accounts& accounts_;
  mutable std::shared_mutex mutex_;  // Guards the maps; what they point to is immutable.
  std::map<std::string, std::shared_ptr<const Tag>> tags_;          // By key.
  std::map<std::string, std::shared_ptr<const Version>> versions_;  // By key.
};

}  // namespace strata::imaged
