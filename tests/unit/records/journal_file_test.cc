// The format of the journal: what is written today was written before, byte for byte.
#include "common/records/journal_file.h"

#include <gtest/gtest.h>

#include "tests/unit/records/test_records.h"

namespace strata::records {
namespace {

std::string HexOf(const std::string& bytes) {
  std::string hex;
  for (const unsigned char byte : bytes) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

TEST(JournalFileTest, AHeaderAndAnEntryHaveTheseBytes) {
  EXPECT_EQ(HexOf(JournalHeader(7)),
            "7374726174612d7265636f72647331000700000000000000abe9317123e98b55");
  const auto entry =
      EncodeJournalEntry(7, {{kTags, "key", "value"}, {kImages, "gone", std::nullopt}});
  ASSERT_OK(entry);
  EXPECT_EQ(HexOf(*entry),
            "8f9357a51b7cbcf3070000000000000024000000000000000a120a047461677312036b65"
            "791a0576616c75650a0e0a06696d616765731204676f6e65");
}

}  // namespace
}  // namespace strata::records
