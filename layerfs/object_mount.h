// The object mount of a store, seen from those who use it: started when it is needed, one for all
// roots. The server is a program of its own (layerfs/objects/), so that a crash of it takes neither
// imaged nor a root down: objects that are in the folder are read without it.
//
// It ends when the mount is gone and its last user with it. A server that dies is replaced by its
// keeper (layerfs/server/keeper.h). A mount that lost both is taken away and replaced by the next
// EnsureObjectMount; roots that were mounted before keep the dead one (ENOTCONN for what is
// missing) until they are mounted again.
//
// Thread-safe; callers in several processes exclude each other (flock of <mountpoint>.lock).
#pragma once

#include "common/digest.h"
#include "common/result.h"
#include "layerfs/root.h"

namespace strata::layerfs {

// Set on an object of the mount (to anything), it makes the object be there and be right.
inline constexpr char kProvideXattr[] = "trusted.strata.provide";

// Ok: the store's object mount answers at spec.mountpoint. kDeadlineExceeded, or what its server
// says.
Status EnsureObjectMount(const ObjectMountSpec& spec, const std::string& objects_dir);

// Ok: the object is in the folder and its bytes were compared with the digest; a damaged one was
// replaced. On an error the damaged one was moved away, when imaged could be asked.
// May take as long as the network does.
Status ProvideObject(const ObjectMountSpec& spec, const std::string& objects_dir,
                     const Digest& digest);

// Looks at the tree and its objects as MountRoot promises; the answer is `spec` without object
// mount when a mount does not need it.
Result<RootSpec> SettleObjects(Driver driver, const RootSpec& spec);

}  // namespace strata::layerfs
