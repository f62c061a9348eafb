#include "imaged/catalog/catalog.h"

#include <chrono>

namespace strata::imaged {
namespace {

int64_t HostUnixMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
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
  RETURN_IF_ERROR(catalog->classes_.Load());
  catalog->records_->SetListener([raw = catalog.get()](const std::vector<RecordChange>& changes) {
    raw->index_.Apply(changes);
    raw->classes_.Apply(changes);
  });
  return catalog;
}

}  // namespace strata::imaged
