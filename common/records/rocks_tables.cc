#include "common/records/rocks_tables.h"

#include <charconv>

#include "common/file_io.h"

namespace strata::records {
namespace {

constexpr const char* kFormatKey = "format";
constexpr const char* kFormat = "3";
constexpr const char* kFormatBeforeJournal = "2";
constexpr const char* kSequenceKey = "sequence";

Error FromRocks(const RocksOptions& options, const std::string& what,
                const rocksdb::Status& status) {
  const Code code = status.IsNotFound()     ? Code::kNotFound
                    : status.IsCorruption() ? Code::kCorrupt
                    : status.IsNoSpace()    ? Code::kResourceExhausted
                    : status.IsBusy()       ? Code::kFailedPrecondition
                                            : Code::kInternal;
  std::string message = "index of records: " + what + ": " + status.ToString();
  if (code == Code::kCorrupt) message += "; " + options.index_remedy;
  return Error(code, message);
}

}  // namespace

Result<std::unique_ptr<RocksTables>> RocksTables::Open(const std::string& directory,
                                                       const RocksOptions& options) {
  RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  rocksdb::DBOptions db_options;
  db_options.create_if_missing = true;
  db_options.create_missing_column_families = true;
  db_options.keep_log_file_num = 4;
  db_options.max_open_files = 256;
  db_options.paranoid_checks = true;
  db_options.atomic_flush = true;
  rocksdb::ColumnFamilyOptions family;
  family.write_buffer_size = 8 << 20;
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors = {
      {rocksdb::kDefaultColumnFamilyName, family}};
  for (const Table table : options.tables) {
    descriptors.emplace_back(std::string(table.name), family);
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      rocksdb::DB::Open(db_options, directory, descriptors, &handles, &db);
  if (!status.ok()) return FromRocks(options, "open " + directory, status);
  return std::unique_ptr<RocksTables>(
      new RocksTables(options, std::unique_ptr<rocksdb::DB>(db), std::move(handles)));
}

RocksTables::~RocksTables() {
  for (rocksdb::ColumnFamilyHandle* family : families_) db_->DestroyColumnFamilyHandle(family);
  db_->Close();
}

Result<std::optional<std::string>> RocksTables::Read(rocksdb::ColumnFamilyHandle* family,
                                                     const std::string& key) {
  std::string value;
  const rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), family, key, &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  if (!status.ok()) return FromRocks(options_, "read " + key, status);
  return std::optional<std::string>(std::move(value));
}

Result<std::optional<std::string>> RocksTables::Get(Table table, const std::string& key) {
  return Read(FamilyOf(table), key);
}

Status RocksTables::Scan(Table table, const std::string& prefix,
                         const RecordStore::Visitor& visit) {
  // An iterator reads a snapshot.
  const std::unique_ptr<rocksdb::Iterator> it(
      db_->NewIterator(rocksdb::ReadOptions(), FamilyOf(table)));
  for (it->Seek(prefix); it->Valid() && it->key().starts_with(prefix); it->Next()) {
    RETURN_IF_ERROR(visit(it->key().ToString(), it->value().ToString()));
  }
  return it->status().ok() ? Ok() : Status(FromRocks(options_, "scan", it->status()));
}

Status RocksTables::ScanAll(const RecordJournal::RecordSink& take) {
  for (const Table table : options_.tables) {
    RETURN_IF_ERROR(Scan(table, "", [&](const std::string& key, const std::string& value) {
      return take(table, key, value);
    }));
  }
  return Ok();
}

Result<std::optional<uint64_t>> RocksTables::Sequence() {
  ASSIGN_OR_RETURN(const auto found, Read(families_[0], kFormatKey));
  const std::string format = found.value_or("");
  if (format.empty() || format == kFormatBeforeJournal) return std::optional<uint64_t>();
  if (format != kFormat) {
    return Error(Code::kUnsupported, "index of records: format " + format +
                                         " is of a later version, this one knows " + kFormat);
  }
  ASSIGN_OR_RETURN(const auto text, Read(families_[0], kSequenceKey));
  uint64_t sequence = 0;
  if (!text ||
      std::from_chars(text->data(), text->data() + text->size(), sequence).ec != std::errc()) {
    return Error(Code::kCorrupt, "index of records: the number of its last change is damaged; " +
                                     options_.index_remedy);
  }
  return std::optional<uint64_t>(sequence);
}

Result<rocksdb::WriteBatch> RocksTables::BatchOf(const std::vector<RecordChange>& changes) const {
  rocksdb::WriteBatch batch;
  for (const RecordChange& change : changes) {
    const rocksdb::Status status =
        change.value ? batch.Put(FamilyOf(change.table), change.key, *change.value)
                     : batch.Delete(FamilyOf(change.table), change.key);
    if (!status.ok()) return FromRocks(options_, "change " + change.key, status);
  }
  return batch;
}

Status RocksTables::Apply(uint64_t sequence, const std::vector<RecordChange>& changes) {
  ASSIGN_OR_RETURN(rocksdb::WriteBatch batch, BatchOf(changes));
  batch.Put(families_[0], kFormatKey, kFormat);
  batch.Put(families_[0], kSequenceKey, std::to_string(sequence));
  rocksdb::WriteOptions options;
  options.disableWAL = true;
  const rocksdb::Status status = db_->Write(options, &batch);
  return status.ok() ? Ok() : Status(FromRocks(options_, "write", status));
}

Status RocksTables::Flush() {
  const rocksdb::Status status = db_->Flush(rocksdb::FlushOptions(), families_);
  return status.ok() ? Ok() : Status(FromRocks(options_, "flush", status));
}

Status RocksTables::UpgradeToFormat2() {
  ASSIGN_OR_RETURN(const auto format, Read(families_[0], kFormatKey));
  if (format) return Ok();
  std::vector<RecordChange> changes;
  if (options_.upgrade) {
    ASSIGN_OR_RETURN(changes,
                     options_.upgrade([this](Table table, const RecordStore::Visitor& visit) {
                       return Scan(table, "", visit);
                     }));
  }
  ASSIGN_OR_RETURN(rocksdb::WriteBatch batch, BatchOf(changes));
  batch.Put(families_[0], kFormatKey, kFormatBeforeJournal);
  rocksdb::WriteOptions options;
  options.sync = true;
  const rocksdb::Status status = db_->Write(options, &batch);
  return status.ok() ? Ok() : Status(FromRocks(options_, "write", status));
}

}  // namespace strata::records
