// Which catalog the images of this host are in: its own, or one in etcd that several hosts share
// (docs/cluster-catalog.md). The file <state>/shared_catalog names the shared one, and its
// identity; a host that has it opens no other, and one that has it not opens a shared catalog only
// with an empty store: what a catalog does not name is removed, so the wrong one costs the images.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/records/etcd/etcd_record_store.h"
#include "common/result.h"

namespace strata::imaged {

// Where the records are is for the caller to say; this has the tables of a catalog, and the options
// of imaged that help its users.
records::EtcdOptions SharedRecords();

// kFailedPrecondition when the images of this host are in a shared catalog.
Status CheckOwnCatalog(const std::string& state_dir);

// kFailedPrecondition when this host's images are in another catalog. REQUIRES: nobody else has the
// store open.
Result<std::unique_ptr<records::RecordStore>> OpenSharedCatalog(
    const std::string& state_dir, const records::EtcdOptions& options);

struct MigratedRecords {
  uint64_t records = 0;
  uint64_t left_out = 0;  // Of images that are not on this host.
};
using LineSink = std::function<void(const std::string&)>;

// Copies all records of this host into a shared catalog, reads them back, and makes it the one of
// this host; its own is kept aside as <name>.migrated. What the shared catalog has under the same
// key must be the same (`conflict` is told what is not; kAlreadyExists). Without `merge` there may
// be nothing else. May be repeated after a break.
Result<MigratedRecords> MigrateToShared(const std::string& state_dir,
                                        const records::EtcdOptions& options, bool merge,
                                        const LineSink& conflict);
// Copies the records of the images whose layers are here, of classes, quotas and this host's leases
// into a new catalog of its own. The shared catalog stays as it is.
Result<MigratedRecords> MigrateToOwn(const std::string& state_dir,
                                     const records::EtcdOptions& options);

}  // namespace strata::imaged
