#include "imaged/catalog/catalog.h"

#include <rocksdb/db.h>

#include <array>
#include <vector>

#include "common/file_io.h"

namespace strata::imaged {
namespace {

Error FromRocks(const std::string& what, const rocksdb::Status& status) {
  const Code code = status.IsNotFound()     ? Code::kNotFound
                    : status.IsCorruption() ? Code::kCorrupt
                    : status.IsNoSpace()    ? Code::kResourceExhausted
                    : status.IsBusy()       ? Code::kFailedPrecondition
                                            : Code::kInternal;
  return Error(code, "catalog: " + what + ": " + status.ToString());
}

// A lease is stored as "<length of key>:<key><record>".
std::string EncodeLease(const Lease& lease) {
  return std::to_string(lease.image_key.size()) + ":" + lease.image_key + lease.image_record;
}

Result<Lease> DecodeLease(const std::string& name, const std::string& text) {
  const size_t colon = text.find(':');
  size_t length = 0;
  bool good = colon != std::string::npos && colon > 0 && colon < 6;
  for (size_t i = 0; good && i < colon; ++i) {
    good = text[i] >= '0' && text[i] <= '9';
    length = length * 10 + static_cast<size_t>(text[i] - '0');
  }
  if (!good || colon + 1 + length > text.size()) {
    return Error(Code::kCorrupt, "catalog: the lease " + name + " is damaged");
  }
  return Lease{text.substr(colon + 1, length), text.substr(colon + 1 + length)};
}

class RocksCatalog final : public Catalog {
 public:
  RocksCatalog(std::unique_ptr<rocksdb::DB> db, std::vector<rocksdb::ColumnFamilyHandle*> families)
      : db_(std::move(db)), families_(std::move(families)) {}

  ~RocksCatalog() override {
    for (rocksdb::ColumnFamilyHandle* family : families_) db_->DestroyColumnFamilyHandle(family);
    db_->Close();
  }

  Result<std::optional<std::string>> GetImage(const std::string& key) override {
    return Get(images(), key);
  }
  Status PutImage(const std::string& key, const std::string& record) override {
    return Put(images(), key, record);
  }
  Status DeleteImage(const std::string& key) override { return Delete(images(), key); }
  Status ForEachImage(const Visitor& visit) override { return ForEach(images(), visit); }

  Result<std::optional<Lease>> GetLease(const std::string& name) override {
    ASSIGN_OR_RETURN(const std::optional<std::string> text, Get(leases(), name));
    if (!text) return std::optional<Lease>();
    ASSIGN_OR_RETURN(Lease lease, DecodeLease(name, *text));
    return std::optional<Lease>(std::move(lease));
  }
  Status PutLease(const std::string& name, const Lease& lease) override {
    return Put(leases(), name, EncodeLease(lease));
  }
  Status DeleteLease(const std::string& name) override { return Delete(leases(), name); }
  Status ForEachLease(const LeaseVisitor& visit) override {
    return ForEach(leases(), [&](const std::string& name, const std::string& text) -> Status {
      ASSIGN_OR_RETURN(const Lease lease, DecodeLease(name, text));
      return visit(name, lease);
    });
  }

 private:
  rocksdb::ColumnFamilyHandle* images() { return families_[1]; }
  rocksdb::ColumnFamilyHandle* leases() { return families_[2]; }

  Result<std::optional<std::string>> Get(rocksdb::ColumnFamilyHandle* family,
                                         const std::string& key) {
    std::string value;
    const rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), family, key, &value);
    if (status.IsNotFound()) return std::optional<std::string>();
    if (!status.ok()) return FromRocks("read " + key, status);
    return std::optional<std::string>(std::move(value));
  }

  static rocksdb::WriteOptions Durable() {
    rocksdb::WriteOptions options;
    options.sync = true;
    return options;
  }

  Status Put(rocksdb::ColumnFamilyHandle* family, const std::string& key,
             const std::string& value) {
    const rocksdb::Status status = db_->Put(Durable(), family, key, value);
    return status.ok() ? Ok() : Status(FromRocks("write " + key, status));
  }

  Status Delete(rocksdb::ColumnFamilyHandle* family, const std::string& key) {
    const rocksdb::Status status = db_->Delete(Durable(), family, key);
    return status.ok() ? Ok() : Status(FromRocks("delete " + key, status));
  }

  Status ForEach(rocksdb::ColumnFamilyHandle* family, const Visitor& visit) {
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(rocksdb::ReadOptions(), family));
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      RETURN_IF_ERROR(visit(it->key().ToString(), it->value().ToString()));
    }
    return it->status().ok() ? Ok() : Status(FromRocks("scan", it->status()));
  }

  const std::unique_ptr<rocksdb::DB> db_;
  const std::vector<rocksdb::ColumnFamilyHandle*> families_;
};

}  // namespace

Result<std::unique_ptr<Catalog>> Catalog::Open(const std::string& directory) {
  RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.keep_log_file_num = 4;
  options.max_open_files = 256;
  options.paranoid_checks = true;
  rocksdb::ColumnFamilyOptions family;
  family.write_buffer_size = 8 << 20;
  const std::vector<rocksdb::ColumnFamilyDescriptor> descriptors = {
      {rocksdb::kDefaultColumnFamilyName, family}, {"images", family}, {"leases", family}};
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, directory, descriptors, &handles, &db);
  if (!status.ok()) return FromRocks("open " + directory, status);
  return std::unique_ptr<Catalog>(
      std::make_unique<RocksCatalog>(std::unique_ptr<rocksdb::DB>(db), std::move(handles)));
}

}  // namespace strata::imaged
