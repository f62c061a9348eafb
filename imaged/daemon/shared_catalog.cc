#include "imaged/daemon/shared_catalog.h"

#include <set>
#include <utility>
#include <vector>

#include "common/file_io.h"
#include "imaged/catalog/images.h"
#include "imaged/catalog/own_records.h"
#include "imaged/catalog/records.pb.h"
#include "imaged/catalog/reference.h"
#include "imaged/catalog/tables.h"
#include "imaged/repository/layer_store.h"
#include "imaged/store/object_store.h"

namespace strata::imaged {
namespace {

constexpr size_t kMarkBytesMax = 4096;
constexpr size_t kBatch = 100;

// Which shared catalog this host uses: its location, a line break, its identity, a line break.
struct CatalogMark {
  std::string location;
  std::string id;
};

std::string MarkPath(const std::string& state_dir) { return state_dir + "/shared_catalog"; }

Result<std::optional<CatalogMark>> ReadMark(const std::string& state_dir) {
  const std::string path = MarkPath(state_dir);
  if (!PathExists(path)) return std::optional<CatalogMark>();
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMarkBytesMax));
  const size_t first = text.find('\n');
  const size_t second = first == std::string::npos ? first : text.find('\n', first + 1);
  if (second == std::string::npos || second + 1 != text.size()) {
    return Error(Code::kCorrupt, path + " does not name a catalog and its identity");
  }
  CatalogMark mark{text.substr(0, first), text.substr(first + 1, second - first - 1)};
  return std::optional<CatalogMark>(std::move(mark));
}

Status WriteMark(const std::string& state_dir, const CatalogMark& mark) {
  return WriteFileDurably(MarkPath(state_dir), mark.location + "\n" + mark.id + "\n", 0600);
}

// Name of a catalog's directory that is not used any more.
Status PutAside(const std::string& directory) {
  if (!PathExists(directory)) return Ok();
  const std::string aside = directory + ".migrated";
  if (PathExists(aside)) {
    return Error(Code::kAlreadyExists, aside + " is there from another migration: move it away");
  }
  if (::rename(directory.c_str(), aside.c_str()) != 0) return Errno("rename " + directory);
  return Ok();
}

struct Record {
  records::Table table;
  std::string key;
  std::string value;
};

// Lease keys carry the host in a shared catalog.
Result<Record> AsShared(Record record, const std::string& host) {
  if (record.table != kLeases) return record;
  catalog::LeaseRecord lease;
  if (!lease.ParseFromString(record.value)) {
    return Error(Code::kCorrupt, "the lease " + record.key + " is damaged");
  }
  lease.set_host(host);
  return Record{record.table, host + "/" + record.key, lease.SerializeAsString()};
}

class Writer {
 public:
  explicit Writer(records::RecordStore& to) : to_(to) {}

  // Ok when the same record is there already.
  Status Add(const Record& record) {
    ASSIGN_OR_RETURN(const auto there, to_.Get(record.table, record.key));
    ++count_;
    if (there && *there == record.value) return Ok();
    expected_.push_back({record.table, record.key, std::nullopt});
    changes_.push_back({record.table, record.key, record.value});
    return changes_.size() < kBatch ? Ok() : Flush();
  }
  Status Flush() {
    if (changes_.empty()) return Ok();
    return to_.Commit(std::exchange(expected_, {}), std::exchange(changes_, {}));
  }
  uint64_t count() const { return count_; }

 private:
  records::RecordStore& to_;
  std::vector<records::RecordExpectation> expected_;
  std::vector<records::RecordChange> changes_;
  uint64_t count_ = 0;
};

Status ReadBack(records::RecordStore& from, const std::vector<Record>& records) {
  for (const Record& record : records) {
    ASSIGN_OR_RETURN(const auto there, from.Get(record.table, record.key));
    if (there && *there == record.value) continue;
    return Error(Code::kCorrupt, "the record " + record.key + " was written and is not there: " +
                                     "somebody else changes this catalog meanwhile");
  }
  return Ok();
}

