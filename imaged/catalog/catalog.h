// Catalog: what images there are, whose they are, who may use them, and what is in use. Opens the
// records and wires what gives them meaning; each part has a header of its own.
//
// Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/records/record_store.h"
#include "common/result.h"
#include "imaged/catalog/accounts.h"
#include "imaged/catalog/classes.h"
#include "imaged/catalog/image_index.h"
#include "imaged/catalog/images.h"
#include "imaged/catalog/leases.h"

namespace strata::imaged {

struct CatalogOptions {
  const Accounts* accounts = &HostAccounts();
  UnixClock now;             // Empty: the clock of the host.
  size_t versions_kept = 3;  // Of a name, after its tag moved on.
  // This host's name in a catalog that several hosts share; empty: this one has it for itself.
  std::string host;
};

class Catalog {
 public:
  static Result<std::unique_ptr<Catalog>> Open(std::unique_ptr<records::RecordStore> records,
                                               const CatalogOptions& options);
  ~Catalog();

  const Accounts& accounts() const { return accounts_; }
  int64_t Now() const { return now_(); }
  // Whether other hosts have it too: layers that it names need not be here.
  bool shared() const { return shared_; }
  records::RecordStore& records() { return *records_; }
  // What was wrong when it was opened, and was set right.
  const std::vector<std::string>& mended() const { return mended_; }
  const ImageIndex& index() const { return index_; }
  Images& images() { return images_; }
  Classes& classes() { return classes_; }
  Leases& leases() { return leases_; }

 private:
  Catalog(std::unique_ptr<records::RecordStore> records, const CatalogOptions& options);

  const std::unique_ptr<records::RecordStore> records_;
  const Accounts& accounts_;
  const UnixClock now_;
  const bool shared_;
  std::vector<std::string> mended_;
  ImageIndex index_;
  Classes classes_;
  Images images_;
  Leases leases_;
};

}  // namespace strata::imaged
