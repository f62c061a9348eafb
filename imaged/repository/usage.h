// Usage: whose bytes are whose, and how many a user may have.
//
// A layer is charged to the user who made it, as long as he has an image with it; afterwards to
// everybody whose images still have it. A user is charged for the different contents of the layers
// that are his, without what the layers of others that his images stand on hold already: sharing,
// cloning and tagging cost nothing, and nobody pays twice for one content.
//
// It counts what the user himself has, never what else is in the store: whether somebody else has
// the same content cannot be told from it.
//
// Thread-safe.
#pragma once

#include <sys/types.h>

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/digest.h"
#include "common/result.h"
#include "imaged/api/imaged.pb.h"
#include "imaged/catalog/catalog.h"
#include "imaged/repository/layer_store.h"

namespace strata::imaged {

class UsageAccounts {
 public:
  // Both must outlive this.
  UsageAccounts(Catalog& catalog, LayerStore& layers) : catalog_(catalog), layers_(layers) {}

  struct Charge {
    uint64_t objects = 0;
    uint64_t bytes = 0;  // Objects and manifests.
  };
  // How much more an image of these layers (one without a history is new, and his) makes its owner
  // pay; kResourceExhausted when it goes past his limit or that
  // of a group he is in. Holds the answer true until the guard goes: one publication at a time.
  struct Admission {
    Charge added;
    // What that rests on: the images of the owner, and of the groups of his that have a limit. The
    // publication commits against it, so that the limit holds on several hosts too.
    std::vector<records::ScopeMark> as_of;
    std::unique_lock<std::mutex> guard;
  };
  Result<Admission> Admit(uid_t owner, const v1::Image& draft);
  // How many bytes more he may stage at all; nullopt: there is no limit.
  Result<std::optional<uint64_t>> Room(uid_t owner);

  // What a user is charged now, without the versions of these keys (imaged/catalog/reference.h).
  Result<Charge> ChargeWithout(uid_t owner, const std::set<std::string>& keys);

  Result<v1::UsageResponse> Report(uid_t caller, const v1::UsageRequest& request);
  Result<v1::DiskUsageResponse> PerImage(uid_t caller, const v1::DiskUsageRequest& request);
  Status SetQuota(uid_t caller, const v1::SetQuotaRequest& request);

 private:
  // The layers of a user's images.
  struct Sizes {
    uint64_t manifest = 0;
    uint64_t content = 0;
    auto operator<=>(const Sizes&) const = default;
  };
  struct Layers {
    std::map<Digest, Sizes> own;
    std::map<Digest, uint64_t> foreign;  // With the bytes of their contents.
    uint64_t images = 0;
    uint64_t logical_bytes = 0;
    auto operator<=>(const Layers&) const = default;
  };
  // `without`: keys of versions that do not count. `draft`: one more image, null for none.
  Layers LayersOf(uid_t owner, const std::set<std::string>& without = {},
                  const v1::Image* draft = nullptr) const;
  Result<Charge> ChargeOf(const Layers& layers) const;
  // Null: the layer is not here, as it may be in a catalog that several hosts share.
  Result<std::shared_ptr<const ObjectList>> ListOf(const Digest& layer) const;
  // As ChargeOf(LayersOf(owner)), remembered until his layers change.
  Result<Charge> CurrentCharge(uid_t owner);
  Result<uint64_t> GroupCharge(gid_t gid);
  // 0: none.
  Result<uint64_t> LimitOf(const std::string& key) const;
  Result<uint64_t> UserLimit(uid_t uid) const;
  // The groups of the user that have a limit.
  Result<std::vector<std::pair<gid_t, uint64_t>>> LimitedGroups(uid_t uid) const;
  Result<v1::Usage> UserReport(uid_t uid);
  Status AddPerImage(uid_t uid, v1::DiskUsageResponse* response);

  Catalog& catalog_;
  LayerStore& layers_;
  std::mutex admission_mutex_;  // Held from an admission to the end of its publication.
  std::mutex cache_mutex_;      // Guards cache_.
  std::map<uid_t, std::pair<Layers, Charge>> cache_;
};

}  // namespace strata::imaged