Result<std::vector<Record>> AllRecords(records::RecordStore& store) {
  std::vector<Record> records;
  for (const records::Table table : CatalogTables()) {
    RETURN_IF_ERROR(
        store.Scan(table, "", [&](const std::string& key, const std::string& value) -> Status {
          records.push_back({table, key, value});
          return Ok();
        }));
  }
  return records;
}

// What keeps these records from being added to the catalog.
Status CheckMergeable(records::RecordStore& to, const std::vector<Record>& records, bool merge,
                      const LineSink& conflict) {
  std::set<std::pair<records::Table, std::string>> ours;
  uint64_t conflicts = 0;
  for (const Record& record : records) {
    ours.emplace(record.table, record.key);
    ASSIGN_OR_RETURN(const auto there, to.Get(record.table, record.key));
    if (!there || *there == record.value) continue;
    ++conflicts;
    conflict(std::string(record.table.name) + " " + record.key);
  }
  if (conflicts > 0) {
    return Error(Code::kAlreadyExists, std::to_string(conflicts) +
                                           " records are in that catalog with another content: "
                                           "rename or delete one of each pair");
  }
  if (merge) return Ok();
  ASSIGN_OR_RETURN(const auto there, AllRecords(to));
  for (const Record& record : there) {
    if (ours.contains({record.table, record.key})) continue;
    return Error(Code::kAlreadyExists,
                 "that catalog has records of others already: --merge adds to them");
  }
  return Ok();
}

// Whether the records are of an image that is here as a whole, so that a catalog of this host alone
// may name it.
class HereFilter {
 public:
  explicit HereFilter(const LayerStore& layers) : layers_(layers) {}

  Result<bool> Keeps(const Record& record) {
    if (record.table == kImages) {
      catalog::ImageRecord image;
      if (!image.ParseFromString(record.value)) return false;
      for (const v1::Layer& layer : image.layers()) {
        ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(layer.digest()));
        if (!PathExists(layers_.ManifestPath(digest))) return false;
      }
      kept_.insert(record.key);
      return true;
    }
    if (record.table != kTags) return true;
    catalog::TagRecord tag;
    const auto name = ParseKey(record.key);
    if (!name || !tag.ParseFromString(record.value)) return false;
    ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(tag.digest()));
    return kept_.contains(ImageKey(*name, digest));
  }

 private:
  const LayerStore& layers_;
  std::set<std::string> kept_;  // Keys of images.
};

}  // namespace

records::EtcdOptions SharedRecords() {
  records::EtcdOptions options;
  options.tables = CatalogTables();
  options.remedies.same_host =
      "give every host a --peer-name of its own, and start imaged here again";
  options.remedies.older =
      "images published since are not in it, and a collection would remove their files. Restore a "
      "newer one, or give them up and start imaged once with --accept-older-catalog";
  return options;
}

Status CheckOwnCatalog(const std::string& state_dir) {
  ASSIGN_OR_RETURN(const auto mark, ReadMark(state_dir));
  if (!mark) return Ok();
  return Error(Code::kFailedPrecondition,
               "the images of this host are in the catalog " + mark->location +
                   ": start imaged with --catalog " + mark->location +
                   ", or 'imaged migrate-catalog --to own' makes a catalog of its own");
}

Result<std::unique_ptr<records::RecordStore>> OpenSharedCatalog(
    const std::string& state_dir, const records::EtcdOptions& options) {
  ASSIGN_OR_RETURN(const auto mark, ReadMark(state_dir));
  records::EtcdOptions wanted = options;
  if (mark) {
    wanted.expected_id = mark->id;
    wanted.may_create = false;
  } else {
    ASSIGN_OR_RETURN(const bool has_records, records::HasRecords(state_dir));
    ASSIGN_OR_RETURN(const auto layers, LayerStore::Open(state_dir + "/store"));
    ASSIGN_OR_RETURN(const bool has_layers, layers->HasManifests());
    if (has_records || has_layers) {
      return Error(Code::kFailedPrecondition,
                   "this host has images of a catalog of its own: 'imaged migrate-catalog --to " +
                       options.location.ToString() + "' takes them over");
    }
  }
  ASSIGN_OR_RETURN(auto records, records::EtcdRecordStore::Open(wanted));
  const CatalogMark now{options.location.ToString(), records->store_id()};
  if (!mark || mark->location != now.location) RETURN_IF_ERROR(WriteMark(state_dir, now));
  return std::unique_ptr<records::RecordStore>(std::move(records));
}

