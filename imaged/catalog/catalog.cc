#include "imaged/catalog/catalog.h"

#include <chrono>

#include "common/log.h"
#include "imaged/catalog/records.pb.h"
#include "imaged/catalog/reference.h"

namespace strata::imaged {
namespace {

int64_t HostUnixMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Tags whose image is gone name nothing, and keep rights that a new image must not get.
Status RemoveDanglingTags(const ImageIndex& index, RecordStore* records,
                          std::vector<std::string>* mended) {
  std::vector<RecordChange> changes;
  RETURN_IF_ERROR(records->Scan(
      Table::kTags, "", [&](const std::string& key, const std::string& value) -> Status {
        catalog::TagRecord tag;
        const auto name = ParseKey(key);
        if (index.FindTag(key) != nullptr || !name || !tag.ParseFromString(value)) return Ok();
        const auto digest = Digest::Parse(tag.digest());
        if (!digest.ok()) return Ok();
        ASSIGN_OR_RETURN(const auto image, records->Get(Table::kImages, ImageKey(*name, *digest)));
        if (image) return Ok();  // Damaged, but there.
        mended->push_back("catalog: the tag " + key + " is taken away: its image " + tag.digest() +
                          " is not there");
        LOG_WARNING(mended->back());
        changes.push_back({Table::kTags, key, std::nullopt});
        return Ok();
      }));
  return changes.empty() ? Ok() : records->Commit({}, changes);
}

}  // namespace

Catalog::Catalog(std::unique_ptr<RecordStore> records, const CatalogOptions& options)
    : records_(std::move(records)),
      accounts_(*options.accounts),
      now_(options.now ? options.now : HostUnixMs),
      index_(accounts_),
      classes_(*records_, accounts_),
      images_(*records_, index_, classes_, accounts_, now_, options.versions_kept),
      leases_(*records_) {}

Catalog::~Catalog() { records_->SetListener({}); }

Result<std::unique_ptr<Catalog>> Catalog::Open(std::unique_ptr<RecordStore> records,
                                               const CatalogOptions& options) {
  std::unique_ptr<Catalog> catalog(new Catalog(std::move(records), options));
  RETURN_IF_ERROR(catalog->index_.Load(*catalog->records_));
  RETURN_IF_ERROR(RemoveDanglingTags(catalog->index_, catalog->records_.get(), &catalog->mended_));
  RETURN_IF_ERROR(catalog->classes_.Load());
  catalog->records_->SetListener([raw = catalog.get()](const std::vector<RecordChange>& changes) {
    raw->index_.Apply(changes);
    raw->classes_.Apply(changes);
  });
  return catalog;
}

}  // namespace strata::imaged
