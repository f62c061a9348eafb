// EtcdRecordStore: records in etcd, the same for every host that names the same members and prefix
// (docs/cluster-catalog.md).
//
// Reads are answered by a mirror in memory that a watch keeps up: they cost no round trip, see one
// moment, and go on when etcd does not answer. The mirror is never behind a Commit of this host
// that returned; behind those of others by the time that etcd needs to tell, and while etcd cannot
// be reached, by that long. What rests on a read is safe all the same, because etcd itself
// compares expectations and marks in the transaction of the commit.
//
// A commit is one transaction of etcd: at most kEtcdChangesMax changes and kEtcdBytesMax bytes.
// Every transaction also writes this host's key below writers/, and expects it as it was left: so
// it is done once at most, and after a lost answer the key tells whether it was done. What was not
// done then can never be done late, because finding out moves the key on.
//
// Thread-safe. Commits of one host follow each other.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/records/etcd/etcd_client.h"
#include "common/records/etcd/etcd_writer.h"
#include "common/records/record_store.h"
#include "common/result.h"

namespace strata::records {

// etcd's own limits, as it comes (--max-txn-ops, --max-request-bytes).
inline constexpr size_t kEtcdOperationsMax = 128;
inline constexpr size_t kEtcdBytesMax = 1536 << 10;
inline constexpr size_t kEtcdChangesMax = kEtcdOperationsMax - 8;  // Scopes, the writer's key.

struct EtcdOptions {
  EtcdLocation location;
  std::vector<Table> tables;
  // This host's name, which no other writer of these records may have.
  std::string host;
  // The identity that the records have to have, as store_id() told it; empty: any, or a new one.
  std::string expected_id;
  // Whether records are begun where there are none.
  bool may_create = true;
  // Where this host remembers what it wrote last (writer_memory.h); empty: nowhere.
  std::string memory_path;
  // Whether the records may lack what it wrote.
  bool accept_older = false;
  EtcdRemedies remedies;
};

class EtcdRecordStore : public RecordStore {
 public:
  // Reads all records. kUnavailable when no member answers; kNotFound where there are none
  // and none may be begun; kCorrupt where there are others than expected; kFailedPrecondition where
  // they lack what this host wrote.
  static Result<std::unique_ptr<EtcdRecordStore>> Open(const EtcdOptions& options);

  // Random, made when they were begun. Other data under the same prefix has another one.
  virtual const std::string& store_id() const = 0;
};

}  // namespace strata::records
