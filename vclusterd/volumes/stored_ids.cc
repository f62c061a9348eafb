#include "vclusterd/volumes/stored_ids.h"

#include <string>

namespace strata::vcluster {

StoredOwner StoredOwnerOf(uint32_t owner_uid) {
  return {owner_uid == 0 ? kStoredIdFirst : owner_uid, kStoredIdFirst};
}

Result<IdMap> StoredIds(uint32_t owner_uid, uint32_t id_first) {
  const IdExtent all = {kStoredIdFirst, id_first, kStoredIdCount};
  if (owner_uid == 0) return IdMap{{all}, {all}};
  if (owner_uid >= kStoredIdFirst && owner_uid - kStoredIdFirst < kStoredIdCount) {
    return Error(Code::kInvalidArgument, "user " + std::to_string(owner_uid) +
                                             " can have no volumes: files of nodes are stored "
                                             "under such ids");
  }
  const IdExtent others = {kStoredIdFirst + 1, id_first + 1, kStoredIdCount - 1};
  return IdMap{{{owner_uid, id_first, 1}, others}, {all}};
}

}  // namespace strata::vcluster
