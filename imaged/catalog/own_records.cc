#include "imaged/catalog/own_records.h"

#include "imaged/catalog/catalog_upgrade.h"
#include "imaged/catalog/tables.h"

namespace strata::imaged {

records::RocksOptions OwnRecords() {
  records::RocksOptions options;
  options.tables = CatalogTables();
  options.index_remedy = "imaged rebuild-catalog makes it anew from its journal";
  options.journal_remedy =
      "put the journal back from a copy, or go on with what the catalog has: imaged "
      "rebuild-journal";
  options.upgrade = UpgradeFromFormat1;
  return options;
}

}  // namespace strata::imaged
