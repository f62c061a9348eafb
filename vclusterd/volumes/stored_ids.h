// How ids of a node stand on disk in what nodes share. Every host gives an owner an id range of its
// own (vclusterd/host/owner_ids.h), so what is stored must not depend on that: mounts translate.
//
//   of the node         on disk
//   user 0              the owner's uid, so that he can read his files on a host
//   another user        kStoredIdFirst + its number
//   any group           kStoredIdFirst + its number: no group of a host, so that a file with setgid
//                       gives nothing there
//
// Of a Vcluster of root, user 0 is stored as kStoredIdFirst too: a node must not be able to make a
// host's root the owner of a file. The range is what systemd calls foreign ids: owners of files of
// other systems, as which no process ever runs.
#pragma once

#include <cstdint>

#include "common/idmapped_mount.h"
#include "common/result.h"

namespace strata::vcluster {

inline constexpr uint32_t kStoredIdFirst = 0x7ffe0000;  // 2147352576
inline constexpr uint32_t kStoredIdCount = 65536;       // As every node has.

// Who owns what root of a node makes.
struct StoredOwner {
  uint32_t user = 0;
  uint32_t group = 0;
};
StoredOwner StoredOwnerOf(uint32_t owner_uid);

// For a node whose ids begin at `id_first` on its host. kInvalidArgument: the owner's uid is one of
// the range itself.
Result<IdMap> StoredIds(uint32_t owner_uid, uint32_t id_first);

}  // namespace strata::vcluster