Result<MigratedRecords> MigrateToShared(const std::string& state_dir,
                                        const records::EtcdOptions& options, bool merge,
                                        const LineSink& conflict) {
  ASSIGN_OR_RETURN(const auto lock, ObjectStore::Open(state_dir + "/store"));
  RETURN_IF_ERROR(CheckOwnCatalog(state_dir));
  ASSIGN_OR_RETURN(auto own, records::OpenRocksRecordStore(state_dir, OwnRecords()));
  ASSIGN_OR_RETURN(std::vector<Record> records, AllRecords(*own));
  for (Record& record : records) {
    ASSIGN_OR_RETURN(record, AsShared(std::move(record), options.host));
  }
  ASSIGN_OR_RETURN(const auto shared, records::EtcdRecordStore::Open(options));
  RETURN_IF_ERROR(CheckMergeable(*shared, records, merge, conflict));
  Writer writer(*shared);
  for (const Record& record : records) RETURN_IF_ERROR(writer.Add(record));
  RETURN_IF_ERROR(writer.Flush());
  RETURN_IF_ERROR(ReadBack(*shared, records));
  own.reset();
  // From the mark on the shared one counts, whatever else is there.
  RETURN_IF_ERROR(WriteMark(state_dir, {options.location.ToString(), shared->store_id()}));
  RETURN_IF_ERROR(PutAside(records::IndexDirectory(state_dir)));
  RETURN_IF_ERROR(PutAside(records::JournalDirectory(state_dir)));
  RETURN_IF_ERROR(FsyncDirectory(state_dir));
  return MigratedRecords{writer.count(), 0};
}

Result<MigratedRecords> MigrateToOwn(const std::string& state_dir,
                                     const records::EtcdOptions& options) {
  ASSIGN_OR_RETURN(const auto lock, ObjectStore::Open(state_dir + "/store"));
  ASSIGN_OR_RETURN(const auto mark, ReadMark(state_dir));
  if (!mark) {
    return Error(Code::kFailedPrecondition, "the catalog of this host is its own already");
  }
  records::EtcdOptions wanted = options;
  wanted.expected_id = mark->id;
  wanted.may_create = false;
  ASSIGN_OR_RETURN(const auto shared, records::EtcdRecordStore::Open(wanted));
  ASSIGN_OR_RETURN(const std::vector<Record> records, AllRecords(*shared));
  ASSIGN_OR_RETURN(const auto layers, LayerStore::Open(state_dir + "/store"));
  // What an attempt that broke off left is of no use: the shared one still counts.
  RETURN_IF_ERROR(RemoveTree(records::IndexDirectory(state_dir)));
  RETURN_IF_ERROR(RemoveTree(records::JournalDirectory(state_dir)));
  ASSIGN_OR_RETURN(auto own, records::OpenRocksRecordStore(state_dir, OwnRecords()));
  MigratedRecords migrated;
  HereFilter here(*layers);
  Writer writer(*own);
  const std::string ours = options.host + "/";
  for (Record record : records) {
    ASSIGN_OR_RETURN(bool keeps, here.Keeps(record));
    if (record.table == kLeases) {
      keeps = record.key.starts_with(ours);
      catalog::LeaseRecord lease;
      if (keeps && lease.ParseFromString(record.value)) {
        lease.clear_host();
        record = {record.table, record.key.substr(ours.size()), lease.SerializeAsString()};
      }
    }
    if (!keeps) {
      ++migrated.left_out;
      continue;
    }
    RETURN_IF_ERROR(writer.Add(record));
  }
  RETURN_IF_ERROR(writer.Flush());
  migrated.records = writer.count();
  own.reset();
  if (::unlink(MarkPath(state_dir).c_str()) != 0) return Errno("remove " + MarkPath(state_dir));
  RETURN_IF_ERROR(FsyncDirectory(state_dir));
  return migrated;
}

}  // namespace strata::imaged
