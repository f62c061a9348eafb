// The tables of the catalog (docs/formats.md, "Catalog").
#pragma once

#include <vector>

#include "common/records/record_store.h"

namespace strata::imaged {

inline constexpr records::Table kImages{"images"};
inline constexpr records::Table kTags{"tags"};
inline constexpr records::Table kClasses{"classes"};
inline constexpr records::Table kQuotas{"quotas"};
inline constexpr records::Table kLeases{"leases"};

// All of them; what refers to others comes after them.
inline std::vector<records::Table> CatalogTables() {
  return {kImages, kTags, kClasses, kQuotas, kLeases};
}

}  // namespace strata::imaged
