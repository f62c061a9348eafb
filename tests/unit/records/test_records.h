// Tables of an owner that the tests of records make up, and what it tells its users.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "common/records/record_store.h"

namespace strata::records {

#define ASSERT_OK(expr)                                         \
  do {                                                          \
    const auto& ok_result = (expr);                             \
    ASSERT_TRUE(ok_result.ok()) << ok_result.error().message(); \
  } while (false)

inline constexpr Table kImages{"images"};
inline constexpr Table kTags{"tags"};
inline constexpr Table kClasses{"classes"};
inline constexpr Table kQuotas{"quotas"};
inline constexpr Table kLeases{"leases"};
inline constexpr Table kTables[] = {kImages, kTags, kClasses, kQuotas, kLeases};

inline std::vector<Table> TestTables() { return {std::begin(kTables), std::end(kTables)}; }

inline RocksOptions TestOptions() {
  RocksOptions options;
  options.tables = TestTables();
  options.index_remedy = "owner rebuild-index makes it anew from its journal";
  options.journal_remedy = "put it back from a copy, or owner rebuild-journal";
  return options;
}

}  // namespace strata::records
