// The values of groups make the digest that the whole content has.
#include "common/digest_tree.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace strata {
namespace {

std::string Noise(size_t size) {
  std::mt19937_64 random(size);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

std::vector<GroupValue> ValuesOf(std::string_view content) {
  std::vector<GroupValue> values;
  for (; !content.empty(); content.remove_prefix(std::min(content.size(), kGroupBytes))) {
    values.push_back(ValueOfGroup(content.substr(0, kGroupBytes), values.size()));
  }
  return values;
}

TEST(DigestTree, TheGroupsMakeTheDigest) {
  const size_t group = kGroupBytes;
  for (const size_t size :
       {group + 1, group + 63, group + 64, group + 65, group + 1023, group + 1024, group + 1025,
        group + 2048, 2 * group - 1, 2 * group, 2 * group + 1, 3 * group, 3 * group + 5 * 1024,
        5 * group - 1, 7 * group + 100'000, 8 * group, 9 * group, 64 * group + 7}) {
    const std::string content = Noise(size);
    EXPECT_EQ(DigestOfGroups(ValuesOf(content)), Hasher::Of(content)) << size;
  }
}

TEST(DigestTree, AChangedByteChangesTheValueOfItsGroupAlone) {
  std::string content = Noise(5 * kGroupBytes + 1000);
  const auto before = ValuesOf(content);
  content[2 * kGroupBytes + 5] ^= 1;
  const auto after = ValuesOf(content);
  for (size_t i = 0; i < before.size(); ++i) EXPECT_EQ(before[i] == after[i], i != 2) << i;
}

TEST(DigestTree, AGroupElsewhereHasAnotherValue) {
  const std::string group = Noise(kGroupBytes);
  EXPECT_NE(ValueOfGroup(group, 0), ValueOfGroup(group, 1));
}

}  // namespace
}  // namespace strata
