#include <rocksdb/db.h>

#include <mutex>

#include "common/file_io.h"
#include "imaged/catalog/catalog_upgrade.h"
#include "imaged/catalog/record_store.h"

namespace strata::imaged {
namespace {

constexpr const char* kFormatKey = "format";
constexpr const char* kFormat = "2";

Error FromRocks(const std::string& what, const rocksdb::Status& status) {
  const Code code = status.IsNotFound()     ? Code::kNotFound
                    : status.IsCorruption() ? Code::kCorrupt
                    : status.IsNoSpace()    ? Code::kResourceExhausted
                    : status.IsBusy()       ? Code::kFailedPrecondition
                                            : Code::kInternal;
  return Error(code, "catalog: " + what + ": " + status.ToString());
}

class RocksRecordStore final : public RecordStore {
 public:
  RocksRecordStore(std::unique_ptr<rocksdb::DB> db,
                   std::vector<rocksdb::ColumnFamilyHandle*> families)
      : db_(std::move(db)), families_(std::move(families)) {}

  ~RocksRecordStore() override {
    for (rocksdb::ColumnFamilyHandle* family : families_) db_->DestroyColumnFamilyHandle(family);
    db_->Close();
  }

  Result<std::optional<std::string>> Get(Table table, const std::string& key) override {
    return Read(FamilyOf(table), key);
  }

  Status Scan(Table table, const std::string& prefix, const Visitor& visit) override {
    // An iterator reads a snapshot.
    const std::unique_ptr<rocksdb::Iterator> it(
        db_->NewIterator(rocksdb::ReadOptions(), FamilyOf(table)));
    for (it->Seek(prefix); it->Valid() && it->key().starts_with(prefix); it->Next()) {
      RETURN_IF_ERROR(visit(it->key().ToString(), it->value().ToString()));
    }
    return it->status().ok() ? Ok() : Status(FromRocks("scan", it->status()));
  }

  Status Commit(const std::vector<RecordExpectation>& expected,
                const std::vector<RecordChange>& changes) override {
    const std::lock_guard lock(mutex_);
    for (const RecordExpectation& expectation : expected) {
      ASSIGN_OR_RETURN(const auto found, Get(expectation.table, expectation.key));
      if (found != expectation.value) {
        return Error(Code::kFailedPrecondition,
                     "catalog: " + expectation.key + " changed meanwhile: try again");
      }
    }
    rocksdb::WriteBatch batch;
    for (const RecordChange& change : changes) {
      const rocksdb::Status status =
          change.value ? batch.Put(FamilyOf(change.table), change.key, *change.value)
                       : batch.Delete(FamilyOf(change.table), change.key);
      if (!status.ok()) return FromRocks("change " + change.key, status);
    }
    RETURN_IF_ERROR(Write(&batch));
    if (listener_) listener_(changes);
    return Ok();
  }

  void SetListener(Listener listener) override {
    const std::lock_guard lock(mutex_);
    listener_ = std::move(listener);
  }

  // Checks the format, and brings an older one to this.
  Status PrepareFormat() {
    ASSIGN_OR_RETURN(const auto format, Read(families_[0], kFormatKey));
    if (format == kFormat) return Ok();
    if (format) {
      return Error(Code::kUnsupported, "catalog: format " + *format + " is of a later version of " +
                                           "imaged, this one knows " + kFormat);
    }
    rocksdb::WriteBatch batch;
    ASSIGN_OR_RETURN(const auto changes, UpgradeFromFormat1(*this));
    for (const RecordChange& change : changes) {
      if (change.value) {
        batch.Put(FamilyOf(change.table), change.key, *change.value);
      } else {
        batch.Delete(FamilyOf(change.table), change.key);
      }
    }
    batch.Put(families_[0], kFormatKey, kFormat);
    return Write(&batch);
  }

 private:
  // [0] is RocksDB's own default family, which holds the format.
  rocksdb::ColumnFamilyHandle* FamilyOf(Table table) {
    return families_[1 + static_cast<size_t>(table)];
  }

  Result<std::optional<std::string>> Read(rocksdb::ColumnFamilyHandle* family,
                                          const std::string& key) {
    std::string value;
    const rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), family, key, &value);
    if (status.IsNotFound()) return std::optional<std::string>();
    if (!status.ok()) return FromRocks("read " + key, status);
    return std::optional<std::string>(std::move(value));
  }

  Status Write(rocksdb::WriteBatch* batch) {
    rocksdb::WriteOptions options;
    options.sync = true;
    const rocksdb::Status status = db_->Write(options, batch);
    return status.ok() ? Ok() : Status(FromRocks("write", status));
  }

  const std::unique_ptr<rocksdb::DB> db_;
  const std::vector<rocksdb::ColumnFamilyHandle*> families_;
  std::mutex mutex_;  // Guards listener_, and orders commits with their expectations.
  Listener listener_;
};

}  // namespace

std::string_view TableName(Table table) {
  switch (table) {
    case Table::kImages:
      return "images";
    case Table::kTags:
      return "tags";
    case Table::kClasses:
      return "classes";
    case Table::kQuotas:
      return "quotas";
    case Table::kLeases:
      return "leases";
  }
  return "";
}

Result<std::unique_ptr<RecordStore>> OpenRocksRecordStore(const std::string& directory) {
  RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.keep_log_file_num = 4;
  options.max_open_files = 256;
  options.paranoid_checks = true;
  rocksdb::ColumnFamilyOptions family;
  family.write_buffer_size = 8 << 20;
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors = {
      {rocksdb::kDefaultColumnFamilyName, family}};
  for (size_t i = 0; i < kTableCount; ++i) {
    descriptors.emplace_back(std::string(TableName(static_cast<Table>(i))), family);
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, directory, descriptors, &handles, &db);
  if (!status.ok()) return FromRocks("open " + directory, status);
  auto store = std::make_unique<RocksRecordStore>(std::unique_ptr<rocksdb::DB>(db), handles);
  RETURN_IF_ERROR(store->PrepareFormat());
  return std::unique_ptr<RecordStore>(std::move(store));
}

}  // namespace strata::imaged
