// Tables that a store was not opened with, and names that it cannot take: bugs of its owner.
#include "common/records/table_list.h"

#include <gtest/gtest.h>

#include "tests/unit/records/test_records.h"

namespace strata::records {
namespace {

TEST(TableListTest, TablesAreFoundByTheirNames) {
  const std::string name = "quotas";
  EXPECT_EQ(IndexOf(TestTables(), Table{name}), 3u);
  EXPECT_EQ(kQuotas, Table{name});
  EXPECT_NE(kQuotas, kTags);
}

TEST(TableListDeathTest, ATableThatAStoreWasNotOpenedWithIsRefused) {
  const auto store = MakeMemoryRecordStore({kTags});
  EXPECT_DEATH((void)store->Get(kImages, "a"), "CHECK failed");
  EXPECT_DEATH((void)store->Put(kImages, "a", "1"), "CHECK failed");
}

TEST(TableListDeathTest, NamesThatTwoTablesHaveOrAStoreItselfAreRefused) {
  for (const Table bad : {kTags, Table{""}, Table{"a/b"}, Table{"default"}, Table{"scopes"}}) {
    EXPECT_DEATH(CheckTables({kTags, bad}), "CHECK failed") << bad.name;
  }
  CheckTables(TestTables());
}

}  // namespace
}  // namespace strata::records
