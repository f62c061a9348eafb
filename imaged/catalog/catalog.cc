#include "imaged/catalog/catalog.h"

#include <chrono>

#include "common/log.h"
#include "imaged/catalog/records.pb.h"
#include "imaged/catalog/reference.h"
#include "imaged/catalog/tables.h"

namespace strata::imaged {
namespace {

int64_t HostUnixMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Tags whose image is gone name nothing, and keep rights that a new image must not get.
Status RemoveDanglingTags(const ImageIndex& index, records::RecordStore* records,
                          std::vector<std::string>* mended) {
  struct Dangling {
    records::RecordExpectation tag;
    records::RecordExpectation image;  // Which is not there.
    std::string digest;
  };
  std::vector<Dangling> found;
  RETURN_IF_ERROR(
      records->Scan(kTags, "", [&](const std::string& key, const std::string& value) -> Status {
        catalog::TagRecord tag;
        const auto name = ParseKey(key);
        if (index.FindTag(key) != nullptr || !name || !tag.ParseFromString(value)) return Ok();
        const auto digest = Digest::Parse(tag.digest());
        if (!digest.ok()) return Ok();
        const std::string image_key = ImageKey(*name, *digest);
        ASSIGN_OR_RETURN(const auto image, records->Get(kImages, image_key));
        if (image) return Ok();  // Damaged, but there.
        found.push_back({{kTags, key, value}, {kImages, image_key, std::nullopt}, tag.digest()});
        return Ok();
      }));
  for (const Dangling& one : found) {
    const Status removed =
        records->Commit({one.tag, one.image}, {{kTags, one.tag.key, std::nullopt}});
    // Another host has done something about it.
    if (!removed.ok() && removed.error().code() == Code::kFailedPrecondition) continue;
    RETURN_IF_ERROR(removed);
    mended->push_back("catalog: the tag " + one.tag.key + " is taken away: its image " +
                      one.digest + " is not there");
    LOG_WARNING(mended->back());
  }
  return Ok();
}

}  // namespace

Catalog::Catalog(std::unique_ptr<records::RecordStore> records, const CatalogOptions& options)
    : records_(std::move(records)),
      accounts_(*options.accounts),
      now_(options.now ? options.now : HostUnixMs),
      shared_(!options.host.empty()),
      index_(accounts_),
      classes_(*records_, accounts_),
      images_(*records_, index_, classes_, accounts_, now_, options.versions_kept),
      leases_(*records_, options.host) {}

Catalog::~Catalog() { records_->Unfollow(); }

Result<std::unique_ptr<Catalog>> Catalog::Open(std::unique_ptr<records::RecordStore> records,
                                               const CatalogOptions& options) {
  std::unique_ptr<Catalog> catalog(new Catalog(std::move(records), options));
  RETURN_IF_ERROR(catalog->records_->Follow(
      [raw = catalog.get()](const std::vector<records::RecordChange>& changes) {
        raw->index_.Apply(changes);
        raw->classes_.Apply(changes);
      }));
  RETURN_IF_ERROR(RemoveDanglingTags(catalog->index_, catalog->records_.get(), &catalog->mended_));
  return catalog;
}

}  // namespace strata::imaged
